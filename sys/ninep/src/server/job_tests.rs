//! Requests under way at the same time: what they hold, how they are flushed, and what comes of those that are late.

use alloc::vec::Vec;

use abi::OREAD;

use super::test_client::{Client, no};
use super::{Files, Step};
use crate::{Dialect, Names, Rmsg, Str, Tmsg};

/// Begins a request and does not run it.
fn begin<F: Files>(c: &mut Client<F>, tag: u16, t: Tmsg<'_>) -> (Vec<u8>, super::Job<F::File>) {
    let request = t.to_vec(Dialect::P9, tag).unwrap();
    match c.session.begin(&request).unwrap() {
        Step::Job(job) => (request, job),
        _ => panic!("{t:?} needs no tree"),
    }
}

/// The tags and types of replies sent together.
fn replies(bytes: &[u8]) -> Vec<(u16, u8)> {
    let mut framer = crate::Framer::new(1 << 20);
    framer.push(bytes);
    let mut all = Vec::new();
    while let Some(m) = framer.next_message().unwrap() {
        let (tag, r) = Rmsg::decode(Dialect::P9, m).unwrap();
        all.push((tag, r.kind()));
    }
    all
}

#[test]
fn requests_under_way_hold_up_nobody_and_can_be_flushed() {
    let mut c = Client::ram(1 << 20);
    c.put("file", 0o644, b"hello");
    c.walk(0, 1, "file").unwrap();
    c.open(1, OREAD).unwrap();
    let (request, job) = begin(&mut c, 1, Tmsg::Read { fid: 1, offset: 0, count: 5 });
    assert_eq!(job.tag(), 1);
    // Others go on; the tag is taken.
    assert_eq!(c.read(1, 0, 2), Ok(b"he".to_vec()));
    let again = c.raw(1, Tmsg::Stat { fid: 1 });
    assert_eq!(replies(&again), [(1, 107)]);
    // Two flushes of it, and one of what is not there.
    for tag in [2, 3] {
        let t = Tmsg::Flush { oldtag: 1 }.to_vec(Dialect::P9, tag).unwrap();
        assert!(matches!(c.session.begin(&t).unwrap(), Step::Interrupt(1)));
    }
    assert_eq!(replies(&c.raw(4, Tmsg::Flush { oldtag: 99 })), [(4, 109)]);
    // The file may be clunked meanwhile.
    c.clunk(1).unwrap();
    let done = job.run(&c.tree, &request);
    let finished = c.session.finish(done);
    assert!(finished.flushed);
    assert_eq!(replies(&finished.replies), [(1, 117), (2, 109), (3, 109)]);
    // The tag is free again, and its flush has nothing to wait for.
    assert_eq!(replies(&c.raw(5, Tmsg::Flush { oldtag: 1 })), [(5, 109)]);
}

#[test]
fn a_fid_is_kept_while_a_request_decides_about_it() {
    let mut c = Client::ram(1 << 20);
    c.put("file", 0o644, b"hello");
    c.walk(0, 1, "file").unwrap();
    let (open, job) = begin(&mut c, 1, Tmsg::Open { fid: 1, mode: 0 });
    assert_eq!(no(c.stat(1, |_| ())), "fid in use");
    assert_eq!(no(c.open(1, OREAD)), "fid in use");
    let names = [Str(b"file")];
    let (walk, other) = begin(&mut c, 2, Tmsg::Walk { fid: 0, newfid: 2, names: Names::new(&names) });
    assert_eq!(no(c.walk(0, 2, "")), "fid in use");
    // Clunked and used for something else before the open and the walk are done.
    for fid in [1, 2] {
        c.clunk(fid).unwrap();
        c.walk(0, fid, "").unwrap();
    }
    let (a, b) = (job.run(&c.tree, &open), other.run(&c.tree, &walk));
    assert_eq!(replies(&c.session.finish(a).replies), [(1, 113)]);
    assert_eq!(replies(&c.session.finish(b).replies), [(2, 111)]);
    for fid in [1, 2] {
        assert_eq!(c.stat(fid, |s| s.name.text().into_owned()), Ok("/".into()));
    }
    // Refused without having run: the fid is as before.
    let (_, job) = begin(&mut c, 1, Tmsg::Open { fid: 1, mode: 0 });
    assert!(!job.closes());
    let done = job.refuse(&"no".into());
    assert_eq!(replies(&c.session.finish(done).replies), [(1, 107)]);
    c.open(1, OREAD).unwrap();
    let (_, job) = begin(&mut c, 1, Tmsg::Clunk { fid: 1 });
    assert!(job.closes());
}

#[test]
fn what_an_earlier_session_asked_for_is_forgotten() {
    let mut c = Client::ram(1 << 20);
    c.put("file", 0o644, b"hello");
    let names = [Str(b"file")];
    let (walk, job) = begin(&mut c, 1, Tmsg::Walk { fid: 0, newfid: 1, names: Names::new(&names) });
    c.start(8192);
    c.attach(0, "glenda").unwrap();
    let done = job.run(&c.tree, &walk);
    let finished = c.session.finish(done);
    assert!(finished.flushed && finished.replies.is_empty());
    assert_eq!(no(c.stat(1, |_| ())), "unknown fid");
}
