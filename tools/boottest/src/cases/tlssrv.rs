//! TLS with the guest as the server, and with servers that ask who calls; with OpenSSL at the other end where the host
//! has it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustls::version::{TLS12, TLS13};

use super::dial::machine;
use super::load::noise;
use crate::case::{Case, World, re};
use crate::secure::{Authority, accept, call, goodbye};

/// What the guest's certificate is for.
const NAME: &str = "guest.example";
/// Where the guest finds the host.
const HOST: &str = "10.0.2.2";
const TRUSTED: &str = "bind /n/host/ca.pem /sys/lib/tls/ca.pem";
/// The size of what goes to and fro.
const MUCH: u64 = 400_003;
/// The guest's services: what comes goes back; so much has come; one without its key; the first line goes back.
const SERVICES: &str = "cp /n/host/both.pem /tmp/key; chmod 600 /tmp/key; \
    fn serve { port=$1; shift; aux/listen1 -t tcp!*!$port tlssrv -c $* & }; \
    serve 443 /tmp/key cat; serve 444 /tmp/key rc -c 'wc -c; echo and no more'; \
    serve 445 /n/host/ca.pem -k /tmp/key cat; serve 446 /tmp/key sed 1q";
/// Waits until all of them listen.
const LISTEN: &str = "while(! ~ `{grep -l Listen /net/tcp/*/status >[2]/dev/null | wc -l} 4) sleep 1";
/// Their ports.
const PORTS: [u16; 4] = [443, 444, 445, 446];

pub fn cases() -> Vec<Case> {
    vec![served(), openssl(), asked()]
}

/// An authority that both sides trust, and what it says of the guest.
fn authority(w: &World) -> Result<Authority> {
    let authority = Authority::new("an authority of this case")?;
    let folder = w.folder("host")?;
    fs::write(folder.join("ca.pem"), &authority.pem)?;
    fs::write(folder.join("both.pem"), authority.identity(&[NAME])?)?;
    Ok(authority)
}

/// The guest answers, by both versions; callers who are no good are told, or dropped, and do not stay.
fn served() -> Case {
    machine("tlssrv/served", &PORTS)
        .check(|w| authority(w).map(drop))
        .line(SERVICES)
        .is("")
        .line(LISTEN)
        .is("")
        .check(|w| {
            let pem = fs::read_to_string(w.folder("host")?.join("ca.pem"))?;
            let much: Vec<u8> = (0..MUCH as u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
            for version in [&TLS13, &TLS12] {
                let mut stream = call(&pem, w.forwarded(443)?, NAME, &[version])?;
                let mut back = vec![0; much.len()];
                for (sent, got) in much.chunks(50_000).zip(back.chunks_mut(50_000)) {
                    stream.write_all(sent)?;
                    stream.flush()?;
                    stream.read_exact(got)?;
                }
                ensure!(back == much, "other bytes came back");
                // Its input ends, so it ends, and says so.
                stream.conn.send_close_notify();
                stream.flush()?;
                ensure!(stream.read(&mut [0; 1])? == 0, "more came back");

                let mut stream = call(&pem, w.forwarded(444)?, NAME, &[version])?;
                stream.write_all(b"twelve bytes")?;
                stream.conn.send_close_notify();
                let mut said = String::new();
                stream.flush()?;
                stream.read_to_string(&mut said)?;
                ensure!(said.split_whitespace().eq(["12", "and", "no", "more"]), "{said:?}");

                // By another name it is somebody else.
                let mut wrong = call(&pem, w.forwarded(443)?, "other.example", &[version])?;
                ensure!(wrong.write_all(b"x").is_err(), "it is believed to be another");
            }
            // Somebody who speaks something else hears an alert, and nothing in the clear.
            let mut socket = TcpStream::connect(w.forwarded(443)?)?;
            socket.set_read_timeout(Some(Duration::from_secs(20)))?;
            socket.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            let mut said = Vec::new();
            socket.read_to_end(&mut said)?;
            ensure!(said.starts_with(&[21, 3]) && said.len() == 7, "it says {said:?}");
            // One without its key says nothing at all.
            let mut socket = TcpStream::connect(w.forwarded(445)?)?;
            socket.set_read_timeout(Some(Duration::from_secs(20)))?;
            said.clear();
            socket.read_to_end(&mut said)?;
            ensure!(said.is_empty(), "it says {said:?}");
            // Gone in the middle.
            drop(TcpStream::connect(w.forwarded(443)?)?);
            let mut cut = call(&pem, w.forwarded(443)?, NAME, &[&TLS13])?;
            cut.write_all(b"and now")?;
            cut.flush()?;
            cut.read_exact(&mut [0; 7])?;
            Ok(())
        })
        .line("while(ps | grep -s tlssrv | grep -v listen1) sleep 1; echo all are gone")
        .gives(re("(^|\n)all are gone\n$"))
        // What it tells is told where it is asked to.
        .line("touch /tmp/log; tlssrv -c /n/host/ca.pem -l /tmp/log -r somebody cat </dev/null | cat; cat /tmp/log")
        .gives(re("tlssrv: somebody: /n/host/ca.pem: no key is in it, or one with a password\n"))
        // Where that is not, it is told nowhere, and not to who has called either.
        .line("tlssrv -c /n/host/ca.pem -l /tmp/none cat </dev/null >/tmp/said >[2=1]; cat /tmp/said")
        .is("")
        .line("tlsclient -t /n/host/ca.pem -x /n/host/ca.pem 10.0.2.2!44")
        .is("tlsclient: /n/host/ca.pem: no thumbprint is in it\n")
        .line("tlssrv -c >/tmp/said >[2=1]; cat /tmp/said; tlsclient -t /n/host/ca.pem 10.0.2.2!44")
        .gives("can't dial 10.0.2.2!44!https: 10.0.2.2!44!https: unknown network")
        .line("tlssrv cat; tlssrv -c x")
        .gives(re("(usage: tlssrv \\[-D\\] -c certificate [^\n]*\n){2}"))
        .budget(180)
}

/// Runs OpenSSL's command with that input, to its end; what it prints, but not what it says of itself.
fn run(words: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new("openssl")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("openssl")?;
    let mut to = child.stdin.take().context("no input")?;
    let mut from = child.stdout.take().context("no output")?;
    let printed = thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).map(|_| bytes)
    });
    to.write_all(input)?;
    drop(to);
    let Ok(printed) = printed.join() else { bail!("nobody reads") };
    child.wait()?;
    Ok(printed?)
}

/// OpenSSL calls the guest, and the guest calls OpenSSL.
fn openssl() -> Case {
    machine("tlssrv/openssl", &PORTS)
        .needs("openssl", "openssl")
        .check(|w| authority(w).map(drop))
        .line(SERVICES)
        .is("")
        .line(LISTEN)
        .is("")
        .check(|w| {
            let ca = w.folder("host")?.join("ca.pem");
            for version in ["-tls1_3", "-tls1_2"] {
                let words = format!(
                    "s_client -quiet -verify_return_error -verify_hostname {NAME} -connect {} -CAfile {} {version}",
                    w.forwarded(446)?,
                    ca.display()
                );
                let words: Vec<&str> = words.split_whitespace().collect();
                // It goes on until the guest says goodbye.
                ensure!(run(&words, b"said and heard\n")? == b"said and heard\n", "{version}: something else came");
            }
            Ok(())
        })
        .check(|w| {
            let folder = w.folder("host")?;
            let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            w.tell("port", free)?;
            let both = folder.join("both.pem");
            w.programs.run(
                "s_server",
                Command::new("openssl")
                    .args(["s_server", "-quiet", "-rev", "-accept", &format!("127.0.0.1:{free}"), "-cert"])
                    .arg(&both)
                    .arg("-key")
                    .arg(&both)
                    .stdin(Stdio::null()),
            )?;
            // Until it listens; who hangs up at once is nothing to it.
            let end = Instant::now() + Duration::from_secs(20);
            while TcpStream::connect(("127.0.0.1", free)).is_err() {
                ensure!(Instant::now() < end, "openssl s_server does not listen");
                thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        })
        .line(format!("{TRUSTED}; echo draw | tlsclient -D -n {NAME} tcp!{HOST}!^`{{cat /n/host/port}}"))
        .gives(re("tlsclient: TLSv1_3 [A-Z0-9_]+: x509 sha256=[0-9a-f]{64}\n"))
        .gives(re("(^|\n)ward\n"))
        .budget(180)
}

/// Servers that ask who calls: a client with a certificate is known to them, one without is told.
fn asked() -> Case {
    machine("tlssrv/asked", &[])
        .check(|w| {
            let authority = authority(w)?;
            let config = authority.asking(&[HOST])?;
            let port = w.peers.tcp(move |socket| {
                let Ok(mut stream) = accept(&config, socket) else { return };
                let mut said = Vec::new();
                // To the goodbye, which comes at the input's end.
                if stream.read_to_end(&mut said).is_ok() {
                    let who = if stream.conn.peer_certificates().is_some() { "known" } else { "unknown" };
                    let _ = writeln!(stream, "{} bytes of somebody {who}", said.len());
                    goodbye(stream);
                }
            })?;
            w.tell("port", port)?;
            noise(&w.folder("host")?.join("much"), MUCH)?;
            fs::write(w.folder("host")?.join("other.pem"), Authority::new("nobody")?.identity(&["nobody"])?)?;
            Ok(())
        })
        .line(format!("{TRUSTED}; at=tcp!{HOST}!^`{{cat /n/host/port}}; cp /n/host/*.pem /tmp; chmod 600 /tmp/*.pem"))
        .is("")
        .line("tlsclient -c /tmp/both.pem $at </n/host/much")
        .is(format!("{MUCH} bytes of somebody known\n"))
        .line("tlsclient $at </n/host/much")
        .gives("tlsclient: it is refused there: it wants a certificate of ours\n")
        .line("tlsclient -c /tmp/other.pem $at </n/host/much")
        .gives("tlsclient: it is refused there: our certificate is of no authority that it trusts\n")
        .line("tlsclient -c /tmp/other.pem -k /tmp/both.pem $at; tlsclient -c /tmp/ca.pem $at; tlsclient -k x $at")
        .gives("tlsclient: /tmp/both.pem: it is the key of another certificate\n")
        .gives("tlsclient: /tmp/ca.pem: no key is in it, or one with a password\n")
        .gives("usage: tlsclient ")
        .line("while(ps | grep -s tlsclient) sleep 1; echo all are gone")
        .is("all are gone\n")
        .budget(120)
}
