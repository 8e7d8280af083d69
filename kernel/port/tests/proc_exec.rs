//! Exec: a.out, ELF and scripts, what is refused, what stays and what goes.

mod wire;
mod world;

use std::sync::atomic::Ordering;

use abi::syscall as call;
use abi::{OCEXEC, ORDWR, OREAD, Rfork, SG_CEXEC, error};
use machine::host::{Cpu, program_at};
use port::call::sysfile;
use world::{BSS, DATA, ENTRY, FAILED, NONE, Sys, World, aout, cstring, fork, told};

/// Where the second program begins.
const SECOND: u64 = ENTRY + 0x800;

/// `exec`; gives why it failed.
fn exec(cpu: &mut Cpu, name: &str, args: &[&str]) -> String {
    let mut argv: Vec<u8> = Vec::new();
    for arg in args {
        let at = cpu.string(arg);
        argv.extend(at.to_le_bytes());
    }
    argv.extend([0; 8]);
    let (name, argv) = (cpu.string(name), cpu.push(&argv));
    assert_eq!(cpu.syscall(call::EXEC, &[name, argv]), FAILED);
    cpu.errstr()
}

/// The arguments of a program that has just begun.
fn args(cpu: &mut Cpu) -> Vec<String> {
    let sp = cpu.regs.sp;
    let n = cpu.load_u64(sp);
    (1..=n)
        .map(|i| {
            let at = cpu.load_u64(sp + 8 * i);
            cstring(cpu, at)
        })
        .collect()
}

/// A segment of an ELF file: type, flags, offset, address, bytes in the file, bytes in memory.
type Header = (u32, u32, u64, u64, u64, u64);

fn elf(entry: u64, headers: &[Header], len: usize) -> Vec<u8> {
    let mut b = vec![0u8; 64];
    b[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    (b[16], b[18], b[32], b[54], b[56]) = (2, 62, 64, 56, headers.len() as u8);
    b[24..32].copy_from_slice(&entry.to_le_bytes());
    for &(kind, flags, offset, va, file, mem) in headers {
        b.extend(kind.to_le_bytes());
        b.extend(flags.to_le_bytes());
        for v in [offset, va, va, file, mem, 4096] {
            b.extend(v.to_le_bytes());
        }
    }
    b.resize(len, 0x33);
    b
}

const TEXT: Header = (1, 5, 0, 0x20_0000, 0x2000, 0x2000);

#[test]
fn an_elf_program() {
    let w = World::new();
    let headers = [TEXT, (1, 6, 0x2100, 0x60_1100, 0x200, 0x9000), (0x6474_e551, 6, 0, 0, 0, 0)];
    w.install("/n/elf", &elf(SECOND, &headers, 0x2300));
    program_at(SECOND, |cpu| {
        assert_eq!(args(cpu), ["elf", "x"]);
        let mut b = [0; 2];
        cpu.load(0x60_12ff, &mut b);
        assert_eq!(b, [0x33, 0], "the file's last byte, then zeros");
        assert_eq!(cpu.load_u64(0x60_a000), 0);
        cpu.store_u64(0x60_1100, 1);
        cpu.must(call::BRK, &[0x60_c000]);
        cpu.store_u64(0x60_bff8, 1);
        cpu.exits("elf");
    });
    w.start(&["prog"], |cpu| drop(exec(cpu, "/n/elf", &["elf", "x"])));
    let record = w.wait();
    assert_eq!(record.msg, format!("elf {}: elf", record.pid));
}

/// As many segments as fit into the part of the file that is looked at; they are more than a call may take unasked.
#[test]
fn an_elf_program_in_many_pieces() {
    let w = World::new();
    let piece = |n: u64| (1, 4, 0, 0x60_0000 + n * 0x2000, 0x10, 0x10);
    let headers: Vec<Header> = [TEXT].into_iter().chain((0..70).map(piece)).collect();
    w.install("/n/elf", &elf(SECOND, &headers, 0x2000));
    program_at(SECOND, |cpu| {
        assert_eq!(cpu.load_u64(0x60_0000), u64::from_le_bytes(*b"\x7fELF\x02\x01\x01\0"));
        assert_eq!(cpu.load_u64(0x60_0000 + 69 * 0x2000), cpu.load_u64(0x60_0000));
        cpu.exits("elf");
    });
    w.start(&["prog"], |cpu| drop(exec(cpu, "/n/elf", &["elf"])));
    let record = w.wait();
    assert_eq!(record.msg, format!("elf {}: elf", record.pid));
}

#[test]
fn what_cannot_be_executed_leaves_the_process_as_it_was() {
    let w = World::new();
    let dir = sysfile::create(&w.t.up, "/n/dir", OREAD, abi::DMDIR | 0o777).unwrap();
    sysfile::close(&w.t.up, dir).unwrap();
    w.t.create("/n/noexec", &aout(SECOND, b"", 0)).unwrap();
    let good = aout(SECOND, b"data", 100);
    let patched = |at: usize, word: u32| {
        let mut b = good.clone();
        b[at..at + 4].copy_from_slice(&word.to_be_bytes());
        b
    };
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("short", good[..39].to_vec()),
        ("magic", patched(0, 0x1eb)),
        ("entry-low", patched(36, 0x20_0020)),
        ("entry-data", patched(36, 0x40_0000)),
        ("entry-high", patched(32, 1)),
        ("text-long", patched(4, 0x10_0000)),
        ("text-huge", patched(4, u32::MAX)),
        ("data-long", patched(8, 5000)),
        ("interp", elf(SECOND, &[TEXT, (3, 4, 0, 0, 16, 16)], 0x2000)),
        ("writable-text", elf(SECOND, &[(1, 7, 0, 0x20_0000, 0x2000, 0x2000)], 0x2000)),
        ("elf-cut", elf(SECOND, &[TEXT], 0x1000)),
        ("elf-low", elf(0x1100, &[(1, 5, 0, 0x1000, 0x2000, 0x2000)], 0x2000)),
        ("elf-high", elf(SECOND, &[TEXT, (1, 6, 0, 0x7fff_fff0_0000, 16, 16)], 0x2000)),
        ("script-line", format!("#!{}", "x".repeat(300)).into_bytes()),
        ("script-empty", b"#!\nx\n".to_vec()),
        ("script-script", b"#!/n/script-none\n".to_vec()),
    ];
    for (name, bytes) in &files {
        w.install(&format!("/n/{name}"), bytes);
    }
    w.install("/n/script-none", b"#!/n/none -x\n");
    w.install("/n/script-dir", b"#!/n/dir\n");
    w.install("/n/apart", &elf(SECOND, &[TEXT, (1, 6, 0, 0x60_0000, 16, 16)], 0x2000));
    program_at(SECOND, |_| panic!("it was executed"));
    let names: Vec<String> = files.iter().map(|(n, _)| n.to_string()).collect();
    w.ok(move |cpu| {
        cpu.store_u64(BSS, 1);
        cpu.store_u64(DATA, 2);
        let keep = cpu.open("/dev/null", ORDWR | OCEXEC);
        for name in &names {
            assert_eq!(exec(cpu, &format!("/n/{name}"), &["x"]), error::EBADEXEC, "{name}");
        }
        for (name, text) in [
            ("/n/none", "'/n/none' file does not exist"),
            ("/n/dir", "'/n/dir' cannot exec directory"),
            ("/", "'/' cannot exec directory"),
            ("/n/noexec", "'/n/noexec' permission denied"),
            ("/n/script-none", "'/n/none' file does not exist"),
            ("/n/script-dir", "'/n/dir' cannot exec directory"),
            ("", "empty file name"),
            ("/dev/null", "'/dev/null' permission denied"),
        ] {
            assert_eq!(exec(cpu, name, &["x"]), text, "{name}");
        }
        assert_eq!(exec(cpu, "/n/prog", &[]), error::EBADARG);
        // Arguments that do not fit into half of the stack.
        let long = BSS + 0x1000;
        (0..0xf0).for_each(|page| cpu.store(long + page * 4096, &[b'x'; 4096]));
        let argv: Vec<u8> =
            [[long; 9].as_slice(), &[0]].concat().iter().flat_map(|a| a.to_le_bytes()).collect();
        let (name, argv) = (cpu.string("/n/prog"), cpu.push(&argv));
        assert_eq!(cpu.fails(call::EXEC, &[name, argv]), error::EBADARG);
        // A segment that survives is in the way.
        let class = cpu.string("shared");
        cpu.must(call::SEGATTACH, &[0, class, 0x60_0000, 0x1000]);
        cpu.store_u64(0x60_0000, 3);
        assert_eq!(exec(cpu, "/n/apart", &["x"]), error::ESOVERLAP);
        assert_eq!([cpu.load_u64(BSS), cpu.load_u64(DATA), cpu.load_u64(0x60_0000)], [1, 2, 3]);
        assert_eq!(cpu.close(keep), 0);
    });
    assert_eq!(w.ram.opens.load(Ordering::Relaxed), 0);
}

#[test]
fn what_stays_and_what_goes() {
    let w = World::new();
    w.install("/n/second", &aout(SECOND, b"fresh", 100));
    let seen = told();
    let tell = seen.clone();
    program_at(SECOND, move |cpu| {
        let (sp, regs) = (cpu.regs.sp, cpu.regs);
        assert_eq!([regs.bx, regs.r12, regs.r15], [0, 0, 0], "registers are clean");
        assert_eq!(sp % 8, 0);
        let mut data = [0; 8];
        cpu.load(DATA, &mut data);
        assert_eq!(&data, b"fresh\0\0\0");
        assert_eq!(cpu.errstr(), "");
        let pid = cpu.pid();
        let text = |cpu: &mut Cpu, name: &str| cpu.file(&format!("/proc/{pid}/{name}"));
        let (args, status) = (text(cpu, "args"), text(cpu, "status"));
        assert!(status.starts_with(&format!("{:<28}", "second")), "{status}");
        let segments = text(cpu, "segment");
        tell.lock().unwrap().push((pid, args));
        assert_eq!(cpu.load_u64(0x6000_0000), 77);
        assert_eq!(segments.lines().count(), 5, "{segments}");
        assert_eq!(cpu.fails(call::CLOSE, &[4]), error::EBADFD);
        assert_eq!(cpu.read(3, 6), b"\x00\x00\x8a\x97\x00\x00");
        assert_eq!(cpu.file("#c/pid").trim(), pid.to_string());
        // The children are still its own.
        cpu.wait_ok();
        cpu.exits("");
    });
    w.ok(|cpu| {
        for fd in 0..3 {
            assert_eq!(cpu.open("/dev/null", ORDWR), fd);
        }
        assert_eq!(cpu.open("/n/prog", OREAD), 3);
        assert_eq!(cpu.open("/n/prog", OREAD | OCEXEC), 4);
        fork(cpu, NONE, |_| {});
        let class = cpu.string("shared");
        cpu.must(call::SEGATTACH, &[0, class, 0x6000_0000, 0x2000]);
        cpu.must(call::SEGATTACH, &[u64::from(SG_CEXEC), class, 0x6100_0000, 0x2000]);
        cpu.store_u64(0x6000_0000, 77);
        cpu.syscall(call::CLOSE, &[99]);
        (cpu.regs.bx, cpu.regs.r12, cpu.regs.r15) = (1, 2, 3);
        exec(cpu, "/n/second", &["a name", "it's", ""]);
    });
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].1, "'a name' 'it''s' ''");
    assert_eq!(w.ram.opens.load(Ordering::Relaxed), 0, "the programs' files are closed");
}

#[test]
fn a_shared_memory_is_left_alone() {
    let w = World::new();
    w.install("/n/second", &aout(SECOND, b"fresh", 0x10_0000));
    program_at(SECOND, |cpu| {
        assert_eq!(cpu.load_u64(DATA + 0x8000), 0);
        cpu.store_u64(DATA, 5);
    });
    w.ok(|cpu| {
        cpu.store_u64(BSS + 0x6000, 1);
        fork(cpu, Rfork::MEM, |cpu| drop(exec(cpu, "/n/second", &["second"])));
        let record = cpu.wait();
        assert!(
            record.contains("second") && record.contains("invalid opcode"),
            "{record}: it ran off its end"
        );
        assert_eq!([cpu.load_u64(BSS + 0x6000), cpu.load_u64(DATA) & 0xff], [1, 0]);
        assert!(cpu.file("#c/pid").trim().parse::<u32>().is_ok());
    });
}

#[test]
fn scripts() {
    let w = World::new();
    w.install("/n/interp", &aout(SECOND, b"", 0));
    w.install("/n/script", b"#! /n/interp -e 'a b'\nthe rest\n");
    let seen = told();
    let tell = seen.clone();
    program_at(SECOND, move |cpu| {
        let found = args(cpu);
        tell.lock().unwrap().push(found);
        cpu.exits("done");
    });
    w.start(&["prog"], |cpu| drop(exec(cpu, "/n/../n/script", &["called", "x", "y z"])));
    let record = w.wait();
    assert_eq!(record.msg, format!("script {}: done", record.pid), "it is called as the script is");
    assert_eq!(seen.lock().unwrap()[0], ["script", "-e", "a b", "/n/../n/script", "x", "y z"]);
}

/// `/proc/n/text` is the program, under its own name, also when the file has gone.
#[test]
fn the_program_of_a_process() {
    let w = World::new();
    w.ok(|cpu| {
        let pid = cpu.pid();
        let fd = cpu.open(&format!("/proc/{pid}/text"), OREAD);
        let at = cpu.push(&[0; 64]);
        cpu.must(call::FD2PATH, &[fd, at, 64]);
        assert_eq!(cstring(cpu, at), "/n/prog");
        assert_eq!(cpu.read(fd, 4), 0x8a97u32.to_be_bytes());
        let other = cpu.open(&format!("/proc/{pid}/text"), OREAD);
        assert_eq!(cpu.read(other, 4), 0x8a97u32.to_be_bytes(), "with an offset of its own");
        fork(cpu, NONE, move |cpu| {
            let me = cpu.pid();
            let error = exec(cpu, &format!("/proc/{me}/text"), &[]);
            assert_eq!(error, error::EBADARG);
        });
        cpu.wait_ok();
    });
}
