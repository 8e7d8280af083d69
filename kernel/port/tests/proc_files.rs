//! `/proc`: what the files of a process say.

mod world;

use abi::syscall as call;
use abi::{Dir, ORDWR, OREAD, OWRITE, Rfork, error};
use machine::host::{Cpu, program_at};
use world::procfs::{ctl, state, until_state};
use world::{BSS, ENTRY, FAILED, HANDLER, NONE, Sys, World, fork};

#[test]
fn status_has_its_columns() {
    let w = World::new();
    w.ok(|cpu| {
        let pid = fork(cpu, NONE, |cpu| drop(cpu.sleep_ms(60_000)));
        until_state(cpu, pid, "Sleep");
        let status = cpu.file(&format!("/proc/{pid}/status"));
        assert_eq!(&status[..28], format!("{:<28}", "prog"));
        assert_eq!(&status[28..56], format!("{:<28}", "glenda"));
        assert_eq!(&status[56..68], "Sleep       ");
        let numbers: Vec<u64> =
            (0..9).map(|i| status[68 + 12 * i..80 + 12 * i].trim().parse().unwrap()).collect();
        assert!((0..9).all(|i| status.as_bytes()[79 + 12 * i] == b' '), "a blank ends each");
        assert!(numbers[6] > 0, "memory in KiB");
        assert_eq!(numbers[7..], [10, 10]);
        cpu.kill(pid);
        cpu.wait();
        // The times of children that were waited for are the parent's.
        fork(cpu, NONE, |cpu| drop(cpu.sleep_ms(15)));
        cpu.wait_ok();
        let me = cpu.pid();
        let status = cpu.file(&format!("/proc/{me}/status"));
        assert_eq!(state(cpu, u64::from(me)), "Running");
        let real: u64 = status[68 + 60..80 + 60].trim().parse().unwrap();
        assert!(real >= 15, "{status}");
    });
    // A name that is not plain letters is as many bytes wide.
    let name = "\u{e9}".repeat(30);
    w.install(&format!("/n/{name}"), &world::aout(ENTRY + 0x10, b"", 0));
    program_at(ENTRY + 0x10, |cpu| {
        let me = cpu.pid();
        assert_eq!(cpu.file(&format!("/proc/{me}/status")).len(), 176);
        cpu.exits("");
    });
    w.start_file(&format!("/n/{name}"), &["x"]);
    assert_eq!(w.wait().msg, "");
}

#[test]
fn texts() {
    let w = World::new();
    w.ok(|cpu| {
        let me = cpu.pid();
        let file = |cpu: &mut Cpu, name: &str| cpu.file(&format!("/proc/{me}/{name}"));
        assert_eq!(file(cpu, "ctl"), me.to_string());
        assert_eq!(file(cpu, "args"), "prog");
        assert_eq!(file(cpu, "ppid"), "          0 ");
        fork(cpu, NONE, move |cpu| {
            let child = cpu.pid();
            assert_eq!(cpu.file(&format!("/proc/{child}/ppid")), format!("{me:11} "));
        });
        cpu.wait_ok();
        assert_eq!(file(cpu, "noteid").len(), 12);
        let segments = file(cpu, "segment");
        let lines: Vec<&str> = segments.lines().collect();
        assert_eq!(lines[0], "Text   R    200000   203000    1");
        assert_eq!(lines[1], "Data        400000   402000    1");
        assert_eq!(lines[2], "Bss         402000   502000    1");
        assert_eq!(lines[3], "Stack     7ffffefff000 7ffffffff000    1");
        fork(cpu, Rfork::MEM, move |cpu| {
            let segments = cpu.file(&format!("/proc/{me}/segment"));
            let users: Vec<&str> = segments.lines().map(|l| l.rsplit(' ').next().unwrap()).collect();
            assert_eq!(users, ["2", "2", "2", "1"]);
        });
        cpu.wait_ok();
        // Descriptors: the current directory, then a line each.
        let null = cpu.open("/dev/null", OWRITE);
        let prog = cpu.open("/n/prog", OREAD);
        cpu.read(prog, 100);
        let fds = file(cpu, "fd");
        let lines: Vec<&str> = fds.lines().collect();
        assert_eq!(lines[0], "/");
        assert!(
            lines[1].starts_with(&format!("{null:3} w  c ")) && lines[1].ends_with(" /dev/null"),
            "{fds}"
        );
        assert!(lines[2].starts_with(&format!("{prog:3} r  R ")), "{fds}");
        assert!(lines[2].contains(" 100 ") && lines[2].ends_with(" /n/prog"), "{fds}");
        let ns = cpu.open(&format!("/proc/{me}/ns"), OREAD);
        let lines = std::iter::repeat_with(|| String::from_utf8(cpu.read(ns, 8192)).unwrap());
        let ns: String = lines.take_while(|line| !line.is_empty()).collect();
        assert!(ns.contains("bind  '#c' /dev\n") || ns.contains("#c"), "{ns}");
        assert!(ns.ends_with("cd /\n"), "{ns}");
        // What was written is what is shown.
        assert_eq!(cpu.echo("busy", &format!("/proc/{me}/args")), 4);
        assert_eq!(file(cpu, "args"), "prog [busy]");
        for name in ["proc", "fpregs"] {
            let fd = cpu.open(&format!("/proc/{me}/{name}"), OREAD);
            assert_eq!(cpu.fails(call::PREAD, &[fd, BSS, 10, 0]), error::ENOREG, "{name}");
        }
        assert_eq!(cpu.open(&format!("/proc/{me}/none"), OREAD), FAILED);
        for name in [format!("0{me}"), format!("+{me}"), "99999".into(), "x".into(), format!("{me}x")] {
            assert_eq!(cpu.open(&format!("/proc/{name}/status"), OREAD), FAILED, "{name}");
        }
        let fd = cpu.open("/proc", OREAD);
        let dirs = Dir::parse_all(&cpu.read(fd, 8192)).unwrap();
        assert_eq!(
            dirs.iter().map(|d| d.name.clone()).collect::<Vec<_>>(),
            ["trace".to_string(), "1".to_string(), me.to_string()]
        );
        assert!(dirs.iter().skip(1).all(|d| d.mode == abi::DMDIR | 0o555 && d.uid == "glenda"));
        let fd = cpu.open(&format!("/proc/{me}"), OREAD);
        let names: Vec<String> =
            Dir::parse_all(&cpu.read(fd, 8192)).unwrap().into_iter().map(|d| d.name).collect();
        let expected = concat!(
            "args ctl fd fpregs kregs mem note noteid notepg ns ppid proc profile regs segment status",
            " syscall text wait watchpt"
        );
        assert_eq!(names.join(" "), expected);
    });
}

#[test]
fn a_process_that_is_gone() {
    let w = World::new();
    w.ok(|cpu| {
        let pid = fork(cpu, NONE, |cpu| drop(cpu.sleep_ms(60_000)));
        let files =
            ["status", "note", "ctl", "mem", "segment"].map(|f| cpu.open(&format!("/proc/{pid}/{f}"), OREAD));
        assert!(!files.contains(&FAILED));
        let note = cpu.open(&format!("/proc/{pid}/note"), OWRITE);
        cpu.kill(pid);
        let record = cpu.wait();
        assert!(record.ends_with(": sys: killed'"), "{record}");
        for fd in files {
            assert_eq!(cpu.fails(call::PREAD, &[fd, BSS, 10, 0]), error::EPROCDIED);
        }
        assert_eq!(cpu.write(note, b"x"), FAILED);
        assert_eq!(cpu.errstr(), error::EPROCDIED);
        assert_eq!(cpu.open(&format!("/proc/{pid}/status"), OREAD), FAILED);
        let e = cpu.errstr();
        assert!(e.ends_with(error::ENONEXIST), "{e}");
    });
}

#[test]
fn memory_and_notes_of_others() {
    let w = World::new();
    program_at(HANDLER, |_| unreachable!());
    w.ok(|cpu| {
        let pid = fork(cpu, NONE, |cpu| {
            cpu.must(call::NOTIFY, &[HANDLER]);
            cpu.store_u64(BSS, 0x1122_3344);
            while cpu.load_u64(BSS + 8) == 0 {
                cpu.sleep_ms(1);
            }
            assert_eq!(cpu.load_u64(BSS + 8), 7);
        });
        until_state(cpu, pid, "Sleep");
        while {
            let mem = cpu.open(&format!("/proc/{pid}/mem"), OREAD);
            cpu.must(call::PREAD, &[mem, BSS + 100, 8, BSS]);
            cpu.close(mem);
            cpu.load_u64(BSS + 100) != 0x1122_3344
        } {}
        let mem = cpu.open(&format!("/proc/{pid}/mem"), ORDWR);
        // As much as there is; across segments it is not.
        assert_eq!(cpu.must(call::PREAD, &[mem, BSS + 0x1000, 0x4000, 0x20_1000]), 0x2000);
        assert_eq!(cpu.fails(call::PREAD, &[mem, BSS, 8, 0x1000]), error::EBADARG);
        cpu.store_u64(BSS + 100, 7);
        assert_eq!(
            cpu.fails(call::PWRITE, &[mem, BSS + 100, 8, ENTRY]),
            error::EBADCTL,
            "text of a program that runs"
        );
        assert_eq!(cpu.must(call::PWRITE, &[mem, BSS + 100, 8, BSS + 8]), 8);
        assert_eq!(cpu.load_u64(BSS + 8), 0, "it was the other's memory");
        cpu.wait_ok();

        // A note can be read, by which it is gone.
        cpu.store_u64(BSS + 64, 0);
        let pid = fork(cpu, Rfork::MEM, |cpu| {
            cpu.must(call::NOTIFY, &[HANDLER]);
            cpu.regs.r12 = 0;
            cpu.store_u64(BSS + 64, 1);
            while cpu.regs.r12 == 0 {
                cpu.pause();
            }
        });
        while cpu.load_u64(BSS + 64) == 0 {
            cpu.sleep_ms(1);
        }
        ctl(cpu, pid, "stop");
        for text in ["first", "second"] {
            assert_eq!(cpu.echo(text, &format!("/proc/{pid}/note")), text.len() as u64);
        }
        assert_eq!(cpu.file(&format!("/proc/{pid}/note")), "first");
        assert_eq!(cpu.file(&format!("/proc/{pid}/note")), "second");
        assert_eq!(cpu.file(&format!("/proc/{pid}/note")), "");
        cpu.store_u64(BSS, 1);
        let regs = cpu.open(&format!("/proc/{pid}/regs"), OWRITE);
        cpu.must(call::PWRITE, &[regs, BSS, 8, 88]);
        ctl(cpu, pid, "start");
        cpu.wait_ok();
    });
}

/// A debugger writes into the text of a process that is stopped; nobody else's changes by it.
#[test]
fn breakpoints() {
    let w = World::new();
    w.ok(|cpu| {
        let was = cpu.load_u64(ENTRY);
        let pid = fork(cpu, NONE, |cpu| {
            while cpu.load_u64(BSS + 8) == 0 {
                cpu.sleep_ms(1);
            }
            // Its child's text is as its own, and is nobody else's either.
            assert_eq!((cpu.load_u64(ENTRY), cpu.load_u64(ENTRY + 8)), (7, cpu.load_u64(BSS + 16)));
            fork(cpu, NONE, |cpu| assert_eq!(cpu.load_u64(ENTRY), 7));
            cpu.wait_ok();
        });
        ctl(cpu, pid, "stop");
        let mem = cpu.open(&format!("/proc/{pid}/mem"), ORDWR);
        cpu.store_u64(BSS + 100, 7);
        let next = cpu.load_u64(ENTRY + 8);
        cpu.store_u64(BSS + 200, next);
        assert_eq!(cpu.must(call::PWRITE, &[mem, BSS + 100, 8, ENTRY]), 8);
        assert_eq!(cpu.must(call::PWRITE, &[mem, BSS + 200, 8, BSS + 16]), 8);
        assert_eq!(cpu.must(call::PREAD, &[mem, BSS + 100, 8, ENTRY]), 8);
        assert_eq!((cpu.load_u64(BSS + 100), cpu.load_u64(ENTRY)), (7, was));
        // A piece over the end of a page, and what is behind the end of the text.
        let top = 0x20_3000;
        assert_eq!(cpu.must(call::PWRITE, &[mem, BSS + 100, 16, 0x20_1ff8]), 16);
        assert_eq!(cpu.must(call::PWRITE, &[mem, BSS + 100, 16, top - 8]), 8);
        assert_eq!(cpu.fails(call::PWRITE, &[mem, BSS + 100, 8, top]), error::EBADARG);
        let segment = cpu.file(&format!("/proc/{pid}/segment"));
        assert!(segment.starts_with("Text   R    200000   203000    1\n"), "{segment}");
        cpu.store_u64(BSS + 100, 1);
        assert_eq!(cpu.must(call::PWRITE, &[mem, BSS + 100, 8, BSS + 8]), 8);
        ctl(cpu, pid, "start");
        cpu.wait_ok();
        // Whoever runs the program now has the file's text.
        fork(cpu, NONE, move |cpu| assert_eq!(cpu.load_u64(ENTRY), was));
        cpu.wait_ok();
    });
}

/// Text that is in two pieces, one right behind the other, is written over as one.
#[test]
fn breakpoints_over_the_border_of_two_texts() {
    const SECOND: u64 = 0x20_0300;
    const BEHIND: u64 = 0x20_3000;
    const MARK: u64 = 0x60_0100;
    let w = World::new();
    let mut file = vec![0u8; 64];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    (file[16], file[18], file[32], file[54], file[56]) = (2, 62, 64, 56, 3);
    file[24..32].copy_from_slice(&SECOND.to_le_bytes());
    for (flags, va, len) in [(5u32, 0x20_0000u64, 0x3000u64), (5, BEHIND, 0x1000), (6, 0x60_0000, 0x1000)] {
        file.extend(1u32.to_le_bytes());
        file.extend(flags.to_le_bytes());
        [0, va, va, len, len, 4096].iter().for_each(|v: &u64| file.extend(v.to_le_bytes()));
    }
    file.resize(0x3000, 0x90);
    w.install("/n/two", &file);
    program_at(SECOND, |cpu| {
        while cpu.load_u64(MARK) != 7 {
            cpu.sleep_ms(1);
        }
        assert_eq!((cpu.load_u64(BEHIND - 8), cpu.load_u64(BEHIND)), (1, 2));
        cpu.syscall(call::EXITS, &[0]);
    });
    w.ok(|cpu| {
        let pid = fork(cpu, NONE, |cpu| {
            let (name, argv) = (cpu.string("/n/two"), cpu.push(&[0; 16]));
            cpu.store_u64(argv, name);
            cpu.syscall(call::EXEC, &[name, argv]);
        });
        while !cpu.file(&format!("/proc/{pid}/segment")).contains("203000   204000") {
            cpu.sleep_ms(1);
        }
        ctl(cpu, pid, "stop");
        let mem = cpu.open(&format!("/proc/{pid}/mem"), ORDWR);
        cpu.store_u64(BSS + 100, 1);
        cpu.store_u64(BSS + 108, 2);
        assert_eq!(cpu.must(call::PWRITE, &[mem, BSS + 100, 16, BEHIND - 8]), 16);
        assert_eq!(cpu.must(call::PWRITE, &[mem, BSS + 100, 16, BEHIND + 0xff8]), 8, "its end");
        cpu.store_u64(BSS + 100, 7);
        cpu.must(call::PWRITE, &[mem, BSS + 100, 8, MARK]);
        ctl(cpu, pid, "start");
        cpu.wait_ok();
    });
}

/// Each read of the name space gives a line, however much is asked for.
#[test]
fn a_name_space_line_by_line() {
    let w = World::new();
    w.ok(|cpu| {
        let me = cpu.pid();
        let fd = cpu.open(&format!("/proc/{me}/ns"), OREAD);
        let mut lines = Vec::new();
        loop {
            let line = String::from_utf8(cpu.read(fd, 8192)).unwrap();
            if line.is_empty() {
                break;
            }
            assert_eq!(line.find('\n'), Some(line.len() - 1), "{line:?}");
            lines.push(line);
        }
        assert!(lines.len() > 2 && lines.last().is_some_and(|l| l.starts_with("cd ")), "{lines:?}");
        // In pieces as well.
        let first = lines.first().cloned().unwrap_or_default();
        assert_eq!(cpu.must(call::PREAD, &[fd, BSS, 3, 0]), 3);
        assert_eq!(cpu.must(call::PREAD, &[fd, BSS, 8192, 3]), first.len() as u64 - 3);
        cpu.close(fd);
    });
}

/// The trap of a process that never trapped is the call that it came from.
#[test]
fn the_number_of_a_trap() {
    let w = World::new();
    w.ok(|cpu| {
        let pid = fork(cpu, NONE, |cpu| drop(cpu.sleep_ms(60_000)));
        until_state(cpu, pid, "Sleep");
        let regs = cpu.open(&format!("/proc/{pid}/regs"), OREAD);
        assert_eq!(cpu.must(call::PREAD, &[regs, BSS, 8, 128]), 8);
        assert_eq!(cpu.load_u64(BSS), abi::ureg::SYSCALL);
        cpu.kill(pid);
        cpu.wait();
    });
}

/// The wait file of a parent gives its children's records.
#[test]
fn records_through_the_wait_file() {
    let w = World::new();
    w.ok(|cpu| {
        let me = cpu.pid();
        let fd = cpu.open(&format!("/proc/{me}/wait"), OREAD);
        assert_eq!(cpu.fails(call::PREAD, &[fd, BSS, 100, 0]), error::ENOCHILD);
        let pid = fork(cpu, NONE, |cpu| cpu.exits("gone"));
        let record = String::from_utf8(cpu.read(fd, 200)).unwrap();
        assert!(
            record.starts_with(&format!("{pid} ")) && record.ends_with(&format!(" 'prog {pid}: gone'")),
            "{record}"
        );
        assert_eq!(cpu.fails(call::AWAIT, &[BSS, 100]), error::ENOCHILD);
    });
}
