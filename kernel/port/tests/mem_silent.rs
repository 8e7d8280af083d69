//! A program whose file is at a server that says nothing: who needs a page of it waits, and nobody else does.

#[path = "virtcon/port.rs"]
#[allow(dead_code, reason = "a test of consoles uses the rest of it")]
mod fake;
mod wire;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use abi::syscall as call;
use abi::{DMDIR, MCREATE, MREPL, OREAD, Rfork, error};
use machine::host::{Cpu, program_at};
use ninep::kind;
use port::call::sysfile;
use port::dev::Dev;
use port::dev::virtcon::VirtCon;
use port::mnt::MntDev;
use wire::served::{Act, Served, start};
use world::procfs::{ctl, state, until_state};
use world::{DATA, ENTRY, FAILED, NONE, Sys, World, aout, fork};

/// Pages that are read together.
const GROUP: u64 = 64 << 10;
/// Bytes of data: five groups.
const BYTES: u64 = 5 * GROUP;
/// Zeroed memory behind them.
const BSS: u64 = DATA + BYTES;

/// What the server does.
const ANSWERS: u32 = 0;
/// It does not even read.
const SILENT: u32 = 1;
/// It thinks about reads until they are flushed.
const THINKS: u32 = 2;

/// A kernel with a server on `/n/m`, which has the program `big`.
struct Far {
    w: World,
    served: Arc<Served>,
    server: Arc<AtomicU32>,
    done: Arc<machine::sync::Completion<()>>,
}

impl Far {
    fn new() -> Far {
        Far::with(Vec::new())
    }

    fn with(mut devs: Vec<Arc<dyn Dev>>) -> Far {
        devs.push(MntDev::channels());
        let w = World::with(devs);
        let data: Vec<u8> = (0..BYTES / 8).flat_map(|i| (DATA + i * 8).to_le_bytes()).collect();
        let served = Served::plan9(|host| {
            host.file("big", &aout(ENTRY, &data, 1 << 20)).unwrap();
            host.node_mut("big").unwrap().mode |= 0o111;
        });
        let server = Arc::new(AtomicU32::new(ANSWERS));
        let does = server.clone();
        let (fd, done) = start(&w.t, &served, move |_, t| {
            while does.load(Ordering::SeqCst) == SILENT {
                std::thread::sleep(Duration::from_millis(1));
            }
            let thinks = does.load(Ordering::SeqCst) == THINKS && t[4] == kind::TREAD;
            if thinks { Act::Hold } else { Act::Answer }
        });
        let dir = sysfile::create(&w.t.up, "/n/m", OREAD, DMDIR | 0o777).unwrap();
        sysfile::close(&w.t.up, dir).unwrap();
        sysfile::mount(&w.t.up, fd, -1, "/n/m", MREPL | MCREATE, "", 'M').unwrap();
        Far { w, served, server, done }
    }

    /// Runs the program with this code; it must end well. Then the server, which speaks again, has everything back.
    fn ok(self, code: impl Fn(&mut Cpu, &AtomicU32, &Served) + Send + Sync + 'static) {
        let (server, served) = (self.server.clone(), self.served.clone());
        program_at(ENTRY, move |cpu| {
            code(cpu, &server, &served);
            cpu.syscall(call::EXITS, &[0]);
        });
        self.w.start_file("/n/m/big", &["big"]);
        let record = self.w.wait();
        assert_eq!(record.msg, "", "screen: {}", self.w.t.screen.take());
        self.server.store(ANSWERS, Ordering::SeqCst);
        // A program may have done so in the name space that it shares with the test.
        let _ = sysfile::unmount(&self.w.t.up, None, "/n/m");
        self.done.wait();
        self.served.is_clean();
        assert_eq!(machine::host::machine().panics(), 0);
    }
}

/// A thread that shares memory and reads the word at `va` as soon as it runs; it ends well if that is right.
fn reader(cpu: &mut Cpu, va: u64) -> u64 {
    fork(cpu, Rfork::MEM, move |cpu| {
        let word = cpu.load_u64(va);
        if word != va {
            cpu.exits("another word");
        }
    })
}

/// It is done within seconds, which is nothing to do with the server.
fn soon<R>(what: &str, f: impl FnOnce() -> R) -> R {
    let begin = Instant::now();
    let r = f();
    assert!(begin.elapsed() < Duration::from_secs(8), "{what} took {:?}", begin.elapsed());
    r
}

#[test]
fn everything_else_goes_on() {
    Far::new().ok(|cpu, server, served| {
        assert_eq!(cpu.load_u64(DATA), DATA);
        cpu.store_u64(BSS, 1);
        server.store(SILENT, Ordering::SeqCst);
        let stuck = reader(cpu, DATA + 2 * GROUP);
        until_state(cpu, stuck, "Fault");

        soon("the files of the process", || {
            for name in ["args", "ctl", "fd", "noteid", "ns", "ppid", "segment", "status", "note"] {
                let text = cpu.file(&format!("/proc/{stuck}/{name}"));
                assert!(matches!(name, "note" | "args") || !text.is_empty(), "{name}");
            }
            let mem = cpu.open(&format!("/proc/{stuck}/mem"), OREAD);
            assert_eq!(cpu.must(call::PREAD, &[mem, BSS + 64, 8, DATA + 8]), 8);
            assert_eq!(cpu.load_u64(BSS + 64), DATA + 8);
            let regs = cpu.open(&format!("/proc/{stuck}/regs"), OREAD);
            // Registers are kept at system calls only.
            cpu.syscall(call::PREAD, &[regs, BSS + 64, 8, 0]);
            cpu.close(mem);
            cpu.close(regs);
        });
        soon("the other thread", || {
            cpu.store_u64(DATA + 4096, 7);
            cpu.store_u64(BSS + 8192, 8);
            let top = BSS + (2 << 20);
            cpu.must(call::BRK, &[top]);
            cpu.store_u64(top - 8, 9);
            let class = cpu.string("memory");
            let at = cpu.must(call::SEGATTACH, &[0, class, 0, 8192]);
            cpu.store_u64(at, 1);
            cpu.must(call::SEGFREE, &[at, 8192]);
            cpu.must(call::SEGDETACH, &[at]);
        });
        soon("a fork of it", || {
            fork(cpu, NONE, |cpu| {
                assert_eq!((cpu.load_u64(DATA + 4096), cpu.load_u64(DATA + 8)), (7, DATA + 8));
                cpu.store_u64(DATA, 3);
            });
            cpu.wait_ok();
            assert_eq!(cpu.load_u64(DATA), DATA);
        });
        soon("one that shares the memory and exits", || {
            fork(cpu, Rfork::MEM, |cpu| cpu.store_u64(BSS + 16, 1));
            cpu.wait_ok();
        });
        soon("another program", || {
            fork(cpu, NONE, |cpu| {
                let (name, list) = (cpu.string("/n/m/big"), cpu.push(&[0; 16]));
                cpu.store_u64(list, name);
                cpu.syscall(call::EXEC, &[name, list]);
            });
            // The same program, for which the server is asked again.
            let child = loop {
                let dir = cpu.open("/proc", OREAD);
                let dirs = abi::Dir::parse_all(&cpu.read(dir, 8192)).unwrap();
                cpu.close(dir);
                let last: u64 = dirs.iter().filter_map(|d| d.name.parse().ok()).max().unwrap();
                if last > stuck && state(cpu, last) == "Exec" {
                    break last;
                }
            };
            cpu.kill(child);
            let record = cpu.wait();
            assert!(record.starts_with(&format!("{child} ")), "{record}");
        });
        let reads = served.count(kind::TREAD);
        soon("a kill", || {
            cpu.kill(stuck);
            let record = cpu.wait();
            assert!(record.contains("killed"), "{record}");
        });
        assert_eq!(served.count(kind::TREAD), reads);
        // The answer comes late, and is nobody's; the page is read anew.
        server.store(ANSWERS, Ordering::SeqCst);
        assert_eq!(cpu.load_u64(DATA + 2 * GROUP), DATA + 2 * GROUP);
    });
}

#[test]
fn the_next_takes_over() {
    Far::new().ok(|cpu, server, served| {
        assert_eq!(cpu.load_u64(DATA), DATA);
        server.store(SILENT, Ordering::SeqCst);
        let va = DATA + 2 * GROUP + 8;
        let first = reader(cpu, va);
        until_state(cpu, first, "Fault");
        let others = [reader(cpu, va), reader(cpu, va + 4096), reader(cpu, va)];
        for pid in others {
            until_state(cpu, pid, "Fault");
        }
        // Who only waits for another's page can be killed, and does no harm.
        let mut gone = |pid: u64| {
            soon("a kill", || {
                cpu.kill(pid);
                let record = cpu.wait();
                assert!(record.starts_with(&format!("{pid} ")) && record.contains("killed"), "{record}");
            });
            for other in others.into_iter().filter(|&p| p != pid && p != first && p != others[1]) {
                until_state(cpu, other, "Fault");
            }
        };
        gone(others[1]);
        gone(first);
        server.store(ANSWERS, Ordering::SeqCst);
        for _ in 0..2 {
            cpu.wait_ok();
        }
        assert_eq!(cpu.load_u64(va), va);

        // Nobody is killed: one reads for all.
        let reads = served.count(kind::TREAD);
        server.store(SILENT, Ordering::SeqCst);
        let va = DATA + 3 * GROUP;
        let all = [0, 8, 4096, 8192].map(|more| reader(cpu, va + more));
        for pid in all {
            until_state(cpu, pid, "Fault");
        }
        server.store(ANSWERS, Ordering::SeqCst);
        for _ in all {
            cpu.wait_ok();
        }
        assert!(served.count(kind::TREAD) <= reads + all.len(), "each at most once");
    });
}

/// A reader that never comes to its end, because it is told one note after the other, holds up others for a second.
#[test]
fn a_reader_that_is_always_interrupted() {
    program_at(world::HANDLER, |cpu| {
        cpu.syscall(call::NOTED, &[abi::NCONT as u64]);
    });
    Far::new().ok(|cpu, server, _| {
        assert_eq!(cpu.load_u64(DATA), DATA);
        server.store(THINKS, Ordering::SeqCst);
        let va = DATA + 2 * GROUP;
        let first = fork(cpu, Rfork::MEM, move |cpu| {
            cpu.must(call::NOTIFY, &[world::HANDLER]);
            cpu.load_u64(va);
        });
        until_state(cpu, first, "Fault");
        let other = reader(cpu, va);
        until_state(cpu, other, "Fault");
        // From now on the server answers; but the first is interrupted before it can.
        let notes = fork(cpu, Rfork::MEM, move |cpu| {
            let fd = cpu.open(&format!("/proc/{first}/note"), abi::OWRITE);
            loop {
                // There may be too many that wait.
                cpu.write(fd, b"again");
            }
        });
        cpu.sleep_ms(20);
        server.store(ANSWERS, Ordering::SeqCst);
        soon("another's page", || {
            while is_there(cpu, other) {
                cpu.sleep_ms(5);
            }
        });
        cpu.kill(notes);
        cpu.kill(first);
        for _ in 0..3 {
            let record = cpu.wait();
            assert!(record.contains("killed") || record.starts_with(&format!("{other} ")), "{record}");
        }
        assert_eq!(cpu.load_u64(va), va);
    });
}

/// Is this process there still?
fn is_there(cpu: &mut Cpu, pid: u64) -> bool {
    let fd = cpu.open(&format!("/proc/{pid}/status"), OREAD);
    if fd != FAILED {
        cpu.close(fd);
    }
    fd != FAILED
}

/// Notes that a program handles do not end its paging in, however many come.
#[test]
fn a_note_is_seen_afterwards() {
    program_at(world::HANDLER, |cpu| {
        let n = cpu.load_u64(BSS + 128);
        cpu.store_u64(BSS + 128, n + 1);
        cpu.syscall(call::NOTED, &[abi::NCONT as u64]);
    });
    Far::new().ok(|cpu, server, _| {
        assert_eq!(cpu.load_u64(DATA), DATA);
        cpu.must(call::NOTIFY, &[world::HANDLER]);
        server.store(SILENT, Ordering::SeqCst);
        let pair = [fork(cpu, Rfork::MEM, again), fork(cpu, Rfork::MEM, again)];
        fn again(cpu: &mut Cpu) {
            let va = DATA + 3 * GROUP;
            assert_eq!(cpu.load_u64(va), va);
        }
        for pid in pair {
            until_state(cpu, pid, "Fault");
            cpu.echo("hello", &format!("/proc/{pid}/note"));
        }
        cpu.sleep_ms(50);
        assert_eq!(pair.map(|pid| state(cpu, pid)), ["Fault", "Fault"]);
        server.store(ANSWERS, Ordering::SeqCst);
        pair.iter().for_each(|_| cpu.wait_ok());
    });
}

/// Who reads the memory of another waits as that does, but a note is its own.
#[test]
fn a_debugger_can_be_interrupted() {
    program_at(world::HANDLER, |cpu| {
        cpu.syscall(call::NOTED, &[abi::NCONT as u64]);
    });
    Far::new().ok(|cpu, server, _| {
        let target = fork(cpu, NONE, |cpu| drop(cpu.sleep_ms(60_000)));
        until_state(cpu, target, "Sleep");
        server.store(THINKS, Ordering::SeqCst);
        let looks = fork(cpu, NONE, move |cpu| {
            cpu.must(call::NOTIFY, &[world::HANDLER]);
            let mem = cpu.open(&format!("/proc/{target}/mem"), OREAD);
            assert_eq!(cpu.fails(call::PREAD, &[mem, BSS, 8, DATA + 4 * GROUP]), error::EINTR);
        });
        until_state(cpu, looks, "Pread");
        assert_eq!(ctl(cpu, target, "nothing"), FAILED, "it is a process like others");
        cpu.echo("enough", &format!("/proc/{looks}/note"));
        cpu.wait_ok();
        server.store(ANSWERS, Ordering::SeqCst);
        cpu.kill(target);
        cpu.wait();
    });
}

/// A mount can be taken away while a page is awaited from its server.
#[test]
fn unmounted_meanwhile() {
    Far::new().ok(|cpu, server, _| {
        assert_eq!(cpu.load_u64(DATA), DATA);
        server.store(SILENT, Ordering::SeqCst);
        let va = DATA + 2 * GROUP;
        let stuck = reader(cpu, va);
        until_state(cpu, stuck, "Fault");
        // The program's file still has its way from the root, so that is not closed, and nothing is asked of the
        // server.
        soon("the mount is gone", || {
            fork(cpu, NONE, |cpu| {
                let at = cpu.string("/n/m");
                cpu.must(call::UNMOUNT, &[0, at]);
            });
            cpu.wait_ok();
            assert_eq!(cpu.open("/n/m/big", OREAD), FAILED);
        });
        soon("another change of the name space", || {
            let (new, old) = (cpu.string("#e"), cpu.string("/n/m"));
            cpu.must(call::BIND, &[new, old, u64::from(MREPL)]);
            cpu.must(call::UNMOUNT, &[0, old]);
            fork(cpu, Rfork::NAMEG, |_| ());
            cpu.wait_ok();
        });
        // The program has its file, mounted or not.
        server.store(ANSWERS, Ordering::SeqCst);
        cpu.wait_ok();
        assert_eq!(cpu.load_u64(va + GROUP), va + GROUP);
    });
}

/// Whoever takes a mount away waits for the server to close its root, and holds up nobody who changes the name space.
#[test]
fn an_unmount_that_waits() {
    let far = Far::new();
    far.server.store(SILENT, Ordering::SeqCst);
    let server = far.server.clone();
    far.w.start(&["prog"], move |cpu| {
        let goes = fork(cpu, NONE, |cpu| {
            let at = cpu.string("/n/m");
            cpu.must(call::UNMOUNT, &[0, at]);
        });
        until_state(cpu, goes, "Unmount");
        soon("the name space", || {
            assert_eq!(cpu.open("/n/m/big", OREAD), FAILED);
            let (new, old) = (cpu.string("#e"), cpu.string("/n/m"));
            cpu.must(call::BIND, &[new, old, u64::from(MREPL)]);
            cpu.must(call::UNMOUNT, &[0, old]);
            fork(cpu, Rfork::NAMEG, |_| ());
            cpu.wait_ok();
        });
        soon("a kill", || {
            cpu.kill(goes);
            let record = cpu.wait();
            assert!(record.starts_with(&format!("{goes} ")) && record.contains("killed"), "{record}");
        });
        server.store(ANSWERS, Ordering::SeqCst);
    });
    assert_eq!(far.w.wait().msg, "");
    far.done.wait();
    far.served.is_clean();
}

/// A port of a virtio console is everybody's, while what somebody writes to it is paged in: it may come from a server
/// behind that port.
#[test]
fn a_port_that_the_server_may_be_behind() {
    let port = Arc::new(fake::Fake::there(0, false));
    let far = Far::with(vec![VirtCon::new(fake::finder(std::slice::from_ref(&port)), None)]);
    sysfile::bind(&far.w.t.up, "#C", "/n/m", abi::MAFTER).unwrap();
    let heard = port.clone();
    far.ok(move |cpu, server, _| {
        assert_eq!(cpu.load_u64(DATA), DATA);
        let fd = cpu.open("/n/m/virtcon/virtio-console-0", abi::OWRITE);
        assert_ne!(fd, FAILED);
        server.store(SILENT, Ordering::SeqCst);
        let writes = fork(cpu, NONE, move |cpu| {
            assert_eq!(cpu.must(call::PWRITE, &[fd, DATA + 2 * GROUP - 8, 16, !0]), 16);
        });
        until_state(cpu, writes, "Pwrite");
        soon("another's write", || assert_eq!(cpu.write(fd, b"hello"), 5));
        assert_eq!(heard.heard(), b"hello");
        server.store(ANSWERS, Ordering::SeqCst);
        cpu.wait_ok();
        cpu.close(fd);
        assert_eq!(heard.heard()[13..], (DATA + 2 * GROUP).to_le_bytes());
    });
}
