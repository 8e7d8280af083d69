//! Note groups, and what children and new programs have of their parents' handlers and notes.

mod world;

use machine::user::UserContext;

use abi::syscall as call;
use abi::{NCONT, OWRITE, Rfork, error};
use machine::host::program_at;
use port::Proc;
use port::proc::notes::NoteClass;
use port::testkit::Hosted;
use world::notes::{handed, noted, post};
use world::{BSS, FAILED, HANDLER, NONE, Sys, World, fork};

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

/// A note to many is one text, and each has room for it: the call takes no more memory than is granted to it.
#[test]
fn a_note_to_a_large_group() {
    let w = World::new();
    w.ok(|cpu| {
        cpu.must(call::RFORK, &[u64::from(Rfork::NOTEG.bits())]);
        for _ in 0..100 {
            fork(cpu, NONE, |cpu| drop(cpu.sleep_ms(60_000)));
        }
        let text = "x".repeat(90);
        let me = cpu.pid();
        assert_eq!(cpu.echo(&text, &format!("/proc/{me}/notepg")), 90);
        for _ in 0..100 {
            let record = cpu.wait();
            assert!(record.contains(&text), "{record}");
        }
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
    let texts = |p: &Proc| p.notes.lock().queue.iter().map(|n| n.text.to_string()).collect::<Vec<_>>();
    let group =
        |text| port::proc::notegroup::post_group(&t.kernel, parent.noteid(), text, NoteClass::User, None);
    // The child is not in the table yet when the note comes.
    t.kernel.procs.lock().remove(&child.pid);
    group("before");
    // The program is told of that, and of nothing that comes from here on: another processor may post while this one is
    // on its way into the kernel, to fork.
    port::proc::notify::deliver(&parent, &mut UserContext::new());
    group("during");
    t.kernel.procs.lock().insert(child.pid, child.clone());
    port::proc::notegroup::pass_on(&parent, &child);
    group("after");
    port::proc::notegroup::pass_on(&parent, &child);
    assert_eq!(texts(&parent), ["during", "after"]);
    assert_eq!(texts(&child), ["during", "after"]);
}
