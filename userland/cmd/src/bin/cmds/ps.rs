//! ps [-anpr]: list the processes: owner, id, user and system time, memory, state, program.
//!
//! -a shows arguments instead of the name, -n note groups, -p priorities, -r the time since the start.

use cmd::processes;
use cmd::status::{Show, line};
use lib9::{Args, Result, println, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut show = Show::default();
    let (mut arguments, mut groups) = (false, false);
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'a' => arguments = true,
            'n' => groups = true,
            'p' => show.priority = true,
            'r' => show.real = true,
            _ => usage(args, "[-anpr]"),
        }
    }
    if !flags.rest().is_empty() {
        usage(args, "[-anpr]");
    }
    for (pid, status) in processes::all()? {
        let words = if arguments { processes::text(pid, "args") } else { None };
        let command = words.as_deref().map(str::trim_end).filter(|w| !w.is_empty()).unwrap_or(&status.name);
        let group = if groups { processes::text(pid, "noteid") } else { None };
        let group = group.as_deref().map(str::trim);
        // A name may be anything, but every process is one line.
        let command = command.replace(['\n', '\r'], " ");
        println!("{}", line(&alloc::format!("{pid}"), &status, &command, group, show));
    }
    Ok(())
}
