//! exits and await: what a process leaves, and for whom.

use abi::Rfork;
use abi::syscall as no;
use lib9::alloc::format;
use lib9::alloc::string::String;
use lib9::alloc::vec::Vec;
use lib9::sys::probe::notes::{self, Then};
use lib9::sys::probe::{self, NOWHERE};
use lib9::{fd, file, proc};

use crate::testkit::*;

pub const TESTS: &[Test] = &[
    test("wait.record", record),
    test("wait.status", status),
    test("wait.whose", whose),
    test("wait.nowait", nowait),
    test("wait.newest-first", newest_first),
    test("wait.too-many", too_many),
    test("wait.cut", cut),
    test("wait.interrupted", interrupted),
    test("wait.orphans", orphans),
    test("wait.times", times),
];

fn await_text() -> Result<String, lib9::Error> {
    let at = arena().or(Ok::<u64, lib9::Error>(NOWHERE))?;
    let n = int(no::AWAIT, &[at, 512])?;
    Ok(String::from_utf8_lossy(&probe::peek(at, n as usize)).into_owned())
}

fn until_gone(pid: i32) -> Outcome {
    for _ in 0..2000 {
        if proc_file(pid, "status").is_err() {
            return Ok(());
        }
        proc::sleep(1)?;
    }
    Err(format!("process {pid} stays"))
}

/// Five words.
fn record() -> Outcome {
    let pid = start(|| Ok(()))?;
    let text = await_text()?;
    let words: Vec<&str> = text.split(' ').collect();
    same(words.len(), 5, "words")?;
    same(words[0], format!("{pid}"), "the pid")?;
    check(words[1..4].iter().all(|w| w.parse::<u64>().is_ok()), &text)?;
    same(words[4], "''", "success")?;
    for (status, want) in
        [("x", "'usertests 7: x'"), ("it's", "'usertests 7: it''s'"), ("a b", "'usertests 7: a b'")]
    {
        let pid = start(|| Err(status.into()))?;
        let text = await_text()?;
        let want = want.replace('7', &format!("{pid}"));
        check(text.ends_with(&format!(" {want}")), &text)?;
    }
    Ok(())
}

/// Cut at 127 bytes; nil is success; a bad address is told.
fn status() -> Outcome {
    let long = "0123456789".repeat(30);
    let pid = start(|| Err(long.clone()))?;
    let msg = proc::await_()?;
    same(msg.msg.len(), 127, "bytes of a long one")?;
    check(msg.msg.starts_with(&format!("usertests {pid}: 0123")), &msg.msg)?;
    let pid = start(|| {
        probe::call(no::EXITS, &[0]);
        Ok(())
    })?;
    same(wait(pid)?, "", "nil")?;
    let pid = start(|| {
        probe::call(no::EXITS, &[8]);
        Ok(())
    })?;
    same(wait(pid)?, "invalid exit string", "nowhere")
}

/// Only who made it can wait for it.
fn whose() -> Outcome {
    let pid = start(|| {
        let grandchild = start(|| Err("grandchild".into()))?;
        until_gone(grandchild)?;
        fails(
            child(|| proc::await_().map(drop).map_err(Into::into)).map_err(lib9::Error::from),
            abi::error::ENOCHILD,
            "a sister",
        )?;
        same(wait(grandchild)?, "grandchild", "its parent")
    })?;
    same(wait(pid)?, "", "the child")?;
    fails(proc::await_(), abi::error::ENOCHILD, "a grandparent")
}

fn nowait() -> Outcome {
    let pid = start_with(Rfork::NOWAIT | Rfork::FDG, || Ok(()))?;
    fails(proc::await_(), abi::error::ENOCHILD, "a child without a record")?;
    until_gone(pid)
}

fn newest_first() -> Outcome {
    let mut pids = Vec::new();
    for _ in 0..3 {
        let pid = start(|| Ok(()))?;
        until_gone(pid)?;
        // The record comes after the process has gone.
        proc::sleep(2)?;
        pids.push(pid);
    }
    for pid in pids.iter().rev() {
        same(proc::await_()?.pid, *pid, "which")?;
    }
    Ok(())
}

/// 128 are kept.
fn too_many() -> Outcome {
    let mut last = 0;
    for _ in 0..140 {
        last = start(|| Ok(()))?;
    }
    until_gone(last)?;
    proc::sleep(20)?;
    let mut got = 0;
    while proc::await_().is_ok() {
        got += 1;
    }
    check((128..=140).contains(&got), &format!("{got} records"))
}

/// Little room gets the beginning.
fn cut() -> Outcome {
    let at = arena()?;
    let pid = start(|| Err("status".into()))?;
    let n = int(no::AWAIT, &[at, 5])?;
    check(n <= 5, "more than there is room for")?;
    // What comes after the process is how long it took, which is more than nothing on a busy machine.
    let got = probe::peek(at, n as usize);
    let begins = format!("{pid} ");
    let both = got.len().min(begins.len());
    same(&got[..both], &begins.as_bytes()[..both], "the beginning")?;
    check(got[both..].iter().all(|b| b.is_ascii_digit() || *b == b' '), "times follow")
}

fn interrupted() -> Outcome {
    notes::on(Then::Noted(abi::NCONT))?;
    let pid = start(|| proc::sleep(60_000).map_err(Into::into))?;
    note_in("Await")?;
    fails(proc::await_(), abi::error::EINTR, "await")?;
    ctl(pid, "kill")?;
    same(wait(pid)?, "sys: killed", "afterwards")
}

/// A child outlives its parent; its record goes nowhere.
fn orphans() -> Outcome {
    let [r, w] = fd::pipe()?;
    let pid = start(|| {
        start(|| {
            proc::sleep(20)?;
            fd::write(w, b"x")?;
            Ok(())
        })?;
        Ok(())
    })?;
    same(wait(pid)?, "", "the parent")?;
    fd::close(w)?;
    let mut byte = [0];
    same(fd::read(r, &mut byte)?, 1, "its child goes on")?;
    fails(proc::await_(), abi::error::ENOCHILD, "its record")
}

/// A record's times include those of its children.
fn times() -> Outcome {
    let busy = || {
        let end = proc::nsec() + 60_000_000;
        while proc::nsec() < end {}
        Ok(())
    };
    let pid = start(|| {
        let pid = start(busy)?;
        wait(pid).map(drop)
    })?;
    let msg = proc::await_()?;
    same(msg.pid, pid, "whose")?;
    check(msg.user_ms + msg.sys_ms >= 20, &format!("{} and {} ms", msg.user_ms, msg.sys_ms))?;
    check(msg.real_ms >= 60, &format!("{} ms real", msg.real_ms))?;
    let mine = file::read_string("/dev/cputime")?;
    let n: Vec<u64> = mine.split_whitespace().filter_map(|w| w.parse().ok()).collect();
    same(n.len(), 6, "numbers in cputime")?;
    check(n[3] + n[4] >= 20, &format!("the parent's sum: {mine}"))
}
