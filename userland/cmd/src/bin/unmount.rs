//! unmount [new] old: undo a bind or mount at `old`, or all of them.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

use lib9::{Args, Result, ns, usage};

lib9::program!(main);

fn main(args: &Args) -> Result<()> {
    let mut flags = args.flags();
    match (flags.next(), flags.rest()) {
        (None, [old]) => ns::unmount(None, old),
        (None, [new, old]) => ns::unmount(Some(new), old),
        _ => usage(args, "[new] old"),
    }
}
