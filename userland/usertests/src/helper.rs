//! What tests execute: this program again, as `usertests -x what`. It tells on its standard output what it was given.

use lib9::alloc::string::String;
use lib9::sys::probe::{self, Frame, Op, reg};
use lib9::{Result, fd, print, println};

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
        "await" => {
            let msg = lib9::proc::await_()?;
            print!("{}", msg.pid);
        }
        _ => return Err("what?".into()),
    }
    Ok(())
}
