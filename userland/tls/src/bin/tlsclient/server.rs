//! tlssrv [-D] -c certificate [-k key] [-l logfile] [-r remotesys] command [arg ...]: answer a call by TLS, and let a
//! command talk. See tlssrv(8).

use alloc::format;
use alloc::string::{String, ToString};

use abi::OWRITE;
use lib9::{Args, File, Result, env, eprintln, error, fd, file, proc, usage};
use tls::config;
use tls::end::End;

use crate::talk::{Wire, greet, run, talk};
use crate::{identity, now, random};

/// How long a caller may take until both have agreed, in milliseconds.
const GREETING_MS: u32 = 60_000;

pub fn main(args: &Args) -> Result<()> {
    if is_caller(2) {
        speak_to("/dev/null")?;
    }
    let synopsis =
        || -> ! { usage(args, "[-D] -c certificate [-k key] [-l logfile] [-r remotesys] command [arg ...]") };
    let (mut tells, mut certificate, mut key) = (false, None, None);
    let (mut log, mut remote) = (None, None);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        let mut value = || Some(flags.value().unwrap_or_else(|_| synopsis()));
        match letter {
            'D' => tells = true,
            'c' => certificate = value(),
            'k' => key = value(),
            'l' => log = value(),
            'r' => remote = value(),
            _ => synopsis(),
        }
    }
    let (Some(certificate), command @ [_, ..]) = (certificate, flags.rest()) else { synopsis() };
    let remote = remote.map(String::from).or_else(caller);
    if let Some(name) = log {
        let path = if name.contains('/') { name.into() } else { format!("/sys/log/{name}") };
        // As of any log: who wants one makes it, and a call is not lost for want of it.
        if speak_to(&path).is_err() {
            speak_to("/dev/null")?;
        }
    }
    let said = |why: &str| match &remote {
        Some(remote) => format!("{remote}: {why}"),
        None => why.to_string(),
    };

    let wire = Wire { input: 0, output: 1 };
    let begun = || {
        let config = config::server(random, now, identity(certificate, key.unwrap_or(certificate))?)?;
        let mut end = End::server(config)?;
        // Who calls and says nothing does not keep a process.
        proc::alarm(GREETING_MS);
        let agreed = greet(&mut end, wire);
        proc::alarm(0);
        agreed.map(|()| end)
    };
    let end = begun().map_err(|e| error!("{}", said(e.text())))?;
    if tells {
        eprintln!("{}: {}", args.name(), said(&end.kind()));
    }
    let status = talk(end, wire, run(command, &[])?).map_err(|e| error!("{}", said(e.text())))?;
    lib9::exits(&status)
}

/// Who has called, if it is one of those calls that listen(8) tells of.
fn caller() -> Option<String> {
    let text = file::read_string(&format!("{}/remote", env::get("net")?)).ok()?;
    Some(text.trim_end().to_string())
}

/// Has what is told on descriptor 2 go to the end of a file.
fn speak_to(path: &str) -> Result<()> {
    let file = File::open(path, OWRITE)?;
    file.seek(0, 2)?;
    fd::dup(file.fd(), 2)?;
    Ok(())
}

/// Whether a descriptor leads to who has called, who must not have anything in the clear between the records. The
/// console is nobody who calls.
fn is_caller(fd: i32) -> bool {
    let (Ok(one), Ok(other)) = (fd::fstat(fd), fd::fstat(1)) else { return true };
    one.kind != u16::from(b'c') && (one.kind, one.dev, one.qid) == (other.kind, other.dev, other.qid)
}
