//! Chains of descriptors, read and answered as a device does it.

use alloc::vec;
use alloc::vec::Vec;
use machine::host::dma::{peek, poke};

/// A chain that the device has taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub id: u16,
    /// Resets of the device until then.
    pub(super) resets: u64,
    pub message: Vec<u8>,
    /// Address and length of each piece.
    pub readable: Vec<(u64, u32)>,
    pub writable: Vec<(u64, u32)>,
    /// It came in an indirect table.
    pub indirect: bool,
}

impl Taken {
    /// Writes into the room for the reply.
    pub fn fill(&self, mut bytes: &[u8]) {
        for &(phys, len) in &self.writable {
            let (mut at, end) = (phys, phys + u64::from(len));
            // It may be several pages which happen to follow each other.
            while at < end && !bytes.is_empty() {
                let n = bytes.len().min((end - at).min(4096 - at % 4096) as usize);
                assert!(poke(at, &bytes[..n]), "the device writes where no memory is: {at:#x}");
                (at, bytes) = (at + n as u64, &bytes[n..]);
            }
        }
        assert!(bytes.is_empty(), "no room for the reply");
    }
}

pub fn peek16(phys: u64) -> u16 {
    let mut b = [0; 2];
    assert!(peek(phys, &mut b), "the device reads where no memory is: {phys:#x}");
    u16::from_le_bytes(b)
}

fn descriptor(table: u64, n: u16) -> (u64, u32, u16, u16) {
    let mut b = [0; 16];
    assert!(peek(table + 16 * u64::from(n), &mut b), "the device reads where no memory is");
    let flags = u16::from_le_bytes([b[12], b[13]]);
    let next = u16::from_le_bytes([b[14], b[15]]);
    (
        u64::from_le_bytes(b[..8].try_into().unwrap()),
        u32::from_le_bytes(b[8..12].try_into().unwrap()),
        flags,
        next,
    )
}

/// Follows a chain as QEMU does, and is as strict.
pub fn chain(table: u64, size: u16, id: u16) -> Taken {
    assert!(id < size);
    let mut taken =
        Taken { id, resets: 0, message: vec![], readable: vec![], writable: vec![], indirect: false };
    let (mut table, mut limit, mut at) = (table, size, id);
    let first = descriptor(table, id);
    if first.2 & 4 != 0 {
        assert_eq!((first.2, first.1 % 16), (4, 0), "an indirect table stands alone");
        (table, limit, at) = (first.0, (first.1 / 16) as u16, 0);
        taken.indirect = true;
    }
    assert!(limit <= size, "longer than the queue");
    for _ in 0..limit {
        let (phys, len, flags, next) = descriptor(table, at);
        assert_ne!(len, 0, "a descriptor without bytes");
        if flags & 2 != 0 {
            taken.writable.push((phys, len));
        } else {
            assert!(taken.writable.is_empty(), "readable behind writable");
            let mut bytes = vec![0; len as usize];
            peek_all(phys, &mut bytes);
            taken.message.extend(bytes);
            taken.readable.push((phys, len));
        }
        if flags & 1 == 0 {
            return taken;
        }
        assert!(next < limit, "a chain that leaves its table");
        at = next;
    }
    panic!("a chain without an end");
}

/// Reads memory that may be several pages which happen to follow each other.
fn peek_all(phys: u64, bytes: &mut [u8]) {
    if peek(phys, bytes) {
        return;
    }
    let mut at = phys;
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = rest.len().min(4096 - (at % 4096) as usize);
        let (now, later) = rest.split_at_mut(n);
        assert!(peek(at, now), "the device reads where no memory is: {at:#x}");
        at += n as u64;
        rest = later;
    }
}
