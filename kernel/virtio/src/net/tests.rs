//! The driver against a device that the test plays.

use super::receive::BUFFER;
use super::*;
use crate::fake::{FakeTransport, Noise, Taken};
use crate::transport::VERSION_1;
use alloc::vec::Vec;
use io::Ether;
use io::ether::{Checksum, Cut, Frame, Ip, Sum};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver as Heard, Sender, channel};
use std::time::{Duration, Instant};

const CHECKSUM: u64 = 1;
const GUEST_CHECKSUM: u64 = 1 << 1;
const MTU: u64 = 1 << 3;
const MAC: u64 = 1 << 5;
const GUEST_TSO4: u64 = 1 << 7;
const HOST_TSO4: u64 = 1 << 11;
const MERGED: u64 = 1 << 15;
const STATUS: u64 = 1 << 16;
const ANY_LAYOUT: u64 = 1 << 27;

/// As QEMU's card with a user network.
const USUAL: u64 = VERSION_1 | MAC | MERGED | STATUS;
/// As one with a tap.
const ALL: u64 = USUAL | CHECKSUM | GUEST_CHECKSUM | GUEST_TSO4 | HOST_TSO4;
const OWN: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

/// Tells what it hears.
struct Ear(Mutex<Sender<Told>>);

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Frame(Vec<u8>, Sum),
    Rest,
    Changed,
}

impl Receiver for Ear {
    fn receive(&self, frame: &Frame<'_>) {
        let _ = self.0.lock().unwrap().send(Told::Frame(frame.bytes.to_vec(), frame.sum));
    }

    fn rest(&self) {
        let _ = self.0.lock().unwrap().send(Told::Rest);
    }

    fn changed(&self) {
        let _ = self.0.lock().unwrap().send(Told::Changed);
    }
}

fn config(link: u16, mtu: u16) -> Vec<u8> {
    [&OWN[..], &link.to_le_bytes(), &1u16.to_le_bytes(), &mtu.to_le_bytes(), &[0xff; 4], &[0xff]].concat()
}

fn device(features: u64) -> Arc<FakeTransport> {
    machine::host::new_machine();
    FakeTransport::with(features, config(1, 1400), 2)
}

fn start_on(device: &Arc<FakeTransport>) -> (Arc<Net>, Heard<Told>) {
    let net = Net::start("virtio-net-1", device.clone()).unwrap();
    let (to, heard) = channel();
    net.connect(Arc::new(Ear(Mutex::new(to))));
    (net, heard)
}

fn start(features: u64) -> (Arc<Net>, Arc<FakeTransport>, Heard<Told>) {
    let device = device(features);
    let (net, heard) = start_on(&device);
    (net, device, heard)
}

fn soon(heard: &Heard<Told>) -> Told {
    heard.recv_timeout(Duration::from_secs(20)).expect("nothing is told")
}

fn eventually(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end, "it never happens");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A frame to the card with its numbered bytes.
fn frame(len: usize) -> Vec<u8> {
    let rest = (12..len).map(|n| (n % 251) as u8);
    OWN.into_iter().chain([2, 0, 0, 0, 0, 1]).chain(rest).collect()
}

/// A full head: flags, kind, where the checksum is, buffers.
fn head(flags: u8, kind: u8, start: u16, offset: u16, buffers: u16) -> Vec<u8> {
    let words = [0, 0, start, offset, buffers].map(u16::to_le_bytes).concat();
    [&[flags, kind][..], &words].concat()
}

fn plain(frame: &[u8]) -> Vec<u8> {
    [&head(0, 0, 0, 0, 1)[..], frame].concat()
}

fn send(net: &Net, frame: &[u8]) -> Result<(), SendError> {
    net.send(&[frame], Unfinished::default())
}

#[test]
fn a_frame_is_sent_behind_its_head_and_one_that_comes_is_told() {
    let (net, device, heard) = start(USUAL);
    assert_eq!((net.mac(), net.mtu(), net.link(), net.mbps()), (OWN, 1500, true, None));
    assert_eq!(net.features(), Features::default());
    let f = frame(60);
    net.send(&[&f[..14], &f[14..20], &[], &f[20..]], Unfinished::default()).unwrap();
    assert_eq!(device.get(TRANSMIT), [&[0; 12][..], &f].concat());
    device.put(RECEIVE, &plain(&f));
    assert_eq!([soon(&heard), soon(&heard)], [Told::Frame(f, Sum::Unknown), Told::Rest]);
    let statistics = net.statistics();
    assert_eq!((statistics.sent, statistics.sent_bytes), (1, 60));
    assert_eq!((statistics.received, statistics.received_bytes), (1, 60));
    let status = net.status();
    assert_eq!((status.identity.as_str(), status.failure), ("525400123456 up", None));
    assert!(status.counters.contains(&("sent", 1)) && status.counters.contains(&("in", 60)));
}

#[test]
fn a_legacy_head_is_shorter() {
    let (net, device, heard) = start(MAC | ANY_LAYOUT);
    let f = frame(60);
    send(&net, &f).unwrap();
    assert_eq!(device.get(TRANSMIT), [&[0; 10][..], &f].concat());
    device.put(RECEIVE, &[&[0; 10][..], &f].concat());
    assert_eq!(soon(&heard), Told::Frame(f, Sum::Unknown));
    let device = FakeTransport::with(MAC, config(1, 1400), 2);
    assert!(Net::start("virtio-net-1", device).is_err(), "it would want the head in a piece of its own");
}

#[test]
fn without_merged_buffers_a_frame_is_in_one_whatever_the_device_says() {
    let (net, device, heard) = start(VERSION_1 | MAC);
    for buffers in [0, 1, 2, 0xffff] {
        device.put(RECEIVE, &[&head(0, 0, 0, 0, buffers)[..], &frame(60)].concat());
        assert_eq!([soon(&heard), soon(&heard)], [Told::Frame(frame(60), Sum::Unknown), Told::Rest]);
    }
    assert_eq!(net.statistics().resets, 0);
}

#[test]
fn what_the_device_does_not_say_is_made_up() {
    let device = device(VERSION_1);
    device.config.lock().unwrap().fill(0);
    let (net, _heard) = start_on(&device);
    assert!(net.link(), "one that does not tell of its link has one");
    let mac = net.mac();
    assert_eq!(mac[0] & 3, 2, "an address of its own, and of one card");
    assert_ne!(mac[1..], [0; 5]);
}

#[test]
fn the_link_comes_and_goes() {
    let (net, device, heard) = start(USUAL);
    device.configure(6, &0u16.to_le_bytes());
    assert_eq!((soon(&heard), net.link()), (Told::Changed, false));
    assert_eq!(net.status().identity, "525400123456 down");
    device.configure(6, &1u16.to_le_bytes());
    assert_eq!((soon(&heard), net.link()), (Told::Changed, true));
    device.configure(6, &3u16.to_le_bytes());
    device.put(RECEIVE, &plain(&frame(60)));
    assert!(matches!(soon(&heard), Told::Frame(..)), "nothing has changed");
}

#[test]
fn the_host_may_say_how_long_frames_are() {
    let (net, device, heard) = start(USUAL | MTU);
    assert_eq!(net.mtu(), 1400);
    assert_eq!(send(&net, &frame(1419)), Err(SendError::Malformed));
    send(&net, &frame(1418)).unwrap();
    device.put(RECEIVE, &plain(&frame(1419)));
    device.put(RECEIVE, &plain(&frame(1418)));
    assert_eq!(soon(&heard), Told::Frame(frame(1418), Sum::Unknown));
    assert_eq!(net.statistics().input_errors, 1);
    assert_eq!(send(&net, &frame(13)), Err(SendError::Malformed));
}

#[test]
fn checksums_and_cutting_are_left_to_a_card_that_can() {
    let (net, device, _heard) = start(ALL);
    let features = net.features();
    assert!(features.checksum && features.cuts_v4 && features.joins && !features.cuts_v6);
    let checksum = Some(Checksum { start: 34, field: 50 });
    net.send(&[&frame(80)], Unfinished { checksum, cut: None }).unwrap();
    assert_eq!(device.get(TRANSMIT), [&head(1, 0, 34, 16, 0)[..], &frame(80)].concat());
    let cut = |ip| Unfinished { checksum, cut: Some(Cut { ip, headers: 54, payload: 1460 }) };
    let long = frame(UNCUT_MOST);
    net.send(&[&long[..54], &long[54..]], cut(Ip::V4)).unwrap();
    let got = device.get(TRANSMIT);
    assert_eq!(got[..12], [1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0]);
    assert_eq!(got[12..], long);
    assert_eq!(net.send(&[&frame(3000)], cut(Ip::V6)), Err(SendError::Malformed), "it cannot cut that");
    assert_eq!(net.send(&[&frame(3000)], Unfinished { checksum, cut: None }), Err(SendError::Malformed));
    assert_eq!(net.send(&[&frame(UNCUT_MOST + 1)], cut(Ip::V4)), Err(SendError::Malformed));
    let (plain, _device, _heard) = start(USUAL);
    assert_eq!(plain.send(&[&frame(80)], Unfinished { checksum, cut: None }), Err(SendError::Malformed));
}

#[test]
fn a_frame_in_several_buffers_is_put_together() {
    let (_net, device, heard) = start(ALL);
    let long = frame(5000);
    device.hold(|| {
        device.put(RECEIVE, &[&head(1, 1, 34, 16, 3)[..], &long[..BUFFER - 12]].concat());
        device.put(RECEIVE, &long[BUFFER - 12..2 * BUFFER - 12]);
    });
    // The rest comes later.
    std::thread::sleep(Duration::from_millis(20));
    assert!(heard.try_recv().is_err());
    device.put(RECEIVE, &long[2 * BUFFER - 12..]);
    let sum = Sum::Missing(Checksum { start: 34, field: 50 });
    assert_eq!(soon(&heard), Told::Frame(long, sum));
    device.put(RECEIVE, &[&head(2, 0, 0, 0, 1)[..], &frame(60)].concat());
    let mut told = soon(&heard);
    if told == Told::Rest {
        // Unless both came together.
        told = soon(&heard);
    }
    assert_eq!(told, Told::Frame(frame(60), Sum::Right));
}

#[test]
fn what_is_no_frame_is_counted_and_the_next_one_is_told() {
    let (net, device, heard) = start(ALL);
    let short = frame(13);
    let mut wrong = 0;
    let mut put = |bytes: &[u8]| {
        device.put(RECEIVE, bytes);
        wrong += 1;
    };
    put(&[]);
    put(&[0; 11]);
    put(&head(0, 0, 0, 0, 1));
    put(&plain(&short));
    put(&plain(&frame(1519)));
    put(&[&head(1, 0, 59, 0, 1)[..], &frame(60)].concat());
    put(&[&head(1, 3, 34, 16, 1)[..], &frame(60)].concat());
    put(&[&head(0, 1, 34, 16, 1)[..], &frame(60)].concat());
    // Longer than anything there is: thrown away when all of it has come.
    put(&[&head(1, 1, 34, 16, 33)[..], &frame(BUFFER - 12)].concat());
    (0..32).for_each(|_| device.put(RECEIVE, &[1; BUFFER]));
    device.put(RECEIVE, &plain(&frame(60)));
    let mut told = soon(&heard);
    while told == Told::Rest {
        told = soon(&heard);
    }
    assert_eq!(told, Told::Frame(frame(60), Sum::Unknown));
    assert_eq!((net.statistics().input_errors, net.statistics().received), (wrong, 1));
    assert_eq!(net.statistics().resets, 0);
}

#[test]
fn without_room_one_is_told_when_there_is_some() {
    let (net, device, heard) = start(USUAL);
    let mut sent = 0;
    let refused = loop {
        match send(&net, &frame(60)) {
            Ok(()) => sent += 1,
            Err(e) => break e,
        }
    };
    // Each of the ring's entries has one.
    assert_eq!((sent, refused, net.statistics().full), (128, SendError::Full, 1));
    assert!(heard.try_recv().is_err());
    let taken: Vec<Taken> = (0..128).map(|_| device.wait(TRANSMIT)).collect();
    taken.iter().take(64).for_each(|taken| device.give(TRANSMIT, taken, 0));
    assert_eq!(soon(&heard), Told::Changed);
    (0..64).for_each(|_| send(&net, &frame(60)).unwrap());
    assert_eq!(send(&net, &frame(60)), Err(SendError::Full));
    taken.iter().skip(64).for_each(|taken| device.give(TRANSMIT, taken, 0));
    assert_eq!(soon(&heard), Told::Changed);
    send(&net, &frame(60)).unwrap();
}

#[test]
fn a_broken_device_is_started_again_and_what_was_under_way_is_lost() {
    let (net, device, heard) = start(USUAL);
    for round in 1..4u64 {
        (0..5).for_each(|_| send(&net, &frame(60)).unwrap());
        match round {
            1 => device.break_down(),
            // It merged buffers that cannot be.
            2 => device.put(RECEIVE, &[&head(0, 0, 0, 0, 0)[..], &frame(60)].concat()),
            _ => {
                let taken = device.wait(RECEIVE);
                device.give(RECEIVE, &taken, BUFFER as u32 + 1);
            }
        }
        assert_eq!(soon(&heard), Told::Changed);
        assert_eq!((net.statistics().resets, net.status().failure.clone()), (round, None));
        // All room is there again.
        (0..128).for_each(|_| send(&net, &frame(60)).unwrap());
        (0..128).for_each(|_| drop(device.get(TRANSMIT)));
        device.put(RECEIVE, &plain(&frame(60)));
        assert!(matches!(soon(&heard), Told::Frame(..)));
        assert_eq!(soon(&heard), Told::Rest);
    }
    assert!(net.works() && net.link());
}

#[test]
fn a_lie_about_what_was_sent_is_caught() {
    let (net, device, heard) = start(USUAL);
    send(&net, &frame(60)).unwrap();
    let taken = device.wait(TRANSMIT);
    device.give(TRANSMIT, &taken, 0);
    device.give(TRANSMIT, &taken, 0);
    // It is noticed by who sends, who is told that there is no room until the card runs again.
    eventually(|| send(&net, &frame(60)) == Err(SendError::Full) || net.statistics().resets != 0);
    assert_eq!(soon(&heard), Told::Changed);
    assert_eq!(net.statistics().resets, 1);
    send(&net, &frame(60)).unwrap();
}

#[test]
fn a_device_that_is_taken_out_is_gone() {
    let (net, device, heard) = start(USUAL);
    *device.dead.lock().unwrap() = true;
    device.break_down();
    assert_eq!(soon(&heard), Told::Changed);
    assert!(!net.works() && !net.link());
    assert_eq!(send(&net, &frame(60)), Err(SendError::Gone));
    assert_eq!(net.status().failure.as_deref(), Some("device does not start again"));
}

#[test]
fn a_device_without_its_queues_does_not_start() {
    machine::host::new_machine();
    for queues in [0, 1] {
        let device = FakeTransport::with(USUAL, config(1, 1400), queues);
        assert!(Net::start("virtio-net-1", device).is_err());
    }
}

/// What no honest device does, drawn from a seed: nothing panics, and the card works in the end.
#[test]
fn noise_in_place_of_a_device_harms_nobody() {
    for seed in 0..20 {
        let (net, device, heard) = start(ALL);
        let mut noise = Noise::new(seed);
        for _ in 0..200 {
            match noise.below(6) {
                0 => drop(send(&net, &frame(60))),
                1 => {
                    let len = noise.below(200) as usize;
                    let bytes: Vec<u8> = (0..len).map(|_| noise.below(256) as u8).collect();
                    if let Some(taken) = device.take(RECEIVE) {
                        taken.fill(&bytes);
                        device.give(RECEIVE, &taken, noise.below(2 * BUFFER as u64) as u32);
                    }
                }
                2 => {
                    if let Some(taken) = device.take(TRANSMIT) {
                        device.give(TRANSMIT, &taken, noise.below(2) as u32);
                    }
                }
                3 => device.configure(6, &[noise.below(256) as u8, 0]),
                4 => device.interrupt(),
                _ if noise.below(20) == 0 => device.break_down(),
                _ => std::thread::yield_now(),
            }
        }
        assert!(net.works());
        // A reset takes what is left from it.
        let resets = net.statistics().resets;
        eventually(|| {
            let (done, whole) = (net.statistics().resets > resets, net.status().failure.is_none());
            if !done && whole {
                // One that was under way, and counted, may have taken this away with all else.
                device.break_down();
            }
            done && whole
        });
        device.put(RECEIVE, &plain(&frame(64)));
        let last = Told::Frame(frame(64), Sum::Unknown);
        while soon(&heard) != last {}
    }
}
