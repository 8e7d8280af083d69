//! pstree: the processes as a tree, each with its arguments.

use cmd::{processes, tree};
use lib9::{Args, Result, println, usage};

pub fn main(args: &Args) -> Result<()> {
    if !args.no_flags("").is_empty() {
        usage(args, "");
    }
    let all = processes::all()?;
    let parent = |pid| processes::text(pid, "ppid").and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let parents: alloc::vec::Vec<(u32, u32)> = all.iter().map(|(pid, _)| (*pid, parent(*pid))).collect();
    for (pid, drawn) in tree::lines(&parents) {
        let words = processes::text(pid, "args");
        let name = all.iter().find(|(p, _)| *p == pid).map_or("", |(_, status)| status.name.as_str());
        let command = words.as_deref().map(str::trim_end).filter(|w| !w.is_empty()).unwrap_or(name);
        println!("{pid:<11} {drawn}{}", command.replace(['\n', '\r'], " "));
    }
    Ok(())
}
