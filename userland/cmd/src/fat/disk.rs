//! The bytes that a file system of FAT is on, as the library wants them: with a place to read and write at, some blocks
//! kept, and a limit.
//!
//! What is written stays in the kept blocks until the request is done ([`Core::flush`]), so that a table which is
//! changed entry by entry is written once. A file system that leads in circles keeps the library reading for ever; so
//! each request may come here only so often ([`Core::allow`]), and then fails.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use lamfat::{IoBase, IoError, Read, Seek, SeekFrom, Write};

/// Bytes of a block.
const BLOCK: u64 = 16 << 10;
/// Blocks that are kept.
const MOST: usize = 16;

/// Where the bytes are: a partition, an image.
pub trait Device {
    /// How many there are.
    fn size(&self) -> u64;
    /// Whether none of them can be changed.
    fn is_readonly(&self) -> bool;
    /// Reads so many at a place where they are.
    ///
    /// # Errors
    /// Why they cannot be read.
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), String>;
    /// Writes them.
    ///
    /// # Errors
    /// Why they cannot be written.
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), String>;
}

/// What is wrong below the file system, or with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The device says so.
    Device(String),
    /// It has been asked too often.
    Endless,
    /// It ends before that.
    Short,
}

impl IoError for Fault {
    fn is_interrupted(&self) -> bool {
        false
    }

    fn new_unexpected_eof_error() -> Self {
        Fault::Short
    }

    fn new_write_zero_error() -> Self {
        Fault::Short
    }
}

struct Block {
    number: u64,
    used: u64,
    changed: bool,
    bytes: Vec<u8>,
}

/// The device and its kept blocks.
pub struct Core<D: Device> {
    device: D,
    blocks: Vec<Block>,
    clock: u64,
    left: u64,
}

impl<D: Device> Core<D> {
    /// All of a device, of which nothing is kept yet.
    pub fn new(device: D) -> Self {
        Core { device, blocks: Vec::new(), clock: 0, left: 0 }
    }

    /// How often it may be asked from now on.
    pub fn allow(&mut self, left: u64) {
        self.left = left;
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    fn spend(&mut self) -> Result<(), Fault> {
        self.left = self.left.checked_sub(1).ok_or(Fault::Endless)?;
        Ok(())
    }

    /// Writes what was changed. What cannot be written is forgotten, so that it does not come up later.
    ///
    /// # Errors
    /// The device's.
    pub fn flush(&mut self) -> Result<(), Fault> {
        let mut failed = None;
        for block in self.blocks.iter_mut().filter(|block| block.changed) {
            block.changed = false;
            if let Err(why) = self.device.write(block.number * BLOCK, &block.bytes) {
                failed = Some(why);
                block.used = 0;
                block.number = u64::MAX;
            }
        }
        failed.map_or(Ok(()), |why| Err(Fault::Device(why)))
    }

    /// The block that a place is in, and where in it; none behind the end.
    fn block(&mut self, at: u64) -> Result<Option<(&mut Block, usize)>, Fault> {
        let number = at / BLOCK;
        let len = self.device.size().saturating_sub(number.saturating_mul(BLOCK)).min(BLOCK) as usize;
        let within = (at % BLOCK) as usize;
        if within >= len {
            return Ok(None);
        }
        self.clock += 1;
        let found = self.blocks.iter().position(|block| block.number == number);
        let index = match found {
            Some(index) => index,
            None => {
                let index = if self.blocks.len() < MOST {
                    let bytes = Vec::new();
                    self.blocks.push(Block { number: u64::MAX, used: 0, changed: false, bytes });
                    self.blocks.len() - 1
                } else {
                    let oldest = self.blocks.iter().enumerate().min_by_key(|(_, block)| block.used);
                    oldest.map_or(0, |(index, _)| index)
                };
                let Some(block) = self.blocks.get_mut(index) else { return Ok(None) };
                let old = core::mem::replace(&mut block.number, u64::MAX);
                if core::mem::take(&mut block.changed) {
                    self.device.write(old * BLOCK, &block.bytes).map_err(Fault::Device)?;
                }
                block.bytes.resize(len, 0);
                self.device.read(number * BLOCK, &mut block.bytes).map_err(Fault::Device)?;
                block.number = number;
                index
            }
        };
        let clock = self.clock;
        Ok(self.blocks.get_mut(index).map(|block| {
            block.used = clock;
            (block, within)
        }))
    }

    /// Reads some bytes, no further than to a block's end; how many.
    ///
    /// # Errors
    /// The device's, or that it has been asked too often.
    pub fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<usize, Fault> {
        self.spend()?;
        let Some((block, within)) = self.block(at)? else { return Ok(0) };
        let held = block.bytes.get(within..).unwrap_or_default();
        let n = held.len().min(bytes.len());
        bytes.iter_mut().zip(held).for_each(|(to, from)| *to = *from);
        Ok(n)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<usize, Fault> {
        self.spend()?;
        if self.device.is_readonly() {
            return Err(Fault::Device("it is read only".into()));
        }
        let Some((block, within)) = self.block(at)? else { return Ok(0) };
        let place = block.bytes.get_mut(within..).unwrap_or_default();
        let n = place.len().min(bytes.len());
        place.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        block.changed = true;
        Ok(n)
    }
}

impl<D: Device> Drop for Core<D> {
    fn drop(&mut self) {
        // Nobody is there to be told.
        let _ = self.flush();
    }
}

/// A place in it.
pub struct Disk<D: Device> {
    core: Rc<RefCell<Core<D>>>,
    at: u64,
}

impl<D: Device> Disk<D> {
    /// Its beginning.
    pub fn new(core: Rc<RefCell<Core<D>>>) -> Self {
        Disk { core, at: 0 }
    }
}

impl<D: Device> IoBase for Disk<D> {
    type Error = Fault;
}

impl<D: Device> Read for Disk<D> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Fault> {
        let n = self.core.borrow_mut().read(self.at, bytes)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl<D: Device> Write for Disk<D> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let n = self.core.borrow_mut().write(self.at, bytes)?;
        self.at += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

impl<D: Device> Seek for Disk<D> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, Fault> {
        let mut core = self.core.borrow_mut();
        core.spend()?;
        let to = match to {
            SeekFrom::Start(n) => Some(n),
            SeekFrom::Current(n) => self.at.checked_add_signed(n),
            SeekFrom::End(n) => core.device.size().checked_add_signed(n),
        };
        self.at = to.ok_or(Fault::Short)?;
        Ok(self.at)
    }
}
