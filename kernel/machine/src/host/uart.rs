//! The first serial port on the host: what is written is kept for [`host_take`], and [`host_type`] is the person at
//! the other end.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::sync::{Mutex, PoisonError};

use super::irq;
use super::machine::{Machine, machine};

type Receiver = Box<dyn Fn(&[u8]) + Send + Sync>;

#[derive(Default)]
pub(super) struct State {
    out: Mutex<Vec<u8>>,
    receiver: Mutex<Option<Arc<Receiver>>>,
}

/// The serial port.
#[derive(Clone)]
pub struct Uart(Arc<Machine>);

impl Uart {
    /// The first port.
    pub fn com1() -> Uart {
        Uart(machine())
    }

    /// Whether there is one: always.
    pub fn is_present(&self) -> bool {
        true
    }

    /// Writes bytes; returns when all are out.
    pub fn write(&self, bytes: &[u8]) {
        let mut out = self.0.uart.out.lock().unwrap_or_else(PoisonError::into_inner);
        super::heap::aside(|| out.extend_from_slice(bytes));
    }

    /// Calls `receiver` with what comes in, in interrupt context.
    pub fn set_receiver(&self, receiver: Receiver) {
        *self.0.uart.receiver.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(receiver));
    }
}

impl fmt::Debug for Uart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Uart")
    }
}

/// Takes what was written to the port of this machine since the last time.
pub fn host_take() -> Vec<u8> {
    core::mem::take(&mut *machine().uart.out.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Bytes come in at the port of this machine. False when nobody receives them.
pub fn host_type(bytes: &[u8]) -> bool {
    let m = machine();
    let receiver = m.uart.receiver.lock().unwrap_or_else(PoisonError::into_inner).clone();
    receiver.map(|r| irq::as_interrupt(&m, || r(bytes))).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;
    use crate::lock::Lock;

    #[test]
    fn bytes_go_both_ways() {
        host::new_machine();
        let u = Uart::com1();
        u.write(b"out");
        assert_eq!(host_take(), b"out");
        assert!(host_take().is_empty());
        assert!(!host_type(b"lost"));
        let got = Arc::new(Lock::new(Vec::new()));
        let got2 = got.clone();
        u.set_receiver(Box::new(move |b| crate::host::heap::aside(|| got2.lock().extend_from_slice(b))));
        assert!(host_type(b"in"));
        assert_eq!(*got.lock(), b"in");
    }
}
