//! `#r`: the time of day, and the memory in which auth programs look for a machine's keys (section 3, `rtc`).
//!
//! A PC's own has a hundred bytes, which are the firmware's; so `nvram` is memory of the kernel's, nothing at the
//! start, and gone when the machine is.
//!
//! Locks: `nvram`, a leaf.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Qid, error};
use machine::clock;
use machine::lock::Lock;

use crate::dev::Dev;
use crate::dev::dirtab::{self, Entry};
use crate::error::Result;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::Chan;
use crate::proc::process::Proc;

const NVRAM: u64 = 1;
const RTC: u64 = 2;
/// Bytes that are kept.
const SIZE: usize = 512;

/// The device.
pub struct Rtc {
    nvram: Lock<[u8; SIZE]>,
}

impl Rtc {
    /// The device, with nothing kept.
    pub fn new() -> Arc<Self> {
        Arc::new(Rtc { nvram: Lock::new([0; SIZE]) })
    }
}

impl Dev for Rtc {
    fn letter(&self) -> char {
        'r'
    }

    fn name(&self) -> &'static str {
        "rtc"
    }

    fn list(&self, _up: &Arc<Proc>, _c: &Chan, _dir: Qid) -> Result<Vec<Entry>> {
        let nvram = Entry { length: SIZE as u64, ..Entry::file("nvram", NVRAM, 0o660) };
        Ok(alloc::vec![nvram, Entry::file("rtc", RTC, 0o664)])
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        match c.qid.path {
            NVRAM => {
                let bytes = *self.nvram.lock();
                dst.put_from(&bytes, offset)
            }
            RTC => dst.put_from(format!("{:>11} ", clock::wall_ns() / 1_000_000_000).as_bytes(), offset),
            _ => dirtab::read_dir(self, up, c, dst, offset),
        }
    }

    fn write(&self, _up: &Arc<Proc>, c: &Chan, src: &Src<'_>, offset: u64) -> Result<usize> {
        let bytes = src.to_vec(SIZE)?;
        match c.qid.path {
            NVRAM => {
                let at = usize::try_from(offset).unwrap_or(SIZE).min(SIZE);
                let n = bytes.len().min(SIZE - at);
                for (place, byte) in self.nvram.lock().iter_mut().skip(at).zip(bytes.iter().take(n)) {
                    *place = *byte;
                }
                Ok(n)
            }
            RTC => {
                let text = core::str::from_utf8(&bytes).map_err(|_| error::EBADARG)?;
                let seconds: i64 = text.trim().parse().map_err(|_| error::EBADARG)?;
                clock::set_wall_ns(seconds.checked_mul(1_000_000_000).ok_or(error::EBADARG)?);
                Ok(bytes.len())
            }
            _ => Err(error::EPERM.into()),
        }
    }
}
