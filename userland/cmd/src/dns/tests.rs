//! Replies by the byte, and a resolver whose network is a function.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::message::{Answer, Kind, Record, VALUE, name, name_of, query, read};
use super::{Network, Read, Resolver, posted_as};
use crate::asked::Answers;
use crate::ndb::Ndb;

/// A name as labels.
fn labels(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// A record: owner, type, seconds, data.
fn record(owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    [
        owner,
        &kind.to_be_bytes(),
        &1u16.to_be_bytes(),
        &ttl.to_be_bytes(),
        &(data.len() as u16).to_be_bytes(),
        data,
    ]
    .concat()
}

/// A reply to a query: flags, answers, authority.
fn reply(query: &[u8], flags: u16, answers: &[Vec<u8>], authority: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = query.to_vec();
    bytes[2..4].copy_from_slice(&(0x8000 | flags).to_be_bytes());
    bytes[6..8].copy_from_slice(&(answers.len() as u16).to_be_bytes());
    bytes[8..10].copy_from_slice(&(authority.len() as u16).to_be_bytes());
    answers.iter().chain(authority).for_each(|record| bytes.extend(record));
    bytes
}

fn records(owner: &str, kind: Kind, values: &[&str]) -> Vec<Record> {
    values.iter().map(|value| Record { owner: owner.into(), kind, value: (*value).into() }).collect()
}

/// Where the question's name is.
const ASKED: [u8; 2] = [0xc0, 12];

#[test]
fn questions_are_what_servers_expect() {
    let bytes = query(0x1234, "www.example", Kind::Ip);
    assert_eq!(
        bytes,
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x00\x00\x01\x00\x01"
    );
    assert_eq!(name("WWW.Example."), Some("www.example".into()));
    for bad in ["", ".", "a..b", ".a", "a b", "a!b", "a\nb", &"x".repeat(64), &"x.".repeat(128)] {
        assert_eq!(name(bad), None, "{bad}");
    }
    assert_eq!(name_of("10.1.2.3".parse().unwrap()), "3.2.1.10.in-addr.arpa");
    let v6 = name_of("fd00::1".parse().unwrap());
    assert!(v6.starts_with("1.0.0.0.") && v6.ends_with(".0.0.d.f.ip6.arpa") && v6.len() == 72, "{v6}");
}

#[test]
fn values_are_shown_as_plan_9_shows_them() {
    let far = labels("far.example");
    let soa = [labels("ns.example"), labels("me.example"), [1u32, 2, 3, 4, 5].map(u32::to_be_bytes).concat()]
        .concat();
    for (kind, number, data, shown) in [
        (Kind::Ip, 1, vec![192, 0, 2, 1], "192.0.2.1"),
        (Kind::Ipv6, 28, [[0xfd, 0].as_slice(), &[0; 13], &[1]].concat(), "fd00::1"),
        (Kind::Ptr, 12, far.clone(), "far.example"),
        (Kind::Ns, 2, far.clone(), "far.example"),
        (Kind::Mx, 15, [&[0, 10], far.as_slice()].concat(), "10 far.example"),
        (Kind::Cname, 5, far.clone(), "far.example"),
        (Kind::Srv, 33, [&[0, 1, 0, 2, 0, 80], far.as_slice()].concat(), "1 2 80 far.example"),
        (Kind::Txt, 16, b"\x05hello\x07 \nworld".to_vec(), "hello \u{240a}world"),
        (Kind::Soa, 6, soa, "ns.example me.example 1 2 3 4 5"),
    ] {
        let query = query(7, "www.example", kind);
        let bytes = reply(&query, 0, &[record(&ASKED, number, 60, &data)], &[]);
        let want = Answer::Records(records("www.example", kind, &[shown]), 60);
        assert_eq!(read(7, "www.example", kind, &bytes), Some(want), "{kind:?}");
        // Cut anywhere it is less, and no harm.
        for len in 0..bytes.len() {
            let less = read(7, "www.example", kind, &bytes[..len]);
            assert!(!matches!(less, Some(Answer::Records(..))), "{len}: {less:?}");
        }
    }
}

#[test]
fn what_is_no_reply_to_the_question_is_none() {
    let query = query(7, "www.example", Kind::Ip);
    let good = reply(&query, 0, &[record(&ASKED, 1, 60, &[1, 2, 3, 4])], &[]);
    assert!(read(7, "www.example", Kind::Ip, &good).is_some());
    assert_eq!(read(8, "www.example", Kind::Ip, &good), None, "another number");
    assert_eq!(read(7, "ww.example", Kind::Ip, &good), None, "another name");
    assert_eq!(read(7, "www.example", Kind::Ipv6, &good), None, "another kind");
    assert_eq!(read(7, "www.example", Kind::Ip, &query), None, "a question");
    // What it says of others is not believed.
    let other = labels("bank.example");
    let bytes = reply(&query, 0, &[record(&other, 1, 60, &[6, 6, 6, 6])], &[]);
    assert_eq!(read(7, "www.example", Kind::Ip, &bytes), Some(Answer::NoRecords(60)));
    for (code, answer) in
        [(2, Answer::Failed), (3, Answer::NoName(60)), (5, Answer::Failed), (0x200, Answer::Cut)]
    {
        assert_eq!(read(7, "www.example", Kind::Ip, &reply(&query, code, &[], &[])), Some(answer));
    }
    let soa = [labels("a"), labels("b"), [1u32, 2, 3, 4, 33].map(u32::to_be_bytes).concat()].concat();
    let nothing = reply(&query, 3, &[], &[record(&labels("example"), 6, 900, &soa)]);
    assert_eq!(read(7, "www.example", Kind::Ip, &nothing), Some(Answer::NoName(33)));
}

#[test]
fn aliases_are_followed_and_lead_nowhere_for_ever() {
    let query = query(7, "www.example", Kind::Ip);
    let (far, near) = (labels("far.example"), labels("near.example"));
    let chain = [
        record(&ASKED, 5, 50, &near),
        record(&far, 1, 90, &[1, 2, 3, 4]),
        record(&near, 5, 40, &far),
        record(&far, 1, 60, &[1, 2, 3, 5]),
    ];
    let want = Answer::Records(records("far.example", Kind::Ip, &["1.2.3.4", "1.2.3.5"]), 40);
    assert_eq!(read(7, "www.example", Kind::Ip, &reply(&query, 0, &chain, &[])), Some(want));
    let open = reply(&query, 0, &chain[..1], &[]);
    assert_eq!(read(7, "www.example", Kind::Ip, &open), Some(Answer::Alias("near.example".into(), 50)));
    let round = [record(&ASKED, 5, 50, &near), record(&near, 5, 50, &ASKED)];
    let round = read(7, "www.example", Kind::Ip, &reply(&query, 0, &round, &[]));
    assert!(matches!(round, Some(Answer::Alias(..))), "{round:?}");
}

#[test]
fn replies_make_no_more_than_they_may() {
    let query = query(7, "a.example", Kind::Txt);
    let long = vec![record(&ASKED, 16, 60, &[[255].as_slice(), &[b'x'; 255]].concat().repeat(10))];
    assert_eq!(read(7, "a.example", Kind::Txt, &reply(&query, 0, &long, &[])), Some(Answer::NoRecords(60)));
    let many = vec![record(&ASKED, 16, 60, b"\x01x"); 1000];
    let Some(Answer::Records(found, _)) = read(7, "a.example", Kind::Txt, &reply(&query, 0, &many, &[]))
    else {
        panic!("no records");
    };
    assert!(found.len() == super::message::RECORDS && found.iter().all(|r| r.value.len() <= VALUE));
    // Names that would be more than a word to whoever reads them.
    let ptr = super::message::query(7, "a.example", Kind::Ptr);
    for bad in [
        &b"\x03a!b\x00"[..],
        b"\x03a b\x00",
        b"\x03a\nb\x00",
        b"\x02a.\x00",
        b"\x00",
        b"\xc0\xff",
        b"\xc0\x0e",
    ] {
        let bytes = reply(&ptr, 0, &[record(&ASKED, 12, 60, bad)], &[]);
        let answer = read(7, "a.example", Kind::Ptr, &bytes);
        assert!(
            !matches!(&answer, Some(Answer::Records(r, _)) if r[0].value.contains(['!', ' ', '\n'])),
            "{answer:?}"
        );
    }
}

/// A network of one server, which knows a few names; what it was asked is remembered.
#[derive(Default)]
struct Fake {
    asked: RefCell<Vec<String>>,
    seconds: RefCell<i64>,
    nobody: bool,
}

impl Network for &Fake {
    fn servers(&self) -> Vec<String> {
        if self.nobody { Vec::new() } else { vec!["one".into(), "two".into()] }
    }

    fn exchange(&self, net: &str, server: &str, bytes: &[u8], ms: u32, read: Read) -> Result<Answer, String> {
        let name = [("ok.example", 1), ("cut.example", 0x200), ("no.example", 3), ("alias.example", 5)];
        let found = name.iter().find(|(name, _)| bytes[12..].starts_with(&labels(name)));
        self.asked.borrow_mut().push(format!("{net} {server} {ms} {}", found.map_or("?", |f| f.0)));
        // The first server is silent.
        if server == "one" {
            *self.seconds.borrow_mut() += i64::from(ms) / 1000;
            return Err("nobody answers".into());
        }
        let good = [record(&ASKED, 1, 60, &[1, 2, 3, 4])];
        let answer = match found {
            Some((_, 0x200)) if net == "udp" => reply(bytes, 0x200, &[], &[]),
            Some((_, 3)) => reply(bytes, 3, &[], &[]),
            Some((_, 5)) => reply(bytes, 0, &[record(&ASKED, 5, 60, &labels("ok.example"))], &[]),
            Some(_) => reply(bytes, 0, &good, &[]),
            None => reply(bytes, 2, &[], &[]),
        };
        read(&answer).ok_or_else(|| "no reply".into())
    }

    fn random(&self) -> u16 {
        77
    }

    fn now(&self) -> i64 {
        *self.seconds.borrow()
    }
}

#[test]
fn servers_are_asked_in_turn_and_once() {
    let net = Fake::default();
    let dns = Resolver::new(&net, Ndb::default());
    assert_eq!(dns.answer("OK.example. ip\n").unwrap(), ["ok.example ip\t1.2.3.4"]);
    assert_eq!(dns.answer("ok.example").unwrap().len(), 1);
    assert_eq!(net.asked.take(), ["udp one 1000 ok.example", "udp two 1000 ok.example"]);
    *net.seconds.borrow_mut() += 61;
    assert!(dns.answer("ok.example ip").is_ok());
    assert_eq!(net.asked.take().len(), 2, "what is over is asked for again");
    assert!(dns.answer("cut.example ip").is_ok());
    assert_eq!(net.asked.take()[2], "tcp two 2000 cut.example");
    assert_eq!(dns.answer("alias.example ip").unwrap(), ["ok.example ip\t1.2.3.4"]);
    net.asked.take();
    for _ in 0..2 {
        assert_eq!(dns.answer("no.example ip").unwrap_err(), "dns: name does not exist");
    }
    assert_eq!(net.asked.take().len(), 2, "that there is no such name is known as well");
    let began = (&net).now();
    assert_eq!(dns.answer("broken.example ip").unwrap_err(), "dns: dns failure");
    assert_eq!(net.asked.take().len(), 6);
    assert!((&net).now() - began < 20);
    for (question, why) in [
        ("", "dns: bad query"),
        ("a ip c", "dns: bad query"),
        ("a.example hinfo", "dns: unknown type"),
        ("a!b ip", "dns: bad name"),
    ] {
        assert_eq!(dns.answer(question).unwrap_err(), why, "{question}");
    }
    assert!(net.asked.take().is_empty());
}

#[test]
fn the_database_is_asked_first() {
    let net = Fake { nobody: true, ..Fake::default() };
    let mut ndb = Ndb::default();
    ndb.add("sys=near dom=near.example ip=10.0.0.1 ip=fd00::1\n");
    let dns = Resolver::new(&net, ndb);
    assert_eq!(dns.answer("near.example ip").unwrap(), ["near.example ip\t10.0.0.1"]);
    assert_eq!(dns.answer("near.example ipv6").unwrap(), ["near.example ipv6\tfd00::1"]);
    assert_eq!(dns.answer("10.0.0.1 ptr").unwrap(), ["1.0.0.10.in-addr.arpa ptr\tnear.example"]);
    assert_eq!(dns.answer("far.example").unwrap_err(), "dns: there is nobody to ask: dns failure");
    assert_eq!([posted_as("/net"), posted_as("/net.alt")], ["dns", "dns_net.alt"]);
}
