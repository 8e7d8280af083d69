//! An other side that says nothing and takes nothing: notes end what waits for it, and nothing is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use abi::error;
use machine::host::thread;
use port::Proc;
use port::call::sysfile::{close, pipe, wstat};
use port::proc::notes::{self, NoteClass};

use super::{End, get, put, secret, settle, world};

#[test]
fn a_note_ends_what_waits_and_loses_nothing() {
    let t = world();
    let [x, y] = pipe(&t.up).unwrap();
    let (a, b) = (End::new(&t.up, x, 0x303), End::new(&t.up, y, 0x303));
    for (end, is_client) in [(&a, 1), (&b, 0)] {
        end.says("version 0x303").unwrap();
        end.says(&format!("secret sha1 aes_128_cbc {is_client} {}", secret(1))).unwrap();
    }
    // Two wait for the same: one reads, one waits for that.
    let hand = a.hand;
    let waiters = [0, 1].map(|_| t.start(move |up| get(up, hand, 100)));
    settle();
    for (p, got) in &waiters {
        assert!(!got.ready());
        notes::post(p, "alarm", NoteClass::User);
        assert_eq!(got.wait().unwrap_err().text(), error::EINTR);
    }
    for end in [&a, &b] {
        end.says("changecipher").unwrap();
        put(&t.up, end.hand, b"finished").unwrap();
    }
    for end in [&a, &b] {
        assert_eq!(get(&t.up, end.hand, 100).unwrap(), b"finished");
        end.says("opened").unwrap();
    }
    let (from, to) = (a.data(), b.data());
    // As much as goes into the pipe, and more.
    let sent: Vec<u8> = (0..1_000_000u32).map(|n| (n >> 4) as u8).collect();
    let much = sent.clone();
    let (p, written) = t.start(move |up| put(up, from, &much));
    let mut before = String::new();
    while before != a.text("stats") {
        before = a.text("stats");
        (0..5).for_each(|_| settle());
    }
    assert!(!written.ready());
    notes::post(&p, "alarm", NoteClass::User);
    let taken = written.wait().unwrap();
    assert!(taken % 16384 == 0 && taken > 100_000 && taken < sent.len(), "{taken}");
    // What is written next waits for the record that was under way, and can be told not to.
    let (p, written) = t.start(move |up| put(up, from, b"more"));
    settle();
    notes::post(&p, "alarm", NoteClass::User);
    assert_eq!(written.wait().unwrap_err().text(), error::EINTR);
    let mut got = Vec::new();
    while got.len() < taken {
        got.extend(get(&t.up, to, 40_000).unwrap());
    }
    assert!(got == sent[..taken]);
    put(&t.up, from, b"and now").unwrap();
    assert_eq!(get(&t.up, to, 100).unwrap(), b"and now");
}

/// Warnings, which nobody is told of, one after the other: whoever reads looks between them whether others wait.
#[test]
fn records_that_bring_nothing_keep_nobody_from_the_processor() {
    const WARNING: [u8; 7] = [21, 3, 3, 0, 2, 1, 112];
    let t = world();
    let [x, y] = pipe(&t.up).unwrap();
    let end = End::new(&t.up, x, 0x303);
    put(&t.up, y, &[&WARNING.repeat(2000)[..], &[22, 3, 3, 0, 5], b"hello"].concat()).unwrap();
    let before = thread::looks();
    assert_eq!(get(&t.up, end.hand, 100).unwrap(), b"hello");
    let looks = thread::looks() - before;
    assert!(looks >= 2000, "{looks}");
}

/// The other side of one user's conversation takes nothing: what another user's says at its end has its second.
#[test]
fn nobodys_silence_cuts_a_goodbye_short_but_his_own() {
    let t = world();
    let (one, other) = (t.process(), t.process());
    *one.user.lock() = "none".into();
    let silent = |up: &Arc<Proc>| {
        let [x, y] = pipe(up).unwrap();
        let bytes = vec![0; 1 << 20];
        // Nothing more goes in.
        let filler = up.clone();
        let filled = t.start(move |_| put(&filler, x, &bytes));
        let end = End::new(up, x, 0x303);
        settle();
        (end, y, filled)
    };
    let took = |end: &End| {
        let begun = Instant::now();
        close(&end.up, end.hand).unwrap();
        close(&end.up, end.ctl).unwrap();
        begun.elapsed()
    };
    let second = Duration::from_millis(900);
    let of_one: Vec<_> = (0..2).map(|_| silent(&one)).collect();
    // It may be given to whoever it likes: it is not theirs for that.
    let (end, ..) = &of_one[0];
    let dir = abi::Dir { uid: "glenda".into(), ..abi::Dir::untouched() };
    wstat(&one, &format!("{}/ctl", end.dir), &dir.to_bytes()).unwrap();
    let of_other = silent(&other);
    assert!(took(&of_one[0].0) >= second);
    assert!(took(&of_one[1].0) < second / 2);
    assert!(took(&of_other.0) >= second);
    for (end, y, filled) in of_one.into_iter().chain([of_other]) {
        close(&end.up, y).unwrap();
        let _ = filled.1.wait();
    }
}

#[test]
fn who_closes_does_not_wait_for_who_takes_nothing() {
    let t = world();
    let mut ends = Vec::new();
    for _ in 0..10 {
        let [x, y] = pipe(&t.up).unwrap();
        // Nothing more goes in.
        let (p, filled) = t.start(move |up| put(up, x, &[0; 1 << 20]));
        let end = End::new(&t.up, x, 0x303);
        ends.push((end, x, y, p, filled));
    }
    settle();
    let begun = Instant::now();
    for (end, ..) in &ends {
        close(&t.up, end.hand).unwrap();
        close(&t.up, end.ctl).unwrap();
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    for (_, _, y, p, filled) in &ends {
        notes::post(p, "alarm", NoteClass::User);
        let _ = filled.wait();
        close(&t.up, *y).unwrap();
    }
    // The threads that could not say goodbye have gone.
    for _ in 0..100 {
        if t.ls("/net/tls").unwrap().len() == 3 {
            return;
        }
        settle();
    }
    panic!("{:?}", t.ls("/net/tls").unwrap());
}

#[test]
fn a_process_that_is_killed_leaves_nothing_behind() {
    let t = world();
    let [x, y] = pipe(&t.up).unwrap();
    let end = End::new(&t.up, x, 0x303);
    let hand = end.hand;
    let (p, got) = t.start(move |up| get(up, hand, 100));
    settle();
    notes::post(&p, "sys: killed", NoteClass::Exit);
    assert!(got.wait().is_err());
    put(&t.up, y, &[22, 3, 3, 0, 2, b'o', b'k']).unwrap();
    assert_eq!(get(&t.up, end.hand, 10).unwrap(), b"ok");
}
