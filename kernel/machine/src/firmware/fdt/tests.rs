//! Trees put together by hand, whole and broken.

use super::*;

/// A writer of blobs.
#[derive(Default)]
struct Writer {
    structure: Vec<u8>,
    strings: Vec<u8>,
}

impl Writer {
    fn word(&mut self, n: u32) {
        self.structure.extend(n.to_be_bytes());
    }

    fn pad(&mut self) {
        while !self.structure.len().is_multiple_of(4) {
            self.structure.push(0);
        }
    }

    fn begin(&mut self, name: &str) {
        self.word(BEGIN_NODE);
        self.structure.extend(name.as_bytes());
        self.structure.push(0);
        self.pad();
    }

    fn end(&mut self) {
        self.word(END_NODE);
    }

    fn property(&mut self, name: &str, value: &[u8]) {
        self.word(PROP);
        self.word(value.len() as u32);
        self.word(self.strings.len() as u32);
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        self.structure.extend(value);
        self.pad();
    }

    fn cells(&mut self, name: &str, cells: &[u32]) {
        let bytes: Vec<u8> = cells.iter().flat_map(|c| c.to_be_bytes()).collect();
        self.property(name, &bytes);
    }

    fn blob(mut self) -> Vec<u8> {
        self.word(9);
        let (structure, strings) = (HEADER + 16, HEADER + 16 + self.structure.len());
        let total = strings + self.strings.len() + 100;
        let mut blob = Vec::new();
        for n in [
            MAGIC as usize,
            total,
            structure,
            strings,
            HEADER,
            17,
            16,
            0,
            self.strings.len(),
            self.structure.len(),
        ] {
            blob.extend((n as u32).to_be_bytes());
        }
        blob.extend([0; 16]);
        blob.extend(self.structure);
        blob.extend(self.strings);
        blob.resize(total, 0);
        blob
    }
}

fn microvm() -> Vec<u8> {
    let mut w = Writer::default();
    w.begin("");
    w.cells("#address-cells", &[2]);
    w.cells("#size-cells", &[2]);
    w.cells("interrupt-parent", &[1]);
    w.begin("ioapic2@fec10000");
    w.property("compatible", b"other\0intel,ce4100-ioapic\0");
    w.cells("reg", &[0, 0xFEC1_0000, 0, 0x1000]);
    w.cells("phandle", &[2]);
    w.end();
    w.word(NOP);
    w.begin("virtio_mmio@feb02e00");
    w.property("compatible", b"virtio,mmio\0");
    w.cells("reg", &[1, 0xFEB0_2E00, 0, 0x200]);
    w.cells("interrupts", &[23, 0]);
    w.cells("interrupt-parent", &[2]);
    w.end();
    w.begin("plain");
    w.begin("below");
    w.cells("reg", &[1, 2, 3]);
    w.end();
    w.end();
    w.end();
    w.blob()
}

#[test]
fn nodes_say_where_they_are() {
    let blob = microvm();
    let tree = Fdt::parse(&blob).unwrap();
    let names: Vec<&str> = tree.nodes().iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["", "ioapic2@fec10000", "virtio_mmio@feb02e00", "plain", "below"]);
    let [root, apic, slot, plain, below] = tree.nodes() else { panic!() };
    assert!(apic.is_compatible("intel,ce4100-ioapic") && !apic.is_compatible("intel"));
    assert_eq!(apic.reg(), Some((0xFEC1_0000, 0x1000)));
    assert_eq!((apic.phandle(), apic.interrupt_parent()), (Some(2), Some(1)));
    assert_eq!(slot.reg(), Some((0x1_FEB0_2E00, 0x200)));
    assert_eq!((slot.interrupt(), slot.interrupt_parent(), slot.phandle()), (Some(23), Some(2), None));
    assert_eq!((plain.interrupt_parent(), plain.reg(), root.reg()), (Some(1), None, None));
    // Without being told, an address has two cells and a size has one.
    assert_eq!(below.reg(), Some((0x1_0000_0002, 3)));
}

#[test]
fn the_header_says_how_much_there_is_to_read() {
    let blob = microvm();
    let n = extent(&blob[..HEADER]).unwrap();
    assert_eq!(n, blob.len() - 100);
    assert_eq!(Fdt::parse(&blob[..n]), Fdt::parse(&blob));
    assert_eq!(extent(b"nothing"), None);
    assert_eq!(Fdt::parse(&[0; 64]), None);
}

#[test]
fn a_tree_is_no_larger_than_is_believed() {
    let mut w = Writer::default();
    w.begin("");
    (0..3000).for_each(|_| {
        w.begin("n");
        w.end();
    });
    assert_eq!(Fdt::parse(&w.blob()).unwrap().nodes().len(), MOST_NODES);
    let mut w = Writer::default();
    w.begin("");
    (0..9000).for_each(|_| w.property("p", b""));
    assert_eq!(Fdt::parse(&w.blob()).unwrap().nodes()[0].properties.len(), MOST_PROPERTIES);
    let mut w = Writer::default();
    w.begin("");
    w.property(&"p".repeat(200), b"");
    w.property("q", b"");
    assert_eq!(Fdt::parse(&w.blob()).unwrap().nodes()[0].properties, []);
}

#[test]
fn what_is_broken_ends_the_tree() {
    let blob = microvm();
    let whole = Fdt::parse(&blob).unwrap().nodes().len();
    for cut in 4..blob.len() {
        let tree = Fdt::parse(&blob[..cut]).unwrap();
        assert!(tree.nodes().len() <= whole);
    }
    // Every byte of the head and the structure, changed in several ways: there may be nonsense, but no panic.
    for at in 4..blob.len() - 100 {
        for value in [0, 1, 3, 0x7F, 0xFF] {
            let mut bad = blob.clone();
            bad[at] = value;
            for node in Fdt::parse(&bad).unwrap().nodes() {
                let _ = (node.reg(), node.interrupt(), node.phandle(), node.is_compatible("virtio,mmio"));
            }
            let _ = extent(&bad);
        }
    }
}
