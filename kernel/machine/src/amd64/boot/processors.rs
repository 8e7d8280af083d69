//! The other processors: finding them, starting them, and what each does first.
//!
//! QEMU: `-smp N`. ACPI's MADT lists the processors; where there is none (`-M microvm,acpi=off`) the older MP table,
//! or QEMU's fw_cfg, which says how many there are. Intel's Software Developer's Manual, volume 3, section 9.4 (INIT,
//! then start-up interrupts).
//!
//! They are started one after the other, late in the boot, and then halt, serving nothing but `flush`, until
//! [`release`] lets them look for threads: until then the boot context is alone and need not wait for anybody's lock.
//! The page in low memory where they begin gets its old contents back. A processor that does not answer in time is
//! reset, so that it cannot come later, and left alone.

use super::info;
use super::registers;
use crate::amd64::cpu::{self, CALLED, Cpu};
use crate::amd64::dev::lapic;
use crate::amd64::mem::frames;
use crate::amd64::mem::paging;
use crate::amd64::mem::paging::DIRECT;
use crate::amd64::mem::stack::Stack;
use crate::amd64::mem::tables::PAGE;
use crate::amd64::sched::balance;
use crate::amd64::sched::scheduler;
use crate::amd64::time::clock;
use crate::amd64::trap::desc;
use crate::firmware::{acpi, fwcfg, mptable};
use crate::types::{Range, RangeKind};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hint::spin_loop;
use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};
use x86_64::instructions::interrupts;
use x86_64::registers::model_specific::{Efer, EferFlags};

core::arch::global_asm!(include_str!("ap.S"), begin = sym begin, options(att_syntax));

unsafe extern "C" {
    static ap_start: u8;
    static ap_words: u8;
    static ap_end: u8;
    /// The bootstrap tables of boot/entry.S.
    static boot_pml4: u8;
}

/// Between the reset and the start-up, and before the second start-up, if the first was not heard.
const RESET_NS: u64 = 200_000;
const AGAIN_NS: u64 = 20_000_000;
/// A processor that has not come by then never will: a busy host may keep one of QEMU's threads waiting.
const PATIENCE_NS: u64 = 3_000_000_000;

/// A processor's stage after `CALLED`: it is there, or the boot processor has given it up.
const THERE: u32 = 1;
const GIVEN_UP: u32 = 2;

/// The processors may look for threads.
static RELEASED: AtomicBool = AtomicBool::new(false);

/// The words at the end of the copied code, as `ap.S` has them.
#[repr(C)]
struct Words {
    gdt_limit: u16,
    gdt_base: [u16; 2],
    filler: u16,
    far_offset: u32,
    far_selector: u16,
    filler2: u16,
    boot_root: u32,
    efer: u32,
    root: u64,
    stack: u64,
    cpu: u64,
}

/// What became of the machine's processors.
pub struct Processors {
    /// How many there are, the first among them.
    pub found: usize,
    /// Who told of them; nothing when nobody did.
    pub told_by: Option<&'static str>,
    /// APIC ids of those that did not start.
    pub silent: Vec<u32>,
}

/// Starts processors until `limit` are used, the calling one among them. To be called once, at boot.
///
/// # Panics
/// The second time: a start resets.
pub fn start_others(limit: usize) -> Processors {
    static ONCE: AtomicBool = AtomicBool::new(false);
    assert!(!ONCE.swap(true, Ordering::SeqCst), "the other processors have been started");
    let (told_by, mut ids) = find();
    let me = lapic::id();
    ids.sort_unstable();
    ids.dedup();
    ids.retain(|id| *id != me);
    let found = ids.len() + 1;
    let mut silent = Vec::new();
    if let Some(page) = low_page(&info::info().ram).filter(|_| limit > 1 && !ids.is_empty()) {
        let saved = copy_code(page);
        for id in ids {
            if cpu::count() >= limit.min(cpu::MAX) {
                break;
            }
            if id > lapic::MAX_ID || !start(page, id) {
                silent.push(id);
            }
        }
        restore(page, &saved);
    }
    Processors { found, told_by, silent }
}

/// Who tells of the machine's processors, and their APIC ids.
fn find() -> (Option<&'static str>, Vec<u32>) {
    if let Some(madt) = acpi::madt() {
        return (Some("ACPI"), madt.lapics.iter().filter(|l| l.enabled).map(|l| l.id).collect());
    }
    let table = mptable::find();
    // SeaBIOS's table has one processor of each package, qboot's the first alone. QEMU numbers from 0, without gaps
    // as long as packages and cores have a power of two in them, or there is one.
    match fwcfg::processors() {
        Some(n) if usize::from(n) > table.as_ref().map_or(0, Vec::len) => {
            (Some("fw_cfg"), (0..u32::from(n)).collect())
        }
        _ => (table.is_some().then_some("MP table"), table.unwrap_or_default()),
    }
}

/// Lets them look for threads.
pub(crate) fn release() {
    RELEASED.store(true, Ordering::SeqCst);
    for cpu in cpu::among(cpu::all_bits() & !cpu::this().bit()) {
        lapic::send(cpu.apic.load(Ordering::Relaxed), lapic::LOOK);
    }
}

/// A page of memory where a start-up can lead, by its number: the first from 0x8000 on, or else from 0x1000.
fn low_page(ram: &[Range]) -> Option<u8> {
    let is_ram = |page: &u8| {
        let at = u64::from(*page) * PAGE;
        ram.iter().any(|r| r.kind == RangeKind::Ram && r.start <= at && at + PAGE <= r.start + r.len)
    };
    (0x08..0xa0).find(is_ram).or_else(|| (0x01..0x08).find(is_ram))
}

fn at(page: u8) -> *mut u8 {
    (DIRECT + u64::from(page) * PAGE) as *mut u8
}

/// Puts the code into the page; returns what was there.
fn copy_code(page: u8) -> Vec<u8> {
    let (start, end) = (&raw const ap_start, &raw const ap_end);
    let len = end as usize - start as usize;
    assert!(len <= PAGE as usize, "the start-up code does not fit in its page");
    // SAFETY: the page is memory below 1 MiB, which the direct map has and nobody is given, and no processor runs there
    // yet; the code fits, and all of it is bytes.
    unsafe {
        let saved = core::slice::from_raw_parts(at(page), len).to_vec();
        ptr::copy_nonoverlapping(start, at(page), len);
        saved
    }
}

fn restore(page: u8, saved: &[u8]) {
    // SAFETY: as above; no processor begins there any more: each has said that it is there, or was reset.
    unsafe { ptr::copy_nonoverlapping(saved.as_ptr(), at(page), saved.len()) };
}

/// Starts a processor; whether it came.
fn start(page: u8, id: u32) -> bool {
    let Some(cpu) = new_cpu(id) else { return false };
    let Ok(stack) = Stack::new() else { return false };
    let base = u32::from(page) * PAGE as u32;
    let code = &raw const ap_start as u64;
    let words = (at(page) as u64 + (&raw const ap_words as u64 - code)) as *mut Words;
    // SAFETY: the words lie in the page that `copy_code` filled; no processor reads them now.
    unsafe {
        let mut w = ptr::read_unaligned(&raw const ap_words as *const Words);
        let gdt = base + (u32::from(w.gdt_base[0]) | u32::from(w.gdt_base[1]) << 16);
        w.gdt_base = [gdt as u16, (gdt >> 16) as u16];
        w.far_offset += base;
        w.boot_root = paging::image_phys(&raw const boot_pml4 as u64) as u32;
        w.efer = (Efer::read() & (EferFlags::LONG_MODE_ENABLE | EferFlags::NO_EXECUTE_ENABLE)).bits() as u32;
        w.root = paging::root();
        w.stack = stack.top();
        w.cpu = cpu as *const Cpu as u64;
        ptr::write_unaligned(words, w);
    }
    mem::forget(stack); // the processor's idle thread stands on it for good
    let there = || cpu.stage.load(Ordering::Acquire) == THERE;
    lapic::send_init(id);
    wait(RESET_NS, || false);
    lapic::send_startup(id, page);
    if !wait(AGAIN_NS, there) {
        lapic::send_startup(id, page);
        wait(PATIENCE_NS, there);
    }
    if cpu.stage.compare_exchange(CALLED, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire).is_ok() {
        lapic::send_init(id);
        return false;
    }
    cpu::publish(cpu);
    true
}

/// Waits until something is so, at most so long; whether it is.
fn wait(ns: u64, is: impl Fn() -> bool) -> bool {
    let end = clock::now_ns() + ns;
    while !is() {
        if clock::now_ns() >= end {
            return false;
        }
        spin_loop();
    }
    true
}

/// What a processor needs before it can run, or nothing when there is no memory for it.
fn new_cpu(id: u32) -> Option<&'static Cpu> {
    let stacks = frames::kernel_run(desc::STACKS.div_ceil(PAGE as usize))?;
    let cpu: &'static Cpu = Box::leak(Box::new(Cpu::new()));
    cpu.id.set(cpu::count() as u32);
    cpu.apic.store(id, Ordering::Relaxed);
    cpu.stacks.set(DIRECT + stacks);
    scheduler::init(cpu);
    Some(cpu)
}

/// The first Rust of another processor: on its own stack, on the final tables, with interrupts off.
extern "C" fn begin(cpu: &'static Cpu) -> ! {
    // SAFETY: once on this processor, with what `new_cpu` made for it alone.
    unsafe { registers::install(cpu, cpu.id.get(), cpu.stacks.get()) };
    lapic::init();
    lapic::start_timer();
    if cpu.stage.compare_exchange(CALLED, THERE, Ordering::AcqRel, Ordering::Acquire).is_err() {
        loop {
            interrupts::disable();
            x86_64::instructions::hlt();
        }
    }
    // Halted, and not looking again and again: the host may have fewer processors than the machine.
    while !RELEASED.load(Ordering::SeqCst) {
        interrupts::enable_and_hlt();
        interrupts::disable();
    }
    balance::idle()
}
