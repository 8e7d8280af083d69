//! unmount [new] old: undo a bind or mount at `old`, or all of them.

use lib9::{Args, Result, ns, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut flags = args.flags();
    match (flags.next(), flags.rest()) {
        (None, [old]) => ns::unmount(None, old),
        (None, [new, old]) => ns::unmount(Some(new), old),
        _ => usage(args, "[new] old"),
    }
}
