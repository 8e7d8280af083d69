//! The host's program goes and another comes, several times before anybody looks: what was whose?

use super::*;

/// Several things the device does before the interrupt is taken.
#[derive(Clone, Copy)]
enum Deed {
    Leaves,
    Comes,
    Data(&'static [u8]),
}
use Deed::{Comes, Data, Leaves};

fn at_once(device: &FakeTransport, deeds: &[Deed]) {
    device.hold(|| {
        for deed in deeds {
            match deed {
                Leaves => device.say(1, PORT_OPEN, 0, b""),
                Comes => device.say(1, PORT_OPEN, 1, b""),
                Data(bytes) => device.put(4, bytes),
            }
        }
    });
}

/// What the connections `old` and a new one read after that: all that is there.
fn outcome(deeds: &[&[Deed]]) -> (Vec<u8>, Vec<u8>) {
    let (_console, device, port) = start_chat();
    let old = port.open();
    device.get(3);
    for deeds in deeds {
        at_once(&device, deeds);
    }
    let new = port.open();
    // That connection's end, so that reading it ends.
    at_once(&device, &[Comes]);
    at_once(&device, &[Leaves]);
    let all = |c| {
        let mut all = vec![];
        loop {
            match port.read(c, 100).unwrap() {
                some if !some.is_empty() => all.extend(some),
                _ => return all,
            }
        }
    };
    (all(old), all(new))
}

fn read(old: &[u8], new: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (old.to_vec(), new.to_vec())
}

#[test]
fn a_quick_reconnect_divides_the_data() {
    // One interrupt: the keeper is not needed, nor the order of the queues.
    assert_eq!(outcome(&[&[Data(b"last"), Leaves]]), read(b"last", b""));
    assert_eq!(outcome(&[&[Leaves, Comes, Data(b"first")]]), read(b"", b"first"));
    assert_eq!(outcome(&[&[Data(b"last")], &[Leaves, Comes, Data(b"first")]]), read(b"last", b"first"));
    assert_eq!(outcome(&[&[Data(b"last"), Leaves], &[Comes, Data(b"first")]]), read(b"last", b"first"));
    assert_eq!(outcome(&[&[Leaves], &[Comes, Data(b"gone"), Leaves], &[Comes]]), read(b"", b""));
    assert_eq!(outcome(&[&[Leaves, Comes, Leaves, Comes, Data(b"first")]]), read(b"", b"first"));
    // What nothing tells apart is the new one's; the keeper, who has just been woken, may happen to look in between.
    let (old, new) = outcome(&[&[Data(b"last"), Leaves, Comes, Data(b"first")]]);
    assert_eq!([&old[..], &new].concat(), b"lastfirst");
    assert!(old.is_empty() || old == b"last", "{old:?}");
}

#[test]
fn those_who_wait_in_the_old_connection_get_nothing_of_the_new() {
    let (_console, device, port) = start_chat();
    let old = port.open();
    device.get(3);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| port.read(old, 100));
        let first = scope.spawn(|| port.write(old, b"taken"));
        let taken = [device.wait(5)];
        let second = scope.spawn(|| port.write(old, b"also"));
        let taken = [&taken[..], &[device.wait(5)]].concat();
        let third = scope.spawn(|| port.write(old, b"not yet"));
        settle();
        device.hold(|| {
            // As QEMU does: what it has is thrown away first.
            taken.iter().for_each(|piece| device.give(5, piece, 0));
            at_once(&device, &[Leaves, Comes, Data(b"first")]);
        });
        assert_eq!(reader.join().unwrap(), Ok(vec![]));
        for writer in [first, second, third] {
            assert_eq!(writer.join().unwrap(), Ok(false));
        }
    });
    assert!(device.take(5).is_none(), "the new one hears nothing of the old");
    assert_eq!(port.write(old, b"late"), Ok(false));
    assert_eq!(port.read(port.open(), 100), Ok(b"first".to_vec()));
}

#[test]
fn data_and_connections_are_in_order_while_the_device_goes_on() {
    let (_console, device, port) = start_chat();
    port.open();
    device.get(3);
    at_once(&device, &[Leaves]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Handlers that begin and end at any moment.
            while !done.load(SeqCst) {
                device.interrupt();
            }
        });
        for _ in 0..20_000 {
            let c = port.open();
            at_once(&device, &[Comes, Data(b"all"), Leaves]);
            let got = port.read(c, 100);
            if got != Ok(b"all".to_vec()) {
                done.store(true, SeqCst);
                panic!("{got:?}");
            }
        }
        done.store(true, SeqCst);
    });
}
