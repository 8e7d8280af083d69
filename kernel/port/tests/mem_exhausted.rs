//! What happens when there is no memory left: to who wants more, and to nobody else.

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use abi::syscall as call;
use abi::{NCONT, OREAD, Rfork, error};
use machine::host::{self, program_at};
use machine::page::Page;
use world::{BSS, FAILED, HANDLER, NONE, Sys, World, fork};

#[test]
fn a_program_that_takes_all_memory_dies_alone() {
    let w = World::new();
    host::limit_pages(4000);
    let other = Arc::new(AtomicBool::new(false));
    let done = other.clone();
    w.ok(move |cpu| {
        cpu.must(call::BRK, &[BSS + (1 << 30)]);
        let hungry = fork(cpu, NONE, |cpu| {
            for page in 0.. {
                cpu.store_u64(BSS + page * 4096, 1);
            }
        });
        let record = cpu.wait();
        assert!(
            record.starts_with(&format!("{hungry} "))
                && record.contains(": sys: trap: out of memory addr=0x"),
            "{record}"
        );
        assert!(machine::mem::free_bytes() > 3000 * 4096, "it is not kept for a debugger");
        // All is well with the others.
        fork(cpu, NONE, |cpu| {
            (0..1000).for_each(|page| cpu.store_u64(BSS + page * 4096, 1));
            assert_eq!(cpu.file("/dev/osversion"), "2000");
        });
        cpu.wait_ok();
        done.store(true, Ordering::SeqCst);
    });
    assert!(other.load(Ordering::SeqCst));
    assert!(w.t.screen.take().contains(": out of memory"));
}

/// A program of several processes, as Go's are. Its handler does not help, and one process alone would free nothing.
#[test]
fn who_needs_memory_in_vain_twice_dies_with_all_that_share_it() {
    let w = World::new();
    let told = Arc::new(AtomicU64::new(0));
    let noted = told.clone();
    program_at(HANDLER, move |cpu| {
        let text = cpu.load_u64(cpu.regs.sp + 16);
        assert!(world::cstring(cpu, text).starts_with("sys: trap: out of memory addr=0x"));
        noted.fetch_add(1, Ordering::SeqCst);
        cpu.syscall(call::NOTED, &[NCONT as u64]);
    });
    host::limit_pages(4000);
    w.ok(|cpu| {
        let program = fork(cpu, NONE, |cpu| {
            cpu.must(call::BRK, &[BSS + (1 << 30)]);
            cpu.must(call::NOTIFY, &[HANDLER]);
            fork(cpu, Rfork::MEM, |cpu| drop(cpu.sleep_ms(600_000)));
            for page in 0.. {
                cpu.store_u64(BSS + page * 4096, 1);
            }
        });
        let record = cpu.wait();
        assert!(record.starts_with(&format!("{program} ")) && record.ends_with(": sys: killed'"), "{record}");
        // The other one goes as well, and with it the memory.
        while machine::mem::free_bytes() < 3000 * 4096 {
            cpu.sleep_ms(1);
        }
    });
    assert_eq!(told.load(Ordering::SeqCst), 1);
    assert!(w.t.screen.take().contains(": killed: out of memory"));
}

#[test]
fn calls_without_memory_fail_and_the_process_lives() {
    let w = World::new();
    let fds = Arc::new(AtomicU64::new(0));
    let seen = fds.clone();
    w.ok(move |cpu| {
        let fd = cpu.open("/n/prog", OREAD);
        cpu.must(call::BRK, &[BSS + (1 << 30)]);
        let stack = cpu.push(&[0; 256]);
        // A limit that leaves some hundred pages beyond the kernel's reserve.
        let used = (machine::mem::total_bytes() - machine::mem::free_bytes()) / 4096;
        host::limit_pages(used as usize + 600);
        let mut at = BSS;
        // Reading takes what is left, and says so when nothing is.
        loop {
            let n = cpu.syscall(call::PREAD, &[fd, at, 4096, 0]);
            if n == FAILED {
                break;
            }
            at += 4096;
        }
        cpu.must(call::ERRSTR, &[stack, 128]);
        assert_eq!(world::cstring(cpu, stack), error::ENOVMEM);
        seen.store((at - BSS) / 4096, Ordering::SeqCst);
        // Making processes and files is refused, kindly.
        assert_eq!(cpu.syscall(call::RFORK, &[u64::from(Rfork::PROC.bits())]), FAILED);
        cpu.must(call::ERRSTR, &[stack, 128]);
        assert_eq!(world::cstring(cpu, stack), error::ENOMEM);
        // With memory everything is as before.
        host::limit_pages(host::DEFAULT_PAGES);
        assert_eq!(cpu.must(call::PREAD, &[fd, at, 100, 0]), 100);
        fork(cpu, NONE, |_| {});
        cpu.wait_ok();
    });
    assert!(fds.load(Ordering::SeqCst) > 200);
}

/// A fork that fails in the middle leaves nothing behind: no users of segments, no pages.
#[test]
fn a_fork_that_fails_leaves_nothing() {
    use machine::space::Prot;
    use port::mem::{Kind, Segment};
    let w = World::new();
    let up = &w.t.up;
    let data = Prot { write: true, exec: false };
    for (kind, base) in [(Kind::Shared, 0x40_0000), (Kind::Bss, 0x80_0000), (Kind::Stack, 0xc0_0000)] {
        up.mem.add(Segment::new(kind, base, base + 0x10_000, data, None)).unwrap();
        up.mem.copy_out(base, &[1; 0x8000]).unwrap();
    }
    // Pages that a device works on have to be copied at once.
    let pins = up.mem.pin(0xc0_0000, 0x8000, true).unwrap();
    let total = machine::mem::total_bytes() / 4096;
    let used = || (machine::mem::total_bytes() - machine::mem::free_bytes()) / 4096;
    let before = used();
    for spare in 0..8 {
        host::limit_pages((before + spare + 1) as usize + host::KERNEL_RESERVE);
        let forked = up.mem.fork(up, false);
        assert!(forked.is_err_and(|e| e.is(error::ENOVMEM)), "{spare} pages");
        assert_eq!(used(), before);
    }
    host::limit_pages(total as usize);
    assert!(up.mem.segments().unwrap().iter().all(|s| s.users() == 1));
    let child = up.mem.fork(up, false).unwrap();
    assert_eq!(up.mem.segments().unwrap().iter().map(|s| s.users()).collect::<Vec<_>>(), [2, 1, 1]);
    drop((child, pins));
    assert!(up.mem.segments().unwrap().iter().all(|s| s.users() == 1));
    assert_eq!(used(), before);
}

/// What is kept of programs' files is given back before anybody is refused: not only when a page is wanted itself, but
/// when a process is, or what notes where a page is.
#[test]
fn what_is_kept_of_files_is_in_nobodys_way() {
    const PAGES: u64 = 600;
    let w = World::new();
    host::limit_pages(4000);
    w.install("/n/large", &world::aout(world::ENTRY, &[1; PAGES as usize * 4096], 4096));
    let run_large = || {
        program_at(world::ENTRY, |cpu| {
            (0..PAGES).for_each(|page| assert_eq!(cpu.load_u64(world::DATA + page * 4096) & 0xff, 1));
            cpu.syscall(call::EXITS, &[0]);
        });
        w.start_file("/n/large", &["large"]);
        assert_eq!(w.wait().msg, "");
    };
    fn free() -> u64 {
        machine::mem::free_bytes() / 4096
    }
    // All but so many pages that without what is kept there would be too few.
    fn rest() -> Vec<Page> {
        let new = |_| (free() > 250).then(|| Page::new_zeroed().ok()).flatten();
        machine::ledger::as_kernel(|| (0..4000).map_while(new).collect())
    }
    run_large();
    w.ok(move |cpu| {
        let rest = rest();
        assert!(!machine::heap::is_granted() && rest.len() > 1000);
        fork(cpu, NONE, |_| {});
        cpu.wait_ok();
        assert!(free() > 250 + PAGES / 2, "{}", free());
    });
    run_large();
    w.ok(move |cpu| {
        cpu.must(call::BRK, &[BSS + (1 << 30)]);
        let rest = rest();
        assert!(!machine::heap::is_granted() && rest.len() > 1000);
        (0..200).for_each(|page| cpu.store_u64(BSS + (page + 16) * 4096, 1));
    });
}
