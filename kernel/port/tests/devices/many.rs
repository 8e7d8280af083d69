//! Thousands of files in a device, and transfers that are long: neither may take more than its share of time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use abi::{MCREATE, MREPL, ORCLOSE, ORDWR, OREAD, OWRITE, error};
use port::call::sysfile::{bind, close, create, open, pipe, remove};
use port::dev::ram::RamDev;
use port::mem::iobuf::Dst;
use port::testkit::Hosted;

use super::{get, put};

/// Far more than it takes, and far less than it takes when each file costs a look at all others.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn twenty_thousand_variables() {
    let t = Hosted::new();
    bind(&t.up, "#e", "/env", MREPL | MCREATE).unwrap();
    let begin = Instant::now();
    for n in 0..20_000 {
        t.create(&format!("/env/variable{n}"), b"value").unwrap();
    }
    let names = t.ls("/env").unwrap();
    assert_eq!(names.len(), 20_000);
    assert_eq!(names[12_345], "variable12345");
    let copy = t.up.egrp().copy().unwrap();
    assert_eq!(t.read("/env/variable19999").unwrap(), b"value");
    for n in 0..20_000 {
        remove(&t.up, &format!("/env/variable{n}")).unwrap();
    }
    assert!(t.ls("/env").unwrap().is_empty());
    *t.up.egrp.lock() = copy;
    assert_eq!(t.ls("/env").unwrap().len(), 20_000);
    assert!(begin.elapsed() < LONG, "{:?}", begin.elapsed());
    // There is an end to them, and what was refused is not there.
    let end = (0..100_000).find_map(|n| t.create(&format!("/env/x{n}"), b"").err());
    assert!(end.as_ref().is_some_and(|e| e.is(error::ETOOBIG)), "{end:?}");
}

/// The directory changes while it is read: each file that stays is told of once.
#[test]
fn a_table_that_changes_while_it_is_read() {
    let t = Hosted::new();
    for n in 0..2000 {
        t.create(&format!("#e/{n}"), b"").unwrap();
    }
    let fd = open(&t.up, "#e", OREAD).unwrap();
    let (mut seen, mut reads) = (Vec::new(), 0);
    loop {
        let bytes = get(&t.up, fd, 2000).unwrap();
        let mut rest = &bytes[..];
        if rest.is_empty() {
            break;
        }
        while !rest.is_empty() {
            let (dir, n) = abi::Dir::parse(rest).unwrap();
            seen.push(dir.name);
            rest = &rest[n..];
        }
        if reads < 100 {
            remove(&t.up, &format!("#e/{reads}")).unwrap();
            t.create(&format!("#e/new{reads}"), b"").unwrap();
        }
        reads += 1;
    }
    let set: BTreeSet<_> = seen.iter().cloned().collect();
    assert_eq!(set.len(), seen.len(), "told of twice");
    assert!((100..2000).all(|n| set.contains(&n.to_string())));
}

#[test]
fn thousands_of_posts_and_of_processes() {
    let t = Hosted::new();
    bind(&t.up, "#s", "/srv", MREPL | MCREATE).unwrap();
    bind(&t.up, "#p", "/proc", MREPL).unwrap();
    let begin = Instant::now();
    let [a, _] = pipe(&t.up).unwrap();
    for n in 0..5000 {
        let fd = create(&t.up, &format!("/srv/{n}"), OWRITE, 0o600).unwrap();
        put(&t.up, fd, a.to_string().as_bytes()).unwrap();
        close(&t.up, fd).unwrap();
    }
    let names = t.ls("/srv").unwrap();
    assert!(names.iter().map(|n| n.parse::<usize>().unwrap()).eq(0..5000));
    let processes: Vec<_> = (0..3000).map(|_| t.process()).collect();
    let names = t.ls("/proc").unwrap();
    // And the trace.
    assert_eq!(names.len(), 3002);
    assert!(processes.iter().all(|p| t.stat(&format!("/proc/{}/status", p.pid)).is_ok()));
    for n in 0..5000 {
        remove(&t.up, &format!("/srv/{n}")).unwrap();
    }
    assert!(begin.elapsed() < LONG, "{:?}", begin.elapsed());
}

#[test]
fn descriptors_in_a_directory() {
    let t = Hosted::new();
    bind(&t.up, "#d", "/fd", MREPL).unwrap();
    let fds: Vec<_> = (0..4000).map(|_| open(&t.up, "#c/null", ORDWR).unwrap()).collect();
    for fd in fds.iter().step_by(2) {
        close(&t.up, *fd).unwrap();
    }
    let names = t.ls("/fd").unwrap();
    // The directory that is being read took the lowest.
    assert_eq!(names[..4], ["0", "0ctl", "1", "1ctl"]);
    assert_eq!(names.len(), 2 * 2001);
    assert_eq!(t.stat("/fd/3999").unwrap().mode, 0o600);
    assert!(t.stat("/fd/3998").is_err());
}

/// Posts of posts would be a chain, of which each end ends the next, or a ring that has none.
#[test]
fn what_is_posted_is_no_post() {
    let t = Hosted::new();
    bind(&t.up, "#s", "/srv", MREPL | MCREATE).unwrap();
    let make = |name: &str| create(&t.up, name, OWRITE | ORCLOSE, 0o600).unwrap();
    let (a, b) = (make("/srv/a"), make("/srv/b"));
    for (to, of) in [(a, b), (b, a), (a, a)] {
        assert!(put(&t.up, to, of.to_string().as_bytes()).unwrap_err().is(error::EBADARG));
    }
    close(&t.up, a).unwrap();
    close(&t.up, b).unwrap();
    assert!(t.ls("/srv").unwrap().is_empty());
}

/// A note that waits ends a long transfer between its pieces, and what was moved counts.
#[test]
fn long_transfers_look_at_notes() {
    let t = Hosted::with(vec![RamDev::new(8 << 20)], vec![], &[]);
    let me = machine::thread::current();
    let mut bytes = vec![1; 1 << 20];
    t.create("#R/file", &bytes).unwrap();
    me.interrupt();
    for (name, piece) in [("#c/zero", 4096), ("#c/random", 256), ("#R/file", 65_536)] {
        let fd = open(&t.up, name, OREAD).unwrap();
        let n = port::call::sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut bytes), 0).unwrap();
        assert_eq!(n, piece, "{name}");
    }
    let fd = open(&t.up, "#R/file", OWRITE).unwrap();
    assert_eq!(put(&t.up, fd, &bytes).unwrap(), 65_536);
    let fd = open(&t.up, "#c/cons", OWRITE).unwrap();
    assert!(put(&t.up, fd, &bytes).unwrap() < bytes.len());
    me.clear_interrupt();
    let fd = open(&t.up, "#c/zero", OREAD).unwrap();
    let n = port::call::sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut bytes), 0).unwrap();
    assert!(n == bytes.len() && bytes.iter().all(|&b| b == 0));
}
