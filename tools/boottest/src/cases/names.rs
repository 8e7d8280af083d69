//! Names: dns(8) and its programs, with a server on the host that knows a few.

use std::io::{Read, Write};
use std::net::TcpStream;

use vm::{Board, Flavour};

use super::dial::machine;
use crate::case::{Case, re};

pub fn cases() -> Vec<Case> {
    vec![names(), names().on(Board::Microvm, Flavour::Modern), silent(), database()]
}

/// What the server knows: a name and a type, the flags of the reply, and records as they are behind its question.
fn answer(query: &[u8], by_tcp: bool) -> Option<Vec<u8>> {
    let question = query.get(12..)?;
    let end = question.iter().position(|b| *b == 0)? + 5;
    let (name, kind) = (question.get(..end - 4)?, *question.get(end - 3)?);
    let label: String =
        name.get(1..1 + usize::from(*name.first()?))?.iter().map(|b| char::from(*b)).collect();
    let record =
        |kind: u8, data: &[u8]| [&[0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, data.len() as u8], data].concat();
    let (flags, answers, records) = match (label.as_str(), kind) {
        ("www", 1) => (0x80, 2, [record(1, &[192, 0, 2, 1]), record(1, &[192, 0, 2, 2])].concat()),
        ("www", 28) => (0x80, 1, record(28, &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7])),
        // Of the host itself, as the machine sees it.
        ("host", 1) => (0x80, 1, record(1, &[10, 0, 2, 2])),
        ("mail", 15) => (0x80, 1, record(15, b"\x00\x0a\x02mx\xc0\x11")),
        ("cut", 1) if !by_tcp => return reply(query, end, 0x0280, 0, &[]),
        ("cut", 16) => return None,
        ("cut", 1) => (0x80, 1, record(1, &[192, 0, 2, 3])),
        ("evil", 12) => (0x80, 1, record(12, b"\x0bx!1\ntcp!a!2\x00")),
        ("evil", 1) => return Some(vec![0xff; 700]),
        ("7", 12) => (0x80, 1, record(12, b"\x03www\x07example\x00")),
        (label, _) if label.starts_with("silent") => return None,
        ("www" | "host" | "mail", _) => (0x80, 0, Vec::new()),
        _ => (0x83, 0, Vec::new()),
    };
    reply(query, end, flags, answers, &records)
}

fn reply(query: &[u8], end: usize, flags: u16, answers: u8, records: &[u8]) -> Option<Vec<u8>> {
    let [high, low] = (0x8100 | flags).to_be_bytes();
    let head = [*query.first()?, *query.get(1)?, high, low, 0, 1, 0, answers, 0, 0, 0, 0];
    Some([&head, query.get(12..12 + end)?, records].concat())
}

/// A machine whose dns asks this server, on both networks at one port.
fn asking(name: &str) -> Case {
    machine(name, &[])
        .check(|w| {
            let by_tcp = |mut stream: TcpStream| {
                let mut query = [0; 600];
                if let Ok(n) = stream.read(&mut query)
                    && let Some(reply) = query.get(2..n).and_then(|query| answer(query, true))
                {
                    let _ = stream.write_all(&(reply.len() as u16).to_be_bytes());
                    let _ = stream.write_all(&reply);
                }
            };
            let port = w.peers.both(by_tcp, |query| answer(query, false))?;
            w.tell("port", port)
        })
        .line("unmount /srv/dns /net; rm /srv/dns; port=`{cat /n/host/port}; ndb/dns -r -N 10.0.2.2!$port")
        .is("")
}

/// Questions and answers, by the programs and through cs.
fn names() -> Case {
    asking("names/dns")
        .line("ndb/dnsquery www.example; ndb/dnsquery WWW.example. ipv6; ndb/dnsquery mail.example mx")
        .is("www.example ip\t192.0.2.1\nwww.example ip\t192.0.2.2\nwww.example ipv6\tfd00::7\n\
             mail.example mx\t10 mx.example\n")
        .line("ndb/dnsquery 10.0.0.7; ndb/dnsquery cut.example; echo www.example ipv6 | ndb/dnsquery")
        .is("7.0.0.10.in-addr.arpa ptr\twww.example\ncut.example ip\t192.0.2.3\nwww.example ipv6\tfd00::7\n")
        .line("ndb/csquery /net/cs tcp!www.example!http; echo tcp!host.example!9fs | ndb/csquery")
        .is("/net/tcp/clone 192.0.2.1!80\n/net/tcp/clone 192.0.2.2!80\n/net/tcp/clone fd00::7!80\n\
             /net/tcp/clone 10.0.2.2!564\n")
        .line("ndb/dnsquery localhost; ndb/dnsquery localhost ipv6; ndb/dnsquery 127.0.0.1")
        .is("localhost ip\t127.0.0.1\nlocalhost ipv6\t::1\n1.0.0.127.in-addr.arpa ptr\tlocalhost\n")
        .line("ndb/dnsquery nothing.example; echo $status; ndb/dnsquery www.example mx; ndb/dnsquery www.example x")
        .gives("nothing.example ip: dns: name does not exist\n")
        .gives(re("dnsquery [0-9]+: no answer\n"))
        .gives("www.example mx: dns: resource does not exist; negrcode 0\n")
        .gives("www.example x: dns: unknown type\n")
        .line("ndb/csquery /net/cs tcp!nothing.example!1; ip/ping -n 1 host.example")
        .gives("tcp!nothing.example!1: dns: name does not exist\n")
        .gives("0: 56 bytes from 10.0.2.2 ")
        // Names that would be several are none.
        .line("ndb/dnsquery evil.example ptr; ndb/csquery /net/cs tcp!evil.example!1")
        .gives("evil.example ptr: dns: resource does not exist")
        .gives(re("tcp!evil.example!1: dns: .*dns failure\n"))
        // Those that wait are others' business: see `silent`.
        .budget(120)
}

/// A server that does not answer holds up who asks it, and nobody else.
fn silent() -> Case {
    asking("names/silent")
        .line(
            "for(i in 1 2 3 4 5 6 7 8) ndb/dnsquery silent$i.example >[2]/dev/null & \
               ndb/dnsquery silent.example >[2]/tmp/said &",
        )
        .is("")
        .line(
            "began=`{date -n}; ndb/dnsquery www.example; ndb/csquery /net/cs tcp!www.example!1 >/dev/null; \
               hoc -e `{date -n}^-$began^'<5'",
        )
        .is("www.example ip\t192.0.2.1\nwww.example ip\t192.0.2.2\n1\n")
        .line("while(! test -s /tmp/said) sleep 1; cat /tmp/said; hoc -e `{date -n}^-$began^'<20'")
        .gives(re("^silent.example ip: dns: .*dns failure\n1\n$"))
        // An interrupt ends the waiting.
        .types("ndb/dnsquery silentx.example\n")
        .waits(2)
        .types("\x7f")
        .sees(crate::case::PROMPT)
        // When the last mount of it has gone so do its processes.
        .line("unmount /srv/dns /net; rm /srv/dns; while(ps | grep -s ' dns$') sleep 1")
        .is("")
}

/// The database, without asking anybody.
fn database() -> Case {
    machine("names/database", &[])
        .line("ndb/query sys localhost; ndb/query sys localhost ip; ndb/query -m sys localhost ip sys")
        .is("sys=localhost dom=localhost ip=127.0.0.1 ip=::1\n127.0.0.1\n127.0.0.1\n::1\nlocalhost\n")
        .line("ndb/query tcp http port; ndb/query tcp nothing; echo $status; ndb/query -a port 53 | wc -l")
        .gives(re("^80\nquery [0-9]+: no match\n +2\n$"))
        .line("echo 'sys=near dom=near.example ip=10.9.9.9' >/tmp/local; ndb/query -f /tmp/local dom near.example ip")
        .is("10.9.9.9\n")
        .line("unmount /srv/dns /net; rm /srv/dns; ndb/dns -f /tmp/local; for(n in near.example 10.9.9.9) \
               ndb/dnsquery $n")
        .is("near.example ip\t10.9.9.9\n9.9.9.10.in-addr.arpa ptr\tnear.example\n")
}
