//! The block device: a disk.
//!
//! Created by `-drive if=none,id=d0,file=IMAGE,format=raw -device virtio-blk-pci,drive=d0` (`virtio-blk-device` on
//! microvm; `serial=NAME` gives it a serial, `logical_block_size=4096` larger sectors, `readonly=on` in the drive
//! makes it read-only). Follows virtio 1.3 section 5.2: one queue, whose chains are a head of 16 bytes, the data and a
//! byte of status.
//!
//! [`Block::transfer`] moves whole sectors straight between the disk and pinned pages. It is cut into requests that the
//! device takes, which are all in flight together, as are those of other threads; what finds no free descriptor waits
//! in `backlog`, first come, first served. All waits are without notes: a disk answers, or is reset. Only who has to leave, being killed,
//! leaves what is out to the driver, when the disk has been silent for a second: the memory stays pinned until the disk
//! has let go of it.
//!
//! # States
//!
//! *Running*: requests are sent. *Down*: the device asked for a reset, lied, or did not answer for half a minute; what
//! was in flight comes back as failed as soon as the device has let go of it, everything new at once. The keeper, a
//! thread, resets the device and starts it afresh. *Dead*: it could not be started again.
//!
//! # Locks
//!
//! `state` (a Lock, also taken by the interrupt handler) guards the ring, the backlog and the condition. It is
//! never held while a request is completed or the device is touched.

mod device;
mod piece;
mod requests;
mod shape;
#[cfg(test)]
mod tests;

use crate::Failure;
use crate::inventory::table::{Driver, Status};
use crate::transport::{self, Handler, Interrupts, VirtioTransport};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use device::Device;
use io::{Disk, DiskError};
use machine::page::Pinned;
use machine::thread;
use piece::{Op, Piece, cut};

/// The unit in which the device counts, in bytes, whatever its sectors are.
pub(crate) const UNIT: u32 = 512;

/// Which way data go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// From the disk to memory.
    Read,
    /// From memory to the disk.
    Write,
}

/// A disk that has been started.
pub struct Block {
    name: String,
    interrupts: Interrupts,
    device: Arc<Device>,
}

impl Block {
    /// Starts the disk behind `transport`, under a name as `virtio-block-1`.
    ///
    /// # Errors
    /// When any step fails; the device is left alone then, and marked so.
    pub fn start(name: &str, transport: Arc<dyn VirtioTransport>) -> Result<Arc<Block>, Failure> {
        let started = Block::try_start(name, &transport);
        if started.is_err() {
            transport::give_up(&*transport);
        }
        started
    }

    fn try_start(name: &str, transport: &Arc<dyn VirtioTransport>) -> Result<Arc<Block>, Failure> {
        let device = Device::open(transport.clone())?;
        let shared = device.clone();
        let handler: Handler = Arc::new(move |cause| shared.interrupt(cause));
        let interrupts = transport.connect(name, handler)?;
        transport.arm()?;
        device.run()?;
        let keeper = device.clone();
        thread::spawn(name, 0, Box::new(move || keeper.keep()))?;
        let asking = device.clone();
        thread::spawn(&alloc::format!("{name}.id"), 0, Box::new(move || asking.identify()))?;
        Ok(Arc::new(Block { name: name.into(), interrupts, device }))
    }

    /// Moves whole sectors from `sector` on: as many as the memory has room for. Waits until that is done, and when it
    /// fails, until the memory is not touched any more; but for a disk that is silent only as long as the caller need not
    /// `leave`.
    ///
    /// # Errors
    /// What is wrong with the disk, or with the place. How much was moved is unknown then, and after [`DiskError::Interrupted`] how
    /// much will be.
    fn transfer(
        &self,
        way: Way,
        sector: u64,
        data: Vec<Pinned>,
        leave: &dyn Fn() -> bool,
    ) -> Result<(), DiskError> {
        let op = match way {
            Way::Read => Op::Read,
            Way::Write if self.device.shape().read_only() => return Err(DiskError::Protected),
            Way::Write => Op::Write,
        };
        let size = u64::from(self.device.shape().sector_size);
        let count = piece::total(&data) as u64 / size;
        if sector.checked_add(count).is_none_or(|end| end > self.device.sectors()) {
            return Err(DiskError::Failed);
        }
        let lists =
            cut(data, size as usize, usize::from(self.device.shape().segments)).ok_or(DiskError::Failed)?;
        let mut out = Vec::new();
        out.try_reserve_exact(lists.len()).map_err(|_| DiskError::NoMemory)?;
        // Inside the disk, whose size in units fits.
        let mut at = sector * (size / u64::from(UNIT));
        for data in lists {
            let piece = Piece::new(op, at, data);
            at += u64::from(piece.len() / UNIT);
            out.push(self.device.submit(piece));
        }
        // All of them have to come back, whatever the first one says.
        out.into_iter().map(|done| self.device.wait(&done, leave)).fold(Ok(()), Result::and)
    }
}

impl Disk for Block {
    fn name(&self) -> String {
        self.name.clone()
    }

    /// Empty, too, until the disk has been asked for it.
    fn serial(&self) -> String {
        self.device.serial()
    }

    fn sector_size(&self) -> u32 {
        self.device.shape().sector_size
    }

    /// The host may change that.
    fn sectors(&self) -> u64 {
        self.device.sectors()
    }

    fn writable(&self) -> bool {
        !self.device.shape().read_only()
    }

    fn read(&self, sector: u64, to: Vec<Pinned>, leave: &dyn Fn() -> bool) -> Result<(), DiskError> {
        self.transfer(Way::Read, sector, to, leave)
    }

    fn write(&self, sector: u64, from: Vec<Pinned>, leave: &dyn Fn() -> bool) -> Result<(), DiskError> {
        self.transfer(Way::Write, sector, from, leave)
    }

    /// Does nothing where the device says that all is on the medium at any time.
    fn flush(&self, leave: &dyn Fn() -> bool) -> Result<(), DiskError> {
        if self.device.shape().keeps_back() { self.device.call(Op::Flush, Vec::new(), leave) } else { Ok(()) }
    }
}

impl Driver for Block {
    fn driver(&self) -> &'static str {
        "block"
    }

    /// Without a serial the identity is what every disk has.
    fn status(&self) -> Status {
        let serial = self.serial();
        let identity = match serial.as_str() {
            "" => serial,
            _ => alloc::format!("{} sectors {serial}", self.device.units()),
        };
        Status {
            interrupts: self.interrupts.text.clone(),
            identity,
            failure: self.device.failure().map(String::from),
            counters: self.device.counters(),
        }
    }
}

impl Drop for Block {
    /// Tests only end devices: the keeper stops the device and goes.
    fn drop(&mut self) {
        self.device.stop();
    }
}
