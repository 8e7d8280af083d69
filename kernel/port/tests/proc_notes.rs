//! Notes: the frame, what the handler may do, what waits and what does not, and what they interrupt.

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use abi::syscall as call;
use abi::ureg::Ureg;
use abi::{NCONT, NDFLT, NRSTR, NSAVE, OREAD, Rfork, error};
use machine::host::{Cpu, program_at};
use machine::types::FpuState;
use port::call::sysfile;
use port::proc::procctl;
use world::notes::{handed, noted, post, ureg};
use world::{BSS, FAILED, HANDLER, NONE, Sys, World, cstring, fork, told};

#[test]
fn the_frame_is_exactly_as_go_expects_it() {
    let w = World::new();
    let interrupted = Arc::new(AtomicU64::new(0));
    let sp = interrupted.clone();
    program_at(HANDLER, move |cpu| {
        let old_sp = sp.load(Ordering::SeqCst);
        let at = old_sp - 256 - 184;
        assert_eq!(cpu.regs.sp, at - 160);
        assert_eq!(cpu.regs.bp, at);
        assert_eq!(cpu.load_u64(at - 160), 0, "return address");
        assert_eq!(cpu.load_u64(at - 152), at, "first argument");
        assert_eq!(cpu.load_u64(at - 144), at - 136, "second argument");
        let mut text = [0; 128];
        cpu.load(at - 136, &mut text);
        assert!(text.starts_with(b"sys: trap: divide error pc=0x"), "{text:?}");
        assert!(text.iter().skip_while(|b| **b != 0).all(|b| *b == 0));
        assert_eq!(cpu.load_u64(at - 8), 0, "no frame before");
        let saved = ureg(cpu, at);
        let text = cstring(cpu, at - 136);
        assert!(text.ends_with(&format!("pc={:#x}", saved.pc)));
        assert_eq!([saved.bx, saved.cx, saved.r8, saved.r11, saved.r15], [2, 3, 8, 11, 15]);
        assert_eq!((saved.sp, saved.kind, saved.error), (old_sp, 0, 77));
        assert_eq!(saved.flags & 0xcd5, 0x401);
        // The handler may use all registers and the gap below the stack pointer.
        cpu.store_u64(old_sp - 8, 5);
        cpu.regs = Ureg { pc: cpu.regs.pc, sp: cpu.regs.sp, bp: cpu.regs.bp, ..Ureg::default() };
        cpu.fpu = FpuState::new();
        // And change what the program goes on with.
        cpu.store_u64(at + 8, 200);
        noted(cpu, NCONT);
    });
    w.ok(move |cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        cpu.regs.sp -= 1000;
        cpu.regs.sp |= 8;
        cpu.store_u64(cpu.regs.sp, 1);
        interrupted.store(cpu.regs.sp, Ordering::SeqCst);
        let sp = cpu.regs.sp;
        (cpu.regs.bx, cpu.regs.cx, cpu.regs.r8, cpu.regs.r11, cpu.regs.r15) = (2, 3, 8, 11, 15);
        (cpu.regs.bp, cpu.regs.flags) = (0x1234, 0x202 | 0x401);
        let mut fpu = *cpu.fpu.as_bytes();
        fpu[160] = 99;
        cpu.fpu = FpuState::from_bytes(&fpu);
        cpu.trap(0, 77);
        assert_eq!([cpu.regs.bx, cpu.regs.cx, cpu.regs.r8, cpu.regs.r11, cpu.regs.r15], [200, 3, 8, 11, 15]);
        assert_eq!((cpu.regs.bp, cpu.regs.sp, cpu.regs.flags & 0xcd5), (0x1234, sp, 0x401));
        assert_eq!(cpu.fpu.as_bytes()[160], 99);
    });
}

#[test]
fn notes_wait_while_the_handler_runs_and_come_when_it_has_ended() {
    let w = World::new();
    let texts = told();
    let tell = texts.clone();
    program_at(HANDLER, move |cpu| {
        let (_, text) = handed(cpu);
        tell.lock().unwrap().push(text.clone());
        if text == "first" {
            let pid = cpu.pid();
            // Eight are sent, five wait, the others are refused.
            for i in 0..8 {
                assert_eq!(post(cpu, pid, &format!("note {i}")), i < 5, "{i}");
            }
            tell.lock().unwrap().push("end of first".into());
        }
        noted(cpu, NCONT);
    });
    w.ok(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        let pid = cpu.pid();
        assert!(post(cpu, pid, "first"));
        // Everything came before the next instruction.
        assert_eq!(cpu.must(call::SLEEP, &[1]), 0);
    });
    let expected = ["first", "end of first", "note 0", "note 1", "note 2", "note 3", "note 4"];
    assert_eq!(*texts.lock().unwrap(), expected);
}

#[test]
fn the_ways_to_end_a_handler() {
    let w = World::new();
    // Default: the note's own text, whatever the handler has written over it.
    for (note, status) in [("bye", "bye"), ("sys: my own", "sys: my own pc=0x")] {
        program_at(HANDLER, |cpu| {
            let text = cpu.load_u64(cpu.regs.sp + 16);
            cpu.store(text, b"rubbish\0");
            noted(cpu, NDFLT);
        });
        let got = w.run(move |cpu| {
            cpu.must(call::NOTIFY, &[HANDLER]);
            let pid = cpu.pid();
            post(cpu, pid, note);
        });
        assert!(got.starts_with(status), "{got}");
    }
    // A fault is told of, as if there were no handler.
    w.t.screen.take();
    program_at(HANDLER, |cpu| noted(cpu, NDFLT));
    let got = w.run(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        cpu.load_u64(0x30);
    });
    assert!(got.starts_with("sys: trap: fault read addr=0x30 pc="), "{got}");
    assert!(w.t.screen.take().contains("suicide: sys: trap: fault read addr=0x30"));
    // Nonsense.
    for how in [4, 77, u32::MAX as i32] {
        program_at(HANDLER, move |cpu| noted(cpu, how));
        let got = w.run(|cpu| {
            cpu.must(call::NOTIFY, &[HANDLER]);
            let pid = cpu.pid();
            post(cpu, pid, "x");
        });
        assert_eq!(got, "Suicide");
    }
    for how in [NCONT, NDFLT, NSAVE, NRSTR] {
        assert_eq!(w.run(move |cpu| noted(cpu, how)), "Suicide", "without a note");
    }
    assert!(w.t.screen.take().contains("call to noted() when not notified"));
    // No handler any more.
    program_at(HANDLER, |_| unreachable!());
    let got = w.run(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        cpu.must(call::NOTIFY, &[0]);
        let pid = cpu.pid();
        post(cpu, pid, "the end");
    });
    assert_eq!(got, "the end");
}

#[test]
fn a_saved_handler_goes_on_outside_of_notes() {
    let w = World::new();
    const INSIDE: u64 = HANDLER + 0x200;
    // The first note saves and goes on at INSIDE; there a second note comes and goes; then the first is restored.
    program_at(HANDLER, |cpu| {
        let (at, text) = handed(cpu);
        if text == "second" {
            cpu.store_u64(BSS + 8, 2);
            return noted(cpu, NCONT);
        }
        assert_eq!(text, "first");
        let pc = cpu.load_u64(at + 144);
        cpu.store_u64(BSS, pc);
        cpu.store_u64(at + 144, INSIDE);
        noted(cpu, NSAVE);
    });
    program_at(INSIDE, |cpu| {
        let at = cpu.load_u64(cpu.regs.sp + 8);
        assert_eq!((cpu.regs.bp, cpu.regs.sp), (at, at - 160), "in the frame still");
        assert_eq!((cpu.regs.r12, cpu.fpu.as_bytes()[161]), (12, 61), "with the program's registers");
        let pid = cpu.pid();
        assert!(post(cpu, pid, "second"));
        assert_eq!(cpu.load_u64(BSS + 8), 2, "it was delivered here");
        let pc = cpu.load_u64(BSS);
        cpu.store_u64(at + 144, pc);
        noted(cpu, NRSTR);
    });
    w.ok(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        cpu.regs.r12 = 12;
        let mut fpu = *cpu.fpu.as_bytes();
        fpu[161] = 61;
        cpu.fpu = FpuState::from_bytes(&fpu);
        let sp = cpu.regs.sp;
        let pid = cpu.pid();
        assert!(post(cpu, pid, "first"));
        assert_eq!((cpu.load_u64(BSS + 8), cpu.regs.r12, cpu.fpu.as_bytes()[161]), (2, 12, 61));
        assert!(cpu.regs.sp <= sp);
        // And it can all happen again.
        cpu.store_u64(BSS + 8, 0);
        assert!(post(cpu, pid, "first"));
        assert_eq!(cpu.load_u64(BSS + 8), 2);
    });
}

/// A process that waits in some call; a note ends the wait, and the handler runs before the call returns.
#[test]
fn notes_interrupt_what_waits() {
    let w = World::new();
    program_at(HANDLER, |cpu| {
        let n = cpu.load_u64(BSS);
        cpu.store_u64(BSS, n + 1);
        let (at, _) = handed(cpu);
        let saved = ureg(cpu, at);
        assert_eq!((saved.ax, saved.kind), (FAILED, 64), "the call's result is already there");
        noted(cpu, NCONT);
    });
    type Prepare = fn(&mut Cpu) -> (u64, Vec<u64>);
    let calls: [(&str, Prepare); 8] = [
        ("sleep", |_| (call::SLEEP, vec![60_000])),
        ("read", |cpu| {
            let fds = cpu.push(&[0; 8]);
            cpu.must(call::PIPE, &[fds]);
            let fd = u64::from(cpu.u32_at(fds));
            (call::PREAD, vec![fd, fds, 8, !0])
        }),
        ("semacquire", |_| (call::SEMACQUIRE, vec![BSS + 64, 1])),
        ("tsemacquire", |_| (call::TSEMACQUIRE, vec![BSS + 64, 60_000])),
        ("rendezvous", |_| (call::RENDEZVOUS, vec![7, 7])),
        ("await", |cpu| {
            fork(cpu, NONE, |cpu| drop(cpu.sleep_ms(60_000)));
            (call::AWAIT, vec![BSS + 128, 100])
        }),
        ("write", |cpu| {
            let fds = cpu.push(&[0; 8]);
            cpu.must(call::PIPE, &[fds]);
            let fd = u64::from(cpu.u32_at(fds));
            while cpu.must(call::PWRITE, &[fd, BSS, 0x8000, !0]) == 0x8000 {
                let at = cpu.load_u64(BSS + 16) + 1;
                cpu.store_u64(BSS + 16, at);
                if at == 8 {
                    break;
                }
            }
            (call::PWRITE, vec![fd, BSS, 0x8000, !0])
        }),
        ("wait file", |cpu| {
            fork(cpu, NONE, |cpu| drop(cpu.sleep_ms(60_000)));
            let pid = cpu.pid();
            let fd = cpu.open(&format!("/proc/{pid}/wait"), OREAD);
            (call::PREAD, vec![fd, BSS + 128, 100, !0])
        }),
    ];
    for (name, wait) in calls {
        w.ok(move |cpu| {
            cpu.must(call::NOTIFY, &[HANDLER]);
            let me = cpu.pid();
            let (number, args) = wait(cpu);
            let poster = fork(cpu, Rfork::NOWAIT, move |cpu| {
                // Until it waits.
                loop {
                    let status = cpu.file(&format!("/proc/{me}/status"));
                    let state = status[56..68].trim().to_string();
                    if !matches!(state.as_str(), "Running" | "Ready" | "New") {
                        break;
                    }
                    cpu.sleep_ms(1);
                }
                cpu.sleep_ms(2);
                assert!(post(cpu, me, "wake up"));
            });
            assert_eq!(cpu.fails(number, &args), error::EINTR, "{name}");
            assert_eq!(cpu.load_u64(BSS), 1, "{name}");
            cpu.kill(poster);
        });
        // The sleeping children.
        let pids: Vec<u32> = w.t.kernel.procs.lock().keys().copied().filter(|p| *p != w.t.up.pid).collect();
        for pid in pids {
            let _ = w.t.write(&format!("/proc/{pid}/ctl"), b"kill");
        }
    }
}

#[test]
fn a_note_posted_while_computing_comes_soon() {
    let w = World::new();
    program_at(HANDLER, |cpu| {
        cpu.store_u64(BSS, 1);
        noted(cpu, NCONT);
    });
    w.ok(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        cpu.store_u64(BSS, 0);
        let me = cpu.pid();
        fork(cpu, NONE, move |cpu| assert!(post(cpu, me, "hello")));
        while cpu.load_u64(BSS) == 0 {
            cpu.pause();
        }
        cpu.wait_ok();
    });
}

/// Writing to a pipe without a reader.
#[test]
fn a_closed_pipe_is_told_of() {
    let w = World::new();
    let status = w.run(|cpu| {
        let fds = cpu.push(&[0; 8]);
        cpu.must(call::PIPE, &[fds]);
        let (a, b) = (u64::from(cpu.u32_at(fds)), u64::from(cpu.u32_at(fds + 4)));
        cpu.close(a);
        cpu.write(b, b"x");
    });
    assert!(status.starts_with("sys: write on closed pipe pc=0x"), "{status}");
    assert_eq!(w.t.screen.take(), "", "it is no fault");
    program_at(HANDLER, |cpu| noted(cpu, NCONT));
    w.ok(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        let fds = cpu.push(&[0; 8]);
        cpu.must(call::PIPE, &[fds]);
        let (a, b) = (u64::from(cpu.u32_at(fds)), u64::from(cpu.u32_at(fds + 4)));
        cpu.close(a);
        assert_eq!(cpu.write(b, b"x"), FAILED);
        assert_eq!(cpu.errstr(), error::EHUNGUP);
        // The note is over: nothing interrupts the next call.
        assert_eq!(cpu.must(call::SLEEP, &[2]), 0);
    });
}

/// A name that leads up and down in a large union takes as long as that takes, but nobody waits for it who kills.
#[test]
fn a_kill_ends_a_long_walk() {
    let w = World::new();
    for n in 0..300 {
        let dir = sysfile::create(&w.t.up, &format!("/n/d{n}"), OREAD, abi::DMDIR | 0o777).unwrap();
        sysfile::close(&w.t.up, dir).unwrap();
    }
    let last = sysfile::create(&w.t.up, "/n/d299/x", OREAD, abi::DMDIR | 0o777).unwrap();
    sysfile::close(&w.t.up, last).unwrap();
    let begun = Arc::new(AtomicBool::new(false));
    let told = begun.clone();
    let p = w.start(&["prog"], move |cpu| {
        for n in 0..300 {
            let (new, old) = (cpu.string(&format!("/n/d{n}")), cpu.string("/env"));
            cpu.must(call::BIND, &[new, old, u64::from(if n == 0 { abi::MREPL } else { abi::MAFTER })]);
        }
        let name = cpu.string(&format!("/env{}", "/x/..".repeat(13_000)));
        let buf = cpu.push(&[0; 200]);
        told.store(true, Ordering::SeqCst);
        loop {
            cpu.syscall(call::STAT, &[name, buf, 200]);
        }
    });
    while !begun.load(Ordering::SeqCst) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    std::thread::sleep(std::time::Duration::from_millis(50));
    let begin = std::time::Instant::now();
    procctl::kill(&p);
    w.wait();
    // A hundredth of what all of it takes, about.
    assert!(begin.elapsed() < std::time::Duration::from_secs(2), "{:?}", begin.elapsed());
}
