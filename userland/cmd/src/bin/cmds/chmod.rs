//! chmod mode file ...: change permissions: octal, or [ugoa][+-=][rwxalt].

use cmd::mode;
use lib9::{Args, Dir, Result, eprintln, error, exits, fd, usage};

pub fn main(args: &Args) -> Result<()> {
    // Not as flags: a mode may begin with a minus sign.
    let [text, names @ ..] = args.words() else {
        usage(args, "0777 file ...\n\tchmod [who]op[rwxalt] file ...")
    };
    if names.is_empty() {
        usage(args, "0777 file ...\n\tchmod [who]op[rwxalt] file ...");
    }
    let change = mode::parse(text).ok_or_else(|| error!("bad mode {text}"))?;
    let mut failed = false;
    for name in names {
        if let Err(e) = one(name, change) {
            eprintln!("chmod: {e}");
            failed = true;
        }
    }
    if failed { exits("error") } else { Ok(()) }
}

fn one(name: &str, change: mode::Change) -> Result<()> {
    let dir = fd::stat(name).map_err(|e| error!("can't stat {name}: {e}"))?;
    let change = Dir { mode: change.apply(dir.mode), ..Dir::untouched() };
    fd::wstat(name, &change).map_err(|e| error!("can't wstat {name}: {e}"))
}
