//! What a server gives, as far as it makes sense, and what becomes of it: functions of a message and of texts.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::net::Ipv4Addr;

use smoltcp::wire::DhcpRepr;

/// A lease without an end.
const FOR_EVER: u32 = u32::MAX;
/// The shortest that a lease is taken to be, in seconds.
const SHORTEST: u32 = 60;

/// What a server has given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The machine's address.
    pub address: Ipv4Addr,
    /// Bits of the network.
    pub bits: u8,
    /// Who leads out of it.
    pub router: Option<Ipv4Addr>,
    /// Who knows names.
    pub servers: Vec<Ipv4Addr>,
    /// Who has given it.
    pub server: Ipv4Addr,
    /// Seconds that it lasts; none: for ever.
    pub seconds: Option<u32>,
    /// Seconds until it should be asked for again.
    pub renew: Option<u32>,
}

impl Lease {
    /// As a record of ndb(6), for `/net/ndb`.
    pub fn ndb(&self, device: &str, sys: Option<&str>) -> String {
        // IPv4's bits are the last of IPv6's.
        let mut text = format!("ip={} ipmask=/{}", self.address, 96 + u32::from(self.bits));
        let _ = match self.router {
            Some(router) => writeln!(text, " ipgw={router}"),
            None => writeln!(text),
        };
        if let Some(sys) = sys {
            let _ = writeln!(text, "\tsys={sys}");
        }
        self.servers.iter().for_each(|dns| drop(writeln!(text, "\tdns={dns}")));
        let _ = writeln!(text, "\tdhcp={} ether={device}", self.server);
        text
    }
}

/// What has become of a lease that was asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// It lasts as long as has been said before.
    Same,
    /// It lasts longer.
    Longer,
    /// It lasts longer, and gives something else.
    Other,
    /// It has been refused, or is over: nobody may use it any more.
    Nothing,
}

/// Whether a line of `/net/iproute` has all that is elsewhere go by `gateway`.
pub fn leads_out(line: &str, gateway: Ipv4Addr) -> bool {
    let mut words = line.split_ascii_whitespace();
    (words.next(), words.next()) == (Some("0.0.0.0"), Some("/96"))
        && words.next().and_then(|via| via.parse().ok()) == Some(gateway)
}

/// The records of `/net/ndb`, each with its lines.
fn records(ndb: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in ndb.lines().filter(|line| !line.trim().is_empty()) {
        match all.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(line),
            _ => all.push(line.into()),
        }
        if let Some(last) = all.last_mut() {
            last.push('\n');
        }
    }
    all
}

/// The value of a name in a record.
fn value<'a>(record: &'a str, name: &str) -> Option<&'a str> {
    record.split_ascii_whitespace().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Who has told what a record of a card says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A server of DHCP.
    ByServer,
    /// A router of IPv6.
    ByRouter,
}

/// What `/net/ndb` says but of this card by these.
pub fn others(ndb: &str, device: &str, by: Told) -> String {
    let is_one = |record: &String| {
        let is_routers = value(record, "ra").is_some();
        value(record, "ether") == Some(device) && is_routers == (by == Told::ByRouter)
    };
    records(ndb).into_iter().filter(|record| !is_one(record)).collect()
}

/// Who leads elsewhere as the other cards have heard it, the first of them first.
pub fn ways_out(others: &str) -> Vec<Ipv4Addr> {
    let way = |record: &String| value(record, "ipgw")?.parse().ok();
    records(others).iter().filter_map(way).collect()
}

/// The lease that an answer has; `None` when it makes no sense.
pub(super) fn lease(message: &DhcpRepr<'_>) -> Option<Lease> {
    let is_host =
        |a: &Ipv4Addr| !(a.is_unspecified() || a.is_broadcast() || a.is_multicast() || a.is_loopback());
    let address = Some(message.your_ip).filter(is_host)?;
    let server = message.server_identifier.filter(is_host)?;
    let bits = match message.subnet_mask.map(u32::from) {
        // Ones, then zeros. Not everything can be on this network.
        Some(0) => return None,
        Some(mask) if mask.leading_ones() + mask.trailing_zeros() == 32 => mask.leading_ones() as u8,
        Some(_) => return None,
        // Where nobody says, as it was before there were masks.
        None => match address.octets() {
            [..128, ..] => 8,
            [..192, ..] => 16,
            _ => 24,
        },
    };
    let seconds = match message.lease_duration {
        None | Some(FOR_EVER) => None,
        Some(seconds) => Some(seconds.max(SHORTEST)),
    };
    let renew = seconds.map(|all| message.renew_duration.unwrap_or(all / 2).clamp(SHORTEST / 2, all / 2));
    let servers = message.dns_servers.iter().flatten().copied().filter(is_host).collect();
    Some(Lease { address, bits, router: message.router.filter(is_host), servers, server, seconds, renew })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

    #[test]
    fn each_card_has_a_record_of_its_own() {
        let first =
            "ip=10.0.2.15 ipmask=/120 ipgw=10.0.2.2\n\tdns=10.0.2.3\n\tdhcp=10.0.2.2 ether=/net/ether0\n";
        let second = "ip=10.0.3.15 ipmask=/120 ipgw=10.0.3.2\n\tdhcp=10.0.3.2 ether=/net/ether1\n";
        let both = format!("{first}{second}\n");
        let of = |ndb: &str, device| others(ndb, device, Told::ByServer);
        assert_eq!(of(&both, "/net/ether1"), first);
        assert_eq!(of(&both, "/net/ether0"), second);
        assert_eq!(of(&both, "/net/ether"), format!("{first}{second}"));
        let routers = "ra=fe80::2 ether=/net/ether0\n\tdns=fec0::3\n";
        let all = format!("{first}{routers}{second}");
        assert_eq!(of(&all, "/net/ether0"), format!("{routers}{second}"));
        assert_eq!(others(&all, "/net/ether0", Told::ByRouter), format!("{first}{second}"));
        assert_eq!(ways_out(&both), [ROUTER, Ipv4Addr::new(10, 0, 3, 2)]);
        assert_eq!(ways_out("ip=10.0.2.15\n\tipgw=x\n\nipgw=\n"), [] as [Ipv4Addr; 0]);
    }

    #[test]
    fn the_way_out_is_known_among_routes() {
        let of = |line: &str| leads_out(line, ROUTER);
        let via = format!("0.0.0.0         /96  {ROUTER}        4    none   -");
        assert!(of(&via));
        for other in [
            via.replace("/96", "/104"),
            via.replace("0.0.0.0 ", "10.0.0.0 "),
            via.replace(&format!("{ROUTER}"), "10.9.9.9"),
            String::new(),
        ] {
            assert!(!of(&other), "{other}");
        }
    }
}
