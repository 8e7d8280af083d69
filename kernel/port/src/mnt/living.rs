//! The sessions of a mount device that live. It knows them weakly: they are their files'. What a dead one took is on
//! the bill of who mounted until it is forgotten here, too, which is when the next process ends.
//!
//! Lock: the list's, a leaf.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use machine::heap;
use machine::ledger::as_kernel;
use machine::lock::Lock;

use super::session::Session;
use crate::error::Result;

/// Everything that lives, to tell it of processes that exit.
#[derive(Default)]
pub(super) struct Living(Lock<List>);

/// Sessions, in the order in which they were remembered.
#[derive(Default)]
struct List {
    list: Vec<Remembered>,
    next: u64,
}

struct Remembered {
    /// Rises along the list.
    order: u64,
    /// The number of the mounts.
    devno: u32,
    session: Weak<Session>,
}

impl Living {
    /// Puts in a session of a mount with this number, unless it is there.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    pub(super) fn remember(&self, devno: u32, session: &Arc<Session>) -> Result<()> {
        let mut living = self.0.lock();
        let living = &mut *living;
        living.list.retain(|s| s.session.strong_count() > 0);
        if living.list.iter().any(|s| s.session.as_ptr() == Arc::as_ptr(session)) {
            return Ok(());
        }
        let new = Remembered { order: living.next, devno, session: Arc::downgrade(session) };
        as_kernel(|| heap::try_push(&mut living.list, new))?;
        living.next += 1;
        Ok(())
    }

    /// Forgets those that are over.
    pub(super) fn forget_dead(&self) {
        self.0.lock().list.retain(|s| s.session.strong_count() > 0);
    }

    /// How many are remembered, dead ones among them.
    #[cfg(not(target_os = "none"))]
    pub(super) fn len(&self) -> usize {
        self.0.lock().list.len()
    }

    /// Does something with each session that lives, and the number of its mounts. There may be any number, so no list
    /// is made.
    pub(super) fn each(&self, mut f: impl FnMut(u32, &Arc<Session>)) {
        let mut from = 0;
        loop {
            let next = {
                let living = self.0.lock();
                let at = living.list.partition_point(|s| s.order < from);
                let rest = living.list.get(at..).unwrap_or(&[]);
                rest.iter().find_map(|s| Some((s.order, s.devno, s.session.upgrade()?)))
            };
            let Some((order, devno, session)) = next else { return };
            f(devno, &session);
            from = order + 1;
        }
    }
}
