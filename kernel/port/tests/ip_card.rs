//! `#I` on network cards: two machines with a wire between them.

use std::sync::Arc;

use abi::{MREPL, ORDWR, error};
use io::Ether;
use io::ether::Sum;
use port::Proc;
use port::call::sysfile::{bind, close, open, pread, pwrite};
use port::dev::ether::card::Card;
use port::dev::ip::Ip;
use port::mem::iobuf::{Dst, Src};
use port::testkit::Hosted;
use port::testkit::wire::{Faults, wire};

fn get(up: &Arc<Proc>, fd: i32, max: usize) -> port::Result<Vec<u8>> {
    let mut buf = vec![0; max];
    let n = pread(up, fd, &mut Dst::Kernel(&mut buf), -1)?;
    buf.truncate(n);
    Ok(buf)
}

fn put(up: &Arc<Proc>, fd: i32, bytes: &[u8]) -> port::Result<usize> {
    pwrite(up, fd, &Src::Kernel(bytes), -1)
}

/// A machine with this card.
fn machine(card: Arc<dyn Ether>) -> Hosted {
    let t = Hosted::with(vec![Ip::new(vec![Card::new(card)]).unwrap()], Vec::new(), &[]);
    bind(&t.up, "#I", "/net", MREPL).unwrap();
    t
}

/// Binds the card, and gives it addresses.
fn configure(t: &Hosted, addresses: &[&str]) {
    let ctl = open(&t.up, "/net/ipifc/clone", ORDWR).unwrap();
    assert_eq!(get(&t.up, ctl, 10).unwrap(), b"1");
    put(&t.up, ctl, b"bind ether /net/ether0").unwrap();
    for address in addresses {
        put(&t.up, ctl, format!("add {address}").as_bytes()).unwrap();
    }
    close(&t.up, ctl).unwrap();
}

/// Two machines, 10.0.0.1 and 10.0.0.2, fd00::1 and fd00::2.
fn two(faults: Faults) -> (Hosted, Hosted) {
    let (a, b) = wire(faults);
    let (a, b) = (machine(a), machine(b));
    configure(&a, &["10.0.0.1 /120", "fd00::1 /64"]);
    configure(&b, &["10.0.0.2 255.255.255.0", "fd00::2 /64"]);
    (a, b)
}

/// Opens a conversation and says something to its `ctl`, which stays open; the number of its directory.
fn begin(up: &Arc<Proc>, proto: &str, message: &str) -> port::Result<(i32, String)> {
    let ctl = open(up, &format!("/net/{proto}/clone"), ORDWR)?;
    let number = String::from_utf8(get(up, ctl, 20)?).unwrap();
    put(up, ctl, message.as_bytes())?;
    Ok((ctl, format!("/net/{proto}/{number}")))
}

fn data(up: &Arc<Proc>, dir: &str) -> i32 {
    open(up, &format!("{dir}/data"), ORDWR).unwrap()
}

/// A connection from the first machine to the second: the descriptors of both its `data`.
fn connect(a: &Hosted, b: &Hosted, at: &str) -> (i32, i32) {
    let (_, listening) = begin(&b.up, "tcp", &format!("announce {at}")).unwrap();
    let (_, from) = begin(&a.up, "tcp", &format!("connect {at}")).unwrap();
    let ctl = open(&b.up, &format!("{listening}/listen"), ORDWR).unwrap();
    let number = String::from_utf8(get(&b.up, ctl, 20).unwrap()).unwrap();
    (data(&a.up, &from), data(&b.up, &format!("/net/tcp/{number}")))
}

fn bytes(count: u32, seed: u32) -> Vec<u8> {
    (0..count).map(|n| (n.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8).collect()
}

/// One side writes while the other reads, and both are the same.
fn transfer(from: &Hosted, writer: i32, to: &Hosted, reader: i32, sent: Vec<u8>) {
    let (len, copy) = (sent.len(), sent.clone());
    let (_, written) = from.start(move |up| put(up, writer, &copy));
    let mut got = Vec::new();
    while got.len() < len {
        let more = get(&to.up, reader, 100_000).unwrap();
        assert!(!more.is_empty(), "it ended after {} of {len} bytes", got.len());
        got.extend(more);
    }
    assert!(got == sent, "other bytes");
    assert_eq!(written.wait().unwrap(), len);
}

#[test]
fn machines_reach_one_another_over_a_wire() {
    let (a, b) = two(Faults::default());
    for at in ["10.0.0.2!80", "fd00::2!81"] {
        let (one, other) = connect(&a, &b, at);
        transfer(&a, one, &b, other, bytes(300_000, 1));
        transfer(&b, other, &a, one, bytes(300_000, 2));
    }
    let e = begin(&a.up, "tcp", "connect 10.0.0.2!9").unwrap_err();
    assert_eq!(e.text(), "connection refused");
    // A port of those that are kept for some is asked for by `!r`; it is any here.
    let e = begin(&a.up, "tcp", "connect 10.0.0.2!9!r").unwrap_err();
    assert_eq!(e.text(), "connection refused");
    assert_eq!(begin(&a.up, "tcp", "connect 10.0.0.2!9 5!r").unwrap_err().text(), "bad ip address");
    // Who has it hung up while it calls reads that, and not that nobody was there.
    let (_, calling) = a.start(|up| begin(up, "tcp", "connect 10.0.0.77!80").map(drop));
    let calls = |n: &u32| a.read(&format!("/net/tcp/{n}/status")).is_ok_and(|s| s.starts_with(b"Syn_sent"));
    let number = loop {
        if let Some(number) = (0..20).find(calls) {
            break number;
        }
        std::thread::yield_now();
    };
    a.write(&format!("/net/tcp/{number}/ctl"), b"hangup").unwrap();
    assert_eq!(calling.wait().unwrap_err().text(), "i/o on hungup channel");
    // By its own address a machine reaches itself, whatever the wire does.
    let (_, listening) = begin(&a.up, "tcp", "announce *!7").unwrap();
    begin(&a.up, "tcp", "connect 10.0.0.1!7").unwrap();
    open(&a.up, &format!("{listening}/listen"), ORDWR).unwrap();
    // Datagrams, and echoes.
    let (ctl, dir) = begin(&b.up, "udp", "announce *!53").unwrap();
    put(&b.up, ctl, b"headers").unwrap();
    let server = data(&b.up, &dir);
    let client = data(&a.up, &begin(&a.up, "udp", "connect 10.0.0.2!53").unwrap().1);
    put(&a.up, client, b"question").unwrap();
    let question = get(&b.up, server, 1000).unwrap();
    assert!(question.ends_with(b"question"));
    put(&b.up, server, &[&question[..52], b"answer"].concat()).unwrap();
    assert_eq!(get(&a.up, client, 1000).unwrap(), b"answer");
    assert_eq!(put(&a.up, client, &[0; 40_000]).unwrap_err().text(), "datagram too long");
    // What is longer than a frame goes in pieces.
    for (at, len) in [("10.0.0.2!53", 20_000), ("fd00::2!53", 5000)] {
        let long = data(&a.up, &begin(&a.up, "udp", &format!("connect {at}")).unwrap().1);
        put(&a.up, long, &bytes(len, 3)).unwrap();
        let question = get(&b.up, server, 30_000).unwrap();
        assert!(question[52..] == bytes(len, 3));
        put(&b.up, server, &question).unwrap();
        assert!(get(&a.up, long, 30_000).unwrap() == bytes(len, 3));
    }
    let echo = data(&a.up, &begin(&a.up, "icmp", "connect 10.0.0.2!1").unwrap().1);
    put(&a.up, echo, &[&[0; 20][..], &[8, 0, 0, 0, 0, 0, 0, 1], b"here?"].concat()).unwrap();
    assert!(get(&a.up, echo, 1000).unwrap().ends_with(b"here?"));
}

#[test]
fn what_a_wire_loses_repeats_and_mixes_up_arrives_whole() {
    for seed in [1, 2, 3] {
        let (a, b) = two(Faults { lost: 20, doubled: 20, overtaken: 30, seed });
        let (one, other) = connect(&a, &b, "10.0.0.2!80");
        transfer(&a, one, &b, other, bytes(400_000, 3));
        transfer(&b, other, &a, one, bytes(400_000, 4));
        close(&a.up, one).unwrap();
    }
}

#[test]
fn a_broadcast_of_a_machine_without_an_address_is_heard() {
    let (a, b) = wire(Faults::default());
    let (a, b) = (machine(a), machine(b));
    configure(&a, &[]);
    configure(&b, &["10.0.0.2 /120"]);
    let (ctl, dir) = begin(&b.up, "udp", "announce *!67").unwrap();
    put(&b.up, ctl, b"headers").unwrap();
    let server = data(&b.up, &dir);
    let (ctl, dir) = begin(&a.up, "udp", "announce *!68").unwrap();
    put(&a.up, ctl, b"headers").unwrap();
    let client = data(&a.up, &dir);
    let mut head = [0; 52];
    head[10..16].copy_from_slice(&[255; 6]);
    head[48..50].copy_from_slice(&67u16.to_be_bytes());
    put(&a.up, client, &[&head[..], b"who am I?"].concat()).unwrap();
    let heard = get(&b.up, server, 1000).unwrap();
    assert!(heard.ends_with(b"who am I?"));
    assert_eq!(heard[..16], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0][..], "from nowhere");
    head[48..50].copy_from_slice(&68u16.to_be_bytes());
    put(&b.up, server, &[&head[..], b"10.0.0.1"].concat()).unwrap();
    assert!(get(&a.up, client, 1000).unwrap().ends_with(b"10.0.0.1"));
}

/// The Internet's sum over these bytes.
fn sum(pieces: &[&[u8]]) -> [u8; 2] {
    let words = pieces
        .iter()
        .flat_map(|p| p.chunks(2))
        .map(|w| u32::from(w[0]) << 8 | w.get(1).map_or(0, |low| u32::from(*low)));
    let sum = words.sum::<u32>();
    (!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes()
}

/// A frame with the first packet of a connection to port 80.
fn call(from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    let mut tcp = [0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0];
    let check = sum(&[&from, &to, &[0, 6, 0, 20], &tcp]);
    tcp[16..18].copy_from_slice(&check);
    let mut ip = [0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    ip[12..16].copy_from_slice(&from);
    ip[16..].copy_from_slice(&to);
    let check = sum(&[&ip]);
    ip[10..12].copy_from_slice(&check);
    [&[255; 6][..], &[2, 0, 0, 0, 0, 1, 8, 0], &ip, &tcp].concat()
}

#[test]
fn nobody_is_called_by_what_is_to_all_or_to_others() {
    let (a, b) = wire(Faults::default());
    let card = b.clone();
    let (a, b) = (machine(a), machine(b));
    configure(&a, &["10.0.0.1 /120"]);
    configure(&b, &["10.0.0.2 /120"]);
    let (_, listening) = begin(&b.up, "tcp", "announce *!80").unwrap();
    let (one, me) = ([10, 0, 0, 9], [10, 0, 0, 2]);
    for to in [[255; 4], [224, 0, 0, 1], [10, 0, 0, 255], [0; 4], [127, 0, 0, 1], [10, 0, 0, 3]] {
        card.inject(&call(one, to), Sum::Right);
    }
    // Nor is any of that answered: nobody asks where the caller is.
    std::thread::sleep(std::time::Duration::from_millis(100));
    let asked = String::from_utf8(b.read("/net/arp").unwrap()).unwrap();
    assert!(!asked.contains("10.0.0.9"), "{asked}");
    for from in [[255; 4], [224, 0, 0, 1], [0; 4]] {
        card.inject(&call(from, me), Sum::Right);
    }
    for to in ["255.255.255.255!80", "224.0.0.1!80", "ff02::1!80"] {
        let said = begin(&a.up, "tcp", &format!("connect {to}")).unwrap_err();
        assert_eq!(said.text(), "no route", "{to}");
    }
    // A call that is one is the first that is taken.
    let (_, from) = begin(&a.up, "tcp", "connect 10.0.0.2!80").unwrap();
    let ctl = open(&b.up, &format!("{listening}/listen"), ORDWR).unwrap();
    let number = String::from_utf8(get(&b.up, ctl, 20).unwrap()).unwrap();
    let caller = b.read(&format!("/net/tcp/{number}/remote")).unwrap();
    assert!(caller.starts_with(b"10.0.0.1!"), "{}", String::from_utf8_lossy(&caller));
    transfer(&a, data(&a.up, &from), &b, data(&b.up, &format!("/net/tcp/{number}")), bytes(10_000, 5));
    let talks = |n: u32| b.read(&format!("/net/tcp/{n}/status")).is_ok_and(|s| s.starts_with(b"Syn"));
    assert!(!(0..20).any(talks), "nobody else has begun");
}

/// A frame with a datagram to port 53.
fn datagram(from: ([u8; 4], u16), to: [u8; 4], data: &[u8]) -> Vec<u8> {
    let len = 8 + data.len() as u16;
    let mut udp = [&from.1.to_be_bytes()[..], &[0, 53], &len.to_be_bytes(), &[0, 0], data].concat();
    let check = sum(&[&from.0, &to, &[0, 17], &len.to_be_bytes(), &udp]);
    udp[6..8].copy_from_slice(&check);
    let mut ip = [0x45, 0, 0, 20 + len as u8, 0, 1, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    ip[12..16].copy_from_slice(&from.0);
    ip[16..].copy_from_slice(&to);
    let check = sum(&[&ip]);
    ip[10..12].copy_from_slice(&check);
    [&[255; 6][..], &[2, 0, 0, 0, 0, 1, 8, 0], &ip, &udp].concat()
}

#[test]
fn datagrams_wait_for_nobody() {
    let (a, b) = wire(Faults::default());
    let card = b.clone();
    let (a, b) = (machine(a), machine(b));
    configure(&a, &["10.0.0.1 /120"]);
    configure(&b, &["10.0.0.2 /120"]);
    let (ctl, dir) = begin(&b.up, "udp", "announce *!53").unwrap();
    put(&b.up, ctl, b"headers").unwrap();
    let server = data(&b.up, &dir);
    // Nobody has that address, and what is for it is in nobody's way for long.
    let mut head = [0; 52];
    head[10..16].copy_from_slice(&[255, 255, 10, 0, 0, 99]);
    head[48..50].copy_from_slice(&9u16.to_be_bytes());
    for _ in 0..50 {
        assert_eq!(put(&b.up, server, &[&head[..], b"lost"].concat()).unwrap(), 56);
    }
    std::thread::sleep(std::time::Duration::from_millis(1700));
    let client = data(&a.up, &begin(&a.up, "udp", "connect 10.0.0.2!53").unwrap().1);
    let answered = || {
        put(&a.up, client, b"question").unwrap();
        let question = get(&b.up, server, 1000).unwrap();
        put(&b.up, server, &[&question[..52], b"answer"].concat()).unwrap();
    };
    let (_, answer) = a.start(move |up| get(up, client, 1000));
    for _ in 0..20 {
        answered();
        std::thread::sleep(std::time::Duration::from_millis(200));
        if answer.ready() {
            break;
        }
    }
    assert_eq!(answer.wait().unwrap(), b"answer");
    // From ourselves, from the loopback, to others: not heard. To all of the network: heard, and answered from here.
    for (from, to) in
        [([10, 0, 0, 2], [10, 0, 0, 2]), ([127, 0, 0, 1], [10, 0, 0, 2]), ([10, 0, 0, 1], [127, 0, 0, 1])]
    {
        card.inject(&datagram((from, 7), to, b"bad"), Sum::Right);
    }
    card.inject(&datagram(([10, 0, 0, 1], 7), [10, 0, 0, 255], b"good"), Sum::Right);
    let heard = get(&b.up, server, 1000).unwrap();
    assert!(heard.ends_with(b"good"), "{heard:?}");
    put(&b.up, server, &[&heard[..52], b"good, too"].concat()).unwrap();
    // A call that cannot be answered is none.
    close(&b.up, server).unwrap();
    close(&b.up, ctl).unwrap();
    let (_, dir) = begin(&b.up, "udp", "announce *!53").unwrap();
    card.inject(&datagram(([10, 0, 0, 1], 0), [10, 0, 0, 2], b"from port 0"), Sum::Right);
    let mut broken = datagram(([10, 0, 0, 1], 8), [10, 0, 0, 2], b"broken");
    *broken.last_mut().unwrap() ^= 1;
    card.inject(&broken, Sum::Unknown);
    card.inject(&datagram(([10, 0, 0, 1], 7), [10, 0, 0, 2], b"from port 7"), Sum::Right);
    let ctl = open(&b.up, &format!("{dir}/listen"), ORDWR).unwrap();
    let number = String::from_utf8(get(&b.up, ctl, 20).unwrap()).unwrap();
    assert_eq!(get(&b.up, data(&b.up, &format!("/net/udp/{number}")), 100).unwrap(), b"from port 7");
    // More than can ever be sent is refused, not waited for.
    let echo = data(&a.up, &begin(&a.up, "icmp", "connect 127.0.0.1!1").unwrap().1);
    let message = [&[0; 20][..], &[8], &vec![0; 16 << 10]].concat();
    assert_eq!(put(&a.up, echo, &message).unwrap_err().text(), "datagram too long");
}

#[test]
fn numbers_and_addresses_that_cannot_be_are_taken_for_what_can_or_refused() {
    let (a, b) = two(Faults::default());
    let (one, other) = connect(&a, &b, "10.0.0.2!80");
    for ms in ["0", "18446744073709551615", "9223372036854775807"] {
        let (ctl, _) = begin(&a.up, "tcp", &format!("keepalive {ms}")).unwrap();
        put(&a.up, ctl, b"connect 10.0.0.2!9").unwrap_err();
    }
    for via in ["0.0.0.0", "255.255.255.255", "224.0.0.1"] {
        assert!(a.write("/net/iproute", format!("add 1.0.0.0 /120 {via}").as_bytes()).is_err(), "{via}");
    }
    for address in ["0.0.0.1 255.0.0.0", "127.0.0.2 /104", "240.0.0.1 /120", "::1 /128", "ff02::1 /128"] {
        assert!(a.write("/net/ipifc/1/ctl", format!("add {address}").as_bytes()).is_err(), "{address}");
    }
    transfer(&a, one, &b, other, bytes(100_000, 6));
}

#[test]
fn only_the_owner_changes_interfaces_and_routes() {
    let (a, _b) = two(Faults::default());
    let stranger = a.process();
    *stranger.user.lock() = "stranger".into();
    for file in ["/net/ipifc/clone", "/net/ipifc/1/ctl", "/net/iproute"] {
        assert!(open(&stranger, file, ORDWR).unwrap_err().is(error::EPERM), "{file}");
    }
    let routes = || String::from_utf8(a.read("/net/iproute").unwrap()).unwrap();
    for (message, says) in [
        ("add 0.0.0.0 0.0.0.0 10.0.0.9", None),
        ("add 192.168.7.0 /120 10.0.0.8", None),
        ("add 192.168.7.0 /120 192.168.7.1", Some("no route")),
        ("add 1.2.3.0 /129 10.0.0.9", Some("bad ip mask")),
        ("add 1.2.3.0", Some(error::ECMDARGS)),
        ("remove 1.2.3.0 /120", Some(error::ENONEXIST)),
        ("nonsense", Some(error::EBADCTL)),
    ] {
        let done = a.write("/net/iproute", message.as_bytes());
        assert_eq!(done.err().map(|e| e.text().to_string()).as_deref(), says, "{message}");
    }
    assert!(routes().starts_with("0.0.0.0         /96  10.0.0.9        4    none   -\n"), "{}", routes());
    assert!(routes().contains("192.168.7.0     /120 10.0.0.8        4    none   -\n"));
    a.write("/net/iproute", b"remove 192.168.7.0 /120").unwrap();
    a.write("/net/iproute", b"flush").unwrap();
    assert!(!routes().contains("10.0.0.9"));
    // One that is not bound is none yet.
    let ctl = open(&a.up, "/net/ipifc/clone", ORDWR).unwrap();
    for message in ["add 10.0.9.9 /120", "try 10.0.9.9 /120", "add6 fd00::", "ra6 recvra 1"] {
        let failed = put(&a.up, ctl, message.as_bytes()).unwrap_err();
        assert_eq!(failed.text(), "ipifc not yet bound to device", "{message}");
    }
    close(&a.up, ctl).unwrap();
    for (message, says) in [
        ("add 10.0.0.1 /120", None),
        ("add 224.0.0.1", Some("bad ip address")),
        ("bind ether /net/ether7", Some(error::ENONEXIST)),
        ("bind ether /net/ether0", Some("connection in use")),
        ("remove 10.9.9.9", Some(error::ENONEXIST)),
        ("add 10.7.7.7 /128", None),
        ("remove 10.7.7.7", None),
        ("unbind", None),
    ] {
        let done = a.write("/net/ipifc/1/ctl", message.as_bytes());
        assert_eq!(done.err().map(|e| e.text().to_string()).as_deref(), says, "{message}");
    }
    assert_eq!(a.ls("/net/ipifc").unwrap(), ["clone", "stats", "0"]);
    let e = begin(&a.up, "tcp", "connect 10.0.0.2!80").unwrap_err();
    assert_eq!(e.text(), "no route");
}

/// Waits until something is so.
fn until(what: &str, is: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !is() {
        assert!(begun.elapsed().as_secs() < 10, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[test]
fn conversations_end_with_their_interface_and_their_address() {
    for message in ["unbind", "remove 10.0.0.1"] {
        let (a, b) = two(Faults::default());
        let (one, other) = connect(&a, &b, "10.0.0.2!80");
        let udp = data(&a.up, &begin(&a.up, "udp", "connect 10.0.0.2!53").unwrap().1);
        let echo = data(&a.up, &begin(&a.up, "icmp", "connect 10.0.0.2!1").unwrap().1);
        // A call to us, one that nobody has taken, and one that nobody answers.
        let (theirs, ours) = connect(&b, &a, "10.0.0.1!81");
        let (_, listening) = begin(&a.up, "tcp", "announce *!82").unwrap();
        begin(&b.up, "tcp", "connect 10.0.0.1!82").unwrap();
        let (_, calling) = a.start(|up| begin(up, "tcp", "connect 10.0.0.77!80").map(drop));
        let waiting: Vec<_> = [one, udp, echo, ours]
            .into_iter()
            .map(|fd| a.start(move |up| get(up, fd, 100).map(drop)).1)
            .collect();
        let calls =
            |n: u32| a.read(&format!("/net/tcp/{n}/status")).is_ok_and(|s| s.starts_with(b"Syn_sent"));
        until("it calls", || (0..20).any(calls));
        a.write("/net/ipifc/1/ctl", message.as_bytes()).unwrap();
        for one in waiting.into_iter().map(|w| w.wait()).chain([calling.wait()]) {
            assert_eq!(one.unwrap_err().text(), "i/o on hungup channel", "{message}");
        }
        for fd in [one, udp, echo, ours] {
            assert_eq!(put(&a.up, fd, &[8; 40]).unwrap_err().text(), "i/o on hungup channel", "{message}");
        }
        // The other side is told.
        for fd in [other, theirs] {
            assert_eq!(get(&b.up, fd, 100).unwrap_err().text(), "connection reset by peer", "{message}");
        }
        // Who is announced stays so; the call that nobody had taken is none any more.
        assert!(a.read(&format!("{listening}/status")).unwrap().starts_with(b"Listen"));
        if message == "unbind" {
            configure(&a, &["10.0.0.1 /120"]);
        } else {
            a.write("/net/ipifc/1/ctl", b"add 10.0.0.1 /120").unwrap();
        }
        let (_, from) = begin(&b.up, "tcp", "connect 10.0.0.1!82").unwrap();
        let ctl = open(&a.up, &format!("{listening}/listen"), ORDWR).unwrap();
        let number = String::from_utf8(get(&a.up, ctl, 20).unwrap()).unwrap();
        let remote = a.read(&format!("/net/tcp/{number}/remote")).unwrap();
        assert_eq!(remote, b.read(&format!("{from}/local")).unwrap());
    }
}

#[test]
fn an_end_that_is_being_agreed_on_is_over_with_its_interface() {
    let (a, b) = two(Faults::default());
    let (ctl, from) = {
        begin(&b.up, "tcp", "announce 10.0.0.2!80").unwrap();
        begin(&a.up, "tcp", "connect 10.0.0.2!80").unwrap()
    };
    // Nobody reads it, so some is left to send when it is closed.
    let writer = data(&a.up, &from);
    put(&a.up, writer, &bytes(100_000, 6)).unwrap();
    close(&a.up, writer).unwrap();
    close(&a.up, ctl).unwrap();
    let there = || a.ls("/net/tcp").unwrap().len() - 2;
    assert_eq!(there(), 1, "its end is being agreed on");
    a.write("/net/ipifc/1/ctl", b"unbind").unwrap();
    assert_eq!(there(), 0);
}
