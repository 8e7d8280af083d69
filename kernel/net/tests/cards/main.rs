//! A stack with a card whose other end is the test: what goes by the wire, and what comes of what comes. There is no
//! service thread, and the time is the test's.

mod ends;
mod floods;
mod groups;
mod long;
mod neighbours;
mod paths;
mod places;
mod programs;
mod reads;
mod routers;
mod told;
mod tried;
mod two;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use machine::host::clock::host_advance;
use machine::host::heap::aside;
use net::address::{parse, parse_local};
use net::error::Result;
use net::{Bearer, Came, Card, Conversation, Offers, Open, Proto, Stack, text};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, IpAddress, Ipv4Address, Ipv4Packet, TcpControl,
    TcpPacket, TcpRepr, TcpSeqNumber, UdpPacket,
};

const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
const THEIRS: [u8; 6] = [2, 0, 0, 0, 0, 2];
const HERE: Ipv4Address = Ipv4Address::new(10, 0, 0, 2);
const THERE: Ipv4Address = Ipv4Address::new(10, 0, 0, 9);
const SECOND: u64 = 1_000_000_000;
/// By how much windows are shifted that we tell of, in a machine of this size.
const SHIFT: u8 = 7;
/// Those of a connection: the other's, and ours.
const PORTS: (u16, u16) = (5000, 80);

/// A card whose other end is the test.
#[derive(Default)]
struct Wire {
    offers: Offers,
    comes: Mutex<Vec<Vec<u8>>>,
    sent: Mutex<Vec<(Vec<u8>, Open)>>,
    full: AtomicBool,
    /// What comes again and again when nothing else does.
    endless: Mutex<Option<Vec<u8>>>,
    /// What others have than the usual.
    mac: Option<[u8; 6]>,
    mtu: Option<usize>,
}

impl Card for Wire {
    fn mac(&self) -> [u8; 6] {
        self.mac.unwrap_or(OURS)
    }

    fn mtu(&self) -> usize {
        self.mtu.unwrap_or(1500)
    }

    fn offers(&self) -> Offers {
        self.offers
    }

    fn receive(&self) -> Option<Came> {
        let mut comes = self.comes.lock().unwrap();
        let bytes = if comes.is_empty() { self.endless.lock().unwrap().clone()? } else { comes.remove(0) };
        Some(Came { bytes, is_summed: false })
    }

    fn dropped(&self) -> u64 {
        0
    }

    fn is_full(&self) -> bool {
        self.full.load(Ordering::SeqCst)
    }

    fn send(&self, frame: &[&[u8]], open: Open) -> bool {
        if self.is_full() {
            return false;
        }
        // What the test keeps is not the stack's.
        aside(|| self.sent.lock().unwrap().push((frame.concat(), open)));
        true
    }
}

struct World {
    stack: Arc<Stack>,
    wire: Arc<Wire>,
}

impl World {
    fn new() -> World {
        World::with(Offers::default())
    }

    /// 10.0.0.2 and fd00::2, with a gateway at 10.0.0.1.
    fn with(offers: Offers) -> World {
        machine::host::new_machine();
        let (stack, wire) = (Stack::new().unwrap(), Arc::new(Wire { offers, ..Wire::default() }));
        let ifc = stack.new_interface().unwrap();
        stack.bind_card(ifc, wire.clone(), "/net/ether0").unwrap();
        stack.add_address(ifc, HERE.into(), Some(24)).unwrap();
        stack.add_address(ifc, parse("fd00::2").unwrap(), Some(64)).unwrap();
        stack.add_route(parse("0.0.0.0").unwrap(), 0, parse("10.0.0.1").unwrap(), *b"test").unwrap();
        World { stack, wire }
    }

    fn open_as(&self, proto: Proto, owner: &str) -> Arc<Conversation> {
        let is_hosts = owner == "glenda";
        self.stack.open(proto, Bearer { owner: owner.into(), account: None, is_hosts }).unwrap()
    }

    fn open(&self, proto: Proto) -> Arc<Conversation> {
        self.open_as(proto, "glenda")
    }

    fn announce(&self, proto: Proto, at: &str) -> Arc<Conversation> {
        let c = self.open(proto);
        self.stack.announce(&c, parse_local(at).unwrap()).unwrap();
        c
    }

    /// A conversation of UDP with somebody.
    fn udp(&self, to: &str) -> Arc<Conversation> {
        let c = self.open(Proto::Udp);
        let to = parse_local(to).unwrap();
        self.stack.connect(&c, (to.addr.unwrap(), to.port).into(), None).unwrap();
        c
    }

    fn round(&self) {
        while self.stack.round().0 {}
    }

    fn comes(&self, frame: Vec<u8>) {
        self.wire.comes.lock().unwrap().push(frame);
        self.round();
    }

    fn passes(&self, ns: u64) {
        host_advance(ns);
        self.round();
    }

    /// What was sent since the last look.
    fn all_sent(&self) -> Vec<(Vec<u8>, Open)> {
        self.wire.sent.lock().unwrap().drain(..).collect()
    }

    /// The same, but what is told of the groups in which our addresses are asked for.
    fn sent(&self) -> Vec<(Vec<u8>, Open)> {
        let asked = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff];
        let is_told = |f: &[u8]| f[12..14] == [0x86, 0xdd] && f[20] == 0 && f[70..83] == asked;
        self.all_sent().into_iter().filter(|(f, _)| !is_told(f)).collect()
    }

    /// Somebody has said which card he has.
    fn knows(&self, addr: Ipv4Address) {
        self.comes(arp(ArpOperation::Request, addr, THEIRS));
        self.sent();
    }

    /// The port that a conversation has, and that of the other.
    fn ports(&self, c: &Conversation) -> (u16, u16) {
        let port = |text: String| text.trim_end().rsplit_once('!').unwrap().1.parse().unwrap();
        (port(text::local(&self.stack, c).unwrap()), port(text::remote(&self.stack, c).unwrap()))
    }
}

/// A message of ARP to us.
fn arp(operation: ArpOperation, from: Ipv4Address, mac: [u8; 6]) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(mac),
        source_protocol_addr: from,
        target_hardware_addr: EthernetAddress(OURS),
        target_protocol_addr: HERE,
    };
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut ArpPacket::new_unchecked(&mut bytes[..]));
    [&OURS[..], &mac, &[8, 6], &bytes].concat()
}

/// Which addresses were asked for by ARP, and by which frames.
fn asked(sent: &[(Vec<u8>, Open)]) -> Vec<Ipv4Address> {
    let target = |frame: &Vec<u8>| match ArpRepr::parse(&ArpPacket::new_checked(&frame[14..]).ok()?).ok()? {
        ArpRepr::EthernetIpv4 { operation: ArpOperation::Request, target_protocol_addr, .. } => {
            Some(target_protocol_addr)
        }
        _ => None,
    };
    sent.iter().filter(|(f, _)| f[12..14] == [8, 6]).filter_map(|(f, _)| target(f)).collect()
}

/// A frame of IPv4 to us, with any sums that it needs.
fn v4(protocol: u8, from: Ipv4Address, rest: &[u8]) -> Vec<u8> {
    let [high, low] = (20 + rest.len() as u16).to_be_bytes();
    let mut ip = vec![0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0];
    ip.extend([from.octets(), HERE.octets()].concat());
    ip.extend(rest);
    Ipv4Packet::new_unchecked(&mut ip[..]).fill_checksum();
    [&OURS[..], &THEIRS, &[8, 0], &ip].concat()
}

fn datagram(from: u16, to: u16, data: &[u8]) -> Vec<u8> {
    let len = (8 + data.len() as u16).to_be_bytes();
    let mut udp = [&from.to_be_bytes()[..], &to.to_be_bytes(), &len, &[0; 2], data].concat();
    UdpPacket::new_unchecked(&mut udp[..]).fill_checksum(&THERE.into(), &HERE.into());
    v4(17, THERE, &udp)
}

/// What the other side says by TCP.
struct Tcp {
    control: TcpControl,
    seq: i32,
    ack: Option<i32>,
    ports: (u16, u16),
}

fn tcp(said: &Tcp, payload: &[u8]) -> Vec<u8> {
    tcp_with(said, 60_000, payload)
}

/// The same, with so much room.
fn tcp_with(said: &Tcp, window_len: u16, payload: &[u8]) -> Vec<u8> {
    let is_call = said.control == TcpControl::Syn;
    let repr = TcpRepr {
        src_port: said.ports.0,
        dst_port: said.ports.1,
        control: said.control,
        seq_number: TcpSeqNumber(said.seq),
        ack_number: said.ack.map(TcpSeqNumber),
        window_len,
        window_scale: is_call.then_some(2),
        max_seg_size: is_call.then_some(1400),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload,
    };
    let mut bytes = vec![0; repr.buffer_len()];
    let (from, to) = (IpAddress::from(THERE), IpAddress::from(HERE));
    repr.emit(&mut TcpPacket::new_unchecked(&mut bytes[..]), &from, &to, &ChecksumCapabilities::default());
    v4(6, THERE, &bytes)
}

/// A connection whose other end has said what it may be sent; the number of our first byte.
fn connected(w: &World) -> (Arc<Conversation>, i32) {
    w.knows(THERE);
    let l = w.announce(Proto::Tcp, "*!80");
    w.comes(tcp(&Tcp { control: TcpControl::Syn, seq: 100, ack: None, ports: PORTS }, b""));
    let answer = w.sent().remove(0).0;
    let packet = TcpPacket::new_checked(&answer[34..]).unwrap();
    let sums = ChecksumCapabilities::ignored();
    let repr = TcpRepr::parse(&packet, &HERE.into(), &THERE.into(), &sums).unwrap();
    assert_eq!(repr.window_scale, Some(SHIFT));
    let seq = repr.seq_number.0 + 1;
    w.comes(tcp(&Tcp { control: TcpControl::None, seq: 101, ack: Some(seq), ports: PORTS }, b""));
    (w.stack.listen(&l).unwrap(), seq)
}

/// The texts of what went wrong.
fn refused<T>(done: Result<T>) -> &'static str {
    match done {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error.0,
    }
}
