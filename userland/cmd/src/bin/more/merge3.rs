//! merge3 theirs base ours: print what is made of `base` by all that was changed in either of the others. See diff(1).

use cmd::diff::{Piece, is_binary, lines, merge};
use lib9::{Args, Result, error, exits, file, out, usage};

pub fn main(args: &Args) -> Result<()> {
    let [theirs, base, ours] = args.no_flags("theirs base ours") else { usage(args, "theirs base ours") };
    let read = |name: &str| file::read(name).map_err(|e| error!("can't open {name}: {e}"));
    let texts = [read(theirs)?, read(base)?, read(ours)?];
    if texts.iter().any(|text| is_binary(text)) {
        return Err("cannot merge binaries".into());
    }
    let [t, b, o] = [&texts[0], &texts[1], &texts[2]].map(|text| lines(text));
    let put = |lines: &[&[u8]]| {
        for line in lines {
            out::write(line);
            // A last line without its newline would join what follows.
            if !line.ends_with(b"\n") {
                out::write(b"\n");
            }
        }
    };
    let mut differ = false;
    for piece in merge(&t, &b, &o) {
        match piece {
            Piece::Lines(lines) => put(&lines),
            Piece::Conflict([t, b, o]) => {
                differ = true;
                let (theirs, ours) = (theirs.as_bytes(), ours.as_bytes());
                put(&[&[b"<<<<<<<<<< ", theirs].concat()]);
                put(&t);
                put(&[b"========== original"]);
                put(&b);
                put(&[&[b"========== ", ours].concat()]);
                put(&o);
                put(&[b">>>>>>>>>>"]);
            }
        }
    }
    out::flush()?;
    if differ { exits("conflict") } else { Ok(()) }
}
