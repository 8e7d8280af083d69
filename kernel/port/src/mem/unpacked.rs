//! Blocks of packed archives (`dev::root`), made whole for who reads them.
//!
//! The blocks that were read last are kept, a few where there is memory ([`most`]) and at least one: programs are read
//! in pieces that do not end where blocks do, small files have blocks together, and several may read at a time, each of
//! whom would have the others' block thrown away with every piece. They are nobody's, and go before a program is
//! refused a page. What makes blocks whole is kept as well, once there was one; there is one of it.
//!
//! Ownership: the kernel has one [`Unpacked`]; readers hold the block that they copy from. Lock order:
//! `Unpacked::inflater`, a `QLock`, then the locks of images and of contents, which are given up when there is no
//! memory for a block, and `Unpacked::kept`, a leaf. Nothing of a program is touched under any of them.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::error;
use machine::heap;
use machine::ledger::as_kernel;
use machine::lock::Lock;
use machine::sync::QLock;
use machine::{OutOfMemory, mem};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::calls;
use super::newpage::give_up_images;
use crate::error::Result;
use crate::proc::process::Proc;

/// Which block: the number of its archive, and its own there.
pub(crate) type Block = (usize, usize);

/// Blocks that are kept have this part of memory, so many bytes each at most...
const PART: u64 = 512;
const BYTES: u64 = 32 << 10;
/// ...and are no more than so many.
const MOST: usize = 16;

/// A block that is whole.
type Whole = (Block, Arc<Vec<u8>>);

/// What makes blocks whole, and the last of them.
pub(crate) struct Unpacked {
    /// The one that was wanted last comes first.
    kept: Lock<[Option<Whole>; MOST]>,
    /// One, or none yet.
    inflater: QLock<Vec<DecompressorOxide>>,
}

impl Unpacked {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Unpacked { kept: Lock::new([const { None }; MOST]), inflater: QLock::new(Vec::new()) }
    }

    /// A block, which is at `at` of the contents, this when deflated, and so long when whole.
    ///
    /// # Errors
    /// `virtual memory allocation failed`; `i/o error` when it cannot be made whole.
    pub(crate) fn block(
        &self,
        up: &Arc<Proc>,
        block: Block,
        at: usize,
        deflated: &[u8],
        len: usize,
    ) -> Result<Arc<Vec<u8>>> {
        if let Some(bytes) = self.kept(block) {
            return Ok(bytes);
        }
        let mut inflater = self.inflater.lock();
        // Somebody may have wanted it just before.
        if let Some(bytes) = self.kept(block) {
            return Ok(bytes);
        }
        let mut bytes = match room(&mut inflater, len) {
            Err(_) if give_up_images(up) => room(&mut inflater, len),
            room => room,
        }
        .map_err(|_| error::ENOVMEM)?;
        let inflater = inflater.first_mut().ok_or(error::ENOVMEM)?;
        inflater.init();
        let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, _, written) = decompress(inflater, deflated, &mut bytes, 0, flags);
        if status != TINFLStatus::Done || written != len {
            return Err(error::EIO.into());
        }
        calls::undo(&mut bytes, at);
        let bytes = as_kernel(|| Arc::new(bytes));
        let gone = {
            let mut kept = self.kept.lock();
            let places = kept.get_mut(..most()).unwrap_or_default();
            places.rotate_right(1);
            places.first_mut().and_then(|first| first.replace((block, bytes.clone())))
        };
        drop(gone);
        Ok(bytes)
    }

    fn kept(&self, block: Block) -> Option<Arc<Vec<u8>>> {
        let mut kept = self.kept.lock();
        let at = kept.iter().position(|one| one.as_ref().is_some_and(|(which, _)| *which == block))?;
        kept.get_mut(..=at)?.rotate_right(1);
        kept.first()?.as_ref().map(|(_, bytes)| bytes.clone())
    }

    /// Gives back the blocks that are kept. True when there was one.
    pub(super) fn reclaim(&self) -> bool {
        let kept = core::mem::replace(&mut *self.kept.lock(), [const { None }; MOST]);
        kept.iter().any(Option::is_some)
    }
}

/// How many blocks are kept.
fn most() -> usize {
    usize::try_from(mem::total_bytes() / PART / BYTES).unwrap_or(MOST).clamp(1, MOST)
}

/// Room for a block, and what makes it whole. It is refused as a page of a program's is.
fn room(inflater: &mut Vec<DecompressorOxide>, len: usize) -> core::result::Result<Vec<u8>, OutOfMemory> {
    if !heap::can_afford((len + size_of::<DecompressorOxide>()) as u64) {
        return Err(OutOfMemory);
    }
    as_kernel(|| {
        if inflater.is_empty() {
            heap::try_reserve_exact(inflater, 1)?;
            inflater.push(DecompressorOxide::default());
        }
        heap::try_bytes(len)
    })
}
