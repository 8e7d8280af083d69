//! The first output there is: COM1, polled, before and beneath everything else.
//!
//! `uart` builds the interrupt-driven line on the same port; a panic comes back here, because nothing here
//! waits for anybody. What was typed before the kernel ran is kept for `uart` in [`EARLY`], whose lock is a leaf.

use super::io::Ports;
use crate::amd64::lock::Lock;
use alloc::boxed::Box;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const COM1: u16 = 0x3f8;
const DATA: u16 = 0;
const INTERRUPT_ENABLE: u16 = 1;
const FIFO_CONTROL: u16 = 2;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;
const SCRATCH: u16 = 7;
const DATA_READY: u8 = 1;
const TRANSMITTER_EMPTY: u8 = 0x20;
/// What the transmitter's FIFO takes once it is empty.
const FIFO: usize = 16;
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
    /// They are taken out once; none are left.
    pub(crate) fn take(&mut self) -> &[u8] {
        let len = core::mem::take(&mut self.len);
        &self.bytes[..len]
    }
}

pub(crate) static EARLY: Lock<Early> = Lock::new(Early { bytes: [0; 2048], len: 0 });

/// Finds the port and sets it to 115200 8n1 with FIFOs, receive interrupt off.
pub(crate) fn init() {
    let p = Ports::new(COM1, 8);
    p.out8(SCRATCH, 0x5a);
    if p.in8(SCRATCH) != 0x5a {
        return; // no such chip: the bus answers 0xff
    }
    p.out8(INTERRUPT_ENABLE, 0);
    p.out8(LINE_CONTROL, 0x80); // divisor latch
    p.out8(DATA, 1);
    p.out8(INTERRUPT_ENABLE, 0);
    p.out8(LINE_CONTROL, 0x03); // 8 bits, no parity, 1 stop bit
    if catch_up(&p) {
        p.out8(FIFO_CONTROL, 0xc7); // FIFOs on and empty, receive interrupt at 14 bytes
        DEPTH.store(FIFO, Ordering::Relaxed);
    }
    p.out8(MODEM_CONTROL, 0x0b); // DTR, RTS, and OUT2, which lets the interrupt out
    PRESENT.store(true, Ordering::Relaxed);
}

/// Takes in what waits on the line; true when nothing did.
///
/// Switching the FIFOs on throws away the byte in the receiver, and QEMU holds back the others until that one has been
/// read. On a busy host that takes QEMU longer than anybody would wait. So when somebody has typed before the kernel
/// ran, the line does without FIFOs: slower, and nothing is lost. A line with nothing on it costs one look.
fn catch_up(p: &Ports) -> bool {
    let mut early = EARLY.lock();
    let mut silence = if p.in8(LINE_STATUS) & DATA_READY == 0 { QUIET } else { 0 };
    while silence < QUIET && early.len < early.bytes.len() {
        if p.in8(LINE_STATUS) & DATA_READY == 0 {
            silence += 1;
            continue;
        }
        silence = 0;
        let at = early.len;
        early.bytes[at] = p.in8(DATA);
        early.len += 1;
    }
    early.len == 0
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

/// What the kernel says when it ends by itself goes to `also`, too. `also` takes no lock and waits for nobody. The first
/// one stays.
pub fn set_last_words(also: LastWords) {
    LAST_WORDS.call_once(|| also);
}

/// Gives the transmitter what it takes at once; returns how many bytes that was, 0 while it is busy.
pub(crate) fn offer(bytes: &[u8]) -> usize {
    let p = Ports::new(COM1, 8);
    if p.in8(LINE_STATUS) & TRANSMITTER_EMPTY == 0 {
        return 0;
    }
    let n = bytes.len().min(DEPTH.load(Ordering::Relaxed));
    for &b in &bytes[..n] {
        p.out8(DATA, b);
    }
    n
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
