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

/// Runs a command while half of memory is free, but every second page of it.
fn fragments(command: &[String]) -> Result<()> {
    const MOST: u64 = 1 << 30;
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
