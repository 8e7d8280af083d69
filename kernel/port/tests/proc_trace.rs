//! `/proc/n/syscall`: system calls as they are told to who steps a process with `startsyscall`.

mod world;

use abi::syscall as call;
use abi::{OREAD, OWRITE, Rfork};
use machine::host::Cpu;
use world::procfs::ctl;
use world::{BSS, FAILED, Sys, World, fork};

fn step(cpu: &mut Cpu, pid: u64) -> String {
    assert_eq!(ctl(cpu, pid, "startsyscall"), 12);
    cpu.file(&format!("/proc/{pid}/syscall"))
}

/// The next call is this one, `part` is in what is told before it, and what is told of its result has `end` in it.
fn steps(cpu: &mut Cpu, pid: u64, name: &str, part: &str, end: &str) -> String {
    let text = step(cpu, pid);
    let words: Vec<&str> = text.splitn(4, ' ').collect();
    assert_eq!(words[..3], [&pid.to_string(), "prog", name], "{text}");
    let (pc, rest) = words[3].split_once(' ').unwrap_or((words[3], ""));
    assert!(u64::from_str_radix(pc, 16).is_ok(), "{text}");
    assert!(rest.contains(part) && !text.contains('\n'), "{part}: {text}");
    let text = step(cpu, pid);
    let times: Vec<i64> = text.split_whitespace().rev().take(2).map(|n| n.parse().unwrap()).collect();
    assert!(times[0] >= times[1] && times[1] > 0, "{text}");
    assert!(text.contains(end) && text.ends_with('\n'), "{end}: {text}");
    text
}

#[test]
fn calls_are_told_with_their_arguments_and_results() {
    let w = World::new();
    w.ok(|cpu| {
        let pid = fork(cpu, Rfork::MEM, |cpu| {
            cpu.store_u64(BSS + 64, 1);
            while cpu.load_u64(BSS) == 0 {
                cpu.pause();
            }
            let fd = cpu.open("/dev/time", OREAD);
            let at = cpu.push(&[0; 128]);
            cpu.syscall(call::PREAD, &[fd, at, 5, 0]);
            let at = cpu.push(&[b"it's\n", [b'x'; 100].as_slice()].concat());
            cpu.syscall(call::PWRITE, &[99, at, 105, !0]);
            cpu.open("/no\nway", OWRITE);
            let at = cpu.push(&[0; 128]);
            cpu.syscall(call::ERRSTR, &[at, 128]);
            let long = cpu.string(&"a".repeat(30_000));
            cpu.syscall(call::CHDIR, &[long]);
            let argv: Vec<u8> =
                std::iter::repeat_n(long, 100).chain([0]).flat_map(u64::to_le_bytes).collect();
            let argv = cpu.push(&argv);
            cpu.syscall(call::EXEC, &[long, argv]);
            cpu.syscall(call::BRK, &[0]);
            // It ends with this.
            cpu.syscall(call::PREAD, &[fd, 8, 5, 0]);
        });
        while cpu.load_u64(BSS + 64) == 0 {
            cpu.sleep_ms(1);
        }
        let file = format!("/proc/{pid}/syscall");
        assert_eq!(cpu.file(&file), "", "nobody has asked yet");
        ctl(cpu, pid, "stop");
        cpu.store_u64(BSS, 1);
        let text = steps(cpu, pid, "Open", "/\"/dev/time\" 0x0", " \"\" ");
        assert!(text.starts_with(" = "), "{text}");
        let text = steps(cpu, pid, "Pread", " 5 0", "\" 5 0 = 5 \"\" ");
        assert!(text.starts_with(" 0x"), "{text}");
        let shown = format!("/\"it's.{}\" 105 -1", "x".repeat(59));
        steps(cpu, pid, "Pwrite", &shown, " = -1 fd out of range or not open");
        steps(cpu, pid, "Open", "/\"/no.way\" 0x1", " = -1 ");
        steps(cpu, pid, "Errstr", " 128", "bad character in file name\" 128 = 0 \"\" ");
        steps(cpu, pid, "Chdir", &format!("/\"{}\"", "a".repeat(1024)), " = -1 ");
        let text = step(cpu, pid);
        assert!(text.len() == 8191 && text.contains("aa\" 0x"), "no longer than that: {}", text.len());
        assert!(step(cpu, pid).starts_with(" = 0xffffffffffffffff "));
        steps(cpu, pid, "Brk_", "0x0", " = ");
        steps(cpu, pid, "Pread", " 0x8 5 0", "/\"\" 5 0 = -1 bad arg in system call");
        ctl(cpu, pid, "start");
        assert!(cpu.wait().contains("bad address in syscall"));
    });
}

/// A stop that comes behind a call which was told: the result is told only to who asks for it.
#[test]
fn who_starts_it_otherwise_is_told_nothing_more() {
    let w = World::new();
    w.ok(|cpu| {
        let pid = fork(cpu, Rfork::MEM, |cpu| {
            while cpu.load_u64(BSS) == 0 {
                cpu.sleep_ms(1);
            }
        });
        ctl(cpu, pid, "stop");
        let before = loop {
            let text = step(cpu, pid);
            if text.contains(" Sleep ") {
                break text;
            }
        };
        ctl(cpu, pid, "start");
        ctl(cpu, pid, "stop");
        assert_eq!(cpu.file(&format!("/proc/{pid}/syscall")), before);
        cpu.store_u64(BSS, 1);
        ctl(cpu, pid, "start");
        cpu.wait_ok();
        assert_eq!(cpu.open(&format!("/proc/{pid}/syscall"), OREAD), FAILED);
    });
}
