//! Blocks of whole pages for the heap: neighbours by address, made of any frames there are.
//!
//! A block is a slot of the window (`slots` says which are free) with frames mapped from its start on. Who has taken
//! the block owns its entries in the page tables: they are written and read without a lock. Tables, once made, stay.
//!
//! A freed block stays mapped for a while (`freed`). What is unmapped goes three steps: the entries lose their present
//! bit and keep the frame's address, all processors forget the addresses, the frames go back. So a block of any size
//! costs one flush, many freed ones together as well, and no frame is anybody else's while a processor could still
//! reach it by the old address. Only after that is the slot free.
//!
//! `WINDOW` guards the free slots and the freed blocks. It is held for the unmapping of the latter, which is bounded,
//! and for nothing else that takes longer than some instructions; a block's frames are taken and given back a few at
//! a time. Lock order: `paging`'s, then `WINDOW`, then `FRAMES`.

use super::flush;
use super::frames;
use super::freed::FreedBlocks;
use super::paging::{self, HEAP};
use super::slots::{self, Found, Links, Slots, TABLE};
use super::tables::{self, PAGE, PRESENT, WRITE};
use crate::amd64::lock::Lock;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// So many frames are taken or given back at a time.
const PIECE: usize = 16;
/// Of the machine's memory this part may be in freed blocks...
const KEPT_PART: u64 = 256;
/// ...but at least and at most so many pages.
const KEPT_LEAST: u64 = 32;
const KEPT_MOST: u64 = 256;

struct Window {
    slots: Slots,
    freed: FreedBlocks,
}

static WINDOW: Lock<Window> = Lock::new(Window { slots: Slots::new(), freed: FreedBlocks::new() });
/// Frames in freed blocks: nobody uses them, and they can be had.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// Free slots remember one another in their first page's entry, where a frame's address would be.
struct Entries;

impl Links for Entries {
    fn get(&self, page: u64) -> u64 {
        entry(page).map_or(0, |e| (e.load(Ordering::Relaxed) & tables::ADDRESS) / PAGE)
    }

    fn set(&mut self, page: u64, number: u64) {
        if let Some(e) = entry(page) {
            e.store(number * PAGE, Ordering::Relaxed);
        }
    }
}

/// Says how much memory there is, in frames; before, nothing is kept.
pub fn init(frames: usize) {
    WINDOW.lock().freed.limit((frames as u64 / KEPT_PART).clamp(KEPT_LEAST, KEPT_MOST));
}

/// Takes a block of `pages` pages; its address. Contents are whatever they were.
pub fn take(pages: usize) -> Option<u64> {
    let mut window = WINDOW.lock();
    if let Some(page) = window.freed.take(pages as u64) {
        KEPT.fetch_sub(pages, Ordering::Relaxed);
        return Some(address(page));
    }
    drop(window);
    let page = slot(pages as u64)?;
    // SAFETY: the slot is ours, and nothing in it is mapped.
    if unsafe { fill(page, 0, pages as u64) } {
        return Some(address(page));
    }
    WINDOW.lock().slots.put(page, &mut Entries);
    None
}

/// Gives a block back.
///
/// # Safety
/// `take` gave it, it has `pages` pages now, and nobody uses it any more.
pub unsafe fn put(block: u64, pages: usize) {
    let page = (block - HEAP) / PAGE;
    let mut window = WINDOW.lock();
    if window.freed.wants(pages as u64) {
        if !window.freed.put(page, pages as u64) {
            window.empty();
            window.freed.put(page, pages as u64);
        }
        KEPT.fetch_add(pages, Ordering::Relaxed);
        return;
    }
    drop(window);
    // SAFETY: the caller's promise.
    unsafe { unmap(page, 0, pages as u64) };
    WINDOW.lock().slots.put(page, &mut Entries);
}

/// Makes a block that has `old` pages have `new` ones where it is. False, and nothing is changed, when there are no
/// frames or no addresses behind it.
///
/// # Safety
/// `take` gave it, it has `old` pages now, and nobody uses those behind `new`, which is not 0.
pub unsafe fn resize(block: u64, old: usize, new: usize) -> bool {
    let page = (block - HEAP) / PAGE;
    let (old, new) = (old as u64, new as u64);
    if new > old {
        // SAFETY: what follows the block in its slot is its owner's, and nothing is mapped there.
        return new <= slots::room(page) && unsafe { fill(page, old, new) };
    }
    if new < old {
        // SAFETY: the caller's promise.
        unsafe { unmap(page, new, old) };
    }
    true
}

/// Makes a block that has `old` pages have `new` ones, more than before, somewhere else: its frames get new addresses.
/// Nothing when there is no memory for what is new of it; then nothing is changed.
///
/// # Safety
/// `take` gave it, it has `old` pages now, and nobody uses the old address any more when there is a new one.
pub unsafe fn move_larger(block: u64, old: usize, new: usize) -> Option<u64> {
    let from = (block - HEAP) / PAGE;
    let (old, new) = (old as u64, new as u64);
    let to = slot(new)?;
    // SAFETY: the slot is ours, and nothing in it is mapped.
    if !reach(to, old) || !unsafe { fill(to, old, new) } {
        WINDOW.lock().slots.put(to, &mut Entries);
        return None;
    }
    for i in 0..old {
        if let (Some(e), Some(new)) = (entry(from + i), entry(to + i)) {
            new.store(e.swap(0, Ordering::AcqRel), Ordering::Release);
        }
    }
    flush::everywhere(block, old);
    WINDOW.lock().slots.put(from, &mut Entries);
    Some(address(to))
}

/// The physical address of a page of a block, for devices.
pub fn frame(page: u64) -> u64 {
    entry((page - HEAP) / PAGE).map_or(0, |e| e.load(Ordering::Relaxed) & tables::ADDRESS)
}

/// Notes which account pays for a block.
///
/// # Safety
/// `take` gave it, and it is the caller's.
pub unsafe fn set_owner(block: u64, number: u16) {
    if let Some(frame) = first_frame(block) {
        frames::note_owner(frame, number);
    }
}

/// The account that pays for a block.
///
/// # Safety
/// `take` gave it, and it is the caller's.
pub unsafe fn owner(block: u64) -> u16 {
    first_frame(block).map_or(0, frames::owner)
}

/// Where the number is: with the block's first frame, which goes along when it is moved.
fn first_frame(block: u64) -> Option<usize> {
    entry((block - HEAP) / PAGE).map(|e| ((e.load(Ordering::Relaxed) & tables::ADDRESS) / PAGE) as usize)
}

/// Frames in blocks that nobody uses.
pub fn kept() -> usize {
    KEPT.load(Ordering::Relaxed)
}

/// Gives back the frames of all blocks that nobody uses, because somebody else wants them. When somebody else is at it,
/// this waits until that is done.
#[cold]
pub fn give_back() {
    let mut window = WINDOW.lock();
    if window.freed.pages() > 0 {
        window.empty();
    }
}

impl Window {
    /// Unmaps the freed blocks, with one flush for them all.
    fn empty(&mut self) {
        for &(page, pages) in self.freed.blocks() {
            hide(page, 0, pages);
        }
        flush::everywhere(HEAP, u64::MAX);
        for &(page, pages) in self.freed.blocks() {
            // SAFETY: the block is nobody's, and no processor knows its addresses any more.
            unsafe { free(page, 0, pages) };
            self.slots.put(page, &mut Entries);
        }
        KEPT.fetch_sub(self.freed.pages() as usize, Ordering::Relaxed);
        self.freed.clear();
    }
}

/// Takes a slot for `pages` pages. Its tables are made with the lock released: a frame for one may have to come from a
/// freed block.
fn slot(pages: u64) -> Option<u64> {
    loop {
        let found = WINDOW.lock().slots.take(pages, &Entries);
        match found {
            Found::Slot(page) => return Some(page),
            Found::Unreached(page) => {
                paging::window_table(address(page))?;
                WINDOW.lock().slots.reach(page);
            }
            Found::Nothing => return None,
        }
    }
}

/// Makes the tables for the first `pages` pages of a slot.
fn reach(slot: u64, pages: u64) -> bool {
    (0..pages).step_by(TABLE as usize).all(|i| paging::window_table(address(slot + i)).is_some())
}

/// Maps frames from page `from` of a slot up to `to`. When there are not enough, what was mapped is unmapped again.
///
/// # Safety
/// The slot is the caller's, and nothing is mapped there.
unsafe fn fill(slot: u64, from: u64, to: u64) -> bool {
    let mut at = from;
    while at < to {
        let page = slot + at;
        let mut some = [0; PIECE];
        let n = (to - at).min(PIECE as u64).min(TABLE - page % TABLE) as usize;
        let some = &mut some[..n];
        let table = paging::window_table(address(page));
        let Some(table) = table.filter(|_| frames::kernel_some(some)) else {
            // SAFETY: mapped above, and nobody has been told of it.
            unsafe { unmap(slot, from, at) };
            return false;
        };
        for (index, frame) in (page..).zip(some) {
            table.slot(index).store(*frame | PRESENT | WRITE | paging::nx(), Ordering::Release);
        }
        at += n as u64;
    }
    true
}

/// Unmaps pages `from` to `to` of a slot and gives their frames back.
///
/// # Safety
/// They are mapped and the caller's, and nobody uses them.
unsafe fn unmap(slot: u64, from: u64, to: u64) {
    if from == to {
        return;
    }
    hide(slot, from, to);
    flush::everywhere(address(slot + from), to - from);
    // SAFETY: the caller's promise, and no processor knows them any more.
    unsafe { free(slot, from, to) };
}

/// Takes the present bit from the entries of pages `from` to `to` of a slot; the frames' addresses stay there.
fn hide(slot: u64, from: u64, to: u64) {
    for e in (from..to).filter_map(|i| entry(slot + i)) {
        e.store(e.load(Ordering::Relaxed) & tables::ADDRESS, Ordering::Release);
    }
}

/// Gives back the frames of pages `from` to `to` of a slot.
///
/// # Safety
/// They were hidden and flushed, and nobody has given them back yet.
unsafe fn free(slot: u64, from: u64, to: u64) {
    let mut at = from;
    while at < to {
        let mut some = [0; PIECE];
        let n = (to - at).min(PIECE as u64);
        for (frame, i) in some.iter_mut().zip(at..at + n) {
            *frame = entry(slot + i).map_or(0, |e| e.load(Ordering::Relaxed));
        }
        // SAFETY: the caller's promise.
        unsafe { frames::put_kernel_some(&some[..n as usize]) };
        at += n;
    }
}

/// The entry of a page of the window, if there is a table for it.
fn entry(page: u64) -> Option<&'static AtomicU64> {
    paging::table().find(address(page), 1)
}

fn address(page: u64) -> u64 {
    HEAP + page * PAGE
}
