//! When a server is asked: a second after the first time, then after twice as long each time; and not for ever.

/// Seconds between one question and the next, at first and at most; and how often it is asked.
const FIRST: u32 = 1;
const MOST: u32 = 16;
const TIMES: u32 = 6;

/// When it is asked, in seconds since the first time.
#[derive(Debug)]
pub struct Pace {
    next: u32,
    pause: u32,
    asked: u32,
    refused: u32,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Ask.
    Ask,
    /// Wait.
    Wait,
    /// Give up.
    GiveUp,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { next: 0, pause: FIRST, asked: 0, refused: 0 }
    }
}

impl Pace {
    /// What is to be done at this second.
    pub fn turn(&mut self, second: u32) -> Turn {
        if self.refused > TIMES {
            return Turn::GiveUp;
        }
        if second < self.next {
            return Turn::Wait;
        }
        if self.asked == TIMES {
            return Turn::GiveUp;
        }
        (self.asked, self.next) = (self.asked + 1, second + self.pause);
        self.pause = (2 * self.pause).min(MOST);
        Turn::Ask
    }

    /// Somebody offers an address, which is asked for at once.
    pub fn offered(&mut self, second: u32) {
        (self.next, self.pause) = (second, FIRST);
    }

    /// Somebody refuses: all begins anew, after a while, so that two do not go on like this as fast as they can.
    pub fn refused(&mut self, second: u32) {
        let refused = self.refused + 1;
        *self = Pace { next: second + refused, refused, ..Pace::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_refusal_all_begins_anew_but_not_for_ever() {
        let mut pace = Pace::default();
        assert_eq!(
            [0, 0, 1, 2, 3].map(|s| pace.turn(s)),
            [Turn::Ask, Turn::Wait, Turn::Ask, Turn::Wait, Turn::Ask]
        );
        pace.offered(4);
        assert_eq!(pace.turn(4), Turn::Ask);
        pace.refused(5);
        assert_eq!([5, 6].map(|s| pace.turn(s)), [Turn::Wait, Turn::Ask]);
        // It is asked as often as at first.
        let asked = (7..100).filter(|s| pace.turn(*s) == Turn::Ask).count();
        assert_eq!((asked, pace.turn(100)), (TIMES as usize - 1, Turn::GiveUp));
        let mut pace = Pace::default();
        let mut refused = 0;
        let end = (0..1000).find(|s| match pace.turn(*s) {
            Turn::Ask => {
                pace.refused(*s);
                refused += 1;
                false
            }
            Turn::Wait => false,
            Turn::GiveUp => true,
        });
        assert_eq!((refused, end), (TIMES + 1, Some(22)));
    }
}
