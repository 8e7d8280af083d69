use super::*;
use crate::host;
use alloc::vec;

/// Registers that remember what was done.
#[derive(Default)]
struct Log(Mutex<Vec<(usize, usize, u64)>>);

impl MmioBackend for Log {
    fn read(&self, off: usize, width: usize) -> u64 {
        0x1122_3344_5566_7700 + (off * 16 + width) as u64
    }
    fn write(&self, off: usize, width: usize, value: u64) {
        self.0.lock().unwrap().push((off, width, value));
    }
}

impl PortBackend for Log {
    fn read(&self, off: u16, width: usize) -> u32 {
        0x5566_0000 + u32::from(off) * 16 + width as u32
    }
    fn write(&self, off: u16, width: usize, value: u32) {
        self.0.lock().unwrap().push((usize::from(off), width, u64::from(value)));
    }
}

#[test]
fn registers_have_offset_and_width() {
    let log = Arc::new(Log::default());
    let m = Mmio::fake(log.clone());
    assert_eq!(m.len(), 4096);
    let part = m.slice(0x10, 16);
    assert_eq!((part.read8(1), part.read16(2), part.read32(4)), (0x11, 0x7822, 0x5566_7844));
    assert_eq!(part.read64(8), 0x1122_3344_5566_7888);
    part.write8(3, 1);
    part.write16(2, 2);
    part.write32(4, 3);
    part.slice(8, 8).write64(0, 4);
    assert_eq!(*log.0.lock().unwrap(), vec![(0x13, 1, 1), (0x12, 2, 2), (0x14, 4, 3), (0x18, 8, 4)]);
}

#[test]
fn devices_are_found_by_address_and_only_on_their_machine() {
    let m = host::new_machine();
    host_register_mmio(0xfeb0_0000, 0x1000, Arc::new(Log::default()));
    let regs = Mmio::map(0xfeb0_0ff0, 0x20).unwrap();
    assert_eq!(regs.read8(4) as usize, (0xff4 * 16 + 1) & 0xff);
    assert_eq!(regs.read32(0x10), u32::MAX, "nothing is there");
    regs.write32(0x10, 1);
    host_register_ports(0xcf8, 8, Arc::new(Log::default()));
    let ports = Ports::claim(0xcfc, 8).unwrap();
    assert_eq!((ports.in8(0), ports.in16(2), ports.in32(0)), (0x41, 0x62, 0x5566_0044));
    assert_eq!(ports.in16(4), 0xffff);
    ports.out8(4, 1);
    drop(regs);
    host::new_machine();
    assert_eq!(Mmio::map(0xfeb0_0000, 4).unwrap().read32(0), u32::MAX);
    // A device's thread may join.
    std::thread::spawn(move || {
        m.enter();
        assert_ne!(Mmio::map(0xfeb0_0000, 4).unwrap().read32(0), u32::MAX);
    })
    .join()
    .unwrap();
}

#[test]
fn registers_have_one_owner() {
    host::new_machine();
    let regs = Mmio::map(0xfeb0_0000, 0x1000).unwrap();
    let part = regs.slice(0x800, 4);
    drop(regs);
    for (phys, len) in [(0xfeb0_0000, 1), (0xfeb0_0ffc, 8), (0xfea0_0000, 0x20_0000)] {
        assert_eq!(Mmio::map(phys, len).err(), Some(IoError::InUse), "a part of it is still in use");
    }
    drop(part);
    assert!(Mmio::map(0xfeb0_0000, 0x1000).is_ok());
    let ports = Ports::claim(0xcf8, 8).unwrap();
    let again = ports.clone();
    drop(ports);
    assert_eq!(Ports::claim(0xcfc, 1).err(), Some(IoError::InUse));
    drop(again);
    assert!(Ports::claim(0xcfc, 1).is_ok());
    assert_eq!(Ports::claim(0x3f8, 8).err(), Some(IoError::InUse), "the kernel writes there");
    assert_eq!(Ports::claim(0xffff, 2).err(), Some(IoError::NoSuchAddress));
}

#[test]
fn memory_is_no_device() {
    host::new_machine();
    let range = |start, len, kind| crate::types::Range { start, len, kind };
    let ram = vec![range(0, 0xa_0000, RangeKind::Ram), range(0xf_0000, 0x1_0000, RangeKind::Reserved)];
    host::set_boot_info(crate::types::BootInfo { ram, ..Default::default() });
    for (phys, len) in [(0, 1), (0x9_ffff, 0x10), (0, usize::MAX)] {
        assert_eq!(Mmio::map(phys, len).err(), Some(IoError::Memory), "{phys:#x} {len:#x}");
    }
    assert!(Mmio::map(0xa_0000, 0x2_0000).is_ok());
    let page = crate::page::Page::new_zeroed().unwrap();
    assert_eq!(Mmio::map(page.phys() + 0xfff, 4).err(), Some(IoError::Memory));
    let dma = crate::dma::Dma::new(8192).unwrap();
    assert_eq!(Mmio::map(dma.phys() + 4096, 4).err(), Some(IoError::Memory));
}

#[test]
#[should_panic(expected = "4 bytes at 14 of Mmio of 16")]
fn beyond_the_slice_is_a_bug() {
    Mmio::fake(Arc::new(Log::default())).slice(0, 16).read32(14);
}

#[test]
#[should_panic(expected = "4-byte register at 6")]
fn unaligned_is_a_bug() {
    Mmio::fake(Arc::new(Log::default())).read32(6);
}

#[test]
#[should_panic(expected = "2 bytes at 3 of 4 ports")]
fn beyond_the_ports_is_a_bug() {
    Ports::claim(0x62, 4).unwrap().in16(3);
}
