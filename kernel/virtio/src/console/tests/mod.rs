//! The driver against a device that the test plays.

mod abreast;
mod forgotten;
mod reconnect;

use super::control::{
    DEVICE_READY, NO_PORT, PORT_ADD, PORT_NAME, PORT_OPEN, PORT_READY, PORT_REMOVE, message,
};
use super::port::{PIECE, RECEIVE};
use super::*;
use crate::fake::{FakeTransport, Noise};
use alloc::vec;
use io::port::{Bytes, Room};
use machine::page::{Page, Pinned};
use machine::sync::Interrupted;
use std::time::{Duration, Instant};

const CONSOLE_PORT: u16 = 4;

fn start(ports: u32) -> (Arc<Console>, Arc<FakeTransport>) {
    machine::host::new_machine();
    let device = FakeTransport::new(ports);
    let console = Console::start("virtio-console-2", device.clone()).unwrap();
    (console, device)
}

/// Short reads and writes, with memory of their own. What is written is handed over.
trait Short {
    fn read(&self, connection: u64, max: usize) -> Result<Vec<u8>, Interrupted>;
    fn write(&self, connection: u64, bytes: &[u8]) -> Result<bool, Interrupted>;
}

impl Short for Port {
    fn read(&self, connection: u64, max: usize) -> Result<Vec<u8>, Interrupted> {
        let mut bytes = vec![0; self.wait(connection)?.min(max)];
        let n = self.take(connection, &mut Room::Kernel(&mut bytes));
        assert_eq!(n, bytes.len(), "there is one reader");
        Ok(bytes)
    }

    fn write(&self, connection: u64, bytes: &[u8]) -> Result<bool, Interrupted> {
        let sent = self.send(connection, Bytes::Kernel(bytes))?;
        assert!(sent.is_none_or(|n| n == bytes.len()));
        Ok(sent.is_some() && self.handed_over(connection, u64::MAX)?)
    }
}

/// A device with port 1 called `chat`, connected.
fn start_chat() -> (Arc<Console>, Arc<FakeTransport>, Arc<Port>) {
    let (console, device) = start(4);
    assert_eq!(device.get(3), message(NO_PORT, DEVICE_READY, 1));
    device.say(1, PORT_ADD, 1, b"");
    assert_eq!(device.get(3), message(1, PORT_READY, 1));
    device.say(1, PORT_NAME, 1, b"chat\0");
    device.say(1, PORT_OPEN, 1, b"");
    let port = eventually(|| console.device.ports().get(1).filter(|p| p.label().is_some()).cloned());
    eventually(|| port.connected().then_some(()));
    (console, device, port)
}

fn eventually<T>(what: impl Fn() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(is) = what() {
            return is;
        }
        assert!(Instant::now() < end, "it never happens");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Lets a thread get to where it will wait.
fn settle() {
    std::thread::sleep(Duration::from_millis(20));
}

#[test]
fn one_port_without_control() {
    let (console, device) = start(1);
    let ports = console.ports();
    assert_eq!((ports.len(), ports[0].name()), (1, "virtio-console-2"));
    let c = ports[0].open();
    device.put(0, b"abc\n");
    assert_eq!(ports[0].read(c, 32), Ok(b"abc\n".to_vec()), "its true length");
    device.put(0, b"longer");
    assert_eq!(ports[0].read(c, 4), Ok(b"long".to_vec()));
    device.put(0, b"next");
    assert_eq!(ports[0].read(c, 3), Ok(b"ern".to_vec()), "what several buffers hold");
    assert_eq!(ports[0].read(c, 0), Ok(vec![]));
    assert_eq!(ports[0].read(c, 100), Ok(b"ext".to_vec()));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| ports[0].write(c, b"hello console\n"));
        settle();
        assert!(!writer.is_finished(), "not handed over yet");
        assert_eq!(device.get(1), b"hello console\n");
        assert_eq!(writer.join().unwrap(), Ok(true));
        assert_eq!(ports[0].write(c, b""), Ok(true));
        let reader = scope.spawn(|| ports[0].read(c, 100));
        settle();
        device.put(0, b"late");
        assert_eq!(reader.join().unwrap(), Ok(b"late".to_vec()));
    });
    assert!(device.take(3).is_none());
    let status = console.status();
    assert_eq!((status.identity.as_str(), status.failure), ("", None));
    assert!(status.counters.contains(&("in", 18)) && status.counters.contains(&("out", 14)));
}

#[test]
fn a_host_that_nobody_reads_is_held_up_and_loses_nothing() {
    let (console, device) = start(1);
    let port = console.ports().remove(0);
    let c = port.open();
    for n in 0..16u8 {
        device.put(0, &[n; RECEIVE]);
    }
    assert!(device.take(0).is_none(), "no buffer before something is read");
    assert_eq!(port.read(c, 10), Ok(vec![0; 10]));
    assert!(device.take(0).is_none(), "nor while some of it is left");
    assert_eq!(port.read(c, RECEIVE - 10), Ok(vec![0; RECEIVE - 10]));
    // Buffers go back eight at a time, with one notification.
    for n in 1..8u8 {
        assert!(device.take(0).is_none());
        assert_eq!(port.read(c, RECEIVE), Ok(vec![n; RECEIVE]));
    }
    for n in 0..8u8 {
        device.put(0, &[n]);
    }
    assert!(device.take(0).is_none());
    for n in 8..16u8 {
        assert_eq!(port.read(c, RECEIVE), Ok(vec![n; RECEIVE]));
    }
    for n in 0..8u8 {
        assert_eq!(port.read(c, 1), Ok(vec![n]));
    }
    // With nothing left to read the device has most of them.
    for _ in 0..8 {
        device.put(0, b"last");
    }
    assert_eq!(port.read(c, 4), Ok(b"last".to_vec()));
}

#[test]
fn a_read_gives_what_has_come_as_far_as_there_is_room() {
    let (console, device) = start(1);
    let port = console.ports().remove(0);
    let c = port.open();
    for n in 0..16u8 {
        device.put(0, &vec![n; 100 + usize::from(n)]);
    }
    let all: Vec<u8> = (0..16u8).flat_map(|n| vec![n; 100 + usize::from(n)]).collect();
    // Pages that begin and end anywhere.
    let page = |off, len| Pinned::new(Page::new_zeroed().unwrap(), off, len);
    let pages = [page(4000, 96), page(0, 4), page(10, 1000)];
    assert_eq!(port.wait(c), Ok(all.len()));
    assert_eq!(port.take(c, &mut Room::Pages(&pages)), 1100);
    let mut got = vec![];
    for page in &pages {
        let mut bytes = vec![0; page.len()];
        page.read(0, &mut bytes);
        got.extend(bytes);
    }
    assert!(got == all[..1100]);
    // The device has eight of its buffers again, and all but one when the rest is read.
    device.put(0, b"behind");
    assert_eq!(port.read(c, 1 << 20), Ok([&all[1100..], b"behind"].concat()));
    for _ in 0..15 {
        device.put(0, b"x");
    }
    assert_eq!(port.read(c, 1 << 20), Ok(vec![b'x'; 15]));
}

#[test]
fn ports_are_known_before_any_interrupt() {
    machine::host::new_machine();
    let device = FakeTransport::new(4);
    let (start, peer) = (device.clone(), Arc::downgrade(&device));
    *device.at_once.lock().unwrap() = Some(Arc::new(move |queue| {
        let Some(device) = peer.upgrade().filter(|_| queue == 3) else { return };
        while let Some(taken) = device.take(3) {
            if taken.message == message(NO_PORT, DEVICE_READY, 1) {
                device.say(1, PORT_ADD, 1, b"");
            } else if taken.message == message(1, PORT_READY, 1) {
                device.say(1, PORT_OPEN, 1, b"");
            }
            device.give(3, &taken, 0);
        }
    }));
    // The interrupt comes when all is over.
    device.hold(|| {
        let console = Console::start("virtio-console-2", start).unwrap();
        let ports = console.ports();
        assert_eq!(ports.len(), 1, "the device has told of it");
        assert!(ports[0].connected());
    });
}

#[test]
fn ports_come_with_names_and_go() {
    let (console, device) = start(31);
    assert_eq!(device.get(3), message(NO_PORT, DEVICE_READY, 1));
    // All at once, as QEMU does; nothing may be said that makes the device say more before all are heard.
    for n in 0..31 {
        device.say(n, PORT_ADD, 1, b"");
    }
    let ready: Vec<_> = (0..31).map(|_| device.get(3)).collect();
    assert!((0..31).all(|n| ready.contains(&message(n, PORT_READY, 1).to_vec())));
    device.say(99, PORT_ADD, 1, b"");
    assert_eq!(device.get(3), message(99, PORT_READY, 0), "more than there can be");
    device.say(0, CONSOLE_PORT, 1, b"");
    device.say(3, PORT_NAME, 1, b"org.elwood.9p\0");
    eventually(|| (console.status().identity == "org.elwood.9p").then_some(()));
    assert_eq!(console.ports().len(), 31);
    assert_eq!(console.ports()[3].name(), "virtio-console-2.3");
    let port = console.ports().remove(3);
    let c = port.open();
    assert_eq!(device.get(3), message(3, PORT_OPEN, 1));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| port.read(c, 10));
        settle();
        device.say(3, PORT_REMOVE, 0, b"");
        assert_eq!(reader.join().unwrap(), Ok(vec![]));
    });
    assert_eq!((console.ports().len(), port.write(c, b"x")), (30, Ok(false)));
    device.say(3, PORT_ADD, 1, b"");
    assert_eq!(device.get(3), message(3, PORT_READY, 1));
    assert_eq!(device.get(3), message(3, PORT_OPEN, 1));
    assert_eq!((console.ports().len(), port.label()), (31, None));
    device.put(8, b"again");
    assert_eq!(port.read(port.open(), 10), Ok(b"again".to_vec()));
}

#[test]
fn the_device_hears_of_the_first_open_only() {
    let (_console, device, port) = start_chat();
    settle();
    assert!(device.take(3).is_none(), "nobody wants to hear of the host");
    port.open();
    assert_eq!(device.get(3), message(1, PORT_OPEN, 1));
    port.open();
    device.say(1, PORT_OPEN, 0, b"");
    device.say(1, PORT_OPEN, 1, b"");
    port.open();
    settle();
    assert!(device.take(3).is_none());
}

#[test]
fn a_connection_ends_for_those_who_had_it() {
    let (_console, device, port) = start_chat();
    let old = port.open();
    device.get(3);
    device.put(4, b"before");
    device.say(1, PORT_OPEN, 0, b"");
    eventually(|| (!port.connected()).then_some(()));
    let new = port.open();
    assert_eq!(port.write(old, b"x"), Ok(false));
    assert_eq!(port.write(new, b"x"), Ok(false), "nobody is there");
    std::thread::scope(|scope| {
        assert_eq!(port.read(old, 3), Ok(b"bef".to_vec()), "what was received is read");
        assert_eq!(port.read(old, 100), Ok(b"ore".to_vec()));
        assert_eq!(port.read(old, 100), Ok(vec![]));
        let reader = scope.spawn(|| port.read(new, 100));
        settle();
        assert!(!reader.is_finished(), "one who came later waits for the next");
        device.say(1, PORT_OPEN, 1, b"");
        device.put(4, b"after");
        assert_eq!(reader.join().unwrap(), Ok(b"after".to_vec()));
        let writer = scope.spawn(|| port.write(new, b"hello"));
        assert_eq!(device.get(5), b"hello");
        assert_eq!(writer.join().unwrap(), Ok(true));
        device.put(4, b"not for you");
        assert_eq!(port.read(old, 100), Ok(vec![]));
        assert_eq!(port.write(old, b"x"), Ok(false));
        assert_eq!(port.read(new, 100), Ok(b"not for you".to_vec()));
    });
}

#[test]
fn leaving_ends_writes_and_drops_what_nobody_read() {
    let (_console, device, port) = start_chat();
    let old = port.open();
    device.get(3);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| port.write(old, b"lost"));
        let taken = device.wait(5);
        device.put(4, b"unread");
        device.say(1, PORT_OPEN, 0, b"");
        assert_eq!(writer.join().unwrap(), Ok(false));
        device.say(1, PORT_OPEN, 1, b"");
        eventually(|| port.connected().then_some(()));
        let new = port.open();
        let fresh = port.clone();
        let writer = scope.spawn(move || fresh.write(new, b"fresh"));
        let later = device.wait(5);
        assert_eq!(later.message, b"fresh", "in a buffer of its own");
        assert_eq!(taken.message, b"lost");
        device.give(5, &taken, 0);
        settle();
        assert!(!writer.is_finished(), "what has come back is the old one");
        device.give(5, &later, 0);
        assert_eq!(writer.join().unwrap(), Ok(true));
        device.put(4, b"new");
        assert_eq!(port.read(new, 100), Ok(b"new".to_vec()));
    });
}

/// QEMU never returns a piece of which a host had a part when it left.
#[test]
fn a_device_that_loses_a_piece_is_given_the_next() {
    let (_console, device, port) = start_chat();
    port.open();
    device.get(3);
    let reconnect = || {
        device.say(1, PORT_OPEN, 0, b"");
        eventually(|| (!port.connected()).then_some(()));
        device.say(1, PORT_OPEN, 1, b"");
        eventually(|| port.connected().then_some(()));
    };
    for round in 0..20 {
        std::thread::scope(|scope| {
            // Several times, and the device has as many buffers as there can be.
            for _ in 0..1 + round % 3 {
                let (old, c) = (port.clone(), port.open());
                let writer = scope.spawn(move || old.write(c, b"half of it"));
                assert_eq!(device.wait(5).message, b"half of it");
                reconnect();
                assert_eq!(writer.join().unwrap(), Ok(false));
            }
            for text in [&b"fresh"[..], b"more"] {
                let (new, c) = (port.clone(), port.open());
                let writer = scope.spawn(move || new.write(c, text));
                assert_eq!(device.get(5), text);
                assert_eq!(writer.join().unwrap(), Ok(true));
            }
        });
    }
    assert_eq!(device.resets(), 1);
}

/// One that keeps all of them is reset.
#[test]
fn a_device_that_loses_all_pieces_is_broken() {
    let (_console, device, port) = start_chat();
    port.open();
    device.get(3);
    let resets = device.resets();
    std::thread::scope(|scope| {
        for n in 0..5 {
            let (old, c) = (port.clone(), port.open());
            let writer = scope.spawn(move || old.write(c, b"half of it"));
            if n < 4 {
                device.wait(5);
                device.say(1, PORT_OPEN, 0, b"");
                eventually(|| (!port.connected()).then_some(()));
                device.say(1, PORT_OPEN, 1, b"");
                eventually(|| port.connected().then_some(()));
            }
            assert_eq!(writer.join().unwrap(), Ok(false));
        }
    });
    assert_eq!(device.get(3), message(NO_PORT, DEVICE_READY, 1));
    assert_eq!(device.resets(), resets + 2);
}

#[test]
fn a_note_interrupts_a_reader_and_a_waiting_writer_but_takes_nothing_back() {
    let (console, device) = start(1);
    let port = console.ports().remove(0);
    let c = port.open();
    let thread = |f: Box<dyn FnOnce(&Port) + Send>| {
        let port = port.clone();
        thread::spawn("test", 0, Box::new(move || f(&port))).unwrap()
    };
    let reader = thread(Box::new(move |p| assert!(p.read(c, 10).is_err())));
    settle();
    reader.interrupt();
    reader.host_join();
    let first = thread(Box::new(move |p| {
        assert_eq!(p.send(c, Bytes::Kernel(b"first")), Ok(Some(5)));
        assert_eq!(p.handed_over(c, u64::MAX), Err(Interrupted));
    }));
    let taken = device.wait(1);
    let second = thread(Box::new(move |p| assert!(p.write(c, b"second").is_err())));
    settle();
    second.interrupt();
    second.host_join();
    first.interrupt();
    first.host_join();
    assert_eq!(taken.message, b"first");
    device.give(1, &taken, 0);
    let third = thread(Box::new(move |p| assert_eq!(p.write(c, b"third"), Ok(true))));
    assert_eq!(device.get(1), b"third");
    third.host_join();
    assert_eq!(machine::host::machine().panics(), 0);
}

#[test]
fn a_megabyte_each_way_at_once() {
    let (_console, device, port) = start_chat();
    let c = port.open();
    device.get(3);
    let mut noise = Noise::new(5);
    let all: Vec<u8> = (0..1 << 20).map(|_| noise.below(256) as u8).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut noise = Noise::new(6);
            let mut rest = &all[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at((1 + noise.below(RECEIVE as u64) as usize).min(rest.len()));
                device.put(4, now);
                rest = later;
            }
        });
        scope.spawn(|| {
            for piece in all.chunks(PIECE) {
                assert_eq!(port.write(c, piece), Ok(true));
            }
        });
        let sink = scope.spawn(|| {
            let mut got = vec![];
            while got.len() < all.len() {
                got.extend(device.get(5));
            }
            got
        });
        let mut got = vec![];
        while got.len() < all.len() {
            got.extend(port.read(c, 3000).unwrap());
        }
        assert!(got == all && sink.join().unwrap() == all);
    });
}

#[test]
fn a_broken_device_hangs_up_and_starts_again() {
    let (console, device, port) = start_chat();
    let c = port.open();
    device.get(3);
    for lie in [false, true] {
        let resets = device.resets();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| port.read(port.open(), 10));
            settle();
            if lie {
                let taken = device.wait(4);
                device.give(4, &taken, 5000);
            } else {
                device.break_down();
            }
            assert_eq!(reader.join().unwrap(), Ok(vec![]));
        });
        assert_eq!(device.get(3), message(NO_PORT, DEVICE_READY, 1));
        device.say(1, PORT_ADD, 1, b"");
        assert_eq!(device.get(3), message(1, PORT_READY, 1));
        assert_eq!(device.get(3), message(1, PORT_OPEN, 1), "it is open still");
        device.say(1, PORT_OPEN, 1, b"");
        eventually(|| port.connected().then_some(()));
        assert_eq!((device.resets(), console.status().failure), (resets + 2, None));
        assert_eq!(port.write(c, b"x"), Ok(false));
        device.put(4, b"again");
        assert_eq!(port.read(port.open(), 10), Ok(b"again".to_vec()));
    }
}

#[test]
fn what_there_is_no_memory_for_is_heard_later() {
    let (_console, device, port) = start_chat();
    machine::host::heap::fail_from(1);
    device.say(1, PORT_NAME, 1, b"other\0");
    settle();
    assert_eq!(port.label().unwrap(), "chat");
    machine::host::heap::fail_nth(0);
    eventually(|| (port.label().unwrap() == "other").then_some(()));
}

#[test]
fn many_long_names_are_no_burden_for_who_looks_at_them() {
    let (console, device) = start(64);
    device.get(3);
    for port in 1..64 {
        device.say(port, PORT_ADD, 1, b"");
        device.get(3);
        device.say(port, PORT_NAME, 1, &[&[b'\n'; 500][..], b"\0"].concat());
        eventually(|| console.device.ports()[port as usize].label());
    }
    let call = machine::heap::Call::enter("status");
    let identity = console.status().identity;
    drop(call);
    assert!(identity.ends_with("\n,...") && identity.len() < 1100, "{identity:?}");
}

#[test]
fn a_device_that_does_not_come_back_is_dead() {
    let (console, device, port) = start_chat();
    let c = port.open();
    *device.dead.lock().unwrap() = true;
    device.break_down();
    eventually(|| (console.status().failure.as_deref() == Some("device does not start again")).then_some(()));
    assert_eq!((port.read(c, 10), port.write(c, b"x")), (Ok(vec![]), Ok(false)));
    assert!(console.ports().is_empty());
}
