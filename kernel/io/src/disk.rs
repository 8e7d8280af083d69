//! Disks: sectors that are read and written.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use machine::page::Pinned;

/// Why a transfer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// The disk, or the way to it, failed; or the place is beyond its end.
    Failed,
    /// The disk cannot be written.
    Protected,
    /// There is no memory to do it with.
    NoMemory,
    /// Who waited has left. What becomes of it, nobody knows.
    Interrupted,
}

impl DiskError {
    /// What a program is told.
    pub fn text(self) -> &'static str {
        match self {
            DiskError::Failed => "i/o error",
            DiskError::Protected => "disk is write-protected",
            DiskError::NoMemory => "out of memory",
            DiskError::Interrupted => "interrupted",
        }
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for DiskError {}

/// A disk. All of it may sleep but what only tells; while the disk is silent it asks now and then whether the caller
/// has to `leave`, being killed, and leaves the rest to the disk.
pub trait Disk: Send + Sync {
    /// Its name among the machine's devices, as `virtio-block-1`.
    fn name(&self) -> String;
    /// The serial that the host gave it; may be empty.
    fn serial(&self) -> String;
    /// Bytes of a sector, a power of two from 512 to 4096.
    fn sector_size(&self) -> u32;
    /// Sectors that it has now.
    fn sectors(&self) -> u64;
    /// Whether it can be written.
    fn writable(&self) -> bool;
    /// Reads whole sectors from `sector` on, as many as there is room for. Waits until that is done, and when it fails,
    /// until the memory is not touched any more.
    ///
    /// # Errors
    /// What is wrong with the disk, or with the place. How much was read is unknown then, and after
    /// [`DiskError::Interrupted`] how much will be.
    fn read(&self, sector: u64, to: Vec<Pinned>, leave: &dyn Fn() -> bool) -> Result<(), DiskError>;
    /// Writes whole sectors.
    ///
    /// # Errors
    /// As [`Disk::read`], and when the disk is write-protected.
    fn write(&self, sector: u64, from: Vec<Pinned>, leave: &dyn Fn() -> bool) -> Result<(), DiskError>;
    /// Waits until all that was written is on the medium.
    ///
    /// # Errors
    /// As [`Disk::read`].
    fn flush(&self, leave: &dyn Fn() -> bool) -> Result<(), DiskError>;
}
