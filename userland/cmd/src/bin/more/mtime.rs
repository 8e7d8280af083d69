//! mtime file ...: print when the files were modified last, in seconds since 1970.

use lib9::{Args, Result, eprintln, exits, fd, println, usage};

pub fn main(args: &Args) -> Result<()> {
    let names = args.no_flags("file ...");
    if names.is_empty() {
        usage(args, "file ...");
    }
    let mut failed = false;
    for name in names {
        match fd::stat(name) {
            Ok(dir) => println!("{:11} {name}", dir.mtime),
            Err(e) => {
                eprintln!("mtime: can't stat {name}: {e}");
                failed = true;
            }
        }
    }
    if failed { exits("stat") } else { Ok(()) }
}
