//! Paging in from a server: programs are read once, in pieces, whatever is told meanwhile, and go when memory is
//! wanted.

mod wire;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use abi::syscall as call;
use abi::{MCREATE, MREPL, ORDWR, error};
use io::message::Transport;
use machine::host::{heap, program_at};
use ninep::kind;
use port::call::sysfile;
use port::mnt::MntDev;
use port::proc::notes::{self, NoteClass};
use wire::{Fate, Handle};
use world::{DATA, ENTRY, HANDLER, Sys, World, aout};

/// The entry of another program.
const SECOND: u64 = ENTRY + 0x800;

/// Programs on a server: `#9`, whose messages can be counted and held.
fn served() -> (World, Arc<Handle>, Arc<MntDev>) {
    let wire = Handle::new(|host| {
        host.file("prog", &world::prog()).unwrap();
        host.file("other", &aout(SECOND, b"other", 100)).unwrap();
        for name in ["prog", "other"] {
            host.node_mut(name).unwrap().mode = 0o100755;
        }
    });
    let device: Arc<dyn Transport> = wire.clone();
    let dev = MntDev::channels().phantom(vec![("host".into(), device)]);
    let w = World::with(vec![dev.clone()]);
    let fd = sysfile::open(&w.t.up, "#c/null", ORDWR).unwrap();
    sysfile::mount(&w.t.up, fd, -1, "/mnt", MREPL | MCREATE, "host", '9').unwrap();
    (w, wire, dev)
}

/// Makes of it a program that is not read as a whole when it is started.
fn make_larger(wire: &Handle) {
    let data: Vec<u8> = (0..40 * 4096).map(|i| i as u8).collect();
    let mut state = wire.state();
    state.server.host.file("prog", &aout(ENTRY, &data, 100)).unwrap();
    state.server.host.node_mut("prog").unwrap().mode = 0o100755;
}

#[test]
fn text_is_read_once_and_shared() {
    let (w, wire, dev) = served();
    let fids = wire.fids();
    program_at(ENTRY, |cpu| {
        let mut page = [0; 4096];
        cpu.load(0x20_1000, &mut page);
        cpu.load(DATA, &mut page);
        assert_eq!(page[5], 5, "what others write to their data does not matter");
        cpu.store_u64(DATA, 99);
        cpu.syscall(call::EXITS, &[0]);
    });
    let run = || {
        w.start_file("/mnt/prog", &["prog"]);
        assert_eq!(w.wait().msg, "");
    };
    run();
    let first = wire.count(kind::TREAD);
    assert_eq!(first, 2, "the header, and all that it tells of");
    let sent = |kinds: &[u8]| kinds.iter().map(|&kind| wire.count(kind)).collect::<Vec<_>>();
    let kinds =
        [kind::TWALK, wire::spoken(kind::TSTAT), wire::spoken(kind::TOPEN), kind::TREAD, kind::TCLUNK];
    dev.settle();
    let before = sent(&kinds);
    for _ in 0..5 {
        run();
    }
    // Nobody runs it: it is closed, and nobody waits for the server to hear of that.
    let end = Instant::now() + Duration::from_secs(20);
    while wire.fids() != fids {
        assert!(Instant::now() < end, "it is not closed: {} fids, not {fids}", wire.fids());
        std::thread::sleep(Duration::from_millis(1));
    }
    dev.settle();
    let more: Vec<_> = sent(&kinds).iter().zip(before).map(|(now, before)| now - before).collect();
    assert_eq!(more, [5, 5, 5, 0, 5], "is it the same, and may it be run?");
    // Side by side.
    let before = wire.count(kind::TREAD);
    (0..10).for_each(|_| drop(w.start_file("/mnt/prog", &["prog"])));
    (0..10).for_each(|_| assert_eq!(w.wait().msg, ""));
    assert_eq!(wire.count(kind::TREAD) - before, 0);
    // Changed: it is another one.
    wire.state().server.host.file("prog", &aout(ENTRY, &[5; 0x1800], 100)).unwrap();
    wire.state().server.host.node_mut("prog").unwrap().mtime = 1;
    let before = wire.count(kind::TREAD);
    run();
    assert_eq!(wire.count(kind::TREAD) - before, 2);
    sysfile::unmount(&w.t.up, None, "/mnt").unwrap();
    assert_eq!(dev.mtags(), "host:-\n");
    assert_eq!((wire.fids(), wire.state().server.broken()), (0, None));
}

/// A program as long as Go's: few reads of neighbouring pages, and what is not needed stays on the disk.
#[test]
fn a_long_text_is_read_in_pieces() {
    let (w, wire, _) = served();
    let text = vec![7; 100 * 4096];
    wire.state().server.host.file("prog", &aout(ENTRY, &text, 100)).unwrap();
    wire.state().server.host.node_mut("prog").unwrap().mode = 0o100755;
    for (touched, reads) in [(vec![], 0), (vec![40], 1), (vec![32, 40, 63], 0), (vec![0, 99], 2)] {
        let before = wire.count(kind::TREAD);
        program_at(ENTRY, move |cpu| {
            let mut b = [0; 4096];
            touched.iter().for_each(|page| cpu.load(DATA + page * 4096, &mut b));
            touched.iter().for_each(|page| cpu.store_u64(DATA + page * 4096, 99));
            touched
                .iter()
                .for_each(|page| assert_eq!(cpu.load_u64(DATA + page * 4096 + 8), 0x707_0707_0707_0707));
            cpu.syscall(call::EXITS, &[0]);
        });
        w.start_file("/mnt/prog", &["prog"]);
        assert_eq!(w.wait().msg, "");
        // The header and the text the first time only.
        let first = if before == 0 { 2 } else { 0 };
        assert_eq!(wire.count(kind::TREAD) - before, first + reads);
    }
}

/// Where there is no memory for all neighbours of a page, half of them come with it, and not one page alone.
#[test]
fn with_little_memory_half_of_the_neighbours_come() {
    let (w, wire, _) = served();
    let text = vec![7; 100 * 4096];
    wire.state().server.host.file("prog", &aout(ENTRY, &text, 100)).unwrap();
    wire.state().server.host.node_mut("prog").unwrap().mode = 0o100755;
    let (reads, seen) = (wire.clone(), Arc::new(AtomicU64::new(0)));
    let told = seen.clone();
    program_at(ENTRY, move |cpu| {
        let mut b = [0; 4096];
        let before = reads.count(kind::TREAD);
        // One of thirty pages is refused, and a program of this kind has thirty-two brought.
        heap::fail_every(30);
        cpu.load(DATA + 40 * 4096, &mut b);
        heap::fail_nth(0);
        (32..48).for_each(|page| cpu.load(DATA + page * 4096, &mut b));
        told.store((reads.count(kind::TREAD) - before) as u64, Ordering::SeqCst);
        cpu.syscall(call::EXITS, &[0]);
    });
    w.start_file("/mnt/prog", &["prog"]);
    assert_eq!(w.wait().msg, "");
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

/// A note that comes while a page is read in must not look like a broken disk, and is seen afterwards.
#[test]
fn notes_do_not_break_paging() {
    let (w, wire, _) = served();
    make_larger(&wire);
    let notes = Arc::new(AtomicU64::new(0));
    for (cancels, by_call) in [(false, false), (false, true), (true, false), (true, true)] {
        wire.state().cancels = cancels;
        let count = notes.clone();
        program_at(HANDLER, move |cpu| {
            count.fetch_add(1, Ordering::SeqCst);
            cpu.syscall(call::NOTED, &[0]);
        });
        let holding = wire.clone();
        program_at(ENTRY, move |cpu| {
            // (The handler's own page is there.)
            cpu.must(call::NOTIFY, &[HANDLER]);
            holding.plan_for(kind::TREAD, |_| Fate::Hold);
            // By the kernel for a system call, or by a fault.
            if by_call {
                assert_eq!(cpu.fails(call::CHDIR, &[DATA + 0x1000]), error::ENONAME);
            }
            let mut b = [0; 1];
            cpu.load(DATA + 7, &mut b);
            assert_eq!(b, [7]);
            cpu.syscall(call::EXITS, &[0]);
        });
        w.t.kernel.images.reclaim();
        let p = w.start_file("/mnt/prog", &["prog"]);
        wire.until_held(1);
        let flushes = wire.count(kind::TFLUSH);
        notes::post(&p, "hello", NoteClass::User);
        // It asks again, as often as it takes.
        while wire.count(kind::TFLUSH) == flushes {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        if cancels {
            wire.until_held(1);
            wire.release(|n| (0..n).collect());
        }
        wire.no_plan();
        assert_eq!(w.wait().msg, "");
    }
    assert_eq!(notes.load(Ordering::SeqCst), 4);

    // Killed it can be, though the disk never answers.
    let holding = wire.clone();
    program_at(ENTRY, move |cpu| {
        holding.plan_for(kind::TREAD, |_| Fate::Hold);
        cpu.load(DATA, &mut [0; 1]);
        unreachable!();
    });
    w.t.kernel.images.reclaim();
    let p = w.start_file("/mnt/prog", &["prog"]);
    wire.until_held(1);
    w.t.write(&format!("/proc/{}/ctl", p.pid), b"kill").unwrap();
    let msg = w.wait().msg;
    assert!(msg.ends_with(": sys: killed"), "{msg}");
}

/// Who waits for a program that is not there yet is told a note.
#[test]
fn a_note_ends_a_start() {
    let (w, wire, _) = served();
    wire.state().cancels = true;
    let holding = wire.clone();
    program_at(HANDLER, |cpu| {
        cpu.syscall(call::NOTED, &[0]);
    });
    let p = w.start(&["prog"], move |cpu| {
        cpu.must(call::NOTIFY, &[HANDLER]);
        let mut reads = 0;
        holding.plan_for(kind::TREAD, move |_| {
            reads += 1;
            // The header comes.
            if reads == 1 { Fate::Answer } else { Fate::Hold }
        });
        let (name, list) = (cpu.string("/mnt/prog"), cpu.push(&[0; 16]));
        cpu.store_u64(list, name);
        assert_eq!(cpu.fails(call::EXEC, &[name, list]), error::EINTR);
    });
    wire.until_held(1);
    notes::post(&p, "hello", NoteClass::User);
    assert_eq!(w.wait().msg, "");
}

/// Pages of a program that runs are given back when no segment has them, and read again when they are wanted.
#[test]
fn what_nobody_has_of_a_program_goes() {
    let (w, wire, _) = served();
    let (ready, go) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (is_ready, may_go) = (ready.clone(), go.clone());
    program_at(ENTRY, move |cpu| {
        // Its own copy takes the place of the page that was read.
        cpu.store_u64(DATA, 99);
        is_ready.fetch_add(1, Ordering::SeqCst);
        while may_go.load(Ordering::SeqCst) == 0 {
            cpu.must(call::SLEEP, &[1]);
        }
        let mut text = [0; 8];
        cpu.load(0x20_1000, &mut text);
        cpu.syscall(call::EXITS, &[0]);
    });
    w.start_file("/mnt/prog", &["prog"]);
    while ready.load(Ordering::SeqCst) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let kept = || String::from_utf8(w.t.read("#c/pools").unwrap()).unwrap();
    let pages = |pools: String| -> u64 {
        let line = pools.lines().find(|l| l.ends_with(" image.page")).unwrap().trim().to_string();
        line.split(' ').next().unwrap().parse().unwrap()
    };
    let before = pages(kept());
    assert!(w.t.kernel.images.reclaim());
    let after = pages(kept());
    assert!(0 < after && after < before, "{before}, then {after}");
    assert!(!w.t.kernel.images.reclaim(), "all else is in use");
    let reads = wire.count(kind::TREAD);
    go.store(1, Ordering::SeqCst);
    assert_eq!(w.wait().msg, "");
    // Somebody else finds the data as it was.
    program_at(ENTRY, |cpu| {
        let mut page = [0; 16];
        cpu.load(DATA, &mut page);
        assert_eq!(page[5], 5);
        cpu.syscall(call::EXITS, &[0]);
    });
    w.start_file("/mnt/prog", &["prog"]);
    assert_eq!(w.wait().msg, "");
    assert!(wire.count(kind::TREAD) > reads, "the data");
}

/// A small program that cannot be read when it is started is read when it is wanted, and that is told of.
#[test]
fn a_disk_that_fails_at_first() {
    let (w, wire, _) = served();
    for (errors, ends) in [(1, true), (2, false)] {
        let (plan, mut reads) = (wire.clone(), 0);
        plan.plan_for(kind::TREAD, move |t| {
            reads += 1;
            if !(2..2 + errors).contains(&reads) {
                return Fate::Answer;
            }
            let bytes = wire::error(t, "x", 5);
            let len = bytes.len();
            Fate::Say(bytes, len)
        });
        program_at(ENTRY, |cpu| {
            cpu.load(DATA, &mut [0; 1]);
            cpu.syscall(call::EXITS, &[0]);
        });
        wire.state().server.host.node_mut("prog").unwrap().mtime = 100 + errors;
        w.t.kernel.images.reclaim();
        w.start_file("/mnt/prog", &["prog"]);
        let msg = w.wait().msg;
        assert_eq!(msg.is_empty(), ends, "{msg}");
        assert!(ends || msg.contains("sys: i/o error in demand load accessing /mnt/prog: "), "{msg}");
        wire.no_plan();
    }
}

#[test]
fn a_disk_that_fails_is_told_of() {
    let (w, wire, _) = served();
    make_larger(&wire);
    for (errno, text) in [(5, error::EIO), (2, error::ENONEXIST)] {
        let plan = wire.clone();
        program_at(ENTRY, move |cpu| {
            plan.plan_for(kind::TREAD, move |t| {
                let bytes = wire::error(t, "x", errno);
                let len = bytes.len();
                Fate::Say(bytes, len)
            });
            cpu.load(DATA, &mut [0; 1]);
            unreachable!();
        });
        w.t.kernel.images.reclaim();
        w.start_file("/mnt/prog", &["prog"]);
        let msg = w.wait().msg;
        let expected = format!("sys: i/o error in demand load accessing /mnt/prog: {text} pc=0x");
        assert!(msg.contains(&expected), "{msg}");
        wire.no_plan();
    }
    // The file has become shorter: the page is not there.
    let plan = wire.clone();
    program_at(ENTRY, move |cpu| {
        plan.state().server.host.file("prog", b"").unwrap();
        cpu.load(DATA, &mut [0; 1]);
        unreachable!();
    });
    w.t.kernel.images.reclaim();
    w.start_file("/mnt/prog", &["prog"]);
    let msg = w.wait().msg;
    assert!(
        msg.contains("sys: i/o error in demand load accessing /mnt/prog: i/o error in demand load"),
        "{msg}"
    );
    sysfile::unmount(&w.t.up, None, "/mnt").unwrap();
    // Those that broke are kept, with their program.
    assert!(port::proc::broken::release_all(&w.t.kernel));
    assert_eq!(wire.fids(), 0);
}
