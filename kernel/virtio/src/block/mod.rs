//! The block device: a disk.
//!
//! Created by `-drive if=none,id=d0,file=IMAGE,format=raw -device virtio-blk-pci,drive=d0` (`virtio-blk-device` on
//! microvm; `serial=NAME` gives it a serial, `logical_block_size=4096` larger sectors, `readonly=on` in the drive
//! makes it read-only). Follows virtio 1.3 section 5.2: one queue, whose chains are a head of 16 bytes, the data and a
//! byte of status.
//!
//! [`Block::transfer`] moves whole sectors straight between the disk and pinned pages. It is cut into requests that the
//! device takes, which are all in flight together, as are those of other threads. How they wait for room, what happens
//! when the device breaks down and which locks there are is said in [`crate::requests`]; a broken disk is started
//! afresh.
//!
//! All waits are without notes: a disk answers, or is reset when it has not for half a minute. Only whoever has to
//! leave, being killed, abandons requests that are out, when the disk has been silent for a second: they are the
//! driver's then, and the memory stays pinned until the disk has let go of it.

mod piece;
mod protocol;
mod shape;
#[cfg(test)]
mod tests;

use crate::Failure;
use crate::inventory::table::{Driver, Status};
use crate::requests::RequestDevice;
use crate::ring::Queue;
use crate::transport::{self, Interrupts, VirtioTransport};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;
use io::DiskError;
use machine::heap;
use machine::lock::Lock;
use machine::page::{Page, Pinned};
use machine::sync::Patience;
use machine::{clock, thread};
use piece::{Done, Op, Piece, cut};
use protocol::{Disk, Heads};
use shape::Shape;

/// Bytes of a serial.
const SERIAL: usize = 20;
/// Requests that are made before it is asked whether there is memory for more.
const TOGETHER: usize = 16;
/// How long a device may take for a request, in nanoseconds.
const SILENCE_NS: u64 = if cfg!(test) { 2_000_000_000 } else { 30_000_000_000 };
/// How often who waits looks whether to wait on, in nanoseconds.
const POLL_NS: u64 = SILENCE_NS.div_ceil(30);

/// The unit in which the device counts, in bytes, whatever its sectors are.
pub(crate) const UNIT: u32 = 512;

/// Which way data go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    /// From the disk to memory.
    Read,
    /// From memory to the disk.
    Write,
}

/// A disk that has been started.
pub struct Block {
    name: String,
    interrupts: Interrupts,
    device: Arc<RequestDevice<Disk>>,
    /// Its serial: empty until the disk has told it. A leaf.
    serial: Arc<Lock<String>>,
}

impl Block {
    /// Starts the disk behind `transport`, under a name as `virtio-block-1`.
    ///
    /// # Errors
    /// When any step fails; the device is left alone then, and marked so.
    pub fn start(name: &str, transport: Arc<dyn VirtioTransport>) -> Result<Arc<Block>, Failure> {
        transport::start(&*transport, || {
            let disk = Disk::open(&*transport)?;
            let (shape, heads) = (disk.shape, Heads::new(&disk.shape)?);
            let queue = Queue::new(shape.size, shape.segments + 2, shape.indirect())?;
            let device = RequestDevice::new(transport.clone(), disk, queue, heads)?;
            let interrupts = device.start(name)?;
            let serial = Arc::new(Lock::new(String::new()));
            let (asking, told) = (device.clone(), serial.clone());
            // In a thread, as there may be no answer for long.
            let ask = move || {
                if let Some(serial) = ask_serial(&asking) {
                    *told.lock() = serial;
                }
            };
            thread::spawn(&alloc::format!("{name}.id"), 0, Box::new(ask))?;
            Ok(Arc::new(Block { name: name.into(), interrupts, device, serial }))
        })
    }

    fn shape(&self) -> &Shape {
        &self.device.protocol.shape
    }

    /// Moves whole sectors from `sector` on: as many as the memory has room for. Waits until that is done, and when it
    /// fails, until the memory is not touched any more; but for a disk that is silent only as long as the caller need
    /// not `leave`.
    ///
    /// # Errors
    /// What is wrong with the disk, or with the place. How much was moved is unknown then, and after
    /// [`DiskError::Interrupted`] how much will be.
    fn transfer(
        &self,
        way: Direction,
        sector: u64,
        data: Vec<Pinned>,
        leave: &dyn Fn() -> bool,
    ) -> Result<(), DiskError> {
        let op = match way {
            Direction::Read => Op::Read,
            Direction::Write if self.shape().read_only() => return Err(DiskError::Protected),
            Direction::Write => Op::Write,
        };
        let size = u64::from(self.shape().sector_size);
        let count = piece::total(&data) as u64 / size;
        if sector.checked_add(count).is_none_or(|end| end > self.device.protocol.sectors()) {
            return Err(DiskError::Failed);
        }
        let cut = cut(data, size as usize, usize::from(self.shape().segments));
        let lists = cut.map_err(|_| DiskError::NoMemory)?.ok_or(DiskError::Failed)?;
        let mut out = heap::try_vec(lists.len()).map_err(|_| DiskError::NoMemory)?;
        let mut sent = Ok(());
        // Inside the disk, whose size in units fits.
        let mut at = sector * (size / u64::from(UNIT));
        for (n, data) in lists.into_iter().enumerate() {
            // The device says how short its requests are to be, and so how many there are.
            if n % TOGETHER == TOGETHER - 1 && !heap::is_granted() {
                sent = Err(DiskError::NoMemory);
                break;
            }
            let piece = Piece::new(op, at, data);
            at += u64::from(piece.len() / UNIT);
            out.push(submit(&self.device, piece));
        }
        // All of them have to come back, whatever the first one says.
        out.into_iter().map(|done| wait(&self.device, &done, leave)).fold(sent, Result::and)
    }
}

impl io::Disk for Block {
    fn name(&self) -> String {
        self.name.clone()
    }

    /// Empty, too, until the disk has been asked for it.
    fn serial(&self) -> String {
        self.serial.lock().clone()
    }

    fn sector_size(&self) -> u32 {
        self.shape().sector_size
    }

    /// The host may change that.
    fn sectors(&self) -> u64 {
        self.device.protocol.sectors()
    }

    fn writable(&self) -> bool {
        !self.shape().read_only()
    }

    fn read(&self, sector: u64, to: Vec<Pinned>, leave: &dyn Fn() -> bool) -> Result<(), DiskError> {
        self.transfer(Direction::Read, sector, to, leave)
    }

    fn write(&self, sector: u64, from: Vec<Pinned>, leave: &dyn Fn() -> bool) -> Result<(), DiskError> {
        self.transfer(Direction::Write, sector, from, leave)
    }

    /// Does nothing where the device says that all is on the medium at any time.
    fn flush(&self, leave: &dyn Fn() -> bool) -> Result<(), DiskError> {
        if self.shape().has_cache() { call(&self.device, Op::Flush, Vec::new(), leave) } else { Ok(()) }
    }
}

/// Sends a request.
fn submit(device: &RequestDevice<Disk>, piece: Box<Piece>) -> Done {
    let done = piece.done.clone();
    device.submit(piece);
    done
}

/// Waits for a request, as long as it takes or until the caller has to leave: a device that does not answer is reset.
fn wait(device: &RequestDevice<Disk>, done: &Done, leave: &dyn Fn() -> bool) -> Result<(), DiskError> {
    // A device is not silent because the whole machine stood still.
    let mut patience = Patience::new(SILENCE_NS);
    loop {
        let look = clock::now_ns().saturating_add(POLL_NS);
        if let Some(piece) = done.wait_surely_until(patience.nap(look).max(look)) {
            return piece.result;
        }
        if leave() {
            return Err(DiskError::Interrupted);
        }
        let oldest = device.oldest_sent();
        let silent = oldest.is_some_and(|since| clock::now_ns().saturating_sub(since) >= SILENCE_NS);
        if patience.is_over() && silent {
            device.hang_up("device does not answer");
        }
    }
}

/// One request, and its answer.
fn call(
    device: &RequestDevice<Disk>,
    op: Op,
    data: Vec<Pinned>,
    leave: &dyn Fn() -> bool,
) -> Result<(), DiskError> {
    wait(device, &submit(device, Piece::new(op, 0, data)), leave)
}

/// Asks a disk for its serial; `None` when it has none to tell.
fn ask_serial(device: &RequestDevice<Disk>) -> Option<String> {
    let page = Page::new_zeroed().ok()?;
    call(device, Op::Id, vec![Pinned::new(page.clone(), 0, SERIAL)], &|| false).ok()?;
    let mut bytes = [0; SERIAL];
    page.read(0, &mut bytes);
    let text = String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or(&[]));
    Some(text.trim().replace(char::is_control, "?"))
}

impl Driver for Block {
    fn driver(&self) -> &'static str {
        "block"
    }

    /// Without a serial the identity is what every disk has.
    fn status(&self) -> Status {
        let disk = &self.device.protocol;
        let serial = self.serial.lock().clone();
        let identity = match serial.as_str() {
            "" => serial,
            _ => alloc::format!("{} sectors {serial}", self.device.protocol.units()),
        };
        Status {
            interrupts: self.interrupts.text.clone(),
            identity,
            failure: self.device.failure().map(String::from),
            counters: self.device.counters(&disk.bytes, ("errors", disk.errors.load(Relaxed))),
        }
    }
}

impl Drop for Block {
    /// Tests only end devices: the keeper goes, and the device stops.
    fn drop(&mut self) {
        self.device.stop();
    }
}
