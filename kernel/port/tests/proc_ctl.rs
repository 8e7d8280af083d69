//! `/proc/n/ctl`: stopping, starting, stepping and the other messages, and who may send them.

mod world;

use std::time::Duration;

use abi::syscall as call;
use abi::ureg::{UREG_SIZE, Ureg};
use abi::{Dir, ORDWR, OREAD, OWRITE, Rfork, error};
use machine::host::{Cpu, program_at};
use port::call::sysfile;
use port::proc::exit;
use world::procfs::{ctl, state, until_state};
use world::{BSS, ENTRY, FAILED, HANDLER, NONE, Sys, World, fork};

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

/// `startstop`: until a note; `startsyscall`: until the beginning or the end of a system call.
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
            assert_eq!(ctl(cpu, pid, "startsyscall"), 12, "behind it");
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
        for good in ["noswap", "wired 0", "profile"] {
            assert_ne!(ctl(cpu, pid, good), FAILED, "{good:?}");
        }
        // Only fixedpri puts a process before those that have the usual priority.
        for (said, told) in
            [("pri 5\n", 5), ("fixedpri 15", 15), ("fixedpri 99", 20), ("pri 11", 10), ("pri 0", 0)]
        {
            assert_ne!(ctl(cpu, pid, said), FAILED, "{said:?}");
            let status = cpu.file(&format!("/proc/{pid}/status"));
            assert!(status.ends_with(&format!("{told:>11} {told:>11} ")), "{said:?}: {status:?}");
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
fn time_is_asked_for_and_not_given() {
    let t = port::testkit::Hosted::new();
    sysfile::bind(&t.up, "#p", "/proc", abi::MREPL).unwrap();
    let ctl = format!("/proc/{}/ctl", t.up.pid);
    let says = |message: &str| {
        t.write(&ctl, message.as_bytes()).map_or_else(|e| e.text().to_string(), |_| "".into())
    };
    assert_eq!(says("admit"), "edf params");
    for (message, refused) in [
        ("period", error::ECMDARGS),
        ("period 1 2", error::ECMDARGS),
        ("admit 1", error::ECMDARGS),
        ("period 3 hours", error::ECMDARGS),
        ("period 3hours", "unrecognized unit"),
        ("cost 1.", "ill-formed number"),
        ("sporadic", ""),
        ("admit", "T not set"),
        ("period 20ms", ""),
        ("admit", "C not set"),
        ("cost 30ms", ""),
        ("admit", "C > D"),
        ("deadline 1s", ""),
        ("admit", "D > T"),
        ("deadline 15ms", ""),
        ("cost 2.5ms", ""),
        ("extra", ""),
        ("deadlinenotes", ""),
        ("admit", "not schedulable"),
        ("expel", ""),
        ("trace 1 2", "args"),
    ] {
        assert_eq!(says(message), refused, "{message}");
    }
}

#[test]
fn what_is_traced_is_told() {
    let t = port::testkit::Hosted::new();
    sysfile::bind(&t.up, "#p", "/proc", abi::MREPL).unwrap();
    assert_eq!(t.ls("/proc").unwrap()[0], "trace");
    assert_eq!(t.stat("/proc/trace").unwrap().mode, 0o400);
    let ctl = format!("/proc/{}/ctl", t.up.pid);
    let does = |message: &str| t.write(&ctl, message.as_bytes()).unwrap();
    let events = |fd: i32| {
        let mut bytes = vec![0; 100_000];
        let n = sysfile::pread(&t.up, fd, &mut port::mem::iobuf::Dst::Kernel(&mut bytes), -1).unwrap();
        let number = |b: &[u8]| u32::from_le_bytes(b.try_into().unwrap());
        bytes[..n].chunks(16).map(|b| (number(&b[..4]), number(&b[4..8]))).collect::<Vec<_>>()
    };
    does("trace");
    does("event");
    let fd = sysfile::open(&t.up, "/proc/trace", OREAD).unwrap();
    assert!(sysfile::open(&t.up, "/proc/trace", OREAD).unwrap_err().is("already open"));
    assert!(sysfile::open(&t.up, "/proc/trace", OWRITE).unwrap_err().is(error::EPERM));
    let me = t.up.pid;
    assert_eq!(events(fd), []);
    does("event");
    does("trace 0");
    does("event");
    does("trace 1");
    let child = t.process();
    t.write(&format!("/proc/{}/ctl", child.pid), b"trace 1").unwrap();
    exit::exit(&child, "");
    assert_eq!(events(fd), [(me, 13), (child.pid, 10)]);
    // The oldest go.
    (0..5000).for_each(|_| drop(does("event")));
    assert_eq!(events(fd).len(), 4096);
    assert_eq!(events(fd), []);
    sysfile::close(&t.up, fd).unwrap();
    does("event");
    let fd = sysfile::open(&t.up, "/proc/trace", OREAD).unwrap();
    assert_eq!(events(fd), []);
    let stranger = t.process();
    *stranger.user.lock() = "stranger".into();
    assert!(sysfile::open(&stranger, "/proc/trace", OREAD).unwrap_err().is(error::EPERM));
}

/// What the scheduler does with a process that is traced.
#[test]
fn runs_and_waits_are_traced() {
    let w = World::new();
    let p = w.start(&["prog"], |cpu| {
        // Until it is killed.
        loop {
            cpu.sleep_ms(5);
        }
    });
    let fd = sysfile::open(&w.t.up, "/proc/trace", OREAD).unwrap();
    let read = || {
        let mut bytes = vec![0; 100_000];
        let n = sysfile::pread(&w.t.up, fd, &mut port::mem::iobuf::Dst::Kernel(&mut bytes), -1).unwrap();
        bytes[..n].chunks(16).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let ctl = |message: &str| w.t.write(&format!("/proc/{}/ctl", p.pid), message.as_bytes()).unwrap();
    ctl("trace 1");
    let mut events = Vec::new();
    while events.len() < 30 {
        std::thread::sleep(std::time::Duration::from_millis(5));
        events.extend(read());
    }
    ctl("trace 0");
    let word = |b: &[u8]| u32::from_le_bytes(b.try_into().unwrap());
    assert!(events.iter().all(|e| word(&e[..4]) == p.pid));
    let kinds: Vec<u32> = events.iter().map(|e| word(&e[4..8])).collect();
    // It sleeps, may be made ready before it runs, and runs before it sleeps again.
    let (run, ready, sleep) = (3, 4, 5);
    for two in kinds.windows(2) {
        assert!(
            [[sleep, ready], [sleep, run], [ready, run], [run, sleep]].contains(&[two[0], two[1]]),
            "{kinds:?}"
        );
    }
    let times: Vec<u64> = events.iter().map(|e| u64::from_le_bytes(e[8..].try_into().unwrap())).collect();
    assert!(times.is_sorted(), "{times:?}");
    // Who is not traced any more does nothing that is told.
    read();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(read().len(), 0);
    ctl("kill");
    w.wait();
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
    exit::exit(&stranger, "");
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
