//! `Pinned`: a stretch of a page that a device may be reading or writing.
//!
//! A pin is a counted reference that `Page::pins` also counts apart. Whoever would share the page copy-on-write
//! (fork) looks at that count and copies at once instead, since a device would go on writing into the page it was
//! given.

use crate::census::{Counted, PINNED};
use crate::page::Page;

/// Part of one page, kept alive and counted in [`Page::pins`] while a device may touch it.
pub struct Pinned {
    page: Page,
    off: u32,
    len: u32,
    _counted: Counted<PINNED>,
}

impl Pinned {
    /// Pins `len` bytes of `page` from `off`.
    ///
    /// # Panics
    /// When the stretch leaves the page: callers cut at page boundaries.
    pub fn new(page: Page, off: usize, len: usize) -> Pinned {
        let size = abi::layout::PAGE as usize;
        assert!(off <= size && len <= size - off, "pin of {len} bytes at {off} leaves the page");
        page.pin();
        // Both are at most 4096 by the assertion above.
        Pinned { page, off: off as u32, len: len as u32, _counted: Counted::new() }
    }

    /// Physical address of the first byte.
    pub fn phys(&self) -> u64 {
        self.page.phys() + u64::from(self.off)
    }

    /// Length in bytes, 0 to 4096.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether no byte is pinned.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where in its page the first byte is.
    pub fn offset(&self) -> usize {
        self.off as usize
    }

    /// The page.
    pub fn page(&self) -> &Page {
        &self.page
    }

    /// Copies bytes out, `at` bytes behind the first pinned one.
    ///
    /// # Panics
    /// When `at + buf.len()` is beyond [`Pinned::len`].
    pub fn read(&self, at: usize, buf: &mut [u8]) {
        self.page.read(self.place(at, buf.len()), buf);
    }

    /// Copies bytes in, `at` bytes behind the first pinned one.
    ///
    /// # Panics
    /// When `at + data.len()` is beyond [`Pinned::len`].
    pub fn write(&self, at: usize, data: &[u8]) {
        self.page.write(self.place(at, data.len()), data);
    }

    /// Copies bytes in from a page, `at` bytes behind the first pinned one.
    ///
    /// # Panics
    /// When `at + len` is beyond [`Pinned::len`], or `from + len` beyond the page.
    pub fn copy_from(&self, at: usize, page: &Page, from: usize, len: usize) {
        self.page.copy_from(self.place(at, len), page, from, len);
    }

    /// A pin of the part `at..at + len` of this one.
    ///
    /// # Panics
    /// When that leaves the stretch.
    pub fn slice(&self, at: usize, len: usize) -> Pinned {
        Pinned::new(self.page.clone(), self.place(at, len), len)
    }

    /// Changes the 32-bit word `at` bytes behind the first pinned one to what `change` makes of it, which may be asked
    /// again; the address must be a multiple of 4. Gives what was there.
    ///
    /// # Errors
    /// What is there, when `change` gives nothing.
    pub fn update_u32(&self, at: usize, change: impl Fn(u32) -> Option<u32>) -> Result<u32, u32> {
        self.page.update_u32(self.place(at, 4), change)
    }

    fn place(&self, at: usize, len: usize) -> usize {
        assert!(at <= self.len() && len <= self.len() - at, "{len} bytes at {at} leave the pinned stretch");
        self.off as usize + at
    }
}

impl Clone for Pinned {
    fn clone(&self) -> Pinned {
        self.page.pin();
        Pinned { page: self.page.clone(), off: self.off, len: self.len, _counted: Counted::new() }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.page.unpin();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_count_and_keep_the_page() {
        let page = Page::new_zeroed().unwrap();
        page.write(100, b"hello");
        let a = Pinned::new(page.clone(), 100, 5);
        assert_eq!((page.refs(), page.pins()), (2, 1));
        let b = a.clone();
        assert_eq!((page.refs(), page.pins()), (3, 2));
        assert_eq!(a.phys(), page.phys() + 100);
        drop(a);
        let mut buf = [0; 4];
        b.read(1, &mut buf);
        assert_eq!(&buf, b"ello");
        b.write(0, b"J");
        drop(b);
        assert_eq!((page.refs(), page.pins()), (1, 0));
        let mut one = [0];
        page.read(100, &mut one);
        assert_eq!(&one, b"J");
    }

    #[test]
    fn a_part_is_a_pin_of_its_own_and_words_are_the_page_s() {
        let page = Page::new_zeroed().unwrap();
        let whole = Pinned::new(page.clone(), 8, 100);
        let part = whole.slice(4, 8);
        assert_eq!((part.phys(), part.len(), page.pins()), (page.phys() + 12, 8, 2));
        drop(whole);
        let to = |old, new| move |word| (word == old).then_some(new);
        assert_eq!(part.update_u32(4, to(0, 7)), Ok(0));
        assert_eq!(part.update_u32(4, to(0, 8)), Err(7));
        assert_eq!(page.read_u32(16), 7);
        assert_eq!(page.pins(), 1);
    }

    #[test]
    #[should_panic(expected = "leave the pinned stretch")]
    fn a_word_may_not_leave_the_pin() {
        let _ = Pinned::new(Page::new_zeroed().unwrap(), 0, 10).update_u32(8, |_| None);
    }

    #[test]
    #[should_panic(expected = "leaves the page")]
    fn a_pin_may_not_leave_the_page() {
        Pinned::new(Page::new_zeroed().unwrap(), 4000, 97);
    }

    #[test]
    #[should_panic(expected = "leave the pinned stretch")]
    fn a_read_may_not_leave_the_pin() {
        Pinned::new(Page::new_zeroed().unwrap(), 0, 10).read(6, &mut [0; 5]);
    }
}
