//! exportfs [-Rs] [-r root] [-P patterns] [-S srvfile] [-m msize] [port]: serve the name space over 9P on standard
//! input and output, or on a port.
//!
//! The files are [`cmd::export`]'s. Reads that wait hold up nobody: each request runs in a process of its own.

use abi::{MCREATE, MREPL, ORDWR, Rfork};
use cmd::export::Export;
use cmd::export_patterns::Patterns;
use cmd::namespace;
use lib9::serve::{MSIZE_MAX, workers};
use lib9::{Args, Error, Result, error, fd, file, proc, usage};

/// Where a server is mounted whose tree is served; in a name space of our own, so that nobody misses what is there.
const SERVED: &str = "/mnt";
/// Bytes of the smallest message that is worth while.
const MSIZE_MIN: u32 = 256;

pub fn main(args: &Args) -> Result<()> {
    let (mut root, mut readonly, mut patterns, mut served, mut msize) = ("/", false, None, None, MSIZE_MAX);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        let mut value = || flags.value().unwrap_or_else(|_| synopsis(args));
        match letter {
            'R' => readonly = true,
            'r' => root = value(),
            's' => root = "/",
            'P' => patterns = Some(value()),
            'S' => served = Some(value()),
            'm' => {
                let wanted = value().parse().ok().filter(|msize: &u32| *msize >= MSIZE_MIN);
                msize = wanted.unwrap_or_else(|| synopsis(args)).min(MSIZE_MAX);
            }
            _ => synopsis(args),
        }
    }
    let (input, output) = match flags.rest() {
        [] => (0, 1),
        [port] => {
            let port = fd::open(port, ORDWR)?;
            (port, port)
        }
        _ => synopsis(args),
    };
    let patterns = match patterns {
        Some(name) => Patterns::parse(&file::read_string(name)?).map_err(|e| error!("{name}: {e}"))?,
        None => Patterns::default(),
    };
    if let Some(name) = served {
        proc::rfork(Rfork::NAMEG)?;
        namespace::mount(fd::open(name, ORDWR)?, SERVED, MREPL | MCREATE)?;
        root = SERVED;
    }
    // A relative name would be looked up anew at each request.
    fd::chdir(root)?;
    let root = fd::getwd()?;
    workers::serve_with(Export::new(&root, readonly, patterns), input, output, msize).map_err(|e: Error| error!("{e}"))
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-Rs] [-r root] [-P patterns] [-S srvfile] [-m msize] [port]")
}
