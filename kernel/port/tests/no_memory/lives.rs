//! What happens to programs between their calls: they begin, fault, wait for one another, get notes, end.

use abi::syscall as call;
use abi::{OWRITE, Rfork};
use machine::host::{Cpu, heap};

use super::world::{BSS, DATA, FAILED, NONE, Sys, World};
use super::{eventually, is_want_of_memory};

/// Runs a program with the first step in calls of `name` failing, then the second, and so on. `judge` says whether a
/// program may end so.
fn lives(
    name: &'static str,
    judge: impl Fn(&str) -> bool,
    code: impl Fn(&mut Cpu) + Send + Sync + Clone + 'static,
) {
    let w = World::new();
    w.ok(code.clone());
    std::thread::sleep(std::time::Duration::from_millis(100));
    let (live, free) = (w.live(), machine::mem::free_bytes());
    let mut failures = 0;
    for n in 1.. {
        assert!(n < 2000, "{name} never ends");
        heap::fail_nth_in(name, n);
        let status = w.run(code.clone());
        let (_, failed) = heap::steps();
        heap::fail_nth(0);
        assert!(status.is_empty() || failed > 0 && judge(&status), "{name}, step {n}: {status}");
        assert!(eventually(|| w.live() == live), "{name}, step {n}: processes");
        // What a program had is given back after it is no longer counted. More is free then where a page of the image
        // has gone in whose place there was to be room: who runs next gets it.
        let settled = eventually(|| {
            if machine::mem::free_bytes() > free {
                w.ok(code.clone());
            }
            machine::mem::free_bytes() == free
        });
        if !settled {
            assert_eq!(machine::mem::free_bytes(), free, "{name}, step {n}: memory");
        }
        w.t.screen.take();
        failures += failed;
        if failed == 0 {
            break;
        }
    }
    w.ok(code);
    println!("{name}: {failures} steps");
}

/// Touches what a program has: text, data, zeros, stack.
fn touch(cpu: &mut Cpu) {
    let data = cpu.load_u64(DATA + 8);
    cpu.store_u64(DATA, data);
    for page in 0..4 {
        cpu.store_u64(BSS + page * 4096, page);
    }
    cpu.push(&[1; 9000]);
}

#[test]
fn page_faults() {
    lives("page fault", |status| status.contains("out of memory"), touch);
}

#[test]
fn beginnings() {
    lives(
        "beginning of a process",
        |status| is_want_of_memory(status) || status.contains("out of memory"),
        touch,
    );
}

#[test]
fn ends() {
    lives(
        "end of a process",
        |_| false,
        |cpu| {
            touch(cpu);
            let fds = cpu.push(&[0; 8]);
            cpu.must(call::PIPE, &[fds]);
            let name = cpu.string("/env/of-its-own");
            cpu.must(call::RFORK, &[u64::from(Rfork::ENVG.bits())]);
            cpu.must(call::CREATE, &[name, u64::from(OWRITE), 0o666]);
        },
    );
}

#[test]
fn records_of_the_dead() {
    let w = World::new();
    w.ok(|cpu| {
        let buf = cpu.push(&[0; 300]);
        for n in 1.. {
            assert!(n < 100, "never ends");
            let child =
                cpu.fork(call::RFORK, &[u64::from((NONE | Rfork::PROC | Rfork::FDG).bits())], |cpu| {
                    let why = cpu.string("why it ended");
                    cpu.syscall(call::EXITS, &[why]);
                });
            heap::fail_nth_in("AWAIT", n);
            let result = cpu.syscall(call::AWAIT, &[buf, 300]);
            let (_, failed) = heap::steps();
            heap::fail_nth(0);
            let len = if result == FAILED {
                let text = cpu.errstr();
                assert!(failed > 0 && is_want_of_memory(&text), "step {n}: {text}");
                // The record is still there.
                cpu.must(call::AWAIT, &[buf, 300])
            } else {
                result
            };
            let mut record = vec![0; len as usize];
            cpu.load(buf, &mut record);
            let record = String::from_utf8(record).unwrap();
            assert!(record.starts_with(&format!("{child} ")) && record.contains("why it ended"), "{record}");
            if failed == 0 {
                break;
            }
        }
    });
}

#[test]
fn alarms_notes_and_segments() {
    let w = World::new();
    w.ok(|cpu| {
        for (name, number, args, undo) in [
            ("ALARM", call::ALARM, vec![1_000_000], Some((call::ALARM, vec![0]))),
            ("BRK", call::BRK, vec![BSS + 0x30_0000], Some((call::BRK, vec![BSS + 0x10_0000]))),
            ("SEGFREE", call::SEGFREE, vec![BSS, 0x1000], None),
            ("SLEEP", call::SLEEP, vec![1], None),
            ("SEMRELEASE", call::SEMRELEASE, vec![BSS + 64, 1], Some((call::SEMACQUIRE, vec![BSS + 64, 1]))),
            ("NOTIFY", call::NOTIFY, vec![0], None),
        ] {
            cpu.store_u64(BSS + 64, 0);
            for n in 1.. {
                assert!(n < 500, "{name} never ends");
                heap::fail_nth_in(name, n);
                let result = cpu.syscall(number, &args);
                let (_, failed) = heap::steps();
                heap::fail_nth(0);
                if result == FAILED {
                    let text = cpu.errstr();
                    assert!(failed > 0 && is_want_of_memory(&text), "{name}, step {n}: {text}");
                } else if let Some((number, args)) = &undo {
                    cpu.must(*number, args);
                }
                if failed == 0 {
                    break;
                }
            }
        }
        // A note to oneself through a file, which is kept until it is taken.
        let ctl = cpu.string("/proc/1/ctl");
        let fd = cpu.must(call::OPEN, &[ctl, u64::from(OWRITE)]);
        let text = cpu.string("pri 10");
        for n in 1.. {
            heap::fail_nth_in("PWRITE", n);
            let result = cpu.syscall(call::PWRITE, &[fd, text, 6, u64::MAX]);
            let (_, failed) = heap::steps();
            heap::fail_nth(0);
            if result == FAILED {
                let text = cpu.errstr();
                assert!(failed > 0 && is_want_of_memory(&text), "ctl, step {n}: {text}");
            }
            if failed == 0 {
                break;
            }
        }
    });
}
