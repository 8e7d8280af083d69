//! `#M` and `#9` of the portable kernel over a pipe, with a server that lies at the other end: every call ends, and
//! when the mount is gone so is the session, with its slots, its requests, and the pages that they had.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use machine::sync::Completion;

use ninep::testserver::hostile::{Act, Hostile};
use ninep::{Dialect, Framer};
use port::Proc;
use port::call::sysfile;
use port::mem::iobuf::{Dst, Src};
use port::mnt::MntDev;
use port::proc::{exit, procctl};
use port::testkit::Hosted;

/// How long the calls of a session may take before their process is killed, and how long it may take then.
const PATIENCE: Duration = Duration::from_millis(300);
const KILLED: Duration = Duration::from_secs(25);

const NAMES: &[&str] =
    &["/n", "/n/motd", "/n/d", "/n/d/e/f", "/n/big", "/n/many", "/n/link", "/n/loop", "/n/new"];

/// Tries these bytes: the dialect, the server's seed, and then calls, two bytes each.
pub fn run(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let Some((seed, calls)) = rest.split_first_chunk::<4>() else { return };
    let dialect = Dialect::ALL[usize::from(first) % 3];
    let seed = u64::from(u32::from_le_bytes(*seed));
    machine::host::new_machine();
    let channels = MntDev::channels();
    let phantom = channels.phantom(Vec::new());
    let t = Hosted::with(vec![channels, phantom], vec![], &[]);
    let Ok([ours, theirs]) = sysfile::pipe(&t.up) else { return };
    let (_server, served) = t.start(move |up| {
        serve(up, theirs, Hostile::new(dialect, seed));
        let _ = sysfile::close(up, theirs);
    });
    let calls = calls.to_vec();
    let killed = Arc::new(AtomicBool::new(false));
    let dying = killed.clone();
    let (user, used) = t.start(move |up| {
        let (letter, spec) = match dialect {
            Dialect::P9 => ('M', String::new()),
            other => ('9', format!("x:{other}")),
        };
        if sysfile::mount(up, ours, -1, "/n", abi::MREPL | abi::MCREATE, &spec, letter).is_ok() {
            for call in calls.chunks_exact(2).take(40) {
                // A program would not go on.
                if dying.load(Ordering::Relaxed) {
                    break;
                }
                one(up, call[0], call[1]);
            }
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
        let _ = sysfile::unmount(up, None, "/n");
        (0..100).for_each(|fd| drop(sysfile::close(up, fd)));
    });
    procctl::kill(&last);
    assert!(within(&done, KILLED).is_some(), "files cannot be closed");
    assert!(within(&served, KILLED).is_some(), "the server's connection stays");
    let end = Instant::now() + KILLED;
    while let Some(left) = left(&t) {
        assert!(Instant::now() < end, "it stays: {left}");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(machine::host::machine().panics(), 0);
}

/// What a session has that is still there, as the kernel counts it.
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
    let mut framer = Framer::new(1 << 21);
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

/// One call. What comes of it is the server's affair.
fn one(up: &Arc<Proc>, what: u8, which: u8) {
    let name = NAMES.get(usize::from(which) % NAMES.len()).copied().unwrap_or("/n");
    let fd = i32::from(which % 8);
    let mut buffer = vec![0; 1 + 70 * usize::from(which)];
    match what % 12 {
        0 | 1 => drop(sysfile::open(up, name, u32::from(what >> 4))),
        2 => drop(sysfile::create(up, name, 1, 0o666)),
        3 => drop(sysfile::create(up, name, 0, abi::DMDIR | 0o777)),
        4 | 5 => drop(sysfile::pread(up, fd, &mut Dst::Kernel(&mut buffer), -1)),
        6 => drop(sysfile::pread(up, fd, &mut Dst::Kernel(&mut buffer), 5 * i64::from(what))),
        7 => drop(sysfile::pwrite(up, fd, &Src::Kernel(&buffer), -1)),
        8 => drop(sysfile::stat(up, name)),
        9 => drop(sysfile::fstat(up, fd)),
        10 => drop(sysfile::close(up, fd)),
        _ => {
            let dir = abi::Dir { name: "renamed".into(), length: 3, ..abi::Dir::untouched() };
            drop(sysfile::wstat(up, name, &dir.to_bytes()));
            drop(sysfile::remove(up, name));
        }
    }
}
