//! What the loader told the kernel, once there is a heap to keep it in.

pub use crate::types::{BootInfo, MOST_COMMAND_LINE, Module, Range, RangeKind};

use crate::amd64::BootParams;
use crate::amd64::mem::early::Early;
use crate::amd64::mem::paging;
use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::Once;

static INFO: Once<BootInfo> = Once::new();
static ENTRY_TSC: AtomicU64 = AtomicU64::new(0);

/// What the loader told the kernel.
///
/// # Panics
/// Before `machine::init` has run.
pub fn info() -> &'static BootInfo {
    match INFO.get() {
        Some(info) => info,
        None => panic!("boot information asked for before it was copied"),
    }
}

/// The time stamp counter at the kernel's first instruction: what the boot took is counted from here.
pub fn entry_cycles() -> u64 {
    ENTRY_TSC.load(Ordering::Relaxed)
}

/// Moves the early copy to the heap.
pub(crate) fn publish(early: &Early, params: &BootParams) {
    ENTRY_TSC.store(params.entry_tsc, Ordering::Relaxed);
    let module = |(start, len): (u64, u64)| {
        let va = paging::direct(start, len)?;
        // SAFETY: the module is in the direct map, kept out of the free memory for good, and nobody writes to it.
        let bytes = unsafe { core::slice::from_raw_parts(va as *const u8, len as usize) };
        Some(Module { start, bytes })
    };
    INFO.call_once(|| BootInfo {
        cmdline: String::from_utf8_lossy(early.cmdline()).into_owned(),
        cmdline_cut: early.cmdline_cut,
        ram: early.map.ranges().to_vec(),
        modules: early.modules.used().filter_map(module).collect(),
        refused: early.modules.refused().to_vec(),
        rsdp: (early.rsdp != 0).then_some(early.rsdp),
        loader: "pvh",
    });
}
