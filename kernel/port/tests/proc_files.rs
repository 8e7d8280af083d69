//! `/proc`: what the files of a process say, and what can be done to it through them.

mod world;

use std::time::Duration;

use abi::syscall as call;
use abi::ureg::{UREG_SIZE, Ureg};
use abi::{Dir, ORDWR, OREAD, OWRITE, Rfork, error};
use machine::host::{Cpu, program_at};
use port::sysfile;
use world::{BSS, ENTRY, FAILED, HANDLER, Sys, World, fork};

const NONE: Rfork = Rfork::empty();

/// Words of `/proc/n/status`.
fn state(cpu: &mut Cpu, pid: u64) -> String {
    let status = cpu.file(&format!("/proc/{pid}/status"));
    assert_eq!(status.len(), 176, "{status}");
    status[56..68].trim().to_string()
}

fn until_state(cpu: &mut Cpu, pid: u64, wanted: &str) {
    let mut last = String::new();
    for _ in 0..5000 {
        last = state(cpu, pid);
        if last == wanted {
            return;
        }
        cpu.sleep_ms(1);
    }
    panic!("{pid} is {last}, not {wanted}");
}

fn ctl(cpu: &mut Cpu, pid: u64, message: &str) -> u64 {
    cpu.echo(message, &format!("/proc/{pid}/ctl"))
}

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
        let ns = file(cpu, "ns");
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
            ["1".to_string(), me.to_string()]
        );
        assert!(dirs.iter().all(|d| d.mode == abi::DMDIR | 0o555 && d.uid == "glenda"));
        let fd = cpu.open(&format!("/proc/{me}"), OREAD);
        let names: Vec<String> =
            Dir::parse_all(&cpu.read(fd, 8192)).unwrap().into_iter().map(|d| d.name).collect();
        let expected = "args ctl fd fpregs mem note noteid notepg ns ppid proc regs segment status text wait";
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
            error::EBADARG,
            "text is not written"
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

/// Stopping: a computing process, its registers, letting it go on.
#[test]
fn stop_and_start() {
    let w = World::new();
    w.ok(|cpu| {
        cpu.store_u64(BSS + 64, 0);
        let pid = fork(cpu, Rfork::MEM, |cpu| {
            cpu.regs.bx = 0xbb;
            cpu.regs.r12 = 0;
            cpu.store_u64(BSS + 64, 1);
            while cpu.regs.r12 == 0 {
                cpu.pause();
            }
            assert_eq!((cpu.regs.r12, cpu.regs.bx), (5, 0xbb));
        });
        while cpu.load_u64(BSS + 64) == 0 {
            cpu.sleep_ms(1);
        }
        assert_eq!(ctl(cpu, pid, "start"), FAILED, "it is not stopped");
        assert_eq!(cpu.errstr(), error::EBADCTL);
        assert_eq!(ctl(cpu, pid, "stop"), 4);
        assert_eq!(state(cpu, pid), "Stopped");
        let fd = cpu.open(&format!("/proc/{pid}/regs"), ORDWR);
        let regs = |cpu: &mut Cpu| {
            let bytes = cpu.read(fd, UREG_SIZE);
            Ureg::from_bytes(&bytes.try_into().unwrap())
        };
        let seen = regs(cpu);
        assert_eq!(seen.bx, 0xbb);
        // r12 is at 88.
        cpu.store_u64(BSS, 5);
        assert_eq!(cpu.must(call::PWRITE, &[fd, BSS, 8, 88]), 8);
        for at in [UREG_SIZE as u64 - 4, 1 << 40] {
            assert_eq!(cpu.fails(call::PWRITE, &[fd, BSS, 8, at]), error::EBADARG);
        }
        assert_eq!(ctl(cpu, pid, "stop"), 4, "it already is");
        assert_eq!(ctl(cpu, pid, "waitstop"), 8);
        assert_eq!(ctl(cpu, pid, "start"), 5);
        cpu.wait_ok();

        // A stopped process can be killed.
        let pid = fork(cpu, NONE, |cpu| {
            loop {
                cpu.pause();
            }
        });
        ctl(cpu, pid, "stop");
        cpu.kill(pid);
        assert!(cpu.wait().ends_with(": sys: killed'"));
        // Who waits for a stop that never comes is told when the process ends.
        let pid = fork(cpu, NONE, |cpu| drop(cpu.sleep_ms(20)));
        let stopped = ctl(cpu, pid, "waitstop");
        assert_eq!((stopped, cpu.errstr().as_str()), (FAILED, error::EPROCDIED));
        cpu.wait_ok();
    });
}

/// `startstop`: until a note; `startsyscall`: until a system call.
#[test]
fn stepping_from_event_to_event() {
    let w = World::new();
    program_at(HANDLER, |cpu| {
        let n = cpu.load_u64(BSS);
        cpu.store_u64(BSS, n + 1);
        cpu.syscall(call::NOTED, &[0]);
    });
    w.ok(|cpu| {
        let pid = fork(cpu, Rfork::MEM, |cpu| {
            cpu.must(call::NOTIFY, &[HANDLER]);
            cpu.store_u64(BSS + 64, 1);
            while cpu.load_u64(BSS) == 0 {
                cpu.pause();
            }
            cpu.syscall(call::SLEEP, &[0]);
            cpu.syscall(call::ALARM, &[0]);
        });
        while cpu.load_u64(BSS + 64) == 0 {
            cpu.sleep_ms(1);
        }
        assert_eq!(ctl(cpu, pid, "startstop"), FAILED);
        ctl(cpu, pid, "stop");
        let sender = fork(cpu, NONE, move |cpu| {
            until_state(cpu, pid, "Running");
            cpu.echo("hello", &format!("/proc/{pid}/note"));
        });
        assert_eq!(ctl(cpu, pid, "startstop"), 9);
        assert_eq!(state(cpu, pid), "Stopped");
        assert!(cpu.wait().starts_with(&format!("{sender} ")));
        // The note is still to come.
        let number = |cpu: &mut Cpu| {
            let fd = cpu.open(&format!("/proc/{pid}/regs"), OREAD);
            let regs = Ureg::from_bytes(&cpu.read(fd, UREG_SIZE).try_into().unwrap());
            cpu.close(fd);
            regs.bp
        };
        for expected in [call::NOTED, call::SLEEP, call::ALARM] {
            assert_eq!(ctl(cpu, pid, "startsyscall"), 12);
            assert_eq!(number(cpu), expected, "before the call");
        }
        ctl(cpu, pid, "start");
        cpu.wait_ok();
    });
}

#[test]
fn stopping_at_exec() {
    let w = World::new();
    w.install("/n/second", &world::aout(ENTRY + 0x20, b"", 0));
    program_at(ENTRY + 0x20, |cpu| cpu.exits(""));
    w.ok(|cpu| {
        let pid = fork(cpu, NONE, |cpu| {
            let me = cpu.pid();
            assert_eq!(ctl(cpu, u64::from(me), "hang"), 4);
            let (name, arg) = (cpu.string("/n/second"), cpu.string("second"));
            let argv = cpu.push(&[arg.to_le_bytes(), [0; 8]].concat());
            cpu.must(call::EXEC, &[name, argv]);
        });
        until_state(cpu, pid, "Stopped");
        let status = cpu.file(&format!("/proc/{pid}/status"));
        assert!(status.starts_with("second "), "{status}");
        assert_eq!(ctl(cpu, pid, "nohang"), 6);
        ctl(cpu, pid, "start");
        cpu.wait_ok();
        // Oneself: when the call is over.
        let pid = fork(cpu, NONE, |cpu| {
            let me = cpu.pid();
            assert_eq!(ctl(cpu, u64::from(me), "stop"), 4);
        });
        until_state(cpu, pid, "Stopped");
        ctl(cpu, pid, "start");
        cpu.wait_ok();
    });
}

#[test]
fn other_messages() {
    let w = World::new();
    w.ok(|cpu| {
        let pid = fork(cpu, Rfork::FDG, |cpu| {
            let null = cpu.open("/dev/null", ORDWR);
            let null = cpu.must(call::DUP, &[null, 9]);
            while cpu.must(call::SLEEP, &[1]) == 0 && cpu.open("/n/go", OREAD) == FAILED {}
            assert_eq!(cpu.fails(call::CLOSE, &[null]), error::EBADFD);
        });
        until_state(cpu, pid, "Sleep");
        cpu.sleep_ms(5);
        assert_eq!(ctl(cpu, pid, "close 77"), FAILED);
        assert_eq!(cpu.errstr(), error::EBADFD);
        for bad in ["", "nonsense", "close", "close x", "pri", "pri x", "pri -1"] {
            assert_eq!(ctl(cpu, pid, bad), FAILED, "{bad:?}");
            assert_eq!(cpu.errstr(), error::EBADCTL, "{bad:?}");
        }
        for good in ["pri 5\n", "fixedpri 15", "noswap", "wired 0", "profile"] {
            assert_ne!(ctl(cpu, pid, good), FAILED, "{good:?}");
        }
        assert_ne!(ctl(cpu, pid, "closefiles"), FAILED);
        let name = cpu.string("/n/go");
        cpu.must(call::CREATE, &[name, 1, 0o666]);
        cpu.wait_ok();
    });
    // The permissions of a process's files are its own choice.
    let t = &w.t;
    w.ok(|cpu| {
        let me = cpu.pid();
        let file = format!("/proc/{me}/mem");
        let (name, size) = (cpu.string(&file), 300);
        let buf = cpu.push(&[0; 300]);
        let stat = |cpu: &mut Cpu| {
            let n = cpu.must(call::STAT, &[name, buf, size]);
            let mut b = vec![0; n as usize];
            cpu.load(buf, &mut b);
            Dir::parse(&b).unwrap().0
        };
        assert_eq!((stat(cpu).mode, stat(cpu).uid.as_str()), (0o640, "glenda"));
        let change = Dir { mode: 0o600, ..Dir::untouched() }.to_bytes();
        let at = cpu.push(&change);
        assert_eq!(cpu.must(call::WSTAT, &[name, at, change.len() as u64]), change.len() as u64);
        assert_eq!(stat(cpu).mode, 0o600);
        assert_ne!(ctl(cpu, u64::from(me), "private"), FAILED);
        assert_eq!(stat(cpu).mode, 0o600);
        for secret in ["mem", "regs", "fpregs"] {
            let name = cpu.string(&format!("/proc/{me}/{secret}"));
            assert_eq!(cpu.fails(call::OPEN, &[name, 0]), format!("'/proc/{me}/{secret}' {}", error::EPERM));
        }
        let rename = Dir { name: "x".into(), ..Dir::untouched() }.to_bytes();
        let at = cpu.push(&rename);
        assert_eq!(cpu.fails(call::WSTAT, &[name, at, rename.len() as u64]), error::EPERM);
        let ns = cpu.string(&format!("/proc/{me}/ns"));
        let at = cpu.push(&change);
        assert_eq!(cpu.fails(call::WSTAT, &[ns, at, change.len() as u64]), error::EPERM);
    });
    assert_eq!(w.live(), 0);
    let e = t.write("/proc/1/ctl", b"nonsense").unwrap_err();
    assert!(e.is(error::EBADCTL));
}

#[test]
fn others_may_not() {
    let w = World::new();
    let p = w.start(&["prog"], |cpu| drop(cpu.sleep_ms(60_000)));
    let stranger = w.t.process();
    *stranger.user.lock() = "stranger".into();
    let dir = format!("/proc/{}", p.pid);
    for (file, mode) in [
        ("mem", OREAD),
        ("ctl", OWRITE),
        ("note", OWRITE),
        ("notepg", OWRITE),
        ("regs", OREAD),
        ("text", OREAD),
        ("wait", OREAD),
    ] {
        let e = sysfile::open(&stranger, &format!("{dir}/{file}"), mode).unwrap_err();
        assert!(e.is(error::EPERM), "{file}: {e}");
    }
    for file in ["status", "segment", "fd", "ns", "ppid"] {
        let fd = sysfile::open(&stranger, &format!("{dir}/{file}"), OREAD).unwrap();
        sysfile::close(&stranger, fd).unwrap();
    }
    assert!(sysfile::open(&stranger, &format!("{dir}/status"), OWRITE).is_err());
    port::sysproc::exit(&stranger, "");
    // Exec forgets notes: it has to have begun.
    while !String::from_utf8(w.t.read(&format!("{dir}/status")).unwrap()).unwrap().contains("Sleep") {
        std::thread::sleep(Duration::from_millis(1));
    }
    w.t.write(&format!("{dir}/note"), b"go").unwrap();
    assert!(w.wait().msg.ends_with(": go"));
    std::thread::sleep(Duration::from_millis(1));
    assert_eq!(w.live(), 0);
}

/// Whatever is done to a process before it has begun, is done.
#[test]
fn notes_stops_and_kills_that_come_early() {
    let w = World::new();
    w.ok(|cpu| {
        for round in 0..60 {
            let pid = fork(cpu, NONE, |cpu| {
                loop {
                    cpu.pause();
                }
            });
            if round % 3 == 0 {
                ctl(cpu, pid, "stop");
            }
            if round % 2 == 0 {
                cpu.kill(pid);
            } else {
                assert_eq!(cpu.echo("enough", &format!("/proc/{pid}/note")), 6);
                if round % 3 == 0 {
                    ctl(cpu, pid, "start");
                }
            }
            let record = cpu.wait();
            let end = if round % 2 == 0 { ": sys: killed'" } else { ": enough'" };
            assert!(record.ends_with(end), "{record}");
        }
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
