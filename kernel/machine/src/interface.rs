//! The interface that both halves give, checked by the compiler on both: a signature that drifts does not build.
//!
//! Nothing here is code. What a line states is that the item exists, with this type; the meaning stands at the items.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::str::Utf8Error;

use crate::clock::BoardClock;
use crate::dma::Dma;
use crate::heap::Call;
use crate::io::{Mmio, Ports};
use crate::irq::{Handler, IrqError, IrqHandle, Line, Msi, Trigger};
use crate::lock::{Lock, LockGuard};
use crate::page::{Page, Pinned};
use crate::space::{AddressSpace, Prot};
use crate::thread::{Observer, State, Thread, ThreadRef, Times};
use crate::types::{BootInfo, CpuStat, IoError, OutOfMemory, WatchError, Watchpoint};
use crate::uart::Uart;
use crate::user::{Event, FpuState, Frame, Regs, UserContext};

type Memory<T> = Result<T, OutOfMemory>;
type Body = Box<dyn FnOnce() + Send>;
type Text<'b> = Result<&'b str, Utf8Error>;
type Receiver = Box<dyn Fn(&[u8]) + Send + Sync>;
type Witness = Box<dyn Fn(u64, &mut dyn fmt::Write) + Send + Sync>;
type LockMethod<'a, R> = fn(&'a Lock<u8>) -> R;

// boot, console, cpu, clock, mem, power, random
const _: fn() -> &'static BootInfo = crate::boot::info;
const _: fn(&[u8]) = crate::console::write;
const _: fn(Receiver) = crate::console::set_last_words;
const _: fn(Witness) = crate::console::set_witness;
const _: fn() -> Vec<CpuStat> = crate::cpu::stats;
const _: fn() -> usize = crate::cpu::count;
const _: [fn(); 2] = [crate::cpu::count_syscall, crate::cpu::count_fault];
const _: [fn() -> u64; 3] = [crate::clock::now_ns, crate::clock::cycles, crate::clock::cycle_hz];
const _: fn() -> i64 = crate::clock::wall_ns;
const _: fn(i64) = crate::clock::set_wall_ns;
const _: fn(i64, u32) = crate::clock::adjust_wall;
const _: fn() -> u64 = crate::clock::wall_hz;
const _: fn(u64) -> bool = crate::clock::set_wall_hz;
const _: fn() -> Option<BoardClock> = crate::clock::board;
const _: fn(&mut BoardClock) -> Option<i64> = crate::clock::catch_up;
const _: [fn() -> u64; 3] = [crate::mem::total_bytes, crate::mem::free_bytes, crate::mem::kernel_bytes];
const _: [fn() -> u64; 2] = [crate::mem::heap_bytes, crate::mem::aside_bytes];
const _: fn() -> [u64; 3] = crate::mem::table_bytes;
const _: fn(u64, &mut [u8]) -> bool = crate::mem::read_phys;
const _: [fn() -> !; 2] = [crate::power::off, crate::power::reset];
const _: fn(u8) = crate::power::exit_qemu;
const _: fn(&mut [u8]) = crate::random::fill;
const _: fn(&[u8]) = crate::random::stir;
const _: fn(Box<dyn Fn() + Send + Sync>) = crate::random::on_use;
const _: usize = crate::random::APPETITE;

// heap
const _: fn() -> bool = crate::heap::is_granted;
const _: fn(usize) -> bool = crate::heap::is_granted_beside;
const _: fn(u64) -> bool = crate::heap::can_afford;
const _: fn(&'static str) -> Call = Call::enter;
const _: fn(fn() -> u8) -> u8 = |f| crate::heap::may_fail(f);

// census
const _: fn(usize) -> u64 = crate::census::count;

// lock
const _: Lock<u8> = Lock::new(0);
const _: LockMethod<'static, LockGuard<'static, u8>> = Lock::lock;
const _: LockMethod<'static, Option<LockGuard<'static, u8>>> = Lock::try_lock;
const _: for<'a> fn(&'a Lock<u8>, &'a LockGuard<'_, u16>) -> LockGuard<'a, u8> = Lock::lock_under;
const _: fn(Lock<u8>) -> u8 = Lock::into_inner;
const _: fn(&mut Lock<u8>) -> &mut u8 = Lock::get_mut;

// thread
const _: fn(&str, u64, Body) -> Memory<ThreadRef> = crate::thread::spawn;
const _: fn() -> ThreadRef = crate::thread::current;
const _: fn() -> u64 = crate::thread::tag;
const _: fn() -> bool = crate::thread::is_interrupted;
const _: [fn(); 2] = [crate::thread::park, crate::thread::yield_now];
const _: fn(u64) = crate::thread::park_until;
const _: [fn() -> bool; 2] = [crate::thread::need_resched, crate::thread::may_park];
const _: [fn(&Thread) -> u64; 2] = [Thread::id, Thread::tag];
const _: fn(&Thread) -> String = Thread::name;
const _: [fn(&Thread); 4] = [Thread::unpark, Thread::interrupt, Thread::clear_interrupt, Thread::kick];
const _: fn(&Thread) -> bool = Thread::interrupted;
const _: fn(&Thread) -> State = Thread::state;
const _: fn(&Thread, Arc<dyn Observer>) = Thread::observe;
const _: fn(&Thread) -> Times = Thread::times;
const _: fn(&Thread, u8) = Thread::set_priority;
const _: fn(&Thread) -> u8 = Thread::priority;

// page
const _: fn() -> Memory<Page> = Page::new_zeroed;
const _: fn(&Page) -> Memory<Page> = Page::new_uninit_for_copy_of;
const _: fn(&'static [u8]) -> Option<Page> = Page::of_constant;
const _: fn(&Page) = Page::fill_zero;
const _: fn(&Page, usize, &mut [u8]) = Page::read;
const _: fn(&Page, usize, &[u8]) = Page::write;
const _: fn(&Page, usize, &Page, usize, usize) = Page::copy_from;
const _: fn(&Page, usize) -> u32 = Page::read_u32;
const _: fn(&Page, usize, u32) = Page::write_u32;
const _: fn(&Page, usize) -> u64 = Page::read_u64;
const _: fn(&Page, usize, u64) = Page::write_u64;
const _: fn(&Page, usize, u32, u32) -> Result<u32, u32> = Page::compare_exchange_u32;
const _: fn(&Page, usize, u32) -> u32 = Page::fetch_add_u32;
const _: fn(&Page, usize) -> Result<u32, u32> = |page, off| page.update_u32(off, |_| None);
const _: fn(&Page) -> u64 = Page::phys;
const _: [fn(&Page) -> usize; 2] = [Page::refs, Page::pins];
const _: fn(&Page, &Page) -> bool = Page::same;
const _: fn([Page; 2]) = |pages| crate::page::drop_all(pages);
const _: fn(Page, usize, usize) -> Pinned = Pinned::new;

// space, user
const _: fn() -> Memory<Arc<AddressSpace>> = AddressSpace::new;
const _: fn(&AddressSpace, u64, Page, Prot) -> Memory<()> = AddressSpace::map;
const _: fn(&AddressSpace, u64, &Page, Prot) -> Memory<bool> =
    |space, va, page, prot| space.map_absent(va, va, [Some((page, prot)), None].into_iter());
const _: [fn(&AddressSpace, u64, u64); 2] = [AddressSpace::unmap, AddressSpace::protect];
const _: fn(&AddressSpace, u64) -> Option<(Page, Prot)> = AddressSpace::lookup;
const _: fn(&AddressSpace, u64, &mut [u8]) -> bool = AddressSpace::read;
const _: fn(&AddressSpace, u64, &[u8]) -> bool = AddressSpace::write;
const _: fn(&AddressSpace, u64, usize, bool) -> bool = AddressSpace::holds;
const _: fn(&AddressSpace, u64, usize, bool) -> Option<Pinned> = AddressSpace::pin;
const _: for<'b> fn(&AddressSpace, u64, &'b mut [u8]) -> Option<Text<'b>> = AddressSpace::read_text;
const _: fn(&AddressSpace, u64) -> Option<Result<u32, u32>> = |space, va| space.update_u32(va, |_| None);
const _: fn(&AddressSpace) -> u64 = AddressSpace::resident;
const _: fn() -> UserContext = UserContext::new;
const _: fn(&mut UserContext) = UserContext::fpu_reset;
const _: fn(&mut UserContext) -> FpuState = UserContext::fpu_save;
const _: fn(&mut UserContext, &FpuState) = UserContext::fpu_load;
const _: fn(&UserContext) -> (Regs, Option<&[u64; 6]>) = |ctx| (ctx.regs.clone(), ctx.args());
const _: fn(&mut UserContext) = UserContext::forget_args;
const _: fn(&Regs) -> &Frame = |regs| regs;
const _: fn(&mut UserContext, &Arc<AddressSpace>) -> Event = crate::user::run;
const _: fn(&[Watchpoint]) -> Result<(), WatchError> = crate::user::watch;
const _: fn() -> i64 = crate::user::wall_ns;
const _: fn(&Thread) -> Option<(u64, u64)> = Thread::kernel_place;

// dma
const _: [fn(usize) -> Memory<Dma>; 2] = [Dma::new, Dma::scattered];
const _: fn(&Dma, usize) -> usize = |dma, len| dma.pieces(len).map(|(_phys, n): (u64, usize)| n).sum();
const _: fn(&Dma) -> u64 = Dma::phys;
const _: fn(&Dma) -> usize = Dma::len;
const _: fn(&Dma) -> bool = Dma::is_empty;
const _: fn(&Dma) = Dma::zero;
const _: fn(&Dma, usize, &mut [u8]) = Dma::read;
const _: fn(&Dma, usize, &[u8]) = Dma::write;
const _: fn(&Dma, usize, &Page, usize, usize) = Dma::write_page;
const _: fn(&Dma, usize, &Page, usize, usize) = Dma::read_page;
const _: fn(&Dma, usize) -> u8 = Dma::get_u8;
const _: [fn(&Dma, usize) -> u16; 2] = [Dma::get_u16, Dma::load_acquire_u16];
const _: [fn(&Dma, usize) -> u32; 2] = [Dma::get_u32, Dma::load_acquire_u32];
const _: fn(&Dma, usize) -> u64 = Dma::get_u64;
const _: fn(&Dma, usize, u8) = Dma::set_u8;
const _: [fn(&Dma, usize, u16); 2] = [Dma::set_u16, Dma::store_release_u16];
const _: [fn(&Dma, usize, u32); 2] = [Dma::set_u32, Dma::store_release_u32];
const _: fn(&Dma, usize, u64) = Dma::set_u64;
const _: fn() = crate::dma::fence;

// io
const _: fn(u64, usize) -> Result<Mmio, IoError> = Mmio::map;
const _: fn(&Mmio) -> usize = Mmio::len;
const _: fn(&Mmio, usize, usize) -> Mmio = Mmio::slice;
const _: fn(&Mmio, usize) -> u8 = Mmio::read8;
const _: fn(&Mmio, usize) -> u16 = Mmio::read16;
const _: fn(&Mmio, usize) -> u32 = Mmio::read32;
const _: fn(&Mmio, usize) -> u64 = Mmio::read64;
const _: fn(&Mmio, usize, u8) = Mmio::write8;
const _: fn(&Mmio, usize, u16) = Mmio::write16;
const _: fn(&Mmio, usize, u32) = Mmio::write32;
const _: fn(&Mmio, usize, u64) = Mmio::write64;
const _: fn(u16, u16) -> Result<Ports, IoError> = Ports::claim;
const _: [fn(&Ports) -> u16; 2] = [Ports::base, Ports::len];
const _: fn(&Ports, u16) -> u8 = Ports::in8;
const _: fn(&Ports, u16) -> u16 = Ports::in16;
const _: fn(&Ports, u16) -> u32 = Ports::in32;
const _: fn(&Ports, u16, u8) = Ports::out8;
const _: fn(&Ports, u16, u16) = Ports::out16;
const _: fn(&Ports, u16, u32) = Ports::out32;

// irq
const _: fn() -> Result<Vec<Line>, OutOfMemory> = crate::irq::snapshot;
const _: fn(&str, Handler) -> Result<Msi, IrqError> = crate::irq::msi;
const _: fn(u32, Trigger, &str, Handler) -> Result<IrqHandle, IrqError> = crate::irq::gsi;
const _: fn(u8, &str, Handler) -> Result<IrqHandle, IrqError> = crate::irq::isa;
const _: fn(Msi) -> (u64, u32, IrqHandle) = |m| (m.address, m.data, m.handle);

// uart
const _: fn() -> Uart = Uart::com1;
const _: fn(&Uart, &[u8]) = Uart::write;
const _: fn(&Uart) -> bool = Uart::is_present;
const _: fn(&Uart, Receiver) = Uart::set_receiver;

/// What may be shared between threads, and sent to others.
const fn shared<T: Send + Sync>() {}
const _: () = {
    shared::<Lock<u8>>();
    shared::<Thread>();
    shared::<Page>();
    shared::<Pinned>();
    shared::<AddressSpace>();
    shared::<UserContext>();
    shared::<Regs>();
    shared::<Dma>();
    shared::<Mmio>();
    shared::<Ports>();
    shared::<IrqHandle>();
    shared::<Msi>();
    shared::<Uart>();
};

/// What both halves can copy, and show in a dump.
const fn value<T: Clone + core::fmt::Debug>() {}
const _: () = {
    value::<Page>();
    value::<Mmio>();
    value::<Ports>();
    value::<Uart>();
};
