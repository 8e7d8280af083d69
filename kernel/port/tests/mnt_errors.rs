//! What a server says is what the program reads: every kind of request fails with every number, at each step of what a
//! program does, in `#9` of 9P2000.u and 9P2000.L; and with texts in `#M`.

mod wire;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use abi::{DMDIR, Dir, MREPL, OREAD, OTRUNC, OWRITE, error};
use ninep::testserver::Tree;
use ninep::translate::errors;
use ninep::{Dialect, Rmsg, kind};
use port::call::sysfile;
use port::mem::iobuf::Dst;
use port::mnt::MntDev;
use port::testkit::Hosted;
use wire::served::{Act, Served, start, tag};
use wire::{Fate, Share};

/// Something that a program does in `/n`, which is made anew for it.
type Deed = fn(&Hosted) -> port::Result<()>;

const DEEDS: [(&str, Deed); 18] = [
    ("stat", |t| t.stat("/n/a/b/file").map(drop)),
    ("read", |t| t.read("/n/a/b/file").map(drop)),
    ("write", |t| t.write("/n/a/b/file", b"more").map(drop)),
    ("cut", |t| opened(t, "/n/a/b/file", OWRITE | OTRUNC, |_| Ok(()))),
    ("create", |t| t.create("/n/a/b/new", b"text")),
    ("create over", |t| t.create("/n/a/b/file", b"text")),
    ("mkdir", |t| {
        let fd = sysfile::create(&t.up, "/n/a/b/newdir", OREAD, DMDIR | 0o755)?;
        sysfile::close(&t.up, fd)
    }),
    ("remove", |t| sysfile::remove(&t.up, "/n/a/b/file")),
    ("chmod", |t| wstat(t, "/n/a/b/file", |d| d.mode = 0o600)),
    ("truncate", |t| wstat(t, "/n/a/b/file", |d| d.length = 1)),
    ("late time", |t| wstat(t, "/n/a/b/file", |d| d.mtime = 0x9000_0000)),
    ("rename", |t| wstat(t, "/n/a/b/file", |d| d.name = "other".into())),
    ("list", |t| t.ls("/n/a").map(drop)),
    ("link", |t| t.read("/n/link/b/file").map(drop)),
    ("upwards", |t| t.read("/n/a/b/../b/file").map(drop)),
    ("chdir", |t| {
        sysfile::chdir(&t.up, "/n/a/b")?;
        let read = t.read("file").map(drop);
        sysfile::chdir(&t.up, "/")?;
        read
    }),
    ("fstat", |t| opened(t, "/n/a/b/file", OREAD, |fd| sysfile::fstat(&t.up, fd).map(drop))),
    ("bind", |t| {
        sysfile::bind(&t.up, "/n/a/b", "/tmp", MREPL)?;
        let read = t.read("/tmp/file").map(drop);
        sysfile::unmount(&t.up, None, "/tmp")?;
        read
    }),
];

fn opened(t: &Hosted, name: &str, mode: u32, f: impl FnOnce(i32) -> port::Result<()>) -> port::Result<()> {
    let fd = sysfile::open(&t.up, name, mode)?;
    let done = f(fd);
    sysfile::close(&t.up, fd)?;
    done
}

fn wstat(t: &Hosted, name: &str, change: impl FnOnce(&mut Dir)) -> port::Result<()> {
    let mut dir = Dir::untouched();
    change(&mut dir);
    sysfile::wstat(&t.up, name, &dir.to_bytes())
}

/// The files are as they were at first.
fn anew(s: &Share) {
    s.settle();
    let mut state = s.wire.state();
    files_anew(&mut state.server.host);
    state.log.clear();
}

fn files_anew(host: &mut Tree) {
    for name in ["new", "newdir", "other", "file"] {
        let _ = host.remove(format!("a/b/{name}"));
    }
    host.file("a/b/file", b"some text").unwrap();
}

fn share() -> Share {
    Share::new(|host| {
        host.file("a/b/file", b"some text").unwrap();
        host.file("a/one", b"1").unwrap();
        host.file("a/two", b"2").unwrap();
        host.link("link", b"a").unwrap();
    })
}

/// What a program reads for a number.
fn text(number: u32) -> String {
    match errors::errno(number) {
        Some(text) => text.into(),
        None => format!("host error {number}"),
    }
}

/// Where the failure of a request is passed over or acted upon, so that nothing is lost by it.
fn passed_over(deed: &str, message: u8, number: u32) -> bool {
    let is = |text: &str| errors::errno(number) == Some(text);
    match message {
        // The fid is gone whatever is said, as in Plan 9.
        kind::TCLUNK => true,
        // It is not there: that is what is hoped for, or found out otherwise.
        kind::TWALK if deed == "rename" && is(error::ENONEXIST) => true,
        // A file that cannot be walked to is created, in Plan 9; the creation tells.
        kind::TWALK if deed == "create" || deed == "mkdir" || deed == "create over" => true,
        // Those that have gone meanwhile are left out.
        kind::TWALK | kind::TGETATTR | kind::TREAD | kind::TREADDIR if deed == "list" => {
            is(error::ENONEXIST) || message == kind::TREAD && is(error::EBADARG)
        }
        // The way up may be found from the root.
        kind::TWALK if is(error::ENONEXIST) || is(error::ENOTDIR) => deed == "upwards" || deed == "rename",
        // It is open: it has been removed, and is still a file.
        kind::TSTAT | kind::TGETATTR if deed == "fstat" => is(error::ENONEXIST),
        // There is another message for it.
        kind::TRENAMEAT | kind::TSETATTR => is(errors::ENOTSUP),
        _ => false,
    }
}

#[test]
fn every_request_with_every_number() {
    let s = share();
    for (name, deed) in DEEDS {
        anew(&s);
        deed(&s.t).unwrap_or_else(|e| panic!("{name}: {e}"));
        s.settle();
        let log = s.wire.state().log.clone();
        for (at, &message) in log.iter().enumerate() {
            for number in 1..=133 {
                // Two are no numbers. Of those that are rare, others come at each step.
                if matches!(number, 41 | 58) || number > 40 && number % 7 != at as u32 % 7 {
                    continue;
                }
                anew(&s);
                let count = Arc::new(AtomicUsize::new(0));
                let seen = count.clone();
                s.wire.plan(move |t| match seen.fetch_add(1, Ordering::SeqCst) {
                    // The fid is gone all the same.
                    n if n == at && matches!(message, kind::TCLUNK | kind::TREMOVE) => {
                        let reply = wire::error(t, "what the host calls it", number);
                        Fate::Edit(Box::new(move |_| reply))
                    }
                    n if n == at => {
                        let reply = wire::error(t, "what the host calls it", number);
                        let len = reply.len();
                        Fate::Say(reply, len)
                    }
                    _ => Fate::Answer,
                });
                let done = deed(&s.t);
                s.wire.no_plan();
                let case = format!("{name}, message {at} of type {message}, number {number}");
                match done {
                    Ok(()) => assert!(passed_over(name, message, number), "{case}: not told"),
                    Err(e) if passed_over(name, message, number) => drop(e),
                    Err(e) => assert!(e.text().contains(&text(number)), "{case}: {e}"),
                }
            }
        }
    }
    s.end();
}

/// The same in 9P2000, whose servers say what they like.
#[test]
fn every_request_with_every_text() {
    if wire::dialect() == Dialect::L {
        return;
    }
    let dev = MntDev::channels();
    let t = Hosted::with(vec![dev.clone()], vec![], &[]);
    let served = Served::plan9(|host| {
        host.file("a/one", b"1").unwrap();
        host.file("link/b/file", b"no link").unwrap();
        files_anew(host);
    });
    // What has come so far, and what is to fail, how.
    let plan = Arc::new(Mutex::new((Vec::new(), usize::MAX, "")));
    let act = plan.clone();
    let (fd, done) = start(&t, &served, move |_, message| {
        let (log, at, text) = &mut *act.lock().unwrap();
        log.push(message[4]);
        if log.len() - 1 != *at {
            return Act::Answer;
        }
        if matches!(message[4], kind::TCLUNK | kind::TREMOVE) {
            // The fid is gone all the same.
            return Act::Edit(|reply| {
                let tag = tag(reply);
                *reply = Rmsg::Error { ename: "fire".into(), errno: 0 }.to_vec(Dialect::P9, tag).unwrap();
            });
        }
        Act::Say(Rmsg::Error { ename: (*text).into(), errno: 0 }.to_vec(Dialect::P9, tag(message)).unwrap())
    });
    sysfile::mount(&t.up, fd, -1, "/n", MREPL | abi::MCREATE, "", 'M').unwrap();
    let own = ["disk on fire", "interrupted by a bell", "it is full"];
    for (name, deed) in DEEDS {
        let again = |at: usize, text: &'static str| {
            files_anew(&mut served.server().host);
            *plan.lock().unwrap() = (Vec::new(), at, text);
            let done = deed(&t);
            dev.settle();
            (done, std::mem::take(&mut plan.lock().unwrap().0))
        };
        let (done, log) = again(usize::MAX, "");
        done.unwrap_or_else(|e| panic!("{name}: {e}"));
        for (at, &message) in log.iter().enumerate() {
            for text in error::ALL.iter().skip(at % 5).step_by(5).chain(&own) {
                let text = if message == kind::TREMOVE { "fire" } else { *text };
                let creates = matches!(name, "create" | "mkdir" | "create over");
                let is_over = message == kind::TCLUNK || creates && message == kind::TWALK;
                match again(at, text).0 {
                    Ok(()) => assert!(is_over, "{name}, message {at} of type {message}: {text}: not told"),
                    Err(e) if is_over => drop(e),
                    Err(e) => assert!(e.text().contains(text), "{name}, message {at} of type {message}: {e}"),
                }
            }
        }
    }
    *plan.lock().unwrap() = (Vec::new(), usize::MAX, "");
    sysfile::unmount(&t.up, None, "/n").unwrap();
    done.wait();
    let server = served.server();
    assert_eq!((server.fids(), server.broken()), (0, None));
}

/// A walk that stops in the middle does not bring the reason.
#[test]
fn in_the_middle_of_a_path() {
    let s = share();
    for (refused, name) in [("a", "/n/a/b/file"), ("b", "/n/a/b/file"), ("file", "/n/a/b/file")] {
        for number in (1..=133).filter(|n| !matches!(n, 41 | 58)) {
            s.wire.state().server.refuses.insert(refused.into(), number);
            for name in [name.to_string(), name.replace("/n/a", "/n/link"), format!("{name}/beyond")] {
                let beyond = errors::errno(number) == Some(error::ENOTDIR);
                let e = s.t.stat(&name).unwrap_err();
                assert!(e.text().contains(&text(number)), "{name}, {refused}, {number}: {e}");
                let place = name.split(&format!("/{refused}")).next().unwrap();
                assert!(beyond || name.contains("link") || e.text().contains(place), "{e}");
            }
            s.wire.state().server.refuses.clear();
        }
    }
    assert_eq!(s.t.read("/n/link/b/file").unwrap(), b"some text");
    s.end();
}

/// What the server says of one file of a directory comes behind all others, if it has not gone.
#[test]
fn in_the_middle_of_a_directory() {
    let s = share();
    let fd = sysfile::open(&s.t.up, "/n/a", OREAD).unwrap();
    s.wire.state().server.refuses.insert("one".into(), 5);
    let mut names = Vec::new();
    let end = loop {
        let mut buf = vec![0; 8192];
        match sysfile::pread(&s.t.up, fd, &mut Dst::Kernel(&mut buf), -1) {
            Ok(0) => break None,
            Ok(n) => names.extend(Dir::parse_all(&buf[..n]).unwrap().into_iter().map(|d| d.name)),
            Err(e) => break Some(e.text().to_string()),
        }
    };
    names.sort();
    match wire::dialect() {
        // Nothing is walked to.
        Dialect::U => assert_eq!((names, end), (vec!["b".into(), "one".into(), "two".into()], None)),
        _ => assert_eq!((names, end), (vec!["b".into(), "two".into()], Some("'one' i/o error".into()))),
    }
    s.wire.state().server.refuses.clear();
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}
