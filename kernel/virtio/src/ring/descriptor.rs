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

    /// All of them at once, if they are few: how many there are. None: they have to be told.
    #[inline]
    fn list(&self, _few: &mut [Segment; FEW]) -> Option<usize> {
        None
    }
}

/// Segments of a chain of few: those of a small read of a file server are a message, room for its head, a page, and
/// room for what an error has more.
pub const FEW: usize = 4;

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
        let mut few = [Segment { phys: 0, len: 0, write: false }; FEW];
        if let Some(count) = segments.list(&mut few) {
            return self.fill_few(tables, at, start, few.get(..count).unwrap_or_default());
        }
        // Each is written as if another one followed, and the last anew, when it is known to be.
        let (mut last, mut n, mut place) = (Segment { phys: 0, len: 0, write: false }, 0, start);
        segments.each(|segment| {
            n += 1;
            if n <= self.segments {
                write(tables, place, &segment, Some(n as u16));
                place += DESCRIPTOR;
                last = segment;
            }
        });
        if n == 0 || n > self.segments {
            return Err(Full);
        }
        if n == 1 {
            write(&self.ring, at, &last, None);
            return Ok(());
        }
        write(tables, place - DESCRIPTOR, &last, None);
        self.point_at(tables, at, start, n);
        Ok(())
    }

    /// The same of a list of them.
    #[inline]
    fn fill_few(&self, tables: &Dma, at: usize, start: usize, segments: &[Segment]) -> Result<(), Full> {
        match segments {
            [] => return Err(Full),
            [one] => write(&self.ring, at, one, None),
            many if many.len() > self.segments => return Err(Full),
            many => {
                for (n, segment) in many.iter().enumerate() {
                    let link = (n + 1 < many.len()).then_some(n as u16 + 1);
                    write(tables, start + n * DESCRIPTOR, segment, link);
                }
                self.point_at(tables, at, start, many.len());
            }
        }
        Ok(())
    }

    /// Writes the descriptor at `at` of a table of `count` at `start`: where it is, length, flags, and no next one.
    #[inline]
    fn point_at(&self, tables: &Dma, at: usize, start: usize, count: usize) {
        self.ring.set_u64(at, tables.phys() + start as u64);
        self.ring.set_u64(at + 8, (count * DESCRIPTOR) as u64 | u64::from(INDIRECT) << 32);
    }
}

/// Writes one descriptor, in two halves.
fn write(memory: &Dma, at: usize, segment: &Segment, link: Option<u16>) {
    let flags = if segment.write { WRITE } else { 0 } | if link.is_some() { NEXT } else { 0 };
    let rest = u64::from(flags) | u64::from(link.unwrap_or(0)) << 16;
    memory.set_u64(at, segment.phys);
    memory.set_u64(at + 8, u64::from(segment.len) | rest << 32);
}
