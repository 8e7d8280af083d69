//! The driver against a disk that the test plays, on a thread, well or badly.

use super::*;
use crate::fake::{FakeTransport, Noise, Taken};
use crate::transport::{INDIRECT_DESC, VERSION_1};
use io::Disk as _;
use machine::host::{self, dma::poke};
use machine::page::Page;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::vec;

const SEG_MAX: u64 = 1 << 2;
const RO: u64 = 1 << 5;
const BLK_SIZE: u64 = 1 << 6;
const FLUSH: u64 = 1 << 9;
const USUAL: u64 = VERSION_1 | INDIRECT_DESC | SEG_MAX | BLK_SIZE | FLUSH;
const SECTORS: u64 = 16384;

/// What the disk does with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Good,
    /// Does nothing, and says this.
    Status(u8),
    /// Does it, and says that it wrote so many bytes.
    Len(u32),
    /// Returns it twice.
    Twice,
    /// Never answers.
    Silence,
    BreakDown,
}

/// A disk on a thread.
struct Player {
    fake: Arc<FakeTransport>,
    bytes: Arc<Mutex<Vec<u8>>>,
    /// What is done with the next requests; then all goes well.
    acts: Arc<Mutex<Vec<Act>>>,
    /// Kinds of the requests that came.
    seen: Arc<Mutex<Vec<u32>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Player {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn config(sectors: u64, size_max: u32, seg_max: u32, sector: u32) -> Vec<u8> {
    let mut config = sectors.to_le_bytes().to_vec();
    for n in [size_max, seg_max, 0, sector] {
        config.extend(n.to_le_bytes());
    }
    config
}

/// Carries out a request; how many bytes were written, and the status.
fn carry_out(bytes: &mut [u8], taken: &Taken) -> (u32, u8) {
    let word = |at: usize| u32::from_le_bytes(taken.message[at..at + 4].try_into().unwrap());
    let sector = u64::from_le_bytes(taken.message[8..16].try_into().unwrap());
    let start = sector as usize * 512;
    let room = taken.writable.iter().map(|w| w.1).sum::<u32>() as usize - 1;
    match word(0) {
        0 => {
            let from = bytes[start..start + room].to_vec();
            taken.fill(&[&from[..], &[0]].concat());
            (room as u32 + 1, 0)
        }
        1 => {
            let data = &taken.message[16..];
            assert_eq!((data.len() % 512, room), (0, 0));
            bytes[start..start + data.len()].copy_from_slice(data);
            taken.fill(&[0]);
            (1, 0)
        }
        8 => {
            assert_eq!(room, 20);
            taken.fill(b"a serial\0...........\0");
            (21, 0)
        }
        4 => {
            taken.fill(&[0]);
            (1, 0)
        }
        other => panic!("request {other}"),
    }
}

fn play(features: u64, config: Vec<u8>) -> (Arc<Block>, Player) {
    host::new_machine();
    let fake = FakeTransport::with(features, config, 1);
    let bytes = Arc::new(Mutex::new((0..SECTORS * 512).map(|n| (n % 253) as u8).collect::<Vec<u8>>()));
    let (acts, seen) = (Arc::new(Mutex::new(vec![])), Arc::new(Mutex::new(vec![])));
    let stop = Arc::new(AtomicBool::new(false));
    let mut player = Player { fake, bytes, acts, seen, stop, thread: None };
    let (fake, bytes, acts) = (player.fake.clone(), player.bytes.clone(), player.acts.clone());
    let (seen, stop) = (player.seen.clone(), player.stop.clone());
    let body = move || {
        let mut noise = Noise::new(5);
        while !stop.load(SeqCst) {
            // All that is there, answered in any order, until a reset takes it away.
            let resets = fake.resets();
            let mut all: Vec<Taken> = core::iter::from_fn(|| fake.take(0)).collect();
            if all.is_empty() {
                std::thread::sleep(Duration::from_micros(100));
            }
            while !all.is_empty() {
                let _working = fake.working.lock().unwrap();
                if fake.resets() != resets {
                    break;
                }
                let taken = all.swap_remove(noise.below(all.len() as u64) as usize);
                let kind = u32::from_le_bytes(taken.message[..4].try_into().unwrap());
                seen.lock().unwrap().push(kind);
                let next = if kind == 8 { None } else { acts.lock().unwrap().pop() };
                match next.unwrap_or(Act::Good) {
                    Act::Silence => continue,
                    Act::BreakDown => {
                        fake.break_down();
                        break;
                    }
                    Act::Status(status) => {
                        let last = *taken.writable.last().unwrap();
                        assert!(poke(last.0 + u64::from(last.1) - 1, &[status]));
                        fake.give(0, &taken, 1);
                    }
                    act => {
                        let (len, _) = carry_out(&mut bytes.lock().unwrap(), &taken);
                        fake.give(0, &taken, if let Act::Len(n) = act { n } else { len });
                        if act == Act::Twice {
                            fake.give(0, &taken, len);
                        }
                    }
                }
            }
        }
    };
    player.thread = Some(std::thread::spawn(body));
    let block = Block::start("virtio-block-1", player.fake.clone()).unwrap();
    eventually(|| block.serial() == "a serial");
    player.seen.lock().unwrap().clear();
    (block, player)
}

fn usual() -> (Arc<Block>, Player) {
    play(USUAL, config(SECTORS, 0, 126, 512))
}

fn eventually(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end, "it never happens");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn counter(block: &Block, name: &str) -> u64 {
    block.status().counters.iter().find(|(n, _)| *n == name).unwrap().1
}

/// A buffer of `len` bytes that begins `skip` bytes into a page, as a program's does.
fn buffer(skip: usize, len: usize) -> Vec<Pinned> {
    let mut pins = vec![];
    let (mut at, mut left) = (skip, len);
    while left > 0 {
        let n = left.min(4096 - at);
        pins.push(Pinned::new(Page::new_zeroed().unwrap(), at, n));
        (at, left) = (0, left - n);
    }
    pins
}

fn contents(pins: &[Pinned]) -> Vec<u8> {
    let mut all = vec![];
    for pin in pins {
        let mut bytes = vec![0; pin.len()];
        pin.read(0, &mut bytes);
        all.extend(bytes);
    }
    all
}

fn fill(pins: &[Pinned], seed: u8) {
    let mut n = u32::from(seed);
    for pin in pins {
        let bytes: Vec<u8> = (0..pin.len() as u32).map(|i| ((n + i) % 241) as u8).collect();
        pin.write(0, &bytes);
        n += pin.len() as u32;
    }
}

/// Who waits for the disk however long it takes.
fn never() -> bool {
    false
}

fn transfer(block: &Block, way: Direction, sector: u64, data: Vec<Pinned>) -> Result<(), DiskError> {
    block.transfer(way, sector, data, &never)
}

#[test]
fn sectors_go_both_ways_from_and_to_any_memory() {
    for features in [USUAL, USUAL & !INDIRECT_DESC, USUAL & !SEG_MAX] {
        let (block, player) = play(features, config(SECTORS, 0, 30, 512));
        assert_eq!((block.sectors(), block.sector_size(), block.writable()), (SECTORS, 512, true));
        assert_eq!(block.status().identity, "16384 sectors a serial");
        for (skip, sectors, at) in [(0, 1, 0), (100, 3, 7), (4095, 700, 11), (1, 1200, 16384 - 1200)] {
            let to = buffer(skip, sectors * 512);
            let done = transfer(&block, Direction::Read, at, to.clone());
            assert_eq!(done, Ok(()), "{features:#x}: {sectors} at {at}: {:?}", block.status());
            let start = at as usize * 512;
            let there = player.bytes.lock().unwrap()[start..start + sectors * 512].to_vec();
            assert!(contents(&to) == there, "read of {sectors} at {at}");
            let from = buffer(skip, sectors * 512);
            fill(&from, at as u8);
            transfer(&block, Direction::Write, at, from.clone()).unwrap();
            let there = player.bytes.lock().unwrap()[start..start + sectors * 512].to_vec();
            assert!(contents(&from) == there, "write of {sectors} at {at}");
            assert!(from.iter().all(|p| p.page().pins() == 1), "the driver lets go of the pages");
        }
        let moved = (1 + 3 + 700 + 1200) * 512;
        assert_eq!((counter(&block, "in"), counter(&block, "out")), (moved, moved));
        assert_eq!((counter(&block, "errors"), counter(&block, "outstanding")), (0, 0));
    }
}

#[test]
fn what_is_beyond_the_end_is_not_asked_for() {
    let (block, player) = usual();
    for (at, sectors) in [(SECTORS, 1), (SECTORS - 1, 2), (u64::MAX, 1), (u64::MAX - 1, 3)] {
        assert_eq!(transfer(&block, Direction::Read, at, buffer(0, sectors * 512)), Err(DiskError::Failed));
        assert_eq!(transfer(&block, Direction::Write, at, buffer(0, sectors * 512)), Err(DiskError::Failed));
    }
    assert_eq!(
        transfer(&block, Direction::Read, 0, buffer(0, 100)),
        Err(DiskError::Failed),
        "no whole sector"
    );
    assert!(player.seen.lock().unwrap().is_empty());
}

#[test]
fn larger_sectors_are_still_counted_in_units() {
    let (block, player) = play(USUAL, config(SECTORS + 3, 0, 126, 4096));
    assert_eq!((block.sectors(), block.sector_size()), (SECTORS / 8, 4096));
    let from = buffer(10, 8192);
    fill(&from, 3);
    transfer(&block, Direction::Write, 5, from.clone()).unwrap();
    assert!(player.bytes.lock().unwrap()[5 * 4096..7 * 4096] == contents(&from)[..]);
    assert_eq!(transfer(&block, Direction::Write, 5, buffer(0, 512)), Err(DiskError::Failed));
}

#[test]
fn errors_are_the_requests_and_nothing_else() {
    let (block, player) = usual();
    // Short of the data and of the status byte; statuses that mean failure; one that was never written.
    for act in [Act::Status(1), Act::Status(2), Act::Status(0xFF), Act::Len(512), Act::Len(0)] {
        player.acts.lock().unwrap().push(act);
        assert_eq!(transfer(&block, Direction::Read, 3, buffer(0, 512)), Err(DiskError::Failed), "{act:?}");
        assert_eq!(transfer(&block, Direction::Read, 3, buffer(0, 512)), Ok(()));
    }
    // One piece of many.
    player.acts.lock().unwrap().extend([Act::Good, Act::Good, Act::Status(1)]);
    assert_eq!(transfer(&block, Direction::Write, 0, buffer(0, 1 << 20)), Err(DiskError::Failed));
    assert_eq!((counter(&block, "errors"), counter(&block, "resets")), (6, 0));
    player.acts.lock().unwrap().push(Act::Status(1));
    assert_eq!(block.flush(&never), Err(DiskError::Failed));
}

#[test]
fn an_old_device_may_say_any_length() {
    let (block, player) = play(USUAL & !VERSION_1, config(SECTORS, 0, 126, 512));
    player.acts.lock().unwrap().push(Act::Len(0));
    let to = buffer(0, 512);
    assert_eq!(transfer(&block, Direction::Read, 0, to.clone()), Ok(()));
    assert!(contents(&to) == player.bytes.lock().unwrap()[..512]);
}

#[test]
fn a_device_that_breaks_down_lies_or_falls_silent_is_started_afresh() {
    for act in [Act::BreakDown, Act::Len(10_000_000), Act::Twice, Act::Silence] {
        let (block, player) = usual();
        player.acts.lock().unwrap().push(act);
        // What came of it is not known; that it comes back is.
        let _ = transfer(&block, Direction::Read, 0, buffer(0, 1 << 19));
        eventually(|| counter(&block, "resets") == 1 && block.status().failure.is_none());
        assert_eq!(counter(&block, "outstanding"), 0);
        let to = buffer(7, 1 << 19);
        assert_eq!(transfer(&block, Direction::Read, 9, to.clone()), Ok(()), "{act:?}");
        assert!(contents(&to) == player.bytes.lock().unwrap()[9 * 512..9 * 512 + (1 << 19)]);
    }
}

#[test]
fn who_has_to_leave_does_not_wait_for_a_silent_disk() {
    let (block, player) = usual();
    player.acts.lock().unwrap().push(Act::Silence);
    let to = buffer(7, 512);
    let begun = machine::clock::now_ns();
    assert_eq!(block.transfer(Direction::Read, 0, to.clone(), &|| true), Err(DiskError::Interrupted));
    assert!(machine::clock::now_ns() - begun < 1_500_000_000);
    // The disk has it still, and the memory with it.
    assert_eq!(counter(&block, "outstanding"), 1);
    // A disk that answers is waited for.
    assert_eq!(block.transfer(Direction::Read, 1, to, &|| true), Ok(()));
}

#[test]
fn a_device_that_does_not_start_again_fails_for_good() {
    let (block, player) = usual();
    *player.fake.dead.lock().unwrap() = true;
    player.acts.lock().unwrap().push(Act::BreakDown);
    assert_eq!(transfer(&block, Direction::Read, 0, buffer(0, 512)), Err(DiskError::Failed));
    eventually(|| block.status().failure.as_deref() == Some("device does not start again"));
    assert_eq!(transfer(&block, Direction::Read, 0, buffer(0, 512)), Err(DiskError::Failed));
    assert_eq!(block.flush(&never), Err(DiskError::Failed));
}

#[test]
fn a_disk_that_cannot_be_written_or_need_not_be_flushed_is_not_asked_to() {
    let (block, player) = play(USUAL & !FLUSH | RO, config(SECTORS, 0, 126, 512));
    assert!(!block.writable());
    assert_eq!(transfer(&block, Direction::Write, 0, buffer(0, 512)), Err(DiskError::Protected));
    assert_eq!(block.flush(&never), Ok(()));
    assert!(player.seen.lock().unwrap().is_empty());
    let (block, player) = usual();
    assert_eq!(block.flush(&never), Ok(()));
    assert_eq!(*player.seen.lock().unwrap(), [4]);
}

#[test]
fn the_host_may_change_the_size() {
    let (block, player) = usual();
    player.fake.configure(0, &(SECTORS / 2).to_le_bytes());
    eventually(|| block.sectors() == SECTORS / 2);
    assert_eq!(transfer(&block, Direction::Read, SECTORS / 2, buffer(0, 512)), Err(DiskError::Failed));
    player.fake.configure(0, &SECTORS.to_le_bytes());
    eventually(|| transfer(&block, Direction::Read, SECTORS / 2, buffer(0, 512)) == Ok(()));
}

#[test]
fn shapes_that_cannot_be_used_are_refused_with_a_reason() {
    const SIZE_MAX: u64 = 1 << 1;
    for (features, config, why) in [
        (USUAL, config(8, 0, 126, 1000), "sectors of 1000 bytes"),
        (USUAL, config(8, 0, 126, 8192), "sectors of 8192 bytes"),
        (USUAL, config(8, 0, 126, 0), "sectors of 0 bytes"),
        (USUAL, config(8, 0, 1, 512), "takes no more than 1 pieces of 4294967295 bytes in a request"),
        (USUAL | SIZE_MAX, config(8, 100, 9, 512), "takes no more than 9 pieces of 100 bytes in a request"),
    ] {
        host::new_machine();
        let fake = FakeTransport::with(features, config, 1);
        let refused = Block::start("virtio-block-0", fake.clone());
        assert_eq!(refused.err().map(|e| alloc::format!("{e}")).as_deref(), Some(why));
        assert_eq!(crate::transport::VirtioTransport::status(&*fake) & 0x80, 0x80, "marked as failed");
    }
}

#[test]
fn many_at_once_get_what_is_theirs() {
    let (block, _player) = usual();
    std::thread::scope(|scope| {
        for n in 0..16u64 {
            let block = &block;
            scope.spawn(move || {
                let mut noise = Noise::new(n + 1);
                for round in 0..20 {
                    let (at, sectors) = (n * 1000 + noise.below(700), 1 + noise.below(80) as usize);
                    let from = buffer(noise.below(4096) as usize, sectors * 512);
                    fill(&from, round);
                    transfer(block, Direction::Write, at, from.clone()).unwrap();
                    let to = buffer(noise.below(4096) as usize, sectors * 512);
                    transfer(block, Direction::Read, at, to.clone()).unwrap();
                    assert!(contents(&to) == contents(&from), "{n}: {sectors} sectors at {at}");
                }
            });
        }
    });
    assert_eq!(
        (counter(&block, "errors"), counter(&block, "resets"), counter(&block, "outstanding")),
        (0, 0, 0)
    );
}
