//! chgrp [-ou] group file ...: change the group of files, with -u or -o their owner.

use lib9::{Args, Dir, Result, eprintln, exits, fd, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut owner = false;
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'o' | 'u' => owner = true,
            _ => usage(args, "[-uo] group file ..."),
        }
    }
    let [who, names @ ..] = flags.rest() else { usage(args, "[-uo] group file ...") };
    if names.is_empty() {
        usage(args, "[-uo] group file ...");
    }
    let mut change = Dir::untouched();
    *(if owner { &mut change.uid } else { &mut change.gid }) = who.clone();
    let mut failed = false;
    for name in names {
        if let Err(e) = fd::wstat(name, &change) {
            eprintln!("chgrp: {name}: {e}");
            failed = true;
        }
    }
    if failed { exits("error") } else { Ok(()) }
}
