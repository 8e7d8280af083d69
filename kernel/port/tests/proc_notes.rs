//! Notes: the frame, what the handler may do, what waits and what does not, and what they interrupt.

mod world;

use machine::user::UserContext;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::syscall as call;
use abi::ureg::{UREG_SIZE, Ureg};
use abi::{NCONT, NDFLT, NRSTR, NSAVE, OREAD, OWRITE, Rfork, error};
use machine::host::{Cpu, program_at};
use machine::types::FpuState;
use port::note::NoteClass;
use port::proc::Proc;
use port::testkit::Hosted;
use world::{BSS, DATA, FAILED, HANDLER, Sys, World, cstring, fork, told};

const NONE: Rfork = Rfork::empty();

/// What a handler is given: where the registers are, and the text.
fn handed(cpu: &mut Cpu) -> (u64, String) {
    let (sp, bp) = (cpu.regs.sp, cpu.regs.bp);
    let ureg = cpu.load_u64(sp + 8);
    assert_eq!(ureg, bp, "in RBP too");
    let text = cpu.load_u64(sp + 16);
    (ureg, cstring(cpu, text))
}

fn ureg(cpu: &mut Cpu, at: u64) -> Ureg {
    let mut bytes = [0; UREG_SIZE];
    cpu.load(at, &mut bytes);
    Ureg::from_bytes(&bytes)
}

fn noted(cpu: &mut Cpu, how: i32) {
    cpu.syscall(call::NOTED, &[how as u64]);
}

/// Posts a note to a process, as a program does. False when it was refused.
fn post(cpu: &mut Cpu, pid: u32, text: &str) -> bool {
    cpu.echo(text, &format!("/proc/{pid}/note")) != FAILED
}

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
fn traps_have_names() {
    let w = World::new();
    let texts = told();
    let tell = texts.clone();
    program_at(HANDLER, move |cpu| {
        let (_, text) = handed(cpu);
        tell.lock().unwrap().push(text.split(" pc=0x").next().unwrap().to_string());
        noted(cpu, NCONT);
    });
    w.ok(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        for vector in [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17, 18] {
            cpu.trap(vector, 0);
        }
        let mut fpu = *cpu.fpu.as_bytes();
        // MXCSR: a pending, unmasked division by zero.
        fpu[24..28].copy_from_slice(&0x1d84u32.to_le_bytes());
        cpu.fpu = FpuState::from_bytes(&fpu);
        cpu.trap(19, 0);
    });
    let texts = texts.lock().unwrap();
    let names = [
        "divide error",
        "debug exception",
        "nonmaskable interrupt",
        "overflow",
        "bounds check",
        "invalid opcode",
        "coprocessor not available",
        "double fault",
        "coprocessor segment overrun",
        "invalid TSS",
        "segment not present",
        "stack exception",
        "general protection violation",
        "alignment check",
        "machine check",
    ];
    for (text, name) in texts.iter().zip(names) {
        assert_eq!(*text, format!("sys: trap: {name}"));
    }
    assert!(texts[15].starts_with("sys: fp: division by zero fppc=0x"), "{}", texts[15]);
    assert!(texts[15].ends_with(" status=0x1d84"), "{}", texts[15]);
}

#[test]
fn faults_are_notes_or_the_end() {
    let w = World::new();
    for (at, write, text) in [
        (0x10, false, "sys: trap: fault read addr=0x10 pc="),
        (0x10, true, "sys: trap: fault write addr=0x10 pc="),
        (world::ENTRY, true, "sys: trap: fault write addr=0x200100 pc="),
        (0x7000_0000, true, "sys: trap: fault write addr=0x70000000 pc="),
        (
            abi::layout::USTKTOP - abi::layout::USTKSIZE - 8,
            true,
            "sys: trap: fault write addr=0x7ffffeffeff8 pc=",
        ),
    ] {
        let status = w.run(move |cpu| if write { cpu.store_u64(at, 1) } else { drop(cpu.load_u64(at)) });
        assert!(status.starts_with(text), "{status}");
        let screen = w.t.screen.take();
        assert!(screen.contains(&format!("suicide: {text}")), "{screen}");
    }
    // On descriptor 2, when there is one.
    let status = w.run(|cpu| {
        let name = cpu.string("/n/err");
        let fd = cpu.must(call::CREATE, &[name, u64::from(OWRITE), 0o666]);
        cpu.must(call::DUP, &[fd, 2]);
        cpu.load_u64(0x18);
    });
    assert!(status.starts_with("sys: trap: fault read addr=0x18 "));
    let told = String::from_utf8(w.t.read("/n/err").unwrap()).unwrap();
    assert!(
        told.starts_with("prog ") && told.contains(": suicide: sys: trap: fault read addr=0x18 pc=0x"),
        "{told}"
    );
    assert_eq!(w.t.screen.take(), "");
}

#[test]
fn data_is_not_executed() {
    let w = World::new();
    program_at(DATA, |_| unreachable!());
    program_at(BSS, |_| unreachable!());
    for at in [DATA, BSS] {
        let rounds = Arc::new(AtomicU64::new(0));
        let (round, seen) = (rounds.clone(), told());
        let tell = seen.clone();
        program_at(HANDLER, move |cpu| {
            let (frame, text) = handed(cpu);
            tell.lock().unwrap().push(text);
            if round.fetch_add(1, Ordering::SeqCst) > 0 {
                return noted(cpu, NDFLT);
            }
            cpu.store_u64(frame + 144, at);
            noted(cpu, NCONT);
        });
        let status = w.run(move |cpu| {
            cpu.must(call::NOTIFY, &[HANDLER]);
            cpu.store_u64(at, 1);
            cpu.trap(1, 0);
        });
        let text = format!("sys: trap: fault read addr={at:#x} pc={at:#x}");
        assert_eq!(status, text);
        assert_eq!(seen.lock().unwrap()[1], text);
    }
}

#[test]
fn a_nil_dereference_can_be_recovered_from() {
    let w = World::new();
    program_at(HANDLER, |cpu| {
        let (at, text) = handed(cpu);
        assert!(text.starts_with("sys: trap: fault read addr=0x8 pc="), "{text}");
        // As Go does it: the program goes on elsewhere, with a word more on its stack.
        let sp = cpu.load_u64(at + 168) - 8;
        let pc = cpu.load_u64(at + 144);
        cpu.store_u64(sp, pc);
        cpu.store_u64(at + 168, sp);
        cpu.store_u64(at + 144, HANDLER + 0x100);
        noted(cpu, NCONT);
    });
    program_at(HANDLER + 0x100, |cpu| {
        assert!(cpu.load_u64(cpu.regs.sp) > 0x7000_0000_0000);
        cpu.exits("recovered");
    });
    let status = w.run(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        cpu.load_u64(8);
        unreachable!();
    });
    assert_eq!(status, "recovered");
}

#[test]
fn a_fault_in_the_handler_is_the_end() {
    let w = World::new();
    program_at(HANDLER, |cpu| drop(cpu.load_u64(0x20)));
    let status = w.run(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        cpu.load_u64(0x10);
    });
    assert!(status.starts_with("sys: trap: fault read addr=0x20 pc="), "{status}");
    // A system call with a bad address is one too.
    program_at(HANDLER, |cpu| {
        cpu.syscall(call::OPEN, &[0x10, 0]);
    });
    let status = w.run(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        cpu.load_u64(0x10);
    });
    assert!(status.starts_with("sys: bad address in syscall pc="), "{status}");
    // So is a stack without room for the frame.
    program_at(HANDLER, |_| unreachable!());
    let status = w.run(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        cpu.regs.sp = 0x1000;
        cpu.trap(0, 0);
    });
    assert_eq!(status, "Suicide");
    assert!(w.t.screen.take().contains("suicide: bad address in notify"));
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

#[test]
fn note_groups() {
    let w = World::new();
    program_at(HANDLER, |cpu| {
        let (_, text) = handed(cpu);
        cpu.exits(&text);
    });
    w.ok(|cpu| {
        cpu.must(call::RFORK, &[u64::from(Rfork::NOTEG.bits())]);
        let mut pids = Vec::new();
        for flags in [NONE, NONE, Rfork::NOTEG] {
            pids.push(fork(cpu, flags, |cpu| {
                cpu.must(call::NOTIFY, &[HANDLER]);
                cpu.store_u64(BSS, 1);
                cpu.sleep_ms(60_000);
            }));
        }
        cpu.sleep_ms(5);
        let me = cpu.pid();
        assert_eq!(cpu.file(&format!("/proc/{me}/noteid")), cpu.file(&format!("/proc/{}/noteid", pids[0])));
        assert_ne!(cpu.file(&format!("/proc/{me}/noteid")), cpu.file(&format!("/proc/{}/noteid", pids[2])));
        // To all but the writer.
        assert_eq!(cpu.echo("go away", &format!("/proc/{me}/notepg")), 7);
        for _ in 0..2 {
            let record = cpu.wait();
            assert!(record.ends_with(": go away'"), "{record}");
        }
        assert_eq!(cpu.echo("you too", &format!("/proc/{}/notepg", pids[2])), 7);
        let record = cpu.wait();
        assert!(record.starts_with(&format!("{} ", pids[2])) && record.ends_with(": you too'"), "{record}");
        // Too long.
        let long = "x".repeat(128);
        let fd = cpu.open(&format!("/proc/{me}/note"), OWRITE);
        assert_eq!(cpu.write(fd, long.as_bytes()), FAILED);
        assert_eq!(cpu.errstr(), error::ETOOBIG);
    });
}

/// A fork inherits the handler and nothing that is pending; exec keeps what others sent, and no handler.
#[test]
fn what_children_and_new_programs_inherit() {
    let w = World::new();
    program_at(HANDLER, |cpu| {
        let (_, text) = handed(cpu);
        if text == "fork" {
            let child = fork(cpu, NONE, |cpu| {
                // Not in a handler, but with one.
                let pid = cpu.pid();
                assert!(post(cpu, pid, "child"));
                unreachable!();
            });
            let record = cpu.wait();
            assert!(
                record.starts_with(&format!("{child} ")) && record.ends_with(": handled child'"),
                "{record}"
            );
            return noted(cpu, NCONT);
        }
        let status = format!("handled {text}");
        cpu.exits(&status);
    });
    w.ok(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        let pid = cpu.pid();
        assert!(post(cpu, pid, "fork"));
    });
    w.install("/n/second", &world::aout(world::ENTRY + 0x400, b"", 0));
    program_at(world::ENTRY + 0x400, |cpu| {
        let pid = cpu.pid();
        post(cpu, pid, "after exec");
    });
    let status = w.run(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        let (name, arg) = (cpu.string("/n/second"), cpu.string("second"));
        let argv = cpu.push(&[arg.to_le_bytes(), [0; 8]].concat());
        cpu.must(call::EXEC, &[name, argv]);
    });
    assert!(status.ends_with(": after exec"), "{status}");
    // What waits while exec is under way is not lost: the new program dies of it before it has done anything.
    program_at(HANDLER, |cpu| {
        let pid = cpu.pid();
        assert!(post(cpu, pid, "second"), "it waits, for a handler runs");
        let (name, arg) = (cpu.string("/n/second"), cpu.string("second"));
        let argv = cpu.push(&[arg.to_le_bytes(), [0; 8]].concat());
        cpu.must(call::EXEC, &[name, argv]);
    });
    let status = w.run(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        let pid = cpu.pid();
        post(cpu, pid, "first");
    });
    assert!(status.ends_with(": second"), "{status}");
}

/// A note to a group reaches a process that is being made at that moment, and each process once.
#[test]
fn a_group_has_no_gaps() {
    let t = Hosted::new();
    let (parent, child) = (t.process(), t.process());
    let texts = |p: &Proc| p.notes.lock().queue.iter().map(|n| n.text.clone()).collect::<Vec<_>>();
    let group = |text| port::note::post_group(&t.kernel, parent.noteid(), text, NoteClass::User, None);
    // The child is not in the table yet when the note comes.
    t.kernel.procs.lock().remove(&child.pid);
    group("before");
    // The program is told of that, and of nothing that comes from here on: another processor may post while this one is on
    // its way into the kernel, to fork.
    port::note::deliver(&parent, &mut UserContext::new());
    group("during");
    t.kernel.procs.lock().insert(child.pid, child.clone());
    port::note::pass_on(&parent, &child);
    group("after");
    port::note::pass_on(&parent, &child);
    assert_eq!(texts(&parent), ["during", "after"]);
    assert_eq!(texts(&child), ["during", "after"]);
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
