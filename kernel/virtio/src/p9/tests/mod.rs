//! The driver against a device that the test plays, on a thread or by hand.

mod resets;
mod transports;

use super::*;
use crate::fake::{Fake, FakeSpace, Noise, Quirks, Taken};
use crate::system::init_on;
use crate::transport::pci_interrupts::Choice;
use alloc::vec;
use alloc::vec::Vec;
use io::message::TransportError::{Broken, HungUp};
use machine::page::{Page, Pinned};
use machine::sync::Completion;
use pci::{PciAddress, address};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use pci::fake::captured::PC;

/// A `pc` with these devices plugged in, and those drivers that started.
fn start_on(devices: &[(PciAddress, &Arc<Fake>)], choice: Choice) -> (FakeSpace, Vec<Arc<P9>>) {
    let space = FakeSpace::new(PC);
    for (at, device) in devices {
        space.plug(*at, device);
    }
    let system = init_on(space.boxed(), core::slice::from_ref(&(0..0x2000_0000)), choice);
    (space, system.nine_p.into_iter().map(|d| d.driver).collect())
}

fn start_with(device: &Arc<Fake>) -> Arc<P9> {
    let (_, mut drivers) = start_on(&[(address(0, 2, 0), device)], Choice::default());
    assert_eq!(drivers.len(), 1);
    drivers.remove(0)
}

fn start() -> (Arc<P9>, Arc<Fake>) {
    let device = Fake::ninep("host");
    (start_with(&device), device)
}

/// A Tstat with this tag; the tag tells requests apart.
fn request(tag: u16) -> Box<Request> {
    let mut r = Request::new(8192, 4096).unwrap();
    head(&mut r, 11, 124, tag);
    r.t_len = 11;
    r
}

fn head(r: &mut Request, size: u32, kind: u8, tag: u16) {
    r.t.write(0, &size.to_le_bytes());
    r.t.write(4, &[kind]);
    r.t.write(5, &tag.to_le_bytes());
}

type Done = Arc<Completion<Box<Request>>>;

fn submit(p9: &P9, request: Box<Request>) -> Done {
    let done = request.done.clone();
    p9.submit(request);
    done
}

fn wait(done: &Done) -> Box<Request> {
    done.wait_until(machine::clock::now_ns() + 10_000_000_000).expect("a request that does not come back")
}

fn tag_of(taken: &Taken) -> u16 {
    u16::from_le_bytes([taken.message[5], taken.message[6]])
}

fn counter(p9: &P9, name: &str) -> u64 {
    p9.status().counters.iter().find(|(n, _)| *n == name).unwrap().1
}

fn eventually(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !what() {
        assert!(Instant::now() < end, "it never happens");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_request_goes_out_and_its_reply_comes_back() {
    let (p9, device) = start();
    assert_eq!(
        (p9.name().as_str(), p9.tag(), p9.max_in_flight(), p9.max_segments()),
        ("virtio-9p-0", "host", 128, 128)
    );
    let done = submit(&p9, request(7));
    assert_eq!(counter(&p9, "outstanding"), 1);
    let taken = device.take().unwrap();
    assert_eq!((taken.message.len(), tag_of(&taken), taken.indirect), (11, 7, true));
    assert!(done.take().is_none(), "nothing is back before the device returns it");
    device.answer(&taken, b"hello");
    let mut back = wait(&done);
    assert_eq!(back.result, Ok(12));
    let mut reply = [0; 12];
    assert_eq!(back.reply_read(0, &mut reply), 12);
    assert_eq!(&reply, b"\x0c\0\0\0\x7d\x07\0hello");
    assert_eq!((counter(&p9, "outstanding"), device.registers().notified), (0, 1));
    // The same request again, as a process's slot is used.
    back.t_len = 11;
    let done = submit(&p9, back);
    device.answer(&device.take().unwrap(), b"");
    assert_eq!(wait(&done).result, Ok(7));
    for (name, n) in [
        ("requests", 2),
        ("interrupts", 2),
        ("notifications", 2),
        ("out", 22),
        ("in", 19),
        ("outstanding", 0),
    ] {
        assert_eq!(counter(&p9, name), n, "{name}");
    }
}

#[test]
fn data_goes_straight_from_and_into_pages() {
    for quirks in [Quirks::default(), Quirks { direct: true, ..Quirks::default() }] {
        let device = Fake::with(b"\x01\0t".to_vec(), 128, quirks);
        let p9 = start_with(&device);
        let pages: Vec<Page> = (0..3).map(|_| Page::new_zeroed().unwrap()).collect();
        pages[0].write(4000, &[b'a'; 96]);
        pages[1].write(0, &[b'b'; 4096]);
        let pinned = || {
            vec![
                Pinned::new(pages[0].clone(), 4000, 96),
                Pinned::new(pages[1].clone(), 0, 0),
                Pinned::new(pages[1].clone(), 0, 4096),
            ]
        };
        let mut write = request(1);
        (write.t_len, write.t_data) = (23, pinned());
        head(&mut write, 23 + 4192, 118, 1);
        write.t.write(19, &4192u32.to_le_bytes());
        let done = submit(&p9, write);
        let taken = device.take().unwrap();
        assert_eq!(taken.message.len(), 23 + 4192);
        assert_eq!((taken.message[23], taken.message[23 + 96]), (b'a', b'b'));
        assert!(taken.readable.len() <= 3, "nothing for the piece without bytes");
        device.answer(&taken, &4192u32.to_le_bytes());
        assert_eq!(wait(&done).result, Ok(11));

        let mut read = request(2);
        (read.t_len, read.r_len) = (23, 11);
        read.r_data = vec![Pinned::new(pages[2].clone(), 100, 50), Pinned::new(pages[2].clone(), 150, 50)];
        head(&mut read, 23, 116, 2);
        read.t.write(19, &100u32.to_le_bytes());
        let done = submit(&p9, read);
        let taken = device.take().unwrap();
        assert_eq!(taken.writable.len(), 2, "neighbours in memory are one piece: {:?}", taken.writable);
        device.answer(&taken, &[&100u32.to_le_bytes()[..], &[b'x'; 100]].concat());
        let back = wait(&done);
        assert_eq!(back.result, Ok(111));
        let mut bytes = [0; 101];
        pages[2].read(100, &mut bytes);
        assert_eq!((bytes[0], bytes[99], bytes[100]), (b'x', b'x', 0));
        drop(back);
        assert_eq!((pages[2].pins(), pages[2].refs()), (0, 1));
    }
}

#[test]
fn unsound_requests_never_reach_the_device() {
    let (p9, device) = start();
    let page = Page::new_zeroed().unwrap();
    type Spoil<'a> = &'a dyn Fn(&mut Request);
    let cases: [(&str, Spoil); 10] = [
        ("without a head", &|r| r.t_len = 6),
        ("without a head", &|r| r.t_len = 8193),
        ("without room for a reply", &|r| r.r_len = 6),
        ("without room for a reply", &|r| r.r_len = 4097),
        ("whose size is wrong", &|r| r.t_len = 12),
        ("whose size is wrong", &|r| r.t_data = vec![Pinned::new(page.clone(), 0, 1)]),
        ("in too many pieces", &|r| r.r_data = (0..127).map(|_| Pinned::new(page.clone(), 0, 1)).collect()),
        ("read without a count", &|r| head(r, 11, 116, 1)),
        ("read of more than there is room for", &|r| {
            (r.t_len, r.r_len) = (23, 11);
            r.r_data = vec![Pinned::new(page.clone(), 0, 4095)];
            head(r, 23, 116, 1);
            r.t.write(19, &4096u32.to_le_bytes());
        }),
        ("write whose count is wrong", &|r| {
            (r.t_len, r.t_data) = (23, vec![Pinned::new(page.clone(), 0, 9)]);
            head(r, 32, 118, 1);
            r.t.write(19, &10u32.to_le_bytes());
        }),
    ];
    for (why, spoil) in cases {
        let mut r = request(1);
        spoil(&mut r);
        let back = wait(&submit(&p9, r));
        let Err(Broken(how)) = back.result else { panic!("{why}: {:?}", back.result) };
        assert!(how.ends_with(why), "{how}, not {why}");
    }
    assert!(device.take().is_none());
    assert_eq!((counter(&p9, "refused"), counter(&p9, "requests")), (10, 0));
}

#[test]
fn replies_are_not_believed() {
    let (p9, device) = start();
    let give = |reply: &[u8], len: u32| {
        let done = submit(&p9, request(3));
        let taken = device.take().unwrap();
        taken.fill(reply);
        device.give(u32::from(taken.id), len);
        wait(&done).result
    };
    assert_eq!(give(b"", 0), Ok(0), "flushed without a reply");
    assert_eq!(give(b"\x07\0\0\0\x7d\x03\0", 7), Ok(7));
    assert_eq!(give(b"\x07\0\0\0\x7d\x03\0", 6), Err(Broken("9P reply shorter than a head")));
    assert_eq!(give(b"\x08\0\0\0\x7d\x03\0", 7), Err(Broken("9P reply whose size is wrong")));
    assert_eq!(give(b"\xff\xff\xff\xff\x7d\x03\0", 4096), Err(Broken("9P reply whose size is wrong")));
    assert_eq!(p9.status().failure, None, "the device itself goes on");
}

#[test]
fn what_does_not_fit_waits_in_order() {
    let device = Fake::with(b"\x01\0t".to_vec(), 4, Quirks::default());
    let p9 = start_with(&device);
    let done: Vec<Done> = (0..20).map(|tag| submit(&p9, request(tag))).collect();
    assert_eq!((counter(&p9, "outstanding"), counter(&p9, "waited")), (20, 16));
    let mut order = vec![];
    while let Some(taken) = device.take() {
        order.push(tag_of(&taken));
        device.answer(&taken, b"");
    }
    assert_eq!(order, (0..20).collect::<Vec<u16>>());
    assert!(done.iter().all(|d| wait(d).result == Ok(7)));
    assert_eq!(counter(&p9, "outstanding"), 0);
}

#[test]
fn many_threads_and_a_device_that_delays_and_reorders() {
    const THREADS: u16 = 8;
    const EACH: u16 = 400;
    let device = Fake::with(b"\x01\0t".to_vec(), 16, Quirks::default());
    let p9 = start_with(&device);
    let (peer, total) = (device.clone(), u32::from(THREADS) * u32::from(EACH));
    let server = std::thread::spawn(move || {
        let mut noise = Noise::new(3);
        let (mut held, mut answered) = (vec![], 0);
        while answered < total {
            if held.is_empty() {
                held.extend(peer.wait());
            }
            held.extend(core::iter::from_fn(|| peer.take()));
            for _ in 0..1 + noise.below(held.len() as u64 + 1) {
                if !held.is_empty() {
                    let taken: Taken = held.swap_remove(noise.below(held.len() as u64) as usize);
                    peer.answer(&taken, &taken.message[5..7]);
                    answered += 1;
                }
            }
        }
    });
    std::thread::scope(|scope| {
        for n in 0..THREADS {
            let p9 = &p9;
            scope.spawn(move || {
                let mut slots: Vec<Box<Request>> = (0..3).map(|_| request(0)).collect();
                for i in 0..EACH {
                    let mut slot = slots.remove(0);
                    let tag = n * EACH + i;
                    head(&mut slot, 11, 124, tag);
                    slot.t_len = 11;
                    let back = wait(&submit(p9, slot));
                    assert_eq!(back.result, Ok(9));
                    let mut payload = [0; 2];
                    back.reply_read(7, &mut payload);
                    assert_eq!(u16::from_le_bytes(payload), tag, "somebody else's reply");
                    slots.push(back);
                }
            });
        }
    });
    server.join().unwrap();
    assert_eq!((counter(&p9, "requests"), counter(&p9, "outstanding")), (u64::from(total), 0));
}

#[test]
fn a_driver_that_goes_away_takes_its_interrupts_along() {
    let (p9, device) = start();
    let done = submit(&p9, request(1));
    drop(p9);
    assert_eq!(wait(&done).result, Err(HungUp));
    assert_eq!(device.registers().status, 0);
    assert!(machine::irq::snapshot().unwrap().iter().all(|l| !l.name.starts_with("virtio")));
}
