//! The first output there is: COM1, polled, before and beneath everything else.
//!
//! The `uart_16550` crate drives the chip, here and in `uart`, which builds the interrupt-driven line on the same
//! port. A panic comes back here, because nothing here waits for anybody: whoever writes makes a driver of their own,
//! which is nothing but the port's number. What was typed before the kernel ran is kept for `uart` in `EARLY`,
//! whose lock is a leaf.

use crate::amd64::lock::Lock;
use alloc::boxed::Box;
use core::fmt::{self, Write as _};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use uart_16550::backend::{Backend, PioBackend};
use uart_16550::spec::FIFO_SIZE;
use uart_16550::spec::registers::{LCR, LSR, offsets};
use uart_16550::{BaudRate, Config, Uart16550};

const COM1: u16 = 0x3f8;
/// The line is quiet when so many looks at it have found nothing: about a millisecond.
const QUIET: usize = 2000;

static PRESENT: AtomicBool = AtomicBool::new(false);
/// What the transmitter takes at a time.
static DEPTH: AtomicUsize = AtomicUsize::new(1);

/// Bytes that came before there was anybody to receive them.
pub(crate) struct Early {
    bytes: [u8; 2048],
    len: usize,
}

impl Early {
    /// Keeps a byte, if there is room.
    fn put(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
    }

    fn is_full(&self) -> bool {
        self.len == self.bytes.len()
    }

    /// They are taken out once; none are left.
    pub(crate) fn take(&mut self) -> &[u8] {
        let len = core::mem::take(&mut self.len);
        &self.bytes[..len]
    }
}

pub(crate) static EARLY: Lock<Early> = Lock::new(Early { bytes: [0; 2048], len: 0 });

/// A driver of COM1 as it is set.
pub(super) fn com1() -> Uart16550<PioBackend> {
    // SAFETY: the ports are COM1's, and `claims` gives them to nobody else. Two drivers at one time mix up their
    // bytes and nothing else: they hold no state of the chip that matters.
    match unsafe { Uart16550::new_port(COM1) } {
        Ok(uart) => uart,
        Err(_) => unreachable!("the number of COM1 is a constant"),
    }
}

/// COM1 while it is being set, when the driver throws away what it finds: here that is kept.
struct Setting<'a> {
    line: PioBackend,
    early: &'a mut Early,
    /// The registers of data and interrupts are the divisor now.
    divisor: bool,
}

impl Backend for Setting<'_> {
    unsafe fn read(&mut self, register: u8) -> u8 {
        // SAFETY: the caller's promise is the one asked for.
        let value = unsafe { self.line.read(register) };
        match usize::from(register) {
            offsets::DATA if !self.divisor => self.early.put(value),
            // What there is no room for stays where it is.
            offsets::LSR if self.early.is_full() => return value & !LSR::DATA_READY.bits(),
            _ => {}
        }
        value
    }

    unsafe fn write(&mut self, register: u8, value: u8) {
        match usize::from(register) {
            offsets::LCR => self.divisor = value & LCR::DLAB.bits() != 0,
            // Setting the FIFOs empties the receiver.
            offsets::FCR => {
                // SAFETY: a register of the line, as every one that the driver asks for; looking at it changes nothing.
                let status = unsafe { self.line.read(offsets::LSR as u8) };
                if self.early.len > 0 || status & LSR::DATA_READY.bits() != 0 {
                    return;
                }
            }
            _ => {}
        }
        // SAFETY: the caller's promise is the one asked for.
        unsafe { self.line.write(register, value) };
    }
}

/// Finds the port and sets it to 115200 8n1 with FIFOs, receive interrupt off.
///
/// Switching the FIFOs on throws away the byte in the receiver, and QEMU holds back the others until that one has been
/// read. On a busy host that takes QEMU longer than anybody would wait. So when somebody has typed before the kernel
/// ran, the line does without FIFOs: slower, and nothing is lost. A line with nothing on it costs one look.
pub(crate) fn init() {
    let mut uart = com1();
    if !uart.check_present() {
        return; // the bus answers 0xff
    }
    let mut early = EARLY.lock();
    catch_up(&mut uart, &mut early);
    let setting = Setting { line: *uart.backend(), early: &mut early, divisor: false };
    // SAFETY: the registers are COM1's, as those of `com1`.
    let mut uart = unsafe { Uart16550::new_with_backend(setting) };
    let config = Config { baud_rate: BaudRate::Baud115200, ..Config::DEFAULT };
    if uart.init(config).is_ok() {
        DEPTH.store(if uart.fifo_enabled() { FIFO_SIZE } else { 1 }, Ordering::Relaxed);
        PRESENT.store(true, Ordering::Relaxed);
    }
}

/// Takes in what waits on the line.
fn catch_up(uart: &mut Uart16550<PioBackend>, early: &mut Early) {
    let mut silence = 0;
    while silence < if early.len == 0 { 1 } else { QUIET } && !early.is_full() {
        match uart.try_receive_byte() {
            Ok(byte) => {
                early.put(byte);
                silence = 0;
            }
            Err(_) => silence += 1,
        }
    }
}

/// Whether there is a COM1.
pub(crate) fn present() -> bool {
    PRESENT.load(Ordering::Relaxed)
}

/// Writes bytes to COM1, waiting for the transmitter. Nothing happens when there is none.
pub fn write(bytes: &[u8]) {
    if !present() {
        return;
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        rest = &rest[offer(rest)..];
        core::hint::spin_loop();
    }
}

/// Something that is told last words.
pub type LastWords = Box<dyn Fn(&[u8]) + Send + Sync>;

/// Where a panic is told besides, without a lock or an interrupt.
static LAST_WORDS: spin::Once<LastWords> = spin::Once::new();

/// What the kernel says when it ends by itself goes to `also`, too. `also` takes no lock and waits for nobody. The
/// first one stays.
pub fn set_last_words(also: LastWords) {
    LAST_WORDS.call_once(|| also);
}

/// Something that knows the processes: it is given the number that a thread was spawned with, and tells what the
/// process is and does.
pub type Witness = Box<dyn Fn(u64, &mut dyn fmt::Write) + Send + Sync>;

static WITNESS: spin::Once<Witness> = spin::Once::new();

/// Who is asked in a panic of what process it happened in. It waits for no lock. The first one stays.
pub fn set_witness(witness: Witness) {
    WITNESS.call_once(|| witness);
}

/// Tells of the process with this number.
pub(crate) fn tell_of(process: u64) {
    match WITNESS.get() {
        Some(witness) => witness(process, &mut Console),
        None => drop(write!(Console, "process {process}")),
    }
}

/// Gives the transmitter what it takes at once; returns how many bytes that was, 0 while it is busy.
pub(super) fn offer(bytes: &[u8]) -> usize {
    let n = bytes.len().min(DEPTH.load(Ordering::Relaxed));
    com1().send_bytes(&bytes[..n])
}

/// A writer for `write!` of what nobody must miss: text to COM1 and to who hears last words, newlines as CR LF.
#[derive(Clone, Copy, Debug, Default)]
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let mut lines = s.split('\n');
        if let Some(first) = lines.next() {
            tell(first.as_bytes());
        }
        for line in lines {
            tell(b"\r\n");
            tell(line.as_bytes());
        }
        Ok(())
    }
}

fn tell(bytes: &[u8]) {
    write(bytes);
    if let Some(also) = LAST_WORDS.get() {
        also(bytes);
    }
}
