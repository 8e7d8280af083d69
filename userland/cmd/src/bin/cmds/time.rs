//! time command [arg ...]: run the command and print the seconds it took in user mode, in the kernel, and in all.

use alloc::string::String;
use alloc::vec::Vec;

use lib9::proc::{self, Noted};
use lib9::{Args, Fork, Result, Rfork, eprintln, exits, usage};

pub fn main(args: &Args) -> Result<()> {
    let words = args.no_flags("command [arg ...]");
    let [command, ..] = words else { usage(args, "command [arg ...]") };
    let child = match proc::rfork(Rfork::PROC | Rfork::FDG)? {
        Fork::Child => run(command, words),
        Fork::Parent(pid) => pid,
    };
    // The command gets the note, too; what it used is worth printing all the more.
    proc::notify(Some(|note| if note == "interrupt" { Noted::Continue } else { Noted::Default }))?;
    let done = loop {
        match proc::await_() {
            Ok(w) if w.pid == child => break w,
            Err(e) if !e.is(abi::error::EINTR) => return Err(e),
            _ => {}
        }
    };
    let line = cmd::times::line(done.user_ms, done.sys_ms, done.real_ms, words);
    let status = match done.msg.as_str() {
        "" => String::new(),
        msg => alloc::format!(" # status={msg}"),
    };
    eprintln!("{line}{status}");
    exits(&done.msg)
}

fn run(command: &str, words: &[String]) -> ! {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Err(mut error) = proc::exec(command, &words);
    if !command.starts_with(['/', '.', '#']) {
        let Err(e) = proc::exec(&alloc::format!("/bin/{command}"), &words);
        error = e;
    }
    eprintln!("time: can't exec {command}: {error}");
    proc::exits_now(error.text())
}
