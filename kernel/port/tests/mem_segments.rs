//! User memory: brk and attached segments, pages copied, pinned and given back.

mod world;

use std::sync::Arc;

use abi::layout::{USTKSIZE, USTKTOP};
use abi::syscall as call;
use abi::{OREAD, Rfork, SG_CEXEC, SG_RONLY, error};
use machine::host::{self, Cpu};
use port::mem::iobuf::Dst;
use world::{BSS, BSS_LEN, DATA, ENTRY, FAILED, NONE, Sys, World, fork};

fn attach(cpu: &mut Cpu, attr: u32, class: &str, va: u64, len: u64) -> u64 {
    let class = cpu.string(class);
    cpu.syscall(call::SEGATTACH, &[u64::from(attr), class, va, len])
}

#[test]
fn the_break() {
    let w = World::new();
    w.ok(|cpu| {
        let top = BSS + BSS_LEN;
        assert_eq!(cpu.must(call::BRK, &[0]), BSS, "where it begins");
        cpu.store_u64(top - 8, 1);
        assert_eq!(cpu.must(call::BRK, &[top + 1]), 0);
        cpu.store_u64(top + 4088, 2);
        // Less: the pages are gone, and come back as zeros.
        assert_eq!(cpu.must(call::BRK, &[BSS + 1]), 0);
        assert_eq!(cpu.must(call::BRK, &[top]), 0);
        assert_eq!(cpu.load_u64(top - 8), 0);
        assert_eq!(cpu.must(call::BRK, &[BSS]), 0);
        // Within the data there is memory already.
        assert_eq!(cpu.must(call::BRK, &[BSS - 1]), 0);
        assert_eq!(cpu.must(call::BRK, &[DATA]), 0);
        assert_eq!(cpu.must(call::BRK, &[0]), BSS);
        assert_eq!(cpu.fails(call::BRK, &[DATA - 1]), error::ENOVMEM);
        assert_eq!(cpu.fails(call::BRK, &[0x1000]), error::ENOVMEM);
        assert_eq!(cpu.fails(call::BRK, &[BSS + (64 << 30) + 4096]), error::ENOVMEM);
        assert_eq!(cpu.fails(call::BRK, &[u64::MAX]), error::ENOVMEM);
        assert_eq!(cpu.fails(call::BRK, &[USTKTOP]), error::ENOVMEM);
        // Gigabytes cost nothing until they are touched.
        assert_eq!(cpu.must(call::BRK, &[BSS + (60 << 30)]), 0);
        for at in [BSS, BSS + (1 << 30), BSS + (60 << 30) - 8] {
            cpu.store_u64(at, at);
            assert_eq!(cpu.load_u64(at), at);
        }
        fork(cpu, NONE, |cpu| {
            assert_eq!(cpu.load_u64(BSS + (1 << 30)), BSS + (1 << 30));
            cpu.must(call::BRK, &[BSS + 4096]);
        });
        cpu.wait_ok();
        assert_eq!(cpu.load_u64(BSS + (1 << 30)), BSS + (1 << 30));
        cpu.must(call::BRK, &[BSS + 4096]);
        // Something is in the way.
        assert_eq!(attach(cpu, 0, "memory", 0x80_0000, 4096), 0x80_0000);
        assert_eq!(cpu.fails(call::BRK, &[0x80_0001]), error::ESOVERLAP);
        assert_eq!(cpu.must(call::BRK, &[0x80_0000]), 0);
        // Others use it: it cannot shrink under them.
        let go = fork(cpu, Rfork::MEM, |cpu| drop(cpu.sleep_ms(60_000)));
        assert_eq!(cpu.fails(call::BRK, &[BSS + 8192]), error::EINUSE);
        cpu.kill(go);
        cpu.wait();
        assert_eq!(cpu.must(call::BRK, &[BSS + 8192]), 0);
    });
    // Above the break there is nothing.
    let status = w.run(|cpu| cpu.store_u64(BSS + BSS_LEN, 1));
    assert!(status.starts_with("sys: trap: fault write addr=0x502000 "), "{status}");
}

#[test]
fn clearing_what_nobody_touched_takes_no_memory() {
    let w = World::new();
    w.ok(|cpu| {
        const GIB: u64 = 1 << 30;
        let code = DATA + 64;
        cpu.store(code, &[0xf3, 0x48, 0xab]);
        cpu.must(call::BRK, &[BSS + 8 * GIB]);
        let free = machine::mem::free_bytes();
        let clear = |cpu: &mut Cpu, word: u64, from: u64, bytes: u64| {
            (cpu.regs.ax, cpu.regs.di, cpu.regs.cx) = (word, from, bytes / 8);
            cpu.rep_stosq(code);
            assert_eq!((cpu.regs.di, cpu.regs.cx), (from + bytes, 0));
        };
        clear(cpu, 0, BSS + 16, 4 * GIB);
        assert_eq!(machine::mem::free_bytes(), free, "four gigabytes of zeros");
        // What somebody has touched is cleared, and what lies between stays without pages.
        let words = [BSS + 8, BSS + 16, BSS + 4096, BSS + GIB + 4088, BSS + 2 * GIB + 16];
        words.iter().for_each(|&at| cpu.store_u64(at, at));
        let free = machine::mem::free_bytes();
        clear(cpu, 0, BSS + 16, 2 * GIB);
        assert_eq!(machine::mem::free_bytes(), free);
        assert_eq!(words.map(|at| cpu.load_u64(at)), [BSS + 8, 0, 0, 0, BSS + 2 * GIB + 16]);
        // An odd start: the word that straddles two pages is stored like any other.
        clear(cpu, 0, BSS + 3 * GIB + 4, 16_384);
        assert_eq!(cpu.load_u64(BSS + 3 * GIB + 8192), 0);
        // Other values, and other instructions, go page by page.
        clear(cpu, 5, BSS + 5 * GIB, 8192);
        assert_eq!([0, 8184, 8192].map(|at| cpu.load_u64(BSS + 5 * GIB + at)), [5, 5, 0]);
        cpu.store(code, &[0x90]);
        let free = machine::mem::free_bytes();
        clear(cpu, 0, BSS + 6 * GIB, 8192);
        assert!(machine::mem::free_bytes() <= free - 8192, "pages, and perhaps a table for them");
    });
    // It ends where the segment does.
    let status = w.run(|cpu| {
        let code = DATA + 64;
        cpu.store(code, &[0xf3, 0x48, 0xab]);
        (cpu.regs.ax, cpu.regs.di, cpu.regs.cx) = (0, BSS, BSS_LEN / 8 + 1);
        cpu.rep_stosq(code);
    });
    assert!(status.starts_with("sys: trap: fault write addr=0x502000 "), "{status}");
    // Memory that may not be written is not passed over.
    let status = w.run(|cpu| {
        let code = DATA + 64;
        cpu.store(code, &[0xf3, 0x48, 0xab]);
        let at = attach(cpu, SG_RONLY, "memory", 0, 8192);
        (cpu.regs.ax, cpu.regs.di, cpu.regs.cx) = (0, at, 8);
        cpu.rep_stosq(code);
    });
    assert!(status.starts_with("sys: trap: fault write addr="), "{status}");
}

#[test]
fn reading_gigabytes_of_zeros_does_not_take_the_kernel_s_memory() {
    let w = World::new();
    let status = w.run(|cpu| {
        cpu.must(call::BRK, &[BSS + (32 << 30)]);
        let used = (machine::mem::total_bytes() - machine::mem::free_bytes()) / 4096;
        host::limit_pages(used as usize + 200);
        // Less than what the kernel keeps for itself: there is no room for the list of even these pages.
        for at in 0..20_000 {
            assert_eq!(cpu.load_u64(BSS + at * 4096), 0);
        }
    });
    assert!(status.starts_with("sys: trap: out of memory addr="), "{status}");
}

#[test]
fn segments_of_one_s_own() {
    let w = World::new();
    w.ok(|cpu| {
        let at = attach(cpu, 0, "memory", 0, 10_000);
        assert_eq!(at, USTKTOP - USTKSIZE - 12_288, "below the stack");
        cpu.store_u64(at + 12_280, 1);
        let below = attach(cpu, 0, "shared", 0, 4096);
        assert_eq!(below, at - 4096);
        let fixed = attach(cpu, 0, "shared", 0x6000_0123, 4096);
        assert_eq!(fixed, 0x6000_0000);
        // The gap between two is used, when it is large enough.
        cpu.must(call::SEGDETACH, &[at]);
        assert_eq!(attach(cpu, 0, "memory", 0, 12_289), below - 16_384);
        assert_eq!(attach(cpu, 0, "memory", 0, 12_288), at);
        assert_eq!(cpu.load_u64(at + 12_280), 0);

        let mut refused = |attr: u32, class: &str, va: u64, len: u64, text: &str| {
            assert_eq!(attach(cpu, attr, class, va, len), FAILED, "{class} {va:#x} {len}");
            assert_eq!(cpu.errstr(), text, "{class} {va:#x} {len}");
        };
        refused(0, "nonsense", 0, 4096, error::EBADARG);
        refused(0, "memory", 0, 0, error::EBADARG);
        refused(1, "memory", 0, 4096, error::EBADARG);
        refused(0, "memory", 0x1000, 4096, error::EBADARG);
        refused(0, "memory", 0x1f_f000, 0x2000, error::EBADARG);
        refused(0, "memory", 0x20_0000, 4096, error::ESOVERLAP);
        refused(0, "memory", DATA, 4096, error::ESOVERLAP);
        refused(0, "memory", 0x6000_0000, 4096, error::ESOVERLAP);
        refused(0, "memory", 0x5fff_f000, 0x2000, error::ESOVERLAP);
        refused(0, "memory", USTKTOP - 4096, 4096, error::ESOVERLAP);
        refused(0, "memory", USTKTOP, 4096, error::EBADARG);
        refused(0, "memory", 0xffff_8000_0000_0000, 4096, error::EBADARG);
        refused(0, "memory", u64::MAX - 4095, 4096, error::EBADARG);

        // Its end moves, like the break.
        assert_eq!(cpu.must(call::SEGBRK, &[fixed + 5, fixed + 0x3000]), 0);
        cpu.store_u64(fixed + 0x2ff8, 1);
        assert_eq!(cpu.must(call::SEGBRK, &[fixed, fixed + 0x1000]), 0);
        assert_eq!(cpu.fails(call::SEGBRK, &[fixed + 0x1000, fixed + 0x2000]), error::EBADARG, "not in it");
        assert_eq!(cpu.fails(call::SEGBRK, &[fixed, fixed - 1]), error::EBADARG);
        for other in [ENTRY, DATA, BSS, USTKTOP - 8, 0x10] {
            assert_eq!(cpu.fails(call::SEGBRK, &[other, other + 0x10_0000]), error::EBADARG, "{other:#x}");
        }
        assert_eq!(cpu.must(call::SEGDETACH, &[fixed + 0xfff]), 0);
        assert_eq!(cpu.fails(call::SEGDETACH, &[fixed]), error::EBADARG, "it is gone");
        assert_eq!(cpu.fails(call::SEGDETACH, &[USTKTOP - 8]), error::EBADARG, "the stack stays");
        assert_eq!(cpu.fails(call::SEGDETACH, &[0x10]), error::EBADARG);
    });
    let status = w.run(|cpu| {
        let at = attach(cpu, SG_RONLY, "memory", 0x6000_0000, 4096);
        assert_eq!(cpu.load_u64(at), 0);
        cpu.store_u64(at, 1);
    });
    assert!(status.starts_with("sys: trap: fault write addr=0x60000000 "), "{status}");
    let status = w.run(|cpu| {
        let at = attach(cpu, 0, "memory", 0x6000_0000, 4096);
        cpu.store_u64(at, 1);
        cpu.must(call::SEGDETACH, &[at]);
        cpu.load_u64(at);
    });
    assert!(status.starts_with("sys: trap: fault read addr=0x60000000 "), "{status}");
}

#[test]
fn shared_is_shared_by_every_fork() {
    let w = World::new();
    w.ok(|cpu| {
        let shared = attach(cpu, 0, "shared", 0x6000_0000, 0x2000);
        let memory = attach(cpu, SG_CEXEC, "memory", 0x7000_0000, 0x2000);
        cpu.store_u64(shared, 1);
        cpu.store_u64(memory, 1);
        fork(cpu, NONE, move |cpu| {
            cpu.store_u64(shared, 2);
            cpu.store_u64(shared + 4096, 2);
            cpu.store_u64(memory, 2);
            // A semaphore in it works between those who share it.
            assert_eq!(cpu.must(call::SEMACQUIRE, &[shared + 64, 1]), 1);
            cpu.must(call::SEMRELEASE, &[shared + 128, 1]);
        });
        cpu.must(call::SEMRELEASE, &[shared + 64, 1]);
        assert_eq!(cpu.must(call::SEMACQUIRE, &[shared + 128, 1]), 1);
        cpu.wait_ok();
        assert_eq!([cpu.load_u64(shared), cpu.load_u64(shared + 4096), cpu.load_u64(memory)], [2, 2, 1]);
        fork(cpu, Rfork::MEM, move |cpu| cpu.store_u64(memory + 8, 3));
        cpu.wait_ok();
        assert_eq!(cpu.load_u64(memory + 8), 3);
    });
}

#[test]
fn who_forks_may_read_on_and_pays_for_what_is_written() {
    let w = World::new();
    w.ok(|cpu| {
        for page in 0..8 {
            cpu.store_u64(BSS + page * 4096, page);
        }
        let faults = || machine::cpu::stats().iter().map(|cpu| cpu.faults).sum::<u64>();
        fork(cpu, NONE, |cpu| {
            cpu.store_u64(BSS, 99);
            assert_eq!(cpu.load_u64(BSS + 4096), 1);
        });
        cpu.wait_ok();
        let before = faults();
        let read: Vec<u64> = (0..8).map(|page| cpu.load_u64(BSS + page * 4096)).collect();
        assert_eq!((read, faults() - before), ((0..8).collect(), 0));
        cpu.store_u64(BSS, 7);
        cpu.store_u64(BSS + 8, 8);
        assert_eq!((cpu.load_u64(BSS), faults() - before), (7, 1));
    });
}

#[test]
fn pages_can_be_given_back() {
    let w = World::new();
    w.ok(|cpu| {
        for page in 0..4 {
            cpu.store_u64(BSS + page * 4096, 7);
        }
        cpu.must(call::SEGFREE, &[BSS, 0]);
        let free = machine::mem::free_bytes();
        // Whole pages only.
        assert_eq!(cpu.must(call::SEGFREE, &[BSS + 1, 3 * 4096]), 0);
        assert_eq!(machine::mem::free_bytes(), free + 2 * 4096);
        let left: Vec<u64> = (0..4).map(|page| cpu.load_u64(BSS + page * 4096)).collect();
        assert_eq!(left, [7, 0, 0, 7]);
        for (at, len) in [(0x10, 4096), (BSS, 0x20_0000), (BSS + BSS_LEN, 1), (0x30_0000, 10)] {
            assert_eq!(cpu.fails(call::SEGFREE, &[at, len]), error::EBADARG, "{at:#x}");
        }
        // Data come from the file again.
        cpu.store_u64(DATA, 99);
        assert_eq!(cpu.must(call::SEGFREE, &[DATA, 4096]), 0);
        assert_eq!(cpu.load_u64(DATA), 0x0706_0504_0302_0100);
    });
}

#[test]
fn everything_is_given_back_at_the_end() {
    let w = World::new();
    let run = || {
        w.ok(|cpu| {
            for at in 0..40 {
                cpu.store_u64(BSS + at * 4096, 1);
            }
            let shared = attach(cpu, 0, "shared", 0, 0x10_000);
            cpu.store_u64(shared, 1);
            for flags in [NONE, Rfork::MEM, NONE] {
                fork(cpu, flags, |cpu| {
                    cpu.store_u64(BSS, 2);
                    fork(cpu, NONE, |cpu| cpu.store_u64(BSS + 4096, 3));
                    cpu.wait_ok();
                });
            }
            (0..3).for_each(|_| cpu.wait_ok());
        });
        // The last thread may still be on its way out.
        let mut free = machine::mem::free_bytes();
        loop {
            std::thread::sleep(std::time::Duration::from_millis(5));
            let now = machine::mem::free_bytes();
            if now == free {
                return free;
            }
            free = now;
        }
    };
    let first = run();
    for _ in 0..3 {
        assert_eq!(run(), first);
    }
    // All but the program's own pages, which are kept for the next.
    assert!(w.t.kernel.images.reclaim());
    assert!(machine::mem::free_bytes() > first);
}

/// A device writes into a page while its owner forks: the bytes must get to the parent, and only there.
#[test]
fn a_fork_while_a_page_is_pinned() {
    use abi::{Dir, Qid};
    use machine::lock::Lock;
    use machine::page::Pinned;
    use machine::sync::Completion;
    use port::dev::{Dev, Root, Walk};
    use port::name::chan::{Chan, OwnChan};
    use port::{Proc, Result};

    /// A device that holds on to the pages of a read until it is told to fill them.
    struct Slow {
        reading: Completion<()>,
        go: Completion<()>,
        pins: Lock<Vec<Pinned>>,
    }
    impl Dev for Slow {
        fn letter(&self) -> char {
            'Z'
        }
        fn name(&self) -> &'static str {
            "slow"
        }
        fn attach(&self, _: &Arc<Proc>, _: &str) -> Result<Root> {
            Ok(Root { qid: Qid::file(1), ..Root::default() })
        }
        fn walk(&self, _: &Arc<Proc>, c: &Chan, _: &[&str]) -> Result<Walk> {
            Ok(Walk { qids: vec![].into(), chan: Some(c.derive(c.qid, None)), why: None })
        }
        fn stat(&self, _: &Arc<Proc>, _: &Chan) -> Result<Dir> {
            Ok(Dir::default())
        }
        fn open(&self, _: &Arc<Proc>, mut c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
            c.mode = Some(mode);
            Ok(c.share())
        }
        fn read(&self, _: &Arc<Proc>, _: &Chan, dst: &mut Dst<'_>, _: u64) -> Result<usize> {
            *self.pins.lock() = dst.pin(0, dst.len())?.unwrap();
            self.reading.put(());
            self.go.wait();
            let pins = std::mem::take(&mut *self.pins.lock());
            pins.iter().for_each(|p| p.write(0, &vec![0xdd; p.len()]));
            Ok(dst.len())
        }
    }
    let slow =
        Arc::new(Slow { reading: Completion::new(), go: Completion::new(), pins: Lock::new(Vec::new()) });
    let w = World::with(vec![slow.clone()]);
    w.ok(move |cpu| {
        for at in [BSS, BSS + 4096, BSS + 8192] {
            cpu.store_u64(at, 1);
        }
        // Another process of the same memory reads, this one forks meanwhile.
        fork(cpu, Rfork::MEM, |cpu| {
            let fd = cpu.open("#Z", OREAD);
            assert_eq!(cpu.must(call::PREAD, &[fd, BSS + 8, 8192, 0]), 8192);
        });
        slow.reading.wait();
        cpu.store_u64(BSS + 16384, 0);
        fork(cpu, NONE, |cpu| {
            assert_eq!([cpu.load_u64(BSS), cpu.load_u64(BSS + 16)], [1, 0]);
            cpu.store_u64(BSS, 2);
            cpu.sleep_ms(20);
            assert_eq!([cpu.load_u64(BSS), cpu.load_u64(BSS + 16)], [2, 0], "the bytes are not meant for it");
        });
        slow.go.put(());
        // Either may be first.
        cpu.wait_ok();
        cpu.wait_ok();
        assert_eq!([cpu.load_u64(BSS), cpu.load_u64(BSS + 16)], [1, 0xdddd_dddd_dddd_dddd]);
        assert_eq!(cpu.load_u64(BSS + 4096), 0xdddd_dddd_dddd_dddd);
        assert_eq!(cpu.load_u64(BSS + 8200), 0);
    });
}
