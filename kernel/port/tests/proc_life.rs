//! Processes: being made, sharing or not, ending, being waited for; and what every system call has in common.

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use abi::syscall as call;
use abi::{ORDWR, OREAD, Rfork, error};
use world::{BSS, DATA, FAILED, Sys, World, fork, told};

const NONE: Rfork = Rfork::empty();

#[test]
fn a_program_begins_and_ends() {
    let w = World::new();
    let seen = told();
    let tell = seen.clone();
    let p = w.start(&["prog", "one", "two three"], move |cpu| {
        let sp = cpu.regs.sp;
        assert_eq!(cpu.load_u64(sp), 3);
        let args: Vec<String> = (0..3)
            .map(|i| {
                let at = cpu.load_u64(sp + 8 + 8 * i);
                world::cstring(cpu, at)
            })
            .collect();
        assert_eq!(cpu.load_u64(sp + 32), 0);
        assert_eq!(cpu.regs.ax, abi::layout::TOS);
        assert_eq!(cpu.fpu, machine::types::FpuState::new());
        tell.lock().unwrap().push((args, cpu.pid()));
        // Data from the file, then zeros.
        let mut b = [1; 4];
        cpu.load(DATA + 0x17fe, &mut b);
        assert_eq!(b, [0xfe, 0xff, 0, 0]);
        assert_eq!(cpu.load_u64(BSS), 0);
        let frequency = cpu.load_u64(abi::layout::TOS + abi::layout::TOS_CYCLEFREQ);
        assert_eq!(frequency, machine::clock::cycle_hz());
        cpu.exits("");
    });
    let record = w.wait();
    assert_eq!((record.pid, record.msg.as_str()), (p.pid, ""));
    assert_eq!(*seen.lock().unwrap(), [(vec!["prog".into(), "one".into(), "two three".into()], p.pid)]);
    assert_eq!(w.live(), 0);
}

#[test]
fn exit_strings() {
    let w = World::new();
    for (status, record) in [("", ""), ("1", "1"), ("it's over", "it's over")] {
        assert_eq!(w.run(move |cpu| cpu.exits(status)), record);
    }
    assert_eq!(
        w.run(|cpu| {
            cpu.syscall(call::EXITS, &[0]);
        }),
        ""
    );
    assert_eq!(
        w.run(|cpu| {
            cpu.syscall(call::EXITS, &[0x10]);
        }),
        "invalid exit string"
    );
    // What does not fit is cut, at a character.
    for (long, most) in [("x".repeat(300), 127), ("é".repeat(100), 126), ("x".repeat(127), 127)] {
        w.start(&["prog"], move |cpu| cpu.exits(&long));
        let msg = w.wait().msg;
        assert!(msg.len() <= 127 && msg.len() >= most - 1, "{} bytes", msg.len());
        assert!(msg.starts_with("prog "), "{msg}");
    }
    // A program that runs off its end has found no instruction.
    machine::host::program_at(world::ENTRY, |_| {});
    w.start_file("/n/prog", &["prog"]);
    let status = w.wait().msg;
    assert!(status.contains("sys: trap: invalid opcode pc=0x"), "{status}");
}

#[test]
fn children_leave_records() {
    let w = World::new();
    w.ok(|cpu| {
        assert_eq!(cpu.fails(call::AWAIT, &[cpu.regs.sp, 100]), error::ENOCHILD);
        let pid = fork(cpu, NONE, |cpu| {
            assert_eq!(cpu.regs.ax, 0);
            cpu.exits("it's 'quoted'");
        });
        let record = cpu.wait();
        let words = abi::quote::tokenize(&record);
        assert_eq!(words.len(), 5, "{record}");
        assert_eq!(words[0], pid.to_string());
        assert!(words[1..4].iter().all(|w| w.parse::<u64>().is_ok()));
        assert_eq!(words[4], format!("prog {pid}: it's 'quoted'"));
        assert!(record.ends_with(&format!("'prog {pid}: it''s ''quoted'''")), "{record}");
        let pid = fork(cpu, NONE, |_| {});
        assert!(cpu.wait().starts_with(&format!("{pid} ")));
        assert_eq!(cpu.fails(call::AWAIT, &[cpu.regs.sp, 100]), error::ENOCHILD);
        // The newest first, as in 9front.
        let pids: Vec<u64> = (0..5)
            .map(|_| {
                let pid = fork(cpu, NONE, |_| {});
                while cpu.open(&format!("/proc/{pid}/status"), OREAD) != FAILED {
                    cpu.close(0);
                    cpu.sleep_ms(1);
                }
                pid
            })
            .collect();
        for pid in pids.into_iter().rev() {
            cpu.sleep_ms(1);
            assert!(cpu.wait().starts_with(&format!("{pid} ")));
        }
        // A record is cut to the room there is, and not lost for lack of an address.
        fork(cpu, NONE, |cpu| cpu.exits("x"));
        cpu.sleep_ms(1);
        let at = cpu.push(&[b'-'; 8]);
        assert_eq!(cpu.must(call::AWAIT, &[at, 3]), 3);
        let mut b = [0; 4];
        cpu.load(at, &mut b);
        assert_eq!(b[3], b'-');
    });
    // A bad address kills, but the record is there for whoever looks.
    let w = World::new();
    let status = w.run(|cpu| {
        fork(cpu, NONE, |_| {});
        cpu.must(call::NOTIFY, &[0]);
        cpu.syscall(call::AWAIT, &[0x1000, 100]);
    });
    assert!(status.starts_with("sys: bad address in syscall pc=0x"), "{status}");
}

#[test]
fn who_can_wait_for_whom() {
    let w = World::new();
    w.ok(|cpu| {
        fork(cpu, Rfork::NOWAIT, |cpu| {
            let pid = cpu.pid();
            let ppid: u32 = cpu.file(&format!("/proc/{pid}/ppid")).trim().parse().unwrap();
            assert_ne!(ppid, pid);
        });
        assert_eq!(cpu.fails(call::AWAIT, &[cpu.regs.sp, 100]), error::ENOCHILD);
        // The children of a child are its own.
        let child = fork(cpu, NONE, |cpu| {
            fork(cpu, NONE, |cpu| {
                cpu.sleep_ms(5);
            });
        });
        assert!(cpu.wait().starts_with(&format!("{child} ")));
        assert_eq!(cpu.fails(call::AWAIT, &[cpu.regs.sp, 100]), error::ENOCHILD);
    });
    while w.live() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(machine::host::machine().panics(), 0);
}

#[test]
fn wrong_forks() {
    let w = World::new();
    w.ok(|cpu| {
        let (proc, both) = (
            Rfork::PROC,
            [Rfork::FDG | Rfork::CFDG, Rfork::NAMEG | Rfork::CNAMEG, Rfork::ENVG | Rfork::CENVG],
        );
        for flags in both {
            assert_eq!(cpu.fails(call::RFORK, &[u64::from(flags.bits())]), error::EBADARG, "{flags:?}");
            assert_eq!(
                cpu.fails(call::RFORK, &[u64::from((flags | proc).bits())]),
                error::EBADARG,
                "{flags:?}"
            );
        }
        for flags in [0x20, 0x40, 0x60, 0x80, 0x100, 0x200, 0x8000, 0x8000_0010] {
            assert_eq!(cpu.fails(call::RFORK, &[flags]), error::EBADARG, "{flags:#x}");
        }
        assert_eq!(cpu.must(call::RFORK, &[0]), 0);
        assert_eq!(cpu.must(call::RFORK, &[u64::from((Rfork::NAMEG | Rfork::ENVG | Rfork::FDG).bits())]), 0);
    });
}

#[test]
fn memory_is_copied_or_shared() {
    let w = World::new();
    w.ok(|cpu| {
        // Pages that were there before, and some that come into being afterwards.
        let stack = cpu.push(&[1; 8]);
        let deep = cpu.regs.sp - 100_000;
        for (at, value) in [(DATA, 10), (BSS, 20), (stack, 30)] {
            cpu.store_u64(at, value);
        }
        let go = move |cpu: &mut machine::host::Cpu, at: u64| {
            while cpu.load_u64(at) == 0 {
                cpu.sleep_ms(1);
            }
        };
        // Copied: neither sees what the other writes.
        let fd = cpu.push(&[0; 8]);
        cpu.must(call::PIPE, &[fd]);
        let (a, b) = (u64::from(cpu.u32_at(fd)), u64::from(cpu.u32_at(fd + 4)));
        fork(cpu, NONE, move |cpu| {
            assert_eq!([cpu.load_u64(DATA), cpu.load_u64(BSS), cpu.load_u64(stack)], [10, 20, 30]);
            cpu.store_u64(DATA, 11);
            cpu.store_u64(BSS + 8192, 21);
            cpu.store_u64(deep, 31);
            cpu.write(b, b"1");
            cpu.read(b, 1);
            assert_eq!([cpu.load_u64(DATA), cpu.load_u64(BSS), cpu.load_u64(stack)], [11, 20, 30]);
            assert_eq!(cpu.load_u64(BSS + 16384), 0);
        });
        cpu.read(a, 1);
        assert_eq!([cpu.load_u64(DATA), cpu.load_u64(BSS), cpu.load_u64(stack)], [10, 20, 30]);
        assert_eq!([cpu.load_u64(BSS + 8192), cpu.load_u64(deep)], [0, 0]);
        for at in [BSS, stack, BSS + 16384] {
            cpu.store_u64(at, 99);
        }
        cpu.write(a, b"2");
        cpu.wait_ok();
        assert_eq!(cpu.load_u64(DATA), 10);

        // Shared, but for the stack.
        cpu.store_u64(stack, 30);
        cpu.store_u64(BSS + 800, 0);
        cpu.store_u64(BSS + 808, 0);
        fork(cpu, Rfork::MEM, move |cpu| {
            cpu.store_u64(DATA, 12);
            cpu.store_u64(BSS + 40_000, 22);
            cpu.store_u64(stack, 32);
            cpu.store_u64(deep, 32);
            assert_eq!(cpu.pid(), {
                let text = cpu.file("#c/pid");
                text.trim().parse::<u32>().unwrap()
            });
            cpu.store_u64(BSS + 800, 1);
            go(cpu, BSS + 808);
            assert_eq!([cpu.load_u64(BSS + 50_000), cpu.load_u64(stack)], [23, 32]);
        });
        go(cpu, BSS + 800);
        assert_eq!([cpu.load_u64(DATA), cpu.load_u64(BSS + 40_000)], [12, 22]);
        assert_eq!([cpu.load_u64(stack), cpu.load_u64(deep)], [30, 0]);
        cpu.store_u64(BSS + 50_000, 23);
        cpu.store_u64(BSS + 808, 1);
        cpu.wait_ok();
        // And what one of them makes with brk.
        cpu.store_u64(BSS + 816, 0);
        let top = BSS + 0x40_0000;
        fork(cpu, Rfork::MEM, move |cpu| {
            cpu.must(call::BRK, &[top]);
            cpu.store_u64(top - 8, 77);
            cpu.store_u64(BSS + 816, 1);
        });
        go(cpu, BSS + 816);
        assert_eq!(cpu.load_u64(top - 8), 77);
        cpu.wait_ok();
    });
}

/// A grandchild of a copy shares nothing with anybody; three generations of the same page.
#[test]
fn copies_of_copies() {
    let w = World::new();
    w.ok(|cpu| {
        cpu.store_u64(BSS, 1);
        fork(cpu, NONE, |cpu| {
            fork(cpu, NONE, |cpu| {
                cpu.store_u64(BSS, 3);
                assert_eq!(cpu.load_u64(BSS), 3);
            });
            cpu.wait_ok();
            assert_eq!(cpu.load_u64(BSS), 1);
            cpu.store_u64(BSS, 2);
            fork(cpu, NONE, |cpu| assert_eq!(cpu.load_u64(BSS), 2));
            cpu.wait_ok();
        });
        cpu.wait_ok();
        assert_eq!(cpu.load_u64(BSS), 1);
        // The last who has a page need not copy it.
        let free = machine::mem::free_bytes();
        cpu.store_u64(BSS, 4);
        assert!(machine::mem::free_bytes() >= free);
    });
}

#[test]
fn descriptors_are_shared_copied_or_none() {
    let w = World::new();
    w.ok(|cpu| {
        let fd = cpu.open("/dev/null", ORDWR);
        fork(cpu, NONE, move |cpu| {
            cpu.close(fd);
        });
        cpu.wait_ok();
        assert_eq!(cpu.fails(call::CLOSE, &[fd]), error::EBADFD, "it was everybody's");
        let fd = cpu.open("/dev/null", ORDWR);
        fork(cpu, Rfork::FDG, move |cpu| assert_eq!(cpu.close(fd), 0));
        cpu.wait_ok();
        fork(cpu, Rfork::CFDG, move |cpu| {
            assert_eq!(cpu.fails(call::CLOSE, &[fd]), error::EBADFD);
            assert_eq!(cpu.open("/dev/null", OREAD), 0);
        });
        cpu.wait_ok();
        // The offset goes with the file.
        let file = cpu.open("/n/prog", OREAD);
        fork(cpu, Rfork::FDG, move |cpu| {
            cpu.read(file, 100);
        });
        cpu.wait_ok();
        let at = cpu.push(&[0; 8]);
        assert_eq!(cpu.must(call::SEEK, &[at, file, 0, 1]), 0);
        assert_eq!(cpu.load_u64(at), 100);
        // One's own, without a process.
        assert_eq!(cpu.must(call::RFORK, &[u64::from(Rfork::FDG.bits())]), 0);
        assert_eq!(cpu.close(fd), 0);
        assert_eq!(cpu.must(call::RFORK, &[u64::from(Rfork::CFDG.bits())]), 0);
        assert_eq!(cpu.fails(call::CLOSE, &[file]), error::EBADFD);
    });
}

#[test]
fn name_spaces_and_environments_are_shared_copied_or_none() {
    let w = World::new();
    w.ok(|cpu| {
        let bind = |cpu: &mut machine::host::Cpu| {
            let (new, old) = (cpu.string("#c"), cpu.string("/mnt"));
            cpu.must(call::BIND, &[new, old, 0]);
        };
        let there = |cpu: &mut machine::host::Cpu| cpu.open("/mnt/osversion", OREAD) != FAILED;
        fork(cpu, Rfork::NAMEG, move |cpu| {
            bind(cpu);
            assert!(there(cpu));
        });
        cpu.wait_ok();
        assert!(!there(cpu));
        fork(cpu, NONE, bind);
        cpu.wait_ok();
        assert!(there(cpu));
        fork(cpu, Rfork::CNAMEG, move |cpu| {
            assert!(!there(cpu));
            assert_eq!(cpu.open("/dev/null", OREAD), FAILED);
            assert_ne!(cpu.open("#c/null", OREAD), FAILED);
        });
        cpu.wait_ok();
        // No mounts from now on, for everybody in the name space.
        fork(cpu, Rfork::NAMEG | Rfork::NOMNT, move |cpu| {
            let (new, old) = (cpu.string("#R"), cpu.string("/mnt"));
            assert_eq!(cpu.fails(call::BIND, &[new, old, 0]), error::ENOATTACH);
            assert_eq!(cpu.open("#P/cputype", OREAD), FAILED);
            assert_eq!(cpu.errstr(), error::ENOATTACH);
            assert_ne!(cpu.open("#c/null", OREAD), FAILED);
        });
        cpu.wait_ok();

        let make = |cpu: &mut machine::host::Cpu, name: &str| {
            let name = cpu.string(name);
            let fd = cpu.must(call::CREATE, &[name, 1, 0o666]);
            cpu.write(fd, b"value");
            cpu.close(fd);
        };
        make(cpu, "/env/x");
        fork(cpu, Rfork::ENVG, move |cpu| {
            assert_eq!(cpu.file("/env/x"), "value");
            make(cpu, "/env/copied");
        });
        cpu.wait_ok();
        assert_eq!(cpu.open("/env/copied", OREAD), FAILED);
        fork(cpu, Rfork::CENVG, |cpu| assert_eq!(cpu.open("/env/x", OREAD), FAILED));
        cpu.wait_ok();
        fork(cpu, NONE, move |cpu| make(cpu, "/env/shared"));
        cpu.wait_ok();
        assert_eq!(cpu.file("/env/shared"), "value");
    });
}

#[test]
fn meeting_at_a_tag() {
    let w = World::new();
    w.ok(|cpu| {
        fork(cpu, NONE, |cpu| {
            assert_eq!(cpu.must(call::RENDEZVOUS, &[0x1_0000_0007, 0x1111_2222_3333_4444]), 55);
        });
        assert_eq!(cpu.must(call::RENDEZVOUS, &[0x1_0000_0007, 55]), 0x1111_2222_3333_4444);
        cpu.wait_ok();
        // Another group never meets; one's own group goes on meeting.
        let lonely = fork(cpu, Rfork::REND, |cpu| {
            assert_eq!(cpu.fails(call::RENDEZVOUS, &[9, 1]), error::EINTR);
        });
        fork(cpu, NONE, |cpu| assert_eq!(cpu.must(call::RENDEZVOUS, &[9, 2]), 3));
        assert_eq!(cpu.must(call::RENDEZVOUS, &[9, 3]), 2);
        cpu.wait_ok();
        cpu.echo("interrupt", &format!("/proc/{lonely}/ctl"));
        let record = cpu.wait();
        assert!(record.contains("interrupt"), "{record}: it had no handler");
        // An interrupted one has left the tag.
        let pid = fork(cpu, NONE, |cpu| {
            cpu.syscall(call::RENDEZVOUS, &[10, 1]);
        });
        cpu.sleep_ms(2);
        cpu.kill(pid);
        cpu.wait();
        fork(cpu, NONE, |cpu| assert_eq!(cpu.must(call::RENDEZVOUS, &[10, 2]), 3));
        assert_eq!(cpu.must(call::RENDEZVOUS, &[10, 3]), 2);
        cpu.wait_ok();
    });
}

#[test]
fn semaphores_count_and_wake() {
    let w = World::new();
    w.ok(|cpu| {
        let sem = BSS + 0x100;
        assert_eq!(cpu.must(call::SEMACQUIRE, &[sem, 0]), 0, "would block");
        assert_eq!(cpu.must(call::SEMRELEASE, &[sem, 3]), 3);
        assert_eq!(cpu.must(call::SEMACQUIRE, &[sem, 1]), 1);
        assert_eq!(cpu.must(call::SEMACQUIRE, &[sem, 0]), 1);
        assert_eq!(cpu.u32_at(sem), 1);
        assert_eq!(cpu.must(call::SEMRELEASE, &[sem, 0]), 1);
        assert_eq!(cpu.must(call::TSEMACQUIRE, &[sem, 1000]), 1);
        let start = Instant::now();
        assert_eq!(cpu.must(call::TSEMACQUIRE, &[sem, 10]), 0);
        assert!(start.elapsed() >= Duration::from_millis(10));
        assert_eq!(cpu.must(call::TSEMACQUIRE, &[sem, 0]), 0);
        for count in [u32::MAX, 0x8000_0000] {
            assert_eq!(cpu.fails(call::SEMRELEASE, &[sem, u64::from(count)]), error::EBADARG);
        }
        cpu.store(sem, &(-5i32).to_le_bytes());
        assert_eq!(cpu.fails(call::SEMACQUIRE, &[sem, 1]), error::EBADARG);
        assert_eq!(cpu.fails(call::SEMRELEASE, &[sem, 1]), error::EBADARG);
        cpu.store(sem, &i32::MAX.to_le_bytes());
        assert_eq!(cpu.fails(call::SEMRELEASE, &[sem, 1]), error::EBADARG, "too many");
        // A copy of the memory has a semaphore of its own.
        cpu.store(sem, &0i32.to_le_bytes());
        fork(cpu, NONE, move |cpu| assert_eq!(cpu.must(call::SEMRELEASE, &[sem, 1]), 1));
        cpu.wait_ok();
        assert_eq!(cpu.must(call::SEMACQUIRE, &[sem, 0]), 0);
    });
}

#[test]
fn twenty_processes_share_a_semaphore() {
    const PROCS: u64 = 20;
    const ROUNDS: u64 = 30;
    let w = World::new();
    let inside = Arc::new(AtomicU64::new(0));
    w.ok(move |cpu| {
        let (units, done) = (BSS + 0x104, BSS + 0x2000);
        cpu.must(call::SEMRELEASE, &[units, 3]);
        for _ in 0..PROCS {
            let inside = inside.clone();
            fork(cpu, Rfork::MEM, move |cpu| {
                for round in 0..ROUNDS {
                    if round % 3 == 0 {
                        while cpu.must(call::TSEMACQUIRE, &[units, 1]) == 0 {}
                    } else {
                        assert_eq!(cpu.must(call::SEMACQUIRE, &[units, 1]), 1);
                    }
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < 3);
                    std::thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    cpu.must(call::SEMRELEASE, &[units, 1]);
                }
                cpu.must(call::SEMRELEASE, &[done, 1]);
            });
        }
        for _ in 0..PROCS {
            assert_eq!(cpu.must(call::SEMACQUIRE, &[done, 1]), 1);
        }
        for _ in 0..PROCS {
            cpu.wait_ok();
        }
        assert_eq!(cpu.u32_at(units), 3);
    });
}

/// A waiter that is woken and killed at the same moment must not take the wakeup with it.
#[test]
fn a_wakeup_is_not_lost_with_its_waiter() {
    let w = World::new();
    w.ok(|cpu| {
        let sem = BSS + 0x108;
        for _ in 0..20 {
            let a = fork(cpu, Rfork::MEM, move |cpu| {
                cpu.syscall(call::SEMACQUIRE, &[sem, 1]);
            });
            let b = fork(cpu, Rfork::MEM, move |cpu| {
                cpu.syscall(call::SEMACQUIRE, &[sem, 1]);
            });
            cpu.sleep_ms(1);
            cpu.must(call::SEMRELEASE, &[sem, 1]);
            cpu.kill(a);
            cpu.wait();
            // Whichever has the unit: another one lets the other go.
            cpu.must(call::SEMRELEASE, &[sem, 1]);
            let record = cpu.wait();
            assert!(record.starts_with(&format!("{a} ")) || record.starts_with(&format!("{b} ")));
            cpu.store(sem, &0u32.to_le_bytes());
        }
    });
}

#[test]
fn alarms_and_sleep() {
    let w = World::new();
    machine::host::program_at(world::HANDLER, |cpu| {
        let text = cpu.load_u64(cpu.regs.sp + 16);
        assert_eq!(world::cstring(cpu, text), "alarm");
        let n = cpu.load_u64(BSS);
        cpu.store_u64(BSS, n + 1);
        cpu.syscall(call::NOTED, &[0]);
    });
    w.ok(|cpu| {
        assert_eq!(cpu.must(call::ALARM, &[0]), 0);
        assert_eq!(cpu.must(call::ALARM, &[50_000]), 0);
        let left = cpu.must(call::ALARM, &[20_000]);
        assert!((49_000..=50_000).contains(&left), "{left}");
        let left = cpu.must(call::ALARM, &[0]);
        assert!((19_000..=20_000).contains(&left), "{left}");
        assert_eq!(cpu.must(call::ALARM, &[0]), 0, "it was cancelled");
        cpu.must(call::NOTIFY, &[world::HANDLER]);
        let start = Instant::now();
        cpu.must(call::ALARM, &[5]);
        assert_eq!(cpu.fails(call::SLEEP, &[60_000]), error::EINTR);
        assert!((5..50_000).contains(&start.elapsed().as_millis()));
        assert_eq!(cpu.load_u64(BSS), 1);
        assert_eq!(cpu.must(call::ALARM, &[0]), 0);
        // A cancelled one does not go off.
        cpu.must(call::ALARM, &[200]);
        cpu.must(call::ALARM, &[0]);
        let start = Instant::now();
        assert_eq!(cpu.must(call::SLEEP, &[250]), 0);
        assert!(start.elapsed() >= Duration::from_millis(250));
        assert_eq!(cpu.load_u64(BSS), 1);
        assert_eq!(cpu.must(call::SLEEP, &[0]), 0);
        assert_eq!(cpu.must(call::SLEEP, &[0xffff_ffff]), 0, "less than nothing is nothing");
        // A child has none.
        cpu.must(call::ALARM, &[60_000]);
        fork(cpu, NONE, |cpu| assert_eq!(cpu.must(call::ALARM, &[0]), 0));
        cpu.wait_ok();
    });
    // Without a handler it is the end.
    let status = w.run(|cpu| {
        cpu.must(call::ALARM, &[2]);
        cpu.sleep_ms(60_000);
    });
    assert_eq!(status, "alarm");
}
