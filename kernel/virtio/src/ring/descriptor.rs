//! Descriptors in the memory that the device reads (virtio 1.3 sections 2.7.5 and 2.7.5.3): 16 bytes each, address,
//! length, flags, and which comes next.

use super::{Full, Queue};
use machine::dma::Dma;

/// Descriptor flag: another one follows.
pub(super) const NEXT: u16 = 1;
/// Descriptor flag: the device writes here.
pub(super) const WRITE: u16 = 2;
/// Descriptor flag: this is a table of descriptors.
pub(super) const INDIRECT: u16 = 4;
/// Bytes of a descriptor.
pub(super) const DESCRIPTOR: usize = 16;

/// A stretch of physical memory that a device reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Physical address.
    pub phys: u64,
    /// Bytes, not 0.
    pub len: u32,
    /// Whether the device writes it.
    pub write: bool,
}

/// The segments of a chain.
pub trait Segments {
    /// Tells them one after the other; the same ones each time.
    fn each(&self, put: impl FnMut(Segment));
}

/// Segments in a list.
pub(super) struct Listed<I>(pub I);

impl<I: Iterator<Item = Segment> + Clone> Segments for Listed<I> {
    #[inline]
    fn each(&self, put: impl FnMut(Segment)) {
        self.0.clone().for_each(put);
    }
}

impl<T> Queue<T> {
    /// Writes the chain into the descriptors that are free, in the order in which they are.
    pub(super) fn fill_direct(&self, head: u16, segments: &impl Segments, count: usize) {
        let (mut at, mut n) = (head, 0);
        segments.each(|segment| {
            n += 1;
            if n > count {
                return;
            }
            let next = self.next(at);
            let link = if n < count { Some(next) } else { None };
            write(&self.ring, usize::from(at) * DESCRIPTOR, &segment, link);
            at = next;
        });
    }

    /// Writes the chain into the table of descriptor `head`, and the table into the descriptor; a chain of one segment
    /// goes into the descriptor itself. The device looks at none of it yet.
    ///
    /// # Errors
    /// There are no segments, or more than the queue was made for.
    pub(super) fn fill_table(&self, head: u16, segments: &impl Segments) -> Result<(), Full> {
        let Some(tables) = &self.tables else { return Err(Full) };
        let at = usize::from(head) * DESCRIPTOR;
        let start = usize::from(head) * self.segments * DESCRIPTOR;
        // One is written when it is known whether another follows.
        let (mut last, mut n, mut fits) = (None, 0u16, true);
        segments.each(|segment| {
            let Some(before) = last.replace(segment) else { return };
            fits &= usize::from(n) + 1 < self.segments;
            if fits {
                n += 1;
                write(tables, start + usize::from(n - 1) * DESCRIPTOR, &before, Some(n));
            }
        });
        let Some(last) = last.filter(|_| fits) else { return Err(Full) };
        if n == 0 {
            write(&self.ring, at, &last, None);
            return Ok(());
        }
        write(tables, start + usize::from(n) * DESCRIPTOR, &last, None);
        self.ring.set_u64(at, tables.phys() + start as u64);
        self.ring.set_u32(at + 8, u32::from(n + 1) * DESCRIPTOR as u32);
        self.ring.set_u32(at + 12, u32::from(INDIRECT));
        Ok(())
    }
}

/// Writes one descriptor, in two halves.
fn write(memory: &Dma, at: usize, segment: &Segment, link: Option<u16>) {
    let flags = if segment.write { WRITE } else { 0 } | if link.is_some() { NEXT } else { 0 };
    let rest = u64::from(flags) | u64::from(link.unwrap_or(0)) << 16;
    memory.set_u64(at, segment.phys);
    memory.set_u64(at + 8, u64::from(segment.len) | rest << 32);
}
