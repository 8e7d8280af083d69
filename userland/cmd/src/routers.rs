//! Servers of names that routers of IPv6 advertise (RFC 8106), as frames of Ethernet: what asks for them, what an
//! advertisement says, and which are known at a time. Whose an advertisement is cannot be known; it has to come from
//! the network itself (RFC 4861, section 6.1.2).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv6Addr;

/// Servers at most: others are of no use to anybody.
const MOST: usize = 4;
/// Types of messages of ICMP, and the numbers of options.
const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;
const LINK_ADDRESS: u8 = 1;
const SERVERS: u8 = 25;
/// Bytes of headers: Ethernet's and IP's; of an advertisement before its options.
const ETHERNET: usize = 14;
const IP: usize = 40;
const FIXED: usize = 16;
/// Seconds between one question and the next: half of the time that is left, but no less and no more.
const SOONEST: i64 = 30;
const LATEST: i64 = 1800;

/// What a router says.
#[derive(Debug, PartialEq, Eq)]
pub struct Advertised {
    /// Who it is.
    pub router: Ipv6Addr,
    /// Servers, and for how many seconds; [`u32::MAX`] for ever, 0 not any more.
    pub servers: Vec<(Ipv6Addr, u32)>,
}

/// The sum of a message of ICMP and what is before it, which is 0xffff when it is right.
fn sum(from: &[u8], to: &[u8], message: &[u8]) -> u16 {
    let len = (message.len() as u32).to_be_bytes();
    let all = [from, to, &len, &[0, 0, 0, 58], message];
    let mut sum = 0u32;
    for part in all {
        for pair in part.chunks(2) {
            let [high, low] = [pair.first(), pair.get(1)].map(|b| b.copied().unwrap_or(0));
            sum += u32::from(u16::from_be_bytes([high, low]));
        }
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The question for routers, from the card `mac`, whose address on its network is `near`.
pub fn solicitation(mac: [u8; 6], near: Ipv6Addr) -> Vec<u8> {
    let to = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2).octets();
    let from = near.octets();
    let mut message = [&[SOLICITATION, 0, 0, 0, 0, 0, 0, 0, LINK_ADDRESS, 1][..], &mac].concat();
    let sum = !sum(&from, &to, &message);
    message.iter_mut().skip(2).zip(sum.to_be_bytes()).for_each(|(place, byte)| *place = byte);
    let ethernet = [&[0x33, 0x33, 0, 0, 0, 2][..], &mac, &[0x86, 0xdd]].concat();
    let ip = [&[0x60, 0, 0, 0, 0, message.len() as u8, 58, 255][..], &from, &to].concat();
    [ethernet, ip, message].concat()
}

/// What an advertisement says, if the frame is one.
pub fn advertised(frame: &[u8]) -> Option<Advertised> {
    let ip = frame.get(ETHERNET..).filter(|_| frame.get(12..14) == Some(&[0x86, 0xdd]))?;
    let (head, rest) = ip.split_at_checked(IP)?;
    let len = usize::from(u16::from_be_bytes(*head.get(4..)?.first_chunk()?));
    let message = rest.get(..len)?;
    let (from, to) = (head.get(8..24)?, head.get(24..)?);
    // Through no router, and nothing before the message.
    let is_near = head.first()? >> 4 == 6 && head.get(6..8) == Some(&[58, 255]);
    let router = Ipv6Addr::from(*from.first_chunk::<16>()?);
    if !is_near || router.segments()[0] & 0xffc0 != 0xfe80 {
        return None;
    }
    if message.get(..2)? != [ADVERTISEMENT, 0] || sum(from, to, message) != 0xffff {
        return None;
    }
    let mut options = message.get(FIXED..)?;
    let mut servers = Vec::new();
    while let Some((&kind, &words)) = options.first().zip(options.get(1)) {
        let Some((option, others)) = options.split_at_checked(usize::from(words) * 8).filter(|_| words != 0)
        else {
            // What makes no sense is not believed at all.
            return None;
        };
        options = others;
        if kind != SERVERS || words < 3 {
            continue;
        }
        let seconds = u32::from_be_bytes(*option.get(4..)?.first_chunk()?);
        let (addresses, _) = option.get(8..)?.as_chunks::<16>();
        let addresses = addresses.iter().map(|bytes| Ipv6Addr::from(*bytes)).filter(is_host);
        servers.extend(addresses.map(|address| (address, seconds)).take(MOST - servers.len().min(MOST)));
    }
    Some(Advertised { router, servers })
}

/// Whether somebody can have this address.
fn is_host(address: &Ipv6Addr) -> bool {
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast())
}

/// Servers that are known, and until when, in seconds of a clock that goes on.
#[derive(Debug, Default)]
pub struct Servers {
    known: Vec<(Ipv6Addr, i64)>,
    router: Option<Ipv6Addr>,
}

impl Servers {
    /// A router has said this now.
    pub fn hear(&mut self, said: &Advertised, now: i64) {
        self.router = Some(said.router);
        for (server, seconds) in &said.servers {
            let until = if *seconds == u32::MAX { i64::MAX } else { now.saturating_add(i64::from(*seconds)) };
            if let Some(known) = self.known.iter_mut().find(|(known, _)| known == server) {
                known.1 = until;
            } else if self.known.len() < MOST {
                self.known.push((*server, until));
            }
        }
    }

    /// Forgets those whose time is over.
    pub fn forget(&mut self, now: i64) {
        self.known.retain(|(_, until)| *until > now);
    }

    /// Seconds until it is to be asked again.
    pub fn wait(&self, now: i64) -> u32 {
        let left = self.known.iter().map(|(_, until)| until.saturating_sub(now) / 2).min().unwrap_or(LATEST);
        left.clamp(SOONEST, LATEST) as u32
    }

    /// As a record of ndb(6), for `/net/ndb`; nothing when there are none.
    pub fn ndb(&self, device: &str) -> String {
        let Some(router) = self.router.filter(|_| !self.known.is_empty()) else { return String::new() };
        let mut text = format!("ra={router} ether={device}\n");
        self.known.iter().for_each(|(server, _)| text += &format!("\tdns={server}\n"));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
    const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

    fn of(n: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, n)
    }

    fn option(seconds: u32, servers: &[Ipv6Addr]) -> Vec<u8> {
        let mut bytes = [&[SERVERS, 1 + 2 * servers.len() as u8, 0, 0][..], &seconds.to_be_bytes()].concat();
        servers.iter().for_each(|s| bytes.extend(s.octets()));
        bytes
    }

    /// An advertisement with these options.
    fn frame(from: Ipv6Addr, options: &[u8]) -> Vec<u8> {
        let (from, to) = (from.octets(), Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets());
        let fixed = [ADVERTISEMENT, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut message = [&fixed[..], options].concat();
        let sum = !sum(&from, &to, &message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let [high, low] = (message.len() as u16).to_be_bytes();
        let head = [0x33, 0x33, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 0x86, 0xdd, 0x60, 0, 0, 0, high, low, 58, 255];
        [&head[..], &from, &to, &message].concat()
    }

    #[test]
    fn what_routers_say_is_read() {
        let prefix = [&[3, 4, 64, 0xc0][..], &[0; 28]].concat();
        let options = [prefix, option(1800, &[of(3), of(4)]), option(u32::MAX, &[of(5)])].concat();
        let said = advertised(&frame(ROUTER, &options)).unwrap();
        assert_eq!(said.router, ROUTER);
        assert_eq!(said.servers, [(of(3), 1800), (of(4), 1800), (of(5), u32::MAX)]);
        // Bytes of the card may follow.
        assert!(advertised(&[frame(ROUTER, &options), Vec::from([0; 9])].concat()).is_some());
        assert_eq!(advertised(&frame(ROUTER, &[])).unwrap().servers, []);
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        let odd = option(9, &[group, Ipv6Addr::UNSPECIFIED, Ipv6Addr::LOCALHOST, of(1)]);
        assert_eq!(advertised(&frame(ROUTER, &odd)).unwrap().servers, [(of(1), 9)]);
        let many: Vec<_> = (0..100).map(of).collect();
        assert_eq!(advertised(&frame(ROUTER, &option(9, &many))).unwrap().servers.len(), MOST);
    }

    #[test]
    fn what_is_no_advertisement_is_not_believed() {
        let good = frame(ROUTER, &option(1800, &[of(3)]));
        for n in 0..good.len() {
            assert_eq!(advertised(&good[..n]), None, "{n}");
            let mut bad = good.clone();
            bad[n] ^= 0x11;
            // Whom the frame is from and for does not matter, nor what the sum does not cover.
            let counts = !(0..12).contains(&n) && !(15..18).contains(&n) && n != 14;
            assert!(!counts || advertised(&bad).is_none(), "{n}");
        }
        assert_eq!(advertised(&frame(of(2), &option(1800, &[of(3)]))), None, "not of this network");
        assert_eq!(advertised(&frame(ROUTER, &[SERVERS, 0, 0, 0, 0, 0, 0, 0])), None);
        assert_eq!(advertised(&frame(ROUTER, &[SERVERS, 3, 0, 0, 0, 0, 0, 0])), None);
        assert_eq!(advertised(&solicitation(MAC, ROUTER)), None);
    }

    #[test]
    fn a_question_is_right() {
        let f = solicitation(MAC, ROUTER);
        assert_eq!((&f[..6], &f[6..12], f.len()), (&[0x33, 0x33, 0, 0, 0, 2][..], &MAC[..], 70));
        assert_eq!((f[20], f[21], f[54]), (58, 255, 133));
        assert_eq!(sum(&f[22..38], &f[38..54], &f[54..]), 0xffff);
    }

    #[test]
    fn servers_are_known_for_their_time() {
        let mut servers = Servers::default();
        assert_eq!((servers.ndb("/net/ether0"), servers.wait(0)), (String::new(), 1800));
        let said = |list: &[(u16, u32)]| Advertised {
            router: ROUTER,
            servers: list.iter().map(|(n, seconds)| (of(*n), *seconds)).collect(),
        };
        servers.hear(&said(&[(3, 600), (4, u32::MAX)]), 1000);
        assert_eq!(
            servers.ndb("/net/ether0"),
            "ra=fe80::2 ether=/net/ether0\n\tdns=fec0::3\n\tdns=fec0::4\n"
        );
        assert_eq!((servers.wait(1000), servers.wait(1590)), (300, 30));
        servers.hear(&said(&[(3, 60)]), 1500);
        servers.forget(1559);
        assert_eq!(servers.known.len(), 2);
        servers.forget(1560);
        assert_eq!(servers.ndb("x"), "ra=fe80::2 ether=x\n\tdns=fec0::4\n");
        // It is taken back, and there is an end to them.
        servers.hear(&said(&[(4, 0)]), 1600);
        servers.forget(1600);
        assert_eq!(servers.ndb("x"), "");
        (0..100).for_each(|n| servers.hear(&said(&[(n, 100)]), 1600));
        assert_eq!(servers.known.len(), MOST);
    }
}
