//! The sending half of a connection: what has gone, what is acknowledged, what is missing, and what goes next.
//!
//! The first number is that of the call (SYN); behind the bytes comes the end (FIN), which has one, too. What is lost
//! is found by what the other side tells of stretches that have come apart (RFC 2018, RFC 6675), or by its saying the
//! same three times (RFC 6582); where it says nothing, by the time (RFC 6298). There is nothing to lock here.

use super::marks::Marks;
use super::pace::Pace;
use super::segment::{SYN, Segment};
use super::seq::Seq;
use super::unsent::{Slices, Unsent};

/// Bytes of a packet where the other side does not say, and those that every side has to take.
const MSS: usize = 536;
const LEAST_MSS: usize = 48;
/// How often the same is said of something that is lost.
const SAID_AGAIN: u32 = 3;

/// Who has nothing to say for so long keeps no memory for it, in nanoseconds.
const REST_NS: u64 = 1_000_000_000;

/// What was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Something that was never sent, or longer ago than the other side can mean: no more than the widest window lies
    /// behind what it has acknowledged (RFC 5961, section 5).
    Odd,
    /// Nothing new, or all that it says.
    Heard,
}

/// What goes next: bytes from a place on, and the end behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) seq: Seq,
    pub(crate) len: usize,
    pub(crate) ends: bool,
    /// Nothing more is to be sent behind it.
    pub(crate) is_last: bool,
}

/// Something is lost, and sent again.
#[derive(Clone, Copy, Debug)]
struct Recovery {
    /// It is over when all up to here is acknowledged.
    until: Seq,
    /// What is missing before this has been sent again.
    again: Seq,
}

/// See the module comment.
pub(crate) struct Sends {
    pub(crate) queue: Unsent,
    /// The first number that is not acknowledged, the next one that is sent, and the one behind all that was.
    una: Seq,
    nxt: Seq,
    most: Seq,
    /// What may be sent up to, and what has said so: the other's number, and ours.
    edge: Seq,
    told_by: (Seq, Seq),
    /// The widest window that there was.
    widest: usize,
    scale: u8,
    pub(crate) mss: usize,
    /// The call, or the answer to one, is not acknowledged.
    calls: bool,
    /// The end is to be sent behind the bytes; whether it is acknowledged.
    ends: bool,
    is_ended: bool,
    marks: Marks,
    said_again: u32,
    recovery: Option<Recovery>,
    pub(crate) pace: Pace,
    /// When something has to be done if nothing is heard.
    late_ns: Option<u64>,
    /// A byte is to go beyond a window that is shut, and one has gone.
    probes: bool,
    is_probed: bool,
    /// Since when the other side owes an answer.
    owed_ns: u64,
    /// Packets that have said again what had gone, since somebody has counted them.
    pub(crate) said_over: u32,
}

impl Sends {
    /// A half that has said nothing, with this first number.
    pub(crate) fn new(first: Seq, is_bounded: bool) -> Sends {
        Sends {
            queue: Unsent::default(),
            una: first,
            nxt: first,
            most: first,
            edge: first,
            told_by: (Seq(0), first),
            widest: 0,
            scale: 0,
            mss: MSS,
            calls: true,
            ends: false,
            is_ended: false,
            marks: Marks::default(),
            said_again: 0,
            recovery: None,
            pace: Pace::new(MSS, is_bounded),
            late_ns: None,
            probes: false,
            is_probed: false,
            owed_ns: 0,
            said_over: 0,
        }
    }

    /// The other side has answered our call.
    pub(crate) fn answered(&mut self, now_ns: u64) {
        self.acknowledged(self.una.plus(1), 1, now_ns);
    }

    /// What the other side has said in its call, or in its answer to ours; `most` bytes go into a packet here.
    pub(crate) fn agree(&mut self, said: &Segment, most: usize) {
        self.mss = said.mss.map_or(MSS, usize::from).max(LEAST_MSS).min(most);
        self.pace.set_mss(self.mss);
        self.scale = said.scale.unwrap_or(0);
        // What a call says of the window is not shifted.
        self.edge = self.una.plus(1 + usize::from(said.window));
        self.widest = usize::from(said.window);
        self.told_by = (said.seq, self.una);
    }

    /// No more than so many bytes go into a packet.
    pub(crate) fn limit(&mut self, most: usize) {
        let most = most.max(LEAST_MSS);
        if most < self.mss {
            self.mss = most;
            self.pace.set_mss(most);
        }
    }

    /// Whether a byte with this number has gone and is not acknowledged.
    pub(crate) fn is_under_way(&self, seq: Seq) -> bool {
        !seq.is_before(self.una) && seq.is_before(self.most)
    }

    /// What is not acknowledged goes again from its beginning.
    pub(crate) fn says_again(&mut self) {
        self.pace.sends_again();
        self.nxt = self.una;
        // The other side may have thrown away what it told of.
        self.marks.clear();
        (self.recovery, self.said_again) = (None, 0);
        self.late_ns = None;
    }

    /// Bytes that the program has given and that are not acknowledged.
    pub(crate) fn unsent(&self) -> usize {
        self.queue.len()
    }

    /// Bytes that a program may give at a time, given those that are there at least and at most.
    pub(crate) fn room(&self, least: usize, most: usize) -> usize {
        let goes = self.pace.window().min(self.widest);
        (2 * goes).clamp(least, most.max(least)).saturating_sub(self.queue.len())
    }

    /// No more comes behind what there is.
    pub(crate) fn end(&mut self) {
        self.ends = true;
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// The next number that is sent: that of what says nothing.
    pub(crate) fn next_seq(&self) -> Seq {
        self.nxt.later(self.most)
    }

    /// The number before the first that is not acknowledged: who gets that answers.
    pub(crate) fn asks(&self) -> Seq {
        Seq(self.una.0.wrapping_sub(1))
    }

    /// Whether an answer is missing.
    pub(crate) fn is_owed(&self) -> bool {
        self.una != self.most
    }

    /// Since when one is, or something waits for it.
    pub(crate) fn owed_since_ns(&self) -> Option<u64> {
        (self.is_owed() || self.is_probed).then_some(self.owed_ns)
    }

    pub(crate) fn late_ns(&self) -> Option<u64> {
        self.late_ns
    }

    /// The call is to be said again at once: the other side has not heard it.
    pub(crate) fn call_again(&mut self) {
        if self.calls {
            self.nxt = self.una;
        }
    }

    /// The place behind the last byte.
    fn data_end(&self) -> Seq {
        self.una.plus(usize::from(self.calls) + self.queue.len())
    }

    fn flight(&self) -> usize {
        self.nxt.beyond(self.una)
    }

    /// Bytes that are on their way, as far as one knows.
    fn on_their_way(&self) -> usize {
        let flight = self.flight();
        match (self.recovery, self.marks.end()) {
            (Some(recovery), Some(end)) => {
                self.nxt.beyond(end) + self.marks.gaps(self.una, recovery.again.earlier(end))
            }
            (_, Some(_)) => flight - self.marks.len().min(flight),
            (Some(_), None) => flight.saturating_sub(self.said_again as usize * self.mss),
            (None, None) => flight,
        }
    }

    /// An acknowledgement has come, in a segment that is one of the connection's.
    pub(crate) fn hear(&mut self, said: &Segment, ack: Seq, now_ns: u64) -> Answer {
        let is_old = self.una.beyond(ack) > self.widest;
        if is_old || self.most.plus(usize::from(self.is_probed)).is_before(ack) {
            return Answer::Odd;
        }
        let flight = self.flight();
        let news = said.told.iter().flatten().filter(|(from, to)| {
            // All three from one place: half of all numbers away what is before is behind as well.
            let (from, end, sent) = (from.since(self.una), to.since(self.una), self.most.since(self.una));
            0 <= from && from < end && end <= sent && !to.is_before(ack)
        });
        let mut told = false;
        for stretch in news {
            told |= self.marks.add(*stretch);
        }
        // What a call says of the window is not shifted (RFC 7323, 2.2).
        let window = usize::from(said.window) << if said.has(SYN) { 0 } else { self.scale };
        let edge = ack.plus(window);
        let moved = self.edge != edge;
        if self.told_by.0.is_before(said.seq) || self.told_by.0 == said.seq && !ack.is_before(self.told_by.1)
        {
            self.edge = edge;
            self.told_by = (said.seq, ack);
            self.widest = self.widest.max(window);
        }
        if self.una.is_before(ack) {
            self.acknowledged(ack, flight, now_ns);
        } else if ack == self.una && said.len() == 0 && self.is_owed() && (told || !moved) {
            self.said_again = self.said_again.saturating_add(1);
        }
        self.look_for_loss(flight, now_ns);
        if self.nxt.is_before(self.edge) && (self.probes || self.is_probed) {
            (self.probes, self.is_probed) = (false, false);
            // Who was asked whether there is room has answered: nothing is lost yet.
            self.pace.answers();
            self.late_ns = self.is_owed().then(|| now_ns + self.pace.patience_ns());
        }
        Answer::Heard
    }

    fn acknowledged(&mut self, ack: Seq, flight: usize, now_ns: u64) {
        let mut bytes = ack.beyond(self.una);
        self.is_ended |= self.ends && ack == self.data_end().plus(1);
        if core::mem::take(&mut self.calls) {
            bytes -= 1;
        }
        self.queue.forget(bytes);
        self.una = ack;
        self.nxt = self.nxt.later(ack);
        self.most = self.most.later(ack);
        self.marks.forget(ack);
        self.said_again = 0;
        self.owed_ns = now_ns;
        match &mut self.recovery {
            Some(recovery) if ack.is_before(recovery.until) => {
                recovery.again = recovery.again.later(ack);
                // Who does not tell what has come has not got what is next.
                if self.marks.is_empty() {
                    recovery.again = ack;
                }
                self.pace.hears(ack, bytes, flight, false, now_ns);
            }
            recovery => {
                let grows = recovery.take().is_none();
                self.pace.hears(ack, bytes, flight, grows, now_ns);
            }
        }
        self.late_ns = match self.is_owed() {
            true => Some(now_ns + self.pace.patience_ns()),
            false => self.queue.has_spare().then_some(now_ns + REST_NS),
        };
    }

    /// Whether something is missing that others have come behind.
    fn look_for_loss(&mut self, flight: usize, now_ns: u64) {
        let is_lost = self.said_again >= SAID_AGAIN || self.marks.len() > SAID_AGAIN as usize * self.mss;
        if self.recovery.is_some() || !is_lost || self.calls || self.nxt != self.most || !self.is_owed() {
            return;
        }
        self.recovery = Some(Recovery { until: self.most, again: self.una });
        self.pace.loses(flight);
        self.pace.sends_again();
        self.late_ns = Some(now_ns + self.pace.patience_ns());
    }

    /// Does what the time says; whether something is to be sent for it.
    pub(crate) fn look_at_time(&mut self, now_ns: u64) {
        if self.late_ns.is_none_or(|ns| now_ns < ns) {
            return;
        }
        if self.is_shut() && self.flight() == 0 {
            self.pace.misses += 1;
            self.probes = true;
            self.late_ns = Some(now_ns + self.pace.patience_ns());
        } else if self.is_owed() {
            match self.calls {
                true => self.pace.misses += 1,
                false => self.pace.misses(self.flight()),
            }
            self.says_again();
        } else {
            self.late_ns = None;
            self.queue.give_back();
        }
    }

    /// There is something to be sent, and the window is shut.
    fn is_shut(&self) -> bool {
        !self.calls && self.data_end() != self.nxt && !self.nxt.is_before(self.edge)
    }

    /// What goes next, at most `longest` bytes of it; what is longer than a packet is cut later.
    pub(crate) fn next(&self, longest: usize) -> Option<Next> {
        if self.calls {
            // Bytes wait until it is acknowledged.
            return None;
        }
        if let Some(next) = self.next_again(longest) {
            return Some(next);
        }
        let left = self.data_end().beyond(self.nxt);
        let (flight, whole) = (self.on_their_way(), self.pace.window().min(self.edge.beyond(self.una)));
        let may = self.pace.window().saturating_sub(flight).min(self.edge.beyond(self.nxt));
        let len = left.min(may).min(longest);
        if len < left.min(longest) && flight != 0 && self.recovery.is_none() {
            // What is not all may wait for room for more: others are on their way, and are acknowledged soon.
            let enough = (whole / 4).max(self.mss.min(self.widest / 2)).min(longest);
            if len < enough {
                return None;
            }
        }
        // The other side counts what is whole.
        let len = if len < left && len > self.mss { len - len % self.mss } else { len };
        let ends = self.ends && !self.is_ended && len == left && !self.data_end().is_before(self.nxt);
        if len == 0 && !ends {
            return None;
        }
        Some(Next { seq: self.nxt, len, ends, is_last: len == left })
    }

    /// What is sent again because it is lost.
    fn next_again(&self, longest: usize) -> Option<Next> {
        let recovery = self.recovery?;
        let gap = match self.marks.is_empty() {
            false => self.marks.gap(recovery.again)?,
            // Without marks it is one packet, the first.
            true if recovery.again == self.una => (self.una, self.una.plus(self.mss).earlier(self.most)),
            true => return None,
        };
        let may = self.pace.window().saturating_sub(self.on_their_way());
        let is_first = recovery.again == self.una;
        let len = gap.1.beyond(gap.0).min(may.max(if is_first { self.mss } else { 0 })).min(longest);
        let end = gap.0.plus(len);
        let ends = self.ends && self.data_end().is_before(end);
        let len = len - usize::from(ends);
        let is_last = self.data_end() == gap.0.plus(len);
        (len != 0 || ends).then_some(Next { seq: gap.0, len, ends, is_last })
    }

    /// A byte beyond the window, to hear whether that is still shut.
    pub(crate) fn probe(&self) -> Option<Next> {
        self.probes.then_some(Next { seq: self.nxt, len: 1, ends: false, is_last: false })
    }

    /// It has gone, or the call has, if nothing else has.
    pub(crate) fn went(&mut self, next: Option<Next>, now_ns: u64) {
        let flight = self.flight();
        if !self.is_owed() {
            self.owed_ns = now_ns;
        }
        let (seq, end) = match next {
            None => (self.una, self.una.plus(1)),
            Some(next) => (next.seq, next.seq.plus(next.len + usize::from(next.ends))),
        };
        if seq.is_before(self.most) {
            self.said_over = self.said_over.saturating_add(1);
            self.pace.sends_again();
        } else {
            self.pace.sends(end, flight, now_ns);
        }
        if let Some(recovery) = &mut self.recovery
            && seq.is_before(self.nxt)
        {
            recovery.again = recovery.again.later(end);
        }
        self.nxt = self.nxt.later(end);
        self.most = self.most.later(end);
        if flight == 0 {
            self.late_ns = None;
        }
        self.late_ns.get_or_insert(now_ns + self.pace.patience_ns());
    }

    /// A probe has gone: it is no more than that until it is acknowledged.
    pub(crate) fn probed(&mut self) {
        (self.probes, self.is_probed) = (false, true);
    }

    /// Sees to it that a window which is shut is asked about.
    pub(crate) fn await_room(&mut self, now_ns: u64) {
        if self.is_shut() && self.flight() == 0 && self.late_ns.is_none() {
            self.owed_ns = now_ns;
            self.late_ns = Some(now_ns + self.pace.patience_ns());
        }
    }

    /// The bytes of what goes next, or as many as lie in few enough pieces.
    pub(crate) fn at(&self, next: Next) -> Slices<'_> {
        self.queue.at(next.seq.beyond(self.una), next.len)
    }

    /// The number of a call that is not acknowledged.
    pub(crate) fn first(&self) -> Seq {
        self.una
    }

    /// Whether the call, or the answer to one, is to be sent now.
    pub(crate) fn calls_now(&self) -> bool {
        self.calls && self.nxt == self.una
    }
}
