//! Which of the modules that a loader names can be used, as arithmetic on the memory map. No heap, no hardware: tested
//! on the host.
//!
//! A loader puts a module where it finds room, and the map that the firmware left may call that memory reserved: with
//! SeaBIOS on QEMU's microvm, `-initrd` lies in the topmost part of memory, which SeaBIOS keeps for its own tables. So
//! what counts is that there is memory, not what the map calls it.

use super::map::Map;
use crate::types::{RangeKind, RefusedModule};

/// Most modules that are used.
pub const MAX: usize = 16;

/// What became of the loader's list.
#[derive(Clone, Debug)]
pub struct Modules {
    used: [(u64, u64); MAX],
    used_len: usize,
    refused: [RefusedModule; MAX],
    refused_len: usize,
}

impl Modules {
    /// None at all.
    pub const fn new() -> Modules {
        let nothing = RefusedModule { start: 0, len: 0, reason: "" };
        Modules { used: [(0, 0); MAX], used_len: 0, refused: [nothing; MAX], refused_len: 0 }
    }

    /// Takes the next module of the list: `len` bytes from the physical address `start`. `map` is the clean memory map,
    /// `image` the kernel's own place, `limit` one past the last address that can be mapped. What cannot be used is
    /// remembered with the reason, as far as there is room for that.
    pub fn add(&mut self, start: u64, len: u64, map: &Map, image: (u64, u64), limit: u64) {
        let reason = match start.checked_add(len).filter(|end| *end <= limit) {
            _ if len == 0 => "it is empty",
            None => "it ends beyond the addresses that there are",
            Some(end) if start < image.1 && image.0 < end => "it overlaps the kernel",
            Some(end) if !is_memory(map, start, end) => "there is no memory",
            Some(_) if self.used_len == MAX => "there are too many modules before it",
            Some(_) => {
                self.used[self.used_len] = (start, len);
                self.used_len += 1;
                return;
            }
        };
        if let Some(slot) = self.refused.get_mut(self.refused_len) {
            *slot = RefusedModule { start, len, reason };
            self.refused_len += 1;
        }
    }

    /// Those that are used: physical address and length, in the loader's order.
    pub fn used(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.used[..self.used_len].iter().copied()
    }

    /// Those that are not.
    pub fn refused(&self) -> &[RefusedModule] {
        &self.refused[..self.refused_len]
    }
}

/// Whether there is memory at every address from `start` to `end` (which is larger). The map says so of RAM; what it
/// calls something else (but bad) is memory if it joins on to RAM without a gap, since firmware keeps parts of the
/// memory that it found. Registers of devices are in no map, or stand apart.
fn is_memory(map: &Map, start: u64, end: u64) -> bool {
    let mut block = (0, 0);
    let mut has_ram = false;
    for r in map.ranges() {
        if r.kind == RangeKind::Bad || r.start != block.1 {
            if has_ram && block.0 <= start && end <= block.1 {
                return true;
            }
            block = (r.start, r.start);
            has_ram = false;
        }
        if r.kind != RangeKind::Bad {
            block.1 = r.start + r.len;
            has_ram |= r.kind == RangeKind::Ram;
        } else {
            block = (r.start + r.len, r.start + r.len);
        }
    }
    has_ram && block.0 <= start && end <= block.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use RangeKind::{AcpiNvs, Bad, Ram, Reserved};

    const IMAGE: (u64, u64) = (0x10_0000, 0x60_0000);
    const LIMIT: u64 = 1 << 40;

    fn add(list: &[(u64, u64)]) -> Modules {
        // As SeaBIOS leaves it on microvm with 256 MiB, and some memory above 4 GiB.
        let mut map = Map::new();
        for (start, end, kind) in [
            (0, 0x9_fc00, Ram),
            (0x9_fc00, 0xa_0000, Reserved),
            (0xf_0000, 0x10_0000, Reserved),
            (0x10_0000, 0x0ffe_0000, Ram),
            (0x0ffe_0000, 0x1000_0000, Reserved),
            (0x2000_0000, 0x2000_1000, Ram),
            (0x2000_1000, 0x2000_2000, Bad),
            (0x2000_2000, 0x2000_3000, AcpiNvs),
            (0xb000_0000, 0xc000_0000, Reserved),
            (0x1_0000_0000, 0x1_4000_0000, Ram),
        ] {
            map.push(start, end - start, kind);
        }
        let mut modules = Modules::new();
        let map = map.clean();
        list.iter().for_each(|&(start, len)| modules.add(start, len, &map, IMAGE, LIMIT));
        modules
    }

    fn refusal(start: u64, len: u64) -> Option<&'static str> {
        let modules = add(&[(start, len)]);
        assert_eq!(modules.used().count() + modules.refused().len(), 1);
        modules.refused().first().map(|r| {
            assert_eq!((r.start, r.len), (start, len));
            r.reason
        })
    }

    #[test]
    fn what_the_firmware_kept_of_memory_is_memory() {
        for (start, len) in [
            (0x0fff_d000, 0x2800),        // in what SeaBIOS keeps
            (0x0600_0000, 0x0a00_0000),   // up to the last byte, over the border
            (0x0ffd_ff00, 0x200),         // across it
            (0x60_0000, 1),               // right behind the kernel
            (0x9_f000, 0x1000),           // below the hole of the PC
            (0x1_0000_0000, 0x4000_0000), // above 4 GiB, all of it
        ] {
            assert_eq!(refusal(start, len), None, "{start:#x} {len:#x}");
        }
    }

    #[test]
    fn what_cannot_be_used_has_a_reason() {
        for (start, len, reason) in [
            (0x0fff_0000, 0, "it is empty"),
            (u64::MAX - 5, 10, "it ends beyond the addresses that there are"),
            (LIMIT - 5, 10, "it ends beyond the addresses that there are"),
            (0x0f_0000, 0x20_0000, "it overlaps the kernel"),
            (0x5f_ffff, 1, "it overlaps the kernel"),
            (0x0fff_f000, 0x1001, "there is no memory"), // a byte too long
            (0x9_f000, 0x2000, "there is no memory"),    // into the hole
            (0xb000_0000, 0x1000, "there is no memory"), // reserved by itself: a bus, not memory
            (0x2000_0000, 0x1001, "there is no memory"), // into what is bad
            (0x2000_2000, 0x1000, "there is no memory"), // behind what is bad
            (0x3000_0000, 0x1000, "there is no memory"),
        ] {
            assert_eq!(refusal(start, len), Some(reason), "{start:#x} {len:#x}");
        }
    }

    #[test]
    fn the_order_stays_and_the_numbers_are_bounded() {
        let list: Vec<_> = (0..40u64).map(|i| (0x100_0000 + i * 0x1000, 0x1000)).collect();
        let modules = add(&list);
        assert!(modules.used().eq(list[..MAX].iter().copied()));
        let refused: Vec<_> = modules.refused().iter().map(|r| (r.start, r.reason)).collect();
        assert_eq!(refused.len(), MAX);
        assert_eq!(refused[0], (list[MAX].0, "there are too many modules before it"));
    }
}
