//! Addresses as Plan 9 writes them: `127.0.0.1!80`, `::1!80`, `*!80`, masks as `/120`. An IPv4 address is an IPv6 one
//! with a fixed front, `v4-mapped`, and is written with dots.

use core::fmt;

pub use smoltcp::wire::{IpAddress, IpCidr};
use smoltcp::wire::{Ipv4Address, Ipv6Address};

use crate::error::{BAD_ADDRESS, BAD_MASK, BAD_PORT, BAD_REMOTE_PORT, Result};

/// An address and a port; no address is any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Local {
    /// One of the machine's addresses.
    pub addr: Option<IpAddress>,
    /// 0 is none.
    pub port: u16,
}

/// The address that this text is; none for `*`, `::` and `0.0.0.0`, which are any.
///
/// # Errors
/// `bad ip address`.
pub fn parse_any(text: &str) -> Result<Option<IpAddress>> {
    if text == "*" {
        return Ok(None);
    }
    parse(text).map(|addr| if addr.is_unspecified() { None } else { Some(addr) })
}

/// The address that this text is.
///
/// # Errors
/// `bad ip address`.
pub fn parse(text: &str) -> Result<IpAddress> {
    if let Some(addr) = short_v4(text) {
        return Ok(addr.into());
    }
    let addr: Ipv6Address = text.parse().map_err(|_| BAD_ADDRESS)?;
    Ok(from_v6(addr))
}

/// `127.1` and `10` are IPv4 addresses as well: the last number fills what is missing in front of it with zeros.
fn short_v4(text: &str) -> Option<Ipv4Address> {
    let mut bytes = [0; 4];
    let mut count = 0;
    for part in text.split('.') {
        let digits = part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
        *bytes.get_mut(count)? = if digits { part.parse().ok()? } else { return None };
        count += 1;
    }
    let [a, b, c, d] = bytes;
    let bytes = match count {
        2 => [a, 0, 0, b],
        3 => [a, b, 0, c],
        4 => [a, b, c, d],
        _ => return None,
    };
    Some(Ipv4Address::from(bytes))
}

/// An address of sixteen bytes; a mapped one is an IPv4 address.
pub fn from_v6(addr: Ipv6Address) -> IpAddress {
    match addr.to_ipv4_mapped() {
        Some(v4) => v4.into(),
        None => addr.into(),
    }
}

/// The sixteen bytes of an address.
pub fn to_bytes(addr: Option<IpAddress>) -> [u8; 16] {
    match addr {
        None => [0; 16],
        Some(IpAddress::Ipv4(v4)) => v4.to_ipv6_mapped().octets(),
        Some(IpAddress::Ipv6(v6)) => v6.octets(),
    }
}

/// The address in these bytes; none for zeros, and for IPv4's zeros.
pub fn from_bytes(bytes: [u8; 16]) -> Option<IpAddress> {
    let addr = from_v6(Ipv6Address::from(bytes));
    if addr.is_unspecified() { None } else { Some(addr) }
}

/// `ADDRESS!PORT`, or `PORT` alone, which is any address. A port may be a number only; `*` is none.
///
/// # Errors
/// `bad ip address`, `bad local port`.
pub fn parse_local(text: &str) -> Result<Local> {
    let (addr, port) = match text.rsplit_once('!') {
        Some((addr, port)) => (parse_any(addr)?, port),
        None => (None, text),
    };
    let port = if port == "*" { 0 } else { port.parse().map_err(|_| BAD_PORT)? };
    Ok(Local { addr, port })
}

/// `ADDRESS!PORT` of somebody else.
///
/// # Errors
/// `bad ip address`, `bad remote port`.
pub fn parse_remote(text: &str) -> Result<Local> {
    parse_local(text).map_err(|e| if e == BAD_PORT { BAD_REMOTE_PORT } else { e })
}

/// The mask `/120` or `255.255.255.0` as the length of a prefix of an address of this kind.
///
/// # Errors
/// `bad ip mask`.
pub fn parse_mask(text: &str, addr: &IpAddress) -> Result<u8> {
    let most = if matches!(addr, IpAddress::Ipv4(_)) { 32 } else { 128 };
    let len = match text.strip_prefix('/') {
        Some(bits) => {
            let bits: u8 = bits.parse().map_err(|_| BAD_MASK)?;
            // Counted over all 128 bits; for an IPv4 address a small number is its own.
            if most == 32 && bits >= 96 { bits - 96 } else { bits }
        }
        None => match parse(text).map_err(|_| BAD_MASK)? {
            IpAddress::Ipv4(v4) => ones(&v4.octets())?,
            IpAddress::Ipv6(v6) => {
                let bits = ones(&v6.octets())?;
                if most == 32 { bits.checked_sub(96).ok_or(BAD_MASK)? } else { bits }
            }
        },
    };
    if len <= most { Ok(len) } else { Err(BAD_MASK) }
}

/// How many bits of a mask are set, if those are the first.
fn ones(bytes: &[u8]) -> Result<u8> {
    let set: u32 = bytes.iter().map(|b| b.leading_ones()).sum();
    let all: u32 = bytes.iter().map(|b| b.count_ones()).sum();
    let in_front: u32 = bytes.iter().take_while(|b| **b == 0xff).count() as u32;
    let whole = in_front * 8 + bytes.get(in_front as usize).map_or(0, |b| b.leading_ones());
    if set == all && whole == all { u8::try_from(all).map_err(|_| BAD_MASK) } else { Err(BAD_MASK) }
}

/// Shows an address; none as `::`.
pub struct Shown(pub Option<IpAddress>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Through `pad`, so that it can stand in a column.
        let mut text = Short::default();
        match self.0 {
            None => return f.pad("::"),
            Some(IpAddress::Ipv4(v4)) => fmt::Write::write_fmt(&mut text, format_args!("{v4}"))?,
            Some(IpAddress::Ipv6(v6)) => fmt::Write::write_fmt(&mut text, format_args!("{v6}"))?,
        }
        f.pad(text.as_str())
    }
}

/// Shows the mask of a prefix, `/120`: counted over 128 bits.
pub struct Mask(pub IpCidr);

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = match self.0 {
            IpCidr::Ipv4(c) => 96 + u16::from(c.prefix_len()),
            IpCidr::Ipv6(c) => u16::from(c.prefix_len()),
        };
        let mut text = Short::default();
        fmt::Write::write_fmt(&mut text, format_args!("/{bits}"))?;
        f.pad(text.as_str())
    }
}

/// Text of at most 48 bytes, which is an address' longest.
#[derive(Default)]
struct Short {
    bytes: [[u8; 16]; 3],
    len: usize,
}

impl Short {
    fn as_str(&self) -> &str {
        let text = self.bytes.as_flattened().get(..self.len).unwrap_or(&[]);
        core::str::from_utf8(text).unwrap_or("")
    }
}

impl fmt::Write for Short {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.len + s.len();
        let room = self.bytes.as_flattened_mut().get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Whether it is 127.something or ::1.
pub fn is_loopback(addr: &IpAddress) -> bool {
    match addr {
        IpAddress::Ipv4(v4) => v4.is_loopback(),
        IpAddress::Ipv6(v6) => v6.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn addresses_are_read_and_written_as_plan_9_does() {
        for (text, shown) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("10.1.2", "10.1.0.2"),
            ("::1", "::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("fe80::5054:ff:fe12:3456", "fe80::5054:ff:fe12:3456"),
        ] {
            assert_eq!(Shown(Some(parse(text).unwrap())).to_string(), shown);
        }
        for any in ["*", "::", "0.0.0.0"] {
            assert_eq!(parse_any(any), Ok(None));
        }
        for bad in ["", "1", "1.2.3.4.5", "256.1.1.1", "a.b", "1..2", ":::", "+1.2.3.4", "127.0.0.1 "] {
            assert_eq!(parse(bad), Err(BAD_ADDRESS), "{bad}");
        }
        assert_eq!(std::format!("{:<12}|", Shown(Some(parse("1.2.3.4").unwrap()))), "1.2.3.4     |");
    }

    #[test]
    fn ends_are_an_address_and_a_port() {
        let one = parse("127.0.0.1").unwrap();
        assert_eq!(parse_local("127.0.0.1!80"), Ok(Local { addr: Some(one), port: 80 }));
        assert_eq!(parse_local("*!80"), Ok(Local { addr: None, port: 80 }));
        assert_eq!(parse_local("80"), Ok(Local { addr: None, port: 80 }));
        assert_eq!(parse_local("::1!0").unwrap().port, 0);
        assert_eq!(parse_local("*!*"), Ok(Local { addr: None, port: 0 }));
        assert_eq!(parse_local("*!http"), Err(BAD_PORT));
        assert_eq!(parse_local("*!65536"), Err(BAD_PORT));
        assert_eq!(parse_local("x!80"), Err(BAD_ADDRESS));
    }

    #[test]
    fn masks_are_lengths_and_addresses() {
        let (v4, v6) = (parse("10.0.0.1").unwrap(), parse("fd00::1").unwrap());
        for (text, addr, bits) in [
            ("/120", v4, 24),
            ("/24", v4, 24),
            ("255.255.255.0", v4, 24),
            ("0.0.0.0", v4, 0),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00", v4, 24),
            ("/64", v6, 64),
            ("ffff:ffff:ffff:ffff::", v6, 64),
        ] {
            assert_eq!(parse_mask(text, &addr), Ok(bits), "{text}");
        }
        for bad in ["/33", "/129", "255.0.255.0", "x", "/", "0.255.255.255"] {
            assert_eq!(parse_mask(bad, &v4), Err(BAD_MASK), "{bad}");
        }
        assert_eq!(Mask(IpCidr::new(v4, 24)).to_string(), "/120");
    }

    #[test]
    fn bytes_are_sixteen() {
        let one = parse("127.0.0.1").unwrap();
        assert_eq!(to_bytes(Some(one))[10..], [255, 255, 127, 0, 0, 1]);
        assert_eq!(from_bytes(to_bytes(Some(one))), Some(one));
        assert_eq!(from_bytes([0; 16]), None);
        assert_eq!(from_bytes(to_bytes(Some(parse("0.0.0.0").unwrap()))), None);
    }
}
