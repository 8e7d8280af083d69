//! mntgen [-s srvname] [mountpoint]: directories to mount on, made when they are asked for, on /n unless said.
//!
//! The files are [`cmd::mntgen`]'s. One process serves them; it ends when the last mount of it is gone.

use alloc::string::String;

use cmd::mntgen::Mntgen;
use cmd::namespace;
use lib9::{Args, Result, eprintln, fd, file, proc, serve, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut name = None;
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            's' => name = Some(flags.value().unwrap_or_else(|_| synopsis(args))),
            _ => synopsis(args),
        }
    }
    let mountpoint = match flags.rest() {
        [] => "/n",
        [dir] => dir,
        _ => synopsis(args),
    };
    let ours = serve::start(|end| {
        // Nobody shall wait for us to close what we do not use.
        for unused in [0, 1] {
            let _ = fd::close(unused);
        }
        let owner = file::read_string("#c/user").unwrap_or_else(|_| String::from("none"));
        let born = u32::try_from(proc::seconds()).unwrap_or(u32::MAX);
        if let Err(e) = serve::serve(&Mntgen::new(owner.as_bytes(), born), end, end) {
            eprintln!("mntgen: {e}");
            proc::exits(e.text());
        }
    })?;
    if let Some(name) = name {
        serve::post(name, ours, 0o600)?;
    }
    // What is there already goes before what is made up.
    namespace::mount(ours, mountpoint, abi::MAFTER)
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-s srvname] [mountpoint]")
}
