//! ramfs [-abcipsu] [-l limit] [-m mountpoint] [-S srvname]: a file system in memory, on /tmp unless said.
//!
//! The files are [`ninep::ram`]'s. One process serves them; it ends when the last mount of it is gone.

use alloc::string::String;

use cmd::namespace;
use lib9::sys::Raw;
use lib9::{Args, Result, eprintln, fd, file, proc, serve, usage};
use ninep::ram::Ram;

/// The limit when it is not known how much memory there is.
const LIMIT: u64 = 64 << 20;

pub fn main(args: &Args) -> Result<()> {
    let mut flag = abi::MREPL;
    let (mut mountpoint, mut name) = (None, None);
    let (mut stdio, mut private, mut limit) = (false, false, None);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
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
            _ => flag |= namespace::bind_flag(letter).unwrap_or_else(|| synopsis(args)),
        }
    }
    if !flags.rest().is_empty() || namespace::contradicts_itself(flag) {
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
    let ours = serve::start(|end| {
        // Nobody shall wait for us to close what we do not use.
        for unused in [0, 1] {
            let _ = fd::close(unused);
        }
        if let Err(e) = server(end, end, limit, private) {
            eprintln!("ramfs: {e}");
            proc::exits(e.text());
        }
    })?;
    if let Some(name) = name {
        serve::post(name, ours, 0o600)?;
    }
    match mountpoint {
        Some(dir) => namespace::mount(ours, dir, flag),
        None => Ok(()),
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
