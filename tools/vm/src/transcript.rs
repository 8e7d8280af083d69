//! What a machine has printed, with the time at which it did, and waiting for more of it.
//!
//! The transcript is shared: one thread appends, others search and wait. Its one lock guards bytes and times; it is
//! held for the length of a search.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use regex::bytes::Regex;

/// What to look for: a text as it is, or a regular expression.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// These bytes.
    Text(String),
    /// A regular expression. It is tried each time something arrives, so let it end in something definite (`\n`, a
    /// prompt): `[0-9]+` alone would be content with the first digit.
    Regex(Regex),
}

impl Pattern {
    /// A regular expression from its source, in the syntax of the regex crate; `^` and `$` match at lines.
    pub fn regex(source: &str) -> Result<Pattern, regex::Error> {
        Ok(Pattern::Regex(regex::bytes::RegexBuilder::new(source).multi_line(true).build()?))
    }

    /// Whether it occurs in `text`.
    pub fn is_in(&self, text: &str) -> bool {
        self.find(text.as_bytes()).is_some()
    }

    fn find(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        match self {
            Pattern::Text(text) if text.is_empty() => Some((0, 0)),
            Pattern::Text(text) => {
                let at = bytes.windows(text.len()).position(|w| w == text.as_bytes())?;
                Some((at, at + text.len()))
            }
            Pattern::Regex(regex) => regex.find(bytes).map(|m| (m.start(), m.end())),
        }
    }

    /// How many of the bytes already searched may be the beginning of a match; None when all of them may.
    fn overlap(&self) -> Option<usize> {
        match self {
            Pattern::Text(text) => Some(text.len()),
            Pattern::Regex(_) => None,
        }
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Pattern {
        Pattern::Text(text.into())
    }
}

impl From<String> for Pattern {
    fn from(text: String) -> Pattern {
        Pattern::Text(text)
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pattern::Text(text) => write!(f, "{text:?}"),
            Pattern::Regex(regex) => write!(f, "/{regex}/"),
        }
    }
}

/// A pattern's first occurrence after the place where the search began.
#[derive(Clone, Debug)]
pub struct Found {
    /// What was between that place and the match.
    pub before: String,
    /// The match itself.
    pub text: String,
    /// When the match's last byte arrived, counted from the start of QEMU.
    pub since_start: Duration,
    /// Where the match ends in the transcript: where the next search may begin.
    pub end: usize,
}

/// Why a wait ended without a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The deadline passed.
    TimedOut,
    /// The machine closed the line: no more will come.
    Closed,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    /// For each arrival, the length of `bytes` after it and its time.
    arrivals: Vec<(usize, Instant)>,
    closed: bool,
}

/// Everything that came over a serial line, without carriage returns.
#[derive(Debug)]
pub struct Transcript {
    start: Instant,
    state: Mutex<State>,
    more: Condvar,
}

impl Transcript {
    /// An empty transcript whose times count from `start`.
    pub(crate) fn new(start: Instant) -> Transcript {
        Transcript { start, state: Mutex::default(), more: Condvar::new() }
    }

    /// A thread that moves all of `from` into the transcript and closes it at the end. `copy` sees each piece as well.
    pub(crate) fn fill(self: &Arc<Self>, mut from: impl Read + Send + 'static, copy: Option<Copy>) {
        let transcript = Arc::clone(self);
        std::thread::spawn(move || {
            let mut buffer = [0; 16384];
            loop {
                match from.read(&mut buffer) {
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => break transcript.close(),
                    Ok(n) => {
                        let piece = buffer.get(..n).unwrap_or_default();
                        if let Some(copy) = &copy {
                            copy(piece);
                        }
                        transcript.push(piece);
                    }
                }
            }
        });
    }

    fn push(&self, piece: &[u8]) {
        let now = Instant::now();
        let mut state = self.lock();
        state.bytes.extend(piece.iter().filter(|&&b| b != b'\r'));
        let length = state.bytes.len();
        state.arrivals.push((length, now));
        self.more.notify_all();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.more.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A reader that panicked has left the bytes whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything so far. What is not UTF-8 shows as U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// The last `count` lines.
    pub fn last_lines(&self, count: usize) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n")
    }

    /// Waits until `pattern` occurs after the first `from` bytes, or `deadline` has passed, or the line is closed.
    pub fn wait(&self, pattern: &Pattern, from: usize, deadline: Instant) -> Result<Found, Missing> {
        let mut state = self.lock();
        let mut search = from;
        loop {
            let place = state.bytes.get(search..).and_then(|tail| pattern.find(tail));
            if let Some((start, end)) = place {
                let (start, end) = (search + start, search + end);
                let piece = |a: usize, b: usize| {
                    String::from_utf8_lossy(state.bytes.get(a..b).unwrap_or_default()).into_owned()
                };
                let arrival = state.arrivals.partition_point(|&(length, _)| length < end);
                let when = state.arrivals.get(arrival).map_or(self.start, |&(_, when)| when);
                let since_start = when.saturating_duration_since(self.start);
                return Ok(Found { before: piece(from, start), text: piece(start, end), since_start, end });
            }
            if let Some(overlap) = pattern.overlap() {
                search = search.max(state.bytes.len().saturating_sub(overlap));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.closed {
                return Err(Missing::Closed);
            }
            if left.is_zero() {
                return Err(Missing::TimedOut);
            }
            state = self.more.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the line to be closed; false when `deadline` came first.
    pub(crate) fn wait_closed(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while !state.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.more.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

/// Something that sees each piece of the transcript as it arrives.
pub(crate) type Copy = Box<dyn Fn(&[u8]) + Send>;

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn finds_across_pieces_and_goes_on_after_the_match() {
        let t = Transcript::new(Instant::now());
        t.push(b"one\r\ntw");
        t.push(b"o\r\nterm% ");
        let two = t.wait(&"two\n".into(), 0, soon()).unwrap();
        assert_eq!((two.before.as_str(), two.text.as_str(), two.end), ("one\n", "two\n", 8));
        let prompt = t.wait(&Pattern::regex("^t[a-z]+% $").unwrap(), two.end, soon()).unwrap();
        assert_eq!((prompt.text.as_str(), prompt.before.as_str()), ("term% ", ""));
        assert_eq!(t.last_lines(2), "two\nterm% ");
    }

    #[test]
    fn waits_for_another_thread() {
        let t = Arc::new(Transcript::new(Instant::now()));
        let (reader, mut writer) = std::io::pipe().unwrap();
        t.fill(reader, None);
        let waiter = std::thread::spawn({
            let t = Arc::clone(&t);
            move || t.wait(&"ready".into(), 0, soon())
        });
        std::io::Write::write_all(&mut writer, b"not yet; re").unwrap();
        std::io::Write::write_all(&mut writer, b"ady").unwrap();
        assert_eq!(waiter.join().unwrap().unwrap().before, "not yet; ");
        drop(writer);
        assert_eq!(t.wait(&"never".into(), 0, soon()).unwrap_err(), Missing::Closed);
        assert!(t.wait_closed(soon()));
    }

    #[test]
    fn a_deadline_ends_the_wait() {
        let t = Transcript::new(Instant::now());
        t.push(b"x");
        let deadline = Instant::now() + Duration::from_millis(20);
        assert_eq!(t.wait(&"y".into(), 0, deadline).unwrap_err(), Missing::TimedOut);
        assert!(Instant::now() >= deadline && !t.wait_closed(deadline));
    }
}
