//! The console on a port that the test plays, with the serial line behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use io::ConsoleOut;
use io::port::Finder;
use machine::lock::Lock;
use port::call::sysfile::open;
use port::dev::cons::input::Input;
use port::dev::virtcon::VirtCon;
use port::dev::virtcon::console::{PortConsole, RING};
use port::kmesg::Kmesg;
use port::testkit::Hosted;

use super::port::{Fake, finder, wait_for};

/// The serial line.
#[derive(Default)]
struct Serial(Lock<Vec<u8>>);

impl ConsoleOut for Serial {
    fn write(&self, bytes: &[u8]) {
        self.0.lock().extend_from_slice(bytes);
    }
}

impl Serial {
    fn hears(&self, text: &str) {
        wait_for(|| String::from_utf8_lossy(&self.0.lock()).contains(text).then_some(()));
    }
}

struct World {
    kmesg: Arc<Kmesg>,
    console: Arc<PortConsole>,
    serial: Arc<Serial>,
    input: Arc<Input>,
    ports: Vec<Arc<Fake>>,
}

impl World {
    /// A kernel that has said `early` and has the console on a port, with the serial line behind it if `serial` says
    /// so.
    fn new(wanted: &str, with_serial: bool, ports: Vec<Fake>) -> World {
        machine::host::new_machine();
        let serial = Arc::new(Serial::default());
        let fallback = with_serial.then(|| serial.clone() as Arc<dyn ConsoleOut>);
        let console = PortConsole::new(wanted, fallback);
        let kmesg = Kmesg::new(None);
        kmesg.print(format_args!("early\n"));
        kmesg.set_console(console.clone(), true);
        let ports = ports.into_iter().map(Arc::new).collect();
        World { kmesg, console, serial, input: Input::new(), ports }
    }

    fn finder(&self) -> Finder {
        finder(&self.ports)
    }

    fn start(self) -> World {
        self.console.start(self.finder(), &self.input, &self.kmesg).unwrap();
        self
    }
}

#[test]
fn what_was_said_before_comes_first_and_lines_end_as_a_terminal_wants() {
    let w = World::new("", true, vec![Fake::there(0, false), Fake::there(1, true)]).start();
    w.kmesg.print(format_args!("late\n"));
    assert_eq!(w.ports[1].hears(|s| s.contains("late")), "early\r\nlate\r\n");
    w.kmesg.flush();
    assert!(w.serial.0.lock().is_empty() && w.ports[0].heard().is_empty());
}

#[test]
fn a_port_is_chosen_by_label_name_or_place_or_as_the_first() {
    for (wanted, chosen) in [("x", 2), ("virtio-console-1", 1), ("pci-0.2.0", 2), ("", 0)] {
        let mut ports = vec![Fake::there(0, false), Fake::there(1, false), Fake::there(2, false)];
        ports[2].label = Some("x");
        let w = World::new(wanted, true, ports).start();
        assert_eq!(w.ports[chosen].hears(|s| s.len() == 7), "early\r\n");
        for (n, port) in w.ports.iter().enumerate() {
            assert_eq!(w.console.is_on(&**port), n == chosen);
        }
    }
}

#[test]
fn without_such_a_port_the_serial_line_has_it() {
    let w = World::new("nobody", true, vec![Fake::there(0, true)]).start();
    w.serial.hears("early\r\n");
    w.serial.hears("no such virtio port");
    w.kmesg.print(format_args!("more\n"));
    w.serial.hears("more\r\n");
    assert!(w.ports[0].heard().is_empty());
}

#[test]
fn with_nothing_else_to_speak_to_the_port_may_come_late() {
    let w = World::new("", false, vec![Fake::there(0, true)]);
    let (ports, asked) = (w.finder(), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    let late: Finder = Arc::new(move |put| {
        if count.fetch_add(1, SeqCst) >= 4 {
            ports(put);
        }
    });
    w.console.start(late, &w.input, &w.kmesg).unwrap();
    wait_for(|| (asked.load(SeqCst) > 0).then_some(()));
    w.kmesg.print(format_args!("late\n"));
    assert_eq!(w.ports[0].hears(|s| s.contains("late")), "early\r\nlate\r\n");
    w.ports[0].says("typed");
    wait_for(|| w.ports[0].state.lock().from_host.is_empty().then_some(()));
}

#[test]
fn a_host_that_comes_late_leaves_and_comes_back() {
    let w = World::new("", true, vec![Fake::default()]).start();
    let port = &w.ports[0];
    w.serial.hears("early\r\n");
    port.connect();
    // What the serial line had is said again, once.
    port.hears(|s| s == "early\r\n");
    w.kmesg.console(b"here\n");
    port.hears(|s| s == "early\r\nhere\r\n");
    port.leave();
    w.serial.hears("nobody at virtio-console-0");
    w.kmesg.console(b"there\n");
    w.serial.hears("there\r\n");
    port.connect();
    w.kmesg.console(b"back\n");
    let all = port.hears(|s| s.ends_with("back\r\n"));
    assert_eq!(all.matches("early").count(), 2, "the log comes to who missed some of it");
    assert!(!all.contains("there"), "what a program said to another is not");
}

#[test]
fn one_connection_right_behind_another_loses_nothing() {
    let w = World::new("", false, vec![Fake::there(0, true)]).start();
    let port = &w.ports[0];
    port.hears(|s| s == "early\r\n");
    port.change(|s| s.stuck = true);
    w.kmesg.console(b"first\n");
    port.change(|s| {
        s.connection += 1;
        s.stuck = false;
    });
    assert_eq!(port.hears(|s| s.len() >= 14), "early\r\nfirst\r\n");
}

#[test]
fn a_deaf_host_holds_nobody_up_for_long_and_hears_what_it_missed() {
    let w = World::new("", false, vec![Fake::there(0, true)]).start();
    let port = &w.ports[0];
    port.hears(|s| s == "early\r\n");
    port.change(|s| s.stuck = true);
    let begun = Instant::now();
    for n in 0..3 * RING / 8 {
        w.kmesg.console(format!("{n:06} ").as_bytes());
        w.kmesg.console(b"-");
    }
    w.kmesg.flush();
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    port.change(|s| s.stuck = false);
    w.kmesg.console(b"end");
    let all = port.hears(|s| s.ends_with("end"));
    assert!(all.contains("bytes lost\r\n"), "{:?}", &all[..200]);
    assert!(all.contains(&format!("{:06} -end", 3 * RING / 8 - 1)));
    // Nothing is waited for any more, and nothing lost.
    let before = port.heard().len();
    w.kmesg.console(&[b'x'; 4 * RING]);
    w.kmesg.flush();
    assert_eq!(port.heard().len() - before, 4 * RING);
}

#[test]
fn what_is_typed_is_the_consoles_and_nobody_else_has_the_port() {
    let ports = vec![Fake::there(0, true), Fake::there(1, false)];
    let w = World::new("", true, ports);
    let devices = vec![VirtCon::new(w.finder(), Some(w.console.clone())) as Arc<dyn port::Dev>];
    let t = Hosted::with(devices, vec![], &[]);
    let w = w.start();
    w.input.start(&t.kernel).unwrap();
    let refused = open(&t.up, "#C/virtcon/virtio-console-0", abi::ORDWR).unwrap_err();
    assert!(refused.to_string().ends_with(abi::error::EINUSE), "{refused}");
    open(&t.up, "#C/virtcon/virtio-console-1", abi::ORDWR).unwrap();
    w.ports[0].says("one\r");
    assert_eq!(w.input.read(100).unwrap(), b"one\n");
    w.ports[0].leave();
    w.ports[0].connect();
    w.ports[0].says("twp\x08o\r");
    assert_eq!(w.input.read(100).unwrap(), b"two\n");
}
