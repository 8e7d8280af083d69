//! `#9`: a directory that the host changes while it is listed.

mod wire;

use abi::{OREAD, error};
use ninep::kind;
use ninep::testserver::Churn;
use port::call::sysfile;
use port::mem::iobuf::Dst;
use wire::{Fate, Share};

/// A share with so many files `stable-N` in `sub`, and a host that makes and removes others all the time.
fn changing(stable: usize, files: u32, at_once: u32) -> Share {
    let s = Share::new(|host| {
        host.dir("sub").unwrap();
        (0..stable).for_each(|i| drop(host.file(format!("sub/stable-{i}"), b"").unwrap()));
    });
    let mut state = s.wire.state();
    state.server.remap = true;
    state.server.churn = Churn::new("sub", files, at_once);
    drop(state);
    s
}

#[test]
fn what_is_there_all_the_time_is_listed() {
    let cases = [(0, 20, 1), (1, 20, 3), (10, 20, 1), (10, 20, 3), (300, 20, 1)];
    for (stable, files, at_once) in cases {
        let s = changing(stable, files, at_once);
        for list in 0..if stable < 100 { 10 } else { 3 } {
            let names = s.t.ls("/n/sub").unwrap_or_else(|e| panic!("{stable} {files} {at_once} {list}: {e}"));
            let mut sorted = names.clone();
            sorted.sort();
            sorted.dedup();
            assert_eq!(sorted.len(), names.len(), "{stable} {files} {at_once} {list}: nothing comes twice");
            sorted.retain(|name| name.starts_with("stable-"));
            assert_eq!(sorted.len(), stable, "{stable} {files} {at_once} {list}");
        }
        s.end();
    }
}

#[test]
fn in_small_pieces() {
    let s = changing(100, 20, 2);
    for _ in 0..10 {
        let fd = sysfile::open(&s.t.up, "/n/sub", OREAD).unwrap();
        let mut names = Vec::new();
        loop {
            let mut buf = vec![0; 200];
            let n = sysfile::pread(&s.t.up, fd, &mut Dst::Kernel(&mut buf), -1).unwrap();
            if n == 0 {
                break;
            }
            names.extend(abi::Dir::parse_all(&buf[..n]).unwrap().into_iter().map(|d| d.name));
        }
        sysfile::close(&s.t.up, fd).unwrap();
        names.retain(|name| name.starts_with("stable-"));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 100);
    }
    s.end();
}

/// It takes no more messages than it ever did when nothing changes.
#[test]
fn a_quiet_directory_is_read_once() {
    let s = changing(300, 0, 0);
    assert_eq!(s.t.ls("/n/sub").unwrap().len(), 300);
    // The program asks once more at the end.
    if wire::dialect() == ninep::Dialect::U {
        assert_eq!(s.wire.count(kind::TREAD), 3);
    } else {
        assert_eq!(s.wire.count(kind::TREADDIR), 4);
        assert_eq!(s.wire.state().log.iter().filter(|k| **k == kind::TWALK).count(), 300 + 1);
    }
    s.end();
}

/// The directory itself goes: that is an error, and comes soon.
#[test]
fn a_directory_that_is_moved_away() {
    let s = changing(300, 20, 1);
    let fd = sysfile::open(&s.t.up, "/n/sub", OREAD).unwrap();
    {
        let mut state = s.wire.state();
        state.server.churn.files = 0;
        state.server.host.rename("sub", "elsewhere").unwrap();
    }
    let mut buf = vec![0; 8000];
    let read = sysfile::pread(&s.t.up, fd, &mut Dst::Kernel(&mut buf), -1);
    assert_eq!(read.unwrap_err().text(), error::ENONEXIST);
    assert!(s.wire.state().log.len() < 200);
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}

/// A server that always says so is believed in the end. Another error is not taken for an entry that has gone.
#[test]
fn what_is_no_change_is_an_error() {
    let read = if wire::dialect() == ninep::Dialect::U { kind::TREAD } else { kind::TREADDIR };
    for (number, text, tries) in [(2, error::ENONEXIST, 3000), (5, error::EIO, 1), (13, error::EPERM, 1)] {
        let s = changing(50, 0, 0);
        s.wire.plan(move |t| match t[4] == read {
            true => Fate::Edit(Box::new({
                let t = t.to_vec();
                move |_| wire::error(&t, "whatever", number)
            })),
            false => Fate::Answer,
        });
        let e = s.t.ls("/n/sub").unwrap_err();
        assert!(e.text().contains(text), "{number}: {e}");
        let log = s.wire.state().log.iter().filter(|k| **k == read).count();
        assert!(log <= tries, "{number}: {log} reads");
        s.wire.no_plan();
        s.end();
    }
}
