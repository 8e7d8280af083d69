//! How fast a sender may be: how long an answer takes, and how many bytes may be on their way (RFC 6298, RFC 5681).
//! Functions of the time that they are told.

use super::seq::Seq;

const MS: u64 = 1_000_000;
/// How long the first answer is waited for.
const FIRST_NS: u64 = 1_000 * MS;
/// An answer is waited for at least so much longer than one usually takes, and never longer than that: who is asked
/// whether there is room is asked three times before he is given up.
const SLACK_NS: u64 = 200 * MS;
const MOST_NS: u64 = 20_000 * MS;
/// Packets that may be on their way at first.
const FIRST_PACKETS: usize = 10;

/// See the module comment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How long an answer takes, usually, and by how much that differs.
    smooth_ns: Option<u64>,
    differs_ns: u64,
    /// How often there was none in a row.
    pub(crate) misses: u32,
    /// What is timed: the place behind it, and when it was sent.
    timed: Option<(Seq, u64)>,
    mss: usize,
    is_bounded: bool,
    /// Bytes that may be on their way, and from where on that grows slowly.
    window: usize,
    slow: usize,
    /// Bytes that were acknowledged since it has grown.
    since: usize,
    /// When something was sent last.
    last_ns: u64,
}

impl Pace {
    /// That of a connection on a wire, or, if not `is_bounded`, of one that nothing can happen to.
    pub(crate) fn new(mss: usize, is_bounded: bool) -> Pace {
        let window = if is_bounded { FIRST_PACKETS * mss } else { usize::MAX / 4 };
        Pace {
            smooth_ns: None,
            differs_ns: 0,
            misses: 0,
            timed: None,
            mss,
            is_bounded,
            window,
            slow: usize::MAX / 4,
            since: 0,
            last_ns: 0,
        }
    }

    pub(crate) fn window(&self) -> usize {
        self.window
    }

    /// How long an answer is waited for now.
    pub(crate) fn patience_ns(&self) -> u64 {
        let once = self.smooth_ns.map_or(FIRST_NS, |ns| ns + (4 * self.differs_ns).max(SLACK_NS));
        once.saturating_mul(1 << self.misses.min(16)).min(MOST_NS)
    }

    /// Something new is sent, up to this place, while `flight` bytes are on their way.
    pub(crate) fn sends(&mut self, end: Seq, flight: usize, now_ns: u64) {
        // After a silence nothing is known of the way any more.
        if self.is_bounded && flight == 0 && now_ns.saturating_sub(self.last_ns) > self.patience_ns() {
            self.window = self.window.min(FIRST_PACKETS * self.mss);
        }
        self.last_ns = now_ns;
        self.timed.get_or_insert((end, now_ns));
    }

    /// What is sent again tells nothing about the time.
    pub(crate) fn sends_again(&mut self) {
        self.timed = None;
    }

    /// So many bytes, up to this place, are acknowledged, and `flight` were on their way. `grows`: more may be.
    pub(crate) fn hears(&mut self, una: Seq, bytes: usize, flight: usize, grows: bool, now_ns: u64) {
        self.misses = 0;
        if let Some((end, sent_ns)) = self.timed
            && !una.is_before(end)
        {
            self.timed = None;
            self.took(now_ns.saturating_sub(sent_ns));
        }
        // Who has not used what he may has not shown that it may be more.
        if !grows || flight < self.window / 2 {
            return;
        }
        if self.window < self.slow {
            self.window += bytes;
        } else {
            self.since += bytes;
            if self.since >= self.window {
                self.since = 0;
                self.window += self.mss;
            }
        }
    }

    fn took(&mut self, ns: u64) {
        match &mut self.smooth_ns {
            None => {
                self.smooth_ns = Some(ns);
                self.differs_ns = ns / 2;
            }
            Some(smooth_ns) => {
                self.differs_ns = (3 * self.differs_ns + smooth_ns.abs_diff(ns)) / 4;
                *smooth_ns = (7 * *smooth_ns + ns) / 8;
            }
        }
    }

    /// There was an answer, though it acknowledges nothing: the next one is not waited for any longer than usual.
    pub(crate) fn answers(&mut self) {
        self.misses = 0;
    }

    /// Something is lost of `flight` bytes: half of it may be on its way from now on.
    pub(crate) fn loses(&mut self, flight: usize) {
        self.slow = (flight / 2).max(2 * self.mss);
        self.window = self.slow.min(self.window);
        self.since = 0;
    }

    /// There was no answer: it begins with one packet.
    pub(crate) fn misses(&mut self, flight: usize) {
        if self.misses == 0 {
            self.loses(flight);
        }
        self.window = self.mss.min(self.window);
        self.misses += 1;
        self.timed = None;
    }

    /// A packet is this long at most.
    pub(crate) fn set_mss(&mut self, mss: usize) {
        if self.window == FIRST_PACKETS * self.mss {
            self.window = FIRST_PACKETS * mss;
        }
        self.mss = mss;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_waited_for_as_long_as_one_takes_and_longer_each_time_there_is_none() {
        let mut pace = Pace::new(1000, true);
        assert_eq!(pace.patience_ns(), FIRST_NS);
        for n in 1..50 {
            pace.sends(Seq(n), 0, u64::from(n) * 1000 * MS);
            pace.hears(Seq(n), 1, 1, true, (u64::from(n) * 1000 + 100) * MS);
        }
        assert_eq!(pace.patience_ns(), 300 * MS);
        pace.misses(5000);
        pace.misses(5000);
        assert_eq!((pace.patience_ns(), pace.window(), pace.slow), (1200 * MS, 1000, 2500));
        (0..40).for_each(|_| pace.misses(0));
        assert_eq!(pace.patience_ns(), MOST_NS);
        // What was sent again says nothing of the time.
        pace.sends(Seq(60), 0, 100_000 * MS);
        pace.sends_again();
        pace.hears(Seq(60), 1, 1, true, 200_000 * MS);
        assert_eq!(pace.patience_ns(), 300 * MS);
    }

    #[test]
    fn it_grows_with_what_is_acknowledged_and_slowly_after_a_loss() {
        let mut pace = Pace::new(1000, true);
        pace.hears(Seq(1), 10_000, 10_000, true, 0);
        assert_eq!(pace.window(), 20_000);
        // Who sends little, or has just lost something, is not let send more.
        pace.hears(Seq(1), 1000, 1000, true, 0);
        pace.hears(Seq(1), 10_000, 20_000, false, 0);
        assert_eq!(pace.window(), 20_000);
        pace.loses(20_000);
        assert_eq!(pace.window(), 10_000);
        (0..10).for_each(|_| pace.hears(Seq(1), 1000, 10_000, true, 0));
        assert_eq!(pace.window(), 11_000);
        // Nothing can happen here.
        let mut pace = Pace::new(1000, false);
        pace.hears(Seq(1), 1000, 1000, true, 0);
        assert!(pace.window() > 1 << 40);
    }
}
