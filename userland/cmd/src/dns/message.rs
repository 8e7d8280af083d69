//! Questions and answers as bytes (RFC 1035): a query of one question, and what of a reply answers it. The formats are
//! smoltcp's; of a reply nothing is believed but records whose owner was asked for, or is where an alias leads.
//!
//! A reply is anybody's. It makes at most [`RECORDS`] records of at most [`VALUE`] bytes each, whatever it says, and
//! no text with characters that would be more than a word to who reads it.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write;
use core::net::IpAddr;

use smoltcp::wire::{
    DnsFlags, DnsOpcode, DnsPacket, DnsQueryType as Type, DnsQuestion, DnsRcode, DnsRecord, DnsRecordData,
    DnsRepr,
};

/// Most records of an answer.
pub const RECORDS: usize = 32;
/// Most bytes in the text of a record.
pub const VALUE: usize = 1024;
/// Records of a reply that are looked at.
const LOOKED_AT: usize = 256;
/// Bytes of a name in text.
const NAME: usize = 253;
/// Aliases that are followed within a reply.
const ALIASES: usize = 8;
/// Seconds that it is believed that there is nothing, where the reply does not say.
const NOTHING_SECONDS: u32 = 60;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An address of IPv4.
    Ip,
    /// An address of IPv6.
    Ipv6,
    /// The name of an address.
    Ptr,
    /// Who takes mail.
    Mx,
    /// Who knows names.
    Ns,
    /// What it is another name of.
    Cname,
    /// Who keeps a zone.
    Soa,
    /// Words.
    Txt,
    /// Where a service is.
    Srv,
}

/// Words of dns(8) and numbers of RFC 1035 and 2782.
const KINDS: [(Kind, &str, u16); 9] = [
    (Kind::Ip, "ip", 1),
    (Kind::Ipv6, "ipv6", 28),
    (Kind::Ptr, "ptr", 12),
    (Kind::Mx, "mx", 15),
    (Kind::Ns, "ns", 2),
    (Kind::Cname, "cname", 5),
    (Kind::Soa, "soa", 6),
    (Kind::Txt, "txt", 16),
    (Kind::Srv, "srv", 33),
];

impl Kind {
    /// The kind that this word is, as `ip`; `a` and `aaaa` are words for the first two.
    pub fn parse(word: &str) -> Option<Kind> {
        let word = match word {
            "a" => "ip",
            "aaaa" => "ipv6",
            word => word,
        };
        KINDS.iter().find(|(_, name, _)| *name == word).map(|(kind, ..)| *kind)
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        KINDS.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, name, _)| name)
    }

    fn number(self) -> u16 {
        KINDS.iter().find(|(kind, ..)| *kind == self).map_or(0, |(.., number)| *number)
    }
}

/// A record: whose it is, and its value as dns(8) shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The name that it is of.
    pub owner: String,
    /// What it is.
    pub kind: Kind,
    /// What it says.
    pub value: String,
}

/// What a reply says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Records, for so many seconds.
    Records(Vec<Record>, u32),
    /// There is no such name, for so many seconds.
    NoName(u32),
    /// There are no such records, for so many seconds.
    NoRecords(u32),
    /// It is another name for this one, of which the reply says nothing.
    Alias(String, u32),
    /// It is not complete: it should be asked for by TCP.
    Cut,
    /// The server cannot or does not want to answer.
    Failed,
}

/// A name as it is asked for: small letters, no dot at the end; none for what is no name.
pub fn name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| (1..64).contains(&label.len()) && label.bytes().all(may_be_in_name);
    (text.len() <= NAME && text.split('.').all(is_label)).then(|| text.to_ascii_lowercase())
}

/// The name under which the name of an address is asked for.
pub fn name_of(address: IpAddr) -> String {
    let mut name = String::new();
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            name = format!("{d}.{c}.{b}.{a}.in-addr.arpa");
        }
        IpAddr::V6(v6) => {
            for byte in v6.octets().iter().rev() {
                let _ = write!(name, "{:x}.{:x}.", byte & 15, byte >> 4);
            }
            name.push_str("ip6.arpa");
        }
    }
    name
}

/// What hosts, and the records about them, are called by. Nothing of it means anything to cs(8) or a shell's words.
fn may_be_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/')
}

/// The question as a message.
pub fn query(id: u16, name: &str, kind: Kind) -> Vec<u8> {
    let mut labels = Vec::new();
    for label in name.split('.') {
        // `name` has seen to the length.
        labels.push(u8::try_from(label.len()).unwrap_or(0));
        labels.extend(label.bytes());
    }
    labels.push(0);
    let question = DnsQuestion { name: &labels, type_: Type::from(kind.number()) };
    let flags = DnsFlags::RECURSION_DESIRED;
    let repr = DnsRepr { transaction_id: id, opcode: DnsOpcode::Query, flags, question };
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut DnsPacket::new_unchecked(bytes.as_mut_slice()));
    bytes
}

/// What a message says about a question; none if it is no reply to it.
pub fn read(id: u16, asked: &str, kind: Kind, bytes: &[u8]) -> Option<Answer> {
    let packet = DnsPacket::new_checked(bytes).ok()?;
    let is_reply = packet.flags().contains(DnsFlags::RESPONSE) && packet.opcode() == DnsOpcode::Query;
    if !is_reply || packet.transaction_id() != id || packet.question_count() != 1 {
        return None;
    }
    let (mut rest, question) = DnsQuestion::parse(packet.payload()).ok()?;
    if question.type_ != Type::from(kind.number()) || text(&packet, question.name)? != asked {
        return None;
    }
    if packet.flags().contains(DnsFlags::TRUNCATED) {
        return Some(Answer::Cut);
    }
    let answers = usize::from(packet.answer_record_count());
    let all = answers + usize::from(packet.authority_record_count());
    let mut records = Vec::new();
    for _ in 0..all.min(LOOKED_AT) {
        // What is not to be understood ends it: what was before still counts.
        let Ok((behind, record)) = DnsRecord::parse(rest) else { break };
        records.push(record);
        rest = behind;
    }
    let (answers, authority) = records.split_at(answers.min(records.len()));
    match packet.rcode() {
        DnsRcode::NoError => Some(answer(&packet, asked, kind, answers, authority)),
        DnsRcode::NXDomain => Some(Answer::NoName(nothing_seconds(authority))),
        _ => Some(Answer::Failed),
    }
}

/// What the records say about a name that is there.
fn answer(
    packet: &DnsPacket<&[u8]>,
    asked: &str,
    kind: Kind,
    records: &[DnsRecord<'_>],
    authority: &[DnsRecord<'_>],
) -> Answer {
    let owned: Vec<_> = records.iter().filter_map(|r| Some((text(packet, r.name)?, r))).collect();
    let (mut owner, mut seconds) = (asked, u32::MAX);
    let mut aliased = None;
    for _ in 0..=ALIASES {
        let mut found = Vec::new();
        for (_, record) in owned.iter().filter(|(name, _)| name == owner) {
            let Some(value) = value(packet, kind, record) else { continue };
            if found.len() < RECORDS {
                found.push(Record { owner: owner.into(), kind, value });
                seconds = seconds.min(record.ttl);
            }
        }
        if !found.is_empty() {
            return Answer::Records(found, seconds);
        }
        let mut aliases = owned.iter().filter(|(name, _)| name == owner).filter_map(|(_, record)| {
            let DnsRecordData::Cname(to) = record.data else { return None };
            Some((text(packet, to)?, record.ttl))
        });
        let Some((to, ttl)) = aliases.next() else { break };
        seconds = seconds.min(ttl);
        aliased = Some(to);
        // The name has to live as long as the list.
        match owned.iter().find(|(name, _)| Some(name) == aliased.as_ref()) {
            Some((name, _)) => owner = name,
            None => break,
        }
    }
    match aliased {
        Some(to) => Answer::Alias(to, seconds),
        None => Answer::NoRecords(nothing_seconds(authority)),
    }
}

/// How long it may be believed that there is nothing (RFC 2308).
fn nothing_seconds(authority: &[DnsRecord<'_>]) -> u32 {
    let minimum = authority.iter().find_map(|record| match record.data {
        DnsRecordData::Other(Type::Soa, data) => {
            Some(u32::from_be_bytes(*data.last_chunk()?).min(record.ttl))
        }
        _ => None,
    });
    minimum.unwrap_or(NOTHING_SECONDS)
}

/// The value of a record, if it is of this kind and makes sense.
fn value(packet: &DnsPacket<&[u8]>, kind: Kind, record: &DnsRecord<'_>) -> Option<String> {
    let number = |data: &[u8], at: usize| {
        let bytes = data.get(at..at + 2)?.first_chunk()?;
        Some(u16::from_be_bytes(*bytes))
    };
    let value = match (kind, &record.data) {
        (Kind::Ip, DnsRecordData::A(address)) => format!("{address}"),
        (Kind::Ipv6, DnsRecordData::Aaaa(address)) => format!("{address}"),
        (Kind::Cname, DnsRecordData::Cname(name)) => text(packet, name)?,
        (kind, DnsRecordData::Other(is, data)) if *is == Type::from(kind.number()) => match kind {
            Kind::Ptr | Kind::Ns => text(packet, data)?,
            Kind::Mx => format!("{} {}", number(data, 0)?, text(packet, data.get(2..)?)?),
            Kind::Srv => {
                let [first, second, port] = [number(data, 0)?, number(data, 2)?, number(data, 4)?];
                format!("{first} {second} {port} {}", text(packet, data.get(6..)?)?)
            }
            Kind::Txt => words(data)?,
            Kind::Soa => soa(packet, data)?,
            Kind::Ip | Kind::Ipv6 | Kind::Cname => return None,
        },
        _ => return None,
    };
    (value.len() <= VALUE).then_some(value)
}

/// Two names and five numbers.
fn soa(packet: &DnsPacket<&[u8]>, data: &[u8]) -> Option<String> {
    let mailbox = behind_name(data)?;
    let numbers = behind_name(mailbox)?;
    let mut shown = format!("{} {}", text(packet, data)?, text(packet, mailbox)?);
    for number in numbers.as_chunks::<4>().0.iter().take(5) {
        let _ = write!(shown, " {}", u32::from_be_bytes(*number));
    }
    (numbers.len() >= 20).then_some(shown)
}

/// Strings with their lengths before them, as one text.
fn words(mut data: &[u8]) -> Option<String> {
    let mut bytes = Vec::new();
    while let Some((len, rest)) = data.split_first() {
        let (word, behind) = rest.split_at_checked((*len).into())?;
        bytes.extend_from_slice(word);
        data = behind;
    }
    // One line, whatever it is.
    let picture = |c: char| match u32::from(c) {
        c @ 0..32 => char::from_u32(0x2400 + c).unwrap_or(' '),
        0x7f => '\u{2421}',
        _ if c.is_control() => '\u{fffd}',
        _ => c,
    };
    Some(String::from_utf8_lossy(&bytes).chars().map(picture).collect())
}

/// The name that these bytes are, with what they refer to.
fn text(packet: &DnsPacket<&[u8]>, bytes: &[u8]) -> Option<String> {
    let mut text = String::new();
    for label in packet.parse_name(bytes) {
        let label = label.ok()?;
        if text.len() + label.len() >= NAME || !label.iter().copied().all(may_be_in_name) {
            return None;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
    }
    (!text.is_empty()).then_some(text)
}

/// What is behind a name.
fn behind_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (len, rest) = bytes.split_first()?;
        match len {
            0 => return Some(rest),
            1..64 => bytes = rest.get(usize::from(*len)..)?,
            _ => return rest.get(1..),
        }
    }
}
