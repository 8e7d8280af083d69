//! A share of the host behind a device that misbehaves when told to: `ninep`'s test server as a `Transport`.
//!
//! The device is a thread. What becomes of each message a test's plan decides ([`Fate`]); without one every message
//! is answered, one after the other.
#![allow(dead_code, missing_docs, reason = "each test program uses its part of it")]

pub mod pipe;
pub mod served;
pub mod transfer;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use abi::{MCREATE, MREPL, ORDWR};
use io::message::{Request, Transport, TransportError};
use ninep::testserver::{Server, Tree};
use ninep::{Dialect, Rmsg, kind};
use port::Result;
use port::call::sysfile;
use port::mnt::{MntDev, Patience};
use port::testkit::Hosted;

/// The dialect of this test program's mounts.
pub fn dialect() -> Dialect {
    if module_path!().contains("dotl") { Dialect::L } else { Dialect::U }
}

/// Is the server of this test program behind a pipe, not a device?
pub fn piped() -> bool {
    module_path!().starts_with("mnt_pipe")
}

/// The dialect's message for one of 9P2000's.
pub fn spoken(message: u8) -> u8 {
    match (dialect(), message) {
        (Dialect::L, kind::TOPEN) => kind::TLOPEN,
        (Dialect::L, kind::TCREATE) => kind::TLCREATE,
        (Dialect::L, kind::TSTAT) => kind::TGETATTR,
        // Of a wstat that changes nothing.
        (Dialect::L, kind::TWSTAT) => kind::TFSYNC,
        _ => message,
    }
}

/// A text for 9P2000.u, for this dialect; the other one takes its place.
pub fn turned(text: &str) -> String {
    match dialect() {
        Dialect::L => text.replace("9P2000.L", "?").replace("9P2000.u", "9P2000.L").replace('?', "9P2000.u"),
        _ => text.into(),
    }
}

/// A spec for this dialect.
pub fn spec(spec: &str) -> String {
    match dialect() {
        Dialect::L if !spec.is_empty() && !spec.contains(':') => format!("{spec}:9P2000.L"),
        _ => turned(spec),
    }
}

/// What becomes of a message.
pub enum Fate {
    /// The server answers it.
    Answer,
    /// It waits until it is flushed or [released](Wire::release).
    Hold,
    /// The server answers it, and this makes another reply of its reply.
    Edit(Box<dyn FnOnce(Vec<u8>) -> Vec<u8> + Send>),
    /// These bytes are the reply, and the device says that they are so many.
    Say(Vec<u8>, usize),
    /// The transport says that it is broken.
    Fail,
}

/// Decides by the bytes of a T-message.
pub type Plan = Box<dyn FnMut(&[u8]) -> Fate + Send>;

/// The device.
pub struct Wire {
    state: Mutex<State>,
    changed: Condvar,
}

pub struct State {
    pub server: Server,
    queue: VecDeque<Box<Request>>,
    /// As they are handed over: boxed.
    #[allow(clippy::vec_box)]
    held: Vec<Box<Request>>,
    plan: Option<Plan>,
    /// Types of all messages so far.
    pub log: Vec<u8>,
    /// Most requests that were under way together.
    pub peak: usize,
    /// Everything is swallowed, flushes too.
    pub mute: bool,
    /// Flushes have no effect and no answer, but for that which asks for a sign of life.
    pub ignores_flushes: bool,
    /// Flushed requests come back without a reply; otherwise they are answered first.
    pub cancels: bool,
    /// Answers come in the reverse order, when several requests are there.
    pub reorders: bool,
    pub resets: u32,
    /// How long every answer takes; one is given after the other.
    pub delay: Duration,
    closed: bool,
}

/// The wire's thread ends when the last who uses it has gone.
pub struct Handle(Arc<Wire>);

impl Handle {
    pub fn new(fill: impl FnOnce(&mut Tree)) -> Arc<Handle> {
        let mut server = Server::new();
        server.dotdot_in_dirs = piped();
        fill(&mut server.host);
        let state = State {
            server,
            queue: VecDeque::new(),
            held: Vec::new(),
            plan: None,
            log: Vec::new(),
            peak: 0,
            mute: false,
            ignores_flushes: false,
            cancels: false,
            reorders: false,
            resets: 0,
            delay: Duration::ZERO,
            closed: false,
        };
        let wire = Arc::new(Wire { state: Mutex::new(state), changed: Condvar::new() });
        let (device, home) = (wire.clone(), machine::host::machine());
        std::thread::spawn(move || {
            home.enter();
            device.serve();
        });
        Arc::new(Handle(wire))
    }

    /// Looks at it, or changes it.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    pub fn plan(&self, plan: impl FnMut(&[u8]) -> Fate + Send + 'static) {
        self.state().plan = Some(Box::new(plan));
    }

    /// Every message of this type meets this fate.
    pub fn plan_for(&self, kind: u8, mut fate: impl FnMut(&[u8]) -> Fate + Send + 'static) {
        self.plan(move |t| if t[4] == spoken(kind) { fate(t) } else { Fate::Answer });
    }

    pub fn no_plan(&self) {
        self.state().plan = None;
    }

    /// Waits until so many messages are held.
    pub fn until_held(&self, n: usize) {
        let end = Instant::now() + Duration::from_secs(20);
        let mut state = self.state();
        while state.held.len() < n {
            assert!(Instant::now() < end, "{} of {n} held", state.held.len());
            state = self.0.changed.wait_timeout(state, Duration::from_millis(50)).unwrap().0;
        }
    }

    /// Answers what is held, in the order that `order` gives of their numbers.
    pub fn release(&self, order: impl FnOnce(usize) -> Vec<usize>) {
        let mut held: Vec<_> = std::mem::take(&mut self.state().held).into_iter().map(Some).collect();
        for i in order(held.len()) {
            self.0.answer(held[i].take().unwrap(), Fate::Answer);
        }
        assert!(held.iter().all(Option::is_none));
    }

    pub fn count(&self, kind: u8) -> usize {
        self.state().log.iter().filter(|k| **k == spoken(kind)).count()
    }

    pub fn fids(&self) -> usize {
        self.state().server.fids()
    }

    /// The bytes of a file of the host.
    pub fn host(&self, path: &str) -> Option<Vec<u8>> {
        self.state().server.host.read(path).map(<[u8]>::to_vec)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().closed = true;
        self.0.changed.notify_all();
    }
}

fn whole(request: &Request) -> Vec<u8> {
    let mut t = vec![0; request.t_len];
    request.t.read(0, &mut t);
    for piece in &request.t_data {
        let at = t.len();
        t.resize(at + piece.len(), 0);
        piece.read(0, &mut t[at..]);
    }
    t
}

fn put(request: &Request, reply: &[u8]) {
    let (head, mut rest) = reply.split_at(reply.len().min(request.r_len));
    request.r.write(0, head);
    for piece in &request.r_data {
        let (now, later) = rest.split_at(rest.len().min(piece.len()));
        piece.write(0, now);
        rest = later;
    }
}

fn tag(request: &Request) -> u16 {
    let mut bytes = [0; 2];
    request.t.read(5, &mut bytes);
    u16::from_le_bytes(bytes)
}

impl Wire {
    fn serve(&self) {
        loop {
            let mut state = self.state.lock().unwrap();
            while state.queue.is_empty() && !state.closed {
                state = self.changed.wait(state).unwrap();
            }
            if state.closed {
                return;
            }
            if state.reorders {
                // Others that belong to the same transfer are on their way.
                drop(state);
                std::thread::sleep(Duration::from_millis(2));
                state = self.state.lock().unwrap();
            }
            let mut batch: Vec<_> = state.queue.drain(..).collect();
            if state.reorders {
                batch.reverse();
            }
            drop(state);
            batch.into_iter().for_each(|request| self.one(request));
        }
    }

    fn one(&self, request: Box<Request>) {
        let t = whole(&request);
        let delay = self.state.lock().unwrap().delay;
        std::thread::sleep(delay);
        let mut state = self.state.lock().unwrap();
        state.log.push(t[4]);
        if state.mute {
            state.held.push(request);
            return;
        }
        let mut plan = state.plan.take();
        let fate = plan.as_mut().map_or(Fate::Answer, |p| p(&t));
        if state.plan.is_none() {
            state.plan = plan;
        }
        if t[4] == kind::TFLUSH {
            let old = u16::from_le_bytes([t[7], t[8]]);
            if state.ignores_flushes && old != 0xfffe {
                state.held.push(request);
                return;
            }
            let at = state.held.iter().position(|h| tag(h) == old);
            if let Some(held) = at.map(|at| state.held.remove(at)) {
                let cancels = state.cancels;
                drop(state);
                if cancels {
                    held.complete(Ok(0));
                } else {
                    self.answer(held, Fate::Answer);
                }
                return self.answer(request, fate);
            }
        }
        drop(state);
        self.answer(request, fate);
    }

    fn answer(&self, request: Box<Request>, fate: Fate) {
        if let Fate::Hold = fate {
            self.state.lock().unwrap().held.push(request);
            return self.changed.notify_all();
        }
        let reply = match fate {
            Fate::Fail => return request.complete(Err(TransportError::Broken("on fire"))),
            Fate::Say(bytes, len) => {
                put(&request, &bytes);
                return request.complete(Ok(len));
            }
            _ => self.state.lock().unwrap().server.handle_in(&whole(&request), request.r_room()),
        };
        let reply = match fate {
            Fate::Edit(edit) => edit(reply),
            _ => reply,
        };
        if reply.is_empty() {
            // A broken device is silent until it is reset.
            self.state.lock().unwrap().held.push(request);
            return self.changed.notify_all();
        }
        assert!(reply.len() <= request.r_room(), "an edited reply does not fit");
        put(&request, &reply);
        request.complete(Ok(reply.len()));
    }
}

impl Transport for Handle {
    fn name(&self) -> String {
        "wire".into()
    }

    fn max_in_flight(&self) -> usize {
        64
    }

    fn max_segments(&self) -> usize {
        126
    }

    fn submit(&self, request: Box<Request>) {
        assert!(request.segments() <= 126, "too many segments");
        let mut state = self.state();
        state.queue.push_back(request);
        state.peak = state.peak.max(state.queue.len() + state.held.len());
        drop(state);
        self.0.changed.notify_all();
    }

    fn reset(&self) -> core::result::Result<(), TransportError> {
        let out: Vec<_> = {
            let mut state = self.state();
            state.server.reset();
            state.mute = false;
            state.resets += 1;
            let state = &mut *state;
            state.queue.drain(..).chain(state.held.drain(..)).collect()
        };
        out.into_iter().for_each(|request| request.complete(Err(TransportError::HungUp)));
        Ok(())
    }
}

/// A kernel with `#9` and the tag `host`.
pub struct Share {
    pub t: Hosted,
    pub wire: Arc<Handle>,
    pub dev: Arc<MntDev>,
}

impl Share {
    /// Mounted on `/n`.
    pub fn new(fill: impl FnOnce(&mut Tree)) -> Share {
        let s = Share::unmounted(Patience::DEVICE, fill);
        s.mount("host", "/n").unwrap();
        s
    }

    pub fn unmounted(patience: Patience, fill: impl FnOnce(&mut Tree)) -> Share {
        let wire = Handle::new(fill);
        let device: Arc<dyn Transport> = wire.clone();
        let devices = if piped() { vec![] } else { vec![("host".into(), device)] };
        let mnt = MntDev::channels();
        let dev = mnt.phantom_with(devices, patience);
        let t = Hosted::with(vec![mnt, dev.clone()], vec![], &[]);
        Share { t, wire, dev }
    }

    pub fn mount(&self, spec: &str, at: &str) -> Result<()> {
        self.mount_as(spec, at, MREPL | MCREATE)
    }

    /// The same with these flags.
    pub fn mount_as(&self, spec: &str, at: &str, flag: u32) -> Result<()> {
        let spec = self::spec(spec);
        let (fd, spec) = match spec.strip_prefix("host").filter(|_| piped()) {
            Some(tree) => (pipe::bridge(&self.t, &self.wire), tree),
            None => (sysfile::open(&self.t.up, "#c/null", ORDWR)?, spec.as_str()),
        };
        let mounted = sysfile::mount(&self.t.up, fd, -1, at, flag, spec, '9').map(drop);
        if mounted.is_err() {
            sysfile::close(&self.t.up, fd)?;
        }
        mounted
    }

    /// Forgets what is kept to be looked at again, and waits until the server has answered what nobody waits for.
    pub fn settle(&self) {
        self.dev.settle();
    }

    /// Unmounts `/n`: the server must have everything back.
    pub fn end(self) {
        sysfile::unmount(&self.t.up, None, "/n").unwrap();
        assert_eq!(self.dev.mtags(), if piped() { "" } else { "host:-\n" });
        let state = self.wire.state();
        assert_eq!((state.server.fids(), state.server.broken(), state.resets), (0, None, 0));
        assert_eq!(machine::host::machine().panics(), 0);
    }
}

/// An error reply with this text and number to the message `t`.
pub fn error(t: &[u8], ename: &str, errno: u32) -> Vec<u8> {
    let tag = u16::from_le_bytes([t[5], t[6]]);
    match dialect() {
        Dialect::L => Rmsg::Lerror { ecode: errno }.to_vec(Dialect::L, tag).unwrap(),
        d => Rmsg::Error { ename: ename.into(), errno }.to_vec(d, tag).unwrap(),
    }
}

/// Bytes that tell where they stand.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ i >> 8 ^ i >> 16) as u8).collect()
}
