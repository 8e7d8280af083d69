//! unmount [new] old: undo a bind or mount at `old`, or all of them.

use lib9::{Args, Result, error, ns, usage};

pub fn main(args: &Args) -> Result<()> {
    match args.no_flags("[new] old") {
        [old] => ns::unmount(None, old).map_err(|e| error!("{old}: {e}")),
        [new, old] => ns::unmount(Some(new), old).map_err(|e| error!("{new} {old}: {e}")),
        _ => usage(args, "[new] old"),
    }
}
