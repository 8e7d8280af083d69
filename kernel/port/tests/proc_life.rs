//! Processes: beginning, ending, being waited for, alarms.

mod world;

use std::time::{Duration, Instant};

use abi::syscall as call;
use abi::{OREAD, Rfork, error};
use world::{BSS, DATA, FAILED, NONE, Sys, World, fork, told};

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
