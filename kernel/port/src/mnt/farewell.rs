//! Tclunks that nobody waits for.
//!
//! Who closes a file that was only looked at, or was only read from a device's server, goes on at once. The answer
//! comes when it comes, and gives the number of the fid free: until then nobody else gets that. So many are under way
//! together as there are requests here; with more, whoever closes a file waits for the answer. A server that never
//! answers costs those, and no more.
//!
//! What a server does when a file is closed that was written, another program may wait for: to run it on the host, for
//! one, where it must be open for writing no more. So those Tclunks are waited for, and those of all open files of a
//! server that is a program. And the last file of a session is closed when all Tclunks are answered: after an unmount
//! the server has nothing any more.
//!
//! Ownership: a request is here, or lent to the transport, which gives it back to the session's [`Fids`]; those have it
//! also when the session is gone. Lock order: `inner` is a leaf.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use io::message::{Heir, Request};
use machine::clock;
use machine::ledger::as_kernel;
use machine::lock::Lock;
use machine::sync::Rendez;
use ninep::head::{HEADSZ, Head};
use ninep::{Tmsg, kind};

use super::abandoned::LAST_LOOKS;
use super::fid::Fids;
use super::session::Session;
use super::slots::POLL_NS;

/// Tclunks that are under way together without anybody who waits.
const MOST: usize = 16;
/// Their tags, which no slot has.
const FIRST_TAG: u16 = 0xff00;
/// Bytes of a Tclunk, and a little more.
const ASKED: usize = 64;
/// Bytes of the answer, which may be an error.
const SAID: usize = 4096;

/// The requests of a session that nobody waits for.
pub(super) struct Farewells {
    inner: Lock<Inner>,
    /// Signalled when one is back.
    back: Rendez,
    /// An answer was none.
    spoilt: AtomicBool,
    /// A thread waits for all of them, since nobody else does.
    are_outwaited: AtomicBool,
}

struct Inner {
    places: [Place; MOST],
    out: usize,
}

/// What has one of the tags.
enum Place {
    /// It was not needed yet.
    Unmade,
    /// It is being made.
    Made,
    Idle(Box<Request>),
    /// The transport has it, and the server is to forget this fid.
    Out(u32),
}

impl Farewells {
    /// None made yet.
    pub(super) const fn new() -> Self {
        let inner = Inner { places: [const { Place::Unmade }; MOST], out: 0 };
        let [spoilt, are_outwaited] = [const { AtomicBool::new(false) }; 2];
        Farewells { inner: Lock::new(inner), back: Rendez::new(), spoilt, are_outwaited }
    }

    /// How many the server has not answered.
    pub(super) fn out(&self) -> usize {
        self.inner.lock().out
    }

    /// Was something said that is no answer? Then nothing that the server says can be believed.
    pub(super) fn are_spoilt(&self) -> bool {
        self.spoilt.load(Ordering::Relaxed)
    }

    /// A request to have a fid forgotten with, and its number; `None` when all are under way.
    fn take(&self, fid: u32) -> Option<(usize, Box<Request>)> {
        let mut inner = self.inner.lock();
        let idle = inner.places.iter().position(|place| matches!(place, Place::Idle(_)));
        let at = match idle {
            Some(at) => at,
            None => inner.places.iter().position(|place| matches!(place, Place::Unmade))?,
        };
        let place = inner.places.get_mut(at)?;
        if let Place::Idle(request) = core::mem::replace(place, Place::Made) {
            *place = Place::Out(fid);
            inner.out += 1;
            return Some((at, request));
        }
        drop(inner);
        // It is the session's, for those who come after this process as well.
        let made = as_kernel(|| Request::new(ASKED, SAID));
        let mut inner = self.inner.lock();
        let place = inner.places.get_mut(at)?;
        let Ok(request) = made else {
            *place = Place::Unmade;
            return None;
        };
        *place = Place::Out(fid);
        inner.out += 1;
        Some((at, request))
    }

    /// A request is back. Gives the fid if the server has answered, whatever it has said.
    fn put_back(&self, mut request: Box<Request>) -> Option<u32> {
        let mut asked = [0; HEADSZ];
        request.t.read(0, &mut asked);
        let tag = Head::parse(&asked).map_or(0, |head| head.tag);
        let is_answered = is_answered(&request, tag);
        request.result = Ok(0);
        let mut inner = self.inner.lock();
        inner.out = inner.out.saturating_sub(1);
        let place = inner.places.get_mut(usize::from(tag.wrapping_sub(FIRST_TAG)))?;
        let Place::Out(fid) = core::mem::replace(place, Place::Idle(request)) else { return None };
        drop(inner);
        if !is_answered {
            self.spoilt.store(true, Ordering::Relaxed);
        }
        is_answered.then_some(fid)
    }

    /// Waits until all are answered, for tests.
    #[cfg(not(target_os = "none"))]
    pub(super) fn settle(&self) {
        self.wait_until(clock::now_ns().saturating_add(20 * POLL_NS));
    }

    /// Makes all requests that there may ever be, for tests that count memory: how many are needed hangs on how fast
    /// the server is.
    #[cfg(not(target_os = "none"))]
    pub(super) fn make_all(&self) {
        for place in &mut self.inner.lock().places {
            if let Place::Unmade = place
                && let Ok(request) = as_kernel(|| Request::new(ASKED, SAID))
            {
                *place = Place::Idle(request);
            }
        }
    }

    /// Waits until all are answered, until `deadline_ns` at most. Says whether they are.
    fn wait_until(&self, deadline_ns: u64) -> bool {
        self.back.sleep_surely_until(deadline_ns, || self.out() == 0)
    }
}

/// Was a Tclunk with this tag answered?
fn is_answered(request: &Request, tag: u16) -> bool {
    let mut said = [0; HEADSZ];
    request.reply_read(0, &mut said);
    let Ok(len) = request.result else { return false };
    Head::parse(&said).is_ok_and(|head| {
        let is_end = matches!(head.kind, kind::RCLUNK | kind::RERROR | kind::RLERROR);
        is_end && head.tag == tag && head.size as usize == len && len <= request.r_room()
    })
}

impl Heir for Fids {
    fn back(&self, request: Box<Request>) {
        if let Some(fid) = self.farewells.put_back(request) {
            self.free(fid);
        }
        self.farewells.back.wakeup();
    }
}

impl Session {
    /// Has the server forget a fid, and does not wait for the answer. False when that cannot be.
    pub(super) fn farewell(&self, fid: u32) -> bool {
        let Some((at, mut request)) = self.fids.farewells.take(fid) else { return false };
        // Only names are kept of it, and nobody has it any more.
        self.fids.forget_trail(fid);
        let mut bytes = [0; ASKED];
        let tag = FIRST_TAG + at as u16;
        let n = Tmsg::Clunk { fid }.encode(self.dialect, tag, &mut bytes).unwrap_or(0);
        request.t.write(0, bytes.get(..n).unwrap_or(&[]));
        request.t_len = n;
        request.heir = Some(self.fids.clone());
        self.transport.submit(request);
        true
    }

    /// Waits until the server has answered all that nobody has waited for, when nobody has a file of the session any
    /// more. After a second a thread waits on.
    pub(super) fn see_farewells(self: &Arc<Self>) {
        let farewells = &self.fids.farewells;
        if self.alive().is_err() || farewells.wait_until(after_a_look()) {
            return;
        }
        if farewells.are_outwaited.swap(true, Ordering::AcqRel) {
            return;
        }
        if !self.start("9p-bye", Session::outwait) {
            farewells.are_outwaited.store(false, Ordering::Release);
            self.hang_up();
        }
    }

    /// The rest of that. A server that nobody wants any more has some seconds. Who else has the session may be one that
    /// only looks at it, as a reader of mtags does, and then nobody else would see to it: those seconds do not count.
    fn outwait(self: &Arc<Self>) {
        let mut looks = 0;
        while !self.fids.farewells.wait_until(after_a_look()) {
            looks += u32::from(self.is_only_threads());
            if looks >= LAST_LOOKS || looks > 0 && self.is_unwanted() {
                self.hang_up();
                break;
            }
        }
        self.fids.farewells.are_outwaited.store(false, Ordering::Release);
    }
}

fn after_a_look() -> u64 {
    clock::now_ns().saturating_add(POLL_NS)
}
