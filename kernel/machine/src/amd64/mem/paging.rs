//! The kernel's half of every address space.
//!
//! | from | what |
//! |---|---|
//! | `DIRECT` | RAM and the loader's modules: writable (but not the kernel's text and constants), large pages |
//! | `DEVICES` | device registers, uncached, mapped when first asked for and then for good |
//! | `STACKS` | kernel stacks, each with unmapped pages below |
//! | `HEAP` | blocks of the heap, made of single frames (`window`) |
//! | `IMAGE` | the kernel: text R+X, constants R, data R+W; a hole below the boot stack |
//!
//! The root entries never change after `init`, so every program's address space copies them once.
//! `KERNEL` guards the tables below them.

use super::early::Early;
use super::frames;
use super::map::Map;
use super::tables::{self, NO_EXECUTE, PAGE, Table, UNCACHED, WRITE};
use crate::amd64::lock::Lock;
use crate::heap;
use crate::types::IoError;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::Once;
use x86_64::PhysAddr;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::registers::model_specific::{Efer, EferFlags};
use x86_64::structures::paging::PhysFrame;

/// The direct map of physical memory.
pub const DIRECT: u64 = 0xffff_8000_0000_0000;
/// Bytes of physical address space the direct map has room for.
const DIRECT_SIZE: u64 = 1 << 45;
/// The window for device registers, 512 GiB.
const DEVICES: u64 = 0xffff_c000_0000_0000;
/// The window for kernel stacks, 512 GiB.
pub const STACKS: u64 = 0xffff_d000_0000_0000;
/// The window for blocks of the heap, 512 GiB.
pub const HEAP: u64 = 0xffff_e000_0000_0000;
/// Where the kernel is linked.
const IMAGE: u64 = 0xffff_ffff_8000_0000;
/// Where a PC's firmware has its own memory, below which are the registers of the screen.
const FIRMWARE: Range<u64> = 0xc_0000..0x10_0000;
/// What one root entry covers.
const WINDOW: u64 = tables::span(4);

unsafe extern "C" {
    static __image_start: u8;
    static __text_start: u8;
    static __data_start: u8;
    static __image_end: u8;
    static boot_stack_guard: u8;
    static boot_stack_top: u8;
}

/// Physical address of the kernel's root table.
static ROOT: AtomicU64 = AtomicU64::new(0);
/// `NO_EXECUTE`, or 0 on a processor without it.
static NX: AtomicU64 = AtomicU64::new(0);
/// Where the direct map ends, relative to its start.
static DIRECT_END: AtomicU64 = AtomicU64::new(0);

/// What the direct map covers.
static MEMORY: Once<Map> = Once::new();
/// The whole memory map.
static TOLD: Once<Map> = Once::new();

/// What the tables below the root hold beyond what `init` put there.
struct Kernel {
    /// Device mappings made so far: physical page, length, virtual address.
    devices: Vec<(u64, u64, u64)>,
    /// Next free address in the device window.
    next: u64,
}

static KERNEL: Lock<Kernel> = Lock::new(Kernel { devices: Vec::new(), next: DEVICES });

/// Physical addresses of the kernel image: start and end.
pub fn image() -> (u64, u64) {
    (&raw const __image_start as u64 - IMAGE, &raw const __image_end as u64 - IMAGE)
}

/// Physical address of something in the kernel image.
pub fn image_phys(va: u64) -> u64 {
    va - IMAGE
}

/// The boot stack: lowest address, highest address, and the guard page's address.
pub fn boot_stack() -> (u64, u64, u64) {
    let guard = &raw const boot_stack_guard as u64;
    (guard + PAGE, &raw const boot_stack_top as u64, guard)
}

/// Where the kernel's text begins.
pub fn text_start() -> u64 {
    &raw const __text_start as u64
}

/// The kernel's text, to the end of its last page.
pub fn text() -> Range<u64> {
    &raw const __text_start as u64..&raw const __data_start as u64
}

/// The kernel's constants, from the image's first page to its text.
pub fn constants() -> Range<u64> {
    IMAGE + image().0..text_start()
}

/// Whether an address is in the kernel's text.
pub fn is_text(va: u64) -> bool {
    text().contains(&va)
}

/// The bit that forbids execution, 0 where the processor has none.
#[inline]
pub fn nx() -> u64 {
    NX.load(Ordering::Relaxed)
}

/// Builds the final tables and switches to them.
///
/// # Safety
/// Once, at boot, on the bootstrap tables.
pub(crate) unsafe fn init(early: &mut Early) {
    if Efer::read().contains(EferFlags::NO_EXECUTE_ENABLE) {
        NX.store(NO_EXECUTE, Ordering::Relaxed);
    }
    let data = WRITE | nx();
    let (image_start, image_end) = image();
    let text = &raw const __text_start as u64;
    let data_start = &raw const __data_start as u64;
    let guard = &raw const boot_stack_guard as u64;
    let max_level = if huge_pages() { 3 } else { 2 };

    let root_phys = early.carve(PAGE);
    // SAFETY: a fresh zeroed frame of ours, below 4 GiB.
    let root = unsafe { Table::at(root_phys) };
    let memory = early.memory();
    MEMORY.call_once(|| memory.clone());
    TOLD.call_once(|| early.map.clone());
    let mut alloc = || Some(early.carve(PAGE));
    let alloc: &mut dyn FnMut() -> Option<u64> = &mut alloc;

    let mut end = 0;
    for r in memory.ranges() {
        let first = r.start.min(DIRECT_SIZE);
        let last = (r.start + r.len).min(DIRECT_SIZE);
        // What lies in the image before its data is not writable by this way either.
        let cuts = [
            first,
            image_start.clamp(first, last.max(first)),
            (data_start - IMAGE).clamp(first, last.max(first)),
            last,
        ];
        for (i, w) in cuts.windows(2).enumerate() {
            let flags = if i == 1 { nx() } else { data };
            if w[0] < w[1] {
                must(root.map(DIRECT + w[0], w[0], w[1] - w[0], flags, max_level, alloc));
            }
        }
        end = last.max(end);
    }
    DIRECT_END.store(end, Ordering::Relaxed);

    let image_va = IMAGE + image_start;
    must(root.map(image_va, image_start, text - image_va, nx(), 1, alloc));
    must(root.map(text, text - IMAGE, data_start - text, 0, 1, alloc));
    must(root.map(data_start, data_start - IMAGE, guard - data_start, data, 1, alloc));
    let above = guard + PAGE;
    must(root.map(above, above - IMAGE, IMAGE + image_end - above, data, 1, alloc));

    for window in [DEVICES, STACKS, HEAP] {
        must(root.make(window, 3, WRITE, alloc).map(|_| ()));
    }
    ROOT.store(root_phys, Ordering::Release);
    // SAFETY: the new tables map the running code, its data and stack, and all the memory in use, at the same
    // addresses.
    unsafe { load(root_phys) };
}

/// Ends the boot when the memory for a table was missing.
fn must(mapped: Option<()>) {
    assert!(mapped.is_some(), "the kernel's page tables could not be built");
}

/// Whether the processor has 1 GiB pages.
fn huge_pages() -> bool {
    let max = core::arch::x86_64::__cpuid(0x8000_0000).eax;
    max >= 0x8000_0001 && core::arch::x86_64::__cpuid(0x8000_0001).edx >> 26 & 1 == 1
}

/// One past the last physical address that the processor has. An entry with more bits faults when it is used.
fn phys_limit() -> u64 {
    let max = core::arch::x86_64::__cpuid(0x8000_0000).eax;
    let bits = if max >= 0x8000_0008 { core::arch::x86_64::__cpuid(0x8000_0008).eax & 0xff } else { 36 };
    1 << bits.clamp(32, 52)
}

/// One past the last physical address that the direct map can have.
pub fn most() -> u64 {
    phys_limit().min(DIRECT_SIZE)
}

/// Makes a root table the active one.
///
/// # Safety
/// It holds the kernel's entries and stays a table while active.
pub unsafe fn load(root: u64) {
    // SAFETY: the caller's promise.
    unsafe { Cr3::write(PhysFrame::containing_address(PhysAddr::new(root)), Cr3Flags::empty()) };
}

/// Physical address of the kernel's own root table.
pub fn root() -> u64 {
    ROOT.load(Ordering::Acquire)
}

/// The kernel's root table.
pub fn table() -> Table {
    // SAFETY: `init` built it; it is never freed.
    unsafe { Table::at(root()) }
}

/// Copies the kernel's root entries into a program's root table.
pub fn share_with(other: Table) {
    each_root_entry(|index| {
        other.slot(index).store(table().slot(index).load(Ordering::Relaxed), Ordering::Relaxed);
    });
}

/// Takes them out of it again.
pub fn withdraw_from(other: Table) {
    each_root_entry(|index| other.slot(index).store(0, Ordering::Relaxed));
}

fn each_root_entry(f: impl Fn(u64)) {
    for va in [DIRECT, DEVICES, STACKS, HEAP, IMAGE] {
        let windows = if va == DIRECT { DIRECT_END.load(Ordering::Relaxed).div_ceil(WINDOW) } else { 1 };
        (0..windows).for_each(|i| f(Table::index(va + i * WINDOW, 4)));
    }
}

/// The direct map's address of physical memory, if all of it is covered.
pub fn direct(phys: u64, len: u64) -> Option<u64> {
    let end = phys.checked_add(len)?;
    if end > DIRECT_END.load(Ordering::Relaxed) {
        return None;
    }
    let mut at = phys & !(PAGE - 1);
    while at < end {
        let (_, entry) = table().translate(DIRECT + at)?;
        let size = if entry & tables::LARGE != 0 { tables::span(2) } else { PAGE };
        at = (at & !(size - 1)) + size;
    }
    Some(DIRECT + phys)
}

/// Whether there is memory anywhere from the address `first` to `last`, as far as the direct map goes.
pub fn is_memory(first: u64, last: u64) -> bool {
    let memory = MEMORY.get().map_or(&[][..], Map::ranges);
    memory.iter().any(|r| r.start <= last && first < r.start + r.len)
}

/// Whether all of `start` to `end` is the firmware's: in the last part of the first megabyte, or in one stretch of the
/// memory map, whatever it is called there.
pub fn is_told(start: u64, end: u64) -> bool {
    let told = TOLD.get().map_or(&[][..], Map::ranges);
    (FIRMWARE.start <= start && end <= FIRMWARE.end)
        || told.iter().any(|r| r.start <= start && end <= r.start + r.len)
}

/// Maps device registers; returns the virtual address of the first byte. There may be nothing at the address, but it
/// must be one that the processor has: firmware, devices and the command line name all kinds.
pub fn map_device(phys: u64, len: usize) -> Result<usize, IoError> {
    let first = phys & !(PAGE - 1);
    let end = phys.checked_add(len as u64).filter(|e| *e <= phys_limit()).ok_or(IoError::NoSuchAddress)?;
    let bytes = end.div_ceil(PAGE) * PAGE - first;
    let inside = |d: &&(u64, u64, u64)| d.0 <= first && first + bytes <= d.0 + d.1;
    // The heap takes this lock while it holds its own, so room in the list is made, and the old one freed, without it.
    let mut room = Vec::new();
    let mut kernel = KERNEL.lock();
    loop {
        if let Some(&(start, _, va)) = kernel.devices.iter().find(inside) {
            return Ok((va + (phys - start)) as usize);
        }
        let (count, most) = (kernel.devices.len(), kernel.devices.capacity());
        if count < most {
            break;
        }
        if room.capacity() > count {
            room.append(&mut kernel.devices);
            core::mem::swap(&mut room, &mut kernel.devices);
            break;
        }
        drop(kernel);
        room = heap::try_vec(2 * most + 16).map_err(|_| IoError::OutOfMemory)?;
        kernel = KERNEL.lock();
    }
    let va = kernel.next;
    if bytes > DEVICES + WINDOW - va {
        return Err(IoError::OutOfMemory);
    }
    let flags = WRITE | UNCACHED | nx();
    table().map(va, first, bytes, flags, 1, &mut || frames::kernel_table()).ok_or(IoError::OutOfMemory)?;
    kernel.next = va + bytes;
    kernel.devices.push((first, bytes, va));
    Ok((va + (phys - first)) as usize)
}

/// The page table for an address of the heap's window or that of stacks, made if there is none. Its entries belong to
/// whose block or stack is there.
pub fn window_table(va: u64) -> Option<Table> {
    if let Ok(leaf) = table().leaf(va) {
        return Some(leaf);
    }
    let _kernel = KERNEL.lock();
    table().make(va, 1, WRITE, &mut || frames::kernel_table())?;
    table().leaf(va).ok()
}

/// Whether the kernel may read eight bytes at `va`: for backtraces over broken stacks.
pub fn is_readable(va: u64) -> bool {
    let is_device = (DEVICES..DEVICES + WINDOW).contains(&va); // where reading may do something
    va >= DIRECT && !is_device && va.is_multiple_of(8) && root() != 0 && table().translate(va).is_some()
}
