//! Where time goes: `/proc/n/profile` and `#K`.

mod world;

use abi::{ORDWR, OREAD, Rfork, error};
use machine::host::Cpu;
use port::call::sysfile::{open, pwrite};
use port::dev::kprof::Kprof;
use port::mem::iobuf::Src;
use port::testkit::Hosted;
use world::procfs::ctl;
use world::{BSS, Sys, World, fork};

fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn counts(cpu: &mut Cpu, pid: u64) -> Vec<u32> {
    let fd = cpu.open(&format!("/proc/{pid}/profile"), OREAD);
    let bytes = cpu.read(fd, 1 << 14);
    cpu.close(fd);
    numbers(&bytes)
}

#[test]
fn ticks_are_counted_for_who_asked() {
    let w = World::new();
    let kernel = w.t.kernel.clone();
    w.ok(move |cpu| {
        let pid = fork(cpu, Rfork::MEM, |cpu| {
            while cpu.load_u64(BSS) == 0 {
                cpu.pause();
            }
        });
        let fd = cpu.open(&format!("/proc/{pid}/profile"), OREAD);
        let at = cpu.push(&[0; 16]);
        assert_eq!(cpu.fails(abi::syscall::PREAD, &[fd, at, 16, 0]), "profile is off");
        assert_eq!(ctl(cpu, pid, "profile"), 7);
        assert_eq!(counts(cpu, pid), vec![0; 0x3000 / 8], "eight bytes of text each");
        let tick = |cpu: &mut Cpu, n| {
            let thread = kernel.procs.lock()[&(pid as u32)].thread.get().unwrap().clone();
            thread.tick(0, n);
            thread.kick();
            cpu.sleep_ms(5);
        };
        tick(cpu, 3);
        tick(cpu, 4);
        // A host's program is nowhere in its text.
        let mut expected = vec![0; 0x3000 / 8];
        while counts(cpu, pid)[0] != 7 {
            cpu.sleep_ms(1);
        }
        expected[0] = 7;
        assert_eq!(counts(cpu, pid), expected);
        assert!(cpu.file(&format!("/proc/{pid}/segment")).starts_with("Text   RP  "));
        assert_eq!(ctl(cpu, pid, "profile"), 7, "from nothing");
        assert_eq!(counts(cpu, pid)[0], 0);
        cpu.store_u64(BSS, 1);
        cpu.wait_ok();
    });
    assert_eq!(w.t.kernel.procs.lock().len(), 1);
}

#[test]
fn the_kernels_counts_begin_and_end() {
    let t = Hosted::with(vec![Kprof::new('K'), Kprof::new('κ')], vec![], &[]);
    let fd = open(&t.up, "#K/kpctl", ORDWR).unwrap();
    let ctl = |text: &str| pwrite(&t.up, fd, &Src::Kernel(text.as_bytes()), -1);
    let counts = || t.read("#κ/kpdata").unwrap();
    assert_eq!(t.stat("#K/kpdata").unwrap().length, 0x4000 / 2);
    assert_eq!(counts().len(), 0x4000 / 2, "also before anything was counted");
    for wrong in ["", "starts", "stop it", "start\nstop"] {
        assert!(ctl(wrong).unwrap_err().is(error::EBADCTL), "{wrong}");
    }
    ctl("startclr\n").unwrap();
    let me = machine::thread::current();
    me.tick(0xffff_ffff_8010_0000 + 8 * 40 + 5, 2);
    me.tick(0x20_0000, 3);
    ctl("stop").unwrap();
    me.tick(0x20_0000, 3);
    let after = counts();
    let number = |n: usize| u32::from_be_bytes(after[4 * n..4 * n + 4].try_into().unwrap());
    assert_eq!((number(0), number(1), number(40), number(41)), (5, 3, 2, 0));
    ctl("start").unwrap();
    me.tick(0x20_0000, 1);
    ctl("stop").unwrap();
    assert_eq!(counts()[..8], [0, 0, 0, 6, 0, 0, 0, 4]);
    ctl("startclr").unwrap();
    ctl("stop").unwrap();
    assert_eq!(counts(), vec![0; 0x4000 / 2]);
}

#[test]
fn watchpoints_are_lines() {
    let w = World::new();
    w.ok(|cpu| {
        let pid = fork(cpu, Rfork::MEM, |cpu| {
            while cpu.load_u64(BSS) == 0 {
                cpu.pause();
            }
            // What the processor says when the first and the third are met.
            cpu.trap(1, 5);
        });
        let name = format!("/proc/{pid}/watchpt");
        let put = |cpu: &mut Cpu, text: &str, at: u64| {
            let fd = cpu.open(&name, ORDWR);
            let bytes = cpu.push(text.as_bytes());
            let n = cpu.call(abi::syscall::PWRITE, &[fd, bytes, text.len() as u64, at]);
            cpu.close(fd);
            n
        };
        assert_eq!(put(cpu, "rw- 0x400000 8\n\n-w- 4194312 2\nwx- 1", 0), 30, "whole lines");
        let two = "rw- 0x0000000000400000 0x0000000000000008\n-w- 0x0000000000400008 0x0000000000000002\n";
        assert_eq!(cpu.file(&name), two);
        assert_eq!(put(cpu, "--x 0x200101 01\n", 1), 16);
        let three = format!("{two}--x 0x0000000000200101 0x0000000000000001\n");
        assert_eq!(cpu.file(&name), three);
        for wrong in
            ["-w- 8 8\n-w- 16 8\n", "-w- 8 8 8\n", "w 0x+8 8\n", "-ww- 8 8\n", "-w- 0x7ffffffff000 8\n"]
        {
            assert_eq!(put(cpu, wrong, 1), world::FAILED, "{wrong}");
        }
        assert_eq!(cpu.file(&name), three, "all or nothing");
        cpu.store_u64(BSS, 1);
        let end = cpu.wait();
        assert!(end.contains("sys: watchpoint 0,2"), "{end}");
    });
}
