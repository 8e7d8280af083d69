//! The channels with a 9P server behind them, and their sessions: `#M`'s and `#9`'s, because two sessions on one
//! channel would take each other's replies.
//!
//! A channel has one session, which all mounts of it share. It begins with the first mount, `fversion` or `fauth`
//! and ends when the last file is closed; but what `fversion` or `fauth` agreed on is kept for the mount that follows,
//! as long as anybody has the channel.
//!
//! Lock order: an entry's `state` is held while its session is begun, by a server that may take its time; nothing
//! is held when it is taken. `list` is a leaf.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::Ordering;

use machine::heap;
use machine::ledger::as_kernel;
use machine::lock::Lock;
use machine::sync::QLock;
use ninep::Dialect;

use super::chan_transport::{CHAN_REFS, ChanTransport, Line, MOST};
use super::session::{Patience, Session};
use super::shared::{Shared, Wanted};
use super::tags::mtags_field;
use crate::error::Result;
use crate::name::chan::Chan;
use crate::proc::create;
use crate::proc::process::Proc;

/// Sessions that are ended together.
const TOGETHER: usize = 32;

/// All channels on which there is, or may have been, a session.
pub(crate) struct Channels {
    list: Lock<Vec<Arc<Served>>>,
}

struct Served {
    /// While this is here no other channel has the same address.
    chan: Weak<Chan>,
    state: QLock<State>,
    /// The session, between `fversion` or `fauth` and the first mount.
    agreed: Lock<Option<Arc<Session>>>,
}

#[derive(Default)]
struct State {
    shared: Shared,
    line: Option<Arc<Line>>,
}

impl Channels {
    /// None.
    pub(crate) const fn new() -> Self {
        Channels { list: Lock::new(Vec::new()) }
    }

    fn find(&self, server: &Arc<Chan>) -> Option<Arc<Served>> {
        self.list.lock().iter().find(|s| s.chan.as_ptr() == Arc::as_ptr(server)).cloned()
    }

    fn entry(&self, server: &Arc<Chan>) -> Result<Arc<Served>> {
        self.forget_closed();
        if let Some(served) = self.find(server) {
            return Ok(served);
        }
        let state = QLock::new(State::default());
        let new = Arc::new(Served { chan: Arc::downgrade(server), state, agreed: Lock::new(None) });
        let mut list = self.list.lock();
        // Unless somebody else was faster.
        if let Some(other) = list.iter().find(|s| s.chan.as_ptr() == Arc::as_ptr(server)) {
            return Ok(other.clone());
        }
        as_kernel(|| heap::try_push(&mut list, new.clone()))?;
        Ok(new)
    }

    /// The session on a channel, begun with what `fresh` says if there is none, and its device number.
    ///
    /// # Errors
    /// `i/o on hungup channel`, `device or object already in use` when there is one that is not as `wanted`, what the
    /// server says to the version.
    pub(crate) fn session(
        &self,
        up: &Arc<Proc>,
        server: &Arc<Chan>,
        wanted: Wanted,
        fresh: (Dialect, u32),
    ) -> Result<(Arc<Session>, u32)> {
        let entry = self.entry(server)?;
        let mut state = entry.state.lock_intr()?;
        if let Some(session) = state.shared.session() {
            session.alive()?;
            return state.shared.join(session, wanted);
        }
        if let Some(line) = &state.line {
            line.wait_ended()?;
        }
        let (dialect, msize) = (fresh.0, fresh.1.min(MOST));
        let kproc = create::kernel_process(&up.kernel, "9p")?;
        let transport = ChanTransport::start(server.clone(), &kproc)?;
        *state = State { line: Some(transport.line().clone()), shared: Shared::default() };
        server.has_session.store(true, Ordering::Relaxed);
        let session = Session::begin(&up.kernel, transport, (dialect, msize), Patience::ENDLESS)
            .inspect_err(|_| server.has_session.store(false, Ordering::Relaxed))?;
        let devno = up.kernel.new_id();
        state.shared = Shared::new(&session, devno, fresh);
        Ok((session, devno))
    }

    /// The lines of `/dev/mtags` for the channels on which `#9`'s dialects are spoken, in the order in which they
    /// were mounted first. They have the channels' names in place of a tag.
    pub(crate) fn write_mtags(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let list = heap::try_collect(self.list.lock().iter().cloned()).map_err(|_| fmt::Error)?;
        for entry in list {
            // A session that is just being begun is none yet.
            let Some(state) = entry.state.try_lock().filter(|state| state.shared.is_translated()) else {
                continue;
            };
            let live = state.shared.session().filter(|s| s.alive().is_ok());
            if let (Some(session), Some(line)) = (live, &state.line) {
                session.write_mtag(&mtags_field(line.name()), out)?;
            }
        }
        Ok(())
    }

    /// Keeps the session on a channel until it is [used](Channels::used).
    pub(crate) fn keep(&self, server: &Arc<Chan>, session: &Arc<Session>) {
        let old = self.find(server).and_then(|served| served.agreed.lock().replace(session.clone()));
        drop(old);
    }

    /// The session on a channel has files now, which hold it.
    pub(crate) fn used(&self, server: &Arc<Chan>) {
        let agreed = self.find(server).and_then(|served| served.agreed.lock().take());
        drop(agreed);
    }

    /// Forgets channels that nobody has any more but ourselves, and ends their sessions.
    pub(crate) fn forget_closed(&self) {
        // Every process that ends comes by, and finds nothing most times.
        if self.list.lock().iter().all(|s| s.chan.strong_count() > CHAN_REFS) {
            return;
        }
        loop {
            // Some at a time, as there may be any number, and to end a session may take its time.
            let mut gone = [const { None }; TOGETHER];
            let mut places = gone.iter_mut();
            let mut list = self.list.lock();
            for s in list.iter().filter(|s| s.chan.strong_count() <= CHAN_REFS) {
                let mut agreed = s.agreed.lock();
                if agreed.is_some() {
                    let Some(place) = places.next() else { break };
                    *place = agreed.take();
                }
            }
            list.retain(|s| s.chan.strong_count() > 0);
            drop(list);
            if gone.iter().any(Option::is_none) {
                return drop(gone);
            }
        }
    }
}

impl Default for Channels {
    fn default() -> Self {
        Self::new()
    }
}
