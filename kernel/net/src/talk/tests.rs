//! Two connections that talk with one another over a way that delays, loses, changes the order and repeats.

use std::collections::VecDeque;
use std::vec::Vec;

use smoltcp::wire::{IpAddress, Ipv4Address};

use super::*;

const MS: u64 = 1_000_000;
const BOUNDS: Bounds = Bounds { first: 64 << 10, most: 4 << 20 };
const MSS: usize = 1460;

/// What happens to packets on their way.
#[derive(Clone, Copy)]
struct Way {
    delay_ns: u64,
    /// Of a thousand packets so many are lost, come twice, or come later than those behind them.
    lost: u32,
    twice: u32,
    late: u32,
}

const CLEAN: Way = Way { delay_ns: MS, lost: 0, twice: 0, late: 0 };

struct End {
    talk: Talk,
    /// What comes, and when.
    comes: VecDeque<(u64, Vec<u8>)>,
    got: Vec<u8>,
    reads: bool,
    sent: usize,
    most_sent: usize,
    packets: usize,
}

struct World {
    ends: [End; 2],
    way: Way,
    now_ns: u64,
    random: u32,
}

fn made(from: u8, to: u8, first: u32) -> Made {
    let of = |n| IpAddress::from(Ipv4Address::new(10, 0, 0, n));
    Made {
        ends: Ends { here: (of(from), 80), there: (of(to), 80), hops: 64, service: 0 },
        first: Seq(first),
        mss: MSS,
        bounds: BOUNDS,
        is_loop: false,
        patience_ns: 60_000 * MS,
        purse: Arc::default(),
    }
}

fn end(talk: Talk) -> End {
    let (comes, got) = (VecDeque::new(), Vec::new());
    End { talk, comes, got, reads: true, sent: 0, most_sent: 0, packets: 0 }
}

fn byte(at: usize) -> u8 {
    ((at * 7) >> 2) as u8
}

impl World {
    /// One calls, and is answered.
    fn new(way: Way) -> World {
        machine::host::new_machine();
        let mut calls = Talk::calls(made(1, 2, u32::MAX - 5000));
        let mut call = None;
        assert!(calls.say(65_521, 0, |goes| call = Segment::read(&packet(goes)[0])));
        let called = Talk::is_called_by(made(2, 1, 77), &call.unwrap(), 0);
        World { ends: [end(calls), end(called)], way, now_ns: 0, random: 1 }
    }

    fn chance(&mut self, of_thousand: u32) -> bool {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.random >> 10) % 1000 < of_thousand
    }

    /// All that can be said is said, and reaches the way.
    fn says(&mut self, who: usize) {
        loop {
            let mut packets = Vec::new();
            self.ends[who].talk.look_at_time(self.now_ns);
            if !self.ends[who].talk.say(65_521, self.now_ns, |goes| packets = packet(goes)) {
                return;
            }
            for packet in packets {
                self.ends[who].packets += 1;
                let times = 1 + u32::from(self.chance(self.way.twice));
                for _ in 0..times {
                    if self.chance(self.way.lost) {
                        continue;
                    }
                    let later = if self.chance(self.way.late) { 3 * MS } else { 0 };
                    let at = self.now_ns + self.way.delay_ns + later;
                    let comes = &mut self.ends[1 - who].comes;
                    let place = comes.iter().position(|(ns, _)| *ns > at).unwrap_or(comes.len());
                    comes.insert(place, (at, packet.clone()));
                }
            }
        }
    }

    fn hears(&mut self, who: usize) {
        let now_ns = self.now_ns;
        let end = &mut self.ends[who];
        while let Some((_, bytes)) = end.comes.pop_front_if(|(at, _)| *at <= now_ns) {
            let said = Segment::read(&bytes).unwrap();
            let at = said.data.clone();
            let refused = end.talk.hear(&said, Data { bytes, at }, false, now_ns);
            assert!(refused.is_none(), "{said:?}");
            if end.reads {
                read(end);
            }
        }
    }

    /// What is next happens; false when nothing will.
    fn step(&mut self) -> bool {
        for who in [0, 1] {
            self.hears(who);
            self.says(who);
        }
        let next = |end: &End| {
            let comes = end.comes.front().map(|(at, _)| *at);
            comes.into_iter().chain(end.talk.deadline_ns(self.now_ns)).min()
        };
        let Some(next) = self.ends.iter().filter_map(next).min() else { return false };
        self.now_ns = next.max(self.now_ns + 1);
        true
    }

    /// Until something is so.
    fn until(&mut self, is: impl Fn(&World) -> bool) {
        for _ in 0..2_000_000 {
            if is(self) {
                return;
            }
            assert!(self.step() || is(self), "nothing happens any more");
        }
        panic!("it takes too long");
    }

    fn is_met(&self) -> bool {
        self.ends.iter().all(|end| end.talk.state == State::Established)
    }

    /// One says so many bytes more, as fast as it can, and the other hears them.
    fn transfer(&mut self, who: usize, bytes: usize) {
        let (begun, had) = (self.ends[who].sent, self.ends[1 - who].got.len());
        for _ in 0..4_000_000 {
            let end = &mut self.ends[who];
            let (sent, left) = (end.sent, begun + bytes - end.sent);
            let mut fill = |at: usize, room: &mut [u8]| {
                room.iter_mut().enumerate().for_each(|(n, b)| *b = byte(sent + at + n));
                true
            };
            end.sent += end.talk.put(left, &mut fill).unwrap().0;
            end.most_sent = end.most_sent.max(end.talk.sends.unsent());
            let happens = self.step();
            if self.ends[1 - who].got.len() == had + bytes {
                return;
            }
            // There may be room for more now.
            assert!(happens || left != 0, "nothing happens any more");
        }
        panic!("it takes too long");
    }

    fn check(&self) {
        for end in &self.ends {
            assert!(end.got.iter().enumerate().all(|(n, b)| *b == byte(n)));
        }
    }
}

fn read(end: &mut End) {
    let got = &mut end.got;
    end.talk.receives.unread.take(usize::MAX, &mut |_, bytes| {
        got.extend_from_slice(bytes);
        true
    });
}

/// The packets that somebody makes of what goes.
fn packet(goes: &mut Goes<'_>) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let start = goes.head.start;
    if goes.data.len() <= goes.mss {
        let mut packet = [goes.head.bytes(), &goes.data.pieces().concat()].concat();
        let place = crate::sums::place(&packet).unwrap();
        crate::sums::finish(&mut packet, place);
        packets.push(packet);
    } else {
        crate::cut::each(goes.head.bytes(), start, &goes.data, goes.mss, |head, data| {
            packets.push([head, &data.pieces().concat()].concat());
            true
        });
    }
    assert!(packets.iter().all(|p| p.len() <= MSS + 40 && crate::sums::is_right(p)));
    packets
}

#[test]
fn bytes_go_both_ways_and_it_ends() {
    let mut w = World::new(CLEAN);
    w.until(World::is_met);
    w.transfer(0, 300_000);
    w.transfer(1, 5000);
    w.check();
    assert!(w.ends.iter().all(|end| end.talk.sends.unsent() == 0 || end.sent != 0));
    w.ends[0].talk.close();
    w.until(|w| w.ends[1].talk.state == State::CloseWait && w.ends[0].talk.state == State::FinWait2);
    w.transfer(1, 1000);
    w.ends[1].talk.close();
    w.until(|w| w.ends[0].talk.state == State::TimeWait && w.ends[1].talk.state == State::Closed);
    assert!(!w.ends[1].talk.resets());
    w.check();
    // Both at once.
    let mut w = World::new(CLEAN);
    w.until(World::is_met);
    w.ends.iter_mut().for_each(|end| end.talk.close());
    w.until(|w| w.ends.iter().all(|end| end.talk.state == State::TimeWait));
}

/// Two calls that meet, of which the second comes again with an answer to ours, and with data.
#[test]
fn calls_that_meet_are_taken_as_they_are_written() {
    machine::host::new_machine();
    let mut end = end(Talk::calls(made(1, 2, 1000)));
    assert!(end.talk.say(65_521, 0, |_| ()));
    let call = Segment {
        seq: Seq(77),
        flags: SYN,
        window: 1000,
        scale: Some(10),
        mss: Some(500),
        ..Segment::default()
    };
    assert!(end.talk.hear(&call, Data { bytes: Vec::new(), at: 0..0 }, false, 0).is_none());
    assert_eq!(end.talk.state, State::SynReceived);
    assert!(end.talk.say(65_521, 0, |_| ()), "the answer, with a window");
    let answer = Segment { ack: Some(Seq(1001)), flags: SYN | ACK, data: 0..5, ..call };
    let data = Data { bytes: b"hello".to_vec(), at: 0..5 };
    assert!(end.talk.hear(&answer, data, false, 0).is_none());
    assert_eq!(end.talk.state, State::Established);
    read(&mut end);
    assert_eq!(end.got, b"hello");
    // The window is not shifted before there is one that is.
    end.talk.put(100_000, &mut |_, _| true).unwrap();
    let mut sent = 0;
    while end.talk.say(65_521, MS, |goes| sent += goes.data.len()) {}
    assert_eq!(sent, 1000);
}

#[test]
fn nothing_is_lost_on_a_bad_way() {
    for (n, way) in [
        Way { lost: 50, ..CLEAN },
        Way { late: 100, ..CLEAN },
        Way { twice: 100, ..CLEAN },
        Way { lost: 200, late: 200, twice: 50, ..CLEAN },
        Way { lost: 10, delay_ns: 20 * MS, late: 20, twice: 10 },
    ]
    .into_iter()
    .enumerate()
    {
        for seed in 0..4 {
            let mut w = World::new(way);
            w.random = seed * 999 + n as u32;
            w.until(World::is_met);
            w.transfer(0, 400_000);
            w.transfer(1, 100_000);
            w.check();
            w.ends.iter_mut().for_each(|end| end.talk.close());
            let is_over = |end: &End| matches!(end.talk.state, State::TimeWait | State::Closed);
            w.until(|w| w.ends.iter().all(is_over));
        }
    }
}

#[test]
fn a_long_way_is_filled() {
    // 40 ms to and fro: with windows of 64 KiB it would be 1.6 MB a second.
    let mut w = World::new(Way { delay_ns: 20 * MS, ..CLEAN });
    w.until(World::is_met);
    w.transfer(0, 1 << 20);
    let begun_ns = w.now_ns;
    w.transfer(0, 32 << 20);
    let rate = (32u64 << 20) * 1000 / ((w.now_ns - begun_ns) / MS);
    assert!(rate > 40_000_000, "{rate} bytes a second");
    let most = w.ends[0].most_sent;
    assert!((1 << 20..=BOUNDS.most).contains(&most), "{most}");
    w.check();
    // What is lost is found without waiting for the time, and there is no more of it sent again than it was.
    let mut w = World::new(Way { delay_ns: 20 * MS, lost: 2, ..CLEAN });
    w.until(World::is_met);
    w.transfer(0, 8 << 20);
    w.check();
    let least = (8 << 20) / MSS;
    assert!(w.ends[0].packets < least + least / 20, "{} for {least}", w.ends[0].packets);
    assert!(w.now_ns < 30_000 * MS, "{} ms", w.now_ns / MS);
}

#[test]
fn who_does_not_read_is_asked_and_goes_on_when_he_does() {
    let mut w = World::new(CLEAN);
    w.until(World::is_met);
    w.ends[1].reads = false;
    let end = &mut w.ends[0];
    let put = end.talk.put(1 << 20, &mut |_, room| {
        room.iter_mut().enumerate().for_each(|(n, b)| *b = byte(n));
        true
    });
    // There is room for what may be on its way twice, and for no less than at first.
    let (put, _) = put.unwrap();
    assert_eq!(put, BOUNDS.first);
    // A call tells of a byte less than that.
    w.until(|w| w.ends[1].talk.receives.unread.len() == put - 1);
    let more = w.ends[0].talk.put(100_000, &mut |_, room| {
        room.iter_mut().enumerate().for_each(|(n, b)| *b = byte(put + n));
        true
    });
    let more = more.unwrap().0;
    let stop_ns = w.now_ns + 300_000 * MS;
    w.until(|w| w.now_ns > stop_ns);
    // It is asked less and less often, and it is not given up, since it answers.
    assert_eq!(w.ends[0].talk.state, State::Established);
    assert!((15..110).contains(&w.ends[1].packets), "{}", w.ends[1].packets);
    assert_eq!(w.ends[1].talk.receives.unread.len(), put - 1);
    w.ends[1].reads = true;
    read(&mut w.ends[1]);
    w.until(|w| w.ends[1].got.len() == put + more);
    w.check();
}

#[test]
fn who_is_silent_is_given_up_and_who_calls_too() {
    let mut w = World::new(CLEAN);
    w.until(World::is_met);
    w.way.lost = 1000;
    w.ends[0].talk.put(10, &mut |_, _| true).unwrap();
    let begun_ns = w.now_ns;
    w.until(|w| w.ends[0].talk.state == State::Closed);
    assert!((60_000 * MS..61_000 * MS).contains(&(w.now_ns - begun_ns)));
    let mut w = World::new(Way { lost: 1000, ..CLEAN });
    w.until(|w| w.ends[0].talk.state == State::Closed && w.ends[1].talk.state == State::Closed);
    assert!(w.ends.iter().all(|end| !end.talk.resets()));
    // Once a second at first, and less and less often.
    assert!((5..9).contains(&w.ends[0].packets), "{}", w.ends[0].packets);
}

/// What somebody else would say to this end.
fn hears(end: &mut End, flags: u8, seq: Seq, ack: Option<Seq>, data: &[u8]) -> Option<Said> {
    hears_at(end, flags, seq, ack, data, 0)
}

/// The same at a time.
fn hears_at(end: &mut End, flags: u8, seq: Seq, ack: Option<Seq>, data: &[u8], now_ns: u64) -> Option<Said> {
    let ends = Ends { here: end.talk.ends.there, there: end.talk.ends.here, hops: 64, service: 0 };
    let said = Said { seq, ack, flags, window: 1000, ..Said::default() };
    let bytes = [Head::new(&ends, &said, data.len()).bytes(), data].concat();
    let said = Segment::read(&bytes).unwrap();
    end.talk.hear(&said, Data { at: said.data.clone(), bytes }, false, now_ns)
}

use segment::Head;

#[test]
fn who_does_not_know_the_numbers_ends_nothing() {
    let mut w = World::new(CLEAN);
    w.until(World::is_met);
    w.until(|w| w.ends.iter().all(|end| end.comes.is_empty()));
    let end = &mut w.ends[1];
    let (nxt, ack) = (end.talk.receives.nxt(), Some(end.talk.sends.next_seq()));
    for (flags, seq) in
        [(RST, nxt.plus(1)), (RST, Seq(nxt.0 - 1)), (RST, nxt.plus(1 << 30)), (SYN, nxt.plus(5)), (SYN, nxt)]
    {
        assert!(hears(end, flags, seq, ack, b"").is_none());
        assert_eq!(end.talk.state, State::Established, "{flags} {seq:?}");
    }
    // What acknowledges what was never sent does not count.
    hears(end, 0, nxt, ack.map(|ack| ack.plus(1)), b"no");
    hears(end, 0, nxt, None, b"no");
    assert_eq!(end.talk.receives.unread.len(), 0);
    assert!(hears(end, RST, nxt, ack, b"").is_none());
    assert_eq!((end.talk.state, end.talk.resets()), (State::Closed, false));
    // Who goes on is told so.
    assert_eq!(hears(end, 0, nxt, ack, b"").map(|said| said.flags), Some(RST));
}

/// What was acknowledged longer ago than a window is wide is nobody's who knows the numbers: its data are none, and it
/// is told where we stand. What is a little old comes late, and its data count.
#[test]
fn what_was_acknowledged_long_ago_counts_no_more() {
    let mut w = World::new(CLEAN);
    w.until(World::is_met);
    w.transfer(1, 300_000);
    w.until(|w| w.ends.iter().all(|end| end.comes.is_empty()) && !w.ends[1].talk.sends.is_owed());
    let end = &mut w.ends[1];
    while end.talk.say(65_521, w.now_ns, |_| {}) {}
    let (nxt, una) = (end.talk.receives.nxt(), end.talk.sends.next_seq());
    // The other side has told of windows of 64 KiB and more, which has grown with what it has read.
    let back = |bytes: usize| Some(Seq(una.0.wrapping_sub(bytes as u32)));
    for old in [BOUNDS.most + 1, 1 << 30, (1 << 31) - 1] {
        assert!(hears_at(end, 0, nxt, back(old), b"no", w.now_ns).is_none());
        assert_eq!(end.talk.receives.unread.len(), 0, "{old}");
        let mut told = None;
        assert!(end.talk.say(65_521, w.now_ns, |goes| told = Segment::read(&packet(goes)[0])), "{old}");
        let told = told.unwrap();
        assert_eq!((told.flags, told.seq, told.ack), (ACK, una, Some(nxt)), "{old}");
        // It is not told again for each of them.
        assert!(hears_at(end, 0, nxt, back(old), b"no", w.now_ns).is_none());
        assert!(!end.talk.say(65_521, w.now_ns, |_| {}), "{old}");
        w.now_ns += 200 * MS;
    }
    assert!(hears_at(end, 0, nxt, back(60_000), b"late", w.now_ns).is_none());
    assert_eq!(end.talk.receives.unread.len(), 4);
}

/// Who tells of stretches that were never sent, wherever they are, has nothing sent for it: half of all numbers away
/// one was taken for what had come, and what was missing before it, nothing, was sent again without an end.
#[test]
fn what_was_never_sent_has_not_come() {
    let mut w = World::new(CLEAN);
    w.until(World::is_met);
    w.until(|w| w.ends.iter().all(|end| end.comes.is_empty()));
    let end = &mut w.ends[1];
    let (seq, una) = (end.talk.receives.nxt(), end.talk.sends.next_seq());
    let places = [0, 1, 0x7fff_0000, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_0000_usize];
    for (from, acks) in places.into_iter().flat_map(|from| [0, 0x8000_0001].map(|acks| (from, acks))) {
        let ends = Ends { here: end.talk.ends.there, there: end.talk.ends.here, hops: 64, service: 0 };
        let mut said = Said { seq, ack: Some(una.plus(acks)), window: 1000, ..Said::default() };
        said.told[0] = Some((una.plus(from), una.plus(from + 40_000)));
        let bytes = Head::new(&ends, &said, 0).bytes().to_vec();
        let said = Segment::read(&bytes).unwrap();
        end.talk.hear(&said, Data { at: said.data.clone(), bytes }, false, 0);
        let packets = (0..10).take_while(|_| end.talk.say(65_521, 0, |_| {})).count();
        // What is half of all numbers old is answered, once for a while.
        assert!(packets <= usize::from(acks != 0), "{from:x}: {packets}");
    }
}

#[test]
fn a_call_is_answered_by_what_answers_it() {
    machine::host::new_machine();
    let new = || {
        let mut end = end(Talk::calls(made(1, 2, 500)));
        assert!(end.talk.say(65_521, 0, |_| {}));
        end
    };
    let mut one = new();
    // Something else than our number, a reset of nothing, an acknowledgement alone.
    assert_eq!(hears(&mut one, SYN, Seq(9), Some(Seq(502)), b"").map(|s| s.flags), Some(RST));
    assert!(hears(&mut one, RST, Seq(9), None, b"").is_none());
    assert!(hears(&mut one, 0, Seq(9), Some(Seq(501)), b"").is_none());
    assert_eq!(one.talk.state, State::SynSent);
    assert!(hears(&mut one, RST, Seq(0), Some(Seq(501)), b"").is_none());
    assert_eq!(one.talk.state, State::Closed);
    // Two that call each other.
    let mut one = new();
    assert!(hears(&mut one, SYN, Seq(9), None, b"").is_none());
    assert_eq!(one.talk.state, State::SynReceived);
    let mut answer = None;
    assert!(one.talk.say(65_521, 0, |goes| answer = Segment::read(&packet(goes)[0])));
    let answer = answer.unwrap();
    assert_eq!((answer.flags, answer.seq, answer.ack), (SYN | ACK, Seq(500), Some(Seq(10))));
    assert!(hears(&mut one, SYN, Seq(9), Some(Seq(501)), b"").is_none());
    assert_eq!(one.talk.state, State::Established);
}
