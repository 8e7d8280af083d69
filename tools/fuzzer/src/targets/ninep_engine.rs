//! Any requests to the server engine over a tree in memory: every one is answered once, in a message that decodes and
//! is no longer than agreed, and at the end nothing is held that was not before.

use ninep::ram::Ram;
use ninep::server::{Session, Step};
use ninep::{Dialect, Rmsg, Tmsg};

const LIMIT: u64 = 100_000;

/// Tries these bytes.
pub fn run(bytes: &[u8]) {
    let tree = Ram::<parking_lot::RawMutex>::new(b"glenda", LIMIT, || 0);
    let mut session = Session::new(8192);
    let hello = Tmsg::Version { msize: 8192, version: "9P2000".into() };
    for t in [hello, ninep::translate::attach(0, "glenda", "")] {
        let _ = session.handle(&tree, &t.to_vec(Dialect::P9, 0).unwrap_or_default());
    }
    let mut rest = bytes;
    // Jobs that were begun and not yet run, and what each reply owes.
    let mut waiting = Vec::new();
    // Requests as length, type, tag, body: the size is filled in. The tag's high bit has the request wait.
    while let [n, kind, tag, tail @ ..] = rest {
        let (body, after) = tail.split_at(usize::from(*n).min(tail.len()));
        rest = after;
        let size = (body.len() as u32 + 7).to_le_bytes();
        let request = [&size[..], &[*kind, tag & 0x7f, 0], body].concat();
        let reply = match session.begin(&request) {
            Ok(Step::Reply(reply)) => reply,
            Ok(Step::Interrupt(_)) => continue,
            Ok(Step::Job(job)) if tag & 0x80 != 0 => {
                waiting.push((job, request));
                continue;
            }
            Ok(Step::Job(job)) => session.finish(job.run(&tree, &request)).replies,
            Err(_) => return,
        };
        check(&reply);
    }
    for (job, request) in waiting {
        let done = job.run(&tree, &request);
        check(&session.finish(done).replies);
    }
    assert!(tree.used() <= LIMIT);
    session.end().run(&tree, &[]);
    assert_eq!(session.fids(), 0);
}

/// Whole replies, one after the other.
fn check(replies: &[u8]) {
    let mut framer = ninep::Framer::new(8192);
    framer.push(replies);
    while let Some(reply) = framer.next_message().unwrap() {
        Rmsg::decode(Dialect::P9, reply).unwrap();
    }
    assert_eq!(framer.held(), 0);
}
