//! ramfs [-abcipsu] [-l limit] [-m mountpoint] [-S srvname]: a file system in memory, on /tmp unless said.
//!
//! The files are [`ninep::ram`]'s. One process serves them; it ends when the last mount of it is gone.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::string::String;

use lib9::sys::Raw;
use lib9::{Args, Fork, Result, Rfork, eprintln, error, fd, file, ns, proc, serve, usage};
use ninep::ram::Ram;

lib9::program!(main);

/// The limit when it is not known how much memory there is.
const LIMIT: u64 = 64 << 20;

fn main(args: &Args) -> Result<()> {
    let mut flag = abi::MREPL;
    let (mut mountpoint, mut name) = (None, None);
    let (mut stdio, mut private, mut limit) = (false, false, None);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'a' => flag |= abi::MAFTER,
            'b' => flag |= abi::MBEFORE,
            'c' => flag |= abi::MCREATE,
            'i' => stdio = true,
            'l' => {
                let value = flags.value().ok().and_then(cmd::number::size);
                limit = Some(value.unwrap_or_else(|| synopsis(args)));
            }
            'm' => mountpoint = Some(flags.value().unwrap_or_else(|_| synopsis(args))),
            'p' => private = true,
            's' => name = Some("ramfs"),
            'S' => name = Some(flags.value().unwrap_or_else(|_| synopsis(args))),
            'u' => limit = Some(u64::MAX),
            _ => synopsis(args),
        }
    }
    if !flags.rest().is_empty() || flag & abi::MORDER == abi::MORDER {
        synopsis(args);
    }
    // On /tmp files are made; who says where the tree goes also says whether.
    if mountpoint.is_none() && flag == abi::MREPL {
        flag |= abi::MCREATE;
    }
    if name.is_none() {
        mountpoint = mountpoint.or(Some("/tmp"));
    }
    let limit = limit.unwrap_or_else(half_the_memory);
    if stdio {
        return server(0, 1, limit, private);
    }
    let [ours, theirs] = fd::pipe()?;
    // It lives on after us, and an interrupt at the terminal is none of its business.
    match proc::rfork(Rfork::PROC | Rfork::FDG | Rfork::NOTEG | Rfork::NAMEG | Rfork::NOWAIT)? {
        Fork::Parent(_) => {
            fd::close(theirs)?;
            if let Some(name) = name {
                serve::post(name, ours, 0o600)?;
            }
            match mountpoint {
                Some(dir) => {
                    ns::mount(ours, -1, dir, flag, "").map(drop).map_err(|e| error!("mount {dir}: {e}"))
                }
                None => Ok(()),
            }
        }
        Fork::Child => {
            // Nobody shall wait for us to close what we do not use.
            for unused in [ours, 0, 1] {
                let _ = fd::close(unused);
            }
            match server(theirs, theirs, limit, private) {
                Ok(()) => proc::exits(""),
                Err(e) => {
                    eprintln!("ramfs: {e}");
                    proc::exits(e.text())
                }
            }
        }
    }
}

fn server(input: i32, output: i32, limit: u64, private: bool) -> Result<()> {
    if private {
        // Nobody else shall read or write this process's memory.
        file::control(&alloc::format!("#p/{}/ctl", proc::getpid()), "private")?;
    }
    let owner = file::read_string("#c/user").unwrap_or_else(|_| String::from("none"));
    let clock = || u32::try_from(proc::seconds()).unwrap_or(u32::MAX);
    serve::serve(&Ram::<Raw>::new(owner.as_bytes(), limit, clock), input, output)
}

/// Half of the machine's memory, in bytes.
fn half_the_memory() -> u64 {
    let swap = file::read_string("#c/swap").unwrap_or_default();
    let total = swap.lines().find_map(|line| line.strip_suffix(" memory")?.trim().parse::<u64>().ok());
    total.map_or(LIMIT, |bytes| bytes / 2)
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-abcipsu] [-l limit] [-m mountpoint] [-S srvname]")
}
