//! What happens at boot: from the bare machine to running devices.

mod removal;

pub use removal::Removals;

use crate::Failure;
use crate::balloon::Balloon;
use crate::block::Block;
use crate::console::Console;
use crate::inventory::names::{Location, NamedDevice, enumerate, id};
use crate::inventory::table::{Driver, Row, Table};
use crate::net::Net;
use crate::p9::P9;
use crate::rng::Rng;
use crate::transport::VirtioTransport;
use crate::transport::legacy::Legacy;
use crate::transport::mmio::{self, SharedPin};
use crate::transport::modern::{Modern, is_modern};
use crate::transport::pci_interrupts::Choice;
use crate::transport::recorder::Recorder;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use io::{Disk, Ether, Transport};
use machine::firmware::fdt::{self, Fdt};
use machine::firmware::{acpi, fwcfg};
use machine::places::virtio_slot;
use pci::{Pci, Segment, Windows, intx, mechanism};

/// What has to be known of the machine beforehand.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Memory-mapped configuration windows, as ACPI's MCFG table has them; may be empty.
    pub ecam: Vec<acpi::Ecam>,
    /// PCI root buses besides bus 0.
    pub extra_roots: usize,
    /// Physical addresses that are taken, whatever by: the whole memory map.
    pub taken: Vec<Range<u64>>,
    /// How devices may interrupt.
    pub interrupts: Choice,
    /// Slots in memory that may have devices.
    pub slots: Vec<mmio::Slot>,
    /// What told of slots and made no sense, a line each.
    pub complaints: Vec<String>,
}

impl Config {
    /// What ACPI, the memory map and the words of the command line say of this machine. With `nomsi` no device
    /// interrupts by messages.
    pub fn of_machine(nomsi: bool, words: &[(String, String)]) -> Config {
        let map = &machine::boot::info().ram;
        let madt = acpi::madt();
        let ioapics = madt.as_ref().map_or(&[][..], |m| &m.ioapics);
        let apic = |n: usize| ioapics.get(n).map(|a| (u64::from(a.addr), a.gsi_base));
        let board = mmio::Board { acpi: madt.is_some(), ioapics: [apic(0), apic(1)] };
        let (slots, complaints) = mmio::from_words(words);
        Config {
            ecam: acpi::mcfg(),
            extra_roots: fwcfg::extra_pci_roots(),
            taken: map.iter().map(|r| r.start..r.start.saturating_add(r.len)).collect(),
            interrupts: Choice { nomsi, ioapics: ioapics.len() },
            slots: if slots.is_empty() { slots_of_board(&board) } else { slots },
            complaints,
        }
    }
}

/// The slots that a device tree tells of, or else those of QEMU's board without one. A machine with PCI ports is
/// another board, where something else may be at those addresses.
fn slots_of_board(board: &mmio::Board) -> Vec<mmio::Slot> {
    if mechanism::has_ports() {
        return Vec::new();
    }
    let tree = fwcfg::open("etc/fdt").and_then(|mut file| {
        let mut blob = file.read(fdt::HEADER);
        blob.extend(file.read(fdt::extent(&blob)?.saturating_sub(blob.len())));
        Fdt::parse(&blob)
    });
    match tree {
        Some(tree) => mmio::from_tree(&tree, board),
        None => mmio::from_board(board, |base| virtio_slot(base, 4).is_ok()),
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
    #[cfg(test)]
    pub(crate) driver: Arc<P9>,
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
    /// The disks that work, in the order of their numbers.
    pub disks: Vec<Arc<dyn Disk>>,
    /// The network cards that work, in the order of their numbers.
    pub ethers: Vec<Arc<dyn Ether>>,
    /// The consoles that work, in the order of their numbers.
    pub consoles: Vec<(Location, Arc<Console>)>,
    /// What told of slots and made no sense, and what is in slots and is no virtio device: a line each.
    pub complaints: Vec<String>,
    /// Devices in slots that share a pin.
    shared_pin: SharedPin,
}

/// Finds and starts everything. Threads are spawned, but need not run before this returns.
pub fn init(config: &Config) -> System {
    let mut taken = config.taken.clone();
    taken.extend(config.slots.iter().map(|s| s.base..s.base.saturating_add(s.size)));
    let pci = mechanism::find(&config.ecam, &config.taken).map(|found| {
        taken.extend(found.window);
        scan(found.segment, &taken, config.extra_roots)
    });
    start_all(pci, &config.slots, config.interrupts, config.complaints.clone())
}

/// The functions in a configuration space, when some addresses are taken. None of them interrupts.
fn scan(space: Box<dyn Segment>, taken: &[Range<u64>], extra_roots: usize) -> Pci {
    let windows = Windows::below_4g(taken, space.has_ports());
    let pci = Pci::scan(space, &windows, extra_roots);
    intx::disable_all(&pci);
    pci
}

/// A machine with this configuration space and nothing else.
#[cfg(test)]
pub(crate) fn init_on(space: Box<dyn Segment>, taken: &[Range<u64>], choice: Choice) -> System {
    start_all(Some(scan(space, taken, 0)), &[], choice, Vec::new())
}

/// Names and starts every virtio device among the functions and in the slots.
fn start_all(pci: Option<Pci>, slots: &[mmio::Slot], choice: Choice, complaints: Vec<String>) -> System {
    let mut system = System { complaints, ..System::default() };
    let mut full = Vec::new();
    for slot in slots {
        match mmio::look(slot) {
            Ok(Some(id)) => full.push((*slot, id)),
            Ok(None) => {}
            Err(why) => system.complaints.push(why.to_string()),
        }
    }
    for found in enumerate(pci.as_ref(), &full) {
        system.start(pci.as_ref(), found, choice);
    }
    system.pci = pci.map(Arc::new);
    system
}

impl System {
    /// Opens one device and starts its driver; whatever comes of it, there is a line in the table.
    fn start(&mut self, pci: Option<&Pci>, found: NamedDevice, choice: Choice) {
        let mut row = Row { found, transport: "-", driver: None, reason: None, recorder: None };
        match open(pci, choice, &self.shared_pin, &mut row)
            .and_then(|transport| self.drive(&row.found, transport))
        {
            Ok(driver) => row.driver = Some(driver),
            Err(why) => row.reason = Some(why.to_string()),
        }
        self.table.push(row);
    }

    /// Starts the driver of a device, if there is one.
    fn drive(
        &mut self,
        found: &NamedDevice,
        transport: Arc<dyn VirtioTransport>,
    ) -> Result<Arc<dyn Driver>, Failure> {
        match found.id {
            id::NINEP => {
                let driver = P9::start(&found.name, transport)?;
                self.nine_p.push(NinepDevice {
                    name: found.name.clone(),
                    tag: driver.tag().to_string(),
                    transport: driver.clone(),
                    #[cfg(test)]
                    driver: driver.clone(),
                });
                Ok(driver)
            }
            id::CONSOLE => {
                let driver = Console::start(&found.name, transport)?;
                self.consoles.push((found.location, driver.clone()));
                Ok(driver)
            }
            id::NET => {
                let driver = Net::start(&found.name, transport)?;
                self.ethers.push(driver.clone());
                Ok(driver)
            }
            id::BALLOON => Ok(Balloon::start(&found.name, transport)?),
            id::ENTROPY => Ok(Rng::start(&found.name, transport)?),
            id::BLOCK => {
                let driver = Block::start(&found.name, transport)?;
                self.disks.push(driver.clone());
                Ok(driver)
            }
            _ => Err(Failure::text(alloc::format!("no driver for {}", found.class))),
        }
    }
}

/// Opens the way to a device, with a recorder before it, which its row has, too.
fn open(
    pci: Option<&Pci>,
    choice: Choice,
    shared_pin: &SharedPin,
    row: &mut Row,
) -> Result<Arc<dyn VirtioTransport>, Failure> {
    let transport: Arc<dyn VirtioTransport> = match row.found.location {
        Location::Pci(at) => {
            let pci = pci.ok_or(Failure::new("no such function"))?;
            let function = pci.find(at).ok_or(Failure::new("no such function"))?;
            if is_modern(pci, function) {
                row.transport = "modern";
                Arc::new(Modern::open(pci, function, choice)?)
            } else {
                row.transport = "legacy";
                Arc::new(Legacy::open(pci, function, choice)?)
            }
        }
        Location::Mmio(slot) => {
            let device = Arc::new(mmio::MmioTransport::open(&slot, shared_pin)?);
            row.transport = device.kind();
            device
        }
    };
    let recorder = Recorder::new(transport);
    row.recorder = Some(recorder.clone());
    Ok(recorder)
}

#[cfg(test)]
mod tests;
