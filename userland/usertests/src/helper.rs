//! What tests execute: this program again, as `usertests -x what`. It tells on its standard output what it was given.

use abi::syscall as no;
use lib9::alloc::string::String;
use lib9::proc::Fork;
use lib9::sys::probe::{self, Frame, NOWHERE, Op, PAGE_SIZE, reg};
use lib9::{Error, File, Result, Rfork, fd, print, println};

use crate::testkit;

/// Does `what`.
///
/// # Errors
/// When that is not known, or does not work.
pub fn run(what: &str, rest: &[String]) -> Result<()> {
    match what {
        // The arguments, each in a line.
        "args" => rest.iter().for_each(|a| println!("{a}")),
        "fds" => {
            for dir in fd::readdir("/fd")? {
                if !dir.name.ends_with("ctl") {
                    print!("{} ", dir.name);
                }
            }
        }
        "error" => print!("{}", lib9::Error::last()),
        "pid" => print!("{}", lib9::proc::getpid()),
        "env" => print!("{}", rest.iter().map(|n| lib9::env::get(n).unwrap_or_default()).collect::<String>()),
        "wd" => print!("{}", fd::getwd()?),
        // For whoever wants to see a Broken process.
        "fault" => {
            let mut f = Frame::default();
            f.regs[reg::DI] = 0x30;
            probe::run(Op::Write, &mut f);
        }
        "sleep" => lib9::proc::sleep(60_000)?,
        "status" => return Err(lib9::Error::from(rest.first().cloned().unwrap_or_default())),
        "segment" => print!(
            "{}",
            lib9::file::read_string(&lib9::alloc::format!("/proc/{}/segment", lib9::proc::getpid()))?
        ),
        // What others have left in its memory.
        "stale" => print!("{}", crate::stale::look()?),
        "await" => {
            let msg = lib9::proc::await_()?;
            print!("{}", msg.pid);
        }
        "fragments" => return fragments(rest),
        _ => return Err("what?".into()),
    }
    Ok(())
}

/// Brings this program's text in from its file: later there may be no memory for it.
fn bring_in() -> Result<()> {
    let segments = testkit::proc_file(lib9::proc::getpid(), "segment")?;
    let number = |word: Option<&str>| word.and_then(|w| u64::from_str_radix(w, 16).ok());
    for line in segments.lines().filter(|line| line.starts_with("Text")) {
        let mut words = line.split_whitespace().skip(1).filter(|word| *word != "R");
        let (Some(base), Some(top)) = (number(words.next()), number(words.next())) else { continue };
        for at in (base..top).step_by(PAGE_SIZE as usize) {
            lib9::sys::probe::peek(at, 1);
        }
    }
    Ok(())
}

/// Runs a command while half of memory is free, but every second page of it.
fn fragments(command: &[String]) -> Result<()> {
    const MOST: u64 = 1 << 30;
    // What is given back at once, so that this program has memory to go on with.
    const SPARE: u64 = 64 * PAGE_SIZE;
    bring_in()?;
    // The command does not inherit it.
    let start = testkit::attach(abi::SG_CEXEC, "memory", NOWHERE, MOST)?;
    // Bytes that are not zero, page by page until there are no more.
    let from = File::open("/bin/usertests", abi::OREAD)?;
    let mut end = start;
    while end < start + MOST
        && testkit::call(no::PREAD, &[from.fd() as u64, end, PAGE_SIZE, 0]).is_ok_and(|n| n == PAGE_SIZE)
    {
        end += PAGE_SIZE;
    }
    testkit::call(no::SEGFREE, &[start, SPARE])?;
    let start = start + SPARE;
    for at in (start..end).step_by(2 * PAGE_SIZE as usize) {
        testkit::call(no::SEGFREE, &[at, PAGE_SIZE])?;
    }
    println!("{} KB in single pages", (end - start) / 2 / 1024);
    lib9::out::flush()?;
    let Some(name) = command.first() else { return Err("no command".into()) };
    match lib9::proc::rfork(Rfork::PROC | Rfork::FDG)? {
        Fork::Child => lib9::proc::exec(&lib9::alloc::format!("/bin/{name}"), command).map(|_| ()),
        Fork::Parent(_) => match lib9::proc::await_()?.msg {
            msg if msg.is_empty() => Ok(()),
            msg => Err(Error::from(msg)),
        },
    }
}
