//! `#I`: the IP stack as files.

use std::sync::Arc;

use abi::{MREPL, ORDWR, OREAD, error};
use port::Proc;
use port::call::sysfile::{bind, close, fd2path, open, pwrite};
use port::dev::ip::Ip;
use port::mem::iobuf::Src;
use port::proc::notes::{self, NoteClass};
use port::testkit::{Hosted, read_file};

use super::{get, put, settle};

fn world() -> Hosted {
    let t = Hosted::with(vec![Ip::new(vec![]).unwrap()], Vec::new(), &[]);
    bind(&t.up, "#I", "/net", MREPL).unwrap();
    t
}

/// Opens `clone`; the descriptor, and the conversation's directory.
fn clone(up: &Arc<Proc>, proto: &str) -> (i32, String) {
    let ctl = open(up, &format!("/net/{proto}/clone"), ORDWR).unwrap();
    let number = String::from_utf8(get(up, ctl, 20).unwrap()).unwrap();
    (ctl, format!("/net/{proto}/{number}"))
}

fn announce(up: &Arc<Proc>, proto: &str, at: &str) -> (i32, String) {
    let (ctl, dir) = clone(up, proto);
    put(up, ctl, format!("announce {at}").as_bytes()).unwrap();
    (ctl, dir)
}

fn dial(up: &Arc<Proc>, proto: &str, to: &str) -> port::Result<(i32, String)> {
    let (ctl, dir) = clone(up, proto);
    let done = put(up, ctl, format!("connect {to}").as_bytes());
    let data = done.and_then(|_| open(up, &format!("{dir}/data"), ORDWR));
    close(up, ctl).unwrap();
    Ok((data?, dir))
}

/// Takes a call; the descriptor of its `data`, and its directory.
fn take(up: &Arc<Proc>, dir: &str) -> (i32, String) {
    let ctl = open(up, &format!("{dir}/listen"), ORDWR).unwrap();
    let path = fd2path(up, ctl).unwrap();
    let number = String::from_utf8(get(up, ctl, 20).unwrap()).unwrap();
    let dir = format!("/net/tcp/{number}");
    assert!(path.ends_with("/listen"), "{path}");
    let data = open(up, &format!("{dir}/data"), ORDWR).unwrap();
    close(up, ctl).unwrap();
    (data, dir)
}

fn text(t: &Hosted, name: &str) -> String {
    String::from_utf8(t.read(name).unwrap()).unwrap()
}

#[test]
fn calls_are_made_and_taken_by_files() {
    let t = world();
    assert_eq!(
        t.ls("/net").unwrap(),
        ["arp", "iproute", "ipselftab", "log", "ndb", "tcp", "udp", "icmp", "icmpv6", "ipifc"]
    );
    let (l, listening) = announce(&t.up, "tcp", "127.0.0.1!80");
    assert_eq!(listening, "/net/tcp/0");
    let (a, from) = dial(&t.up, "tcp", "127.0.0.1!80").unwrap();
    let (b, to) = take(&t.up, &listening);
    assert_eq!(t.ls("/net/tcp").unwrap(), ["clone", "stats", "0", "1", "2"]);
    assert_eq!(t.ls(&from).unwrap(), ["ctl", "data", "err", "listen", "local", "remote", "snoop", "status"]);
    assert_eq!(text(&t, &format!("{from}/remote")), "127.0.0.1!80\n");
    assert_eq!(text(&t, &format!("{from}/local")), text(&t, &format!("{to}/remote")));
    assert_eq!(text(&t, &format!("{to}/status")), "Established qin 0 qout 0\n");
    assert_eq!(put(&t.up, a, b"hello").unwrap(), 5);
    assert_eq!(get(&t.up, b, 100).unwrap(), b"hello");
    let much: Vec<u8> = (0..200_000u32).map(|n| (n >> 3) as u8).collect();
    let sent = much.clone();
    let (_, written) = t.start(move |up| put(up, b, &sent));
    let mut got = Vec::new();
    while got.len() < much.len() {
        got.extend(get(&t.up, a, 7000).unwrap());
    }
    assert!(got == much);
    assert_eq!(written.wait().unwrap(), much.len());
    close(&t.up, a).unwrap();
    assert_eq!(get(&t.up, b, 100).unwrap(), b"");
    close(&t.up, b).unwrap();
    close(&t.up, l).unwrap();
    for _ in 0..100 {
        if t.ls("/net/tcp").unwrap() == ["clone", "stats"] {
            return;
        }
        settle();
    }
    panic!("{:?}", t.ls("/net/tcp"));
}

#[test]
fn what_is_wrong_is_said_in_plan_9s_words() {
    let t = world();
    assert_eq!(dial(&t.up, "tcp", "127.0.0.1!80").unwrap_err().text(), "connection refused");
    assert_eq!(dial(&t.up, "tcp", "1.2.3.4!80").unwrap_err().text(), "no route");
    assert_eq!(dial(&t.up, "tcp", "127.0.0.1!http").unwrap_err().text(), "bad remote port");
    assert_eq!(dial(&t.up, "tcp", "local!80").unwrap_err().text(), "bad ip address");
    let (ctl, dir) = announce(&t.up, "tcp", "*!80");
    for (message, says) in [
        ("announce 81", "connection in use"),
        ("connect 127.0.0.1!80", "connection in use"),
        ("headers", error::EBADCTL),
        ("nonsense", error::EBADCTL),
        ("", error::EBADCTL),
        ("announce", error::ECMDARGS),
        ("keepalive soon", error::EBADARG),
    ] {
        assert_eq!(put(&t.up, ctl, message.as_bytes()).unwrap_err().text(), says, "{message}");
    }
    let (other, _) = clone(&t.up, "tcp");
    assert_eq!(put(&t.up, other, b"announce *!80").unwrap_err().text(), "address in use");
    let data = open(&t.up, &format!("{dir}/data"), ORDWR).unwrap();
    assert_eq!(get(&t.up, data, 10).unwrap_err().text(), "not connected");
    assert_eq!(put(&t.up, data, b"x").unwrap_err().text(), "not connected");
    assert!(open(&t.up, "/net/tcp/77/ctl", ORDWR).unwrap_err().is(error::ENONEXIST));
    assert!(open(&t.up, "/net/tcp/00/ctl", ORDWR).unwrap_err().is(error::ENONEXIST));
    assert!(open(&t.up, &format!("{dir}/status"), ORDWR).unwrap_err().is(error::EPERM));
    assert!(bind(&t.up, "#I99", "/net.alt", MREPL).unwrap_err().is(error::EBADSPEC));
}

#[test]
fn control_words_of_groups_service_and_packets_are_files_words() {
    let t = world();
    let (udp, dir) = announce(&t.up, "udp", "*!5353");
    let (tcp, _) = clone(&t.up, "tcp");
    let group = "addmulti for a non multicast address";
    for (ctl, message, says) in [
        (udp, "headers", None),
        (udp, "addmulti 127.0.0.1 239.1.2.3", None),
        (udp, "addmulti", Some(error::ECMDARGS)),
        (udp, "addmulti 127.0.0.1", Some(group)),
        (udp, "addmulti 127.0.0.1 10.0.0.1", Some(group)),
        (udp, "addmulti 10.9.9.9 239.1.2.3", Some("not a local IP address")),
        (udp, "addmulti 127.0.0.1 x", Some("bad ip address")),
        (udp, "tos 0x10", None),
        (udp, "tos 256", Some(error::EBADARG)),
        (udp, "ttl 3", None),
        (udp, "checksum 0", Some(error::EBADCTL)),
        (tcp, "addmulti 127.0.0.1 239.1.2.3", Some(error::EBADCTL)),
        (tcp, "ttl 3", None),
        (tcp, "ttl 0", Some(error::EBADARG)),
        (tcp, "checksum 0", None),
        (tcp, "checksum", Some(error::ECMDARGS)),
        (tcp, "tcpporthogdefense on", None),
        (tcp, "tcpporthogdefense maybe", Some(error::EBADARG)),
    ] {
        let done = put(&t.up, ctl, message.as_bytes()).map(|_| ()).map_err(|e| e.text().to_string());
        assert_eq!(done.err().as_deref(), says, "{message}");
    }
    // What is sent to the group here is read here, with the group as the address that it came to.
    assert!(text(&t, "/net/ipselftab").lines().any(|l| l.starts_with("239.1.2.3 ") && l.contains(" 01 4m")));
    let data = open(&t.up, &format!("{dir}/data"), ORDWR).unwrap();
    let (to, _) = dial(&t.up, "udp", "239.1.2.3!5353").unwrap();
    put(&t.up, to, b"to all").unwrap();
    let got = get(&t.up, data, 200).unwrap();
    assert_eq!((&got[28..32], &got[52..]), (&[239, 1, 2, 3][..], &b"to all"[..]));
    put(&t.up, udp, b"remmulti 127.0.0.1 239.1.2.3").unwrap();
    assert!(!text(&t, "/net/ipselftab").contains("239."));
    // An interface whose other end is who has its data open.
    let ifc = open(&t.up, "/net/ipifc/clone", ORDWR).unwrap();
    let number = String::from_utf8(get(&t.up, ifc, 20).unwrap()).unwrap();
    let data = format!("/net/ipifc/{number}/data");
    assert!(open(&t.up, &data, ORDWR).unwrap_err().text().ends_with(" not connected"));
    for (message, says) in [
        ("mtu 1400", Some("ipifc not yet bound to device")),
        ("bind pkt /dev/null", None),
        ("add 10.5.0.1 255.255.255.0 10.6.0.2", Some("bad ip address")),
        // What Plan 9's ipconfig writes when it was told no size.
        ("add 10.5.0.1 255.255.255.0 10.5.0.0 0", None),
        ("add 10.5.0.1 255.255.255.0 10.5.0.2 1400", None),
        ("mtu 100", Some(error::EBADARG)),
        ("iprouting 0", None),
        ("iprouting 1", Some(error::EBADARG)),
        ("speed 1000000", None),
        ("addmulti 239.1.1.1", None),
        ("remmulti 239.1.1.2", Some("file does not exist")),
    ] {
        let done = put(&t.up, ifc, message.as_bytes()).map(|_| ()).map_err(|e| e.text().to_string());
        assert_eq!(done.err().as_deref(), says, "{message}");
    }
    assert!(text(&t, &format!("/net/ipifc/{number}/status")).starts_with("device /dev/null maxtu 1400 "));
    let packets = open(&t.up, &data, ORDWR).unwrap();
    let (to, _) = dial(&t.up, "udp", "10.5.0.2!9").unwrap();
    put(&t.up, to, b"out").unwrap();
    let mut packet = get(&t.up, packets, 2000).unwrap();
    assert_eq!(packet[28..], *b"out");
    // Turned round it is an answer.
    let (from, to_) = (packet[12..16].to_vec(), packet[16..20].to_vec());
    packet[12..16].copy_from_slice(&to_);
    packet[16..20].copy_from_slice(&from);
    let ports = [packet[22], packet[23], packet[20], packet[21]];
    packet[20..24].copy_from_slice(&ports);
    assert_eq!(put(&t.up, packets, &packet).unwrap(), packet.len());
    assert_eq!(get(&t.up, to, 100).unwrap(), b"out");
    assert_eq!(put(&t.up, packets, b"x").unwrap_err().text(), "read or write too small");
}

#[test]
fn whoever_waits_can_be_interrupted() {
    let t = world();
    let (_l, listening) = announce(&t.up, "tcp", "127.0.0.1!80");
    let (a, _) = dial(&t.up, "tcp", "127.0.0.1!80").unwrap();
    let (b, _) = take(&t.up, &listening);
    let (p, read) = t.start(move |up| get(up, b, 100));
    settle();
    notes::post(&p, "alarm", NoteClass::User);
    assert_eq!(read.wait().unwrap_err().text(), error::EINTR);
    let listen = format!("{listening}/listen");
    let (p, taken) = t.start(move |up| open(up, &listen, ORDWR));
    settle();
    notes::post(&p, "alarm", NoteClass::User);
    assert!(taken.wait().unwrap_err().is(error::EINTR));
    let (p, written) = t.start(move |up| put(up, a, &vec![7; 1 << 20]));
    settle();
    notes::post(&p, "alarm", NoteClass::User);
    assert!(written.wait().unwrap_err().is(error::EINTR));
    // What went in comes out, whole, and is not all.
    close(&t.up, a).unwrap();
    let mut got = 0;
    loop {
        let more = get(&t.up, b, 1 << 16).unwrap();
        if more.is_empty() {
            break;
        }
        assert!(more.iter().all(|byte| *byte == 7));
        got += more.len();
    }
    assert!((10_000..1 << 20).contains(&got), "{got}");
}

#[test]
fn strangers_have_no_part_in_a_conversation() {
    let t = world();
    let (_l, listening) = announce(&t.up, "tcp", "127.0.0.1!80");
    let (a, from) = dial(&t.up, "tcp", "127.0.0.1!80").unwrap();
    let stranger = t.process();
    *stranger.user.lock() = "stranger".into();
    for file in ["ctl", "data", "listen", "err"] {
        for dir in [&listening, &from] {
            let e = open(&stranger, &format!("{dir}/{file}"), OREAD).unwrap_err();
            assert!(e.is(error::EPERM), "{dir}/{file}: {e}");
        }
    }
    assert_eq!(read_file(&stranger, &format!("{from}/remote")).unwrap(), b"127.0.0.1!80\n");
    assert_eq!(t.stat(&format!("{from}/data")).unwrap().uid, "glenda");
    // A stranger's own is its own, and the machine's owner's.
    let (ctl, dir) = clone(&stranger, "tcp");
    assert_eq!(t.stat(&format!("{dir}/ctl")).unwrap().uid, "stranger");
    assert_eq!(t.stat(&format!("{dir}/ctl")).unwrap().mode, 0o660);
    put(&stranger, ctl, b"connect 127.0.0.1!80").unwrap();
    let owner = open(&t.up, &format!("{dir}/ctl"), ORDWR).unwrap();
    put(&t.up, owner, b"hangup").unwrap();
    assert!(bind(&stranger, "#I1", "/net.alt", MREPL).unwrap_err().is(error::EPERM));
    assert!(t.write("/net/ndb", b"sys=here\n").is_ok());
    assert!(open(&stranger, "/net/ndb", ORDWR).unwrap_err().is(error::EPERM));
    assert_eq!(text(&t, "/net/ndb"), "sys=here\n");
    drop(a);
}

#[test]
fn who_changes_ndb_finds_it_as_he_has_read_it() {
    let t = world();
    t.write("/net/ndb", b"one\n").unwrap();
    let read = |fd| String::from_utf8(get(&t.up, fd, 4096).unwrap()).unwrap();
    let [a, b] = [(); 2].map(|()| open(&t.up, "/net/ndb", ORDWR).unwrap());
    assert_eq!((read(a), read(b)), ("one\n".into(), "one\n".into()));
    let put_at = |fd, text: &[u8], offset| pwrite(&t.up, fd, &Src::Kernel(text), offset);
    let write = |fd, text: &[u8]| put_at(fd, text, 0);
    write(a, b"one\ntwo\n").unwrap();
    // Its own change is known to it.
    write(a, b"one\n2\n").unwrap();
    assert!(write(b, b"one\nthree\n").unwrap_err().is(error::EINUSE));
    assert_eq!(text(&t, "/net/ndb"), "one\n2\n");
    let b = open(&t.up, "/net/ndb", ORDWR).unwrap();
    assert_eq!(read(b), "one\n2\n");
    write(b, b"one\n2\nthree\n").unwrap();
    // Who only writes does not ask, and what he adds stands behind what there is.
    let c = open(&t.up, "/net/ndb", abi::OWRITE).unwrap();
    put_at(c, b"four\n", 12).unwrap();
    assert_eq!(text(&t, "/net/ndb"), "one\n2\nthree\nfour\n");
    put_at(c, b"4\n", 12).unwrap();
    assert_eq!(text(&t, "/net/ndb"), "one\n2\nthree\n4\n");
    for (bytes, offset) in [(&b"x"[..], 15), (&[b'x'; 1024], 1), (&[0xff], 0)] {
        assert!(put_at(c, bytes, offset).is_err(), "{offset}");
    }
    assert_eq!(text(&t, "/net/ndb"), "one\n2\nthree\n4\n");
    open(&t.up, "/net/ndb", abi::OWRITE | abi::OTRUNC).unwrap();
    assert_eq!(text(&t, "/net/ndb"), "");
    assert!(write(b, b"five\n").unwrap_err().is(error::EINUSE));
}

#[test]
fn a_second_stack_is_another_world() {
    let t = world();
    bind(&t.up, "#I1", "/net.alt", MREPL).unwrap();
    let (_l, _) = announce(&t.up, "tcp", "127.0.0.1!80");
    assert_eq!(t.ls("/net.alt/tcp").unwrap(), ["clone", "stats"]);
    let ctl = open(&t.up, "/net.alt/tcp/clone", ORDWR).unwrap();
    let e = put(&t.up, ctl, b"connect 127.0.0.1!80").unwrap_err();
    assert_eq!(e.text(), "connection refused");
}

#[test]
fn the_machine_tells_of_its_interfaces_and_routes() {
    let t = world();
    assert_eq!(t.ls("/net/ipifc").unwrap(), ["clone", "stats", "0"]);
    assert_eq!(t.ls("/net/ipifc/0").unwrap(), ["ctl", "data", "local", "snoop", "status"]);
    assert!(text(&t, "/net/ipifc/0/status").starts_with("device /dev/null maxtu 16384 "));
    assert_eq!(text(&t, "/net/ipifc/0/local"), "127.0.0.1\n::1\n");
    assert!(text(&t, "/net/iproute").contains(" 4i "));
    assert!(text(&t, "/net/ipselftab").contains("127.0.0.1 "));
    assert!(text(&t, "/net/tcp/stats").contains("ActiveOpens: 0\n"));
    assert_eq!(text(&t, "/net/arp"), "");
}

#[test]
fn packets_and_what_happens_are_shown_to_who_may_see_them() {
    let t = world();
    let (_, dir) = announce(&t.up, "tcp", "*!*");
    let snoop = open(&t.up, "/net/ipifc/0/snoop", OREAD).unwrap();
    let (caller, own) = dial(&t.up, "tcp", "127.0.0.1!4321").unwrap();
    take(&t.up, &dir);
    // The call: from the loopback, to that port.
    let packet = get(&t.up, snoop, 2000).unwrap();
    assert_eq!((packet[0], packet[9], &packet[22..24]), (0x45, 6, &4321u16.to_be_bytes()[..]));
    let of_one = open(&t.up, &format!("{own}/snoop"), OREAD).unwrap();
    put(&t.up, caller, b"seen").unwrap();
    assert!(get(&t.up, of_one, 2000).unwrap().ends_with(b"seen"));
    close(&t.up, of_one).unwrap();
    for (name, message, says) in [
        ("/net/log", "set tcp", None),
        ("/net/log", "set nothing", Some("bad process or channel control request")),
        ("/net/arp", "flush", None),
        ("/net/arp", "add 10.0.0.1 52540012", Some("bad ip address")),
        ("/net/arp", "add ether 10.0.0.1 525400123456", Some("no route")),
        ("/net/arp", "del 10.0.0.1", Some("file does not exist")),
        ("/net/arp", "add 10.0.0.1", Some(error::ECMDARGS)),
        ("/net/ipifc/0/ctl", "ra6 recvra 1", Some("connection in use")),
        ("/net/ipifc/0/ctl", "ra6 sendra 1", Some(error::EBADARG)),
    ] {
        let done = t.write(name, message.as_bytes());
        match says {
            None => drop(done.unwrap()),
            Some(says) => assert_eq!(done.unwrap_err().text(), says, "{message}"),
        }
    }
}

/// An interface that is nothing yet ends when nobody has its control file open any more, and not before.
#[test]
fn an_interface_ends_with_the_last_who_has_it_open() {
    let t = world();
    let first = open(&t.up, "/net/ipifc/clone", ORDWR).unwrap();
    let second = open(&t.up, "/net/ipifc/1/ctl", ORDWR).unwrap();
    close(&t.up, second).unwrap();
    assert_eq!(t.ls("/net/ipifc").unwrap(), ["clone", "stats", "0", "1"]);
    let second = open(&t.up, "/net/ipifc/1/ctl", ORDWR).unwrap();
    close(&t.up, first).unwrap();
    assert_eq!(t.ls("/net/ipifc").unwrap(), ["clone", "stats", "0", "1"]);
    close(&t.up, second).unwrap();
    assert_eq!(t.ls("/net/ipifc").unwrap(), ["clone", "stats", "0"]);
    // One that is unbound is another's then: who had it open has nothing of that.
    let old = open(&t.up, "/net/ipifc/clone", ORDWR).unwrap();
    put(&t.up, old, b"bind loopback /dev/null").unwrap();
    put(&t.up, old, b"unbind").unwrap();
    let new = open(&t.up, "/net/ipifc/clone", ORDWR).unwrap();
    assert_eq!(get(&t.up, new, 20).unwrap(), b"1");
    close(&t.up, old).unwrap();
    assert_eq!(t.ls("/net/ipifc").unwrap(), ["clone", "stats", "0", "1"]);
    close(&t.up, new).unwrap();
    // What is something stays.
    let (one, two) = (open(&t.up, "/net/ipifc/clone", ORDWR).unwrap(), "/net/ipifc/1/ctl");
    let two = open(&t.up, two, ORDWR).unwrap();
    put(&t.up, one, b"bind loopback /dev/null").unwrap();
    close(&t.up, one).unwrap();
    close(&t.up, two).unwrap();
    assert_eq!(t.ls("/net/ipifc").unwrap(), ["clone", "stats", "0", "1"]);
}

#[test]
fn what_an_interface_is_told_is_done_whole_or_not_at_all() {
    let t = world();
    let ctl = open(&t.up, "/net/ipifc/clone", ORDWR).unwrap();
    put(&t.up, ctl, b"bind loopback /dev/null").unwrap();
    let status = || text(&t, "/net/ipifc/1/status");
    let refused = put(&t.up, ctl, b"add 127.0.0.1 255.0.0.0 127.0.0.1 1000").unwrap_err();
    assert_eq!(refused.text(), "connection in use");
    assert!(status().contains(" maxtu 16384 "), "{}", status());
    put(&t.up, ctl, b"add 10.0.0.1 255.0.0.0 10.0.0.1 1000").unwrap();
    assert!(status().contains(" maxtu 1000 ") && status().contains("10.0.0.1"), "{}", status());
}
