//! A stack as its files use it: conversations are opened, told what to do, read, written and closed. Whatever waits
//! here waits without the lock, and a note ends it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use machine::heap::{self, Call};
use machine::ledger::Account;
use machine::sync::QLock;
use machine::{clock, ledger, thread};
use smoltcp::wire::{IpAddress, IpCidr};

use crate::calls::end;
use crate::copies::Copies;
use crate::error::*;
use crate::ifc::Ifc;
use crate::log::Log;
use crate::signal::Signal;
use crate::table::{Bearer, Conversation, Entry, Proto, Role};
use crate::tcp::{self, Got};
use crate::udp;
use crate::wire::{LOOPBACK_MTU, Out};
use crate::work::{Id, Inner};

/// Packets that somebody carries on while there is more of it; the rest is the service thread's.
const BUDGET: usize = 256;
/// Bytes taken or given at a time.
pub const PIECE: usize = 64 << 10;

/// A stack. See the crate's comment.
pub struct Stack {
    inner: QLock<Inner>,
    /// There is something for the service thread.
    work: Signal,
    /// Until when it sleeps.
    asleep_until_ns: AtomicU64,
    has_ended: AtomicBool,
    log: Arc<Log>,
}

/// What a file of a conversation has to know of it.
#[derive(Clone)]
pub struct Files {
    /// The conversation.
    pub shared: Arc<Conversation>,
    /// Whose it is.
    pub owner: Arc<str>,
    /// Of `ctl`, `data`, `listen` and `err`.
    pub perm: u32,
}

impl Stack {
    /// A stack that has the loopback and its two addresses.
    ///
    /// # Errors
    /// No memory.
    pub fn new() -> Result<Arc<Stack>> {
        let log = Arc::new(Log::default());
        let mut inner = Inner::new(log.clone());
        let mut loopback = Ifc::new(Out::Loop, LOOPBACK_MTU, "/dev/null")?;
        loopback.add(IpCidr::new(IpAddress::v4(127, 0, 0, 1), 8))?;
        loopback.add(IpCidr::new(IpAddress::v6(0, 0, 0, 0, 0, 0, 0, 1), 128))?;
        heap::try_push(&mut inner.ifcs, Some(loopback))?;
        Ok(Arc::new(Stack {
            inner: QLock::new(inner),
            work: Signal::default(),
            asleep_until_ns: AtomicU64::new(0),
            has_ended: AtomicBool::new(false),
            log,
        }))
    }

    /// Starts the service thread. It has the stack itself while it works and while it waits for work, and so lives, and
    /// the stack with it, until somebody calls [`Stack::end`].
    ///
    /// # Errors
    /// No memory.
    pub fn start(self: &Arc<Self>) -> Result<()> {
        let weak = Arc::downgrade(self);
        let body = move || {
            while let Some(stack) = weak.upgrade() {
                if stack.has_ended.load(Ordering::Relaxed) {
                    return;
                }
                stack.serve();
            }
        };
        ledger::as_kernel(|| thread::spawn("ip", 0, Box::new(body)))?;
        Ok(())
    }

    /// Ends the service thread: for tests.
    pub fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
        self.work.raise();
    }

    /// Does what is to be done now: whether something is left, and the time before which there is nothing else. The
    /// service thread lives of it; a test without that thread calls it itself.
    pub fn round(&self) -> (bool, u64) {
        let _call = Call::enter("ip");
        let mut inner = self.inner.lock();
        inner.make_room();
        inner.give_back();
        inner.look_at_late();
        let more = inner.run(BUDGET);
        self.asleep_until_ns.store(inner.soonest_ns, Ordering::SeqCst);
        (more, inner.soonest_ns)
    }

    /// One round of the service thread.
    fn serve(&self) {
        let _call = Call::enter("ip");
        let seen = self.work.seen();
        let (more, until_ns) = self.round();
        match more {
            true => thread::yield_now(),
            false => self.work.wait_until(seen, until_ns),
        }
    }

    /// What happens in it, for who wants to read that.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// There is something to do: a frame has come, or a card has room. May be called wherever a thread may be woken.
    pub fn wake(&self) {
        self.work.raise();
    }

    /// Does something under the lock, and then what that has brought.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        let mut inner = self.inner.lock();
        let result = f(&mut inner);
        let more = inner.run(BUDGET);
        let sooner = inner.soonest_ns < self.asleep_until_ns.load(Ordering::SeqCst);
        drop(inner);
        if more || sooner {
            self.work.raise();
        }
        result
    }

    /// The same for what brings nothing.
    pub(crate) fn look<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        f(&mut self.inner.lock())
    }

    /// A new conversation of `bearer`'s, open once.
    ///
    /// # Errors
    /// Too many; no memory.
    pub fn open(&self, proto: Proto, bearer: Bearer) -> Result<Arc<Conversation>> {
        self.look(|inner| {
            inner.reserve()?;
            let entry = inner.table(proto).add(bearer)?;
            entry.users = 1;
            Ok(entry.shared.clone())
        })
    }

    /// The conversations of a protocol that have a number of at least `from`, the first of them.
    pub fn next(&self, proto: Proto, from: u32) -> Option<Files> {
        self.look(|inner| inner.table(proto).from(from).next().map(files))
    }

    /// The conversation with this number.
    pub fn get(&self, proto: Proto, number: u32) -> Option<Files> {
        self.look(|inner| inner.table(proto).get(number).map(files))
    }

    /// One more file of a conversation is open, which is as `seen` says: who has looked whether he may open it has
    /// looked at that.
    ///
    /// # Errors
    /// It is over, or belongs to somebody else now.
    pub fn open_again(&self, seen: &Files) -> Result<Arc<Conversation>> {
        self.look(|inner| {
            let entry = as_seen(inner, seen)?;
            match entry.role {
                Role::Ending { .. } | Role::Coming { .. } | Role::Waiting { .. } => Err(DOES_NOT_EXIST),
                _ => {
                    entry.users += 1;
                    Ok(entry.shared.clone())
                }
            }
        })
    }

    /// Changes owner and permissions of a conversation that is as `seen` says.
    ///
    /// # Errors
    /// It is over, or belongs to somebody else now.
    pub fn set_owner(&self, seen: &Files, owner: Option<Arc<str>>, perm: Option<u32>) -> Result<()> {
        self.look(|inner| {
            let entry = as_seen(inner, seen)?;
            if let Some(owner) = owner {
                entry.bearer.owner = owner;
            }
            if let Some(perm) = perm {
                entry.perm = perm & 0o777;
            }
            Ok(())
        })
    }

    /// A file of a conversation is closed. With the last one it ends.
    pub fn close(&self, c: &Conversation) {
        self.with(|inner| {
            let Some(entry) = inner.entry(id(c)) else { return };
            entry.users = entry.users.saturating_sub(1);
            if entry.users == 0 {
                end(inner, id(c));
            }
        });
    }

    /// Reads up to `max` bytes, which are there or are waited for; none at the end.
    ///
    /// # Errors
    /// Why it ended; a note.
    pub fn read(&self, c: &Conversation, max: usize) -> Result<Vec<u8>> {
        match self.read_to(c, max, &mut |_, _| false)? {
            Got::Bytes(bytes) => Ok(bytes),
            Got::Put(_) => Ok(Vec::new()),
        }
    }

    /// The same, where `put` takes bytes of a stream to where they go, so far behind the first, if it can do so without
    /// waiting: the stack is locked.
    ///
    /// # Errors
    /// As [`read`](Stack::read).
    pub fn read_to(
        &self,
        c: &Conversation,
        max: usize,
        put: &mut dyn FnMut(usize, &[u8]) -> bool,
    ) -> Result<Got> {
        loop {
            let seen = c.signal.seen();
            let got: Result<_> = self.with(|inner| {
                let entry = inner.entry(id(c)).ok_or(HUNG_UP)?;
                let got = match c.proto {
                    Proto::Tcp => tcp::read(entry, max.min(PIECE), put),
                    Proto::Udp => udp::read(entry, max).map(|got| got.map(Got::Bytes)),
                    Proto::Icmp | Proto::Icmpv6 => {
                        crate::icmp::read(entry, max).map(|got| got.map(Got::Bytes))
                    }
                }?;
                if c.proto == Proto::Tcp && !matches!(got, None | Some(Got::Put(0))) {
                    // The other side may send more now.
                    inner.look_at(id(c));
                }
                Ok(got)
            });
            if let Some(got) = got? {
                return Ok(got);
            }
            let _reads = c.reads();
            c.signal.wait(seen)?;
        }
    }

    /// Writes all of it. A datagram waits for nobody: it goes, is queued until the other's card is known, or is lost
    /// when there is no room for it.
    ///
    /// # Errors
    /// It has ended; a note. Of TCP a part may have gone then: who writes is told as Plan 9 tells it, since a count
    /// that is less than he asked for says nothing of why. For a datagram: it can never go.
    pub fn write(&self, c: &Conversation, bytes: &[u8]) -> Result<usize> {
        if c.proto != Proto::Tcp {
            return self.with(|inner| inner.put_datagram(id(c), bytes));
        }
        self.write_from(c, bytes.len(), &mut |at, room| {
            let bytes = bytes.get(at..).and_then(|rest| rest.get(..room.len()));
            bytes.map(|bytes| room.copy_from_slice(bytes)).is_some()
        })
    }

    /// Writes `len` bytes of a stream, of which `get` fills in those so far behind the first, if it can do so without
    /// waiting: the stack is locked. How many were written until it could not.
    ///
    /// # Errors
    /// As [`write`](Stack::write).
    pub fn write_from(
        &self,
        c: &Conversation,
        len: usize,
        get: &mut dyn FnMut(usize, &mut [u8]) -> bool,
    ) -> Result<usize> {
        let mut done = 0;
        loop {
            let seen = c.signal.seen();
            let put: Result<_> = self.with(|inner| {
                let entry = inner.entry(id(c)).ok_or(HUNG_UP)?;
                let put = tcp::write(entry, len - done, &mut |at, room| get(done + at, room));
                inner.look_at(id(c));
                put
            });
            let (put, is_absent) = match put {
                // What went before that counts: the next write meets it again.
                Err(NO_MEMORY) if done != 0 => (0, true),
                put => put?,
            };
            done += put;
            if done == len || is_absent {
                return Ok(done);
            }
            c.signal.wait(seen)?;
        }
    }

    /// Whether datagrams have addresses before them.
    ///
    /// # Errors
    /// It is over, or has no datagrams: those to all ports are calls.
    pub fn set_headers(&self, c: &Conversation, headers: bool) -> Result<()> {
        if c.proto != Proto::Udp {
            return Err(BAD_CONTROL);
        }
        self.look(|inner| {
            let entry = inner.entry(id(c)).ok_or(HUNG_UP)?;
            if matches!(entry.role, Role::Announced { .. }) && entry.local.port == 0 {
                return Err(BAD_CONTROL);
            }
            entry.headers = headers;
            Ok(())
        })
    }

    /// How many routers what it sends may pass, from now on.
    ///
    /// # Errors
    /// It is over.
    pub fn set_hops(&self, c: &Conversation, hops: u8) -> Result<()> {
        self.look(|inner| {
            let entry = inner.entry(id(c)).ok_or(HUNG_UP)?;
            // A socket takes any number but 0.
            entry.hops = Some(hops.max(1));
            entry.tell_hops();
            Ok(())
        })
    }

    /// The kind of service that is written on what it sends, from now on.
    ///
    /// # Errors
    /// It is over.
    pub fn set_service(&self, c: &Conversation, service: u8) -> Result<()> {
        self.look(|inner| {
            let entry = inner.entry(id(c)).ok_or(HUNG_UP)?;
            entry.service = service;
            entry.tell_hops();
            Ok(())
        })
    }

    /// What ICMP says of its packets does not end it.
    ///
    /// # Errors
    /// It is over.
    pub fn ignore_advice(&self, c: &Conversation) -> Result<()> {
        self.look(|inner| {
            inner.entry(id(c)).ok_or(HUNG_UP)?.ignores_advice = true;
            Ok(())
        })
    }

    /// The packets of a conversation from now on, until [`Copies::close`]. `account` pays for those that wait.
    ///
    /// # Errors
    /// It is over.
    pub fn snoop(&self, c: &Conversation, account: Option<Arc<Account>>) -> Result<Arc<Copies>> {
        self.look(|inner| {
            let entry = inner.entry(id(c)).ok_or(HUNG_UP)?;
            let copies = entry.copies.get_or_insert_with(|| Copies::new(account));
            copies.open();
            Ok(copies.clone())
        })
    }

    /// The packets of an interface from now on, until [`Copies::close`].
    ///
    /// # Errors
    /// There is no such interface.
    pub fn snoop_interface(&self, number: u32) -> Result<Arc<Copies>> {
        self.look(|inner| {
            let ifc = inner.ifcs.get_mut(number as usize).and_then(Option::as_mut).ok_or(DOES_NOT_EXIST)?;
            let copies = ifc.wire.copies.get_or_insert_with(|| Copies::new(None));
            copies.open();
            Ok(copies.clone())
        })
    }

    /// Whether there is an interface with this number.
    pub fn has_interface(&self, number: u32) -> bool {
        self.look(|inner| inner.ifcs.get(number as usize).is_some_and(Option::is_some))
    }

    /// The number of the first interface that has at least this one.
    pub fn next_interface(&self, from: u32) -> Option<u32> {
        self.look(|inner| {
            let mut all = inner.ifcs.iter().enumerate().skip(from as usize);
            all.find(|(_, ifc)| ifc.is_some()).and_then(|(at, _)| u32::try_from(at).ok())
        })
    }

    /// Asks the other side after so many quiet milliseconds whether it is there; 0 no more.
    ///
    /// # Errors
    /// It is over, or no connection.
    pub fn set_keepalive(&self, c: &Conversation, ms: u64) -> Result<()> {
        if c.proto != Proto::Tcp {
            return Err(BAD_CONTROL);
        }
        self.with(|inner| {
            let entry = inner.entry(id(c)).ok_or(HUNG_UP)?;
            tcp::change_keepalive(entry, (ms != 0).then_some(ms), clock::now_ns());
            inner.look_at(id(c));
            Ok(())
        })
    }
}

fn files(entry: &Entry) -> Files {
    Files { shared: entry.shared.clone(), owner: entry.bearer.owner.clone(), perm: entry.perm }
}

/// The conversation that was seen so: not another that has got its number, and with the same owner and permissions.
fn as_seen<'a>(inner: &'a mut Inner, seen: &Files) -> Result<&'a mut Entry> {
    let entry = inner.entry(id(&seen.shared)).ok_or(DOES_NOT_EXIST)?;
    let is_same = Arc::ptr_eq(&entry.shared, &seen.shared)
        && entry.bearer.owner == seen.owner
        && entry.perm == seen.perm;
    if is_same { Ok(entry) } else { Err(DOES_NOT_EXIST) }
}

pub(crate) fn id(c: &Conversation) -> Id {
    Id { proto: c.proto, number: c.number }
}
