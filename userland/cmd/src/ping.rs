//! Echoes as `/net/icmp` and `/net/icmpv6` have them, and what is told of those that come back.

use alloc::vec::Vec;

/// Bytes before a message of ICMP: a header of IPv4, or of IPv6; and of its own.
const V4: usize = 20;
const V6: usize = 40;
const HEAD: usize = 8;

/// What is written to ask for the `seq`th echo of `size` bytes behind the header.
pub fn request(v6: bool, seq: u16, size: usize) -> Vec<u8> {
    let [high, low] = seq.to_be_bytes();
    let mut bytes = alloc::vec![0; if v6 { V6 } else { V4 }];
    bytes.extend([if v6 { 128 } else { 8 }, 0, 0, 0, 0, 0, high, low]);
    bytes.extend((0..size).map(|n| n as u8));
    bytes
}

/// The number of an echo that was read, and how many bytes it has.
pub fn reply(v6: bool, bytes: &[u8]) -> Option<(u16, usize)> {
    let message = bytes.get(if v6 { V6 } else { V4 }..)?;
    match message.first_chunk::<HEAD>()? {
        [129, 0, .., high, low] if v6 => Some((u16::from_be_bytes([*high, *low]), message.len() - HEAD)),
        [0, 0, .., high, low] if !v6 => Some((u16::from_be_bytes([*high, *low]), message.len() - HEAD)),
        _ => None,
    }
}

/// How long echoes took, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// How many came.
    pub count: u64,
    least: u64,
    most: u64,
    sum: u64,
}

impl Times {
    /// One more.
    pub fn add(&mut self, us: u64) {
        self.least = if self.count == 0 { us } else { self.least.min(us) };
        self.most = self.most.max(us);
        self.sum = self.sum.saturating_add(us);
        self.count += 1;
    }

    /// The least, the mean and the most.
    pub fn all(&self) -> (u64, u64, u64) {
        (self.least, self.sum / self.count.max(1), self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_and_what_comes_back() {
        let asked = request(false, 258, 3);
        assert_eq!(asked[20..], [8, 0, 0, 0, 0, 0, 1, 2, 0, 1, 2]);
        let mut back = asked.clone();
        assert_eq!(reply(false, &back), None, "that is the question");
        back[20] = 0;
        assert_eq!(reply(false, &back), Some((258, 3)));
        assert_eq!((reply(false, &back[..27]), reply(true, &back)), (None, None));
        let mut back = request(true, 1, 0);
        assert_eq!((back.len(), back[40]), (48, 128));
        back[40] = 129;
        assert_eq!(reply(true, &back), Some((1, 0)));
    }

    #[test]
    fn times_are_summed_up() {
        let mut times = Times::default();
        assert_eq!(times.all(), (0, 0, 0));
        [30, 10, 20].into_iter().for_each(|us| times.add(us));
        assert_eq!((times.all(), times.count), ((10, 20, 30), 3));
    }
}
