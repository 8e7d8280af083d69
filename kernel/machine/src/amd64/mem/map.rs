//! The memory map as arithmetic: what loaders report is unsorted, overlapping and odd; what comes out is ascending,
//! disjoint and, where asked, cut to whole pages. No heap, no hardware: tested on the host.

use crate::types::{Range, RangeKind};

/// Most stretches a map can have; loaders report about ten.
pub const MAX: usize = 64;
const PAGE: u64 = 4096;

/// A list of stretches with a fixed capacity, since it exists before the heap.
#[derive(Clone, Debug)]
pub struct Map {
    ranges: [Range; MAX],
    n: usize,
}

impl Map {
    /// An empty map.
    pub const fn new() -> Map {
        Map { ranges: [Range { start: 0, len: 0, kind: RangeKind::Reserved }; MAX], n: 0 }
    }

    /// Adds a stretch. Empty ones are nothing; beyond the capacity stretches are dropped (memory is lost, nothing
    /// breaks); ends beyond the address space are cut.
    pub fn push(&mut self, start: u64, len: u64, kind: RangeKind) {
        let len = len.min(u64::MAX - start);
        if len > 0
            && let Some(slot) = self.ranges.get_mut(self.n)
        {
            *slot = Range { start, len, kind };
            self.n += 1;
        }
    }

    /// The stretches.
    pub fn ranges(&self) -> &[Range] {
        &self.ranges[..self.n]
    }

    /// The same memory as ascending, disjoint stretches, neighbours of one kind joined. Where stretches overlap
    /// the most cautious kind wins: memory is free only if nobody says otherwise.
    pub fn clean(&self) -> Map {
        let mut out = Map::new();
        let mut at = 0;
        while let Some((end, kind)) = self.piece(at) {
            if let Some(kind) = kind {
                out.join(at, end, kind);
            }
            at = end;
        }
        out
    }

    /// The kind of memory at `at` and where the next edge is; nothing when there is no more edge.
    fn piece(&self, at: u64) -> Option<(u64, Option<RangeKind>)> {
        let mut next = None;
        let mut kind = None;
        for r in self.ranges() {
            let end = r.start + r.len;
            for edge in [r.start, end] {
                if edge > at && next.is_none_or(|n| edge < n) {
                    next = Some(edge);
                }
            }
            if r.start <= at && at < end && kind.is_none_or(|k| caution(r.kind) > caution(k)) {
                kind = Some(r.kind);
            }
        }
        next.map(|n| (n, kind))
    }

    /// Appends a stretch, or lengthens the last one.
    fn join(&mut self, start: u64, end: u64, kind: RangeKind) {
        if let Some(last) = self.ranges[..self.n].last_mut()
            && last.kind == kind
            && last.start + last.len == start
        {
            last.len = end - last.start;
            return;
        }
        self.push(start, end - start, kind);
    }

    /// Whole pages of RAM in a clean map that no `taken` stretch (start, end) touches.
    pub fn free(&self, taken: &[(u64, u64)]) -> Map {
        let mut marked = self.clone();
        for &(start, end) in taken {
            let start = start & !(PAGE - 1);
            marked.push(start, end.max(start).div_ceil(PAGE) * PAGE - start, RangeKind::Reserved);
        }
        let mut out = Map::new();
        for r in marked.clean().ranges() {
            let first = r.start.div_ceil(PAGE) * PAGE;
            let last = (r.start + r.len) / PAGE * PAGE;
            if r.kind == RangeKind::Ram && first < last {
                out.push(first, last - first, RangeKind::Ram);
            }
        }
        out
    }

    /// Takes `bytes` (made whole pages) from the end of the largest stretch that lies below `limit`.
    pub fn carve(&mut self, bytes: u64, limit: u64) -> Option<u64> {
        let bytes = bytes.div_ceil(PAGE) * PAGE;
        let fits = |r: &&mut Range| r.len >= bytes && r.start + r.len <= limit;
        let r = self.ranges[..self.n].iter_mut().filter(fits).max_by_key(|r| r.len)?;
        r.len -= bytes;
        Some(r.start + r.len)
    }
}

fn caution(kind: RangeKind) -> u8 {
    match kind {
        RangeKind::Ram => 0,
        RangeKind::AcpiReclaim => 1,
        RangeKind::AcpiNvs => 2,
        RangeKind::Reserved => 3,
        RangeKind::Bad => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(list: &[(u64, u64, RangeKind)]) -> Map {
        let mut m = Map::new();
        for &(start, end, kind) in list {
            m.push(start, end - start, kind);
        }
        m
    }

    fn seen(m: &Map) -> Vec<(u64, u64, RangeKind)> {
        m.ranges().iter().map(|r| (r.start, r.start + r.len, r.kind)).collect()
    }

    use RangeKind::{AcpiReclaim, Ram, Reserved};

    #[test]
    fn unsorted_empty_and_overlapping_entries_become_a_clean_map() {
        let m = map(&[
            (0x10_0000, 0x2000_0000, Ram),
            (0xf_0000, 0x10_0000, Reserved),
            (0, 0, Ram),
            (0, 0x9_fc00, Ram),
            (0x1ffe_0000, 0x2000_0000, AcpiReclaim),
            (0x2000_0000, 0x2100_0000, Ram),
            (0x1_0000_0000, 0x1_4000_0000, Ram),
        ]);
        assert_eq!(
            seen(&m.clean()),
            [
                (0, 0x9_fc00, Ram),
                (0xf_0000, 0x10_0000, Reserved),
                (0x10_0000, 0x1ffe_0000, Ram),
                (0x1ffe_0000, 0x2000_0000, AcpiReclaim),
                (0x2000_0000, 0x2100_0000, Ram),
                (0x1_0000_0000, 0x1_4000_0000, Ram),
            ]
        );
    }

    #[test]
    fn neighbours_of_one_kind_join() {
        assert_eq!(
            seen(&map(&[(0x2000, 0x3000, Ram), (0x1000, 0x2000, Ram)]).clean()),
            [(0x1000, 0x3000, Ram)]
        );
    }

    #[test]
    fn lengths_beyond_the_address_space_are_cut() {
        let mut m = Map::new();
        m.push(u64::MAX - 10, 100, Reserved);
        assert_eq!(seen(&m.clean()), [(u64::MAX - 10, u64::MAX, Reserved)]);
    }

    #[test]
    fn free_memory_is_whole_pages_outside_what_is_taken() {
        let m = map(&[(0, 0x9_fc00, Ram), (0x10_0000, 0x80_0000, Ram)]).clean();
        let free = m.free(&[(0, 0x10_0000), (0x20_0010, 0x20_1001), (0x7f_ffff, 0x7f_ffff)]);
        assert_eq!(seen(&free), [(0x10_0000, 0x20_0000, Ram), (0x20_2000, 0x7f_f000, Ram)]);
    }

    #[test]
    fn carving_takes_the_end_of_the_largest_stretch_below_the_limit() {
        let mut m =
            map(&[(0x1000, 0x8000, Ram), (0x10_0000, 0x20_0000, Ram), (0x1_0000_0000, 0x2_0000_0000, Ram)]);
        assert_eq!(m.carve(0x1001, 0x1_0000_0000), Some(0x1f_e000));
        assert_eq!(m.carve(0x1000, 0x8000), Some(0x7000));
        assert_eq!(m.carve(0x1000_0000, 0x1_0000_0000), None);
    }

    #[test]
    fn a_full_map_loses_entries_without_breaking() {
        let mut m = Map::new();
        for i in 0..MAX as u64 + 10 {
            m.push(i * 0x2000, 0x1000, Ram);
        }
        assert_eq!(m.clean().ranges().len(), MAX);
    }
}
