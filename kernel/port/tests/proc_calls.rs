//! What all system calls have in common: numbers, arguments with garbage around them, addresses that are none,
//! results and error texts.

mod world;

use abi::syscall as call;
use abi::{Dir, ORDWR, OREAD, OWRITE, Rfork, error};
use machine::host::{Cpu, program_at};
use world::{BSS, ENTRY, FAILED, HANDLER, Sys, World, cstring, fork};

/// Where the handler leaves the last note's text.
const NOTE: u64 = BSS + 0x1000;

/// A handler that remembers the note and goes on.
fn remember_notes() {
    program_at(HANDLER, |cpu| {
        let text = cpu.load_u64(cpu.regs.sp + 16);
        let mut bytes = [0; 128];
        cpu.load(text, &mut bytes);
        cpu.store(NOTE, &bytes);
        cpu.syscall(call::NOTED, &[0]);
    });
}

/// The last note, which is forgotten.
fn note(cpu: &mut Cpu) -> String {
    let text = cstring(cpu, NOTE);
    cpu.store(NOTE, &[0]);
    text
}

#[test]
fn numbers_that_are_no_call() {
    let w = World::new();
    remember_notes();
    w.ok(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        for number in [48, 49, 55, 1000, u64::from(u32::MAX), 1 << 32, u64::MAX] {
            assert_eq!(cpu.fails(number, &[1, 2, 3]), error::EBADARG, "{number}");
            let text = note(cpu);
            assert!(text.starts_with("sys: bad sys call pc=0x"), "{number}: {text}");
        }
    });
    let status = w.run(|cpu| {
        cpu.syscall(49, &[]);
    });
    assert!(status.starts_with("sys: bad sys call pc=0x"), "{status}");
}

#[test]
fn addresses_that_are_none() {
    const SEMA: u64 = BSS + 0x800;
    let w = World::new();
    w.t.create("/n/file", b"some bytes").unwrap();
    remember_notes();
    w.ok(|cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        cpu.store(NOTE, &[0]);
        let fd = cpu.open("/n/file", ORDWR);
        let (name, new) = (cpu.string("/n/file"), cpu.string("/n/new"));
        let class = cpu.string("shared");
        let arg = cpu.push(&[name.to_le_bytes(), [0; 8]].concat());
        let record = Dir::untouched().to_bytes();
        let dir = cpu.push(&record);
        let room = BSS;
        fork(cpu, Rfork::empty(), |_| {});
        // Read-only: what the kernel only reads may be there.
        const R: &[u64] =
            &[0x10, 0x30_0000, 0x7000_0000_0000, 0x8000_0000_0000, 0xffff_8000_0000_0000, u64::MAX - 3];
        // What it writes must be writable as well.
        const W: &[u64] = &[0x10, 0x30_0000, ENTRY, 0x8000_0000_0000, 0xffff_8000_0000_0000, u64::MAX - 7];
        let n = record.len() as u64;
        // The bad address goes where `!0` stands.
        let bad = !0u64;
        let calls: Vec<(&str, u64, Vec<u64>, &[u64])> = vec![
            ("errstr", call::ERRSTR, vec![bad, 10], W),
            ("old errstr", call::ERRSTR_OLD, vec![bad], W),
            ("bind", call::BIND, vec![bad, name, 0], R),
            ("bind", call::BIND, vec![name, bad, 0], R),
            ("chdir", call::CHDIR, vec![bad], R),
            ("exec", call::EXEC, vec![bad, arg], R),
            ("exec", call::EXEC, vec![name, bad], R),
            ("fauth", call::FAUTH, vec![fd, bad], R),
            ("fsession", call::FSESSION, vec![fd, bad, 10], W),
            ("open", call::OPEN, vec![bad, 0], R),
            ("create", call::CREATE, vec![bad, 1, 0o666], R),
            ("remove", call::REMOVE, vec![bad], R),
            ("pipe", call::PIPE, vec![bad], W),
            ("fd2path", call::FD2PATH, vec![fd, bad, 10], W),
            ("notify", call::NOTIFY, vec![bad], R),
            ("segattach", call::SEGATTACH, vec![0, bad, 0, 4096], R),
            ("unmount", call::UNMOUNT, vec![bad, name], R),
            ("unmount", call::UNMOUNT, vec![0, bad], R),
            ("semacquire", call::SEMACQUIRE, vec![bad, 0], &[0x10, 0x30_0000, ENTRY, 0xffff_8000_0000_0000]),
            (
                "tsemacquire",
                call::TSEMACQUIRE,
                vec![bad, 0],
                &[0x10, 0x30_0000, ENTRY, 0xffff_8000_0000_0000],
            ),
            ("semrelease", call::SEMRELEASE, vec![bad, 1], &[0x10, 0x30_0000, ENTRY, 0xffff_8000_0000_0000]),
            ("seek", call::SEEK, vec![bad, fd, 0, 0], W),
            ("fversion", call::FVERSION, vec![fd, 8192, bad, 10], R),
            ("stat", call::STAT, vec![bad, room, 100], R),
            ("stat", call::STAT, vec![name, bad, 100], W),
            ("fstat", call::FSTAT, vec![fd, bad, 100], W),
            ("old stat", call::STAT_OLD, vec![bad, room], R),
            ("old stat", call::STAT_OLD, vec![name, bad], W),
            ("old fstat", call::FSTAT_OLD, vec![fd, bad], W),
            ("wstat", call::WSTAT, vec![bad, dir, n], R),
            ("wstat", call::WSTAT, vec![name, bad, n], R),
            ("fwstat", call::FWSTAT, vec![fd, bad, n], R),
            ("mount", call::MOUNT, vec![fd, !0 >> 1, bad, 0, name], R),
            ("mount", call::MOUNT, vec![fd, !0 >> 1, name, 0, bad], R),
            ("await", call::AWAIT, vec![bad, 100], W),
            ("old wait", call::WAIT_OLD, vec![bad], W),
            ("pread", call::PREAD, vec![fd, bad, 10, 0], W),
            ("pwrite", call::PWRITE, vec![fd, bad, 10, 0], R),
            ("old read", call::READ_OLD, vec![fd, bad, 10], W),
            ("old write", call::WRITE_OLD, vec![fd, bad, 10], R),
        ];
        for (name, number, args, addresses) in calls {
            for &at in addresses {
                let args: Vec<u64> = args.iter().map(|a| if *a == bad { at } else { *a }).collect();
                assert_eq!(cpu.fails(number, &args), error::EBADARG, "{name} {args:x?}");
                let text = note(cpu);
                assert!(text.starts_with("sys: bad address in syscall pc=0x"), "{name} {args:x?}: {text:?}");
            }
        }
        // Half of it is there.
        let edge = abi::layout::USTKTOP - 4;
        assert_eq!(cpu.fails(call::PREAD, &[fd, edge, 10, 0]), error::EBADARG);
        assert_eq!(cpu.fails(call::PIPE, &[edge]), error::EBADARG);
        assert_eq!(
            cpu.fails(call::OPEN, &[0x20_3000 - 4, 0]),
            error::EBADARG,
            "a string that runs out of the text"
        );
        note(cpu);
        // Nothing came of all that: no descriptor, no child lost, no file.
        assert_eq!(cpu.open("/dev/null", OREAD), fd + 1);
        cpu.wait_ok();
        assert_eq!(cpu.open("/n/new", OREAD), FAILED);
        assert_eq!(cpu.must(call::SEMACQUIRE, &[SEMA, 0]), 0);
        // A count of nothing needs no address.
        assert_eq!(cpu.must(call::PREAD, &[fd, 0x10, 0, 0]), 0);
        assert_eq!(cpu.must(call::PWRITE, &[fd, 0x10, 0, 0]), 0);
        assert_eq!(note(cpu), "");
        let _ = new;
        let _ = class;
    });
    // Without a handler, and when the arguments themselves are nowhere.
    let status = w.run(|cpu| {
        cpu.syscall(call::OPEN, &[0x10, 0]);
    });
    assert!(status.starts_with("sys: bad address in syscall pc=0x"), "{status}");
}

#[test]
fn arguments_that_are_nowhere() {
    let w = World::new();
    // No frame can be built there either.
    program_at(HANDLER, |_| unreachable!());
    machine::host::program_at(ENTRY, |cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        cpu.regs.sp = 0x10_0000;
        cpu.regs.bp = call::SLEEP;
        cpu.syscall(call::SLEEP, &[]);
        unreachable!();
    });
    w.start_file("/n/prog", &["prog"]);
    let msg = w.wait().msg;
    assert!(msg.ends_with(": Suicide"), "{msg}");
}

#[test]
fn upper_halves_are_garbage() {
    const G: u64 = 0x6fff_1234 << 32;
    let w = World::new();
    w.t.create("/n/file", b"some bytes").unwrap();
    program_at(HANDLER, |cpu| {
        cpu.syscall(call::NOTED, &[G]);
    });
    w.ok(|cpu| {
        let (name, made, class) = (cpu.string("/n/file"), cpu.string("/n/made"), cpu.string("memory"));
        let fd = cpu.must(call::OPEN, &[name, G | u64::from(ORDWR)]);
        let buf = cpu.push(&[0; 200]);
        assert_eq!(cpu.must(call::PREAD, &[G | fd, buf, G | 4, 5]), 4);
        assert_eq!(cpu.must(call::PREAD, &[G | fd, buf, G | 100, !0]), 10);
        assert_eq!(cpu.must(call::READ_OLD, &[G | fd, buf, G | 100]), 0);
        assert_eq!(cpu.must(call::PWRITE, &[G | fd, buf, G | 2, 0]), 2);
        assert_eq!(cpu.must(call::WRITE_OLD, &[G | fd, buf, G | 1]), 1);
        assert_eq!(cpu.must(call::SEEK, &[buf, G | fd, 3, G]), 0);
        assert_eq!(cpu.load_u64(buf), 3);
        assert_eq!(cpu.must(call::OSEEK, &[G | fd, G | 0xffff_ffff, G | 1]), 2);
        assert_eq!(cpu.must(call::DUP, &[G | fd, G | 0xffff_ffff]), fd + 1);
        assert_eq!(cpu.must(call::DUP, &[G | fd, G | 9]), 9);
        assert_eq!(cpu.must(call::CLOSE, &[G | 9]), 0);
        let second = cpu.must(call::CREATE, &[made, G | u64::from(OWRITE), G | 0o600]);
        assert_eq!(cpu.must(call::FSTAT, &[G | second, buf, G | 200]), 49 + 4 + 6 + 6);
        assert_eq!(cpu.must(call::STAT, &[name, buf, G | 200]), 49 + 4 + 6 + 6);
        assert_eq!(cpu.must(call::FD2PATH, &[G | fd, buf, G | 200]), 0);
        assert_eq!(cstring(cpu, buf), "/n/file");
        assert_eq!(cpu.must(call::ALARM, &[G | 60_000]), 0);
        assert!((50_000..=60_000).contains(&cpu.must(call::ALARM, &[G])));
        assert_eq!(cpu.must(call::SLEEP, &[G | 1]), 0);
        let at = cpu.must(call::SEGATTACH, &[G, class, 0x5000_0000, G | 100]);
        assert_eq!(at, 0x5000_0000);
        cpu.store_u64(at + 4088, 1);
        assert_eq!(cpu.must(call::SEGFREE, &[at, G | 4096]), 0);
        assert_eq!(cpu.must(call::SEMRELEASE, &[BSS, G | 2]), 2);
        assert_eq!(cpu.must(call::SEMACQUIRE, &[BSS, G]), 1);
        assert_eq!(cpu.must(call::TSEMACQUIRE, &[BSS, G]), 1);
        assert_eq!(cpu.must(call::RFORK, &[G]), 0);
        cpu.must(call::NOTIFY, &[HANDLER]);
        let pid = cpu.pid();
        cpu.echo("x", &format!("/proc/{pid}/note"));
        // Negative numbers are 32 bits wide.
        for fd in [G | 0xffff_ffff, G | 0x8000_0000, 5000, 100] {
            assert_eq!(cpu.fails(call::CLOSE, &[fd]), error::EBADFD, "{fd:#x}");
        }
        assert_eq!(cpu.fails(call::PREAD, &[fd, buf, G | 0xffff_ffff, 0]), error::EBADARG);
        assert_eq!(
            cpu.fails(call::PREAD, &[99, buf, G | 0xffff_ffff, 0]),
            error::EBADFD,
            "the descriptor goes first"
        );
        assert_eq!(cpu.fails(call::PREAD, &[fd, buf, 5, -5i64 as u64]), error::ENEGOFF);
        assert_eq!(cpu.fails(call::OPEN, &[name, G | 0x80]), error::EBADARG);
        // Registers that a call has no business with.
        let r = &mut cpu.regs;
        (r.bx, r.dx, r.si, r.di, r.r8, r.r9, r.r10, r.r12, r.r13, r.r14, r.r15) =
            (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
        let before = cpu.regs;
        cpu.must(call::FSTAT, &[fd, buf, 200]);
        cpu.syscall(call::FSTAT, &[99, buf, 200]);
        let r = cpu.regs;
        assert_eq!(
            abi::ureg::Ureg {
                ax: before.ax,
                cx: before.cx,
                r11: before.r11,
                pc: before.pc,
                kind: before.kind,
                cs: before.cs,
                ss: before.ss,
                flags: before.flags,
                ..r
            },
            before
        );
    });
}

#[test]
fn error_strings() {
    let w = World::new();
    w.ok(|cpu| {
        let buf = cpu.push(&[b'-'; 140]);
        let set = |cpu: &mut Cpu, text: &[u8], n: u64| {
            cpu.store(buf, text);
            cpu.must(call::ERRSTR, &[buf, n]);
            cstring(cpu, buf)
        };
        assert_eq!(set(cpu, b"mine\0", 128), "");
        assert_eq!(set(cpu, b"second\0", 128), "mine", "the old one comes out");
        // Success does not clear it.
        let fd = cpu.open("/dev/null", OREAD);
        cpu.close(fd);
        assert_eq!(set(cpu, b"\0", 128), "second");
        assert_eq!(cpu.syscall(call::CLOSE, &[77]), FAILED);
        assert_eq!(set(cpu, b"x\0", 5), "fd o", "cut to the room");
        set(cpu, "éé\0".as_bytes(), 128);
        assert_eq!(set(cpu, b"\0", 4), "é", "and at a character");
        set(cpu, "日本\0".as_bytes(), 128);
        assert_eq!(set(cpu, b"\0", 3), "");
        // Without a zero, and longer than there is room for.
        assert_eq!(set(cpu, &[b'y'; 140], 300), "");
        assert_eq!(set(cpu, b"\0", 300), "y".repeat(127));
        set(cpu, b"abc\xff\xfedef\0", 128);
        assert!(set(cpu, b"\0", 128).starts_with("abc\u{fffd}"));
        assert_eq!(cpu.fails(call::ERRSTR, &[buf, 0]), error::EBADARG);
        cpu.store(buf, b"z\0");
        cpu.must(call::ERRSTR, &[buf, 1]);
        assert_eq!(cstring(cpu, buf), "");
        // The old call has 64 bytes.
        set(cpu, &[[b'k'; 100].as_slice(), b"\0"].concat(), 128);
        cpu.store(buf, b"\0");
        cpu.must(call::ERRSTR_OLD, &[buf]);
        assert_eq!(cstring(cpu, buf), "k".repeat(63));
        // A child begins with none.
        set(cpu, b"parent's\0", 128);
        fork(cpu, Rfork::empty(), move |cpu| assert_eq!(cpu.errstr(), ""));
        cpu.wait_ok();
        assert_eq!(cpu.errstr(), "parent's");
    });
}

#[test]
fn stat_into_small_buffers() {
    let w = World::new();
    w.t.create("/n/file", b"some bytes").unwrap();
    w.ok(|cpu| {
        let name = cpu.string("/n/file");
        let fd = cpu.open("/n/file", OREAD);
        let buf = cpu.push(&[0xee; 200]);
        let size = 49 + 4 + 6 + 6;
        for (call, what) in [(call::STAT, name), (call::FSTAT, fd)] {
            for n in 0..2 {
                assert_eq!(cpu.fails(call, &[what, buf, n]), error::ESHORTSTAT);
            }
            for n in [2, 3, 48, size - 1] {
                cpu.store(buf, &[0xee; 200]);
                assert_eq!(cpu.must(call, &[what, buf, n]), 2, "{n}");
                let mut b = [0; 3];
                cpu.load(buf, &mut b);
                assert_eq!(b, [size as u8 - 2, 0, 0xee]);
            }
            assert_eq!(cpu.must(call, &[what, buf, size]), size);
            let mut b = vec![0; size as usize];
            cpu.load(buf, &mut b);
            let (dir, _) = Dir::parse(&b).unwrap();
            assert_eq!((dir.name.as_str(), dir.length), ("file", 10));
        }
        assert_eq!(cpu.fails(call::FSTAT, &[99, 0x10, 1]), error::EBADFD, "the descriptor goes first");
        // wstat: any record that is not whole.
        let record = Dir::untouched().to_bytes();
        for (bytes, n) in [(record[..48].to_vec(), 48), (vec![0; 2], 2), (vec![], 0), (record.clone(), 50)] {
            let at = cpu.push(&[bytes.as_slice(), &[0; 8]].concat());
            assert_eq!(cpu.fails(call::WSTAT, &[name, at, n]), error::EBADSTAT, "{n}");
        }
        assert_eq!(cpu.fails(call::WSTAT, &[name, buf, 65_536]), error::EBADSTAT);
        let at = cpu.push(&record);
        assert_eq!(cpu.must(call::WSTAT, &[name, at, record.len() as u64]), record.len() as u64);
    });
}

#[test]
fn obsolete_calls() {
    let w = World::new();
    w.t.create("/n/file", b"some bytes").unwrap();
    w.ok(|cpu| {
        assert_eq!(cpu.must(call::SYSR1, &[]), 0);
        let (name, buf) = (cpu.string("/n/file"), cpu.push(&[0xee; 200]));
        assert_eq!(cpu.must(call::FSESSION, &[0, buf, 10]), 0);
        let mut b = [1; 2];
        cpu.load(buf, &mut b);
        assert_eq!(b, [0, 0xee]);
        for call in [call::WSTAT_OLD, call::FWSTAT_OLD] {
            assert_eq!(cpu.fails(call, &[name, buf]), error::EOLDWSTAT);
        }
        let fd = cpu.open("/n/file", ORDWR);
        assert_eq!(cpu.must(call::READ_OLD, &[fd, buf, 4]), 4);
        assert_eq!(cpu.must(call::WRITE_OLD, &[fd, buf, 4]), 4);
        assert_eq!(cpu.must(call::OSEEK, &[fd, 0, 1]), 8);
        for (call, what) in [(call::STAT_OLD, name), (call::FSTAT_OLD, fd)] {
            cpu.store(buf, &[0xee; 200]);
            assert_eq!(cpu.must(call, &[what, buf]), 0);
            let mut b = [0; 117];
            cpu.load(buf, &mut b);
            assert_eq!(&b[..5], b"file\0");
            assert_eq!(&b[28..35], b"glenda\0");
            assert_eq!(u64::from_le_bytes(b[104..112].try_into().unwrap()), 10, "length");
            assert_eq!((b[112], b[116]), (b'R', 0xee), "116 bytes");
        }
        let child = fork(cpu, Rfork::empty(), |cpu| cpu.exits("bad"));
        assert_eq!(cpu.must(call::WAIT_OLD, &[buf]), child);
        let mut b = [0; 112];
        cpu.load(buf, &mut b);
        assert_eq!(std::str::from_utf8(&b[..12]).unwrap().trim(), child.to_string());
        let msg = format!("prog {child}: bad");
        assert_eq!(&b[48..48 + msg.len()], msg.as_bytes());
        let nsec = cpu.must(call::NSEC, &[]);
        assert!(nsec > 1_600_000_000_000_000_000);
    });
}

#[test]
fn descriptors_by_number() {
    let w = World::new();
    w.ok(|cpu| {
        for n in 0..25 {
            assert_eq!(cpu.open("/dev/null", ORDWR), n);
        }
        cpu.close(3);
        cpu.close(7);
        assert_eq!(cpu.open("/dev/null", OREAD), 3);
        assert_eq!(cpu.must(call::DUP, &[0, !0]), 7);
        assert_eq!(cpu.must(call::DUP, &[0, 45]), 45);
        assert_eq!(cpu.fails(call::DUP, &[0, 200]), error::EBADFD);
        assert_eq!(cpu.fails(call::DUP, &[77, 1]), error::EBADFD);
        // fd2path, cut to its room.
        let buf = cpu.push(&[0xee; 32]);
        cpu.must(call::FD2PATH, &[0, buf, 32]);
        assert_eq!(cstring(cpu, buf), "/dev/null");
        cpu.must(call::FD2PATH, &[0, buf, 5]);
        assert_eq!(cstring(cpu, buf), "/dev");
        assert_eq!(cpu.fails(call::FD2PATH, &[0, buf, 0]), error::EBADARG);
        let fds = cpu.push(&[0; 8]);
        cpu.must(call::PIPE, &[fds]);
        assert_eq!([cpu.u32_at(fds), cpu.u32_at(fds + 4)], [25, 26]);
        assert_eq!(cpu.fails(call::SEEK, &[buf, 25, 0, 0]), error::EISSTREAM);
    });
}
