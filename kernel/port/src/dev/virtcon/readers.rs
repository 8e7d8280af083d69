//! Who reads which port. Bytes that two readers share are of use to neither, so a connection has one at a time.
//!
//! Lock: `list` is a leaf.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::error;
use machine::heap;
use machine::ledger::as_kernel;
use machine::lock::Lock;
use machine::sync::Rendez;
use machine::{Wake, clock};

use super::Port;
use crate::error::Result;

/// How long who comes waits for who is there, in nanoseconds. That one may be a proxy whose mount is gone: it ends by
/// itself, but nobody waits for it.
pub(crate) const PATIENCE_NS: u64 = 5_000_000_000;

/// The readers of all ports.
#[derive(Default)]
pub(crate) struct Readers {
    list: Lock<Vec<Place>>,
    /// One has gone.
    gone: Rendez,
}

/// A port's id and a connection: each has one reader.
type Place = (u32, u64);

/// The place at a port. It is free again when this goes.
pub(crate) struct Reading {
    readers: Arc<Readers>,
    place: Place,
}

impl Reading {
    /// The connection that is read.
    pub(crate) fn connection(&self) -> u64 {
        self.place.1
    }
}

impl Readers {
    /// Takes the place at `port`, for the connection that there is when it is free.
    ///
    /// # Errors
    /// `device or object already in use` when the other one stays for [`PATIENCE_NS`]; `interrupted`; `kernel allocate
    /// failed`.
    pub(crate) fn enter(self: &Arc<Self>, port: &dyn Port) -> Result<Reading> {
        let mut place = (port.id(), 0);
        let mut full = false;
        let end = clock::now_ns().saturating_add(PATIENCE_NS);
        let entered = self.gone.sleep_until(end, || {
            place.1 = port.open();
            let mut list = self.list.lock();
            if list.contains(&place) {
                return false;
            }
            // It is there for those who come later, too.
            full = as_kernel(|| heap::try_reserve(&mut *list, 1)).is_err();
            if !full {
                list.push(place);
            }
            true
        });
        match entered {
            Ok(()) if full => Err(error::ENOMEM.into()),
            Ok(()) => Ok(Reading { readers: self.clone(), place }),
            Err(Wake::Interrupted) => Err(error::EINTR.into()),
            Err(Wake::TimedOut) => Err(error::EINUSE.into()),
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.readers.list.lock().retain(|place| *place != self.place);
        self.readers.gone.wakeup();
    }
}
