//! Processes that a fault ended and that are kept for a debugger.
#![allow(missing_docs, clippy::unwrap_used)]

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use abi::syscall as call;
use abi::{OREAD, OWRITE, error};
use port::Proc;
use port::call::sysfile;
use port::mem::iobuf::{Dst, Src};
use port::proc::broken;
use world::{DATA, World};

fn read(w: &World, pid: u32, name: &str) -> port::Result<Vec<u8>> {
    let fd = sysfile::open(&w.t.up, &format!("/proc/{pid}/{name}"), OREAD)?;
    let mut buf = vec![0; 4096];
    let n = sysfile::pread(&w.t.up, fd, &mut Dst::Kernel(&mut buf), 0);
    sysfile::close(&w.t.up, fd)?;
    buf.truncate(n?);
    Ok(buf)
}

fn ctl(w: &World, pid: u32, message: &str) -> port::Result<usize> {
    let fd = sysfile::open(&w.t.up, &format!("/proc/{pid}/ctl"), OWRITE)?;
    let n = sysfile::pwrite(&w.t.up, fd, &Src::Kernel(message.as_bytes()), -1);
    sysfile::close(&w.t.up, fd)?;
    n
}

/// A program that writes to nowhere, and is kept.
fn breaks(w: &World) -> Arc<Proc> {
    let p = w.start(&["prog"], |cpu| {
        cpu.store_u64(DATA, 0x1234_5678);
        cpu.regs.bx = 0x4242;
        cpu.store_u64(0x10, 1);
    });
    let msg = w.wait().msg;
    assert!(msg.contains("sys: trap: fault write addr=0x10 pc=0x"), "{msg}");
    p
}

#[test]
fn what_a_debugger_wants_is_there() {
    let w = World::new();
    let p = breaks(&w);
    let status = String::from_utf8(read(&w, p.pid, "status").unwrap()).unwrap();
    assert_eq!(status[56..68].trim(), "Broken");
    let regs = read(&w, p.pid, "regs").unwrap();
    assert_eq!(regs[8..16], 0x4242u64.to_le_bytes());
    assert_eq!(read(&w, p.pid, "fpregs").unwrap().len(), 512);
    assert!(String::from_utf8(read(&w, p.pid, "segment").unwrap()).unwrap().contains("Stack "));
    let fds = String::from_utf8(read(&w, p.pid, "fd").unwrap()).unwrap();
    assert!(fds.starts_with("/\n"), "{fds}");
    assert!(String::from_utf8(read(&w, p.pid, "ns").unwrap()).unwrap().contains("bind"));
    assert!(read(&w, p.pid, "text").unwrap().starts_with(&[0, 0, 0x8a, 0x97]));
    let fd = sysfile::open(&w.t.up, &format!("/proc/{}/mem", p.pid), OREAD).unwrap();
    let mut word = [0; 8];
    sysfile::pread(&w.t.up, fd, &mut Dst::Kernel(&mut word), DATA as i64).unwrap();
    assert_eq!(u64::from_le_bytes(word), 0x1234_5678);
    // Its own files are closed.
    assert!(p.fgrp().list().next().is_none());
}

#[test]
fn nothing_but_kill_wakes_it() {
    let w = World::new();
    let p = breaks(&w);
    for message in ["start", "stop", "waitstop", "hang"] {
        assert_eq!(ctl(&w, p.pid, message).unwrap_err().text(), error::EBADCTL, "{message}");
    }
    let fd = sysfile::open(&w.t.up, &format!("/proc/{}/note", p.pid), OWRITE).unwrap();
    let posted = sysfile::pwrite(&w.t.up, fd, &Src::Kernel(b"x"), -1);
    assert_eq!(posted.unwrap_err().text(), error::EPROCDIED);
    ctl(&w, p.pid, "kill").unwrap();
    assert!(read(&w, p.pid, "status").is_err());
    assert!(p.mem.segments().unwrap().is_empty());
    assert!(!broken::release(&p));
}

#[test]
fn the_last_four_are_kept() {
    let w = World::new();
    let all: Vec<_> = (0..broken::KEPT + 2).map(|_| breaks(&w)).collect();
    let kept: Vec<_> = all.iter().map(|p| read(&w, p.pid, "status").is_ok()).collect();
    assert_eq!(kept, [false, false, true, true, true, true]);
    assert!(broken::release_all(&w.t.kernel));
    assert!(all.iter().all(|p| p.mem.segments().unwrap().is_empty()));
}

/// A record tells of the times of the children as well.
#[test]
fn times_of_children_count() {
    let w = World::new();
    let told = Arc::new(AtomicBool::new(false));
    let may_end = told.clone();
    let p = w.start(&["prog"], move |cpu| {
        while !may_end.load(Ordering::SeqCst) {
            cpu.syscall(call::SLEEP, &[1]);
        }
        cpu.syscall(call::EXITS, &[0]);
    });
    p.children.lock().times_ms = [1000, 2000, 9000];
    told.store(true, Ordering::SeqCst);
    let record = w.wait();
    assert!(record.times_ms[0] >= 1000 && record.times_ms[1] >= 2000, "{record:?}");
    assert!(record.times_ms[2] < 9000, "{record:?}");
}
