//! What a disk is and takes, as its features and its configuration say (section 5.2.3 and 5.2.4).

use super::UNIT;
use crate::Failure;
use crate::requests::QUEUE;
use crate::transport::{self, INDIRECT_DESC, VERSION_1, VirtioTransport};

/// Most entries used of it, where that can be chosen.
pub(super) const SIZE_MOST: u16 = 128;

/// Features: limits on the length and the number of segments, read-only, size of a sector, a cache that can be flushed.
const SIZE_MAX: u64 = 1 << 1;
const SEG_MAX: u64 = 1 << 2;
const RO: u64 = 1 << 5;
const BLK_SIZE: u64 = 1 << 6;
const FLUSH: u64 = 1 << 9;
const WANTED: u64 = SIZE_MAX | SEG_MAX | RO | BLK_SIZE | FLUSH | INDIRECT_DESC;

/// Where the configuration has them.
const CONFIG_CAPACITY: usize = 0;
const CONFIG_SIZE_MAX: usize = 8;
const CONFIG_SEG_MAX: usize = 12;
const CONFIG_BLK_SIZE: usize = 20;

/// A page: what a stretch of memory is at most, and a sector.
const PAGE: u32 = 4096;
/// Most stretches of data in a request.
const SEGMENTS_MOST: u16 = 64;

/// What does not change while a device is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Feature bits the driver took.
    pub taken: u64,
    /// Entries of the ring, at least 4.
    pub size: u16,
    /// Bytes of a sector, a power of two from 512 to 4096.
    pub sector_size: u32,
    /// Longest stretch of memory in a request, at least a page.
    pub longest: u32,
    /// Stretches of data in a request, at least 2.
    pub segments: u16,
}

impl Shape {
    /// Resets the device, agrees on features, and reads what it is.
    ///
    /// # Errors
    /// When the device does not agree, or is of a shape that this driver cannot use.
    pub fn agree(transport: &dyn VirtioTransport) -> Result<Shape, Failure> {
        let taken = transport::negotiate(transport, WANTED, 0)?;
        // Only now: the firmware may have used it before.
        let size = match transport.queue_size(QUEUE, SIZE_MOST) {
            0..4 => return Err(Failure::new("no request queue")),
            size => size,
        };
        let number = |feature: u64, at: usize, otherwise: u32| -> Result<u32, Failure> {
            let mut bytes = otherwise.to_le_bytes();
            if taken & feature != 0 {
                transport.config_read(at, &mut bytes)?;
            }
            Ok(u32::from_le_bytes(bytes))
        };
        let sector_size = number(BLK_SIZE, CONFIG_BLK_SIZE, UNIT)?;
        if !sector_size.is_power_of_two() || !(UNIT..=PAGE).contains(&sector_size) {
            return Err(Failure::text(alloc::format!("sectors of {sector_size} bytes")));
        }
        let longest = number(SIZE_MAX, CONFIG_SIZE_MAX, u32::MAX)?;
        // Head and status are segments, too.
        let most = SEGMENTS_MOST.min(size - 2);
        let segments = number(SEG_MAX, CONFIG_SEG_MAX, u32::MAX)?.min(u32::from(most)) as u16;
        // A sector may lie across two pages.
        if longest < PAGE || segments < 2 {
            return Err(Failure::text(alloc::format!(
                "takes no more than {segments} pieces of {longest} bytes in a request"
            )));
        }
        Ok(Shape { taken, size, sector_size, longest, segments })
    }

    /// Whether the disk cannot be written.
    pub fn read_only(&self) -> bool {
        self.taken & RO != 0
    }

    /// Whether what was written may not be on the medium yet.
    pub fn has_cache(&self) -> bool {
        self.taken & FLUSH != 0
    }

    /// Whether a request of many segments takes one entry of the ring.
    pub fn indirect(&self) -> bool {
        self.taken & INDIRECT_DESC != 0
    }

    /// Whether the device follows version 1.0 or later of the specification.
    pub fn modern(&self) -> bool {
        self.taken & VERSION_1 != 0
    }
}

/// The size of the disk at this moment, in units.
///
/// # Errors
/// When the configuration cannot be read.
pub(super) fn capacity(transport: &dyn VirtioTransport) -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    transport.config_read(CONFIG_CAPACITY, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
