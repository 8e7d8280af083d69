//! exportfs [-Rs] [-r root] [port]: serve the name space over 9P on standard input and output, or on a port.
//!
//! The files are [`cmd::export`]'s. Reads that wait hold up nobody: each request runs in a process of its own.

use cmd::export::Export;
use lib9::serve::workers;
use lib9::{Args, Result, error, fd, usage};

pub fn main(args: &Args) -> Result<()> {
    let (mut root, mut readonly) = ("/", false);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'R' => readonly = true,
            'r' => root = flags.value().unwrap_or_else(|_| synopsis(args)),
            's' => root = "/",
            _ => synopsis(args),
        }
    }
    // A relative name would be looked up anew at each request.
    fd::chdir(root)?;
    let root = fd::getwd()?;
    let (input, output) = match flags.rest() {
        [] => (0, 1),
        [port] => {
            let port = fd::open(port, abi::ORDWR)?;
            (port, port)
        }
        _ => synopsis(args),
    };
    workers::serve(Export::new(&root, readonly), input, output).map_err(|e| error!("{e}"))
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-Rs] [-r root] [port]")
}
