//! Servers that lie, and who uses them, in the portable kernel: at the other end of a pipe, or behind a port of the
//! host and `9pvpxy`, one of them or several at the same time.
//!
//! Whatever they do, every call ends, in time or when its process is killed. When the mounts are gone, so are the
//! sessions, with their slots, their requests, and the pages that they had; the proxies have ended, and others can read
//! their ports.
//!
//! A server on the host is a thread without a process, which gets what the port hands over ([`HostPort`]). The proxy is
//! two processes with descriptors of their own, which do what the program's do: [`Stream::pass`].

mod port;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::port::call::sysfile;
use ::port::dev::virtcon::VirtCon;
use ::port::mem::iobuf::{Dst, Src};
use ::port::mnt::MntDev;
use ::port::proc::{exit, procctl};
use ::port::testkit::Hosted;
use ::port::{Error, Proc};
use io::Port;
use machine::sync::Completion;
use ninep::proxy::{Stream, streams};
use ninep::testserver::hostile::{Act, Hostile};
use ninep::{Dialect, Framer};

use port::{HostPort, finder};

/// How long the calls of a session may take before their process is killed, and how long it may take then.
const PATIENCE: Duration = Duration::from_millis(300);
const KILLED: Duration = Duration::from_secs(25);
/// The largest request that is read.
const MSIZE: u32 = 1 << 21;

/// More descriptors than there are.
const FDS: i32 = 100;
/// Where servers are mounted, and what is tried there.
const PLACES: [&str; 2] = ["/n", "/m"];
const NAMES: &[&str] = &["", "/motd", "/d", "/d/e/f", "/big", "/many", "/link", "/loop", "/new"];

/// What a server is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A pipe.
    Pipe,
    /// A port of the host's, and `9pvpxy`.
    Proxy,
}

/// A server.
#[derive(Clone, Copy, Debug)]
pub struct Liar {
    /// What it is behind.
    pub way: Way,
    /// What it speaks.
    pub dialect: Dialect,
    /// Its character.
    pub seed: u64,
}

/// What has been begun for a server, and its end.
struct Begun {
    /// The user's end of the pipe.
    fd: i32,
    /// The processes that are over when the server's connection is.
    ends: Vec<Arc<Completion<()>>>,
}

/// Mounts these servers, at most two, makes the calls, two bytes each, and looks at what is left.
pub fn attack(liars: &[Liar], calls: &[u8]) {
    machine::host::new_machine();
    let channels = MntDev::channels();
    let phantom = channels.phantom(Vec::new());
    let ports: Vec<Arc<HostPort>> = (0..liars.len()).map(|n| Arc::new(HostPort::new(n as u32))).collect();
    let t = Hosted::with(vec![channels, phantom, VirtCon::new(finder(&ports), None)], vec![], &[]);
    let begun: Vec<(Liar, Begun)> =
        liars.iter().zip(&ports).filter_map(|(liar, port)| Some((*liar, begin(&t, *liar, port)?))).collect();
    let mounts: Vec<(Liar, i32)> = begun.iter().map(|(liar, begun)| (*liar, begun.fd)).collect();
    let calls = calls.to_vec();
    let killed = Arc::new(AtomicBool::new(false));
    let dying = killed.clone();
    let (user, used) = t.start(move |up| {
        for ((liar, fd), place) in mounts.iter().zip(PLACES) {
            let (letter, spec) = match liar.dialect {
                Dialect::P9 => ('M', String::new()),
                other => ('9', format!("x:{other}")),
            };
            // Whether that succeeds is the server's affair.
            let _ = sysfile::mount(up, *fd, -1, place, abi::MREPL | abi::MCREATE, &spec, letter);
        }
        for call in calls.chunks_exact(2).take(40) {
            // A program would not go on.
            if dying.load(Ordering::Relaxed) {
                break;
            }
            one(up, call[0], call[1], mounts.len());
        }
    });
    if within(&used, PATIENCE).is_none() {
        killed.store(true, Ordering::Relaxed);
        procctl::kill(&user);
        assert!(within(&used, KILLED).is_some(), "a call cannot be killed");
    }
    exit::exit(&user, "");
    drop(user);
    // Descriptors and name space are the first process's too. Whoever lets go of them may have to wait for the
    // server, unless he is to die.
    let (last, done) = t.start(|up| {
        PLACES.iter().for_each(|place| drop(sysfile::unmount(up, None, place)));
        (0..FDS).for_each(|fd| drop(sysfile::close(up, fd)));
    });
    procctl::kill(&last);
    assert!(within(&done, KILLED).is_some(), "files cannot be closed");
    exit::exit(&last, "");
    for end in begun.iter().flat_map(|(_, begun)| &begun.ends) {
        assert!(within(end, KILLED).is_some(), "a server's connection stays");
    }
    let end = Instant::now() + KILLED;
    while let Some(left) = left(&t) {
        assert!(Instant::now() < end, "it stays: {left}");
        std::thread::sleep(Duration::from_millis(2));
    }
    for port in &ports {
        port.ends();
        // Who was its reader has gone.
        let name = file_of(port);
        let (_, opened) = t.start(move |up| {
            let opened = sysfile::open(up, &name, abi::OREAD).map(drop);
            exit::exit(up, "");
            assert!(opened.is_ok(), "its port is in use");
        });
        assert!(within(&opened, KILLED).is_some(), "a port cannot be opened any more");
    }
    assert_eq!(machine::host::machine().panics(), 0);
    // A kernel with a process in it is never given up.
    exit::exit(&t.up, "");
}

/// Starts a server and what is before it.
fn begin(t: &Hosted, liar: Liar, port: &Arc<HostPort>) -> Option<Begun> {
    let [ours, theirs] = sysfile::pipe(&t.up).ok()?;
    let hostile = Hostile::new(liar.dialect, liar.seed);
    let ends = match liar.way {
        Way::Pipe => vec![process(t, [theirs], move |up| serve(up, theirs, hostile)).1],
        Way::Proxy => {
            port.is_served_by(hostile);
            proxy(t, theirs, port)?
        }
    };
    // Those who serve have their own.
    sysfile::close(&t.up, theirs).ok()?;
    Some(Begun { fd: ours, ends })
}

/// A process with descriptors of its own, of those that there are now, that does something and exits.
fn process<const N: usize>(
    t: &Hosted,
    keep: [i32; N],
    f: impl FnOnce(&Arc<Proc>) + Send + 'static,
) -> (Arc<Proc>, Arc<Completion<()>>) {
    let fds = t.up.fgrp().copy().unwrap_or_else(|e| panic!("no descriptors: {e}"));
    t.start(move |up| {
        *up.fgrp.lock() = fds;
        // With its client's end it would never see that one go.
        (0..FDS).filter(|fd| !keep.contains(fd)).for_each(|fd| drop(sysfile::close(up, fd)));
        f(up);
        exit::exit(up, "");
    })
}

/// The processes of `9pvpxy` between a pipe and a port. The first of them to end ends the other.
fn proxy(t: &Hosted, pipe: i32, port: &Arc<HostPort>) -> Option<Vec<Arc<Completion<()>>>> {
    let fd = sysfile::open(&t.up, &file_of(port), abi::ORDWR).ok()?;
    let (requests, replies) = streams();
    let (over, first) = std::sync::mpsc::channel();
    let ways = [(requests, pipe, fd), (replies, fd, pipe)];
    let (procs, ends): (Vec<_>, Vec<_>) = ways
        .into_iter()
        .map(|(stream, from, to)| {
            let over = over.clone();
            process(t, [from, to], move |up| {
                pass(up, stream, from, to);
                // Nobody may listen any more.
                let _ = over.send(());
            })
        })
        .unzip();
    let ender = Box::new(move || {
        let _ = first.recv();
        procs.iter().for_each(|p| procctl::kill(p));
    });
    machine::thread::spawn("ender", 0, ender).ok()?;
    sysfile::close(&t.up, fd).ok()?;
    Some(ends)
}

/// The file of a port.
fn file_of(port: &HostPort) -> String {
    format!("#C/virtcon/{}", port.name())
}

/// One direction of the proxy, until it ends.
fn pass(up: &Arc<Proc>, mut stream: Stream, from: i32, to: i32) {
    let mut chunk = vec![0; 64 << 10];
    let write = |message: &[u8]| {
        let mut done = 0;
        while done < message.len() {
            done += sysfile::pwrite(up, to, &Src::Kernel(&message[done..]), -1)?;
        }
        Ok::<(), Error>(())
    };
    // How it ends is told to nobody here.
    let _ = stream.pass(&mut chunk, |chunk| sysfile::pread(up, from, &mut Dst::Kernel(chunk), -1), write);
}

/// What sessions have that is still there, as the kernel counts it.
fn left(t: &Hosted) -> Option<String> {
    const KINDS: [&str; 4] = ["9p.session", "9p.slot", "9p.request", "pinned"];
    let Ok(text) = t.read("#c/pools") else { return Some("nobody can say".into()) };
    let text = String::from_utf8_lossy(&text);
    let mut kinds = text.lines().filter_map(|line| line.trim_start().split_once(' '));
    kinds.find(|(n, kind)| *n != "0" && KINDS.contains(kind)).map(|(n, kind)| format!("{n} {kind}"))
}

fn within(done: &Completion<()>, time: Duration) -> Option<()> {
    done.wait_surely_until(machine::clock::now_ns() + time.as_nanos() as u64)
}

/// The server's process: until the client has gone, or it closes the connection itself.
fn serve(up: &Arc<Proc>, fd: i32, mut hostile: Hostile) {
    let mut framer = Framer::new(MSIZE);
    let mut buffer = vec![0; 40_000];
    loop {
        match sysfile::pread(up, fd, &mut Dst::Kernel(&mut buffer), -1) {
            Ok(n) if n > 0 => framer.push(buffer.get(..n).unwrap_or_default()),
            _ => return,
        }
        while let Ok(Some(request)) = framer.next_message() {
            for act in hostile.answer(request) {
                match act {
                    Act::Send(bytes) if sysfile::pwrite(up, fd, &Src::Kernel(&bytes), -1).is_err() => return,
                    Act::Send(_) => {}
                    Act::Wait(_) => std::thread::yield_now(),
                    Act::Close => return,
                }
            }
        }
    }
}

/// One call, on one of so many servers. What comes of it is the server's affair.
fn one(up: &Arc<Proc>, what: u8, which: u8, servers: usize) {
    let name = NAMES.get(usize::from(which) % NAMES.len()).copied().unwrap_or_default();
    let place = PLACES.get(usize::from(what / 12) % servers.max(1)).copied().unwrap_or_default();
    let name = format!("{place}{name}");
    let fd = i32::from(which % 8);
    let mut buffer = vec![0; 1 + 70 * usize::from(which)];
    match what % 12 {
        0 | 1 => drop(sysfile::open(up, &name, u32::from(what >> 4))),
        2 => drop(sysfile::create(up, &name, 1, 0o666)),
        3 => drop(sysfile::create(up, &name, 0, abi::DMDIR | 0o777)),
        4 | 5 => drop(sysfile::pread(up, fd, &mut Dst::Kernel(&mut buffer), -1)),
        6 => drop(sysfile::pread(up, fd, &mut Dst::Kernel(&mut buffer), 5 * i64::from(what))),
        7 => drop(sysfile::pwrite(up, fd, &Src::Kernel(&buffer), -1)),
        8 => drop(sysfile::stat(up, &name)),
        9 => drop(sysfile::fstat(up, fd)),
        10 => drop(sysfile::close(up, fd)),
        _ => {
            let dir = abi::Dir { name: "renamed".into(), length: 3, ..abi::Dir::untouched() };
            drop(sysfile::wstat(up, &name, &dir.to_bytes()));
            drop(sysfile::remove(up, &name));
        }
    }
}
