//! Several pieces are with the device at a time: their order, what a note leaves of them, hosts that leave in the
//! middle of one; and who is woken for what.

use super::super::port::gather::SMALL;
use super::*;
use core::sync::atomic::AtomicUsize;
use machine::thread;
use std::sync::atomic::Ordering::SeqCst;

/// So many bytes, each piece of which is another.
fn text(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n / PIECE * 7 + n % 251) as u8).collect()
}

/// Runs `f` on a thread that can be interrupted.
fn thread(port: &Arc<Port>, f: impl FnOnce(&Port) + Send + 'static) -> machine::thread::ThreadRef {
    let port = port.clone();
    thread::spawn("test", 0, Box::new(move || f(&port))).unwrap()
}

#[test]
fn four_pieces_are_out_and_the_next_go_when_some_have_come_back() {
    let (_console, device, port) = start_chat();
    let c = port.open();
    device.get(3);
    let all = text(6 * PIECE + 5);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| port.send(c, Bytes::Kernel(&all)));
        let mut taken: Vec<_> = (0..4).map(|_| device.wait(5)).collect();
        settle();
        assert!(device.take(5).is_none(), "no more at a time");
        let mut heard = vec![];
        for round in 0..7 {
            let first = taken.remove(0);
            // With two back there is one piece that has not been given.
            assert!(round > 2 || !writer.is_finished());
            device.give(5, &first, 0);
            heard.extend(first.message);
            if heard.len() + 4 * PIECE <= all.len() + PIECE {
                taken.push(device.wait(5));
            }
        }
        assert_eq!(writer.join().unwrap(), Ok(Some(all.len())));
        assert!(heard == all);
    });
}

/// Whoever wants to know when it is handed over waits for it.
#[test]
fn a_write_is_over_when_the_device_has_it() {
    let (_console, device, port) = start_chat();
    let c = port.open();
    device.get(3);
    let all = text(5 * PIECE);
    let piece = |n: usize| Bytes::Kernel(&all[n * PIECE..][..PIECE]);
    let mut taken = vec![];
    for n in 0..4 {
        assert_eq!(port.send(c, piece(n)), Ok(Some(PIECE)));
        taken.push(device.wait(5));
    }
    assert_eq!(port.handed_over(c, 0), Ok(false));
    std::thread::scope(|scope| {
        let fifth = scope.spawn(|| port.send(c, piece(4)));
        let over = scope.spawn(|| port.handed_over(c, u64::MAX));
        settle();
        assert!(!fifth.is_finished() && device.take(5).is_none(), "no more than four at a time");
        device.give(5, &taken[0], 0);
        assert_eq!(fifth.join().unwrap(), Ok(Some(PIECE)));
        taken.push(device.wait(5));
        settle();
        assert!(!over.is_finished());
        taken[1..].iter().for_each(|piece| device.give(5, piece, 0));
        assert_eq!(over.join().unwrap(), Ok(true));
    });
    assert!(taken.iter().map(|t| t.message.clone()).collect::<Vec<_>>().concat() == all);
    assert_eq!(port.handed_over(c, 0), Ok(true));
    let waiting = thread(&port, move |p| {
        assert_eq!(p.send(c, Bytes::Kernel(b"six")), Ok(Some(3)));
        assert_eq!(p.handed_over(c, u64::MAX), Err(Interrupted));
    });
    device.wait(5);
    settle();
    waiting.interrupt();
    waiting.host_join();
    device.say(1, PORT_OPEN, 0, b"");
    assert_eq!(port.handed_over(c, u64::MAX), Ok(false), "the host has left");
    assert_eq!(machine::host::machine().panics(), 0);
}

#[test]
fn what_is_small_is_gathered_while_the_device_has_enough_to_do() {
    let (_console, device, port) = start_chat();
    let c = port.open();
    device.get(3);
    let say = |words: &str| assert_eq!(port.send(c, Bytes::Kernel(words.as_bytes())), Ok(Some(words.len())));
    ["one ", "two ", "three ", "four "].into_iter().for_each(say);
    let (one, two) = (device.wait(5), device.wait(5));
    assert_eq!([&one.message[..], &two.message].concat(), b"one two ");
    settle();
    assert!(device.take(5).is_none());
    // As soon as it has less to do it is given what there is, though nobody writes.
    device.give(5, &one, 0);
    let third = device.wait(5);
    assert_eq!(third.message, b"three four ");
    say("five ");
    device.give(5, &two, 0);
    let fourth = device.wait(5);
    assert_eq!(fourth.message, b"five ");
    // What is large goes behind what was gathered, not before, and what is small behind that.
    say("six ");
    let large = text(SMALL + 1);
    assert_eq!(port.send(c, Bytes::Kernel(&large)), Ok(Some(large.len())));
    let (fifth, sixth) = (device.wait(5), device.wait(5));
    assert_eq!(fifth.message, b"six ");
    assert!(sixth.message == large);
    device.give(5, &third, 0);
    say("seven ");
    assert_eq!(port.handed_over(c, 0), Ok(false));
    std::thread::scope(|scope| {
        let over = scope.spawn(|| port.handed_over(c, u64::MAX));
        [fourth, fifth].iter().for_each(|piece| device.give(5, piece, 0));
        let seventh = device.wait(5);
        assert_eq!(seventh.message, b"seven ");
        device.give(5, &sixth, 0);
        settle();
        assert!(!over.is_finished());
        device.give(5, &seventh, 0);
        assert_eq!(over.join().unwrap(), Ok(true));
    });
}

#[test]
fn a_buffer_that_is_full_goes_and_one_that_has_no_place_is_waited_for() {
    let (_console, device, port) = start_chat();
    let c = port.open();
    device.get(3);
    // Two at once, and two full buffers.
    let all = text(2 * SMALL + 3 * PIECE);
    let mut small = all.chunks(SMALL);
    for piece in small.by_ref().take(2 + 2 * PIECE / SMALL) {
        assert_eq!(port.send(c, Bytes::Kernel(piece)), Ok(Some(SMALL)));
    }
    let mut heard: Vec<_> = (0..3).map(|_| device.wait(5)).collect();
    settle();
    assert!(device.take(5).is_none(), "there is room in the fourth");
    std::thread::scope(|scope| {
        let rest = scope.spawn(|| {
            small.for_each(|piece| assert_eq!(port.send(c, Bytes::Kernel(piece)), Ok(Some(SMALL))));
        });
        heard.push(device.wait(5));
        settle();
        assert!(!rest.is_finished(), "four are with the device");
        device.give(5, &heard[0], 0);
        rest.join().unwrap();
        settle();
        assert!(device.take(5).is_none(), "it has three");
        heard[1..3].iter().for_each(|piece| device.give(5, piece, 0));
        heard.push(device.wait(5));
    });
    assert!(heard.iter().map(|t| t.message.clone()).collect::<Vec<_>>().concat() == all);
}

/// It was never with the device, so nothing has to come back.
#[test]
fn what_is_gathered_goes_with_its_host() {
    let (_console, device, port) = start_chat();
    port.open();
    device.get(3);
    for _ in 0..30 {
        let old = port.open();
        for words in ["one ", "two ", "three "] {
            assert_eq!(port.send(old, Bytes::Kernel(words.as_bytes())), Ok(Some(words.len())));
        }
        let taken = [device.wait(5), device.wait(5)];
        device.hold(|| {
            taken.iter().for_each(|t| device.give(5, t, 0));
            device.say(1, PORT_OPEN, 0, b"");
            device.say(1, PORT_OPEN, 1, b"");
        });
        eventually(|| (port.connected() && port.connection() != old).then_some(()));
        let new = port.open();
        assert_eq!(port.send(new, Bytes::Kernel(b"new")), Ok(Some(3)));
        assert_eq!(device.get(5), b"new");
    }
    assert_eq!(device.resets(), 1);
}

#[test]
fn a_note_ends_a_write_behind_what_the_device_has() {
    let (_console, device, port) = start_chat();
    let c = port.open();
    device.get(3);
    let all = text(10 * PIECE);
    let writer = thread(&port, move |p| {
        assert_eq!(p.send(c, Bytes::Kernel(&all)), Ok(Some(5 * PIECE)));
    });
    let mut taken: Vec<_> = (0..4).map(|_| device.wait(5)).collect();
    device.give(5, &taken.remove(0), 0);
    taken.push(device.wait(5));
    settle();
    writer.interrupt();
    writer.host_join();
    // They go out, and what another one says comes behind them.
    let later = thread(&port, move |p| assert_eq!(p.write(c, b"later"), Ok(true)));
    settle();
    assert!(device.take(5).is_none(), "not while so many are out");
    for piece in &taken {
        device.give(5, piece, 0);
    }
    assert_eq!(
        taken.iter().map(|t| t.message.clone()).collect::<Vec<_>>().concat(),
        text(10 * PIECE)[PIECE..5 * PIECE]
    );
    assert_eq!(device.get(5), b"later");
    later.host_join();
    // One that was told before it began sends one piece.
    let told = thread(&port, move |p| {
        p.arrived_is_interrupted();
        assert_eq!(p.send(c, Bytes::Kernel(&text(3 * PIECE))), Ok(Some(PIECE)));
    });
    told.interrupt();
    assert_eq!(device.get(5), text(PIECE));
    told.host_join();
    assert_eq!(machine::host::machine().panics(), 0);
}

impl Port {
    /// Waits until this thread has been interrupted.
    fn arrived_is_interrupted(&self) {
        while !thread::current().interrupted() {
            std::thread::yield_now();
        }
    }
}

/// QEMU never returns a piece of which a host had a part when it left, and returns those behind it at once.
#[test]
fn a_host_that_leaves_in_mid_piece_costs_the_pieces_and_no_buffer() {
    let (_console, device, port) = start_chat();
    port.open();
    device.get(3);
    let all = text(4 * PIECE);
    for round in 0..20 {
        std::thread::scope(|scope| {
            for _ in 0..1 + round % 3 {
                let c = port.open();
                let writer = scope.spawn({
                    let (port, all) = (port.clone(), &all);
                    move || port.write(c, all)
                });
                let taken: Vec<_> = (0..4).map(|_| device.wait(5)).collect();
                let whole = round % 2;
                device.hold(|| {
                    taken[..whole].iter().for_each(|t| device.give(5, t, 0));
                    taken[whole + 1..].iter().for_each(|t| device.give(5, t, 0));
                    device.say(1, PORT_OPEN, 0, b"");
                    device.say(1, PORT_OPEN, 1, b"");
                });
                assert_eq!(writer.join().unwrap(), Ok(false));
            }
            eventually(|| port.connected().then_some(()));
            let c = port.open();
            let sink = scope.spawn(|| (0..4).flat_map(|_| device.get(5)).collect::<Vec<u8>>());
            assert_eq!(port.send(c, Bytes::Kernel(&all)), Ok(Some(all.len())));
            assert!(sink.join().unwrap() == all, "nothing of the old one's");
        });
    }
    assert_eq!(device.resets(), 1);
}

/// A host leaves with the only buffer, and there is no memory for another: that write is lost, and nobody else's.
#[test]
fn without_memory_for_a_buffer_a_write_ends_and_the_device_goes_on() {
    let (_console, device, port) = start_chat();
    let c = port.open();
    device.get(3);
    std::thread::scope(|scope| {
        let old = scope.spawn(|| port.write(c, b"half of it"));
        device.wait(5);
        device.say(1, PORT_OPEN, 0, b"");
        device.say(1, PORT_OPEN, 1, b"");
        assert_eq!(old.join().unwrap(), Ok(false));
    });
    eventually(|| port.connected().then_some(()));
    let c = port.open();
    machine::host::heap::fail_from(1);
    assert_eq!(port.write(c, b"nothing to send it from"), Ok(false));
    machine::host::heap::fail_nth(0);
    settle();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| port.write(c, b"now there is"));
        assert_eq!(device.get(5), b"now there is");
        assert_eq!(writer.join().unwrap(), Ok(true));
    });
    assert_eq!(device.resets(), 1);
}

/// QEMU drops what a console's host has no room for: it is given time.
#[test]
fn a_console_is_given_one_piece_at_a_time() {
    let (console, device) = start(1);
    let port = console.ports().remove(0);
    assert!(port.is_console());
    let c = port.open();
    let all = text(2 * PIECE + 1);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| port.send(c, Bytes::Kernel(&all)));
        let mut heard = vec![];
        for _ in 0..3 {
            let taken = device.wait(1);
            settle();
            assert!(device.take(1).is_none());
            device.give(1, &taken, 0);
            heard.extend(taken.message);
        }
        assert_eq!(writer.join().unwrap(), Ok(Some(all.len())));
        assert!(heard == all);
    });
}

#[test]
fn bytes_wake_readers_and_coming_and_going_wakes_all() {
    let (_console, device, port) = start_chat();
    let c = port.open();
    device.get(3);
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    port.watch(move || drop(count.fetch_add(1, SeqCst)));
    for _ in 0..10 {
        device.put(4, b"some");
        assert_eq!(port.read(c, 10), Ok(b"some".to_vec()));
        std::thread::scope(|scope| {
            let sink = scope.spawn(|| device.get(5));
            assert_eq!(port.write(c, b"some"), Ok(true));
            sink.join().unwrap();
        });
    }
    assert_eq!(told.load(SeqCst), 0, "nobody has come or gone");
    device.say(1, PORT_OPEN, 0, b"");
    eventually(|| (told.load(SeqCst) == 1).then_some(()));
}

/// Interrupts come late, for many things together, and at any time; the keeper looks as well; and nobody sleeps on.
#[test]
fn nobody_sleeps_on_whatever_the_interrupts_are_for() {
    let (_console, device, port) = start_chat();
    let c = port.open();
    device.get(3);
    let all = text(3 << 20);
    let mut noise = Noise::new(11);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut noise = Noise::new(12);
            let mut rest = &all[..];
            while !rest.is_empty() {
                let (now, later) =
                    rest.split_at((1 + noise.below(5 * PIECE as u64) as usize).min(rest.len()));
                assert_eq!(port.send(c, Bytes::Kernel(now)), Ok(Some(now.len())));
                rest = later;
            }
        });
        let reader = scope.spawn(|| {
            let mut got = vec![];
            while got.len() < all.len() / 4 {
                got.extend(port.read(c, 50_000).unwrap());
            }
            got
        });
        // The keeper answers at any time.
        scope.spawn(|| {
            for _ in 0..200 {
                device.say(2, PORT_ADD, 1, b"");
                assert_eq!(device.get(3), message(2, PORT_READY, 1));
            }
        });
        let (mut heard, mut said) = (vec![], &all[..all.len() / 4]);
        while heard.len() < all.len() || !said.is_empty() {
            let several = noise.below(4);
            device.hold(|| {
                for _ in 0..=several {
                    if let Some(taken) = device.take(5) {
                        heard.extend_from_slice(&taken.message);
                        device.give(5, &taken, 0);
                    }
                    if let Some(taken) = (!said.is_empty()).then(|| device.take(4)).flatten() {
                        let (now, later) = said.split_at(RECEIVE.min(said.len()));
                        taken.fill(now);
                        device.give(4, &taken, now.len() as u32);
                        said = later;
                    }
                }
            });
        }
        assert!(heard == all && reader.join().unwrap() == all[..all.len() / 4]);
    });
    assert_eq!(device.resets(), 1);
}
