//! Calls by a card: what they cost before they are complete, how they are answered, and how they end. The stack has no
//! service thread, and the time is the test's.

use std::sync::{Arc, Mutex};

use machine::host::clock::host_advance;
use machine::ledger::{Account, Terms, User};
use net::address::{parse, parse_local};
use net::{Bearer, Came, Card, Conversation, Open, Proto, Stack, text};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
    IpAddress, IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
    UdpPacket, UdpRepr,
};

const OURS: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const THEIRS: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
const HERE: Ipv4Address = Ipv4Address::new(10, 0, 0, 2);
const THERE: Ipv4Address = Ipv4Address::new(10, 0, 0, 9);
const SECOND: u64 = 1_000_000_000;

/// A card whose other end is the test. What is sent takes no memory then.
struct Wire {
    comes: Mutex<Vec<Vec<u8>>>,
    sent: Mutex<Vec<Vec<u8>>>,
    places: Mutex<Vec<Vec<u8>>>,
}

impl Default for Wire {
    fn default() -> Wire {
        let places = (0..1000).map(|_| Vec::with_capacity(1600)).collect();
        Wire {
            comes: Mutex::default(),
            sent: Mutex::new(Vec::with_capacity(1000)),
            places: Mutex::new(places),
        }
    }
}

impl Card for Wire {
    fn mac(&self) -> [u8; 6] {
        OURS.0
    }

    fn mtu(&self) -> usize {
        1500
    }

    fn receive(&self) -> Option<Came> {
        let mut comes = self.comes.lock().unwrap();
        if comes.is_empty() { None } else { Some(Came { bytes: comes.remove(0), is_summed: false }) }
    }

    fn dropped(&self) -> u64 {
        0
    }

    fn send(&self, frame: &[&[u8]], _open: Open) -> bool {
        let mut place = self.places.lock().unwrap().pop().unwrap();
        frame.iter().for_each(|piece| place.extend_from_slice(piece));
        self.sent.lock().unwrap().push(place);
        true
    }
}

/// What somebody says by TCP.
struct Said {
    control: TcpControl,
    seq: i32,
    ack: Option<i32>,
    payload: &'static [u8],
}

const SYN: Said = Said { control: TcpControl::Syn, seq: 100, ack: None, payload: b"" };

struct World {
    stack: Arc<Stack>,
    wire: Arc<Wire>,
    account: Arc<Account>,
}

impl World {
    fn new() -> World {
        World::with(Terms::OWNER)
    }

    /// One whose user may have so much.
    fn with(terms: Terms) -> World {
        let (stack, wire) = (Stack::new().unwrap(), Arc::<Wire>::default());
        let ifc = stack.new_interface().unwrap();
        stack.bind_card(ifc, wire.clone(), "/net/ether0").unwrap();
        stack.add_address(ifc, parse("10.0.0.2").unwrap(), Some(24)).unwrap();
        let account = Account::new(&User::new(terms).unwrap()).unwrap();
        World { stack, wire, account }
    }

    fn announce(&self, proto: Proto, at: &str) -> Arc<Conversation> {
        let bearer = Bearer { owner: "glenda".into(), account: Some(self.account.clone()), is_hosts: true };
        let c = self.stack.open(proto, bearer).unwrap();
        self.stack.announce(&c, parse_local(at).unwrap()).unwrap();
        c
    }

    /// A frame comes, and what is to be done is done.
    fn comes(&self, frame: Vec<u8>) {
        self.wire.comes.lock().unwrap().push(frame);
        self.round();
    }

    fn round(&self) {
        while self.stack.round().0 {}
    }

    /// The card there is known.
    fn knows(&self) {
        let arp = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: THEIRS,
            source_protocol_addr: THERE,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: HERE,
        };
        let mut frame = vec![0; 14 + arp.buffer_len()];
        head(&mut frame, EthernetProtocol::Arp);
        arp.emit(&mut ArpPacket::new_unchecked(&mut frame[14..]));
        self.comes(frame);
        self.wire.sent.lock().unwrap().clear();
    }

    fn says(&self, port: u16, said: &Said) {
        self.comes(frame(port, said));
    }

    /// What TCP has sent since the last look: control, number, and what it answers.
    fn heard(&self) -> Vec<(TcpControl, TcpSeqNumber, Option<TcpSeqNumber>, u16)> {
        let frames: Vec<Vec<u8>> = self.wire.sent.lock().unwrap().drain(..).collect();
        let tcp = |frame: &Vec<u8>| {
            let frame = EthernetFrame::new_checked(frame).ok()?;
            let ip = Ipv4Packet::new_checked(frame.payload()).ok()?;
            let packet = TcpPacket::new_checked(ip.payload()).ok()?;
            let (from, to) = (IpAddress::from(ip.src_addr()), IpAddress::from(ip.dst_addr()));
            let repr = TcpRepr::parse(&packet, &from, &to, &ChecksumCapabilities::default()).ok()?;
            Some((repr.control, repr.seq_number, repr.ack_number, repr.window_len))
        };
        frames.iter().filter_map(tcp).collect()
    }
}

fn head(frame: &mut [u8], ethertype: EthernetProtocol) {
    let head = EthernetRepr { src_addr: THEIRS, dst_addr: OURS, ethertype };
    head.emit(&mut EthernetFrame::new_unchecked(frame));
}

fn packet(next_header: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let ip =
        Ipv4Repr { src_addr: THERE, dst_addr: HERE, next_header, payload_len: payload.len(), hop_limit: 64 };
    let mut frame = vec![0; 14 + 20 + payload.len()];
    head(&mut frame, EthernetProtocol::Ipv4);
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut frame[14..]), &ChecksumCapabilities::default());
    frame[34..].copy_from_slice(payload);
    frame
}

fn frame(port: u16, said: &Said) -> Vec<u8> {
    let repr = TcpRepr {
        src_port: port,
        dst_port: 80,
        control: said.control,
        seq_number: TcpSeqNumber(said.seq),
        ack_number: said.ack.map(TcpSeqNumber),
        window_len: 8000,
        window_scale: (said.control == TcpControl::Syn).then_some(2),
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: said.payload,
    };
    let mut bytes = vec![0; repr.buffer_len()];
    let sums = ChecksumCapabilities::default();
    repr.emit(&mut TcpPacket::new_unchecked(&mut bytes[..]), &THERE.into(), &HERE.into(), &sums);
    packet(IpProtocol::Tcp, &bytes)
}

#[test]
fn a_call_is_answered_the_same_each_time_and_complete_when_that_is_answered() {
    let w = World::new();
    let l = w.announce(Proto::Tcp, "*!80");
    // The card there is not known yet: that is asked for, and the answer follows.
    w.says(5000, &SYN);
    assert_eq!(w.heard(), []);
    w.knows();
    w.says(5000, &SYN);
    let first = w.heard();
    let [(TcpControl::Syn, seq, Some(TcpSeqNumber(101)), _)] = first[..] else { panic!("{first:?}") };
    let status = text::status(&w.stack, &w.stack.get(Proto::Tcp, 1).unwrap().shared).unwrap();
    assert!(status.starts_with("Syn_received "), "{status}");
    // Again, when it calls again and after a time.
    w.says(5000, &SYN);
    assert_eq!(w.heard(), first);
    host_advance(SECOND + SECOND / 2);
    w.round();
    assert_eq!(w.heard(), first);
    // What answers something else does not complete it, and costs nothing.
    let before = w.account.bytes();
    w.says(5000, &Said { control: TcpControl::None, seq: 101, ack: Some(seq.0 + 2), payload: b"no" });
    assert!(
        w.account.bytes() == before
            && text::stats(&w.stack, Proto::Tcp).unwrap().contains("Conversations: 2")
    );
    // Its answer, with the first bytes.
    w.says(5000, &Said { control: TcpControl::Psh, seq: 101, ack: Some(seq.0 + 1), payload: b"hello" });
    let call = w.stack.listen(&l).unwrap();
    assert_eq!(w.stack.read(&call, 100).unwrap(), b"hello");
    assert_eq!(w.stack.write(&call, b"there").unwrap(), 5);
    assert!(w.heard().iter().any(|(_, s, a, _)| *s == seq + 1 && *a == Some(TcpSeqNumber(106))));
    // What is not acknowledged is on the announcer's bill.
    assert!(w.account.bytes() > before);
}

#[test]
fn calls_that_are_not_complete_cost_little_and_end_by_themselves() {
    let w = World::new();
    let _l = w.announce(Proto::Tcp, "*!80");
    w.knows();
    let before = w.account.bytes();
    (0..200).for_each(|n| w.says(5000 + n, &SYN));
    assert_eq!(w.heard().len(), 200);
    let each = (w.account.bytes() - before) / 200;
    assert!(each < 3000, "{each} bytes for a call");
    // One that takes it back.
    w.says(5007, &Said { control: TcpControl::Rst, seq: 101, ack: None, payload: b"" });
    assert!(text::stats(&w.stack, Proto::Tcp).unwrap().contains("Conversations: 200"));
    for _ in 0..30 {
        host_advance(SECOND);
        w.round();
        assert!(w.heard().len() <= 200);
    }
    assert!(text::stats(&w.stack, Proto::Tcp).unwrap().contains("Conversations: 1"));
    assert_eq!(w.account.bytes(), before);
}

#[test]
fn what_is_said_where_there_is_no_memory_is_said_again() {
    let w = World::with(Terms { bytes: 100 << 10, accounts: 10, held: 10, trusted: false });
    let l = w.announce(Proto::Tcp, "*!80");
    w.knows();
    w.says(5000, &SYN);
    let [(TcpControl::Syn, seq, _, _)] = w.heard()[..] else { panic!("no answer") };
    let hello = Said { control: TcpControl::Psh, seq: 101, ack: Some(seq.0 + 1), payload: b"hello" };
    w.says(5000, &hello);
    let one = w.stack.listen(&l).unwrap();
    // Behind it something that is copied, for which the announcer has no memory: he has had it all.
    let more = Said { seq: 106, payload: b" there", ..hello };
    let all = machine::ledger::on(&w.account, || {
        let mut all = Vec::new();
        while let Ok(bytes) = machine::heap::try_bytes(256) {
            all.push(bytes);
        }
        all
    });
    w.says(5000, &more);
    assert_eq!(text::status(&w.stack, &one).unwrap(), "Established qin 5 qout 0\n");
    w.heard();
    // No call is answered either.
    w.says(5001, &SYN);
    assert_eq!(w.heard(), []);
    assert!(text::stats(&w.stack, Proto::Tcp).unwrap().contains("CallsDropped: 1\n"));
    drop(all);
    w.says(5000, &more);
    let mut got = Vec::new();
    while got.len() < 11 {
        got.extend(w.stack.read(&one, 100).unwrap());
    }
    assert_eq!(got, b"hello there");
}

#[test]
fn what_is_broken_is_no_call() {
    let w = World::new();
    let _l = w.announce(Proto::Tcp, "*!80");
    w.knows();
    let mut broken = frame(5000, &SYN);
    broken[40] ^= 1;
    w.comes(broken);
    w.says(5001, &Said { payload: &[0; 400], ..SYN });
    assert!(text::stats(&w.stack, Proto::Tcp).unwrap().contains("Conversations: 1"));
}

#[test]
fn datagrams_that_nobody_takes_as_calls_go_and_give_way() {
    let w = World::new();
    let l = w.announce(Proto::Udp, "*!53");
    let datagram = |port| {
        let (repr, sums) = (UdpRepr { src_port: port, dst_port: 53 }, ChecksumCapabilities::default());
        let mut bytes = vec![0; 12];
        let fill = |payload: &mut [u8]| payload.fill(7);
        repr.emit(&mut UdpPacket::new_unchecked(&mut bytes[..]), &THERE.into(), &HERE.into(), 4, fill, &sums);
        w.comes(packet(IpProtocol::Udp, &bytes));
    };
    let count = || {
        let stats = text::stats(&w.stack, Proto::Udp).unwrap();
        stats.lines().find(|l| l.starts_with("Conversations")).unwrap().to_string()
    };
    let before = w.account.bytes();
    (0..300).for_each(|n| datagram(6000 + n));
    assert_eq!(count(), "Conversations: 257");
    // Those that are new do not push out one another; older ones give way.
    host_advance(3 * SECOND);
    datagram(7000);
    assert_eq!(count(), "Conversations: 257");
    let call = w.stack.listen(&l).unwrap();
    assert_eq!(text::remote(&w.stack, &call).unwrap(), "10.0.0.9!6001\n");
    host_advance(31 * SECOND);
    w.round();
    assert_eq!(count(), "Conversations: 2", "what was taken stays");
    w.stack.close(&call);
    drop(call);
    assert_eq!(w.account.bytes(), before);
}
