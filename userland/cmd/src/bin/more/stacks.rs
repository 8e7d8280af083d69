//! stacks [-n bytes] [pid ...]: what a Broken (or stopped) process was doing: registers, segments, calls, its stack.
//!
//! Without a number all Broken processes are shown; -n says how many bytes of each stack, 256 when it does not.

use alloc::format;
use alloc::vec::Vec;

use abi::ureg::{UREG_SIZE, Ureg};
use cmd::processes;
use cmd::stacks::{Symbols, calls, is_text, registers, segments, with_name};
use lib9::{Args, File, Result, eprintln, error, exits, file, print, println, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut bytes = 256u64;
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'n' => bytes = flags.value().ok().and_then(|n| n.parse().ok()).unwrap_or_else(|| synopsis(args)),
            _ => synopsis(args),
        }
    }
    let mut pids: Vec<u32> = Vec::new();
    for word in flags.rest() {
        pids.push(word.parse().map_err(|_| error!("{word}: not a process"))?);
    }
    if pids.is_empty() {
        pids =
            processes::all()?.into_iter().filter(|(_, s)| s.state == "Broken").map(|(pid, _)| pid).collect();
    }
    let mut failed = false;
    for pid in pids {
        if let Err(e) = show(pid, bytes) {
            eprintln!("stacks: {pid}: {e}");
            failed = true;
        }
    }
    if failed { exits("errors") } else { Ok(()) }
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-n bytes] [pid ...]")
}

fn show(pid: u32, bytes: u64) -> Result<()> {
    let all = processes::all()?;
    let status = all.iter().find(|(p, _)| *p == pid).map(|(_, s)| s).ok_or("no such process")?;
    let regs = file::read(&format!("/proc/{pid}/regs"))?;
    let regs: &[u8; UREG_SIZE] = regs.as_slice().try_into().map_err(|_| "no registers")?;
    let u = Ureg::from_bytes(regs);
    let map = file::read_string(&format!("/proc/{pid}/segment"))?;
    let segs = segments(&map);
    // A program that cannot be read has no names.
    let symbols = Symbols::of(&file::read(&format!("/proc/{pid}/text")).unwrap_or_default());
    let mem = File::open(&format!("/proc/{pid}/mem"), abi::OREAD)?;
    let word = |at: u64| {
        let mut b = [0; 8];
        (mem.pread(&mut b, at).ok()? == 8).then(|| u64::from_le_bytes(b))
    };
    println!("{pid}: {} {}", status.name, status.state);
    print!("{}", registers(&u));
    println!("segments");
    map.lines().for_each(|line| println!("\t{line}"));
    // Go's goroutines have their stacks in the bss.
    let Some(stack) = segs.iter().find(|s| (s.base..s.top).contains(&u.sp)) else {
        println!("no stack at {:#x}", u.sp);
        return Ok(());
    };
    println!("calls");
    for at in calls(&u, stack, word) {
        println!("\t{}", with_name(&symbols, at));
    }
    println!("stack");
    for at in (u.sp & !7..stack.top.min(u.sp.saturating_add(bytes))).step_by(8) {
        let Some(value) = word(at) else { break };
        let name = if is_text(&segs, value) { with_name(&symbols, value) } else { format!("{value:016x}") };
        println!("\t{at:016x}: {name}");
    }
    Ok(())
}
