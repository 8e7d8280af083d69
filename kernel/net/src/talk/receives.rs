//! The receiving half of a connection: what has come, how much more may come, and what is to be acknowledged when.
//!
//! The room for what comes is what a connection has at first, [`Bounds::first`]. It doubles when as much has come and
//! most of it has been read in the meantime, so that more might have been on its way: up to [`Bounds::most`], and not
//! while memory is scarce. There is nothing to lock here.

use alloc::sync::Arc;

use machine::heap;

use super::segment::{STRETCHES, Stretch};
use super::seq::Seq;
use super::unread::{Apart, Data, Purse, Unread};

/// How long an acknowledgement waits for something to go with, in nanoseconds.
const WAIT_NS: u64 = 10_000_000;
/// How long that of what should not be there waits for the last one's to have been heard.
const AGAIN_NS: u64 = 100_000_000;
/// Memory is scarce when there are not so many times what a connection might have.
const PLENTY: u64 = 8;

/// Bytes that may wait to be read, or to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) first: usize,
    pub(crate) most: usize,
}

impl Bounds {
    /// By how much windows have to be shifted to be told.
    pub(crate) fn shift(&self) -> u8 {
        let bits = usize::BITS - (self.most >> 16).leading_zeros();
        bits.min(14) as u8
    }
}

/// When something is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    Nothing,
    /// By then, or with what is sent before.
    Later(u64),
    /// Now, or when it has been read by who waits for it.
    Soon,
    /// Now.
    Now,
}

/// See the module comment.
pub(crate) struct Receives {
    pub(crate) unread: Unread,
    apart: Apart,
    /// The next number that is to come.
    nxt: Seq,
    /// The last that was acknowledged, and what may be sent up to, as far as we have said.
    acked: Seq,
    edge: Seq,
    bounds: Bounds,
    limit: usize,
    /// Windows are shifted by this; if the other side does that, too.
    shift: u8,
    /// When all up to here has come it is as much as a window has room for.
    mark: Seq,
    /// Where the other side's stream ends, if that is known, and whether all before it has come.
    end: Option<Seq>,
    is_ended: bool,
    owed: Owed,
    /// Before that nobody is told again of what should not be there.
    quiet_until_ns: u64,
    may_tell: bool,
    shifts: bool,
}

impl Receives {
    pub(crate) fn new(bounds: Bounds, purse: Arc<Purse>) -> Receives {
        Receives {
            unread: Unread::new(purse),
            apart: Apart::default(),
            nxt: Seq(0),
            acked: Seq(0),
            edge: Seq(0),
            bounds,
            limit: bounds.first,
            shift: bounds.shift(),
            mark: Seq(0),
            end: None,
            is_ended: false,
            owed: Owed::Nothing,
            quiet_until_ns: 0,
            may_tell: false,
            shifts: false,
        }
    }

    /// The other side's call has come: its first number, whether it shifts windows, and whether it may be told of
    /// stretches.
    pub(crate) fn agree(&mut self, first: Seq, shifts: bool, may_tell: bool) {
        self.nxt = first.plus(1);
        (self.acked, self.edge) = (self.nxt, self.nxt);
        (self.may_tell, self.shifts) = (may_tell, shifts);
        if !shifts {
            self.shift = 0;
            self.bounds.most = self.bounds.most.min(usize::from(u16::MAX));
            self.limit = self.limit.min(self.bounds.most);
        }
        self.mark = self.nxt.plus(self.limit);
    }

    pub(crate) fn nxt(&self) -> Seq {
        self.nxt
    }

    /// The shift that we tell of.
    pub(crate) fn shift(&self) -> u8 {
        self.bounds.shift()
    }

    /// Whether both sides shift windows.
    pub(crate) fn shifts(&self) -> bool {
        self.shifts
    }

    /// Whether the other side understands what lies apart.
    pub(crate) fn may_tell(&self) -> bool {
        self.may_tell
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Whether numbers from there on, so many, are within what may be sent to us (RFC 9293, 3.10.7.4).
    pub(crate) fn is_within(&self, seq: Seq, len: usize) -> bool {
        let is_in = |at: Seq| !at.is_before(self.nxt) && at.is_before(self.edge);
        match (len, self.nxt == self.edge) {
            (0, true) => seq == self.nxt,
            (0, false) => is_in(seq),
            (_, true) => false,
            (len, false) => is_in(seq) || is_in(seq.plus(len - 1)),
        }
    }

    /// Data have come, and the end behind them if it `ends`. `is_long`: it stands for several packets, of `mss` bytes.
    pub(crate) fn come(
        &mut self,
        seq: Seq,
        mut data: Data,
        ends: bool,
        is_long: bool,
        mss: usize,
        now_ns: u64,
    ) {
        self.grow();
        let end = seq.plus(data.len());
        data.skip(self.nxt.beyond(seq));
        let seq = seq.later(self.nxt);
        data.cut(self.edge.beyond(seq));
        if ends && !self.edge.is_before(end) {
            self.end.get_or_insert(end);
        }
        if data.len() != 0 {
            let had_gaps = !self.apart.is_empty();
            if seq == self.nxt {
                self.put(data);
                while let Some(data) = self.apart.next(self.nxt) {
                    self.put(data);
                }
            } else {
                self.apart.come(seq, data.bytes.get(data.at.clone()).unwrap_or(&[]));
            }
            if had_gaps || !self.apart.is_empty() {
                self.owed = Owed::Now;
            } else if self.owed != Owed::Now {
                let is_much = is_long || self.nxt.beyond(self.acked) > mss;
                self.owed = match self.owed {
                    _ if is_much => Owed::Soon,
                    Owed::Nothing => Owed::Later(now_ns + WAIT_NS),
                    owed => owed,
                };
            }
        }
        if self.end == Some(self.nxt) && !self.is_ended {
            self.is_ended = true;
            self.nxt = self.nxt.plus(1);
            self.owed = Owed::Now;
        }
    }

    /// Something has come in its order. Without memory it has not.
    fn put(&mut self, data: Data) {
        let len = data.len();
        if self.unread.come(data) {
            self.nxt = self.nxt.plus(len);
        }
    }

    /// More may come than up to now, if as much has come and was read.
    fn grow(&mut self) {
        if self.nxt.is_before(self.mark) {
            return;
        }
        let is_read = self.unread.len() <= self.limit / 4;
        let more = (2 * self.limit).min(self.bounds.most);
        if is_read && more > self.limit && heap::can_afford(PLENTY * more as u64) {
            self.limit = more;
        }
        self.mark = self.nxt.plus(self.limit);
    }

    /// Memory is scarce: no more than at first may come.
    pub(crate) fn shrink(&mut self) {
        self.limit = self.bounds.first.min(self.limit);
        self.mark = self.nxt.plus(self.limit);
    }

    /// What is told of the window: how many units, and how many bytes that is.
    fn window(&self) -> (u16, usize) {
        let has = self.unread.len() + self.apart.len();
        let room = self.limit.saturating_sub(has).max(self.edge.beyond(self.nxt));
        let units = u16::try_from(room >> self.shift).unwrap_or(u16::MAX);
        (units, usize::from(units) << self.shift)
    }

    /// The window of a call, which is not shifted.
    pub(crate) fn first_window(&mut self) -> u16 {
        let window = self.limit.min(usize::from(u16::MAX));
        self.edge = self.nxt.plus(window);
        self.acked = self.nxt;
        self.owed = Owed::Nothing;
        window as u16
    }

    /// What is said with whatever is sent: what has come, and how much more may.
    pub(crate) fn tell(&mut self) -> (Seq, u16, [Option<Stretch>; STRETCHES]) {
        let (units, bytes) = self.window();
        self.edge = self.edge.later(self.nxt.plus(bytes));
        self.acked = self.nxt;
        self.owed = Owed::Nothing;
        let told =
            if self.may_tell && !self.apart.is_empty() { self.apart.told() } else { [None; STRETCHES] };
        (self.nxt, units, told)
    }

    /// Whether something is to be told by itself.
    pub(crate) fn tells_now(&self, now_ns: u64) -> bool {
        match self.owed {
            Owed::Now | Owed::Soon => true,
            Owed::Later(ns) if ns <= now_ns => true,
            // The window has become twice as large.
            _ => {
                let last = self.edge.beyond(self.nxt);
                let (_, now) = self.window();
                !self.is_ended && now != 0 && now / 2 >= last && now - last >= self.limit / 2
            }
        }
    }

    /// When something is to be told.
    pub(crate) fn tells_ns(&self) -> Option<u64> {
        match self.owed {
            Owed::Nothing => None,
            Owed::Later(ns) => Some(ns),
            Owed::Soon | Owed::Now => Some(0),
        }
    }

    /// Whether what is to be told may wait for who reads.
    pub(crate) fn may_wait(&self) -> bool {
        self.owed != Owed::Now && !self.is_ended
    }

    /// What has come is to be acknowledged now.
    pub(crate) fn acknowledge(&mut self) {
        self.owed = Owed::Now;
    }

    /// The same for what should not be there, which may be an answer to what should not have been there.
    pub(crate) fn acknowledge_again(&mut self, now_ns: u64) {
        if now_ns >= self.quiet_until_ns {
            self.quiet_until_ns = now_ns + AGAIN_NS;
            self.owed = Owed::Now;
        }
    }

    /// Nothing of it is wanted any more.
    pub(crate) fn throw_away(&mut self) -> usize {
        self.unread.clear()
    }

    /// Nothing more can come.
    pub(crate) fn forget_apart(&mut self) {
        self.apart.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { first: 64 << 10, most: 4 << 20 };

    fn data(len: usize) -> Data {
        Data { bytes: std::vec![7; len], at: 0..len }
    }

    fn receives(shifts: bool) -> Receives {
        machine::host::new_machine();
        let mut r = Receives::new(BOUNDS, Arc::default());
        r.agree(Seq(u32::MAX - 1000), shifts, true);
        r.first_window();
        r
    }

    fn read_all(r: &mut Receives) {
        r.unread.take(usize::MAX, &mut |_, _| true);
    }

    #[test]
    fn shifts_are_those_that_the_largest_window_needs() {
        let of = |most| Bounds { first: 1, most }.shift();
        assert_eq!([of(65_535), of(65_536), of(128 << 10), of(4 << 20)], [0, 1, 2, 7]);
        assert!(BOUNDS.most >> BOUNDS.shift() <= usize::from(u16::MAX));
    }

    #[test]
    fn the_window_grows_while_it_is_filled_and_read() {
        let mut r = receives(true);
        let mut windows = std::vec::Vec::new();
        for _ in 0..16 {
            let (_, units, _) = r.tell();
            windows.push(usize::from(units) << 7);
            let room = r.edge.beyond(r.nxt);
            r.come(r.nxt, data(room), false, true, 1460, 0);
            read_all(&mut r);
        }
        let first = BOUNDS.first;
        assert_eq!(windows[..5], [first, first, 2 * first, 2 * first, 4 * first]);
        assert_eq!(windows[15], BOUNDS.most);
        // When memory is scarce it is as it was at first, though what was told stays told.
        r.shrink();
        let edge = r.edge;
        r.come(r.nxt, data(1000), false, true, 1460, 0);
        r.tell();
        assert!(!r.edge.is_before(edge) && r.limit == first);
        // Where it is not read it stays as it is, and so does that of who does not shift.
        for (mut r, reads) in [(receives(true), false), (receives(false), true)] {
            for _ in 0..9 {
                r.tell();
                r.come(r.nxt, data(r.edge.beyond(r.nxt)), false, true, 1460, 0);
                if reads {
                    read_all(&mut r);
                }
            }
            assert!(r.limit <= first);
        }
    }

    #[test]
    fn the_edge_never_moves_back() {
        let mut r = receives(true);
        for n in 0..2000 {
            let before = r.edge;
            r.come(r.nxt, data(1 + n % 37), false, false, 1460, 0);
            r.tell();
            assert!(!r.edge.is_before(before));
            if n % 50 == 0 {
                read_all(&mut r);
            }
        }
    }

    #[test]
    fn what_is_beyond_the_window_or_has_come_is_left_out() {
        let mut r = receives(true);
        let first = r.nxt;
        let room = r.edge.beyond(first);
        r.come(first, data(100), false, false, 1460, 0);
        r.come(first, data(150), false, false, 1460, 0);
        assert_eq!(r.unread.len(), 150);
        // The end beyond what may come is not heard.
        r.come(first.plus(150), data(room), true, false, 1460, 0);
        assert_eq!((r.unread.len(), r.is_ended()), (room, false));
        read_all(&mut r);
        r.tell();
        r.come(r.nxt, data(0), true, false, 1460, 0);
        assert!(r.is_ended() && r.nxt == first.plus(room + 1));
    }

    #[test]
    fn what_is_missing_is_told_of_and_the_end_waits_for_it() {
        let mut r = receives(true);
        let first = r.nxt;
        r.come(first.plus(100), data(100), false, false, 1460, 0);
        r.come(first.plus(300), data(100), true, false, 1460, 0);
        assert!(r.tells_now(0) && !r.may_wait());
        let (ack, _, told) = r.tell();
        let stretch = |from, to| Some((first.plus(from), first.plus(to)));
        assert_eq!((ack, told), (first, [stretch(300, 400), stretch(100, 200), None]));
        r.come(first, data(100), false, false, 1460, 0);
        assert_eq!((r.nxt, r.is_ended()), (first.plus(200), false));
        r.come(first.plus(200), data(100), false, false, 1460, 0);
        assert_eq!((r.nxt, r.is_ended(), r.unread.len()), (first.plus(401), true, 400));
    }

    #[test]
    fn what_is_short_is_acknowledged_later() {
        let mut r = receives(true);
        r.come(r.nxt, data(100), false, false, 1460, 5);
        assert!(!r.tells_now(5) && r.tells_ns() == Some(5 + WAIT_NS) && r.tells_now(5 + WAIT_NS));
        r.come(r.nxt, data(1400), false, false, 1460, 6);
        assert!(r.tells_now(6) && r.may_wait());
        r.tell();
        assert!(!r.tells_now(u64::MAX));
        // Once in a while for what should not be there.
        r.acknowledge_again(6);
        assert!(r.tells_now(6));
        r.tell();
        r.acknowledge_again(7);
        assert!(!r.tells_now(7));
        r.acknowledge_again(7 + AGAIN_NS);
        assert!(r.tells_now(7 + AGAIN_NS));
    }
}
