//! Who pays for memory, what users may have of it, and who goes when there is none left.

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use abi::syscall as call;
use abi::{OREAD, OWRITE, Rfork, error};
use machine::heap;
use machine::host::{self, Cpu};
use machine::page::Page;
use world::{BSS, FAILED, NONE, Sys, World, fork};

/// The bytes on the bill of the owner, or of all others, as a program reads them.
fn bill_of(cpu: &mut Cpu, who: &str) -> u64 {
    let text = cpu.file("/dev/swap");
    let ends = format!(" bill {who}");
    let line = text.lines().find(|l| l.ends_with(&ends)).unwrap_or_else(|| panic!("{text}"));
    line.split(' ').next().unwrap().parse().unwrap()
}

/// The memory column of a status, in bytes.
fn memory_of(cpu: &mut Cpu, pid: u64) -> u64 {
    let text = cpu.file(&format!("/proc/{pid}/status"));
    assert_eq!(text.len(), 176);
    text.get(68 + 6 * 12..68 + 7 * 12).unwrap().trim().parse::<u64>().unwrap() * 1024
}

fn touch(cpu: &mut Cpu, pages: u64) {
    cpu.must(call::BRK, &[BSS + (1 << 30)]);
    (0..pages).for_each(|page| cpu.store_u64(BSS + (page + 16) * 4096, 1));
}

fn until(what: &str, mut it_is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !it_is() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn pages_are_on_the_bill_of_who_made_them_until_they_are_gone() {
    let w = World::new();
    w.ok(|cpu| {
        let before = bill_of(cpu, "glenda");
        let child = fork(cpu, NONE, |cpu| {
            touch(cpu, 1000);
            cpu.sleep_ms(600_000);
        });
        while memory_of(cpu, child) < 4_000_000 {
            cpu.sleep_ms(1);
        }
        assert!(memory_of(cpu, child) < 4_500_000);
        assert!(bill_of(cpu, "glenda") >= before + 4_000_000);
        assert_eq!(bill_of(cpu, "others"), 0);
        cpu.kill(child);
        cpu.wait();
        // What remains is what it takes to ask.
        while bill_of(cpu, "glenda") > before + 3_000_000 {
            cpu.sleep_ms(1);
        }
    });
}

#[test]
fn a_bill_goes_with_its_process_to_another_user() {
    let w = World::new();
    w.ok(|cpu| {
        let child = fork(cpu, NONE, |cpu| {
            touch(cpu, 500);
            cpu.echo("none", "/dev/user");
            touch(cpu, 1000);
            cpu.sleep_ms(600_000);
        });
        while bill_of(cpu, "others") < 4_000_000 {
            cpu.sleep_ms(5);
        }
        // Less than the child had before. Each look takes two pages of this program's, and a busy host makes it many.
        assert!(bill_of(cpu, "glenda") < 2_000_000);
        cpu.kill(child);
        cpu.wait();
        while bill_of(cpu, "others") > 0 {
            cpu.sleep_ms(1);
        }
    });
}

#[test]
fn others_have_half_of_memory_and_the_owner_the_rest() {
    let w = World::new();
    let free = Arc::new(AtomicU64::new(0));
    let seen = free.clone();
    // The limits are those of the machine as it was made: a gigabyte. Memory is not used up.
    w.ok(move |cpu| {
        let child = fork(cpu, NONE, |cpu| {
            cpu.echo("none", "/dev/user");
            touch(cpu, 1 << 18);
        });
        let record = cpu.wait();
        assert!(record.starts_with(&format!("{child} ")) && record.contains(": out of memory"), "{record}");
        seen.store(machine::mem::free_bytes(), Ordering::SeqCst);
    });
    assert!(free.load(Ordering::SeqCst) > 400 << 20);
    let text = w.t.screen.take();
    assert!(text.contains(": out of memory"), "{text}");
}

#[test]
fn a_user_that_is_not_the_owner_has_half_of_the_processes() {
    let w = World::new();
    w.ok(|cpu| {
        fork(cpu, NONE, |cpu| {
            cpu.echo("none", "/dev/user");
            let mut children = 0;
            let refused = loop {
                let pid = cpu.fork(call::RFORK, &[u64::from((Rfork::PROC | Rfork::NOWAIT).bits())], |cpu| {
                    cpu.sleep_ms(600_000);
                });
                if pid == FAILED {
                    break cpu.errstr();
                }
                children += 1;
                assert!(children < 3000);
            };
            assert_eq!((refused.as_str(), children), (error::ENOPROC, 1999));
        });
        cpu.wait_ok();
        // The owner still makes processes, and kills.
        fork(cpu, NONE, |cpu| assert_eq!(cpu.file("/dev/osversion"), "2000"));
        cpu.wait_ok();
        let all = cpu.open("/proc", OREAD);
        cpu.close(all);
    });
    let procs: Vec<_> = w.t.kernel.procs.lock().values().cloned().collect();
    procs.iter().filter(|p| *p.user() == *"none").for_each(|p| port::proc::procctl::kill(p));
    until("the children", || w.live() == 0);
}

#[test]
fn an_innocent_process_lives_on_beside_one_that_eats() {
    let w = World::new();
    host::limit_pages(4000);
    let ready = Arc::new(AtomicBool::new(false));
    let eaten = ready.clone();
    w.ok(move |cpu| {
        touch(cpu, 0);
        let eaten = eaten.clone();
        // It takes nearly all of memory and then asks for nothing more.
        let eater = fork(cpu, NONE, move |cpu| {
            let free = machine::mem::free_bytes() / 4096;
            touch(cpu, free - 500);
            eaten.store(true, Ordering::SeqCst);
            cpu.sleep_ms(600_000);
        });
        // It was there before and has much, too, but asks for no more either.
        let younger = fork(cpu, NONE, |cpu| {
            touch(cpu, 20);
            cpu.sleep_ms(600_000);
        });
        while !ready.load(Ordering::SeqCst) {
            cpu.sleep_ms(1);
        }
        touch(cpu, 1000);
        let record = cpu.wait();
        assert!(record.starts_with(&format!("{eater} ")) && record.ends_with(": sys: killed'"), "{record}");
        assert_eq!(cpu.load_u64(BSS + 17 * 4096), 1);
        cpu.kill(younger);
        cpu.wait();
    });
    let text = w.t.screen.take();
    assert!(text.contains(": killed: out of memory") && !text.contains("suicide"), "{text}");
}

/// `noswap`, as the owner's scripts write it for his servers: another one that wants memory goes itself then. What it
/// says holds for children.
#[test]
fn what_the_owner_keeps_does_not_go() {
    for kept in [false, true] {
        let w = World::new();
        host::limit_pages(4000);
        w.ok(move |cpu| {
            if kept {
                let own = format!("/proc/{}/ctl", cpu.pid());
                cpu.echo("noswap", &own);
            }
            let ready = Arc::new(AtomicBool::new(false));
            let eaten = ready.clone();
            let eater = fork(cpu, NONE, move |cpu| {
                let free = machine::mem::free_bytes() / 4096;
                touch(cpu, free - 500);
                eaten.store(true, Ordering::SeqCst);
                cpu.sleep_ms(600_000);
            });
            while !ready.load(Ordering::SeqCst) {
                cpu.sleep_ms(1);
            }
            let asker = fork(cpu, NONE, |cpu| touch(cpu, 1000));
            let record = cpu.wait();
            let (goes, why) = if kept { (asker, "out of memory") } else { (eater, ": sys: killed'") };
            assert!(record.starts_with(&format!("{goes} ")) && record.contains(why), "{kept}: {record}");
            if kept {
                cpu.kill(eater);
            }
            let record = cpu.wait();
            let rest = if kept { eater } else { asker };
            assert!(record.starts_with(&format!("{rest} ")), "{kept}: {record}");
            assert_eq!(record.ends_with(" ''"), !kept, "{record}");
        });
    }
}

#[test]
fn what_a_parent_left_to_its_child_counts_as_the_child_s() {
    let w = World::new();
    host::limit_pages(6000);
    let ready = Arc::new(AtomicBool::new(false));
    let left = ready.clone();
    w.ok(move |cpu| {
        let left = left.clone();
        fork(cpu, NONE, move |cpu| {
            let free = machine::mem::free_bytes() / 4096;
            touch(cpu, free - 500);
            fork(cpu, Rfork::NOWAIT, move |cpu| {
                left.store(true, Ordering::SeqCst);
                cpu.sleep_ms(600_000);
            });
        });
        cpu.wait_ok();
        while !ready.load(Ordering::SeqCst) {
            cpu.sleep_ms(1);
        }
        touch(cpu, 1000);
    });
    assert!(w.t.screen.take().contains(": killed: out of memory"));
    until("the heir", || w.live() == 0);
}

#[test]
fn another_user_s_processes_do_not_go_for_what_one_wants() {
    let w = World::new();
    host::limit_pages(4000);
    w.ok(|cpu| {
        let at = cpu.push(&[0; 8]);
        cpu.must(call::PIPE, &[at]);
        let (read, write) = (u64::from(cpu.u32_at(at)), u64::from(cpu.u32_at(at + 4)));
        fork(cpu, NONE, move |cpu| {
            let free = machine::mem::free_bytes() / 4096;
            touch(cpu, free - 500);
            cpu.write(write, b"x");
            cpu.sleep_ms(300);
            assert_eq!(cpu.load_u64(BSS + 17 * 4096), 1);
        });
        cpu.read(read, 1);
        fork(cpu, NONE, |cpu| {
            cpu.echo("none", "/dev/user");
            touch(cpu, 1000);
        });
        let records = [cpu.wait(), cpu.wait()];
        assert!(records.iter().any(|r| r.ends_with(" ''")), "{records:?}");
        assert!(records.iter().any(|r| r.contains("out of memory")), "{records:?}");
        let unused = cpu.open("/dev/null", OWRITE);
        cpu.close(unused);
    });
}

#[test]
fn pages_that_only_a_child_has_are_on_the_child_s_bill() {
    let w = World::new();
    w.ok(|cpu| {
        touch(cpu, 500);
        let me = u64::from(cpu.pid());
        let before = memory_of(cpu, me);
        let children = [0; 3].map(|_| {
            let child = fork(cpu, NONE, |cpu| drop(cpu.sleep_ms(600_000)));
            // Copied on write: what was there is the child's alone.
            (0..500).for_each(|page| cpu.store_u64(BSS + (page + 16) * 4096, 2));
            child
        });
        let after = memory_of(cpu, me);
        assert!(after < before + 200_000, "{before} bytes on the bill, then {after}");
        for child in children {
            assert!(memory_of(cpu, child) > 2_000_000);
            cpu.kill(child);
            cpu.wait();
        }
    });
}

/// Reads a line that is typed at the console.
fn a_line(cpu: &mut Cpu, cons: u64, type_it: &dyn Fn()) {
    type_it();
    assert_eq!(cpu.read(cons, 100), b"line\n");
}

/// Processes with small bills that take all of memory, a little at a time, and go on asking for more.
fn swarm(cpu: &mut Cpu, flags: Rfork) {
    let each = 200;
    for _ in 0..machine::mem::free_bytes() / 4096 / each {
        fork(cpu, flags | Rfork::NOWAIT, move |cpu| {
            cpu.must(call::BRK, &[BSS + (1 << 30)]);
            for page in 0..1 << 17 {
                cpu.store_u64(BSS + (page + 16) * 4096, 1);
                cpu.sleep_ms(1);
            }
        });
    }
    assert!((0..10_000).any(|_| machine::mem::free_bytes() < 300 * 4096 || cpu.sleep_ms(1) != 0));
}

/// The console's own program and what it has made are spared while a swarm of the same user's takes memory: one of a
/// group of its own that is still asked for, or one that an earlier line has made.
fn the_next_line_works_beside_a_swarm(flags: Rfork) {
    let w = World::new();
    host::limit_pages(4000);
    w.t.cons.input.start(&w.t.kernel).unwrap();
    let cons = w.t.cons.clone();
    w.ok(move |cpu| {
        let (fd, type_it) = (cpu.open("/dev/cons", OREAD), || cons.input.put(b"line\r"));
        a_line(cpu, fd, &type_it);
        swarm(cpu, flags);
        a_line(cpu, fd, &type_it);
        for _ in 0..3 {
            // It is younger than all of the swarm. The host sets nothing aside, so the swarm may be faster.
            let flags = [u64::from(Rfork::PROC.bits())];
            let mut made = || {
                cpu.fork(call::RFORK, &flags, |cpu| {
                    touch(cpu, 100);
                    cpu.sleep_ms(100);
                    assert_eq!(cpu.load_u64(BSS + 20 * 4096), 1);
                    cpu.exits("");
                })
            };
            assert!((0..1000).any(|_| made() != FAILED));
            cpu.wait_ok();
        }
    });
    let procs: Vec<_> = w.t.kernel.procs.lock().values().filter(|p| p.pid != 1).cloned().collect();
    procs.iter().for_each(|p| port::proc::procctl::kill(p));
    until("the swarm", || w.live() == 0);
    // However many have wanted memory at once, each of those that went for it is told of once.
    let said = w.t.screen.take();
    let mut killed: Vec<_> = said.lines().filter(|l| l.ends_with(": killed: out of memory")).collect();
    let lines = killed.len();
    killed.sort();
    killed.dedup();
    assert!(lines > 0 && killed.len() == lines, "{said}");
}

#[test]
fn what_is_typed_at_the_console_works_beside_a_swarm_in_the_background() {
    the_next_line_works_beside_a_swarm(Rfork::NOTEG);
}

#[test]
fn what_an_earlier_line_has_made_is_not_in_the_way_of_the_next() {
    the_next_line_works_beside_a_swarm(NONE);
}

#[test]
fn room_is_made_for_a_fork_at_the_console() {
    let w = World::new();
    host::limit_pages(4000);
    w.t.cons.input.start(&w.t.kernel).unwrap();
    let cons = w.t.cons.clone();
    w.ok(move |cpu| {
        let fd = cpu.open("/dev/cons", OREAD);
        a_line(cpu, fd, &|| cons.input.put(b"line\r"));
        // It takes as much as it may have, and asks for nothing more.
        let eater = fork(cpu, Rfork::NOTEG, |cpu| {
            cpu.must(call::BRK, &[BSS + (1 << 30)]);
            let pages = (0..4000).take_while(|_| heap::is_granted());
            pages.for_each(|page| cpu.store_u64(BSS + (page + 16) * 4096, 1));
            cpu.sleep_ms(600_000);
        });
        assert!((0..5000).any(|_| !heap::is_granted() || cpu.sleep_ms(1) != 0));
        fork(cpu, NONE, |_| {});
        let records = [cpu.wait(), cpu.wait()];
        let killed = |r: &String| r.starts_with(&format!("{eater} ")) && r.ends_with(": sys: killed'");
        assert!(records.iter().any(killed) && records.iter().any(|r| r.ends_with(" ''")), "{records:?}");
    });
}

/// All but `left` pages that programs may have are nobody's, as long as what this gives lives.
fn fill(left: u64) -> Vec<Page> {
    let left = (host::KERNEL_RESERVE as u64 + left) * 4096;
    let new = |_| (machine::mem::free_bytes() > left).then(|| Page::new_zeroed().ok()).flatten();
    machine::ledger::as_kernel(|| (0..4000).map_while(new).collect())
}

/// What began with the machine, before the first line, goes neither for the calls nor for the pages of who takes memory
/// at the console a little at a time: that one goes, or is refused.
#[test]
fn what_began_with_the_machine_does_not_go_for_a_line() {
    let w = World::new();
    host::limit_pages(4000);
    w.t.cons.input.start(&w.t.kernel).unwrap();
    let cons = w.t.cons.clone();
    w.ok(move |cpu| {
        let fd = cpu.open("/dev/cons", OREAD);
        let [server, leaking] = [150, 900].map(|pages| {
            let pid = fork(cpu, Rfork::NOTEG, move |cpu| {
                touch(cpu, pages);
                cpu.sleep_ms(600_000);
            });
            while memory_of(cpu, pid) < pages * 4096 {
                cpu.sleep_ms(1);
            }
            pid
        });
        a_line(cpu, fd, &|| cons.input.put(b"line\r"));
        // It is begun while there is memory, and wants some when there is none.
        let begin = |cpu: &mut Cpu| {
            let filled = Arc::new(AtomicBool::new(false));
            let seen = filled.clone();
            let pid = fork(cpu, NONE, move |cpu| {
                while !seen.load(Ordering::SeqCst) {
                    cpu.sleep_ms(1);
                }
                touch(cpu, 400);
            });
            let kept = fill(60);
            filled.store(true, Ordering::SeqCst);
            (format!("{pid} "), kept)
        };
        // What has much is not innocent.
        let (first, kept) = begin(cpu);
        let records = [cpu.wait(), cpu.wait()];
        assert!(records.iter().any(|r| r.starts_with(&first) && r.ends_with(" ''")), "{records:?}");
        assert!(records.iter().any(|r| r.starts_with(&format!("{leaking} "))), "{records:?}");
        let (second, more) = begin(cpu);
        let record = cpu.wait();
        assert!(record.starts_with(&second) && record.contains("out of memory"), "{record}");
        let rest = fill(0);
        assert_eq!(cpu.fork(call::RFORK, &[u64::from(Rfork::PROC.bits())], |cpu| cpu.exits("")), FAILED);
        assert_eq!(cpu.errstr(), error::ENOMEM);
        drop((kept, more, rest));
        assert!(memory_of(cpu, server) >= 150 * 4096);
        cpu.kill(server);
        cpu.wait();
    });
}
