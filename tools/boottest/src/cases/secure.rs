//! TLS of the guest's programs: with servers that are who they say, and with those that are not.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::date_time_ymd;
use rustls::ServerConfig;
use rustls::version::{TLS12, TLS13};
use sha1::{Digest, Sha1};

use super::dial::machine;
use super::load::noise;
use crate::case::{Case, PROMPT, World, re};
use crate::secure::{Authority, accept, answer, goodbye};

/// Where the guest finds the host.
const HOST: &str = "10.0.2.2";
/// The size of what goes to and fro.
const MUCH: u64 = 700_001;
const PAGE: &[u8] = b"HTTP/1.0 200 OK\r\n\r\na secret\n";
const TRUSTED: &str = "bind /n/host/ca.pem /sys/lib/tls/ca.pem";

pub fn cases() -> Vec<Case> {
    vec![fetched(), refused(), broken(), talked()]
}

/// A server whose every caller gets this page; the guest is told its port.
fn serve(w: &World, name: &str, config: Arc<ServerConfig>, reply: &'static [u8], ends: bool) -> Result<()> {
    let port = w.peers.tcp(move |socket| {
        let Ok(mut stream) = accept(&config, socket) else { return };
        answer(&mut stream, reply);
        if ends {
            goodbye(stream);
        }
    })?;
    w.tell(name, port)
}

/// The authority that the guest trusts.
fn authority(w: &World) -> Result<Authority> {
    let authority = Authority::new("an authority of this case")?;
    fs::write(w.folder("host")?.join("ca.pem"), &authority.pem)?;
    Ok(authority)
}

/// Pages, by both versions, and what is not taken for one.
fn fetched() -> Case {
    let short = b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\na secret\n";
    let early = b"HTTP/1.0 200 OK\r\nContent-Length: 99\r\n\r\na secret\n";
    let away = b"HTTP/1.0 302 Found\r\nLocation: http://10.0.2.2:1/\r\n\r\n";
    machine("secure/hget", &[])
        .check(move |w| {
            let authority = authority(w)?;
            let good = |version| authority.server(&[HOST], &[version], |_| {}).map(|(config, _)| config);
            serve(w, "new", good(&TLS13)?, PAGE, true)?;
            serve(w, "old", good(&TLS12)?, PAGE, true)?;
            serve(w, "short", good(&TLS13)?, short, false)?;
            serve(w, "early", good(&TLS13)?, early, true)?;
            serve(w, "cut", good(&TLS13)?, PAGE, false)?;
            serve(w, "away", good(&TLS13)?, away, true)
        })
        .line("fn get { hget https://10.0.2.2:^`{cat /n/host/$1}^/; echo $status }; get new")
        .gives("hget: /sys/lib/tls/ca.pem: no certificates of authorities are in it\n")
        .line(TRUSTED)
        .is("")
        .line("get new; get old; get short")
        .is("a secret\n\na secret\n\na secret\n\n")
        .line("get early; get cut; get away")
        .gives(re("hget [0-9]+: the reply ends early\n"))
        .gives(re("hget [0-9]+: the connection was cut\n"))
        .gives(re("hget [0-9]+: it is sent on from https to http\n"))
        .line("while(ps | grep tlsclient >/dev/null) sleep 1; echo all are gone")
        .is("all are gone\n")
        .budget(120)
}

/// Servers that are not who they say they are.
fn refused() -> Case {
    machine("secure/refused", &[])
        .check(|w| {
            let authority = authority(w)?;
            let one = |names: &[&str], change: &dyn Fn(&mut rcgen::CertificateParams)| {
                authority.server(names, &[&TLS13, &TLS12], change).map(|(config, _)| config)
            };
            serve(w, "name", one(&["other.example", "10.0.2.3"], &|_| {})?, PAGE, true)?;
            serve(w, "past", one(&[HOST], &|params| params.not_after = date_time_ymd(2021, 1, 1))?, PAGE, true)?;
            serve(w, "future", one(&[HOST], &|params| params.not_before = date_time_ymd(2999, 1, 1))?, PAGE, true)?;
            let (unknown, der) = Authority::new("nobody")?.server(&[HOST], &[&TLS13, &TLS12], |_| {})?;
            let sum: String = Sha1::digest(&der).iter().map(|byte| format!("{byte:02x}")).collect();
            fs::write(w.folder("host")?.join("prints"), format!("# whom I know\nx509 sha1={sum} cn=nobody\n"))?;
            serve(w, "unknown", unknown, PAGE, true)
        })
        .line(TRUSTED)
        .is("")
        .line("fn get { hget -o /tmp/$1 https://10.0.2.2:^`{cat /n/host/$1}^/; test -f /tmp/$1 && echo it is there }")
        .is("")
        .line("for(i in name past future unknown) get $i")
        .gives(re(
            "^hget: its certificate is for another name: [^\n]*other.example[^\n]*10.0.2.3[^\n]*\n\
             hget: its certificate has expired\n\
             hget: its certificate is not valid yet: is the date right\\?\n\
             hget: its certificate is of no authority that is trusted\n$",
        ))
        // One that is known by its thumbprint, whoever has signed it, and one that is not wanted, whoever has.
        .line(
            "at=tcp!10.0.2.2!^`{cat /n/host/unknown}; \
             fn ask { tlsclient $* $at rc -c 'echo GET / HTTP/1.0; echo; cat >[1=2]' >[2=1] | grep secret }",
        )
        .is("")
        .line("ask -t /n/host/prints; ask -t /dev/null; ask -t /n/host/prints -x /n/host/prints; ask")
        .is("a secret\n")
        .line("tlsclient -t /dev/null $at date; tlsclient -x /n/host/prints $at date; tlsclient -t /none $at date")
        .gives(re("tlsclient: its certificate is not known: x509 sha256=[0-9a-f]{64}\n"))
        .gives("tlsclient: its certificate is one of the excluded\n")
        .gives("tlsclient: /none: ")
        .budget(120)
}

/// Servers that speak something else, or nothing, or stop in the middle.
fn broken() -> Case {
    machine("secure/broken", &[])
        .check(|w| {
            authority(w)?;
            let says = |words: &'static [u8]| {
                w.peers.tcp(move |mut socket: TcpStream| {
                    let _ = socket.read(&mut [0; 4096]);
                    let _ = socket.write_all(words);
                })
            };
            w.tell("rubbish", says(b"HTTP/1.0 400 Bad Request\r\n\r\nwhat is this\n")?)?;
            w.tell("zeros", says(&[0; 70_000])?)?;
            w.tell("alert", says(&[21, 3, 3, 0, 2, 2, 40])?)?;
            w.tell("hello", says(&[22, 3, 3, 0, 64, 2, 0, 0, 60, 3, 3])?)?;
            // Longer than any message may be.
            w.tell("long", says(&[22, 3, 3, 0x40, 0, 2, 0xff, 0xff, 0xff])?)?;
            // It stays, and says nothing.
            let silent = w
                .peers
                .tcp(|mut socket: TcpStream| while socket.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {})?;
            w.tell("silent", silent)
        })
        .line(format!("{TRUSTED}; fn get {{ hget https://10.0.2.2:^`{{cat /n/host/$1}}^/ }}"))
        .is("")
        .line("get rubbish; get zeros; get alert; get hello; get long")
        .gives(re(
            "^(hget: what comes is no TLS[^\n]*\n){2}hget: it is refused there: there is no cipher, [^\n]*\n\
             hget: it hangs up before it has shown who it is\nhget: [^\n]+\n$",
        ))
        .types("get silent\n")
        .waits(2)
        .types("\x7f")
        .sees(PROMPT)
        .line("while(ps | grep -s 'hget|tlsclient') sleep 1; echo all are gone")
        .is("all are gone\n")
        .budget(120)
}

/// Much of both, at once, and a command that talks.
fn talked() -> Case {
    machine("secure/talk", &[])
        .check(|w| {
            let authority = authority(w)?;
            noise(&w.folder("host")?.join("much"), MUCH)?;
            for (name, version) in [("new", &TLS13), ("old", &TLS12)] {
                let (config, _) = authority.server(&["echo.example"], &[version], |_| {})?;
                let port = w.peers.tcp(move |socket| {
                    let Ok(mut stream) = accept(&config, socket) else { return };
                    let (mut left, mut piece) = (MUCH, [0; 10_000]);
                    while let (Ok(n @ 1..), true) = (stream.read(&mut piece), left > 0) {
                        left = left.saturating_sub(n as u64);
                        if stream.write_all(piece.get(..n).unwrap_or_default()).is_err() {
                            return;
                        }
                        if left == 0 {
                            break;
                        }
                    }
                    goodbye(stream);
                })?;
                w.tell(name, port).context("a port")?;
            }
            Ok(())
        })
        .line(format!(
            "{TRUSTED}; fn talk {{ v=$1; shift; tlsclient -n echo.example tcp!10.0.2.2!^`{{cat /n/host/$v}} $* }}"
        ))
        .is("")
        .line("for(v in new old) talk $v </n/host/much | cmp /fd/0 /n/host/much && echo the same")
        .is("the same\nthe same\n")
        .line("for(v in new old) talk $v rc -c 'echo said and heard; awk ''{print; exit}'' >/tmp/'^$v")
        .is("")
        .line("cat /tmp/new /tmp/old")
        .is("said and heard\nsaid and heard\n")
        // What a command says of itself is what is said of it all.
        .line("talk new rc -c 'exit no'; echo $status; talk new nothing; echo $status")
        .gives(re("tlsclient [0-9]+: rc [0-9]+: no\n"))
        .gives(re("tlsclient [0-9]+: [^\n]*nothing[^\n]*does not exist"))
        .line("while(ps | grep tlsclient >/dev/null) sleep 1; echo all are gone")
        .is("all are gone\n")
        .budget(120)
}
