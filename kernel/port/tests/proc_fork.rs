//! `rfork`: what a child shares with its parent, has a copy of, or has not.

mod world;

use abi::syscall as call;
use abi::{ORDWR, OREAD, Rfork, error};
use world::{BSS, DATA, FAILED, NONE, Sys, World, fork};

#[test]
fn wrong_forks() {
    let w = World::new();
    w.ok(|cpu| {
        let (proc, both) = (
            Rfork::PROC,
            [Rfork::FDG | Rfork::CFDG, Rfork::NAMEG | Rfork::CNAMEG, Rfork::ENVG | Rfork::CENVG],
        );
        for flags in both {
            assert_eq!(cpu.fails(call::RFORK, &[u64::from(flags.bits())]), error::EBADARG, "{flags:?}");
            assert_eq!(
                cpu.fails(call::RFORK, &[u64::from((flags | proc).bits())]),
                error::EBADARG,
                "{flags:?}"
            );
        }
        for flags in [0x20, 0x40, 0x60, 0x80, 0x100, 0x200, 0x8000, 0x8000_0010] {
            assert_eq!(cpu.fails(call::RFORK, &[flags]), error::EBADARG, "{flags:#x}");
        }
        assert_eq!(cpu.must(call::RFORK, &[0]), 0);
        assert_eq!(cpu.must(call::RFORK, &[u64::from((Rfork::NAMEG | Rfork::ENVG | Rfork::FDG).bits())]), 0);
    });
}

#[test]
fn memory_is_copied_or_shared() {
    let w = World::new();
    w.ok(|cpu| {
        // Pages that were there before, and some that come into being afterwards.
        let stack = cpu.push(&[1; 8]);
        let deep = cpu.regs.sp - 100_000;
        for (at, value) in [(DATA, 10), (BSS, 20), (stack, 30)] {
            cpu.store_u64(at, value);
        }
        let go = move |cpu: &mut machine::host::Cpu, at: u64| {
            while cpu.load_u64(at) == 0 {
                cpu.sleep_ms(1);
            }
        };
        // Copied: neither sees what the other writes.
        let fd = cpu.push(&[0; 8]);
        cpu.must(call::PIPE, &[fd]);
        let (a, b) = (u64::from(cpu.u32_at(fd)), u64::from(cpu.u32_at(fd + 4)));
        fork(cpu, NONE, move |cpu| {
            assert_eq!([cpu.load_u64(DATA), cpu.load_u64(BSS), cpu.load_u64(stack)], [10, 20, 30]);
            cpu.store_u64(DATA, 11);
            cpu.store_u64(BSS + 8192, 21);
            cpu.store_u64(deep, 31);
            cpu.write(b, b"1");
            cpu.read(b, 1);
            assert_eq!([cpu.load_u64(DATA), cpu.load_u64(BSS), cpu.load_u64(stack)], [11, 20, 30]);
            assert_eq!(cpu.load_u64(BSS + 16384), 0);
        });
        cpu.read(a, 1);
        assert_eq!([cpu.load_u64(DATA), cpu.load_u64(BSS), cpu.load_u64(stack)], [10, 20, 30]);
        assert_eq!([cpu.load_u64(BSS + 8192), cpu.load_u64(deep)], [0, 0]);
        for at in [BSS, stack, BSS + 16384] {
            cpu.store_u64(at, 99);
        }
        cpu.write(a, b"2");
        cpu.wait_ok();
        assert_eq!(cpu.load_u64(DATA), 10);

        // Shared, but for the stack.
        cpu.store_u64(stack, 30);
        cpu.store_u64(BSS + 800, 0);
        cpu.store_u64(BSS + 808, 0);
        fork(cpu, Rfork::MEM, move |cpu| {
            cpu.store_u64(DATA, 12);
            cpu.store_u64(BSS + 40_000, 22);
            cpu.store_u64(stack, 32);
            cpu.store_u64(deep, 32);
            assert_eq!(cpu.pid(), {
                let text = cpu.file("#c/pid");
                text.trim().parse::<u32>().unwrap()
            });
            cpu.store_u64(BSS + 800, 1);
            go(cpu, BSS + 808);
            assert_eq!([cpu.load_u64(BSS + 50_000), cpu.load_u64(stack)], [23, 32]);
        });
        go(cpu, BSS + 800);
        assert_eq!([cpu.load_u64(DATA), cpu.load_u64(BSS + 40_000)], [12, 22]);
        assert_eq!([cpu.load_u64(stack), cpu.load_u64(deep)], [30, 0]);
        cpu.store_u64(BSS + 50_000, 23);
        cpu.store_u64(BSS + 808, 1);
        cpu.wait_ok();
        // And what one of them makes with brk.
        cpu.store_u64(BSS + 816, 0);
        let top = BSS + 0x40_0000;
        fork(cpu, Rfork::MEM, move |cpu| {
            cpu.must(call::BRK, &[top]);
            cpu.store_u64(top - 8, 77);
            cpu.store_u64(BSS + 816, 1);
        });
        go(cpu, BSS + 816);
        assert_eq!(cpu.load_u64(top - 8), 77);
        cpu.wait_ok();
    });
}

/// A grandchild of a copy shares nothing with anybody; three generations of the same page.
#[test]
fn copies_of_copies() {
    let w = World::new();
    w.ok(|cpu| {
        cpu.store_u64(BSS, 1);
        fork(cpu, NONE, |cpu| {
            fork(cpu, NONE, |cpu| {
                cpu.store_u64(BSS, 3);
                assert_eq!(cpu.load_u64(BSS), 3);
            });
            cpu.wait_ok();
            assert_eq!(cpu.load_u64(BSS), 1);
            cpu.store_u64(BSS, 2);
            fork(cpu, NONE, |cpu| assert_eq!(cpu.load_u64(BSS), 2));
            cpu.wait_ok();
        });
        cpu.wait_ok();
        assert_eq!(cpu.load_u64(BSS), 1);
        // The last who has a page need not copy it.
        let free = machine::mem::free_bytes();
        cpu.store_u64(BSS, 4);
        assert!(machine::mem::free_bytes() >= free);
    });
}

#[test]
fn descriptors_are_shared_copied_or_none() {
    let w = World::new();
    w.ok(|cpu| {
        let fd = cpu.open("/dev/null", ORDWR);
        fork(cpu, NONE, move |cpu| {
            cpu.close(fd);
        });
        cpu.wait_ok();
        assert_eq!(cpu.fails(call::CLOSE, &[fd]), error::EBADFD, "it was everybody's");
        let fd = cpu.open("/dev/null", ORDWR);
        fork(cpu, Rfork::FDG, move |cpu| assert_eq!(cpu.close(fd), 0));
        cpu.wait_ok();
        fork(cpu, Rfork::CFDG, move |cpu| {
            assert_eq!(cpu.fails(call::CLOSE, &[fd]), error::EBADFD);
            assert_eq!(cpu.open("/dev/null", OREAD), 0);
        });
        cpu.wait_ok();
        // The offset goes with the file.
        let file = cpu.open("/n/prog", OREAD);
        fork(cpu, Rfork::FDG, move |cpu| {
            cpu.read(file, 100);
        });
        cpu.wait_ok();
        let at = cpu.push(&[0; 8]);
        assert_eq!(cpu.must(call::SEEK, &[at, file, 0, 1]), 0);
        assert_eq!(cpu.load_u64(at), 100);
        // One's own, without a process.
        assert_eq!(cpu.must(call::RFORK, &[u64::from(Rfork::FDG.bits())]), 0);
        assert_eq!(cpu.close(fd), 0);
        assert_eq!(cpu.must(call::RFORK, &[u64::from(Rfork::CFDG.bits())]), 0);
        assert_eq!(cpu.fails(call::CLOSE, &[file]), error::EBADFD);
    });
}

#[test]
fn name_spaces_and_environments_are_shared_copied_or_none() {
    let w = World::new();
    w.ok(|cpu| {
        let bind = |cpu: &mut machine::host::Cpu| {
            let (new, old) = (cpu.string("#c"), cpu.string("/mnt"));
            cpu.must(call::BIND, &[new, old, 0]);
        };
        let there = |cpu: &mut machine::host::Cpu| cpu.open("/mnt/osversion", OREAD) != FAILED;
        fork(cpu, Rfork::NAMEG, move |cpu| {
            bind(cpu);
            assert!(there(cpu));
        });
        cpu.wait_ok();
        assert!(!there(cpu));
        fork(cpu, NONE, bind);
        cpu.wait_ok();
        assert!(there(cpu));
        fork(cpu, Rfork::CNAMEG, move |cpu| {
            assert!(!there(cpu));
            assert_eq!(cpu.open("/dev/null", OREAD), FAILED);
            assert_ne!(cpu.open("#c/null", OREAD), FAILED);
        });
        cpu.wait_ok();
        // No mounts from now on, for everybody in the name space.
        fork(cpu, Rfork::NAMEG | Rfork::NOMNT, move |cpu| {
            let (new, old) = (cpu.string("#R"), cpu.string("/mnt"));
            assert_eq!(cpu.fails(call::BIND, &[new, old, 0]), error::ENOATTACH);
            assert_eq!(cpu.open("#P/cputype", OREAD), FAILED);
            assert_eq!(cpu.errstr(), error::ENOATTACH);
            assert_ne!(cpu.open("#c/null", OREAD), FAILED);
        });
        cpu.wait_ok();

        let make = |cpu: &mut machine::host::Cpu, name: &str| {
            let name = cpu.string(name);
            let fd = cpu.must(call::CREATE, &[name, 1, 0o666]);
            cpu.write(fd, b"value");
            cpu.close(fd);
        };
        make(cpu, "/env/x");
        fork(cpu, Rfork::ENVG, move |cpu| {
            assert_eq!(cpu.file("/env/x"), "value");
            make(cpu, "/env/copied");
        });
        cpu.wait_ok();
        assert_eq!(cpu.open("/env/copied", OREAD), FAILED);
        fork(cpu, Rfork::CENVG, |cpu| assert_eq!(cpu.open("/env/x", OREAD), FAILED));
        cpu.wait_ok();
        fork(cpu, NONE, move |cpu| make(cpu, "/env/shared"));
        cpu.wait_ok();
        assert_eq!(cpu.file("/env/shared"), "value");
    });
}
