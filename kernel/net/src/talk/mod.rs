//! A connection of TCP by itself (RFC 9293): its states, and what is said in each. It knows nothing of wires and of
//! programs: segments are [heard](Talk::hear), and what it has to say is [said](Talk::say) one packet after the other.
//! All of it is a function of the time that it is told. Two halves are its own: [`sends`] and [`receives`].
//!
//! Who has no connection yet has no buffers: of a call that has come there is what fits into this.

mod marks;
mod pace;
mod receives;
mod says;
pub(crate) mod segment;
mod sends;
pub(crate) mod seq;
#[cfg(test)]
mod tests;
mod unread;
pub(crate) mod unsent;

use alloc::sync::Arc;

use machine::OutOfMemory;
use smoltcp::wire::IpAddress;

use segment::{ACK, Ends, FIN, RST, SYN, Said, Segment, refusal};
use sends::{Answer, Sends};
use seq::Seq;

pub(crate) use receives::Bounds;
use receives::Receives;
pub(crate) use says::Goes;
pub(crate) use unread::{Data, Purse};

/// The states, as Plan 9 names them in `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is over.
    Closed,
    /// A call has gone.
    SynSent,
    /// A call has come, or two have met.
    SynReceived,
    Established,
    /// We have ended, the other side has not, and has not heard it yet.
    FinWait1,
    /// It has heard it.
    FinWait2,
    /// The other side has ended, we have not.
    CloseWait,
    /// Both have ended at the same time.
    Closing,
    /// The other side has ended, then we have.
    LastAck,
    /// Both have ended, and the other side may not know that we know.
    TimeWait,
}

/// See the module comment.
pub(crate) struct Talk {
    pub(crate) state: State,
    pub(crate) ends: Ends,
    pub(crate) sends: Sends,
    pub(crate) receives: Receives,
    /// Bytes of a packet that can be received here, without headers.
    mss: usize,
    bounds: Bounds,
    /// The other side is to be told that it is over.
    resets: bool,
    /// Both ends are here.
    is_loop: bool,
    /// Milliseconds after which a quiet other side is asked, and when it is.
    keepalive_ms: Option<u64>,
    asks_ns: Option<u64>,
    /// When something has come last.
    heard_ns: u64,
    /// How long an answer may be missing.
    pub(crate) patience_ns: u64,
}

/// How a connection is made.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) ends: Ends,
    /// Its first number.
    pub(crate) first: Seq,
    /// Bytes of a packet that can be received here, without headers.
    pub(crate) mss: usize,
    pub(crate) bounds: Bounds,
    pub(crate) is_loop: bool,
    pub(crate) patience_ns: u64,
    pub(crate) purse: Arc<Purse>,
}

impl Talk {
    fn new(made: Made, state: State) -> Talk {
        Talk {
            state,
            ends: made.ends,
            sends: Sends::new(made.first, !made.is_loop),
            receives: Receives::new(made.bounds, made.purse),
            mss: made.mss,
            bounds: made.bounds,
            resets: false,
            is_loop: made.is_loop,
            keepalive_ms: None,
            asks_ns: None,
            heard_ns: 0,
            patience_ns: made.patience_ns,
        }
    }

    /// One that calls.
    pub(crate) fn calls(made: Made) -> Talk {
        Talk::new(made, State::SynSent)
    }

    /// One that is called by this segment.
    pub(crate) fn is_called_by(made: Made, call: &Segment, now_ns: u64) -> Talk {
        let mut talk = Talk::new(made, State::SynReceived);
        talk.heard_ns = now_ns;
        talk.agree(call);
        talk
    }

    fn agree(&mut self, call: &Segment) {
        self.sends.agree(call, self.mss);
        self.receives.agree(call.seq, call.scale.is_some(), call.may_tell);
    }

    /// Whether both sides have heard each other.
    fn is_met(&self) -> bool {
        !matches!(self.state, State::Closed | State::SynSent | State::SynReceived)
    }

    /// Whether the program may still say something.
    pub(crate) fn may_send(&self) -> bool {
        matches!(self.state, State::Established | State::CloseWait)
    }

    /// Whether something may still come that can be read.
    pub(crate) fn may_come(&self) -> bool {
        use State::{Established, FinWait1, FinWait2, SynReceived, SynSent};
        matches!(self.state, SynSent | SynReceived | Established | FinWait1 | FinWait2)
    }

    /// Whether it still has something to say that ends it.
    pub(crate) fn is_to_say_so(&self) -> bool {
        self.resets || !matches!(self.state, State::Closed | State::TimeWait)
    }

    pub(crate) fn resets(&self) -> bool {
        self.resets
    }

    /// Puts in what is to be sent, as much as there is room for of `max` bytes; see [`unsent::Unsent::fill`].
    ///
    /// # Errors
    /// No memory, and none was put in.
    pub(crate) fn put(
        &mut self,
        max: usize,
        get: &mut dyn FnMut(usize, &mut [u8]) -> bool,
    ) -> Result<(usize, bool), OutOfMemory> {
        let room = self.sends.room(self.bounds.first, self.bounds.most);
        self.sends.queue.fill(max.min(room), get)
    }

    /// A segment has come; its data are in `data`. What is answered at once to one that is none of the connection's.
    pub(crate) fn hear(&mut self, said: &Segment, data: Data, is_long: bool, now_ns: u64) -> Option<Said> {
        self.heard_ns = now_ns;
        self.rest(now_ns);
        match self.state {
            State::Closed => return if self.resets { None } else { refusal(said) },
            State::SynSent => return self.hear_answer(said, now_ns),
            _ => {}
        }
        if !self.is_wanted(said, now_ns) {
            return None;
        }
        let ack = said.ack?;
        if self.state == State::SynReceived {
            if ack != self.sends.next_seq() {
                return refusal(said);
            }
            self.state = State::Established;
        }
        let is_odd = self.sends.hear(said, ack, now_ns) == Answer::Odd;
        if is_odd {
            self.receives.acknowledge_again(now_ns);
            return None;
        }
        if self.sends.is_ended() {
            self.state = match self.state {
                State::FinWait1 => State::FinWait2,
                State::Closing => State::TimeWait,
                State::LastAck => State::Closed,
                state => state,
            };
        }
        if self.state != State::Closed && !self.receives.is_ended() {
            let is_long = is_long || self.is_loop;
            // A call has a number, too.
            let first = said.seq.plus(usize::from(said.has(SYN)));
            self.receives.come(first, data, said.has(FIN), is_long, self.mss, now_ns);
            if self.receives.is_ended() {
                self.hear_end();
            }
        }
        None
    }

    /// Whether a segment is one of the connection's, so that what it says counts (RFC 9293, 3.10.7.4, with RFC 5961).
    fn is_wanted(&mut self, said: &Segment, now_ns: u64) -> bool {
        let nxt = self.receives.nxt();
        if said.has(SYN) {
            // The other side has not heard our answer; or it has begun anew, and is told how it stands.
            let is_again = self.state == State::SynReceived && said.seq.plus(1) == nxt;
            match is_again {
                true => self.sends.call_again(),
                false => self.receives.acknowledge_again(now_ns),
            }
            // Two calls that meet answer each other.
            return is_again && said.has(ACK);
        }
        if !self.receives.is_within(said.seq, said.len()) {
            // Before it, where it asks whether we are there, or was not heard.
            let is_asked = said.seq.plus(1) == nxt || said.len() != 0;
            match said.has(RST) {
                true => {}
                false if is_asked => self.receives.acknowledge(),
                false => self.receives.acknowledge_again(now_ns),
            }
            // Where nothing may come what is acknowledged counts all the same.
            return !said.has(RST) && said.seq == nxt;
        }
        if said.has(RST) {
            match said.seq == nxt {
                true => self.is_reset(),
                false => self.receives.acknowledge_again(now_ns),
            }
            return false;
        }
        true
    }

    fn is_reset(&mut self) {
        (self.state, self.resets) = (State::Closed, false);
        self.receives.forget_apart();
    }

    /// What comes while we call.
    fn hear_answer(&mut self, said: &Segment, now_ns: u64) -> Option<Said> {
        let answers = match said.ack {
            Some(ack) if ack != self.sends.next_seq() || !self.sends.is_owed() => return refusal(said),
            ack => ack.is_some(),
        };
        if said.has(RST) {
            if answers {
                self.is_reset();
            }
            return None;
        }
        if !said.has(SYN) {
            return None;
        }
        self.agree(said);
        if answers {
            self.sends.answered(now_ns);
            self.state = State::Established;
            self.receives.first_window();
            self.receives.acknowledge();
        } else {
            self.state = State::SynReceived;
            self.sends.call_again();
        }
        None
    }

    /// The other side has said all that it has to say.
    fn hear_end(&mut self) {
        self.state = match self.state {
            State::Established => State::CloseWait,
            State::FinWait1 => State::Closing,
            State::FinWait2 => State::TimeWait,
            state => state,
        };
    }

    /// Packets of so many bytes, headers included, go to the other side at most.
    pub(crate) fn limit(&mut self, most: usize) {
        let headers = if matches!(self.ends.there.0, IpAddress::Ipv4(_)) { 40 } else { 60 };
        self.sends.limit(most.saturating_sub(headers));
    }

    /// Whether bytes from this number on are under way.
    pub(crate) fn is_under_way(&self, seq: Seq) -> bool {
        self.is_met() && self.sends.is_under_way(seq)
    }

    /// What is under way was too long to arrive.
    pub(crate) fn says_again(&mut self) {
        self.sends.says_again();
    }

    /// Memory is scarce: there is no more than is needed.
    pub(crate) fn give_back(&mut self) {
        self.sends.queue.give_back();
        self.receives.shrink();
    }

    /// No more is said behind what is to be sent.
    pub(crate) fn close(&mut self) {
        match self.state {
            State::SynSent => self.state = State::Closed,
            State::SynReceived => self.abort(),
            State::Established => self.state = State::FinWait1,
            State::CloseWait => self.state = State::LastAck,
            _ => return,
        }
        self.sends.end();
    }

    /// It is over at once, and the other side is told.
    pub(crate) fn abort(&mut self) {
        self.resets |= !matches!(self.state, State::Closed | State::SynSent | State::TimeWait);
        self.state = State::Closed;
    }

    /// Milliseconds after which a quiet other side is asked whether it is there. That is not brought forward, but who
    /// has not been asked up to now is asked at once.
    pub(crate) fn set_keepalive(&mut self, ms: Option<u64>) {
        self.keepalive_ms = ms;
        self.asks_ns = ms.map(|_| self.asks_ns.unwrap_or(0));
    }

    /// Something has come or gone: a question can wait.
    fn rest(&mut self, now_ns: u64) {
        let until = |ms: u64| now_ns.saturating_add(ms.saturating_mul(1_000_000));
        self.asks_ns = self.keepalive_ms.map(until);
    }

    /// Whether an answer has been missing for too long.
    fn is_given_up(&self, now_ns: u64) -> bool {
        let is_late = |since: u64| now_ns >= self.given_up_ns(since);
        self.sends.owed_since_ns().is_some_and(is_late)
    }

    /// When that is, of one that is missing since then.
    fn given_up_ns(&self, since: u64) -> u64 {
        // What comes while a call is not complete is none of it.
        let heard_ns = if self.is_met() { self.heard_ns } else { 0 };
        since.max(heard_ns).saturating_add(self.patience_ns)
    }

    /// When it is to be looked at, if nothing comes.
    pub(crate) fn deadline_ns(&self, now_ns: u64) -> Option<u64> {
        if self.state == State::Closed {
            return self.resets.then_some(now_ns);
        }
        let given_up_ns = self.sends.owed_since_ns().map(|since| self.given_up_ns(since));
        let asks_ns = self.asks_ns.filter(|_| self.is_met());
        let all = [self.sends.late_ns(), self.receives.tells_ns(), asks_ns, given_up_ns];
        let soonest = all.into_iter().flatten().min();
        if self.has_more(now_ns) { Some(now_ns) } else { soonest }
    }
}
