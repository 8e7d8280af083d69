//! The balloon with a host that asks, and hears what it is told.

use super::*;
use crate::fake::FakeTransport;
use crate::transport::VERSION_1;
use machine::host;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

fn fake(statistics: bool) -> Arc<FakeTransport> {
    let features = VERSION_1 | MUST_TELL_HOST | if statistics { STATS } else { 0 };
    FakeTransport::with(features, vec![0; 8], 3)
}

fn start(fake: &Arc<FakeTransport>) -> Arc<Balloon> {
    Balloon::start("virtio-balloon-0", fake.clone()).unwrap()
}

/// Hears of pages until `count` were told of.
fn hear(fake: &FakeTransport, queue: u16, count: usize) -> BTreeSet<u32> {
    let mut heard = BTreeSet::new();
    while heard.len() < count {
        let message = fake.get(queue);
        assert!(!message.is_empty() && message.len() <= 4 * BATCH, "{} bytes", message.len());
        heard.extend(message.chunks(4).map(|n| u32::from_le_bytes(n.try_into().unwrap())));
    }
    assert_eq!(heard.len(), count, "no page is told of twice");
    heard
}

fn wait(what: &str, until: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !until() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

fn given(fake: &FakeTransport) -> u32 {
    u32::from_le_bytes(fake.config.lock().unwrap()[4..].try_into().unwrap())
}

#[test]
fn it_grows_and_shrinks_as_the_host_wants() {
    host::new_machine();
    let fake = fake(false);
    let balloon = start(&fake);
    let free = mem::free_bytes();
    fake.configure(WANTED, &600u32.to_le_bytes());
    let taken = hear(&fake, INFLATE, 600);
    wait("the host is told", || given(&fake) == 600);
    assert_eq!(mem::free_bytes(), free - 600 * 4096);
    assert_eq!(balloon.status().counters[0], ("pages", 600));
    fake.configure(WANTED, &100u32.to_le_bytes());
    let back = hear(&fake, DEFLATE, 500);
    assert!(back.is_subset(&taken));
    wait("the host is told", || given(&fake) == 100);
    assert_eq!(mem::free_bytes(), free - 100 * 4096);
    drop(balloon);
    wait("all comes back in the reset", || mem::free_bytes() >= free);
}

#[test]
fn programs_keep_what_they_need() {
    host::new_machine();
    host::limit_pages(6000);
    let fake = fake(false);
    let _balloon = start(&fake);
    let free = mem::free_bytes();
    fake.configure(WANTED, &u32::MAX.to_le_bytes());
    let mut pages = 0;
    while mem::free_bytes() > kept_free() {
        pages += fake.get(INFLATE).len() / 4;
    }
    wait("the host is told", || given(&fake) as usize >= pages);
    assert!(pages as u64 * 4096 <= free - kept_free() + (BATCH as u64 * 4096), "{pages}");
    assert!(Page::new_zeroed().is_ok(), "programs find memory");
    // What becomes free later goes to the host too, and all of it comes back.
    fake.configure(WANTED, &0u32.to_le_bytes());
    wait("all is free again", || {
        for queue in [INFLATE, DEFLATE] {
            if let Some(taken) = fake.take(queue) {
                fake.give(queue, &taken, 0);
            }
        }
        given(&fake) == 0
    });
}

#[test]
fn statistics_are_sent_at_the_start_and_when_asked_for() {
    host::new_machine();
    let fake = fake(true);
    let balloon = start(&fake);
    for n in 1..4 {
        let taken = fake.wait(STATISTICS);
        let figures = &taken.message;
        assert_eq!(figures.len(), 3 * ENTRY);
        let entry = |n: usize| {
            let e = &figures[n * ENTRY..][..ENTRY];
            (u16::from_le_bytes([e[0], e[1]]), u64::from_le_bytes(e[2..].try_into().unwrap()))
        };
        assert_eq!((entry(0).0, entry(1), entry(2).0), (FREE, (TOTAL, mem::total_bytes()), AVAILABLE));
        assert!(entry(0).1 > 0 && entry(0).1 < entry(1).1);
        wait("it is counted", || balloon.status().counters[2].1 == n);
        // Giving it back is asking.
        fake.give(STATISTICS, &taken, 0);
    }
}

#[test]
fn a_broken_balloon_gives_everything_back() {
    host::new_machine();
    let fake = fake(false);
    let balloon = start(&fake);
    let free = mem::free_bytes();
    fake.configure(WANTED, &300u32.to_le_bytes());
    hear(&fake, INFLATE, 300);
    wait("the host is told", || given(&fake) == 300);
    let resets = fake.resets();
    fake.break_down();
    wait("it is reset", || fake.resets() > resets && mem::free_bytes() >= free);
    assert!(balloon.status().failure.is_some());
    assert!(
        Balloon::start("virtio-balloon-1", FakeTransport::with(VERSION_1, vec![0; 8], 1)).is_err(),
        "one queue"
    );
}
