//! `#9`: a note comes while the device has the messages.

mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use abi::{ORDWR, OREAD, OWRITE, error};
use machine::thread;
use ninep::kind;
use port::Proc;
use port::call::sysfile;
use port::proc::exit;
use port::proc::notes::{self, NoteClass};
use wire::transfer::{UNIT, open, read, text};
use wire::{Fate, Share, pattern};

/// Runs `f` as a process, interrupts it when the device holds `n` of its messages, and gives what came out and
/// whether the note is still to be seen.
fn interrupted<T: Send + 'static>(
    s: &Share,
    n: usize,
    f: impl FnOnce(&Arc<Proc>) -> T + Send + 'static,
) -> (T, bool) {
    let (p, done) = s.t.start(move |up| {
        let result = f(up);
        let seen = thread::current().interrupted();
        thread::current().clear_interrupt();
        exit::exit(up, "");
        (result, seen)
    });
    s.wire.until_held(n);
    notes::post(&p, "alarm", NoteClass::User);
    done.wait()
}

#[test]
fn a_note_flushes_and_a_reply_that_came_first_counts() {
    let s = Share::new(|host| {
        host.file("dir/f", b"12345").unwrap();
    });
    let fd = open(&s.t, "/n/dir/f", OREAD);
    for (kind, cancels) in [kind::TWALK, kind::TOPEN, kind::TCREATE, kind::TREAD, kind::TSTAT]
        .into_iter()
        .flat_map(|k| [(k, true), (k, false)])
    {
        s.wire.state().cancels = cancels;
        s.settle();
        let fids = s.wire.fids();
        s.wire.plan_for(kind, |_| Fate::Hold);
        let wire = s.wire.clone();
        let (result, seen) = interrupted(&s, 1, move |up| {
            let result = match kind {
                kind::TWALK | kind::TOPEN => text(sysfile::open(up, "/n/dir/f", OREAD)).map(Some),
                kind::TCREATE => text(sysfile::create(up, "/n/made", OWRITE, 0o644)).map(Some),
                kind::TREAD => read(up, fd, 5, 0).map(|bytes| assert_eq!(bytes, b"12345")).map(|()| None),
                _ => text(sysfile::fstat(up, fd)).map(|_| None),
            };
            wire.no_plan();
            result.and_then(|fd| fd.map_or(Ok(()), |fd| text(sysfile::close(up, fd))))
        });
        if cancels {
            assert!(result.as_ref().is_err_and(|e| e.ends_with(error::EINTR)), "{kind}: {result:?}");
        } else if kind != kind::TWALK {
            // The walk is the first of several messages; the next one is interrupted in its turn.
            assert_eq!(result, Ok(()), "{kind}");
        }
        assert!(seen, "{kind}: the note is still to come");
        s.settle();
        assert_eq!(s.wire.fids(), fids, "{kind}: nothing is left of it");
        let _ = sysfile::remove(&s.t.up, "/n/made");
    }
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}

#[test]
fn every_piece_under_way_is_flushed() {
    let contents = pattern(1_000_000);
    let s = Share::new(|host| {
        host.file("big", &contents).unwrap();
    });
    let fd = open(&s.t, "/n/big", OREAD);
    s.wire.plan_for(kind::TREAD, |_| Fate::Hold);
    s.wire.state().cancels = true;
    let (result, _) = interrupted(&s, 7, move |up| read(up, fd, 900_000, 0));
    assert_eq!(result, Err(error::EINTR.into()));
    assert_eq!(s.wire.count(kind::TFLUSH), 7);
    // What was finished all the same counts, as far as it hangs together.
    s.wire.state().cancels = false;
    let (result, _) = interrupted(&s, 7, move |up| read(up, fd, 900_000, 0));
    assert!(result.unwrap() == contents[..900_000]);
    // Half of each: the first three have come.
    s.wire.state().cancels = true;
    let reads = AtomicUsize::new(0);
    s.wire.plan_for(kind::TREAD, move |_| match reads.fetch_add(1, Ordering::Relaxed) {
        0..3 => Fate::Answer,
        _ => Fate::Hold,
    });
    let (result, _) = interrupted(&s, 4, move |up| read(up, fd, 900_000, 0));
    assert!(result.unwrap() == contents[..3 * UNIT]);
    s.wire.no_plan();
    assert!(read(&s.t.up, fd, 900_000, 0).unwrap() == contents[..900_000]);
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}

/// Closing gets through whatever notes there are: the server must not keep fids.
#[test]
fn notes_do_not_keep_files_open() {
    let s = Share::new(|host| {
        host.file("f", b"12345").unwrap();
    });
    let fids = s.wire.fids();
    s.wire.state().cancels = true;
    let wire = s.wire.clone();
    let (_, done) = s.t.start(move |up| {
        let fd = sysfile::open(up, "/n/f", OREAD).unwrap();
        let tmp = sysfile::create(up, "/n/tmp", ORDWR | abi::ORCLOSE, 0o600).unwrap();
        thread::current().interrupt();
        sysfile::close(up, fd).unwrap();
        sysfile::close(up, tmp).unwrap();
        wire.plan_for(kind::TSTAT, |_| Fate::Hold);
        text(sysfile::stat(up, "/n/f").map(drop))
    });
    assert_eq!(done.wait(), Err(error::EINTR.into()), "but it ends everything else");
    s.wire.no_plan();
    s.settle();
    assert_eq!(s.wire.fids(), fids);
    assert_eq!(s.wire.host("tmp"), None);
    s.end();
}
