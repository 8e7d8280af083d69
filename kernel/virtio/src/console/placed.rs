//! A port with its place in the machine, as the portable kernel wants it.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use io::port::{Bytes, Finder, Room};
use machine::sync::{Interrupted, QLock};

use super::{Console, Port};
use crate::inventory::names::Location;

/// A port of a virtio console.
struct PlacedPort {
    /// The number of its device among the consoles.
    console: u32,
    /// Where that sits.
    at: Location,
    port: Arc<Port>,
}

impl io::Port for PlacedPort {
    fn id(&self) -> u32 {
        self.console << 16 | self.port.number()
    }

    fn name(&self) -> String {
        self.port.name().into()
    }

    fn place(&self) -> String {
        let device = self.at.file_name();
        match self.port.number() {
            0 => device,
            n => format!("{device}.{n}"),
        }
    }

    fn label(&self) -> Option<String> {
        self.port.label()
    }

    fn is_console(&self) -> bool {
        self.port.is_console()
    }

    fn present(&self) -> bool {
        self.port.present()
    }

    fn connected(&self) -> bool {
        self.port.connected()
    }

    fn connection(&self) -> u64 {
        self.port.connection()
    }

    fn watch(&self, watcher: Box<dyn Fn() + Send + Sync>) {
        self.port.watch(watcher);
    }

    fn open(&self) -> u64 {
        self.port.open()
    }

    fn wait(&self, connection: u64) -> Result<usize, Interrupted> {
        self.port.wait(connection)
    }

    fn take(&self, connection: u64, room: &mut Room<'_>) -> usize {
        self.port.take(connection, room)
    }

    fn send(&self, connection: u64, bytes: Bytes<'_>) -> Result<Option<usize>, Interrupted> {
        self.port.send(connection, bytes)
    }

    fn handed_over(&self, connection: u64, deadline_ns: u64) -> Result<bool, Interrupted> {
        self.port.handed_over(connection, deadline_ns)
    }

    fn writing(&self) -> &QLock<()> {
        self.port.writing()
    }
}

/// The ports of all these consoles, as there are at each moment. Those that there can be are made now, for good.
pub fn finder(consoles: Vec<(Location, Arc<Console>)>) -> Finder {
    let placed = |(console, (at, device)): (u32, (Location, Arc<Console>))| {
        let port =
            |port: &Arc<Port>| Arc::new(PlacedPort { console, at, port: port.clone() }) as Arc<dyn io::Port>;
        let ports: Vec<Arc<dyn io::Port>> = device.device.ports().iter().map(port).collect();
        (device, ports)
    };
    let consoles: Vec<_> = (0..).zip(consoles).map(placed).collect();
    Arc::new(move |put| {
        for (device, ports) in &consoles {
            device.device.settle();
            if !ports.iter().filter(|port| port.present()).all(&mut *put) {
                break;
            }
        }
    })
}
