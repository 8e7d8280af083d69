//! The first output there is: COM1, polled, before and beneath everything else.
//!
//! `uart` builds the interrupt-driven line on the same port; a panic comes back here, because nothing here
//! waits for anybody.

use super::io::Ports;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

const COM1: u16 = 0x3f8;
const DATA: u16 = 0;
const INTERRUPT_ENABLE: u16 = 1;
const FIFO_CONTROL: u16 = 2;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;
const SCRATCH: u16 = 7;
const TRANSMITTER_EMPTY: u8 = 0x20;
/// What the transmitter's FIFO takes once it is empty.
const FIFO: usize = 16;

static PRESENT: AtomicBool = AtomicBool::new(false);

/// Finds the port and sets it to 115200 8n1 with FIFOs, receive interrupt off.
pub(super) fn init() {
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
    p.out8(FIFO_CONTROL, 0xc7); // FIFOs on and empty, receive interrupt at 14 bytes
    p.out8(MODEM_CONTROL, 0x0b); // DTR, RTS, and OUT2, which lets the interrupt out
    PRESENT.store(true, Ordering::Relaxed);
}

/// Whether there is a COM1.
pub(super) fn present() -> bool {
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

/// Gives the transmitter what it takes at once; returns how many bytes that was, 0 while it is busy.
pub(super) fn offer(bytes: &[u8]) -> usize {
    let p = Ports::new(COM1, 8);
    if p.in8(LINE_STATUS) & TRANSMITTER_EMPTY == 0 {
        return 0;
    }
    let n = bytes.len().min(FIFO);
    for &b in &bytes[..n] {
        p.out8(DATA, b);
    }
    n
}

/// A writer for `write!`: text to COM1, newlines as CR LF.
#[derive(Clone, Copy, Debug, Default)]
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let mut lines = s.split('\n');
        if let Some(first) = lines.next() {
            write(first.as_bytes());
        }
        for line in lines {
            write(b"\r\n");
            write(line.as_bytes());
        }
        Ok(())
    }
}
