//! COM1 as a line: interrupt-driven input, polled output.
//!
//! QEMU: `-serial stdio` and the like. PC16550D data sheet, by the `uart_16550` crate. The receive interrupt empties
//! the whole FIFO each time, or asks for another of its kind, so nothing is lost while the kernel is busy: the device
//! holds back what does not fit. What was typed before the kernel ran is in `console::EARLY`, and comes first.

use super::console;
use crate::amd64::lock::Lock;
use crate::amd64::sched::thread;
use crate::amd64::time::clock;
use crate::amd64::trap::irq::{self, IrqHandle};
use crate::sync::QLock;
use alloc::boxed::Box;
use uart_16550::spec::registers::IER;

const COM1_IRQ: u8 = 4;
/// How long a writer sleeps when the transmitter is full.
const NOT_READY_NS: u64 = 200_000;
/// Bytes handed over at a time.
const PIECE: usize = 64;
/// Pieces served in one interrupt: a line that never falls silent must not keep the processor.
const PIECES: usize = 16;

/// What gets the received bytes, in interrupt context.
pub type Receiver = Box<dyn Fn(&[u8]) + Send + Sync>;

/// Keeps writers apart, so that lines are not mixed.
static WRITING: QLock<()> = QLock::new(());
/// The receive interrupt, once there is a receiver.
static RECEIVING: Lock<Option<IrqHandle>> = Lock::new(None);

/// A serial line.
#[derive(Clone, Copy, Debug)]
pub struct Uart(());

impl Uart {
    /// The first serial port, 115200 8n1. Without one, output goes nowhere and no input comes.
    pub fn com1() -> Uart {
        Uart(())
    }

    /// Whether there is one.
    pub fn is_present(&self) -> bool {
        console::present()
    }

    /// Writes all bytes. A thread sleeps while the line is not ready for more; in a context that cannot sleep (boot,
    /// interrupts) it is polled.
    pub fn write(&self, bytes: &[u8]) {
        if !thread::may_park() {
            console::write(bytes);
            return;
        }
        let _writing = WRITING.lock();
        let mut rest = bytes;
        while console::present() && !rest.is_empty() {
            let n = console::offer(rest);
            if n == 0 {
                thread::park_until(clock::now_ns() + NOT_READY_NS);
            }
            rest = &rest[n..];
        }
    }

    /// Sends what comes in to `receiver`, in place of an earlier one.
    pub fn set_receiver(&self, receiver: Receiver) {
        if !console::present() {
            return;
        }
        let old = RECEIVING.lock().take();
        drop(old);
        // The interrupt is still off: what was typed before comes before.
        let typed = console::EARLY.lock().take().to_vec();
        if !typed.is_empty() {
            receiver(&typed);
        }
        let serve = Box::new(move || receive(&receiver));
        let Ok(handle) = irq::isa(COM1_IRQ, "uart0", serve) else { return };
        *RECEIVING.lock() = Some(handle);
        console::com1().enable_interrupts(IER::DATA_READY);
    }
}

/// The interrupt: empties the FIFO into the receiver.
fn receive(receiver: &Receiver) {
    let mut uart = console::com1();
    uart.isr(); // looking at the cause ends it
    for _ in 0..PIECES {
        let mut piece = [0; PIECE];
        let n = uart.receive_bytes(&mut piece);
        if n > 0 {
            receiver(&piece[..n]);
        }
        if n < PIECE {
            return;
        }
    }
    // There may be more. The interrupt is an edge, which does not come again as long as the line stays up.
    uart.disable_interrupts(IER::DATA_READY);
    uart.enable_interrupts(IER::DATA_READY);
}
