//! `#K`, also `#κ`: where the kernel's time goes (section 3, `kprof`).
//!
//! `kpctl` begins and ends the counting, which `machine::sampling` does; `kpdata` has the counts, four bytes each, most
//! significant first. The device has no state, and both letters are the same. No locks.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use abi::{Qid, error};
use machine::sampling;

use crate::dev::Dev;
use crate::dev::dirtab::{self, Entry};
use crate::error::Result;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::Chan;
use crate::proc::process::Proc;

const CTL: u64 = 1;
const DATA: u64 = 2;
/// Longest message, in bytes.
const MAXCTL: usize = 32;

/// The device.
pub struct Kprof(char);

impl Kprof {
    /// The device under this letter.
    pub fn new(letter: char) -> Arc<Self> {
        Arc::new(Kprof(letter))
    }
}

impl Dev for Kprof {
    fn letter(&self) -> char {
        self.0
    }

    fn name(&self) -> &'static str {
        "kprof"
    }

    fn list(&self, _up: &Arc<Proc>, _c: &Chan, _dir: Qid) -> Result<Vec<Entry>> {
        let length = 4 * sampling::kernel_cells() as u64;
        let data = Entry { length, ..Entry::file("kpdata", DATA, 0o600) };
        Ok(alloc::vec![Entry::file("kpctl", CTL, 0o600), data])
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        match c.qid.path {
            DATA => {
                let counts = sampling::kernel_counts();
                let counts = counts.as_deref().map(Vec::as_slice).unwrap_or_default();
                read_counts(up, dst, offset, counts, sampling::kernel_cells(), u32::to_be_bytes)
            }
            CTL => Ok(0),
            _ => dirtab::read_dir(self, up, c, dst, offset),
        }
    }

    fn write(&self, _up: &Arc<Proc>, c: &Chan, src: &Src<'_>, _offset: u64) -> Result<usize> {
        if c.qid.path != CTL {
            return Err(error::EPERM.into());
        }
        let message = src.to_vec(MAXCTL)?;
        match message.trim_ascii_end() {
            b"start" => sampling::start_kernel(false)?,
            b"startclr" => sampling::start_kernel(true)?,
            b"stop" => sampling::stop_kernel(),
            _ => return Err(error::EBADCTL.into()),
        }
        Ok(src.len())
    }
}

/// What a read at `offset` gives of `len` counts, of which those that are not there are 0, each as four bytes.
///
/// # Errors
/// A bad user address.
pub(crate) fn read_counts(
    up: &Proc,
    dst: &mut Dst<'_>,
    offset: u64,
    counts: &[AtomicU32],
    len: usize,
    bytes_of: fn(u32) -> [u8; 4],
) -> Result<usize> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(4 * len);
    let most = dst.len().min(4 * len - start);
    let mut done = 0;
    while done < most && up.may_go_on(done) {
        let mut piece = [0; 1024];
        let at = start + done;
        for (n, word) in (at / 4..).zip(piece.as_chunks_mut::<4>().0) {
            *word = bytes_of(counts.get(n).map_or(0, |n| n.load(Ordering::Relaxed)));
        }
        let piece = piece.get(at % 4..).unwrap_or_default();
        let piece = piece.get(..piece.len().min(most - done)).unwrap_or(piece);
        dst.put(done, piece)?;
        done += piece.len();
    }
    Ok(done)
}
