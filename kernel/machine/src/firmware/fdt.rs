//! Flattened device trees, as a function of bytes: what QEMU's `microvm` says of itself.
//!
//! Follows the Devicetree Specification 0.4, chapters 2 (properties) and 5 (format). Only what finding devices takes is
//! read: names, `compatible`, `reg`, `interrupts`. Nothing is trusted: what leaves the blob ends the tree there.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

const MAGIC: u32 = 0xD00D_FEED;
/// Bytes of the header.
pub const HEADER: usize = 40;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
/// Deeper trees are cut off.
const DEPTH: usize = 16;
/// And so are larger ones: a few bytes of a blob make many in memory. QEMU's have some fifty nodes.
const MOST_NODES: usize = 1024;
const MOST_PROPERTIES: usize = 8192;
/// Bytes of a name. The specification has 31.
const MOST_NAME: usize = 128;

/// A tree, as the list of its nodes in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fdt {
    nodes: Vec<Node>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name, with the address behind an `@`.
    pub name: String,
    properties: Vec<(String, Vec<u8>)>,
    /// Cells of an address and of a size in its `reg`, which its parent says.
    cells: (u32, u32),
    /// The interrupt controller, which an ancestor may say.
    interrupt_parent: Option<u32>,
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The text up to a zero byte.
fn text(bytes: &[u8], at: usize) -> Option<&str> {
    let rest = bytes.get(at..)?;
    let end = rest.iter().position(|b| *b == 0)?;
    core::str::from_utf8(rest.get(..end)?).ok()
}

/// How many bytes of a blob have to be read, by its [`HEADER`]; the rest is room to grow.
pub fn extent(header: &[u8]) -> Option<usize> {
    let word = |at| be32(header, at).and_then(|n| usize::try_from(n).ok());
    if be32(header, 0)? != MAGIC {
        return None;
    }
    let strings = word(12)?.checked_add(word(32)?)?;
    let structure = word(8)?.checked_add(word(36)?)?;
    Some(strings.max(structure).min(word(4)?))
}

impl Node {
    /// The bytes of a property.
    pub fn property(&self, name: &str) -> Option<&[u8]> {
        self.properties.iter().find(|(n, _)| n == name).map(|(_, value)| &value[..])
    }

    /// Whether `what` is one of the things it is compatible with.
    pub fn is_compatible(&self, what: &str) -> bool {
        self.property("compatible").is_some_and(|list| list.split(|b| *b == 0).any(|x| x == what.as_bytes()))
    }

    /// Address and size of its first registers.
    pub fn reg(&self) -> Option<(u64, u64)> {
        let reg = self.property("reg")?;
        let number = |from: u32, cells: u32| {
            let mut n = 0u64;
            for cell in from..from.checked_add(cells)? {
                n = n << 32 | u64::from(be32(reg, usize::try_from(cell).ok()?.checked_mul(4)?)?);
            }
            Some(n)
        };
        let (address, size) = self.cells;
        // Three cells are PCI's, which have no address of this kind.
        if !(1..=2).contains(&address) || !(1..=2).contains(&size) {
            return None;
        }
        Some((number(0, address)?, number(address, size)?))
    }

    /// The first cell of its first interrupt.
    pub fn interrupt(&self) -> Option<u32> {
        be32(self.property("interrupts")?, 0)
    }

    /// The handle of its interrupt controller.
    pub fn interrupt_parent(&self) -> Option<u32> {
        self.interrupt_parent
    }

    /// The handle by which others name it.
    pub fn phandle(&self) -> Option<u32> {
        be32(self.property("phandle")?, 0)
    }

    fn cell(&self, name: &str) -> Option<u32> {
        be32(self.property(name)?, 0)
    }
}

impl Fdt {
    /// Reads a blob. `None`: it is none. A broken one ends where it is broken.
    pub fn parse(blob: &[u8]) -> Option<Fdt> {
        if be32(blob, 0)? != MAGIC {
            return None;
        }
        let mut tree = Fdt::default();
        // What is left out for being broken is behind what was read.
        let _ = tree.read(blob);
        Some(tree)
    }

    fn read(&mut self, blob: &[u8]) -> Option<()> {
        let word = |at| be32(blob, at).and_then(|n| usize::try_from(n).ok());
        let (mut at, strings) = (word(8)?, word(12)?);
        // Indices of the nodes that are open.
        let (mut open, mut properties): (Vec<usize>, usize) = (Vec::new(), 0);
        loop {
            let token = be32(blob, at)?;
            at = at.checked_add(4)?;
            match token {
                BEGIN_NODE => {
                    let name = text(blob, at)?;
                    at = at.checked_add(name.len() + 1)?.checked_next_multiple_of(4)?;
                    if open.len() >= DEPTH || self.nodes.len() >= MOST_NODES || name.len() > MOST_NAME {
                        return None;
                    }
                    let parent = open.last().and_then(|n| self.nodes.get(*n));
                    let cells = parent.map_or((2, 1), |p| {
                        (p.cell("#address-cells").unwrap_or(2), p.cell("#size-cells").unwrap_or(1))
                    });
                    let interrupt_parent = parent.and_then(|p| p.interrupt_parent);
                    open.push(self.nodes.len());
                    self.nodes.push(Node { name: name.into(), properties: vec![], cells, interrupt_parent });
                }
                PROP => {
                    let (len, name) = (word(at)?, word(at.checked_add(4)?)?);
                    let start = at.checked_add(8)?;
                    let value = blob.get(start..start.checked_add(len)?)?;
                    let name = text(blob, strings.checked_add(name)?)?;
                    properties += 1;
                    if properties > MOST_PROPERTIES || name.len() > MOST_NAME {
                        return None;
                    }
                    let node = self.nodes.get_mut(*open.last()?)?;
                    if name == "interrupt-parent" {
                        node.interrupt_parent = be32(value, 0);
                    }
                    node.properties.push((name.into(), value.into()));
                    at = start.checked_add(len)?.checked_next_multiple_of(4)?;
                }
                END_NODE => {
                    open.pop()?;
                }
                NOP => {}
                _ => return None,
            }
        }
    }

    /// All nodes, each behind its parent.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }
}

#[cfg(test)]
mod tests;
