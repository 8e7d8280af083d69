//! Pages that are constants of the kernel: files of its root, which programs have mapped where they lie.
//!
//! The kernel's own reference to each of them, which `frames` counts, is never given up, so none goes to the allocator;
//! nobody pays for them. No way to them in the kernel is writable (`paging`), and whoever shares a page copies it
//! before he writes.

use super::page::Page;
use super::paging;
use super::tables::PAGE;
use core::mem::ManuallyDrop;

impl Page {
    /// The page that these bytes are, if they are a whole page of the kernel's constants. It is nobody's to write.
    pub fn of_constant(bytes: &'static [u8]) -> Option<Page> {
        let va = bytes.as_ptr().addr() as u64;
        let is_page = bytes.len() as u64 == PAGE && va.is_multiple_of(PAGE);
        if !is_page || !paging::constants().contains(&va) {
            return None;
        }
        // SAFETY: the kernel's own reference is never given up, nor is this one: another is made.
        let own = ManuallyDrop::new(unsafe { Page::from_phys(paging::image_phys(va)) });
        Some(Page::clone(&own))
    }
}
