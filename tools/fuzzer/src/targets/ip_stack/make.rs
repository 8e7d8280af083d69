//! Makes a frame of an input's choices: mostly right, so that it gets far, and sometimes wrong in one place.

use super::card::{OURS, State, THEIRS};
use super::frame::{self, ACK, FIN, Flow, PSH, RST, SYN};
use super::input::Input;

/// Addresses of IPv4: ours first.
const V4: [[u8; 4]; 12] = [
    [10, 0, 0, 2],
    [10, 0, 0, 1],
    [10, 0, 0, 254],
    [255, 255, 255, 255],
    [224, 0, 0, 1],
    [10, 0, 0, 255],
    [127, 0, 0, 1],
    [0, 0, 0, 0],
    [192, 0, 2, 7],
    [10, 0, 0, 0],
    [10, 0, 0, 3],
    [239, 255, 255, 250],
];

/// Addresses of IPv6: ours first.
const V6: [[u8; 16]; 12] = [
    [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
    [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 2],
    [0; 16],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1],
    [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 255, 255, 255, 255],
    [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
];

/// Ports that somebody is at, and some that nobody is.
pub const PORTS: [u16; 8] = [80, 81, 53, 54, 7, 7000, 0, 65535];
/// Ports of callers.
const CALLERS: [u16; 6] = [5000, 5001, 53, 7, 0, 80];

/// An address, as often as not one that does no harm.
fn addr(input: &mut Input<'_>, is_v6: bool, usual: usize) -> Vec<u8> {
    let choice = usize::from(input.byte());
    let at = if choice < 140 { usual } else { choice % 12 };
    if is_v6 { V6[at].to_vec() } else { V4[at].to_vec() }
}

/// A difference that is often none and mostly small.
fn off(input: &mut Input<'_>) -> u32 {
    match input.byte() % 12 {
        0..6 => 0,
        6 => 1,
        7 => u32::MAX,
        8 => i32::from(input.byte() as i8) as u32,
        9 => u32::from(input.word()),
        10 => u32::from(input.word()).wrapping_neg(),
        _ => input.long(),
    }
}

/// A frame.
pub fn frame(input: &mut Input<'_>, state: &State) -> Vec<u8> {
    let what = input.byte() % 16;
    let is_v6 = what % 2 == 1;
    let (from, to) = (addr(input, is_v6, 1), addr(input, is_v6, 0));
    let (mut from, mut to) = (from, to);
    let (protocol, rest, hops) = match what {
        0..8 => {
            let (flow, rest) = tcp(input, state, &from, &to);
            (from, to) = (flow.to, flow.from);
            (6, rest, 64)
        }
        8 | 9 => {
            let ports = (input.of(&CALLERS), input.of(&PORTS[2..]));
            let data = input.raw(40);
            let mut rest = frame::udp(&from, &to, ports, &data);
            match input.byte() % 8 {
                6 => rest[6..8].fill(0),
                7 => rest[4..6].copy_from_slice(&input.word().to_be_bytes()),
                _ => {}
            }
            (17, rest, 64)
        }
        10 | 12 => (1, icmp(input, state, &from, &to), 64),
        11 | 13 => (58, icmpv6(input, state, &from, &to), if input.once_in(8) { 64 } else { 255 }),
        14 => {
            let frame = arp(input);
            return spoil(input, frame);
        }
        _ => {
            let protocol = input.of(&[2, 0, 43, 44, 50, 51, 58, 59, 60, 255]);
            (protocol, input.raw(80), 1)
        }
    };
    let mac = input.of(&[
        OURS,
        OURS,
        OURS,
        OURS,
        [255; 6],
        [0x33, 0x33, 0, 0, 0, 1],
        [1, 0, 0x5e, 0, 0, 1],
        THEIRS,
    ]);
    let packet = match from.len() {
        4 => {
            let (options, part) = match input.byte() % 8 {
                5 => (input.raw(41), 0),
                6 => (vec![], input.of(&[0x2000, 0x4000, 0x8000, 1, 0x3fff, 0x2001])),
                7 => (vec![], input.word()),
                _ => (vec![], 0),
            };
            frame::v4(hops, protocol, &from, &to, &options, part, &rest)
        }
        _ => {
            let (first, rest) = extended(input, protocol, rest);
            frame::v6(hops, first, &from, &to, &rest)
        }
    };
    let kind = if from.len() == 4 { 0x0800 } else { 0x86dd };
    spoil(input, frame::framed(mac, kind, &packet))
}

/// One place of a frame that is wrong, now and then.
fn spoil(input: &mut Input<'_>, mut frame: Vec<u8>) -> Vec<u8> {
    match input.byte() % 16 {
        11 => frame.truncate(usize::from(input.byte())),
        12 => frame.extend(input.raw(64)),
        13 | 14 => {
            let at = usize::from(input.byte()) % frame.len();
            frame[at] = input.byte();
        }
        15 => frame = [&frame[..14], &input.raw(100)].concat(),
        _ => {}
    }
    frame
}

fn arp(input: &mut Input<'_>) -> Vec<u8> {
    const MACS: [[u8; 6]; 6] = [THEIRS, OURS, [255; 6], [0; 6], [1, 0, 0x5e, 0, 0, 1], [2, 0, 0, 0, 0, 9]];
    let what = input.of(&[1, 2, 1, 2, 0, 3]);
    let from = (input.of(&MACS), addr(input, false, 1));
    let to = (input.of(&MACS), addr(input, false, 0));
    frame::arp(what, (from.0, &from.1), (to.0, &to.1))
}

/// A packet of TCP: of a connection that there is, or a new one.
fn tcp(input: &mut Input<'_>, state: &State, from: &[u8], to: &[u8]) -> (Flow, Vec<u8>) {
    let choice = usize::from(input.byte());
    let known = state.flows.get(choice % (state.flows.len() + 2));
    let is_known = known.is_some();
    let flow = known.cloned().unwrap_or_else(|| Flow {
        from: to.to_vec(),
        to: from.to_vec(),
        from_port: input.of(&PORTS),
        to_port: input.of(&CALLERS),
        theirs: 0,
        ours: 9000,
    });
    let flags = match input.byte() % 16 {
        0 if !is_known => SYN,
        0..5 => ACK,
        5 => SYN,
        6 => SYN | ACK,
        7 => FIN | ACK,
        8 => PSH | ACK,
        9 => RST,
        10 => RST | ACK,
        11 => SYN | FIN,
        12 => 0,
        13 => FIN,
        _ => input.byte(),
    };
    let seq = flow.ours.wrapping_add(off(input));
    let ack = flow.theirs.wrapping_add(off(input));
    let window = input.of(&[8000, 65535, 0, 1, 100, 1460]);
    let data = match input.byte() % 10 {
        0..4 => vec![],
        4 => vec![b'a'; 1],
        5 => vec![b'b'; 10],
        6 => vec![b'c'; 1000],
        7 => vec![b'd'; 1460],
        _ => input.raw(64),
    };
    let options = tcp_options(input);
    let mut rest = frame::tcp(&flow, seq, ack, flags, window, &options, &data);
    if input.once_in(12) {
        // A length of the header, or a pointer of what is urgent, that is wrong.
        let at = input.of(&[12, 18, 19, 16]);
        rest[at] = input.byte();
        if at != 16 {
            frame::set_sum(6, &flow.to, &flow.from, &mut rest, 16);
        }
    }
    (flow, rest)
}

fn tcp_options(input: &mut Input<'_>) -> Vec<u8> {
    let mut options = Vec::new();
    for _ in 0..input.byte() % 8 / 2 {
        match input.byte() % 10 {
            0 => options.push(1),
            1 => options.push(0),
            2 => options.extend([[2, 4], input.of(&[1460u16, 0, 1, 7, 536, 65535]).to_be_bytes()].concat()),
            3 => options.extend([3, 3, input.of(&[0, 7, 14, 15, 255])]),
            4 => options.extend([4, 2]),
            5 => {
                let count = input.byte() % 5;
                options.extend([5, 2 + 8 * count]);
                (0..2 * count).for_each(|_| options.extend(9000u32.wrapping_add(off(input)).to_be_bytes()));
            }
            6 => {
                options.extend([8, 10]);
                options.extend(input.long().to_be_bytes());
                options.extend(input.long().to_be_bytes());
            }
            _ => {
                options.extend([input.byte(), input.byte()]);
                options.extend(input.raw(12));
            }
        }
    }
    options.truncate(40);
    options
}

/// The packet that a message is about: the stack's last, or one that it never sent.
fn about(input: &mut Input<'_>, state: &State, from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut packet = match input.byte() % 4 {
        0 | 1 if !state.last.is_empty() => state.last[..state.last.len().min(80)].to_vec(),
        2 => return input.raw(60),
        _ => {
            let ports = (input.of(&PORTS), input.of(&CALLERS));
            let rest = frame::udp(to, from, ports, b"");
            match from.len() {
                4 => frame::v4(64, input.of(&[17, 6, 1, 0]), to, from, &[], 0, &rest),
                _ => frame::v6(64, input.of(&[17, 6, 58, 0]), to, from, &rest),
            }
        }
    };
    if input.once_in(4) {
        packet.truncate(usize::from(input.byte()));
    }
    packet
}

fn icmp(input: &mut Input<'_>, state: &State, from: &[u8], to: &[u8]) -> Vec<u8> {
    let kind = input.of(&[8, 0, 3, 3, 11, 5, 12, 4, 13, 17, 9, 10]);
    let mut rest = match kind {
        0 | 8 => [&[kind, 0, 0, 0, 0, 1, 0, 1][..], &input.raw(60)].concat(),
        _ => {
            let head = [kind, input.byte() % 18, 0, 0, 0, 0, input.byte(), input.byte()];
            [&head[..], &about(input, state, from, to)].concat()
        }
    };
    frame::set_sum(1, from, to, &mut rest, 2);
    rest
}

fn icmpv6(input: &mut Input<'_>, state: &State, from: &[u8], to: &[u8]) -> Vec<u8> {
    let kind = input.of(&[128, 129, 135, 136, 134, 137, 133, 1, 2, 3, 4, 130, 131, 132, 143, 155, 0]);
    let mut rest = vec![kind, input.of(&[0, 0, 0, 1, 4, 255]), 0, 0];
    match kind {
        128 | 129 => {
            rest.extend([0, 1, 0, 1]);
            rest.extend(input.raw(60));
        }
        133..138 => {
            rest.extend([input.of(&[0x60, 0, 0xff, 0x40]), input.byte(), input.byte(), input.byte()]);
            match kind {
                133 => {}
                134 => rest.extend([input.long().to_be_bytes(), input.long().to_be_bytes()].concat()),
                137 => rest.extend([addr(input, true, 2), addr(input, true, 0)].concat()),
                _ => rest.extend(addr(input, true, usize::from(kind == 136))),
            }
            for _ in 0..input.byte() % 4 {
                let option = input.of(&[1, 2, 3, 4, 5, 6, 0]);
                let len = match option {
                    1 | 2 | 5 => 1,
                    3 => 4,
                    _ => input.byte() % 8,
                };
                let len = if input.once_in(8) { input.byte() } else { len };
                rest.extend([option, len]);
                let mut body = input.raw(40);
                if input.once_in(2) {
                    body = [&THEIRS[..], &body].concat();
                }
                body.resize(usize::from(len % 8 * 8).saturating_sub(2), 1);
                rest.extend(body);
            }
        }
        1..5 => {
            rest.extend([0, 0, input.byte(), input.byte()]);
            rest.extend(about(input, state, from, to));
        }
        _ => rest.extend(input.raw(60)),
    }
    frame::set_sum(58, from, to, &mut rest, 2);
    rest
}

/// Extension headers before what a packet carries: the first protocol, and all of it.
fn extended(input: &mut Input<'_>, protocol: u8, rest: Vec<u8>) -> (u8, Vec<u8>) {
    let (mut first, mut packet) = (protocol, rest);
    for _ in 0..(input.byte() % 12).saturating_sub(8) {
        let kind = input.of(&[0, 60, 43, 44, 0, 51]);
        let mut head = vec![first, 0];
        match kind {
            44 => head.extend([input.byte(), input.byte(), 0, 0, 0, 1]),
            43 => head.extend([input.byte() % 5, input.byte(), 0, 0, 0, 0]),
            _ => match input.byte() % 6 {
                0 => head.extend([1, 4, 0, 0, 0, 0]),
                1 => head.extend([5, 2, 0, 0, 1, 0]),
                2 => head.extend([0; 6]),
                3 => head.extend([0xc2, 4, 0, 1, 0, 0]),
                4 => head.extend([input.byte(), 4, 0, 0, 0, 0]),
                _ => {
                    head[1] = input.byte() % 4;
                    head.extend(input.raw(32));
                    head.resize(8 + 8 * usize::from(head[1]), 0);
                }
            },
        }
        if input.once_in(8) {
            head[1] = input.byte();
        }
        packet = [head, packet].concat();
        first = kind;
    }
    (first, packet)
}
