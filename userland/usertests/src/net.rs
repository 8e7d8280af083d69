//! The network with itself: `#I`'s loopback.

use core::sync::atomic::{AtomicU32, Ordering};

use abi::{ORDWR, OREAD};
use lib9::alloc::format;
use lib9::alloc::string::String;
use lib9::alloc::vec;
use lib9::alloc::vec::Vec;
use lib9::sys::probe::notes::{self, Then};
use lib9::{Error, fd, file, proc};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("net.tcp", tcp),
    test("net.tcp6", tcp6),
    test("net.udp", udp),
    test("net.refused", refused),
    test("net.backlog", backlog),
    test("net.half", half),
    test("net.interrupted", interrupted),
    test("net.much", much),
    test("net.many", many),
    test("net.after", after),
    test("net.cs", cs),
    test("net.left", left),
];

/// Ports, each used once: tests must not be in each other's way.
fn port() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    2000 + (proc::getpid().unsigned_abs() * 16 + number) % 28000
}

fn read(fd: i32, n: usize) -> Result<Vec<u8>, Error> {
    let mut buf = vec![0; n];
    let n = fd::read(fd, &mut buf)?;
    buf.truncate(n);
    Ok(buf)
}

/// A new conversation: its `ctl`, and its directory.
fn clone(proto: &str) -> Result<(i32, String), Error> {
    let ctl = fd::open(&format!("#I/{proto}/clone"), ORDWR)?;
    let number = read(ctl, 20)?;
    Ok((ctl, format!("#I/{proto}/{}", String::from_utf8_lossy(&number))))
}

fn announce(proto: &str, at: &str) -> Result<(i32, String), Error> {
    let (ctl, dir) = clone(proto)?;
    fd::write(ctl, format!("announce {at}").as_bytes())?;
    Ok((ctl, dir))
}

/// Calls somebody; the connection's `data`.
fn dial(proto: &str, to: &str) -> Result<i32, Error> {
    let (ctl, dir) = clone(proto)?;
    let connected = fd::write(ctl, format!("connect {to}").as_bytes());
    let data = connected.and_then(|_| fd::open(&format!("{dir}/data"), ORDWR));
    fd::close(ctl)?;
    data
}

/// Takes a call; its `data`.
fn take(dir: &str) -> Result<i32, Error> {
    let ctl = fd::open(&format!("{dir}/listen"), ORDWR)?;
    let number = read(ctl, 20)?;
    let proto = dir.rsplit_once('/').map_or(dir, |(proto, _)| proto);
    let data = fd::open(&format!("{proto}/{}/data", String::from_utf8_lossy(&number)), ORDWR);
    fd::close(ctl)?;
    data
}

/// Takes a call that has been made. One that there is no memory for does not come, and its caller is told later.
fn take_soon(dir: &str) -> Result<i32, String> {
    notes::on(Then::Noted(abi::NCONT))?;
    proc::alarm(10_000);
    let taken = take(dir);
    proc::alarm(0);
    taken.map_err(|e| {
        if e.is(abi::error::EINTR) { "a call does not come, for want of memory?".into() } else { e.into() }
    })
}

/// A server that sends back what it gets, until the end.
fn echo_once(dir: &str) -> Outcome {
    let data = take(dir)?;
    loop {
        let got = read(data, 8192)?;
        if got.is_empty() {
            return Ok(fd::close(data)?);
        }
        fd::write_all(data, &got)?;
    }
}

fn echoes(addr: &str) -> Outcome {
    let at = format!("{addr}!{}", port());
    let (l, dir) = announce("tcp", &at)?;
    let pid = start(|| echo_once(&dir))?;
    let c = dial("tcp", &at)?;
    for message in [&b"x"[..], b"hello there", &[7; 5000]] {
        fd::write_all(c, message)?;
        let mut got = vec![0; message.len()];
        same(fd::readn(c, &mut got)?, message.len(), "bytes")?;
        check(got == message, "other bytes")?;
    }
    fd::close(c)?;
    same(wait(pid)?, "", "the server")?;
    Ok(fd::close(l)?)
}

fn tcp() -> Outcome {
    echoes("127.0.0.1")
}

fn tcp6() -> Outcome {
    echoes("::1")
}

/// Datagrams with headers go back by the header they came with.
fn udp() -> Outcome {
    let at = format!("127.0.0.1!{}", port());
    let (l, dir) = announce("udp", &at)?;
    fd::write(l, b"headers")?;
    let server = fd::open(&format!("{dir}/data"), ORDWR)?;
    let c = dial("udp", &at)?;
    for message in [&b"one"[..], b"", &[7; 4000]] {
        fd::write(c, message)?;
        let got = read(server, 8192)?;
        check(got.len() == 52 + message.len() && got.ends_with(message), "another datagram")?;
        fd::write(server, &got)?;
        check(read(c, 8192)? == message, "another answer")?;
    }
    [l, server, c].into_iter().try_for_each(fd::close)?;
    Ok(())
}

fn refused() -> Outcome {
    fails(dial("tcp", &format!("127.0.0.1!{}", port())), "connection refused", "nobody there")?;
    // Nobody announces routes of IPv6 to this stack, whatever network there is.
    fails(dial("tcp", "fd00:bad::9!1"), "no route", "no network")?;
    let at = format!("127.0.0.1!{}", port());
    let (l, _) = announce("tcp", &at)?;
    fails(announce("tcp", &at), "address in use", "twice")?;
    fd::close(l)?;
    fails(dial("tcp", &at), "connection refused", "closed again")
}

/// Calls are complete before they are taken, and are taken in their order.
fn backlog() -> Outcome {
    let at = format!("127.0.0.1!{}", port());
    let (l, dir) = announce("tcp", &at)?;
    let calls: Vec<i32> = (0..20).map(|_| dial("tcp", &at)).collect::<Result<_, _>>()?;
    for (n, c) in (0..).zip(&calls) {
        fd::write(*c, &[n])?;
    }
    for n in 0..20u8 {
        let data = take(&dir)?;
        same(read(data, 10)?, vec![n], "whose call it is")?;
        fd::close(data)?;
    }
    // Nobody takes this one, and then nobody can.
    let last = dial("tcp", &at)?;
    fd::close(l)?;
    check(read(last, 1).is_err(), "it is read from")?;
    calls.into_iter().chain([last]).try_for_each(fd::close)?;
    Ok(())
}

/// One end is closed: what it wrote is read, then the end; what is written to it is not taken.
fn half() -> Outcome {
    notes::on(Then::Noted(abi::NCONT))?;
    let at = format!("127.0.0.1!{}", port());
    let (l, dir) = announce("tcp", &at)?;
    let a = dial("tcp", &at)?;
    let b = take(&dir)?;
    fd::write(a, b"last words")?;
    fd::close(a)?;
    same(read(b, 100)?, b"last words".to_vec(), "what was written")?;
    for _ in 0..5 {
        same(read(b, 100)?.len(), 0, "the end")?;
    }
    // For a while it is thrown away.
    fd::write(b, b"to nobody")?;
    fd::write(b, b"again")?;
    let much = vec![0; 64 << 10];
    let refused = (0..100).find_map(|_| fd::write(b, &much).err());
    fails(refused.map_or(Ok(()), Err), abi::error::EHUNGUP, "for ever")?;
    same(notes::count(), 0, "notes")?;
    [b, l].into_iter().try_for_each(fd::close)?;
    Ok(())
}

/// A note ends waiting for bytes, for a call, for room.
fn interrupted() -> Outcome {
    notes::on(Then::Noted(abi::NCONT))?;
    let at = format!("127.0.0.1!{}", port());
    let (l, dir) = announce("tcp", &at)?;
    note_in("Open")?;
    fails(take(&dir), abi::error::EINTR, "waiting for a call")?;
    let a = dial("tcp", &at)?;
    let b = take(&dir)?;
    note_in("Pread")?;
    fails(read(b, 1), abi::error::EINTR, "waiting for bytes")?;
    note_in("Pwrite")?;
    fails(fd::write(a, &vec![1; 1 << 20]), abi::error::EINTR, "waiting for room")?;
    check(fd::read(b, &mut [0; 100])? > 0, "nothing went in")?;
    [a, b, l].into_iter().try_for_each(fd::close)?;
    Ok(())
}

/// More than fits anywhere at once.
fn much() -> Outcome {
    let at = format!("127.0.0.1!{}", port());
    let (l, dir) = announce("tcp", &at)?;
    let bytes: Vec<u8> = (0..2_000_003u32).map(|i| (i ^ i >> 8) as u8).collect();
    let c = dial("tcp", &at)?;
    let data = take(&dir)?;
    let pid = start(|| {
        fd::close(data)?;
        same(fd::write(c, &bytes)?, bytes.len(), "written")
    })?;
    fd::close(c)?;
    check(fd::read_all(data)? == bytes, "other bytes")?;
    same(wait(pid)?, "", "the writer")?;
    [data, l].into_iter().try_for_each(fd::close)?;
    Ok(())
}

/// Connections at once, all in use.
fn many() -> Outcome {
    let at = format!("127.0.0.1!{}", port());
    let (l, dir) = announce("tcp", &at)?;
    let count = 100 * times();
    let mut all = Vec::new();
    for _ in 0..count {
        all.push((dial("tcp", &at)?, take_soon(&dir)?));
    }
    for (n, (a, _)) in (0u32..).zip(&all) {
        fd::write(*a, &n.to_le_bytes())?;
    }
    for (n, (_, b)) in (0u32..).zip(&all) {
        same(read(*b, 10)?, n.to_le_bytes().to_vec(), "the number")?;
    }
    for (a, b) in all {
        fd::close(a)?;
        fd::close(b)?;
    }
    Ok(fd::close(l)?)
}

/// Connections one after another; either side ends one.
fn after() -> Outcome {
    let at = format!("127.0.0.1!{}", port());
    let (l, dir) = announce("tcp", &at)?;
    for n in 0..100 * times() {
        let (a, b) = (dial("tcp", &at)?, take(&dir)?);
        let (first, second) = if n % 2 == 0 { (a, b) } else { (b, a) };
        fd::write(first, b"all")?;
        fd::close(first)?;
        same(fd::read_all(second)?, b"all".to_vec(), "what was said")?;
        fd::close(second)?;
    }
    Ok(fd::close(l)?)
}

/// The server of names.
fn cs() -> Outcome {
    let cs = fd::open("/net/cs", ORDWR)?;
    fd::write(cs, b"tcp!localhost!http")?;
    fd::seek(cs, 0, 0)?;
    same(read(cs, 128)?, b"/net/tcp/clone 127.0.0.1!80".to_vec(), "the first line")?;
    fails(fd::write(cs, b"tcp!localhost!nosuch"), "can't translate service", "a service")?;
    fails(fd::write(cs, b"tcp!no.such.host!80"), "dns: name does not exist", "a name")?;
    Ok(fd::close(cs)?)
}

/// Nothing is left of a process that dies with everything open.
fn left() -> Outcome {
    let at = format!("127.0.0.1!{}", port());
    let pid = start(|| {
        let (_l, dir) = announce("tcp", &at)?;
        let a = dial("tcp", &at)?;
        let _b = take(&dir)?;
        fd::write(a, b"unread")?;
        Ok(())
    })?;
    same(wait(pid)?, "", "it")?;
    fails(dial("tcp", &at), "connection refused", "its place")?;
    let mine = format!("!{}", at.rsplit_once('!').map_or("", |(_, port)| port));
    for entry in fd::readdir("#I/tcp")?.iter().filter(|e| e.is_dir()) {
        // Others come and go.
        let local = fd::open(&format!("#I/tcp/{}/local", entry.name), OREAD).and_then(|f| {
            let text = read(f, 100);
            fd::close(f)?;
            text
        });
        let local = String::from_utf8(local.unwrap_or_default()).unwrap_or_default();
        check(!local.trim_end().ends_with(&mine), &format!("{} is left: {local}", entry.name))?;
    }
    check(file::read_string("#I/tcp/stats")?.contains("ActiveOpens: "), "no figures")
}
