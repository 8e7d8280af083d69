//! `/dev/pools`: everything that was made is counted, and has gone from it when it is not used any more.

mod wire;
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use abi::syscall as call;
use abi::{MAFTER, ORDWR, OREAD, Rfork};
use ninep::kind;
use port::call::sysfile;
use port::mem::iobuf::Dst;
use port::proc::procctl;
use port::testkit::Hosted;
use wire::{Fate, Share};
use world::{NONE, Sys, World, fork};

type Pools = BTreeMap<String, u64>;

fn pools(t: &Hosted) -> Pools {
    let text = String::from_utf8(t.read("#c/pools").unwrap()).unwrap();
    let line = |l: &str| {
        assert_eq!(&l[11..12], " ", "{l}");
        (l[12..].to_string(), l[..11].trim().parse().unwrap())
    };
    let all: Pools = text.lines().map(line).collect();
    assert_eq!(all.len(), text.lines().count(), "each name once");
    all
}

/// Waits until all is as it was, but for caches.
fn settles(t: &Hosted, before: &Pools) {
    let caches = [
        "frame",
        "frame.kernel",
        "frame.heap",
        "frame.map",
        "frame.table",
        "frame.stack",
        "frame.aside",
        "image",
        "image.page",
        "9p.slot",
        "9p.request",
    ];
    let begin = Instant::now();
    loop {
        let mut now = pools(t);
        now.retain(|name, n| !caches.contains(&name.as_str()) && before.get(name) != Some(n));
        if now.is_empty() {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "{now:?} of {before:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A device with as many lines as sessions with a thousand servers have.
struct Many;

impl port::Dev for Many {
    fn letter(&self) -> char {
        'X'
    }
    fn name(&self) -> &'static str {
        "many"
    }
    fn read(
        &self,
        _: &std::sync::Arc<port::Proc>,
        _: &port::Chan,
        _: &mut Dst<'_>,
        _: u64,
    ) -> port::Result<usize> {
        Ok(0)
    }
    fn pools(&self, show: &mut dyn FnMut(&str, u64)) {
        (0..3000).for_each(|n| show(&format!("many.{n}"), n));
    }
}

/// It is asked for (which the heap of tests sees to).
#[test]
fn the_text_may_be_long() {
    let t = Hosted::with(vec![std::sync::Arc::new(Many)], vec![], &[]);
    let text = t.read("#c/pools").unwrap();
    assert!(text.ends_with(b" many.2999\n") && text.len() > 60_000);
}

#[test]
fn what_programs_make() {
    let w = World::new();
    let before = pools(&w.t);
    assert_eq!([before["pinned"], before["pipe"], before["alarm"]], [0; 3]);
    let seen = world::told();
    let told = seen.clone();
    w.ok(move |cpu| {
        let read = |cpu: &mut machine::host::Cpu| cpu.file("/dev/pools");
        let first = read(cpu);
        let fds = cpu.push(&[0; 8]);
        cpu.must(call::PIPE, &[fds]);
        cpu.must(call::ALARM, &[60_000]);
        let class = cpu.string("memory");
        cpu.must(call::SEGATTACH, &[0, class, 0, 8192]);
        let (new, old) = (cpu.string("#e"), cpu.string("/fd"));
        cpu.must(call::BIND, &[new, old, u64::from(MAFTER)]);
        fork(cpu, Rfork::FDG | Rfork::ENVG | Rfork::NAMEG, |cpu| drop(cpu.sleep_ms(60_000)));
        let child = fork(cpu, NONE, |cpu| drop(cpu.sleep_ms(60_000)));
        let second = read(cpu);
        cpu.kill(child);
        told.lock().unwrap().extend([first, second]);
        // The name space is the test's as well.
        let (new, old) = (cpu.string("#e"), cpu.string("/fd"));
        cpu.must(call::UNMOUNT, &[new, old]);
    });
    let texts = seen.lock().unwrap().clone();
    let number = |text: &str, name: &str| {
        let line = text.lines().find(|l| l.get(12..) == Some(name)).unwrap_or_else(|| panic!("{name}"));
        line[..11].trim().parse::<i64>().unwrap()
    };
    for (name, least) in [
        ("pipe", 1),
        ("alarm", 1),
        ("segment", 5),
        ("process", 2),
        ("fdgroup", 1),
        ("envgroup", 1),
        ("namespace", 1),
        ("mount", 1),
        ("chan", 2),
    ] {
        let grew = number(&texts[1], name) - number(&texts[0], name);
        assert!(grew >= least, "{name}: {grew}");
    }
    w.t.kernel.procs.lock().values().filter(|p| p.pid > 1).for_each(|p| procctl::kill(p));
    settles(&w.t, &before);
}

#[test]
fn what_a_session_has() {
    let s = Share::unmounted(port::mnt::Patience::DEVICE, |host| {
        host.file("dir/f", &[7; 100_000]).unwrap();
    });
    let before = pools(&s.t);
    assert_eq!(before["9p.session"], 0);
    s.mount("host", "/n").unwrap();
    let mounted = pools(&s.t);
    let named = |what: &str| {
        let found = mounted.iter().find(|(name, _)| name.starts_with("9p.") && name.ends_with(what));
        found.map(|(name, n)| (name.clone(), *n)).unwrap()
    };
    let (fid, one) = named(".fid");
    assert_eq!((mounted["9p.session"], one, named(".busy").1, named(".abandoned").1), (1, 1, 0, 0));

    let fds: Vec<_> = (0..5).map(|_| sysfile::open(&s.t.up, "/n/dir/f", OREAD).unwrap()).collect();
    let open = pools(&s.t);
    assert_eq!((open[&fid], open["chan"]), (6, mounted["chan"] + 5));
    fds.into_iter().for_each(|fd| sysfile::close(&s.t.up, fd).unwrap());
    settles(&s.t, &mounted);

    // A read of which nothing comes back, and whose process is killed.
    s.wire.plan_for(kind::TREAD, |_| Fate::Hold);
    let (p, done) = s.t.start(|up| {
        *up.fgrp.lock() = port::name::fgrp::Fgrp::new();
        let fd = sysfile::open(up, "/n/dir/f", ORDWR).unwrap();
        let pages = wire::transfer::pages(50_000);
        drop(sysfile::pread(up, fd, &mut Dst::Pages(&pages), 0));
        port::proc::exit::exit(up, "");
    });
    s.wire.until_held(1);
    s.wire.state().ignores_flushes = true;
    let waits = pools(&s.t);
    assert!(waits["pinned"] >= 12 && waits[&named(".busy").0] == 1, "{waits:?}");
    procctl::kill(&p);
    done.wait();
    drop(p);
    let left = pools(&s.t);
    assert_eq!([left[&named(".abandoned").0], left[&named(".busy").0], left[&fid]], [1, 1, 2], "{left:?}");
    let mut state = s.wire.state();
    state.ignores_flushes = false;
    drop(state);
    s.wire.no_plan();
    s.wire.release(|n| (0..n).collect());
    settles(&s.t, &mounted);
    sysfile::unmount(&s.t.up, None, "/n").unwrap();
    settles(&s.t, &before);
    assert_eq!(pools(&s.t)["9p.slot"], 0);
}
