//! What a connection says next: data, its beginning or its end, an acknowledgement, a question.

use super::segment::{ACK, Ends, FIN, Head, LONGEST, PSH, RST, SYN, Said};
use super::sends::Next;
use super::unsent::Slices;
use super::{State, Talk};

/// A packet that goes.
pub(crate) struct Goes<'a> {
    /// The headers, without the checksum.
    pub(crate) head: Head,
    pub(crate) data: Slices<'a>,
    /// Bytes of data in each packet, where it is to be cut into several.
    pub(crate) mss: usize,
}

/// Why a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Resets,
    Calls,
    Sends(Next),
    Probes(Next),
    Tells,
    Asks,
}

impl Talk {
    /// Does what the time says.
    pub(crate) fn look_at_time(&mut self, now_ns: u64) {
        if self.state == State::Closed {
            return;
        }
        if self.is_given_up(now_ns) {
            match self.state {
                // Perhaps it has never called.
                State::SynReceived => self.state = State::Closed,
                _ => self.abort(),
            }
            return;
        }
        self.sends.look_at_time(now_ns);
        self.sends.await_room(now_ns);
    }

    /// Why the next packet goes, of at most `longest` bytes of data.
    fn why(&self, longest: usize, now_ns: u64) -> Option<Why> {
        if self.resets {
            return Some(Why::Resets);
        }
        match self.state {
            State::Closed => return None,
            State::SynSent | State::SynReceived => return self.sends.calls_now().then_some(Why::Calls),
            _ => {}
        }
        if let Some(next) = self.sends.next(longest) {
            return Some(Why::Sends(next));
        }
        if self.receives.tells_now(now_ns) {
            return Some(Why::Tells);
        }
        if let Some(next) = self.sends.probe() {
            return Some(Why::Probes(next));
        }
        self.asks_ns.is_some_and(|ns| ns <= now_ns).then_some(Why::Asks)
    }

    /// Whether there is something to be said now.
    pub(crate) fn has_more(&self, now_ns: u64) -> bool {
        self.why(usize::MAX, now_ns).is_some()
    }

    /// Says what is next, if anything is: `goes` sends it. Data of at most `most` bytes, headers included, go together.
    pub(crate) fn say(&mut self, most: usize, now_ns: u64, goes: impl FnOnce(&mut Goes<'_>)) -> bool {
        let longest = most.saturating_sub(LONGEST).max(1);
        let Some(why) = self.why(longest, now_ns) else { return false };
        let mut next = match why {
            Why::Sends(next) | Why::Probes(next) => Some(next),
            _ => None,
        };
        let mut said = self.said(why, next);
        let data = match next {
            Some(next) => self.sends.at(next),
            None => Slices::default(),
        };
        if let Some(next) = next.as_mut().filter(|next| data.len() < next.len) {
            // It lies in too many pieces for one packet.
            (next.len, next.ends, next.is_last) = (data.len(), false, false);
            said.flags &= !(FIN | PSH);
        }
        let ends: Ends = self.ends;
        let head = Head::new(&ends, &said, data.len());
        let mss = self.sends.mss - head.options().min(self.sends.mss - 1);
        goes(&mut Goes { head, data, mss });
        self.went(why, next, now_ns);
        true
    }

    /// What is written on it.
    fn said(&mut self, why: Why, next: Option<Next>) -> Said {
        let mut said = Said { seq: self.sends.next_seq(), ..Said::default() };
        match why {
            Why::Resets => {
                (said.flags, said.ack) = (RST, Some(self.receives.nxt()));
                return said;
            }
            Why::Calls => {
                let is_first = self.state == State::SynSent;
                said.seq = self.sends.first();
                said.flags = SYN;
                said.mss = u16::try_from(self.mss).ok();
                said.window = self.receives.first_window();
                // An answer tells of what the call has told of.
                said.may_tell = is_first || self.receives.may_tell();
                said.scale = (is_first || self.receives.shifts()).then(|| self.receives.shift());
                said.ack = (!is_first).then(|| self.receives.nxt());
                return said;
            }
            Why::Asks => said.seq = self.sends.asks(),
            Why::Sends(_) | Why::Probes(_) | Why::Tells => {}
        }
        if let Some(next) = next {
            said.seq = next.seq;
            said.flags |= if next.ends { FIN } else { 0 };
            said.flags |= if next.is_last && next.len != 0 { PSH } else { 0 };
        }
        let (ack, window, told) = self.receives.tell();
        (said.ack, said.window, said.told) = (Some(ack), window, told);
        said.flags |= ACK;
        said
    }

    /// It has gone.
    fn went(&mut self, why: Why, next: Option<Next>, now_ns: u64) {
        self.rest(now_ns);
        match why {
            Why::Resets => self.resets = false,
            Why::Calls => self.sends.went(None, now_ns),
            Why::Sends(_) => self.sends.went(next, now_ns),
            Why::Probes(_) => self.sends.probed(),
            Why::Tells | Why::Asks => {}
        }
    }
}
