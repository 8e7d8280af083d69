//! What has to be known before there is a heap: the loader's information, copied into fixed buffers before
//! anything can overwrite it, and memory for the first tables.
//!
//! The loader's structures (PVH start info: magic, version, modules, command line, RSDP, memory map) may lie in
//! memory that the map calls free, even on the firmware's stack, so they are read once, here, and never again.

use super::map::Map;
use super::modules::{self, Modules};
use super::paging::{self, DIRECT};
use crate::amd64::BootParams;
use crate::amd64::lock::Lock;
use crate::firmware::fwcfg;
use crate::types::{MOST_COMMAND_LINE, RangeKind};
use core::ptr;

/// The bootstrap tables reach this far.
const REACH: u64 = 4 << 30;
const MAGIC: u32 = 0x336e_c578;
/// Everything below stays out of the allocator: firmware data, and the start-up page of further processors.
const LOW: u64 = 1 << 20;
const PAGE: u64 = 4096;
/// SeaBIOS's loader has a buffer of this length. A longer command line is written over what lies behind it, the start
/// info for one.
const CMDLINE: usize = MOST_COMMAND_LINE;
/// More modules are not even looked at.
const MOST_NAMED: u32 = 64;

/// The loader's information, and the memory that is free.
pub(crate) struct Early {
    cmdline: [u8; CMDLINE],
    cmdline_len: usize,
    /// Bytes of the whole command line, where not all of it is here.
    pub cmdline_cut: Option<usize>,
    /// What the loader brought.
    pub modules: Modules,
    /// ACPI's root pointer, 0 if unknown.
    pub rsdp: u64,
    /// The clean memory map.
    pub map: Map,
    /// Free whole pages.
    pub free: Map,
    /// Bytes handed out by `carve`.
    pub carved: u64,
}

/// The one value; a static, since it is too large for the boot stack. Locked by `init` only.
pub(crate) static EARLY: Lock<Early> = Lock::new(Early {
    cmdline: [0; CMDLINE],
    cmdline_len: 0,
    cmdline_cut: None,
    modules: Modules::new(),
    rsdp: 0,
    map: Map::new(),
    free: Map::new(),
    carved: 0,
});

impl Early {
    /// Copies what the loader left.
    ///
    /// # Safety
    /// The bootstrap tables are active (physical memory below 4 GiB is readable at `DIRECT`), and nothing has been
    /// written to memory outside the kernel image.
    pub unsafe fn copy(&mut self, params: &BootParams) {
        let info = params.start_info;
        let said = fwcfg::command_line_len();
        if read32(info) != MAGIC {
            match said {
                Some(len) if len > CMDLINE => crate::amd64::refuse(format_args!(
                    "the command line (-append) has {len} bytes; QEMU's loader has room for {CMDLINE}, and has \
                     overwritten what it was to tell"
                )),
                _ => crate::amd64::refuse(format_args!(
                    "this loader is no PVH loader: it tells nothing at {info:#x}"
                )),
            }
        }
        self.rsdp = read64(info + 32);
        self.copy_cmdline(read64(info + 24), said);
        self.copy_map(read64(info + 40), read32(info + 48));
        self.copy_modules(read64(info + 16), read32(info + 12));
        self.find_free();
    }

    /// Copies the command line, which is so long if that is known.
    fn copy_cmdline(&mut self, at: u64, said: Option<usize>) {
        if at == 0 {
            return;
        }
        for (i, slot) in self.cmdline.iter_mut().enumerate() {
            match read8(at.saturating_add(i as u64)) {
                0 => break,
                b => *slot = b,
            }
            self.cmdline_len = i + 1;
        }
        // Where nobody says how long it is, it goes on when it has not ended.
        let more = || read8(at.saturating_add(CMDLINE as u64)) != 0;
        let whole = said.unwrap_or(self.cmdline_len + usize::from(self.cmdline_len == CMDLINE && more()));
        self.cmdline_cut = (whole > CMDLINE).then_some(whole);
    }

    fn copy_modules(&mut self, list: u64, count: u32) {
        for i in 0..u64::from(count.min(MOST_NAMED)) {
            let entry = list.saturating_add(32 * i);
            let (start, len) = (read64(entry), read64(entry.saturating_add(8)));
            self.modules.add(start, len, &self.map, paging::image(), paging::most());
        }
    }

    fn copy_map(&mut self, list: u64, count: u32) {
        let mut raw = Map::new();
        for i in 0..u64::from(count) {
            let entry = list + 24 * i;
            let kind = match read32(entry + 16) {
                1 => RangeKind::Ram,
                3 => RangeKind::AcpiReclaim,
                4 => RangeKind::AcpiNvs,
                5 => RangeKind::Bad,
                _ => RangeKind::Reserved,
            };
            raw.push(read64(entry), read64(entry + 8), kind);
        }
        self.map = raw.clean();
    }

    fn find_free(&mut self) {
        let (image_start, image_end) = paging::image();
        let mut taken = [(0, 0); modules::MAX + 2];
        taken[0] = (0, LOW);
        taken[1] = (image_start, image_end);
        for (slot, (start, len)) in taken[2..].iter_mut().zip(self.modules.used()) {
            *slot = (start, start + len);
        }
        self.free = self.map.free(&taken);
    }

    /// The command line's bytes.
    pub fn cmdline(&self) -> &[u8] {
        &self.cmdline[..self.cmdline_len]
    }

    /// What the direct map has to cover: memory of the map, and the pages of modules, whatever the map calls those.
    pub fn memory(&self) -> Map {
        let mut all = Map::new();
        for r in
            self.map.ranges().iter().filter(|r| matches!(r.kind, RangeKind::Ram | RangeKind::AcpiReclaim))
        {
            let first = r.start.div_ceil(PAGE) * PAGE;
            let last = (r.start + r.len) / PAGE * PAGE;
            all.push(first, last.saturating_sub(first), RangeKind::Ram);
        }
        for (start, len) in self.modules.used() {
            let first = start / PAGE * PAGE;
            all.push(first, (start + len).div_ceil(PAGE) * PAGE - first, RangeKind::Ram);
        }
        all.clean()
    }

    /// Takes zeroed memory for good, for tables that must exist before the allocator. Returns its physical address.
    pub fn carve(&mut self, bytes: u64) -> u64 {
        let start = self.carve_unzeroed(bytes);
        // SAFETY: the memory was free, lies below 4 GiB, and is ours now.
        unsafe {
            ptr::write_bytes((DIRECT + start) as *mut u8, 0, bytes.div_ceil(PAGE) as usize * PAGE as usize)
        };
        start
    }

    /// The same with whatever was in it.
    pub fn carve_unzeroed(&mut self, bytes: u64) -> u64 {
        let Some(start) = self.free.carve(bytes, REACH) else { panic!("no memory for the first tables") };
        self.carved += bytes.div_ceil(PAGE) * PAGE;
        start
    }
}

/// Reads a byte of physical memory through the bootstrap tables; zero beyond their reach.
fn read8(phys: u64) -> u8 {
    if phys >= REACH {
        return 0;
    }
    // SAFETY: the bootstrap tables, which are active as long as this is called (`Early::copy`), map it, whatever it
    // is. The loader, which has loaded the kernel too, is believed not to point to a device that does something when
    // it is read.
    unsafe { ptr::read_volatile((DIRECT + phys) as *const u8) }
}

fn read32(phys: u64) -> u32 {
    u32::from_le_bytes(core::array::from_fn(|i| read8(phys.saturating_add(i as u64))))
}

fn read64(phys: u64) -> u64 {
    u64::from(read32(phys)) | u64::from(read32(phys.saturating_add(4))) << 32
}
