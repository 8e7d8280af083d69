//! So many hosts come and go at once that the device forgets to say some of it, as QEMU does.

use super::*;
use std::format;
use std::sync::Mutex;

const PORTS: u32 = 31;

/// Which hosts are there, as the device knows it.
type Hosts = Arc<Mutex<Vec<bool>>>;

/// A device with all its ports, which answers as QEMU does.
fn start_all() -> (Arc<Console>, Arc<FakeTransport>, Hosts) {
    machine::host::new_machine();
    let device = FakeTransport::new(PORTS);
    let hosts: Hosts = Arc::new(Mutex::new(vec![false; PORTS as usize]));
    let (peer, there) = (Arc::downgrade(&device), hosts.clone());
    *device.at_once.lock().unwrap() = Some(Arc::new(move |queue| {
        let Some(device) = peer.upgrade().filter(|_| queue == 3) else { return };
        while let Some(taken) = device.take(3) {
            let is = |port| taken.message == message(port, PORT_READY, 1);
            if taken.message == message(NO_PORT, DEVICE_READY, 1) {
                (0..PORTS).for_each(|port| drop(device.say_if_it_can(port, PORT_ADD, 1, b"")));
            } else if let Some(port) = (0..PORTS).find(|port| is(*port)) {
                device.say_if_it_can(port, PORT_NAME, 1, format!("org.{port}\0").as_bytes());
                if there.lock().unwrap()[port as usize] {
                    device.say_if_it_can(port, PORT_OPEN, 1, b"");
                }
            }
            device.give(3, &taken, 0);
        }
    }));
    let console = Console::start("virtio-console-2", device.clone()).unwrap();
    eventually(|| (console.ports().len() == PORTS as usize).then_some(()));
    (console, device, hosts)
}

/// The hosts of some ports come or go; how many times the device could say so.
fn change(device: &FakeTransport, hosts: &Hosts, ports: impl Iterator<Item = u32>, come: bool) -> usize {
    let said = ports.filter(|&port| {
        hosts.lock().unwrap()[port as usize] = come;
        device.say_if_it_can(port, PORT_OPEN, u16::from(come), b"")
    });
    said.count()
}

/// Waits until the machine knows what is so.
fn agree(console: &Console, hosts: &Hosts) {
    eventually(|| {
        let known: Vec<bool> = console.device.ports().iter().map(|p| p.connected()).collect();
        (known == *hosts.lock().unwrap()).then_some(())
    });
}

#[test]
fn hosts_that_come_and_go_unheard_are_asked_for() {
    let (console, device, hosts) = start_all();
    device.hold(|| assert_eq!(change(&device, &hosts, 0..PORTS, true), 31));
    agree(&console, &hosts);
    // Of those who leave and of those who come back some are not told.
    device.hold(|| {
        assert_eq!(change(&device, &hosts, 0..PORTS, false), 31);
        assert_eq!(change(&device, &hosts, 3..PORTS, true), 1);
    });
    agree(&console, &hosts);
    device.hold(|| {
        for _ in 0..2 {
            change(&device, &hosts, 0..8, true);
            change(&device, &hosts, 0..8, false);
        }
        // The keeper may be asking still, and give buffers back meanwhile.
        change(&device, &hosts, 8..PORTS, false);
    });
    agree(&console, &hosts);
    assert_eq!((console.status().failure, device.resets()), (None, 1));
}

#[test]
fn who_waits_for_a_host_that_left_unheard_is_told() {
    let (console, device, hosts) = start_all();
    device.hold(|| drop(change(&device, &hosts, 0..PORTS, true)));
    agree(&console, &hosts);
    let port = console.ports().remove(20);
    let c = port.open();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| port.read(c, 100));
        settle();
        device.hold(|| {
            // The keeper may tell still that the port is open, and give buffers back meanwhile.
            let mut come = false;
            while change(&device, &hosts, 1..2, come) == 1 {
                come = !come;
            }
            hosts.lock().unwrap()[20] = false;
        });
        assert_eq!(reader.join().unwrap(), Ok(vec![]));
    });
    assert_eq!(port.write(c, b"x"), Ok(false));
    // The others have not been disturbed.
    assert!(
        console.ports().iter().filter(|p| p.number() > 1 && p.number() != 20).all(|p| p.connection() == 0)
    );
}

#[test]
fn one_who_comes_where_somebody_was_is_another() {
    let (_console, device, port) = start_chat();
    let old = port.open();
    device.get(3);
    device.put(4, b"last");
    // It has forgotten that the first one left.
    device.say(1, PORT_OPEN, 1, b"");
    eventually(|| (port.connection() == 1).then_some(()));
    assert!(port.connected());
    assert_eq!(port.read(old, 100), Ok(b"last".to_vec()));
    assert_eq!((port.read(old, 100), port.write(old, b"x")), (Ok(vec![]), Ok(false)));
    device.put(4, b"first");
    assert_eq!(port.read(port.open(), 100), Ok(b"first".to_vec()));
}
