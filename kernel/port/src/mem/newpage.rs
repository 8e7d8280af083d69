//! Pages for programs and for images, whose owners may be refused.
//!
//! Before that happens, what is kept of programs' files is given up, unless that is of no use.
//!
//! Who wants a page may have a segment's `inner` in hand: the locks of the images come after it.

use alloc::sync::Arc;

use abi::layout::PAGE;
use machine::heap::can_afford;
use machine::ledger::{self, as_kernel};
use machine::page::{OutOfMemory, Page};

use crate::error::Result;
use crate::proc::process::Proc;

/// A zeroed page for a process; unused images are given up before it fails.
///
/// # Errors
/// `virtual memory allocation failed`.
pub(super) fn new_page(up: &Arc<Proc>) -> Result<Page> {
    match Page::new_zeroed() {
        Ok(page) => Ok(page),
        Err(_) if give_up_images(up) => Ok(Page::new_zeroed().map_err(|_| abi::error::ENOVMEM)?),
        Err(_) => Err(abi::error::ENOVMEM.into()),
    }
}

/// A copy of a page.
///
/// # Errors
/// `virtual memory allocation failed`.
pub(super) fn copy_page(up: &Arc<Proc>, page: &Page) -> Result<Page> {
    match Page::new_uninit_for_copy_of(page) {
        Ok(copy) => Ok(copy),
        Err(_) if give_up_images(up) => {
            Ok(Page::new_uninit_for_copy_of(page).map_err(|_| abi::error::ENOVMEM)?)
        }
        Err(_) => Err(abi::error::ENOVMEM.into()),
    }
}

/// A zeroed page for an image, or for a file's contents, which everybody shares and nobody pays for. It is refused as
/// one of the process's own.
///
/// # Errors
/// As [`new_page`].
pub(crate) fn new_image_page(up: &Arc<Proc>) -> Result<Page> {
    let take = || match can_afford(PAGE) {
        true => as_kernel(Page::new_zeroed),
        false => Err(OutOfMemory),
    };
    match take() {
        Err(_) if give_up_images(up) => Ok(take().map_err(|_| abi::error::ENOVMEM)?),
        page => Ok(page.map_err(|_| abi::error::ENOVMEM)?),
    }
}

/// Gives back all that is kept of files, unless that is of no use. True when there was any.
pub(crate) fn give_up_kept(up: &Arc<Proc>) -> bool {
    // The one, and then the other.
    let contents = give_up_images(up);
    give_up_images(up) || contents
}

/// Gives back what is kept of files' contents, or else of programs' files, unless that is of no use: the user has all
/// that it may. True when there was any.
pub(super) fn give_up_images(up: &Arc<Proc>) -> bool {
    let kernel = &up.kernel;
    ledger::may_have(PAGE as usize)
        && (kernel.contents.reclaim() || kernel.images.reclaim() || kernel.unpacked.reclaim())
}
