//! A server behind a pipe, played by a process that reads and writes the other end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use machine::host::heap::aside;
use machine::sync::Completion;
use ninep::testserver::{Server, Tree};
use ninep::{Framer, kind};
use port::Proc;
use port::call::sysfile;
use port::mem::iobuf::{Dst, Src};
use port::testkit::Hosted;

/// What a server does with a message.
pub enum Act {
    Answer,
    /// Waits for its flush, and is never answered.
    Hold,
    /// Another reply.
    Say(Vec<u8>),
    /// It is answered, and this makes another reply of the reply.
    Edit(fn(&mut Vec<u8>)),
    /// Closes the connection.
    Die,
}

pub struct Served {
    server: Mutex<Server>,
    /// Types of all messages.
    log: Mutex<Vec<u8>>,
    held: AtomicU32,
    /// Bytes of a reply that are written at once.
    pub chop: AtomicU32,
}

impl Served {
    /// A server of 9P2000.
    pub fn plan9(fill: impl FnOnce(&mut Tree)) -> Arc<Self> {
        Self::new(Server::plan9(), fill)
    }

    /// A server of the other dialects.
    pub fn phantom(fill: impl FnOnce(&mut Tree)) -> Arc<Self> {
        Self::new(Server::new(), fill)
    }

    fn new(mut server: Server, fill: impl FnOnce(&mut Tree)) -> Arc<Self> {
        fill(&mut server.host);
        let log = Mutex::new(Vec::new());
        Arc::new(Served {
            server: Mutex::new(server),
            log,
            held: AtomicU32::new(0),
            chop: AtomicU32::new(1 << 20),
        })
    }

    pub fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap()
    }

    /// Has everything back, and was never asked what breaks it.
    pub fn is_clean(&self) {
        let server = self.server();
        assert_eq!((server.fids(), server.broken()), (0, None));
    }

    pub fn count(&self, kind: u8) -> usize {
        self.log.lock().unwrap().iter().filter(|k| **k == kind).count()
    }

    pub fn until_held(&self, n: u32) {
        while self.held.load(Ordering::SeqCst) < n {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

pub fn tag(t: &[u8]) -> u16 {
    u16::from_le_bytes([t[5], t[6]])
}

/// Serves a channel until it is closed; then closes it from this side as well.
pub fn serve(up: &Arc<Proc>, fd: i32, served: &Served, mut act: impl FnMut(&Arc<Proc>, &[u8]) -> Act) {
    let mut framer = Framer::new(1 << 20);
    let mut held: Vec<u16> = Vec::new();
    'line: loop {
        let mut buf = vec![0; 40_000];
        // Memory is missing for others, not for the server.
        match aside(|| sysfile::pread(up, fd, &mut Dst::Kernel(&mut buf), -1)) {
            Ok(n) if n > 0 => framer.push(&buf[..n]),
            _ => break,
        }
        while let Some(t) = framer.next_message().unwrap().map(<[u8]>::to_vec) {
            served.log.lock().unwrap().push(t[4]);
            let act = act(up, &t);
            if t[4] == kind::TFLUSH {
                held.retain(|h| *h != u16::from_le_bytes([t[7], t[8]]));
            }
            let reply = match act {
                Act::Answer => served.server().handle(&t),
                Act::Say(bytes) => bytes,
                Act::Edit(edit) => {
                    let mut reply = served.server().handle(&t);
                    edit(&mut reply);
                    reply
                }
                Act::Hold => {
                    held.push(tag(&t));
                    served.held.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                Act::Die => break 'line,
            };
            for piece in reply.chunks(served.chop.load(Ordering::Relaxed) as usize) {
                if aside(|| sysfile::pwrite(up, fd, &Src::Kernel(piece), -1)).is_err() {
                    break 'line;
                }
            }
        }
    }
    sysfile::close(up, fd).unwrap();
}

/// A server on a pipe; gives the kernel's end.
pub fn start(
    t: &Hosted,
    served: &Arc<Served>,
    act: impl FnMut(&Arc<Proc>, &[u8]) -> Act + Send + 'static,
) -> (i32, Arc<Completion<()>>) {
    let [ours, theirs] = sysfile::pipe(&t.up).unwrap();
    let served = served.clone();
    let (_, done) = t.start(move |up| serve(up, theirs, &served, act));
    (ours, done)
}
