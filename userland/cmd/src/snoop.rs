//! What a frame of Ethernet says, in one line, for snoop(8): the header, ARP, IP of both versions, and in it UDP, TCP
//! and ICMP. Nothing is believed: what is missing is told as cut short.

use alloc::format;
use alloc::string::String;
use core::fmt::Write;
use core::net::{Ipv4Addr, Ipv6Addr};

/// What a frame carries.
const IPV4: u16 = 0x800;
const ARP: u16 = 0x806;
const TAGGED: u16 = 0x8100;
const IPV6: u16 = 0x86dd;
/// Below this the type is a length.
const TYPES: u16 = 0x600;
/// What IP carries.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP6: u8 = 58;
/// Headers between IPv6 and what it carries: options of each hop, the way, fragments, options of the end.
const HOP: u8 = 0;
const ROUTE: u8 = 43;
const FRAGMENT: u8 = 44;
const OPTIONS: u8 = 60;

/// What has not been read yet of a frame.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (now, later) = self.0.split_first_chunk()?;
        self.0 = later;
        Some(*now)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn word(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn long(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn skip(&mut self, n: usize) -> Option<()> {
        self.0 = self.0.get(n..)?;
        Some(())
    }

    /// The same, but no more than `n` bytes of it.
    fn first(self, n: usize) -> Rest<'a> {
        Rest(self.0.get(..n).unwrap_or(self.0))
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// The line for a frame.
pub fn describe(frame: &[u8]) -> String {
    let mut out = String::new();
    if ethernet(&mut out, Rest(frame)).is_none() {
        out.push_str(if out.is_empty() { "cut short" } else { " (cut short)" });
    }
    out
}

/// Adds words; writing into a string cannot fail.
macro_rules! say {
    ($out:expr, $($arg:tt)*) => {{ let _ = write!($out, $($arg)*); }};
}

fn mac(bytes: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = bytes;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

fn ethernet(out: &mut String, mut rest: Rest<'_>) -> Option<()> {
    let (to, from) = (rest.take()?, rest.take()?);
    say!(out, "{} > {}", mac(from), mac(to));
    let mut kind = rest.word()?;
    if kind == TAGGED {
        say!(out, " vlan {}", rest.word()? & 0xfff);
        kind = rest.word()?;
    }
    match kind {
        IPV4 => ipv4(out, rest),
        ARP => arp(out, rest),
        IPV6 => ipv6(out, rest),
        ..TYPES => {
            say!(out, " 802.3 len {kind}");
            Some(())
        }
        _ => {
            say!(out, " type {kind:#06x} len {}", rest.len());
            Some(())
        }
    }
}

fn arp(out: &mut String, mut rest: Rest<'_>) -> Option<()> {
    let kinds = (rest.word()?, rest.word()?, rest.byte()?, rest.byte()?);
    let operation = rest.word()?;
    if kinds != (1, IPV4, 6, 4) {
        say!(out, " arp of other addresses");
        return Some(());
    }
    let (from, from_ip) = (rest.take()?, Ipv4Addr::from(rest.take::<4>()?));
    let (_, to_ip) = (rest.take::<6>()?, Ipv4Addr::from(rest.take::<4>()?));
    match operation {
        1 => say!(out, " arp who-has {to_ip} tell {from_ip}"),
        2 => say!(out, " arp {from_ip} is-at {}", mac(from)),
        other => say!(out, " arp operation {other}"),
    }
    Some(())
}

fn ipv4(out: &mut String, whole: Rest<'_>) -> Option<()> {
    let mut rest = whole;
    let first = rest.byte()?;
    if first >> 4 != 4 {
        say!(out, " ip of version {}", first >> 4);
        return Some(());
    }
    rest.skip(1)?;
    let len = usize::from(rest.word()?);
    let _id = rest.word()?;
    let fragment = rest.word()?;
    let (ttl, protocol, _sum) = (rest.byte()?, rest.byte()?, rest.word()?);
    let (from, to) = (Ipv4Addr::from(rest.take::<4>()?), Ipv4Addr::from(rest.take::<4>()?));
    say!(out, " ip {from} > {to} ttl {ttl}");
    let header = usize::from(first & 15) * 4;
    let mut body = whole.first(len);
    if header < 20 || body.skip(header).is_none() {
        return None;
    }
    let at = usize::from(fragment & 0x1fff) * 8;
    if fragment & 0x2000 != 0 || at != 0 {
        say!(out, " fragment at {at}");
    }
    // With the head of another fragment it would be read wrong.
    let protocol = if at != 0 { None } else { Some(protocol) };
    carried(out, protocol, body, len.saturating_sub(header))
}

fn ipv6(out: &mut String, mut rest: Rest<'_>) -> Option<()> {
    let first = rest.long()?;
    if first >> 28 != 6 {
        say!(out, " ip6 of version {}", first >> 28);
        return Some(());
    }
    let mut len = usize::from(rest.word()?);
    let (mut next, ttl) = (rest.byte()?, rest.byte()?);
    let (from, to) = (Ipv6Addr::from(rest.take::<16>()?), Ipv6Addr::from(rest.take::<16>()?));
    say!(out, " ip6 {from} > {to} ttl {ttl}");
    let mut rest = rest.first(len);
    let mut at = 0;
    // Each is longer than nothing, so this ends.
    while let HOP | ROUTE | FRAGMENT | OPTIONS = next {
        let mut header = rest;
        let (following, more) = (header.byte()?, header.byte()?);
        let size = if next == FRAGMENT { 8 } else { 8 + usize::from(more) * 8 };
        if next == FRAGMENT {
            at = usize::from(header.word()? & !7);
            say!(out, " fragment at {at}");
        }
        rest.skip(size)?;
        len = len.saturating_sub(size);
        next = following;
    }
    carried(out, (at == 0).then_some(next), rest, len)
}

/// What IP carries: `len` bytes as it says, of which `rest` are there.
fn carried(out: &mut String, protocol: Option<u8>, mut rest: Rest<'_>, len: usize) -> Option<()> {
    match protocol {
        Some(UDP) => {
            let (from, to) = (rest.word()?, rest.word()?);
            say!(out, " udp {from} > {to} len {}", len.saturating_sub(8));
            let (bytes, _sum) = (rest.word()?, rest.word()?);
            if usize::from(bytes) != len {
                say!(out, " of {}", bytes.saturating_sub(8));
            }
        }
        Some(TCP) => {
            let (from, to) = (rest.word()?, rest.word()?);
            say!(out, " tcp {from} > {to}");
            let (seq, ack, flags, window) = (rest.long()?, rest.long()?, rest.word()?, rest.word()?);
            let header = usize::from(flags >> 12) * 4;
            let letters = ['F', 'S', 'R', 'P', 'A', 'U', 'E', 'C'];
            let set = letters.iter().enumerate().filter(|(n, _)| flags >> n & 1 != 0);
            say!(out, " {} seq {seq} ack {ack} win {window}", set.map(|(_, c)| c).collect::<String>());
            say!(out, " len {}", len.saturating_sub(header));
        }
        Some(ICMP) => icmp(out, rest, len)?,
        Some(ICMP6) => icmp6(out, rest, len)?,
        Some(other) => {
            say!(out, " protocol {other} len {len}");
        }
        None => {
            say!(out, " len {len}");
        }
    }
    Some(())
}

fn icmp(out: &mut String, mut rest: Rest<'_>, len: usize) -> Option<()> {
    let (kind, code) = (rest.byte()?, rest.byte()?);
    let name = match kind {
        0 => "echo reply",
        3 => "unreachable",
        4 => "source quench",
        5 => "redirect",
        8 => "echo request",
        11 => "time exceeded",
        12 => "bad parameter",
        _ => "",
    };
    message(out, "icmp", name, kind, code, rest, len, matches!(kind, 0 | 8))
}

fn icmp6(out: &mut String, mut rest: Rest<'_>, len: usize) -> Option<()> {
    let (kind, code) = (rest.byte()?, rest.byte()?);
    let name = match kind {
        1 => "unreachable",
        2 => "too big",
        3 => "time exceeded",
        4 => "bad parameter",
        128 => "echo request",
        129 => "echo reply",
        130..=132 | 143 => "listeners",
        133 => "router solicitation",
        134 => "router advertisement",
        135 => "neighbour solicitation",
        136 => "neighbour advertisement",
        137 => "redirect",
        _ => "",
    };
    let before = rest;
    message(out, "icmp6", name, kind, code, rest, len, matches!(kind, 128 | 129))?;
    if matches!(kind, 135 | 136) {
        rest = before;
        rest.skip(6)?;
        say!(out, " {}", Ipv6Addr::from(rest.take::<16>()?));
    }
    Some(())
}

/// A message of ICMP: its name, or its numbers.
#[expect(clippy::too_many_arguments, reason = "both versions have the same parts")]
fn message(
    out: &mut String,
    protocol: &str,
    name: &str,
    kind: u8,
    code: u8,
    mut rest: Rest<'_>,
    len: usize,
    echo: bool,
) -> Option<()> {
    match name {
        "" => say!(out, " {protocol} {kind} code {code}"),
        _ if code != 0 => say!(out, " {protocol} {name} code {code}"),
        _ => say!(out, " {protocol} {name}"),
    }
    if echo {
        rest.skip(2)?;
        let (id, seq) = (rest.word()?, rest.word()?);
        say!(out, " id {id} seq {seq}");
    }
    say!(out, " len {}", len.saturating_sub(8));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// The bytes of hexadecimal digits.
    fn hex(digits: &str) -> Vec<u8> {
        let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    const HEAD: &str = "52540012 3456 52550a00 0202";

    #[test]
    fn frames_of_each_kind_are_told_in_a_line() {
        let head = "52:55:0a:00:02:02 > 52:54:00:12:34:56";
        for (rest, want) in [
            (
                "0806 0001 0800 06 04 0001 525400123456 0a00020f 000000000000 0a000202",
                "arp who-has 10.0.2.2 tell 10.0.2.15",
            ),
            (
                "0806 0001 0800 06 04 0002 52550a000202 0a000202 525400123456 0a00020f",
                "arp 10.0.2.2 is-at 52:55:0a:00:02:02",
            ),
            (
                "0800 45000054 00004000 40010000 0a00020f 0a000202 0800 0000 0001 0002",
                "ip 10.0.2.15 > 10.0.2.2 ttl 64 icmp echo request id 1 seq 2 len 56",
            ),
            (
                "0800 45000020 00000000 ff110000 0a00020f 0a000203 0400 0035 000c 0000 61626364",
                "ip 10.0.2.15 > 10.0.2.3 ttl 255 udp 1024 > 53 len 4",
            ),
            (
                "0800 45000028 00000000 40060000 0a00020f 0a000202 0400 0050 00000007 00000009 5012 ffff 0000 0000",
                "ip 10.0.2.15 > 10.0.2.2 ttl 64 tcp 1024 > 80 SA seq 7 ack 9 win 65535 len 0",
            ),
            (
                "0800 4500001c 00002001 40110000 0a00020f 0a000202 11223344 55667788",
                "ip 10.0.2.15 > 10.0.2.2 ttl 64 fragment at 8 len 8",
            ),
            (
                "86dd 60000000 0018 3a ff fe800000000000000000000000000001 ff0200000000000000000001ff000002 \
                 8700 0000 00000000 fe800000000000000000000000000002",
                "ip6 fe80::1 > ff02::1:ff00:2 ttl 255 icmp6 neighbour solicitation len 16 fe80::2",
            ),
            (
                "86dd 60000000 0010 00 40 fe800000000000000000000000000001 ff020000000000000000000000000016 \
                 3a00050200000000 8f00 0000 00000000",
                "ip6 fe80::1 > ff02::16 ttl 64 icmp6 listeners len 0",
            ),
            ("8100 0005 0806", "vlan 5 (cut short)"),
            ("88cc 0102", "type 0x88cc len 2"),
            ("0026 42", "802.3 len 38"),
            ("0800 65", "ip of version 6"),
        ] {
            assert_eq!(describe(&hex(&format!("{HEAD}{rest}"))), format!("{head} {want}"));
        }
    }

    #[test]
    fn what_is_cut_short_anywhere_is_told_so_and_nothing_breaks() {
        let whole = hex(&format!(
            "{HEAD} 86dd 60000000 0020 2c 40 fe800000000000000000000000000001 ff020000000000000000000000000016 \
             06 00 0000 00000000 0400 0050 00000007 00000009 5018 ffff 0000 0000 61626364"
        ));
        assert!(describe(&whole).ends_with(" fragment at 0 tcp 1024 > 80 PA seq 7 ack 9 win 65535 len 4"));
        for n in 0..whole.len() - 8 {
            assert!(
                describe(&whole[..n]).ends_with("cut short")
                    || describe(&whole[..n]).ends_with("(cut short)")
            );
        }
        // Noise of all kinds: whatever it says, it says it in one line.
        let mut noise = 12345u32;
        for kind in ["0800", "0806", "86dd", "8100"] {
            for _ in 0..2000 {
                let mut frame = hex(&format!("{HEAD}{kind}"));
                for _ in 0..noise % 80 {
                    noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    frame.push((noise >> 24) as u8);
                }
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                assert!(!describe(&frame).contains('\n'));
            }
        }
    }
}
