//! A user address space on the host: a map from page addresses.
//!
//! Each 2 MiB region that was ever used charges one kernel page until the space is gone, as a page table would, so
//! that tests meet a `map` that fails.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::str::Utf8Error;
use std::sync::{Mutex, MutexGuard, PoisonError};

use abi::layout::{PAGE, USTKTOP};

use super::heap::aside;
use super::machine::{Charge, Machine, machine};
use super::page::{Page, Pinned};
pub use crate::types::{OutOfMemory, Prot};

/// A user address space. It owns one reference to each page mapped.
pub struct AddressSpace {
    inner: Mutex<Inner>,
    home: Arc<Machine>,
    /// The account that pays for the root table.
    owner: u16,
}

#[derive(Default)]
struct Inner {
    pages: BTreeMap<u64, (Page, Prot)>,
    /// Tables, and the accounts that pay for them.
    tables: BTreeMap<u64, u16>,
}

impl AddressSpace {
    /// An empty space.
    ///
    /// # Errors
    /// When there is no page for its root table.
    pub fn new() -> Result<Arc<AddressSpace>, OutOfMemory> {
        let home = machine();
        let owner = home.charge(1, Charge::Kernel)?;
        Ok(aside(|| Arc::new(AddressSpace { inner: Mutex::default(), home, owner })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Maps `page` at `va`, in place of whatever was there, and takes over the reference.
    ///
    /// # Errors
    /// When there is no page for a table; nothing has changed then.
    ///
    /// # Panics
    /// When `va` is not a page of the user half.
    pub fn map(&self, va: u64, page: Page, prot: Prot) -> Result<(), OutOfMemory> {
        let mut inner = self.with_table(va)?;
        let old = aside(|| inner.pages.insert(va, (page, prot)));
        drop(inner);
        drop(old);
        Ok(())
    }

    /// Maps the page at `wanted`, and with it others, where nothing is mapped yet: `pages` are from `va` on, one behind
    /// the other, as far as there are any; `wanted`'s is among them. The space gets references of its own. False when
    /// something is mapped at `wanted`: it stays.
    ///
    /// # Errors
    /// When there is no page for `wanted`'s table. For want of another one pages are left out.
    ///
    /// # Panics
    /// As [`AddressSpace::map`].
    pub fn map_absent<'a>(
        &self,
        wanted: u64,
        va: u64,
        pages: impl ExactSizeIterator<Item = Option<(&'a Page, Prot)>>,
    ) -> Result<bool, OutOfMemory> {
        check(va, pages.len() as u64);
        let absent = !self.with_table(wanted)?.pages.contains_key(&wanted);
        for (va, page) in (va..).step_by(PAGE as usize).zip(pages) {
            let Some((page, prot)) = page else { continue };
            let Ok(mut inner) = self.with_table(va) else { break };
            aside(|| inner.pages.entry(va).or_insert_with(|| (page.clone(), prot)));
        }
        Ok(absent)
    }

    /// Lets nobody write any more to what is mapped in a stretch, until it is mapped anew.
    ///
    /// # Panics
    /// As [`AddressSpace::unmap`].
    pub fn protect(&self, va: u64, pages: u64) {
        check(va, pages);
        self.inner().pages.range_mut(va..va + pages * PAGE).for_each(|(_, (_, prot))| prot.write = false);
    }

    /// The map, with a table for `va` in it.
    fn with_table(&self, va: u64) -> Result<MutexGuard<'_, Inner>, OutOfMemory> {
        check(va, 1);
        let mut inner = self.inner();
        if let Entry::Vacant(place) = inner.tables.entry(va >> 21) {
            let owner = self.home.charge(1, Charge::Kernel)?;
            aside(|| place.insert(owner));
        }
        Ok(inner)
    }

    /// Unmaps `pages` pages from `va` on; holes are allowed.
    ///
    /// # Panics
    /// When the range is not in the user half.
    pub fn unmap(&self, va: u64, pages: u64) {
        check(va, pages);
        let mut inner = self.inner();
        aside(|| {
            let here: Vec<u64> = inner.pages.range(va..va + pages * PAGE).map(|(&va, _)| va).collect();
            let gone: Vec<_> = here.iter().filter_map(|va| inner.pages.remove(va)).collect();
            drop(inner);
            drop(gone);
        });
    }

    /// What is mapped at the page that holds `va`, with a reference of its own.
    pub fn lookup(&self, va: u64) -> Option<(Page, Prot)> {
        self.inner().pages.get(&(va & !(PAGE - 1))).cloned()
    }

    /// Copies bytes from `va` on. False, and nothing is done, unless they lie in one page that is mapped.
    pub fn read(&self, va: u64, buf: &mut [u8]) -> bool {
        self.with_page(va, buf.len(), false, |page, offset| page.read(offset, buf))
    }

    /// Copies bytes to `va`. False, and nothing is done, unless they lie in one page that is mapped to be written.
    pub fn write(&self, va: u64, data: &[u8]) -> bool {
        self.with_page(va, data.len(), true, |page, offset| page.write(offset, data))
    }

    /// Copies the text at `va` up to the zero byte at its end. None unless all of it is in one page that is mapped, and
    /// `buf` has room for it and for eight bytes more; an error when it is no text.
    pub fn read_text<'b>(&self, va: u64, buf: &'b mut [u8]) -> Option<Result<&'b str, Utf8Error>> {
        let mut len = None;
        self.with_page(va, 1, false, |page, offset| {
            let room = buf.len().saturating_sub(8).min(PAGE as usize - offset);
            page.read(offset, &mut buf[..room]);
            len = buf[..room].iter().position(|b| *b == 0);
        });
        Some(str::from_utf8(&buf[..len?]))
    }

    /// Changes the aligned word at `va`, where it is mapped to be written, to what `change` makes of it, which may be
    /// asked again. What was there; as `Err` when `change` gives nothing. None when it is not mapped so.
    pub fn update_u32(&self, va: u64, change: impl Fn(u32) -> Option<u32>) -> Option<Result<u32, u32>> {
        let mut done = None;
        if va.is_multiple_of(4) {
            self.with_page(va, 4, true, |page, offset| done = Some(page.update_u32(offset, change)));
        }
        done
    }

    /// Pins these bytes, if they lie in one page that is mapped, to be written if `write`.
    pub fn pin(&self, va: u64, len: usize, write: bool) -> Option<Pinned> {
        let mut pinned = None;
        self.with_page(va, len, write, |page, offset| {
            pinned = Some(Pinned::new(page.clone(), offset, len));
        });
        pinned
    }

    /// Whether these bytes lie in one page that is mapped, to be written if `write`.
    pub fn holds(&self, va: u64, len: usize, write: bool) -> bool {
        self.with_page(va, len, write, |_, _| ())
    }

    fn with_page(&self, va: u64, len: usize, write: bool, use_it: impl FnOnce(&Page, usize)) -> bool {
        let offset = va % PAGE;
        let inner = self.inner();
        match inner.pages.get(&(va - offset)) {
            Some((page, prot)) if len as u64 <= PAGE - offset && (prot.write || !write) => {
                use_it(page, offset as usize);
                true
            }
            _ => false,
        }
    }

    /// Pages mapped.
    pub fn resident(&self) -> u64 {
        self.inner().pages.len() as u64
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        let tables = core::mem::take(&mut self.inner().tables);
        tables.values().for_each(|&owner| self.home.release(1, Charge::Kernel, owner));
        self.home.release(1, Charge::Kernel, self.owner);
    }
}

fn check(va: u64, pages: u64) {
    assert!(va.is_multiple_of(PAGE), "address {va:#x} is not a page's");
    let end = pages.checked_mul(PAGE).and_then(|n| va.checked_add(n));
    assert!(end.is_some_and(|end| end <= USTKTOP), "{pages} pages at {va:#x} leave user space");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;

    const RW: Prot = Prot { write: true, exec: false };

    #[test]
    fn mappings_own_their_pages() {
        host::new_machine();
        let free = crate::mem::free_bytes();
        let s = AddressSpace::new().unwrap();
        let page = Page::new_zeroed().unwrap();
        s.map(0x20_0000, page.clone(), RW).unwrap();
        s.map(USTKTOP - PAGE, page.clone(), Prot::default()).unwrap();
        assert_eq!((s.resident(), page.refs()), (2, 3));
        let (found, prot) = s.lookup(0x20_0fff).unwrap();
        assert!(found.same(&page) && prot == RW);
        drop(found);
        // A new mapping takes the old one's place.
        s.map(0x20_0000, Page::new_zeroed().unwrap(), RW).unwrap();
        assert_eq!((s.resident(), page.refs()), (2, 2));
        s.unmap(0x20_1000, 100);
        assert_eq!(s.resident(), 2);
        s.unmap(0, USTKTOP / PAGE);
        assert_eq!((s.resident(), page.refs()), (0, 1));
        assert!(s.lookup(0x20_0000).is_none());
        drop((s, page));
        assert_eq!(crate::mem::free_bytes(), free);
    }

    #[test]
    fn neighbours_are_mapped_where_nothing_is() {
        host::new_machine();
        let s = AddressSpace::new().unwrap();
        let pages: Vec<Page> = (0..4).map(|_| Page::new_zeroed().unwrap()).collect();
        let some = |at: u64| {
            let given = pages.iter().enumerate().map(|(n, page)| (n != 2).then_some((page, RW)));
            s.map_absent(at, 0x1f_f000, given)
        };
        // One page is in the table before the others.
        assert_eq!((some(0x20_0000), s.resident()), (Ok(true), 3));
        assert_eq!((some(0x20_0000), s.resident()), (Ok(false), 3));
        assert!(s.lookup(0x20_1000).is_none() && s.lookup(0x20_2000).unwrap().0.same(&pages[3]));
        s.protect(0x20_0000, 2);
        assert!(!s.holds(0x20_0000, 1, true) && s.holds(0x20_0000, 1, false));
        assert!(s.holds(0x1f_f000, 1, true) && s.holds(0x20_2000, 1, true));
        s.unmap(0x1f_f000, 4);
        assert!(pages.iter().all(|page| page.refs() == 1));
    }

    #[test]
    fn bytes_are_copied_within_a_page_that_is_mapped_for_it() {
        host::new_machine();
        let s = AddressSpace::new().unwrap();
        s.map(0x20_0000, Page::new_zeroed().unwrap(), RW).unwrap();
        s.map(0x20_1000, Page::new_zeroed().unwrap(), Prot::default()).unwrap();
        assert!(s.write(0x20_0ffe, b"ab") && !s.write(0x20_0ffe, b"abc") && !s.write(0x20_1000, b"c"));
        let mut buf = [9; 3];
        assert!(s.read(0x20_0ffe, &mut buf[..2]) && buf == *b"ab\x09");
        assert!(s.read(0x20_1000, &mut buf) && buf == [0; 3]);
        assert!(s.holds(0x20_0ffe, 2, true) && !s.holds(0x20_0ffe, 3, true) && !s.holds(0x20_1000, 1, true));
        assert!(s.holds(0x20_1000, 1, false) && !s.holds(0x20_2000, 1, false));
        let pin = |va, len, write| s.pin(va, len, write).map(|p| (p.page().pins(), p.offset(), p.len()));
        assert_eq!(
            (pin(0x20_0ffe, 2, true), pin(0x20_1000, 4096, false)),
            (Some((1, 0xffe, 2)), Some((1, 0, 4096)))
        );
        assert!(pin(0x20_0ffe, 3, true).or(pin(0x20_1000, 1, true)).or(pin(0x20_2000, 1, false)).is_none());
        assert_eq!(s.lookup(0x20_0000).unwrap().0.pins(), 0);
        let mut text = [9; 20];
        assert!(s.write(0x20_0ff0, b"/tmp/t\0") && s.read_text(0x20_0ff2, &mut text) == Some(Ok("mp/t")));
        assert!(text[..4] == *b"mp/t" && s.write(0x20_0ff6, &[b'x'; 10]));
        assert_eq!(s.read_text(0x20_0ff0, &mut text), None);
        assert_eq!(s.read_text(0x20_2000, &mut text), None);
        assert!(s.write(0x20_0ff0, b"a\xff\0") && s.read_text(0x20_0ff0, &mut text).unwrap().is_err());
        let more = |n: u32| n.checked_add(1).filter(|n| *n < 3);
        let counted = [0; 3].map(|_| s.update_u32(0x20_0010, more));
        assert_eq!(counted, [Some(Ok(0)), Some(Ok(1)), Some(Err(2))]);
        assert_eq!(s.update_u32(0x20_1000, more).or(s.update_u32(0x20_0011, more)), None);
        assert!(
            !s.read(0x20_0ffe, &mut buf) && !s.read(0x20_2000, &mut buf) && !s.read(u64::MAX, &mut buf[..1])
        );
    }

    #[test]
    fn tables_cost_memory_and_a_failed_map_changes_nothing() {
        host::new_machine();
        let page = Page::new_zeroed().unwrap();
        host::limit_pages(3);
        let s = AddressSpace::new().unwrap();
        s.map(0x20_0000, page.clone(), RW).unwrap();
        assert_eq!(s.map(0x40_0000, page.clone(), RW), Err(OutOfMemory));
        assert_eq!(page.refs(), 2);
        s.map(0x20_1000, page.clone(), RW).unwrap();
        assert!(AddressSpace::new().is_err());
    }

    #[test]
    #[should_panic(expected = "leave user space")]
    fn the_kernel_s_half_is_not_for_maps() {
        let _ = AddressSpace::new().unwrap().map(USTKTOP, Page::new_zeroed().unwrap(), RW);
    }

    #[test]
    #[should_panic(expected = "is not a page's")]
    fn an_address_inside_a_page_is_a_bug() {
        AddressSpace::new().unwrap().unmap(1, 1);
    }
}
