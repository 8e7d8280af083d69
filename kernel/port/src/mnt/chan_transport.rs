//! A channel as a message transport: how `#M` and `#9` reach a server on a pipe, a posted file or anything else that
//! carries bytes both ways.
//!
//! Two kernel threads serve a channel. One writes the messages that were submitted, whole and in order, so that
//! whoever submits does not wait and a note cannot cut a message in two. The other reads, cuts the stream into
//! messages and gives each reply to the request with its tag. When the channel fails, everything under way
//! comes back as hung up.
//!
//! A server need not answer a message that was flushed: Rflush says that no reply will come. It gives back both.
//!
//! What the threads allocate, and what waits unread in a pipe, is on the bill of who mounted. While memory is short
//! they wait.
//!
//! Ownership: the threads hold the channel and the [`Line`]; [`ChanTransport`] is the session's hold on that.
//! Dropping it closes the line: both threads are interrupted and end, and with them the last use of the channel.
//! Until they have ended they might read what is not for them, so a new session on the channel waits for that.
//!
//! Lock order: `state` is a leaf.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use abi::error;
use io::message::{Request, Transport, TransportError};
use machine::heap::Call;
use machine::lock::Lock;
use machine::sync::Rendez;
use machine::thread::{self, ThreadRef};
use machine::{clock, heap};
use ninep::head::{HEADSZ, Head};
use ninep::{Framer, kind};
use spin::Once;

use crate::dev::pipe::ATOMIC;
use crate::error::{Error, Result};
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::Chan;
use crate::proc::process::Proc;

/// Largest message on a channel, in bytes. No server behind one is asked for more.
pub(crate) const MOST: u32 = 1 << 20;
/// Bytes asked of the channel at once, at most.
const ASK: usize = 64 << 10;
/// Bytes that are written at once, at most: a message that is no longer goes out whole, and through a pipe arrives so.
const ASK_WRITE: usize = ATOMIC;
/// Requests for which there is room from the start: all slots of a session, with all they can have under way.
const REQUESTS: usize = 1024;
/// How long a reply waits for memory before that is asked for again, in ns.
const AGAIN_NS: u64 = 20_000_000;

/// The session's hold on a line.
pub(crate) struct ChanTransport {
    line: Arc<Line>,
}

/// What a session's threads and their transport share.
pub(crate) struct Line {
    name: String,
    state: Lock<State>,
    /// Signalled when there is something to write, or the line is closed.
    work: Rendez,
    reader: Once<ThreadRef>,
    writer: Once<ThreadRef>,
    /// Threads that run.
    threads: AtomicU32,
    /// Signalled when one ends.
    ended: Rendez,
}

/// How many references to the channel the threads of a line hold while they run.
pub(crate) const CHAN_REFS: usize = 2;

struct State {
    /// Requests whose reply has not come, by tag.
    pending: BTreeMap<u16, Sent>,
    /// Messages to be written, by tag and number: each is in its request until it is written.
    out: VecDeque<(u16, u32)>,
    /// The number of the next message. It may begin anew: no message is as old.
    next: u32,
    closed: bool,
}

impl State {
    /// Takes out the request with this tag, and what was still to be written of it: a server that replies to what it
    /// cannot have read yet makes no queue long.
    fn take(&mut self, tag: u16) -> Option<Box<Request>> {
        let Sent { number, request } = self.pending.remove(&tag)?;
        self.out.retain(|(_, waiting)| *waiting != number);
        Some(request)
    }
}

/// A request that the transport has.
struct Sent {
    number: u32,
    request: Box<Request>,
}

impl ChanTransport {
    /// Starts to serve `chan` on behalf of `kproc`, a process of the kernel's own.
    ///
    /// # Errors
    /// No memory for a thread.
    pub(crate) fn start(chan: Arc<Chan>, kproc: &Arc<Proc>) -> Result<Arc<Self>> {
        let mut out = VecDeque::new();
        heap::try_reserve_exact(&mut out, REQUESTS)?;
        let state = State { pending: BTreeMap::new(), out, next: 0, closed: false };
        let name = String::from(chan.path.as_str());
        let line = Line {
            name,
            state: Lock::new(state),
            work: Rendez::new(),
            reader: Once::new(),
            writer: Once::new(),
            threads: AtomicU32::new(0),
            ended: Rendez::new(),
        };
        let line = Arc::new(line);
        // From here on a failure closes the line by dropping this.
        let transport = Arc::new(ChanTransport { line: line.clone() });
        let reader = line.start("9p-read", &chan, kproc, Line::read)?;
        line.reader.call_once(|| reader);
        let writer = line.start("9p-write", &chan, kproc, Line::write)?;
        line.writer.call_once(|| writer);
        Ok(transport)
    }
}

impl ChanTransport {
    /// What to wait for before the channel can have another session.
    pub(crate) fn line(&self) -> &Arc<Line> {
        &self.line
    }
}

impl Line {
    fn start(
        self: &Arc<Self>,
        name: &str,
        chan: &Arc<Chan>,
        kproc: &Arc<Proc>,
        life: fn(&Line, &Arc<Chan>, &Arc<Proc>),
    ) -> Result<ThreadRef> {
        let (line, chan, kproc) = (self.clone(), chan.clone(), kproc.clone());
        self.threads.fetch_add(1, Ordering::AcqRel);
        let body = move || {
            life(&line, &chan, &kproc);
            drop(chan);
            line.thread_ended();
        };
        let started = thread::spawn(name, 0, Box::new(body));
        if started.is_err() {
            self.thread_ended();
        }
        Ok(started?)
    }

    fn thread_ended(&self) {
        self.threads.fetch_sub(1, Ordering::AcqRel);
        self.ended.wakeup();
    }

    /// What its channel is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Waits until a line that was closed uses its channel no more.
    ///
    /// # Errors
    /// `interrupted`.
    pub(crate) fn wait_ended(&self) -> Result<()> {
        Ok(self.ended.sleep_intr(|| self.threads.load(Ordering::Acquire) == 0)?)
    }

    /// Ends it; all that is under way comes back.
    fn close(&self) {
        let pending = {
            let mut state = self.state.lock();
            state.closed = true;
            state.out.clear();
            core::mem::take(&mut state.pending)
        };
        for (_, sent) in pending {
            sent.request.complete(Err(TransportError::HungUp));
        }
        self.work.wakeup();
        for thread in [&self.reader, &self.writer].into_iter().filter_map(Once::get) {
            thread.interrupt();
        }
    }

    fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Waits a moment when it was for want of memory that something failed: the session is not to end because others
    /// have taken that. False for anything else, and when the line is closed.
    fn waits_for_memory(&self, e: &Error) -> bool {
        if self.is_closed() || !(e.is(error::ENOMEM) || e.is(error::ENOVMEM)) {
            return false;
        }
        thread::park_until(clock::now_ns().saturating_add(AGAIN_NS));
        true
    }

    fn write(&self, chan: &Arc<Chan>, up: &Arc<Proc>) {
        let Ok(mut buf) = heap::try_bytes(ASK_WRITE) else { return self.close() };
        let mut offset = 0;
        loop {
            let _call = Call::enter("writer of a line");
            self.work.sleep(|| {
                let state = self.state.lock();
                state.closed || !state.out.is_empty()
            });
            let next = self.state.lock().out.pop_front();
            let Some((tag, number)) = next else { return };
            let mut at = 0;
            loop {
                let n = match self.state.lock().pending.get(&tag).filter(|sent| sent.number == number) {
                    Some(sent) => copy_of(&sent.request, at, &mut buf),
                    // It was given up before it was begun.
                    None if at == 0 => break,
                    // There was a reply to what has not been said.
                    None => 0,
                };
                if n == 0 {
                    break;
                }
                at += n;
                let mut rest = buf.get(..n).unwrap_or(&[]);
                while !rest.is_empty() {
                    match chan.dev.write(up, chan, &Src::Kernel(rest), offset) {
                        Ok(n) if n > 0 => {
                            offset += n as u64;
                            rest = rest.get(n..).unwrap_or(&[]);
                        }
                        Err(e) if self.waits_for_memory(&e) => {}
                        _ => return self.close(),
                    }
                }
            }
        }
    }

    fn read(&self, chan: &Arc<Chan>, up: &Arc<Proc>) {
        let mut framer = Framer::new(MOST);
        let Ok(mut buf) = heap::try_bytes(ASK) else { return self.close() };
        let mut offset = 0;
        while !self.is_closed() {
            let _call = Call::enter("reader of a line");
            match chan.dev.read(up, chan, &mut Dst::Kernel(&mut buf), offset) {
                Ok(n) if n > 0 => {
                    offset += n as u64;
                    let bytes = buf.get(..n).unwrap_or(&[]);
                    // A long reply waits until there is memory for it.
                    while !framer.try_push(bytes, |held, more| heap::try_reserve(held, more).is_ok()) {
                        if self.is_closed() {
                            return;
                        }
                        thread::park_until(clock::now_ns().saturating_add(AGAIN_NS));
                    }
                }
                Err(e) if self.waits_for_memory(&e) => continue,
                _ => break,
            }
            loop {
                match framer.next_message() {
                    Ok(Some(message)) => self.deliver(message),
                    Ok(None) => break,
                    Err(_) => return self.close(),
                }
            }
        }
        self.close();
    }

    /// Gives a reply to its request. One that nobody waits for is a flushed one's, and is dropped. The answer to a
    /// flush also gives back the request that was flushed: there will be no reply to that any more.
    fn deliver(&self, message: &[u8]) {
        let Ok(head) = Head::parse(message) else { return };
        let (request, flushed) = {
            let mut state = self.state.lock();
            let Some(request) = state.take(head.tag) else { return };
            let flushed = match head.kind {
                kind::RFLUSH => state.take(oldtag(&request)),
                _ => None,
            };
            (request, flushed)
        };
        if let Some(flushed) = flushed {
            flushed.complete(Ok(0));
        }
        let result = if put_reply(&request, message) {
            Ok(message.len())
        } else {
            Err(TransportError::Broken("reply does not fit"))
        };
        request.complete(result);
    }
}

/// Puts the bytes of a request's message from `at` on into `buf`; how many there were.
fn copy_of(request: &Request, at: usize, buf: &mut [u8]) -> usize {
    let (mut skip, mut done) = (at, 0);
    let mut put = |len: usize, read: &dyn Fn(usize, &mut [u8])| {
        let n = len.saturating_sub(skip).min(buf.len() - done);
        if let Some(place) = buf.get_mut(done..done + n)
            && n != 0
        {
            read(skip, place);
        }
        skip = skip.saturating_sub(len);
        done += n;
    };
    put(request.t_len, &|at, place| request.t.read(at, place));
    for piece in &request.t_data {
        put(piece.len(), &|at, place| piece.read(at, place));
    }
    done
}

/// The tag that a Tflush names.
fn oldtag(request: &Request) -> u16 {
    let mut bytes = [0; 2];
    if request.t_len >= HEADSZ + 2 {
        request.t.read(HEADSZ, &mut bytes);
    }
    u16::from_le_bytes(bytes)
}

/// Writes a reply to where its request wants it. False when it does not fit.
fn put_reply(request: &Request, message: &[u8]) -> bool {
    if message.len() > request.r_room() {
        return false;
    }
    let (head, mut rest) = message.split_at(message.len().min(request.r_len));
    request.r.write(0, head);
    for piece in &request.r_data {
        let (now, later) = rest.split_at(rest.len().min(piece.len()));
        piece.write(0, now);
        rest = later;
    }
    true
}

impl Transport for ChanTransport {
    fn name(&self) -> String {
        self.line.name.clone()
    }

    fn max_in_flight(&self) -> usize {
        64
    }

    fn max_segments(&self) -> usize {
        1024
    }

    fn submit(&self, request: Box<Request>) {
        let mut head = [0; HEADSZ];
        let len = copy_of(&request, 0, &mut head);
        let Ok(head) = Head::parse(head.get(..len).unwrap_or(&[])) else {
            return request.complete(Err(TransportError::Broken("no message")));
        };
        let mut state = self.line.state.lock();
        if state.closed || state.pending.contains_key(&head.tag) {
            drop(state);
            return request.complete(Err(TransportError::HungUp));
        }
        let number = state.next;
        state.next = number.wrapping_add(1);
        state.pending.insert(head.tag, Sent { number, request });
        state.out.push_back((head.tag, number));
        drop(state);
        self.line.work.wakeup();
    }

    fn reset(&self) -> core::result::Result<(), TransportError> {
        self.line.close();
        Ok(())
    }
}

impl Drop for ChanTransport {
    fn drop(&mut self) {
        self.line.close();
    }
}
