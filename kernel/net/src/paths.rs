//! How long a packet may be on its way to somebody, where that is less than the interface takes: routers say so by ICMP
//! when a packet of ours was too long for the next wire (RFC 1191, RFC 8201). It is remembered for ten minutes, and of
//! [`MOST`] ways: then longer packets are tried again.
//!
//! All of it is under the stack's lock.

use alloc::vec::Vec;

use machine::heap;
use machine::ledger::as_kernel;
use smoltcp::wire::IpAddress;

/// Ways that are remembered; of more the one that ends first gives way.
const MOST: usize = 64;
const LASTS_NS: u64 = 600_000_000_000;
/// No way of IPv4 or IPv6 is believed to be narrower: who says so would have us send much in small packets.
const LEAST_V4: usize = 576;
const LEAST_V6: usize = 1280;

struct Path {
    to: IpAddress,
    most: usize,
    until_ns: u64,
}

/// See the module comment.
#[derive(Default)]
pub(crate) struct Paths {
    all: Vec<Path>,
}

impl Paths {
    /// Bytes of the longest packet to somebody, if that is known.
    pub(crate) fn most(&self, to: &IpAddress) -> Option<usize> {
        if self.all.is_empty() {
            return None;
        }
        self.all.iter().find(|p| p.to == *to).map(|p| p.most)
    }

    /// Somebody has said that a packet was too long, of at most `now` bytes that are sent there. A number that says
    /// nothing is the least. What is true now, if it is less.
    pub(crate) fn hear(&mut self, to: IpAddress, said: usize, now: usize, now_ns: u64) -> Option<usize> {
        let least = if matches!(to, IpAddress::Ipv4(_)) { LEAST_V4 } else { LEAST_V6 };
        let most = said.max(least);
        if most >= self.most(&to).unwrap_or(now) {
            return None;
        }
        let path = Path { to, most, until_ns: now_ns.saturating_add(LASTS_NS) };
        if let Some(old) = self.all.iter_mut().find(|p| p.to == to) {
            *old = path;
            return Some(most);
        }
        if self.all.len() >= MOST {
            let first = self.all.iter().enumerate().min_by_key(|(_, p)| p.until_ns).map(|(at, _)| at);
            if let Some(at) = first {
                self.all.swap_remove(at);
            }
        }
        as_kernel(|| heap::try_push(&mut self.all, path)).ok().map(|()| most)
    }

    /// Forgets what is over.
    pub(crate) fn late(&mut self, now_ns: u64) {
        self.all.retain(|p| p.until_ns > now_ns);
    }

    /// When something is over.
    pub(crate) fn soonest_ns(&self) -> u64 {
        self.all.iter().map(|p| p.until_ns).min().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_narrow_for_a_time_and_never_too_narrow() {
        machine::host::new_machine();
        let mut paths = Paths::default();
        let (a, b) = (IpAddress::v4(10, 0, 0, 1), IpAddress::v6(0xfd00, 0, 0, 0, 0, 0, 0, 1));
        assert_eq!(paths.most(&a), None);
        assert_eq!(paths.hear(a, 1400, 1500, 0), Some(1400));
        assert_eq!(paths.hear(a, 1400, 1500, 1), None);
        assert_eq!(paths.hear(a, 1450, 1500, 1), None);
        assert_eq!(paths.hear(a, 0, 1500, 1), Some(576));
        assert_eq!(paths.hear(b, 600, 1500, 2), Some(1280));
        assert_eq!(paths.hear(b, 1500, 1500, 2), None);
        assert_eq!((paths.most(&a), paths.most(&b)), (Some(576), Some(1280)));
        assert_eq!(paths.soonest_ns(), LASTS_NS + 1);
        paths.late(LASTS_NS + 1);
        assert_eq!((paths.most(&a), paths.most(&b)), (None, Some(1280)));
        for n in 0..=255 {
            assert_eq!(paths.hear(IpAddress::v4(10, 1, 0, n), 1000, 1500, 5), Some(1000));
        }
        assert_eq!(paths.all.len(), MOST);
    }
}
