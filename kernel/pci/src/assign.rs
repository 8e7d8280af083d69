//! Giving addresses to base address registers that the firmware left at zero, as qboot does.
//!
//! What the firmware assigned stays. A function on a root bus gets what it lacks; a bridge behind which
//! anything is missing is laid out afresh with all that is behind it: its memory and port windows hold what the
//! functions there need, largest first, so that nothing is wasted on alignment (PCI-to-PCI Bridge Architecture
//! 1.2 section 3.2.5). Prefetchable memory goes into the plain window, which is allowed; the prefetchable
//! window is closed.
//!
//! Addresses come from the holes that QEMU's machines leave for PCI below 4 GiB, less whatever the memory map,
//! the configuration window and the firmware already use. What does not fit stays without an address, and its
//! driver says so.

use crate::bar::{self, Bar};
use crate::{Function, Windows};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use machine::pci_config::Segment;

/// Bridge: I/O base and limit, one byte each, in units of 4 KiB.
const IO_WINDOW: u16 = 0x1C;
/// Bridge: memory base and limit, two bytes each, in units of 1 MiB.
const MEMORY_WINDOW: u16 = 0x20;
/// Bridge: prefetchable base and limit, with their upper halves behind.
const PREFETCH_WINDOW: u16 = 0x24;
/// Bridge: upper halves of the I/O base and limit.
const IO_UPPER: u16 = 0x30;

/// What an address is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Memory,
    Io,
}

impl Use {
    fn of(bar: &Bar) -> Use {
        if bar.is_memory() { Use::Memory } else { Use::Io }
    }

    /// Granularity of a bridge's window.
    fn grain(self) -> u64 {
        match self {
            Use::Memory => 1 << 20,
            Use::Io => 1 << 12,
        }
    }

    /// A request for more than this is not believed.
    fn most(self) -> u64 {
        match self {
            Use::Memory => 1 << 30,
            Use::Io => 1 << 12,
        }
    }
}

/// Takes addresses out of a list of free ones, whether they were free or not.
pub(super) fn subtract(free: &mut Vec<Range<u64>>, used: &Range<u64>) {
    if used.start >= used.end {
        return;
    }
    let mut left = Vec::with_capacity(free.len() + 1);
    for hole in free.iter() {
        left.push(hole.start..hole.end.min(used.start));
        left.push(hole.start.max(used.end)..hole.end);
    }
    left.retain(|r| r.start < r.end);
    *free = left;
}

/// Free addresses, ascending.
struct Free(Vec<Range<u64>>);

impl Free {
    fn remove(&mut self, used: &Range<u64>) {
        subtract(&mut self.0, used);
    }

    /// The lowest free place of this size and alignment, which is a power of two.
    fn take(&mut self, size: u64, align: u64) -> Option<u64> {
        if size == 0 {
            return None;
        }
        let start = self.0.iter().find_map(|hole| {
            let start = align_up(hole.start, align)?;
            (start.checked_add(size)? <= hole.end).then_some(start)
        })?;
        self.remove(&(start..start + size));
        Some(start)
    }
}

fn align_up(n: u64, align: u64) -> Option<u64> {
    Some(n.checked_add(align - 1)? & !(align - 1))
}

/// Gives every function what the firmware did not, as far as there is room.
pub(super) fn assign(space: &dyn Segment, functions: &mut [Function], windows: &Windows) {
    let mut plan = Plan {
        space,
        functions,
        memory: Free(windows.memory.clone()),
        io: Free(if space.has_ports() { windows.io.clone() } else { Vec::new() }),
    };
    let roots: Vec<usize> = (0..plan.functions.len()).filter(|&i| plan.bridge_of(i).is_none()).collect();
    let afresh: Vec<bool> = roots.iter().map(|&i| plan.is_bridge(i) && plan.lacks_below(i)).collect();
    for (&root, &afresh) in roots.iter().zip(&afresh) {
        plan.keep(root, !afresh);
    }
    for (&root, &afresh) in roots.iter().zip(&afresh) {
        plan.assign_function(root);
        if afresh {
            plan.assign_below(root);
        }
    }
}

struct Plan<'a> {
    space: &'a dyn Segment,
    functions: &'a mut [Function],
    memory: Free,
    io: Free,
}

/// What has to be placed on a bus: a register of a function, or the window of a bridge.
struct Item {
    function: usize,
    register: Option<usize>,
    size: u64,
    align: u64,
}

impl Plan<'_> {
    fn bridge_of(&self, i: usize) -> Option<usize> {
        self.functions.get(i).and_then(|f| f.bridge)
    }

    fn is_bridge(&self, i: usize) -> bool {
        self.functions.get(i).is_some_and(Function::is_bridge)
    }

    /// The functions directly behind a bridge. They come later in the list than it does.
    fn children(&self, bridge: usize) -> Vec<usize> {
        (bridge..self.functions.len()).filter(|&i| self.bridge_of(i) == Some(bridge)).collect()
    }

    /// Registers of a function that want an address of this use, with their number.
    fn registers(&self, i: usize, usage: Use) -> Vec<(usize, Bar)> {
        let bars = self.functions.get(i).map_or([None; 6], |f| f.bars);
        let bars = bars.into_iter().enumerate().filter_map(|(n, bar)| Some((n, bar?)));
        bars.filter(|(_, bar)| Use::of(bar) == usage && bar.size <= usage.most()).collect()
    }

    fn lacks(&self, i: usize) -> bool {
        let io = self.space.has_ports();
        let lacks = |usage| self.registers(i, usage).iter().any(|(_, bar)| bar.address == 0);
        lacks(Use::Memory) || io && lacks(Use::Io)
    }

    /// Whether anything behind a bridge has no address.
    fn lacks_below(&self, bridge: usize) -> bool {
        self.children(bridge).into_iter().any(|i| self.lacks(i) || self.is_bridge(i) && self.lacks_below(i))
    }

    /// Marks as used what a function and, with `below`, the windows of a bridge occupy.
    fn keep(&mut self, i: usize, below: bool) {
        let Some(function) = self.functions.get(i) else { return };
        for bar in function.bars.iter().flatten().filter(|bar| bar.address != 0) {
            let used = bar.address..bar.address.saturating_add(bar.size);
            if bar.is_memory() { self.memory.remove(&used) } else { self.io.remove(&used) }
        }
        if !below || !function.is_bridge() {
            return;
        }
        let at = function.address;
        for window in [MEMORY_WINDOW, PREFETCH_WINDOW] {
            let start = u64::from(self.space.read16(at, window) & 0xFFF0) << 16;
            let end = u64::from(self.space.read16(at, window + 2) | 0xF) << 16 | 0xFFFF;
            if start != 0 && start < end {
                self.memory.remove(&(start..end + 1));
            }
        }
        let start = u64::from(self.space.read8(at, IO_WINDOW) & 0xF0) << 8;
        let end = u64::from(self.space.read8(at, IO_WINDOW + 1) & 0xF0) << 8 | 0xFFF;
        if start != 0 && start < end {
            self.io.remove(&(start..end + 1));
        }
    }

    /// Gives a function on a root bus what it lacks.
    fn assign_function(&mut self, i: usize) {
        for usage in [Use::Memory, Use::Io] {
            for (n, bar) in self.registers(i, usage) {
                if bar.address != 0 {
                    continue;
                }
                let free = if usage == Use::Memory { &mut self.memory } else { &mut self.io };
                if let Some(address) = free.take(bar.size, bar.size) {
                    self.set(i, n, address);
                }
            }
        }
    }

    /// Lays out everything behind a bridge of a root bus.
    fn assign_below(&mut self, bridge: usize) {
        for usage in [Use::Memory, Use::Io] {
            let (size, align) = self.measure(bridge, usage);
            let free = if usage == Use::Memory { &mut self.memory } else { &mut self.io };
            let start = free.take(size, align);
            self.place(bridge, usage, start, size);
        }
    }

    /// What is to be placed behind a bridge, largest alignment first.
    fn items(&self, bridge: usize, usage: Use) -> Vec<Item> {
        let mut items = vec![];
        for i in self.children(bridge) {
            for (n, bar) in self.registers(i, usage) {
                items.push(Item { function: i, register: Some(n), size: bar.size, align: bar.size });
            }
            if self.is_bridge(i) {
                let (size, align) = self.measure(i, usage);
                items.push(Item { function: i, register: None, size, align });
            }
        }
        // A stable sort: equal ones keep the order of the walk.
        items.sort_by_key(|item| core::cmp::Reverse(item.align));
        items
    }

    /// Size and alignment of the window a bridge needs; size 0 when it needs none.
    fn measure(&self, bridge: usize, usage: Use) -> (u64, u64) {
        let items = self.items(bridge, usage);
        let align = items.iter().map(|item| item.align).fold(usage.grain(), u64::max);
        let end = items.iter().try_fold(0u64, |at, item| align_up(at, item.align)?.checked_add(item.size));
        (end.and_then(|end| align_up(end, usage.grain())).unwrap_or(u64::MAX), align)
    }

    /// Opens a bridge's window at `start` and places everything behind it there; without a `start`, or with
    /// nothing to place, closes it.
    fn place(&mut self, bridge: usize, usage: Use, start: Option<u64>, size: u64) {
        let start = start.filter(|_| size != 0);
        self.open(bridge, usage, start.map(|start| start..start.saturating_add(size)));
        let mut at = start;
        for item in self.items(bridge, usage) {
            let place = at.and_then(|at| align_up(at, item.align));
            at = place.and_then(|place| place.checked_add(item.size));
            match item.register {
                // Without a place: the register goes back to zero, since the window it was in is gone.
                Some(n) => self.set(item.function, n, place.unwrap_or(0)),
                None => self.place(item.function, usage, place, item.size),
            }
        }
    }

    /// Programs a bridge's window. Base above limit closes it.
    fn open(&mut self, bridge: usize, usage: Use, window: Option<Range<u64>>) {
        let Some(at) = self.functions.get(bridge).map(|f| f.address) else { return };
        let (base, limit) = match window {
            Some(window) => (window.start, window.end - 1),
            None => (0xFFFF_FFFF, 0),
        };
        match usage {
            Use::Memory => {
                let base = (base >> 16) as u32 & 0xFFF0;
                let limit = (limit >> 16) as u32 & 0xFFF0;
                self.space.write32(at, MEMORY_WINDOW, base | limit << 16);
                self.space.write32(at, PREFETCH_WINDOW, 0x0000_FFF0);
                self.space.write32(at, PREFETCH_WINDOW + 4, 0);
                self.space.write32(at, PREFETCH_WINDOW + 8, 0);
            }
            Use::Io => {
                let base = (base >> 8) as u8 & 0xF0;
                let limit = (limit >> 8) as u8 & 0xF0;
                self.space.write8(at, IO_WINDOW, base);
                self.space.write8(at, IO_WINDOW + 1, limit);
                self.space.write32(at, IO_UPPER, 0);
            }
        }
    }

    /// Gives one register an address.
    fn set(&mut self, i: usize, n: usize, address: u64) {
        let Some(function) = self.functions.get_mut(i) else { return };
        let at = function.address;
        if let Some(Some(bar)) = function.bars.get_mut(n)
            && bar.address != address
        {
            bar.address = address;
            bar::write(self.space, at, n, bar);
        }
    }
}
