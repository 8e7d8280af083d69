//! The I/O APICs: global system interrupt to vector.

use super::io::Mmio;
use super::lapic;
use crate::amd64::lock::Lock;
use crate::firmware::acpi::{Madt, Override};
use crate::types::Trigger;
use alloc::vec::Vec;

const SELECT: usize = 0x00;
const WINDOW: usize = 0x10;
const VERSION: u32 = 0x01;
/// First of the redirection entries, two words each.
const ENTRIES: u32 = 0x10;
const MASKED: u32 = 1 << 16;
const LEVEL: u32 = 1 << 15;
const ACTIVE_LOW: u32 = 1 << 13;
/// Bytes in which its registers appear, again and again.
const DECODED: usize = 0x1000;
/// Where an I/O APIC is when no table says so.
const USUAL: u64 = 0xfec0_0000;

struct Ioapic {
    registers: Mmio,
    first: u32,
    pins: u32,
}

/// The I/O APICs, and how the old ISA lines are wired to them. The lock guards their index registers.
struct Wiring {
    apics: Vec<Ioapic>,
    overrides: Vec<Override>,
}

static WIRING: Lock<Wiring> = Lock::new(Wiring { apics: Vec::new(), overrides: Vec::new() });

impl Ioapic {
    fn read(&self, register: u32) -> u32 {
        self.registers.write32(SELECT, register);
        self.registers.read32(WINDOW)
    }

    fn write(&self, register: u32, value: u32) {
        self.registers.write32(SELECT, register);
        self.registers.write32(WINDOW, value);
    }

    fn mask(&self, pin: u32) {
        self.write(ENTRIES + 2 * pin, MASKED);
    }
}

/// Finds the I/O APICs and masks all their pins.
pub fn init(madt: Option<Madt>) {
    let mut wiring = WIRING.lock();
    let mut places: Vec<(u64, u32)> = Vec::new();
    if let Some(madt) = madt {
        places.extend(madt.ioapics.iter().map(|a| (u64::from(a.addr), a.gsi_base)));
        wiring.overrides = madt.overrides;
    }
    if places.is_empty() {
        places.push((USUAL, 0));
    }
    for (address, first) in places {
        let Ok(registers) = Mmio::map(address, DECODED) else { continue };
        let mut apic = Ioapic { registers, first, pins: 0 };
        let version = apic.read(VERSION);
        if version == u32::MAX {
            continue; // nobody there
        }
        apic.pins = (version >> 16 & 0xff) + 1;
        (0..apic.pins).for_each(|pin| apic.mask(pin));
        wiring.apics.push(apic);
    }
}

/// Where an ISA line goes, and how it signals there.
pub fn isa(irq: u8) -> (u32, Trigger) {
    let wiring = WIRING.lock();
    match wiring.overrides.iter().find(|o| o.irq == irq) {
        Some(o) => (o.gsi, if o.level { Trigger::Level } else { Trigger::Edge }),
        None => (u32::from(irq), Trigger::Edge),
    }
}

/// Sends a line to a vector of this processor. False when no I/O APIC has the line.
pub fn route(gsi: u32, vector: u8, trigger: Trigger) -> bool {
    let wiring = WIRING.lock();
    let Some(apic) = wiring.apics.iter().find(|a| (a.first..a.first + a.pins).contains(&gsi)) else {
        return false;
    };
    // Tables that name the line know its polarity; else level means PCI, and PCI is active low.
    let low = match wiring.overrides.iter().find(|o| o.gsi == gsi) {
        Some(o) => o.active_low,
        None => trigger == Trigger::Level,
    };
    let mut entry = u32::from(vector);
    if trigger == Trigger::Level {
        entry |= LEVEL;
    }
    if low {
        entry |= ACTIVE_LOW;
    }
    let register = ENTRIES + 2 * (gsi - apic.first);
    apic.write(register + 1, lapic::id() << 24);
    apic.write(register, entry);
    true
}

/// Stops a line.
pub fn mask(gsi: u32) {
    let wiring = WIRING.lock();
    if let Some(apic) = wiring.apics.iter().find(|a| (a.first..a.first + a.pins).contains(&gsi)) {
        apic.mask(gsi - apic.first);
    }
}
