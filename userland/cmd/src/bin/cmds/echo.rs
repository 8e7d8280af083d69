//! echo [-n] [arg ...]: print the arguments, blank between them; -n leaves the newline away.

use lib9::{Args, Result, fd};

pub fn main(args: &Args) -> Result<()> {
    let (words, newline) = match args.words() {
        [first, rest @ ..] if first == "-n" => (rest, ""),
        words => (words, "\n"),
    };
    // One write: what is echoed into a control file is one message.
    let line = words.join(" ") + newline;
    fd::write_all(1, line.as_bytes()).map_err(|e| lib9::error!("write error: {e}"))
}
