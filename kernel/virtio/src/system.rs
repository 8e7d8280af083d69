//! What happens at boot: from the bare bus to running devices.

use crate::Failure;
use crate::console::Console;
use crate::legacy::Legacy;
use crate::modern::{Modern, is_modern};
use crate::names::{Found, Location, enumerate};
use crate::p9::P9;
use crate::pci::config::{self, ConfigSpace};
use crate::pci::{Pci, Windows, line};
use crate::table::{Driver, Row, Table};
use crate::transport::VirtioTransport;
use crate::wiring::Choice;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use machine::acpi;
use machine::message::Transport;

/// Virtio id of a 9P device.
const NINEP: u16 = 9;
/// Virtio id of a console.
const CONSOLE: u16 = 3;

/// What has to be known of the machine beforehand.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Memory-mapped configuration windows, as ACPI's MCFG table has them; may be empty.
    pub ecam: Vec<acpi::Ecam>,
    /// Physical addresses that are taken, whatever by: the whole memory map.
    pub taken: Vec<Range<u64>>,
    /// How devices may interrupt.
    pub interrupts: Choice,
}

impl Config {
    /// What ACPI and the memory map say of this machine. With `nomsi` no device interrupts by messages.
    pub fn of_machine(nomsi: bool) -> Config {
        let map = &machine::boot::info().ram;
        Config {
            ecam: acpi::mcfg(),
            taken: map.iter().map(|r| r.start..r.start.saturating_add(r.len)).collect(),
            interrupts: Choice { nomsi, ioapics: acpi::madt().map_or(0, |madt| madt.ioapics.len()) },
        }
    }
}

/// A 9P device that works.
pub struct NinepDevice {
    /// Its name, `virtio-9p-0`.
    pub name: String,
    /// Its mount tag.
    pub tag: String,
    /// What a mount driver sends messages through.
    pub transport: Arc<dyn Transport>,
    /// The driver, for what is not in the trait.
    pub driver: Arc<P9>,
}

/// What was found.
#[derive(Default)]
pub struct System {
    /// The PCI functions; `None` on a machine without PCI.
    pub pci: Option<Arc<Pci>>,
    /// All virtio devices, as `/dev/virtio` shows them.
    pub table: Table,
    /// The 9P devices that work, in the order of their numbers.
    pub nine_p: Vec<NinepDevice>,
    /// The consoles that work, in the order of their numbers.
    pub consoles: Vec<Arc<Console>>,
}

/// Finds and starts everything. Threads are spawned, but need not run before this returns.
pub fn init(config: &Config) -> System {
    match config::find(&config.ecam, &config.taken) {
        Some((space, window)) => {
            let mut taken = config.taken.clone();
            taken.extend(window.as_ref().map(config::range));
            init_on(space, &taken, config.interrupts)
        }
        None => System::default(),
    }
}

/// Finds and starts everything in a configuration space, when some addresses are taken.
pub(crate) fn init_on(space: Box<dyn ConfigSpace>, taken: &[Range<u64>], choice: Choice) -> System {
    let windows = Windows::below_4g(taken, space.has_ports());
    let pci = Pci::scan(space, &windows);
    line::silence_all(&pci);
    let mut system = System::default();
    for found in enumerate(&pci) {
        system.start(&pci, found, choice);
    }
    system.pci = Some(Arc::new(pci));
    system
}

impl System {
    /// Opens one device and starts its driver; whatever comes of it, there is a line in the table.
    fn start(&mut self, pci: &Pci, found: Found, choice: Choice) {
        let mut row = Row { found, transport: "-", driver: None, reason: None, offered: 0 };
        match open(pci, choice, &mut row).and_then(|transport| self.drive(&row.found, transport)) {
            Ok(driver) => row.driver = Some(driver),
            Err(why) => row.reason = Some(why.to_string()),
        }
        self.table.push(row);
    }

    /// Starts the driver of a device, if there is one.
    fn drive(
        &mut self,
        found: &Found,
        transport: Arc<dyn VirtioTransport>,
    ) -> Result<Arc<dyn Driver>, Failure> {
        match found.id {
            NINEP => {
                let driver = P9::start(&found.name, transport)?;
                self.nine_p.push(NinepDevice {
                    name: found.name.clone(),
                    tag: driver.tag().to_string(),
                    transport: driver.clone(),
                    driver: driver.clone(),
                });
                Ok(driver)
            }
            CONSOLE => {
                let driver = Console::start(&found.name, transport)?;
                self.consoles.push(driver.clone());
                Ok(driver)
            }
            _ => Err(Failure::text(alloc::format!("no driver for {}", found.class))),
        }
    }
}

/// Opens the way to a device, and notes in its row what is seen of it.
fn open(pci: &Pci, choice: Choice, row: &mut Row) -> Result<Arc<dyn VirtioTransport>, Failure> {
    let Location::Pci(at) = row.found.location;
    let function = pci.find(at).ok_or(Failure::new("no such function"))?;
    let transport: Arc<dyn VirtioTransport> = if is_modern(pci, function) {
        row.transport = "modern";
        Arc::new(Modern::open(pci, function, choice)?)
    } else {
        row.transport = "legacy";
        Arc::new(Legacy::open(pci, function, choice)?)
    };
    row.offered = transport.offered();
    Ok(transport)
}

#[cfg(test)]
mod tests;
