//! `#|`: pipes.

use abi::{Dir, MREPL, ORDWR, error};
use machine::host::heap;
use port::call::sysfile::{bind, close, dup, fd2path, fstat, open, pipe};
use port::proc::notes::NoteClass;
use port::testkit::Hosted;

use super::{get, notes, put, settle};

#[test]
fn pipes_keep_writes_apart() {
    let t = Hosted::new();
    let [a, b] = pipe(&t.up).unwrap();
    put(&t.up, a, b"one").unwrap();
    put(&t.up, a, b"two").unwrap();
    assert_eq!(get(&t.up, b, 100).unwrap(), b"one");
    assert_eq!(get(&t.up, b, 2).unwrap(), b"tw");
    put(&t.up, a, b"three").unwrap();
    assert_eq!(get(&t.up, b, 100).unwrap(), b"o");
    assert_eq!(get(&t.up, b, 100).unwrap(), b"three");
    put(&t.up, b, b"back").unwrap();
    assert_eq!(Dir::parse(&fstat(&t.up, a).unwrap()).unwrap().0.length, 4);
    assert_eq!(get(&t.up, a, 100).unwrap(), b"back");
    put(&t.up, a, b"").unwrap();
    assert_eq!(get(&t.up, b, 100).unwrap(), b"", "an empty write is read as one");
    assert_eq!(fd2path(&t.up, a).unwrap(), "#|/data");
    assert_eq!(fd2path(&t.up, b).unwrap(), "#|/data1");
}

#[test]
fn pipes_end_when_the_other_side_is_closed() {
    let t = Hosted::new();
    let [a, b] = pipe(&t.up).unwrap();
    let again = dup(&t.up, a, -1).unwrap();
    put(&t.up, a, b"last").unwrap();
    close(&t.up, a).unwrap();
    put(&t.up, again, b"words").unwrap();
    close(&t.up, again).unwrap();
    assert_eq!(get(&t.up, b, 100).unwrap(), b"last");
    assert_eq!(get(&t.up, b, 100).unwrap(), b"words");
    for _ in 0..3 {
        assert_eq!(get(&t.up, b, 100).unwrap(), b"");
    }
    assert_eq!(get(&t.up, b, 100).unwrap_err().text(), error::EHUNGUP);
    assert_eq!(notes(&t.up), []);
    assert_eq!(put(&t.up, b, b"x").unwrap_err().text(), error::EHUNGUP);
    assert_eq!(notes(&t.up), [("sys: write on closed pipe".to_string(), NoteClass::User)]);
}

#[test]
fn pipes_wake_who_waits() {
    let t = Hosted::new();
    let [a, b] = pipe(&t.up).unwrap();
    let (_, read) = t.start(move |up| get(up, b, 100));
    settle();
    put(&t.up, a, b"x").unwrap();
    assert_eq!(read.wait().unwrap(), b"x");

    // A full pipe holds writers up until somebody reads.
    let (_, written) = t.start(move |up| put(up, a, &vec![7; 600 * 1024]));
    settle();
    assert!(written.take().is_none());
    let mut total = 0;
    while total < 600 * 1024 {
        let got = get(&t.up, b, 1 << 20).unwrap();
        assert!(got.len() <= 64 * 1024 && got.iter().all(|b| *b == 7));
        total += got.len();
    }
    assert_eq!(written.wait().unwrap(), 600 * 1024);

    // What one write brought is one read, up to Plan 9's most.
    for len in [1, 40_000, 64 * 1024] {
        put(&t.up, a, &vec![8; len]).unwrap();
        put(&t.up, a, b"next").unwrap();
        assert_eq!(get(&t.up, b, 1 << 20).unwrap().len(), len);
        assert_eq!(get(&t.up, b, 1 << 20).unwrap(), b"next");
    }

    // Closing wakes readers and writers.
    let (_, read) = t.start(move |up| get(up, b, 100));
    settle();
    close(&t.up, a).unwrap();
    assert_eq!(read.wait().unwrap(), b"");
    let [a, b] = pipe(&t.up).unwrap();
    let (w, written) = t.start(move |up| put(up, a, &vec![7; 600 * 1024]));
    settle();
    close(&t.up, b).unwrap();
    assert_eq!(written.wait().unwrap_err().text(), error::EHUNGUP);
    assert_eq!(notes(&w).len(), 1);
}

/// Who makes the call waits for memory, not the pipe (see `scarce.rs`); but who has put something in waits where he is.
#[test]
fn without_memory_a_write_is_refused_before_it_has_begun() {
    let t = Hosted::new();
    let [a, b] = pipe(&t.up).unwrap();
    for before in [0, 20_000] {
        put(&t.up, a, &vec![1; before]).unwrap();
        heap::fail_from(1);
        let refused = put(&t.up, a, &[2; 8000]);
        heap::fail_nth(0);
        assert_eq!(refused.unwrap_err().text(), error::ENOMEM);
        assert_eq!(get(&t.up, b, 1 << 20).unwrap().len(), before);
    }
    // The second half finds none for a while.
    let (_, written) = t.start(move |up| {
        heap::fail_from(2);
        put(up, a, &[3; 128 * 1024])
    });
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(written.take().is_none());
    heap::fail_nth(0);
    assert_eq!(written.wait().unwrap(), 128 * 1024);
    assert_eq!(get(&t.up, b, 1 << 20).unwrap(), vec![3; 64 * 1024]);
    // When nobody reads any more, that is what is said.
    close(&t.up, b).unwrap();
    heap::fail_from(1);
    let refused = put(&t.up, a, &[4; 8000]);
    heap::fail_nth(0);
    assert_eq!(refused.unwrap_err().text(), error::EHUNGUP);
}

#[test]
fn a_part_of_what_was_written_is_read_without_memory() {
    let t = Hosted::new();
    let [a, b] = pipe(&t.up).unwrap();
    let sent: Vec<u8> = (0..8000u32).map(|n| n as u8).collect();
    put(&t.up, a, &sent).unwrap();
    let mut got = Vec::new();
    heap::fail_from(1);
    for max in [10, 3000, 47, 48, 1, 8000] {
        got.extend(get(&t.up, b, max).unwrap());
    }
    heap::fail_nth(0);
    assert_eq!(got, sent);
}

#[test]
fn notes_interrupt_pipes() {
    let t = Hosted::new();
    let [a, b] = pipe(&t.up).unwrap();
    let (p, read) = t.start(move |up| get(up, b, 100));
    settle();
    port::proc::notes::post(&p, "alarm", NoteClass::User);
    assert_eq!(read.wait().unwrap_err().text(), error::EINTR);
    let (p, written) = t.start(move |up| put(up, a, &vec![7; 600 * 1024]));
    while Dir::parse(&fstat(&t.up, b).unwrap()).unwrap().0.length < 256 * 1024 {
        settle();
    }
    port::proc::notes::post(&p, "alarm", NoteClass::User);
    let n = written.wait().unwrap();
    assert!((256 * 1024..600 * 1024).contains(&n), "what went in counts: {n}");
}

#[test]
fn writes_to_a_pipe_are_not_mixed() {
    let t = Hosted::new();
    let [a, b] = pipe(&t.up).unwrap();
    let starts: Vec<_> = (0..4u8)
        .map(|i| {
            t.start(move |up| {
                for _ in 0..50 {
                    put(up, a, &vec![i; 20_000]).unwrap();
                }
            })
        })
        .collect();
    let mut counts = [0; 4];
    for _ in 0..200 {
        let got = get(&t.up, b, 40_000).unwrap();
        assert_eq!(got.len(), 20_000);
        assert!(got.iter().all(|x| *x == got[0]));
        counts[usize::from(got[0])] += 1;
    }
    starts.into_iter().for_each(|(_, done)| done.wait());
    assert_eq!(counts, [50; 4]);
}

#[test]
fn a_bound_pipe_is_used_by_name_and_used_again() {
    let t = Hosted::new();
    bind(&t.up, "#|", "/mnt", MREPL).unwrap();
    for round in 0..2 {
        let a = open(&t.up, "/mnt/data", ORDWR).unwrap();
        let b = open(&t.up, "/mnt/data1", ORDWR).unwrap();
        put(&t.up, a, b"hello").unwrap();
        assert_eq!(get(&t.up, b, 10).unwrap(), b"hello", "round {round}");
        close(&t.up, a).unwrap();
        assert_eq!(get(&t.up, b, 10).unwrap(), b"");
        close(&t.up, b).unwrap();
    }
    assert_eq!(t.ls("/mnt").unwrap(), ["data", "data1"]);
}

#[test]
fn what_nobody_will_read_is_given_back() {
    let t = Hosted::new();
    bind(&t.up, "#|", "/mnt", MREPL).unwrap();
    let [a, b] = ["/mnt/data", "/mnt/data1"].map(|name| open(&t.up, name, ORDWR).unwrap());
    put(&t.up, a, &[1; 5000]).unwrap();
    put(&t.up, b, b"but this is read").unwrap();
    let unread = || ["/mnt/data", "/mnt/data1"].map(|name| t.stat(name).unwrap().length);
    assert_eq!(unread(), [16, 5000]);
    close(&t.up, b).unwrap();
    assert_eq!(unread(), [16, 0]);
    assert_eq!(get(&t.up, a, 100).unwrap(), b"but this is read");
    close(&t.up, a).unwrap();
}
