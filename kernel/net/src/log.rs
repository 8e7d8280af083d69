//! What happens in a stack, told in lines to who reads `log` while it is open. Nothing is told before somebody has said
//! what he wants to hear of.
//!
//! Lock: `inner`, a leaf.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU32, Ordering};

use machine::ledger::as_kernel;
use machine::lock::Lock;
use machine::{clock, heap};
use smoltcp::wire::IpAddress;

use crate::address::parse_any;
use crate::error::{BAD_CONTROL, Result};
use crate::signal::Signal;

/// Bytes that wait to be read; older ones give way.
const BYTES: usize = 16 << 10;
/// Bytes of a line.
const LINE: usize = 160;

/// What can be told of, by the names that `set` knows. Those that say nothing here are taken, too.
const TOPICS: [(&str, u32); 15] = [
    ("ip", Topic::Ip as u32),
    ("arp", Topic::Arp as u32),
    ("tcp", Topic::Tcp as u32),
    ("icmp", Topic::Icmp as u32),
    ("udp", Topic::Udp as u32),
    ("ipmsg", Topic::Ip as u32),
    ("tcpwin", 0),
    ("tcprxmt", 0),
    ("udpmsg", Topic::Udp as u32),
    ("ppp", 0),
    ("fs", 0),
    ("compress", 0),
    ("gre", 0),
    ("esp", 0),
    ("il", 0),
];

/// Of what a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Packets that came and were dropped.
    Ip = 1,
    /// Neighbours.
    Arp = 2,
    /// Connections that begin and end.
    Tcp = 4,
    /// What routers and others say of our packets.
    Icmp = 8,
    /// Datagrams that were dropped.
    Udp = 16,
}

#[derive(Default)]
struct Inner {
    text: VecDeque<u8>,
    only: Option<IpAddress>,
    readers: u32,
}

/// See the module comment.
#[derive(Default)]
pub struct Log {
    inner: Lock<Inner>,
    topics: AtomicU32,
    signal: Signal,
}

impl Log {
    /// One more reads it.
    ///
    /// # Errors
    /// No memory.
    pub fn open(&self) -> Result<()> {
        let mut room = VecDeque::new();
        as_kernel(|| heap::try_reserve(&mut room, BYTES))?;
        let mut inner = self.inner.lock();
        inner.readers += 1;
        if inner.text.capacity() < BYTES {
            core::mem::swap(&mut inner.text, &mut room);
        }
        drop(inner);
        Ok(())
    }

    /// One reads it no more; with the last one nothing is kept.
    pub fn close(&self) {
        let mut inner = self.inner.lock();
        inner.readers = inner.readers.saturating_sub(1);
        let gone = if inner.readers == 0 { core::mem::take(&mut inner.text) } else { VecDeque::new() };
        drop(inner);
        drop(gone);
    }

    /// What it is to tell of: `set TOPIC...`, `clear TOPIC...`, `only ADDRESS`.
    ///
    /// # Errors
    /// It says something else.
    pub fn control(&self, text: &str) -> Result<()> {
        let mut words = text.split_ascii_whitespace();
        let verb = words.next();
        if verb == Some("only") {
            let only = parse_any(words.next().ok_or(BAD_CONTROL)?)?;
            self.inner.lock().only = only;
            return Ok(());
        }
        let mut mask = 0;
        for word in words {
            mask |= TOPICS.iter().find(|(name, _)| *name == word).ok_or(BAD_CONTROL)?.1;
        }
        match verb {
            Some("set") => self.topics.fetch_or(mask, Ordering::Relaxed),
            Some("clear") => self.topics.fetch_and(!mask, Ordering::Relaxed),
            _ => return Err(BAD_CONTROL),
        };
        Ok(())
    }

    /// Tells a line of what has to do with this address.
    pub(crate) fn say(&self, topic: Topic, of: Option<IpAddress>, what: fmt::Arguments<'_>) {
        if self.topics.load(Ordering::Relaxed) & topic as u32 == 0 {
            return;
        }
        let mut line = Line { bytes: [0; LINE], len: 0 };
        let ms = clock::now_ns() / 1_000_000;
        // What is too long is cut.
        let _ = write!(line, "{}.{:03} {what}", ms / 1000, ms % 1000);
        let bytes = line.bytes.get(..line.len).unwrap_or(&[]);
        let mut inner = self.inner.lock();
        if inner.readers == 0 || inner.only.is_some() && inner.only != of {
            return;
        }
        let over = (inner.text.len() + bytes.len() + 1).saturating_sub(BYTES);
        inner.text.drain(..over);
        // There is the room that `open` has made.
        inner.text.extend(bytes.iter().chain(b"\n"));
        drop(inner);
        self.signal.raise();
    }

    /// What has been told, up to `max` bytes.
    ///
    /// # Errors
    /// A note; no memory.
    pub fn read(&self, max: usize) -> Result<Vec<u8>> {
        let mut out = heap::try_vec(max.min(BYTES))?;
        loop {
            let seen = self.signal.seen();
            let mut inner = self.inner.lock();
            let n = inner.text.len().min(out.capacity()).min(max);
            out.extend(inner.text.drain(..n));
            drop(inner);
            if n != 0 || max == 0 {
                return Ok(out);
            }
            self.signal.wait(seen)?;
        }
    }
}

struct Line {
    bytes: [u8; LINE],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for byte in s.bytes() {
            *self.bytes.get_mut(self.len).ok_or(fmt::Error)? = byte;
            self.len += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_told_while_somebody_reads() {
        machine::host::new_machine();
        let log = Log::default();
        let (one, other) = (IpAddress::v4(10, 0, 0, 1), IpAddress::v4(10, 0, 0, 2));
        log.control("set tcp arp").unwrap();
        log.say(Topic::Tcp, None, format_args!("nobody reads"));
        log.open().unwrap();
        log.say(Topic::Udp, None, format_args!("not asked for"));
        log.say(Topic::Tcp, Some(one), format_args!("first"));
        log.control("only 10.0.0.2").unwrap();
        log.say(Topic::Arp, Some(one), format_args!("another's"));
        log.say(Topic::Arp, Some(other), format_args!("second"));
        let text = std::string::String::from_utf8(log.read(1000).unwrap()).unwrap();
        let words: Vec<&str> = text.lines().map(|l| l.split_once(' ').unwrap().1).collect();
        assert_eq!(words, ["first", "second"]);
        for bad in ["", "set nothing", "only", "only x", "reset tcp"] {
            assert!(log.control(bad).is_err(), "{bad}");
        }
        log.control("only *").unwrap();
        for n in 0..2000 {
            log.say(Topic::Tcp, None, format_args!("line {n}"));
        }
        let text = std::string::String::from_utf8(log.read(100_000).unwrap()).unwrap();
        assert!(text.len() <= BYTES && text.ends_with("line 1999\n"));
        log.close();
        log.open().unwrap();
        log.control("clear tcp").unwrap();
        log.say(Topic::Tcp, None, format_args!("not any more"));
        log.say(Topic::Arp, None, format_args!("still"));
        assert!(log.read(100).unwrap().ends_with(b" still\n"));
    }
}
