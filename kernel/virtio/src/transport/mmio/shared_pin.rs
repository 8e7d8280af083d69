//! Interrupts of slots: the usual ones, and those of two slots that QEMU leads to one pin.
//!
//! QEMU takes the first pin of every I/O APIC for that of the old timer, which is wired to the third. So of the 24
//! slots of `-M microvm` the first one's interrupt (24) arrives where the third has its own (26). The pin remembers one
//! level for both: when either device withdraws its own, the other's is gone as well, though it still wants to be
//! served. The device that lost it would not be served before one of the two interrupts again. So the
//! handler of that pin looks at both until neither wants anything: what is raised after that look is withdrawn by no
//! other device.
//!
//! Lock: the list, held while the handlers run, as the interrupt's own is. Nothing else takes it but `add`, at start.

use crate::transport::{Cause, Handler};
use alloc::sync::Arc;
use alloc::vec::Vec;
use machine::io::Mmio;
use machine::lock::Lock;

const INTERRUPT: usize = 0x060;
const ACKNOWLEDGE: usize = 0x064;
/// The interrupt that arrives at another pin than its own.
const MISROUTED: u32 = 24;
/// The interrupt of that pin.
pub const ARRIVES_AS: u32 = 26;
/// How often the handler looks at devices that want something every time, before it gives up for this interrupt.
const ROUNDS: usize = 1000;

/// Whether a slot with this interrupt shares a pin with another.
pub fn is_shared(gsi: u32) -> bool {
    gsi == MISROUTED || gsi == ARRIVES_AS
}

/// A device's interrupt registers, and what its driver does at an interrupt.
#[derive(Clone)]
pub struct Source {
    pub registers: Mmio,
    pub handler: Handler,
}

impl Source {
    /// Calls the driver if its device interrupts; false if it does not.
    pub fn serve(&self) -> bool {
        let bits = self.registers.read32(INTERRUPT) as u8 & Cause::ANY.0;
        if bits != 0 {
            self.registers.write32(ACKNOWLEDGE, u32::from(bits));
            (self.handler)(Cause(bits));
        }
        bits != 0
    }
}

/// The devices that share that pin.
#[derive(Clone, Default)]
pub struct SharedPin(Arc<Lock<Vec<Source>>>);

impl SharedPin {
    /// Adds a device.
    pub fn add(&self, source: Source) {
        self.0.lock().push(source);
    }

    /// What the pin's interrupt calls.
    pub fn serve(&self) {
        let sources = self.0.lock();
        for _ in 0..ROUNDS {
            if !sources.iter().fold(false, |any, source| source.serve() | any) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use machine::host;
    use machine::host::io::{MmioBackend, host_register_mmio};

    /// Two devices' interrupt registers. Each time the first is acknowledged, the second had raised its own just
    /// before, behind the back of who looked at it already; `left` times.
    #[derive(Default)]
    struct Pair {
        pending: [AtomicUsize; 2],
        left: AtomicUsize,
    }

    struct Half(Arc<Pair>, usize);

    impl MmioBackend for Half {
        fn read(&self, off: usize, _width: usize) -> u64 {
            if off == INTERRUPT { self.0.pending[self.1].load(SeqCst) as u64 } else { 0 }
        }

        fn write(&self, off: usize, _width: usize, value: u64) {
            assert_eq!((off, value), (ACKNOWLEDGE, 1));
            self.0.pending[self.1].store(0, SeqCst);
            if self.0.left.load(SeqCst) != 0 {
                self.0.left.fetch_sub(1, SeqCst);
                self.0.pending[1 - self.1].store(1, SeqCst);
            }
        }
    }

    #[test]
    fn what_one_withdraws_for_both_is_seen() {
        host::new_machine();
        let (pair, served) = (Arc::new(Pair::default()), Arc::new(AtomicUsize::new(0)));
        let shared_pin = SharedPin::default();
        // The first to be looked at is not the one that interrupts.
        for n in 0..2usize {
            let base = 0xFEB0_0000 + n as u64 * 0x200;
            host_register_mmio(base, 0x200, Arc::new(Half(pair.clone(), n)));
            let count = served.clone();
            let handler: Handler = Arc::new(move |_| drop(count.fetch_add(1, SeqCst)));
            shared_pin.add(Source { registers: Mmio::map(base, 0x200).unwrap(), handler });
        }
        for (left, calls) in [(0, 1), (1, 2), (6, 7)] {
            pair.left.store(left, SeqCst);
            pair.pending[1].store(1, SeqCst);
            served.store(0, SeqCst);
            shared_pin.serve();
            assert_eq!(served.load(SeqCst), calls);
            assert!(pair.pending.iter().all(|p| p.load(SeqCst) == 0));
        }
        // Devices that never stop do not keep the processor for ever.
        pair.left.store(usize::MAX, SeqCst);
        pair.pending[1].store(1, SeqCst);
        shared_pin.serve();
    }
}
