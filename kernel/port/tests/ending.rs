//! The power button: processes are told, those that stay are killed, devices finish, the power goes off.

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use abi::NCONT;
use abi::syscall as call;
use io::{Disk, DiskError};
use machine::host::program_at;
use machine::page::Pinned;
use port::dev::sd::Sd;
use world::notes::{handed, noted};
use world::{HANDLER, NONE, Sys, World, fork, told};

/// A disk that counts how often it was flushed, and fails at that.
#[derive(Default)]
struct Flushed(AtomicU64);

impl Disk for Flushed {
    fn name(&self) -> String {
        "virtio-block-0".into()
    }
    fn serial(&self) -> String {
        String::new()
    }
    fn sector_size(&self) -> u32 {
        512
    }
    fn sectors(&self) -> u64 {
        8
    }
    fn writable(&self) -> bool {
        true
    }
    fn read(&self, _: u64, _: Vec<Pinned>, _: &dyn Fn() -> bool) -> Result<(), DiskError> {
        Err(DiskError::Failed)
    }
    fn write(&self, _: u64, _: Vec<Pinned>, _: &dyn Fn() -> bool) -> Result<(), DiskError> {
        Err(DiskError::Failed)
    }
    fn flush(&self, leave: &dyn Fn() -> bool) -> Result<(), DiskError> {
        assert!(!leave(), "there is time");
        self.0.fetch_add(1, SeqCst);
        Err(DiskError::Failed)
    }
}

/// A world with this disk whose power button is listened to, and whose first process is not to be waited for.
fn world() -> (World, Arc<Flushed>) {
    let disk = Arc::new(Flushed::default());
    let w = World::with(vec![Sd::new(vec![disk.clone()])]);
    w.t.cons.start(&w.t.kernel).unwrap();
    (w, disk)
}

#[test]
fn everybody_is_told_and_the_disks_are_flushed() {
    let (w, disk) = world();
    let heard = told();
    let hear = heard.clone();
    program_at(HANDLER, move |cpu| {
        let (_, text) = handed(cpu);
        hear.lock().unwrap().push(text);
        cpu.syscall(call::EXITS, &[0]);
    });
    let listens = Arc::new(AtomicBool::new(false));
    let set = listens.clone();
    w.start(&["prog"], move |cpu| {
        fork(cpu, NONE, |cpu| {
            cpu.syscall(call::SLEEP, &[60_000]);
        });
        cpu.must(call::NOTIFY, &[HANDLER]);
        set.store(true, SeqCst);
        cpu.syscall(call::SLEEP, &[60_000]);
    });
    while !listens.load(SeqCst) {
        std::thread::yield_now();
    }
    w.t.kernel.ending.press();
    while !w.t.kernel.ending.has_begun() {
        std::thread::yield_now();
    }
    // As init does when its shell has ended: it waits, and does not switch off what others are still at.
    let halted = w.t.write("/dev/reboot", b"halt").unwrap_err();
    assert!(halted.is(abi::error::EINTR), "{halted}");
    while heard.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    // The test's own process does not go away by being killed, so the rest is hurried.
    w.t.kernel.ending.press();
    while w.t.power.pressed().is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(w.t.power.pressed(), ["off"]);
    assert_eq!(disk.0.load(SeqCst), 1);
    assert_eq!(*heard.lock().unwrap(), ["hangup"]);
    assert_eq!(w.live(), 0);
    let said = w.t.screen.take();
    assert!(said.contains("sd: sdF0: not everything written is on the medium: "), "{said}");
    assert!(said.trim_end().ends_with("power: off"), "{said}");
}

#[test]
fn who_does_not_go_is_killed() {
    let (w, disk) = world();
    program_at(HANDLER, |cpu| noted(cpu, NCONT));
    let listens = Arc::new(AtomicBool::new(false));
    let set = listens.clone();
    w.start(&["stays"], move |cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        set.store(true, SeqCst);
        loop {
            cpu.syscall(call::SLEEP, &[60_000]);
        }
    });
    while !listens.load(SeqCst) {
        std::thread::yield_now();
    }
    w.t.kernel.ending.press();
    while !w.t.kernel.ending.has_begun() {
        std::thread::yield_now();
    }
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(w.live(), 1, "it took no notice");
    // Pressed again: no time to wait.
    w.t.kernel.ending.press();
    assert!(w.t.write("/dev/reboot", b"halt").is_err());
    w.t.kernel.ending.press();
    while w.t.power.pressed().is_empty() {
        std::thread::yield_now();
    }
    assert_eq!((w.live(), disk.0.load(SeqCst)), (0, 1));
    let said = w.t.screen.take();
    assert!(said.contains("power: killed processes: "), "{said}");
}

#[test]
fn halting_flushes_the_disks() {
    let (w, disk) = world();
    w.t.write("/dev/reboot", b"halt").unwrap();
    w.t.write("/dev/reboot", b"reboot").unwrap();
    assert_eq!(w.t.power.pressed(), ["off", "reset"]);
    assert_eq!(disk.0.load(SeqCst), 2);
}
