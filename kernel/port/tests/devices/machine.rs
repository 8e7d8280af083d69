//! `#P` and `#$`: what the machine has.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use abi::{MREPL, ORDWR, OREAD, OWRITE, error};
use io::PciBus;
use io::pci::{Address, Function};
use port::call::sysfile::{bind, open, pread, pwrite};
use port::dev::pci::PciDev;
use port::mem::iobuf::{Dst, Src};
use port::testkit::Hosted;

use super::get;

#[test]
fn arch_files_are_made_when_they_are_read() {
    let t = Hosted::new();
    let count = Arc::new(Mutex::new(0));
    let counter = count.clone();
    let make = move |out: &mut machine::heap::Text| {
        *counter.lock().unwrap() += 1;
        writeln!(out, "{}", "x".repeat(*counter.lock().unwrap()))
    };
    t.hardware.add("mtags", 0o444, Box::new(make));
    bind(&t.up, "#P", "/dev", MREPL).unwrap();
    assert_eq!(t.ls("/dev").unwrap(), ["cputype", "ioalloc", "irqalloc", "mtags"]);
    assert!(t.read("/dev/cputype").unwrap().starts_with(b"AMD64 "));
    let fd = open(&t.up, "/dev/mtags", OREAD).unwrap();
    assert_eq!(get(&t.up, fd, 1).unwrap(), b"x");
    assert_eq!(get(&t.up, fd, 9).unwrap(), b"\n", "the rest is of the same text");
    assert_eq!(t.read("/dev/mtags").unwrap(), b"xx\n");
    let fd = open(&t.up, "/dev/mtags", OREAD).unwrap();
    assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut [0; 9]), 2).unwrap(), 2, "also from its middle");
    assert!(open(&t.up, "/dev/mtags", OWRITE).unwrap_err().is(error::EPERM));
}

/// Buses of a machine that is full of functions.
const BUSES: usize = 3;

/// A bus with so many functions on each device.
struct Bus(Mutex<Vec<u8>>, u8);

impl PciBus for Bus {
    fn nth(&self, n: usize) -> Option<Function> {
        let bars = [Some((0xfebf_1000, 4096)), None, None, None, Some((0xc000, 128)), None];
        let (rest, function) = (n / usize::from(self.1), n as u8 % self.1);
        let at = match self.1 {
            1 => Address { bus: 0, device: 31, function: 2 },
            _ => Address { bus: (rest / 32) as u8, device: (rest % 32) as u8, function },
        };
        let there = n < if self.1 == 1 { 1 } else { BUSES * 32 * usize::from(self.1) };
        there.then_some(Function { at, class: [1, 6, 1], vendor: 0x8086, device: 0x2922, irq: 10, bars })
    }
    fn find(&self, at: Address) -> Option<Function> {
        let n = (usize::from(at.bus) * 32 + usize::from(at.device)) * 8 + usize::from(at.function);
        self.nth(if self.1 == 1 { 0 } else { n }).filter(|f| f.at == at)
    }
    fn config_size(&self, _: Address) -> usize {
        256
    }
    fn read_config(&self, _: Address, offset: usize) -> u8 {
        self.0.lock().unwrap()[offset]
    }
    fn write_config(&self, _: Address, offset: usize, bytes: &[u8]) {
        self.0.lock().unwrap()[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

#[test]
fn pci_functions_are_files() {
    let bus = Arc::new(Bus(Mutex::new((0..=255).collect()), 1));
    let t = Hosted::with(vec![PciDev::new(bus)], vec![], &[]);
    assert_eq!(t.ls("#$").unwrap(), ["pci"]);
    assert_eq!(t.ls("#$/pci").unwrap(), ["0.31.2ctl", "0.31.2raw"]);
    assert_eq!(t.ls("#$/pci/..").unwrap(), ["pci"]);
    let ctl = String::from_utf8(t.read("#$/pci/0.31.2ctl").unwrap()).unwrap();
    assert_eq!(ctl, "01.06.01 8086/2922  10 0:febf1000 4096 4:0000c000 128\n");
    assert_eq!(t.read("#$/pci/0.31.2raw").unwrap().len(), 256);
    let fd = open(&t.up, "#$/pci/0.31.2raw", ORDWR).unwrap();
    assert_eq!(pwrite(&t.up, fd, &Src::Kernel(&[9, 9]), 4).unwrap(), 2);
    let mut four = [0; 4];
    assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut four), 4).unwrap(), 4);
    assert_eq!(four, [9, 9, 6, 7]);
    for (at, n) in [(5, 2), (254, 4), (0, 3), (256, 1), (u32::MAX as i64, 4)] {
        assert!(pwrite(&t.up, fd, &Src::Kernel(&vec![0; n]), at).unwrap_err().is(error::EBADARG), "{at} {n}");
    }
    assert!(t.stat("#$/pci/0.31.3ctl").unwrap_err().is(error::ENONEXIST));
}

/// No call takes memory for all functions (which the heap of tests sees to).
#[test]
fn buses_that_are_full() {
    let t = Hosted::with(vec![PciDev::new(Arc::new(Bus(Mutex::default(), 8)))], vec![], &[]);
    let names = t.ls("#$/pci").unwrap();
    assert_eq!(names.len(), 2 * BUSES * 32 * 8);
    assert_eq!([&names[0], &names[3], &names[1535]], ["0.0.0ctl", "0.0.1raw", "2.31.7raw"]);
    assert!(t.stat("#$/pci/2.31.7ctl").is_ok());
    assert!(t.read("#$/pci/1.3.1ctl").is_ok());
    for wrong in [
        "256.0.0ctl",
        "0.32.0ctl",
        "0.0.8raw",
        "00.0.0ctl",
        "0.0.0.0ctl",
        "+0.0.0ctl",
        "0.0ctl",
        "raw",
        "0.0.0",
    ] {
        assert!(t.stat(&format!("#$/pci/{wrong}")).unwrap_err().is(error::ENONEXIST), "{wrong}");
    }
}
