//! Programs of the kernel's image, which run where they lie.

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::{ORDWR, syscall as call};
use machine::host::{Cpu, program_at};
use machine::mem::free_bytes;
use port::testkit::{tar, tar_member};
use world::procfs::ctl;
use world::{BSS, DATA, DATA_LEN, ENTRY, NONE, Sys, World, fork, prog};

/// Where the text of the program ends, and its data begin, in the file: at a page.
const TEXT: usize = 0x3000;

/// A machine in whose root the program is as it is, between other files.
fn world() -> World {
    let mut archive = tar(&[("lib/small", "a few bytes")]);
    archive.truncate(archive.len() - 1024);
    tar_member(&mut archive, "bin/prog", b'0', "", &prog());
    tar_member(&mut archive, "man/long", b'0', "", &[b'x'; 70_000]);
    World::of(vec![], vec![pack::pack(&archive, &["bin", "lib"]).unwrap()])
}

/// Runs the program of the root.
fn run(w: &World, code: impl Fn(&mut Cpu) + Send + Sync + 'static) {
    program_at(ENTRY, move |cpu| {
        code(cpu);
        cpu.syscall(call::EXITS, &[0]);
    });
    w.start_file("/bin/prog", &["prog"]);
    assert_eq!(w.wait().msg, "");
}

#[test]
fn text_is_mapped_where_it_lies() {
    let w = world();
    let took = Arc::new(AtomicU64::new(u64::MAX));
    let told = took.clone();
    run(&w, move |cpu| {
        let before = free_bytes();
        let mut page = [0; 4096];
        for at in (0..TEXT).step_by(4096) {
            cpu.load(0x20_0000 + at as u64, &mut page);
            assert!(page[..] == prog()[at..at + 4096], "page at {at:#x}");
        }
        told.store(before - free_bytes(), Ordering::SeqCst);
    });
    assert_eq!(took.load(Ordering::SeqCst), 0);
    assert_eq!(w.t.read("/bin/prog").unwrap(), prog());
}

/// (On the host a write to such a page panics, as it faults on the machine.)
#[test]
fn what_is_written_is_copied_before() {
    let w = world();
    for _ in 0..2 {
        run(&w, |cpu| {
            // The first page of the data is whole, the second is not.
            let mut data = [0; DATA_LEN as usize];
            cpu.load(DATA, &mut data);
            assert!(data.iter().enumerate().all(|(i, b)| *b == i as u8));
            cpu.store_u64(DATA, 99);
            cpu.store_u64(DATA + 0x1000, 99);
            assert_eq!((cpu.load_u64(DATA), cpu.load_u64(DATA + 0x1000)), (99, 99));
            let was = cpu.load_u64(ENTRY);
            let pid = fork(cpu, NONE, |cpu| {
                while cpu.load_u64(BSS + 8) == 0 {
                    cpu.sleep_ms(1);
                }
                assert_eq!(cpu.load_u64(ENTRY), 7, "the debugger's");
            });
            ctl(cpu, pid, "stop");
            let mem = cpu.open(&format!("/proc/{pid}/mem"), ORDWR);
            cpu.store_u64(BSS + 100, 7);
            assert_eq!(cpu.must(call::PWRITE, &[mem, BSS + 100, 8, ENTRY]), 8);
            assert_eq!(cpu.must(call::PWRITE, &[mem, BSS + 100, 8, BSS + 8]), 8);
            assert_eq!(cpu.load_u64(ENTRY), was, "the kernel's");
            ctl(cpu, pid, "start");
            cpu.wait_ok();
        });
    }
    assert_eq!(w.t.read("/bin/prog").unwrap(), prog());
}
