//! ns [-r] [pid]: print the commands that make the name space of a process. -r shows it as the kernel has it.

use lib9::{Args, Result, error, file, print, println, proc, usage};

const SYNOPSIS: &str = "[-r] [pid]";

pub fn main(args: &Args) -> Result<()> {
    let (raw, words) = args.one_flag('r', SYNOPSIS);
    let pid = match words {
        [] => proc::getpid().unsigned_abs(),
        [pid] => pid.parse::<u32>().map_err(|_| error!("bad process id {pid}"))?,
        _ => usage(args, SYNOPSIS),
    };
    let name = alloc::format!("/proc/{pid}/ns");
    let text = file::read_string(&name).map_err(|e| error!("can't open {name}: {e}"))?;
    if raw {
        print!("{text}");
        return Ok(());
    }
    for line in text.lines() {
        println!("{}", cmd::namespace::line(line));
    }
    Ok(())
}
