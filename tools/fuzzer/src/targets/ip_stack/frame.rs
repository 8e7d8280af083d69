//! Frames, put together as they should be: whole headers, lengths and sums. What is wrong with them is in
//! [`make`](super::make).

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;

/// A connection as the stack sends on it: `from` is the stack's end.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    pub from: Vec<u8>,
    pub to: Vec<u8>,
    pub from_port: u16,
    pub to_port: u16,
    /// The number that the stack sends next.
    pub theirs: u32,
    /// The number that it expects.
    pub ours: u32,
}

impl Flow {
    /// The flow of a packet that the stack sent, its flags, and its bytes.
    pub fn of(packet: &[u8]) -> Option<(Flow, u8, &[u8])> {
        let (from, to, rest) = match packet.first()? >> 4 {
            4 if packet[9] == 6 => (&packet[12..16], &packet[16..20], &packet[20..]),
            6 if packet[6] == 6 => (&packet[8..24], &packet[24..40], &packet[40..]),
            _ => return None,
        };
        let word = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
        let long = |at: usize| u32::from(word(at)) << 16 | u32::from(word(at + 2));
        let data = &rest[usize::from(rest[12] >> 4) * 4..];
        let flags = rest[13];
        let counts = u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        let flow = Flow {
            from: from.to_vec(),
            to: to.to_vec(),
            from_port: word(0),
            to_port: word(2),
            theirs: long(4).wrapping_add(data.len() as u32).wrapping_add(counts),
            ours: long(8),
        };
        Some((flow, flags, data))
    }

    /// Whether both are between the same ends.
    pub fn is_same(&self, other: &Flow) -> bool {
        let ends = |f: &Flow| (f.from.clone(), f.to.clone(), f.from_port, f.to_port);
        ends(self) == ends(other)
    }
}

/// The Internet's sum over these bytes.
fn sum(pieces: &[&[u8]]) -> [u8; 2] {
    let words = pieces.iter().flat_map(|p| p.chunks(2));
    let word = |w: &[u8]| u64::from(w[0]) << 8 | u64::from(w.get(1).copied().unwrap_or(0));
    let mut sum = words.map(word).sum::<u64>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!sum as u16).to_be_bytes()
}

/// Writes the sum of a packet of this protocol into it.
pub fn set_sum(protocol: u8, from: &[u8], to: &[u8], rest: &mut [u8], at: usize) {
    if rest.len() < at + 2 {
        return;
    }
    rest[at..at + 2].fill(0);
    let [high, low] = (rest.len() as u16).to_be_bytes();
    let check = match protocol {
        // ICMP of IPv4 has no addresses in it.
        1 | 2 => sum(&[rest]),
        _ => sum(&[from, to, &[0, protocol, high, low], rest]),
    };
    rest[at..at + 2].copy_from_slice(&check);
}

/// A packet of TCP to the stack, with its sum. `options` are filled up with noughts.
pub fn tcp(flow: &Flow, seq: u32, ack: u32, flags: u8, window: u16, options: &[u8], data: &[u8]) -> Vec<u8> {
    let head = (20 + options.len()).next_multiple_of(4).min(60);
    let mut rest = [flow.to_port.to_be_bytes(), flow.from_port.to_be_bytes()].concat();
    rest.extend(seq.to_be_bytes());
    rest.extend(ack.to_be_bytes());
    rest.extend([(head as u8 / 4) << 4, flags]);
    rest.extend(window.to_be_bytes());
    rest.extend([0; 4]);
    rest.extend(options);
    rest.resize(head, 0);
    rest.extend(data);
    set_sum(6, &flow.to, &flow.from, &mut rest, 16);
    rest
}

/// A packet of UDP, with its sum.
pub fn udp(from: &[u8], to: &[u8], ports: (u16, u16), data: &[u8]) -> Vec<u8> {
    let mut rest = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    rest.extend((8 + data.len() as u16).to_be_bytes());
    rest.extend([0; 2]);
    rest.extend(data);
    set_sum(17, from, to, &mut rest, 6);
    rest
}

/// A header of IPv4, with options, and what is behind it; `part` is the word with the place of a fragment.
pub fn v4(hops: u8, protocol: u8, from: &[u8], to: &[u8], options: &[u8], part: u16, rest: &[u8]) -> Vec<u8> {
    let head = (20 + options.len()).next_multiple_of(4).min(60);
    let mut ip = vec![0x40 | (head as u8 / 4), 0];
    ip.extend(((head + rest.len()) as u16).to_be_bytes());
    ip.extend([0, 1]);
    ip.extend(part.to_be_bytes());
    ip.extend([hops, protocol, 0, 0]);
    ip.extend(from);
    ip.extend(to);
    ip.extend(options);
    ip.resize(head, 0);
    let check = sum(&[&ip]);
    ip[10..12].copy_from_slice(&check);
    ip.extend(rest);
    ip
}

/// A header of IPv6 and what is behind it.
pub fn v6(hops: u8, protocol: u8, from: &[u8], to: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x60, 0, 0, 0];
    ip.extend((rest.len() as u16).to_be_bytes());
    ip.extend([protocol, hops]);
    ip.extend(from);
    ip.extend(to);
    ip.extend(rest);
    ip
}

/// A frame with a plain packet between these addresses, of either length.
pub fn ethernet(mac: [u8; 6], hops: u8, protocol: u8, from: &[u8], to: &[u8], rest: &[u8]) -> Vec<u8> {
    match from.len() {
        4 => framed(mac, 0x0800, &v4(hops, protocol, from, to, &[], 0, rest)),
        _ => framed(mac, 0x86dd, &v6(hops, protocol, from, to, rest)),
    }
}

/// A frame to this card.
pub fn framed(mac: [u8; 6], kind: u16, packet: &[u8]) -> Vec<u8> {
    [&mac[..], &super::card::THEIRS, &kind.to_be_bytes(), packet].concat()
}

/// A frame of ARP.
pub fn arp(what: u16, from: ([u8; 6], &[u8]), to: ([u8; 6], &[u8])) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4];
    packet.extend(what.to_be_bytes());
    packet.extend(from.0);
    packet.extend(from.1);
    packet.extend(to.0);
    packet.extend(to.1);
    framed(super::card::OURS, 0x0806, &packet)
}
