//! usertests [-lv] [-n times] [name ...]: does the kernel keep Plan 9's rules? One named test a rule. See usertests(1).
//!
//! A test is a function that runs in a process of its own with groups of its own, so that it may die, hang or spoil
//! whatever it likes; it says what is wrong by failing. When it is gone the runner looks whether everything it took
//! has come back: processes, descriptors, pages of memory.
#![no_std]
#![cfg_attr(not(test), no_main)]
#![forbid(unsafe_code)]

mod bills;
mod broken;
mod calls;
mod dirs;
mod exec;
mod faults;
mod fds;
mod files;
mod fork;
mod helper;
mod leak;
mod many;
mod memory;
mod mounts;
mod names;
mod net;
mod notes;
mod perms;
mod pipes;
mod pointers;
mod procfs;
mod prompt;
mod smp;
mod stale;
mod storms;
mod sync;
mod testkit;
mod timing;
mod wait;

use core::sync::atomic::{AtomicBool, Ordering};

use lib9::alloc::string::String;
use lib9::alloc::vec::Vec;
use lib9::proc::{Fork, Noted};
use lib9::{Args, Result, Rfork, alloc, eprintln, print, println, usage};

use crate::testkit::{Outcome, Test};

lib9::program!(main);

/// All groups of tests. The name of a test begins with its group's.
const GROUPS: &[&[Test]] = &[
    calls::TESTS,
    pointers::TESTS,
    exec::TESTS,
    fds::TESTS,
    files::TESTS,
    dirs::TESTS,
    names::TESTS,
    perms::TESTS,
    pipes::TESTS,
    net::TESTS,
    fork::TESTS,
    wait::TESTS,
    sync::TESTS,
    faults::TESTS,
    notes::TESTS,
    prompt::TESTS,
    memory::TESTS,
    procfs::TESTS,
    timing::TESTS,
    broken::TESTS,
    stale::TESTS,
    smp::TESTS,
    storms::TESTS,
    mounts::TESTS,
    many::TESTS,
    bills::TESTS,
];

/// Longest life of a test in ms. The alarm is ours, since tests set their own.
const TEST_MAX: u32 = 60_000;

fn main(args: &Args) -> Result<()> {
    let (mut list, mut verbose) = (false, false);
    let mut flags = args.flags();
    while let Some(c) = flags.next() {
        match c {
            'l' => list = true,
            'v' => verbose = true,
            'n' => {
                let times = flags.value()?.parse().ok().filter(|n| (1..=1000).contains(n));
                testkit::set_times(times.ok_or("times is a number from 1 to 1000")?);
            }
            // What a test executes.
            'x' => return helper::run(flags.value()?, flags.rest()),
            _ => usage(args, "[-lv] [-n times] [name ...]"),
        }
    }
    let wanted = flags.rest();
    let all = GROUPS.iter().flat_map(|g| g.iter());
    let tests: Vec<&Test> =
        all.filter(|t| wanted.is_empty() || wanted.iter().any(|w| is(t.name, w))).collect();
    if list {
        tests.iter().for_each(|t| println!("{}", t.name));
        return Ok(());
    }
    if let Some(nothing) = wanted.iter().find(|w| !tests.iter().any(|t| is(t.name, w))) {
        return Err(alloc::format!("no such test: {nothing}").into());
    }
    lib9::proc::notify(Some(noted))?;
    let (mut done, mut failed, begun) = (0, 0, lib9::proc::nsec());
    for test in &tests {
        let before = lib9::proc::nsec();
        let result = play(test);
        // What came of this one says nothing.
        if STOPPED.load(Ordering::Relaxed) {
            break;
        }
        done += 1;
        let ms = (lib9::proc::nsec() - before) / 1_000_000;
        match result {
            Ok(()) if verbose => println!("ok {} {ms} ms", test.name),
            Ok(()) => println!("ok {}", test.name),
            Err(why) => {
                failed += 1;
                println!("FAIL {}: {why}", test.name);
            }
        }
        lib9::out::flush()?;
    }
    let ms = (lib9::proc::nsec() - begun) / 1_000_000;
    print!("usertests: {done} tests, {failed} failed, {ms} ms\n");
    if done < tests.len() {
        return Err("interrupted".into());
    }
    if failed == 0 { Ok(()) } else { Err(alloc::format!("{failed} failed").into()) }
}

/// Whether somebody wants this to end.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// The alarm's note ends a wait; the system's own are of faults of this program; any other ends the whole.
fn noted(note: &str) -> Noted {
    if note.starts_with("sys: ") {
        return Noted::Default;
    }
    if note != "alarm" {
        STOPPED.store(true, Ordering::Relaxed);
    }
    Noted::Continue
}

/// Is `name` the test or the group `wanted`?
fn is(name: &str, wanted: &str) -> bool {
    name.strip_prefix(wanted)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || wanted.ends_with('.'))
}

/// Runs a test, and again when it seems to leave something behind: the first time fills caches, a leak goes on.
fn play(test: &Test) -> Outcome {
    const ROUNDS: usize = 4;
    let mut grown = Vec::new();
    for _ in 0..ROUNDS {
        let before = leak::State::now()?;
        if let Err(why) = once(test) {
            // What it has left behind goes, and is not to be in the next one's way.
            let _ = leak::settled(&before);
            return Err(why);
        }
        let more = leak::settled(&before)?;
        if more.is_nothing() || test.once && more.pools.is_empty() {
            return Ok(());
        }
        grown.push(more);
        if test.once {
            break;
        }
    }
    let later = || grown.iter().skip(if test.once { 0 } else { 1 });
    if let Some(last) = grown.last().filter(|_| later().all(|more| !more.pools.is_empty())) {
        return Err(alloc::format!("leaves behind each time: {}", last.pools.join(", ")));
    }
    if later().all(|more| more.pages > 0) {
        let pages: Vec<u64> = grown.iter().map(|more| more.pages).collect();
        return Err(alloc::format!("leaves memory behind each time, in pages: {pages:?}"));
    }
    Ok(())
}

/// Runs a test once in a process of its own.
fn once(test: &Test) -> Outcome {
    let flags = Rfork::PROC | Rfork::FDG | Rfork::NAMEG | Rfork::ENVG | Rfork::NOTEG | Rfork::REND;
    match lib9::proc::rfork(flags)? {
        Fork::Child => {
            // Without the handler of ours. It does not fail.
            let _ = testkit::call(abi::syscall::NOTIFY, &[0]);
            let said = (test.run)();
            lib9::proc::exits_now(said.as_ref().map_or_else(|why| why.as_str(), |()| ""))
        }
        Fork::Parent(pid) => loop {
            lib9::proc::alarm(TEST_MAX.saturating_mul(testkit::times()));
            let ended = lib9::proc::await_();
            lib9::proc::alarm(0);
            let msg = match ended {
                Err(e) if e.is(abi::error::EINTR) => {
                    let state = testkit::state(pid);
                    testkit::release(pid);
                    if !STOPPED.load(Ordering::Relaxed) {
                        println!("{}: too long, in the state {state}", test.name);
                    }
                    continue;
                }
                ended => ended?,
            };
            if msg.pid != pid {
                eprintln!("usertests: the end of a stranger: {} {}", msg.pid, msg.msg);
                continue;
            }
            let front = alloc::format!("usertests {pid}: ");
            let said = msg.msg.strip_prefix(&front).unwrap_or(&msg.msg);
            return if said.is_empty() { Ok(()) } else { Err(String::from(said)) };
        },
    }
}
