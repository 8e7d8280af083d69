//! Descriptor tables: segments, the task state with its emergency stacks, interrupt gates.
//!
//! The order of the segments is what SYSCALL and SYSRET demand: kernel code, kernel data, user data, user code.

use super::entry;
use core::arch::asm;
use core::cell::UnsafeCell;
use x86_64::VirtAddr;
use x86_64::instructions::tables::{lgdt, lidt, load_tss};
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::SegmentSelector;

pub const KERNEL_CODE: u16 = 0x08;
pub(crate) const KERNEL_DATA: u16 = 0x10;
pub const USER_DATA: u16 = 0x18 | 3;
pub const USER_CODE: u16 = 0x20 | 3;
const TASK: u16 = 0x28;
/// SYSRET adds 8 for the stack's and 16 for the code's selector.
pub const STAR_USER: u16 = 0x10 | 3;

/// Stack of a trap that may find any stack broken.
const EMERGENCY: usize = 8192;
/// Traps with a stack of their own: NMI, double fault, machine check; and watchpoints, which may come when the kernel
/// has begun and has no stack yet.
const ALONE: [(u8, u8); 4] = [(2, 1), (8, 2), (18, 3), (1, 4)];

/// Bytes that a processor needs for them.
pub const STACKS: usize = ALONE.len() * EMERGENCY;

/// Those of the boot processor, which needs them before there is memory to take.
#[repr(C, align(16))]
struct BootStacks(UnsafeCell<[u8; STACKS]>);

// SAFETY: only the processor's own traps use it.
unsafe impl Sync for BootStacks {}

static BOOT_STACKS: BootStacks = BootStacks(UnsafeCell::new([0; STACKS]));

/// Where the boot processor's emergency stacks begin.
pub fn boot_stacks() -> u64 {
    BOOT_STACKS.0.get() as u64
}

/// The task state segment: only its stack pointers matter.
#[repr(C, packed(4))]
pub struct Tss {
    reserved0: u32,
    rsp: [u64; 3],
    reserved1: u64,
    ist: [u64; 7],
    reserved2: u64,
    reserved3: u16,
    io_map: u16,
}

/// One processor's tables.
#[repr(C, align(16))]
pub struct Tables {
    gdt: [u64; 7],
    tss: Tss,
}

impl Tables {
    pub const fn new() -> Tables {
        Tables {
            gdt: [
                0,
                0x00af_9b00_0000_ffff, // kernel code, 64 bits
                0x00cf_9300_0000_ffff, // kernel data
                0x00cf_f300_0000_ffff, // user data
                0x00af_fb00_0000_ffff, // user code, 64 bits
                0,                     // the task, two words
                0,
            ],
            tss: Tss {
                reserved0: 0,
                rsp: [0; 3],
                reserved1: 0,
                ist: [0; 7],
                reserved2: 0,
                reserved3: 0,
                io_map: size_of::<Tss>() as u16, // beyond the end: no port is a program's
            },
        }
    }

    /// Sets where the processor saves registers when it leaves user mode: `top` is the end of a `Ureg`.
    pub fn set_frame(&mut self, top: u64) {
        self.tss.rsp[0] = top;
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Gate {
    offset_low: u16,
    selector: u16,
    ist: u8,
    kind: u8,
    offset_mid: u16,
    offset_high: u32,
    reserved: u32,
}

#[repr(C, align(16))]
struct Idt(UnsafeCell<[Gate; 256]>);

// SAFETY: written once by the boot processor before any other starts, then only read by hardware.
unsafe impl Sync for Idt {}

static IDT: Idt = Idt(UnsafeCell::new(
    [Gate { offset_low: 0, selector: 0, ist: 0, kind: 0, offset_mid: 0, offset_high: 0, reserved: 0 }; 256],
));

/// An interrupt gate, present.
const GATE: u8 = 0x8e;
/// The same, reachable by the program's own INT instruction: breakpoint and overflow.
const GATE_USER: u8 = 0xee;

/// Fills and loads the tables of the calling processor.
///
/// # Safety
/// `tables` and the `STACKS` bytes from `stacks` are the calling processor's own, live for good, and are not used yet;
/// number 0 calls first.
pub unsafe fn load(tables: *mut Tables, id: u32, stacks: u64) {
    // SAFETY: the caller's promise: nobody else uses them.
    let t = unsafe { &mut *tables };
    for i in 0..ALONE.len() {
        t.tss.ist[i] = stacks + ((i + 1) * EMERGENCY) as u64;
    }
    let base = &raw const t.tss as u64;
    let limit = size_of::<Tss>() as u64 - 1;
    t.gdt[5] = limit | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
    t.gdt[6] = base >> 32;
    if id == 0 {
        // SAFETY: the first processor, alone.
        unsafe { fill_gates() };
    }
    let gdt = DescriptorTablePointer {
        limit: size_of_val(&t.gdt) as u16 - 1,
        base: VirtAddr::from_ptr(&raw const t.gdt),
    };
    let idt = DescriptorTablePointer { limit: 256 * 16 - 1, base: VirtAddr::from_ptr(IDT.0.get()) };
    // SAFETY: both tables live for good and hold valid descriptors; the selectors loaded name them.
    unsafe {
        lgdt(&gdt);
        asm!(
            "push {code}", "lea {tmp}, [rip + 2f]", "push {tmp}", "retfq", "2:",
            "mov ss, {data:x}", "xor {tmp:e}, {tmp:e}",
            "mov ds, {tmp:x}", "mov es, {tmp:x}", "mov fs, {tmp:x}", "mov gs, {tmp:x}",
            code = in(reg) u64::from(KERNEL_CODE), data = in(reg) u64::from(KERNEL_DATA), tmp = out(reg) _,
        );
        lidt(&idt);
        load_tss(SegmentSelector(TASK));
    }
}

/// # Safety
/// Once, before the table is loaded anywhere.
unsafe fn fill_gates() {
    // SAFETY: the caller's promise.
    let gates = unsafe { &mut *IDT.0.get() };
    for (vector, gate) in gates.iter_mut().enumerate() {
        let stub = entry::stub(vector as u8);
        *gate = Gate {
            offset_low: stub as u16,
            selector: KERNEL_CODE,
            ist: ALONE.iter().find(|(v, _)| usize::from(*v) == vector).map_or(0, |(_, ist)| *ist),
            kind: if vector == 3 || vector == 4 { GATE_USER } else { GATE },
            offset_mid: (stub >> 16) as u16,
            offset_high: (stub >> 32) as u32,
            reserved: 0,
        };
    }
}
