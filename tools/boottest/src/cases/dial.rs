//! 9P over the network, both ways: servers of the host, in Plan 9's dialect and in the others, and the guest's own
//! files from the host.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ninep::testserver::Server;
use serde_json::json;
use vm::{Board, Flavour};

use super::load::noise;
use super::{MOTD, MOUNT, motd, q35};
use crate::case::{Case, World, re};
use crate::host::program_path;
use crate::peers::ninep_server;

/// The size of the large file.
const BIG: u64 = 3_000_001;
/// That of a larger one.
pub const MUCH: u64 = 40_000_003;
/// Waits until the machine has its address.
pub const CONFIGURED: &str = "while(! grep -s '^ip=10.0.2.15 ' /net/ndb) sleep 1";
/// Waits until somebody listens.
pub const LISTENS: &str = "while(! grep -s Listen /net/tcp/*/status >[2]/dev/null) sleep 1";
/// Counts who does.
const LISTENERS: &str = "grep -l Listen /net/tcp/*/status >[2]/dev/null | wc -l";

pub fn cases() -> Vec<Case> {
    vec![
        served(),
        served().on(Board::Microvm, Flavour::Modern),
        dead(),
        dead_dialect(),
        many_calls(),
        dialects("u"),
        dialects("L"),
        diod(),
        exported(),
        services(),
        imported(),
        fetched(),
        cable(),
        thousand(),
        both_ways(),
        both_ways().smp(4).on(Board::Pc, Flavour::Legacy),
        both_ways().smp(2).on(Board::Microvm, Flavour::Modern),
    ]
}

/// A machine with a card at the user network and a share to be told things in. Ports of the host lead to those of the
/// guest that are named.
pub fn machine(name: &str, ports: &[u16]) -> Case {
    let forward: String = ports.iter().map(|port| format!(",hostfwd=tcp:127.0.0.1:0-:{port}")).collect();
    Case::new(name, q35())
        .share("host", motd)
        .arg("-netdev")
        .arg(&format!("user,id=n0{forward}"))
        .device("virtio-net-pci,netdev=n0,id=card,romfile=")
        .line(format!("{MOUNT}; {CONFIGURED}"))
        .is("")
        .qmp("human-monitor-command", json!({ "command-line": "info usernet" }))
}

/// Starts `elwood serve` on a port, and tells the machine which.
fn serve(w: &World) -> Result<()> {
    w.tell("port", w.programs.serve_tcp("server", w.folder("served")?, 0)?)
}

/// A folder that `elwood serve` has on TCP, called by srv and 9fs; it is killed, and started again.
fn served() -> Case {
    machine("dial/serve", &[])
        .folder("served", |folder| {
            motd(folder)?;
            noise(&folder.join("big"), BIG)
        })
        .check(serve)
        .line("port=`{cat /n/host/port}; srv tcp!10.0.2.2!$port far; mount -c /srv/far /n/far; cat /n/far/motd")
        .is(format!("post...\n{MOTD}"))
        .line("cp /n/far/big /n/far/back; cmp /n/far/big /n/far/back; echo new >/n/far/new; rm /n/far/motd; ls /n/far")
        .is("/n/far/back\n/n/far/big\n/n/far/new\n")
        .check(|w| {
            let folder = w.folder("served")?;
            ensure!(fs::read(folder.join("big"))? == fs::read(folder.join("back"))?, "the copy is another");
            Ok(())
        })
        // Many at once, by one connection.
        .line("for(i in 1 2 3 4 5 6 7 8) {cmp /n/far/big /n/far/back && echo equal &}; wait")
        .is("equal\n".repeat(8))
        // What is posted serves the next who calls by that name.
        .line("9fs tcp!10.0.2.2!$port /n/one; 9fs tcp!10.0.2.2!$port /n/two; cat /n/one/new /n/two/new; ls /srv")
        .gives("new\nnew\n")
        .gives(re("(?m)^/srv/tcp!10.0.2.2![0-9]+$"))
        .line("echo made >/n/one/made; cat /n/two/made; rm /n/two/made")
        .is("made\n")
        .check(|w| w.programs.kill("server"))
        .line("cat /n/far/new; cat /n/one/new")
        .gives(re("/n/far/new.*(hungup|reset)"))
        .gives(re("/n/one/new.*(hungup|reset)"))
        .line("srv tcp!10.0.2.2!$port other")
        .gives("connection refused")
        // It is there again, at the same place: what is posted leads nowhere, and is called anew.
        .check(|w| {
            let port = fs::read_to_string(w.folder("host")?.join("port"))?.parse()?;
            w.programs.serve_tcp("server", w.folder("served")?, port).map(drop)
        })
        .line("unmount /n/one; 9fs tcp!10.0.2.2!$port /n/one; cat /n/one/new")
        .is("new\n")
        .line(
            "srv tcp!10.0.2.2!$port far; mount /srv/far /n/two; cat /n/two/new; srv tcp!10.0.2.2!$port far; \
             srv -q tcp!10.0.2.2!$port far; srv -m tcp!10.0.2.2!$port far; cat /n/far/new",
        )
        .is("post...\nnew\nsrv: /srv/far already exists\nnew\n")
        .line("srv 'no body'; srv tcp!10.0.2.2!9fs!x; srv")
        .gives("can't dial no body: net!no body!9fs: bad address")
        .gives("usage: srv")
        .budget(120)
}

/// The cable is pulled: who asked is told within a minute, and nobody else waits for it.
fn dead() -> Case {
    machine("dial/dead", &[])
        .folder("served", motd)
        .check(serve)
        .line(
            "port=`{cat /n/host/port}; srv -q tcp!10.0.2.2!$port far; mount /srv/far /n/far; cat /n/far/motd",
        )
        .is(MOTD)
        // One waits for an answer, another connection says nothing.
        .line("srv -q tcp!10.0.2.2!$port idle")
        .is("")
        .qmp("set_link", json!({ "name": "n0", "up": false }))
        .line("began=`{date -n}; {cat /n/far/motd; echo waited: $status} >/tmp/said >[2=1] &")
        .is("")
        // Nobody waits for it.
        .line("cat /n/host/motd; ls -d /n/one; date -n >/tmp/now; hoc -e `{cat /tmp/now}^-$began^'<20'")
        .is(format!("{MOTD}/n/one\n1\n"))
        // A minute for what is not acknowledged, three quarters of one for what is silent.
        .line("while(! grep -s waited: /tmp/said) sleep 1; hoc -e `{date -n}^-$began^'<75'; cat /tmp/said")
        .gives("1\n")
        .gives(re("timed out|hungup"))
        .line("cat /n/far/motd; mount /srv/idle /n/one")
        .gives(re("/n/far/motd.*(timed out|hungup)"))
        .gives(re("mount /n/one: .*(timed out|hungup|mount rpc)"))
        .pinned()
        .budget(180)
}

/// The same of a server of 9P2000.L, mounted by `#9`.
fn dead_dialect() -> Case {
    machine("dial/dead-L", &[])
        .check(|w| {
            let mut server = Server::new();
            server.host.file("motd", MOTD.as_bytes()).map_err(|e| anyhow::anyhow!("{e:?}"))?;
            w.tell("port", w.peers.tcp(ninep_server(server))?)
        })
        .line(
            "port=`{cat /n/host/port}; srv -q tcp!10.0.2.2!$port far; \
             mount -d '#9' /srv/far /n/far tree:9P2000.L; cat /n/far/motd",
        )
        .is(MOTD)
        .qmp("set_link", json!({ "name": "n0", "up": false }))
        .line("began=`{date -n}; {cat /n/far/motd; echo waited: $status} >/tmp/said >[2=1] &")
        .is("")
        .line("while(! grep -s waited: /tmp/said) sleep 1; hoc -e `{date -n}^-$began^'<75'; cat /tmp/said")
        .gives("1\n")
        .gives(re("timed out|hungup"))
        .line("cat /n/far/motd; cat /n/host/motd")
        .gives(re("/n/far/motd.*(timed out|hungup)"))
        .gives(MOTD)
        .pinned()
        .budget(150)
}

/// More calls at a time than records of children are kept, and as many again when those have ended together.
fn many_calls() -> Case {
    const CALLS: usize = 200;
    machine("dial/many-calls", &[7])
        .line(format!("aux/listen1 -t -p {CALLS} 'tcp!*!7' cat & {LISTENS}"))
        .is("")
        .check(|w| {
            let at = w.forwarded(7)?;
            for round in 0..3 {
                let mut open = Vec::new();
                for n in 0..CALLS {
                    let mut stream = TcpStream::connect(at)?;
                    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
                    stream.write_all(format!("{n:04}").as_bytes())?;
                    open.push(stream);
                    // QEMU takes one call at a time.
                    std::thread::sleep(Duration::from_millis(5));
                }
                for (n, stream) in open.iter_mut().enumerate() {
                    let mut back = [0; 4];
                    stream.read_exact(&mut back).with_context(|| format!("round {round}, call {n}"))?;
                    ensure!(back == *format!("{n:04}").as_bytes());
                }
            }
            Ok(())
        })
        .budget(180)
}

/// `#9` over a connection, in the dialect that QEMU's own server speaks.
fn dialects(dialect: &'static str) -> Case {
    machine(&format!("dial/dialect-{dialect}"), &[])
        .check(|w| {
            let mut server = Server::new();
            let made = [
                server.host.file("motd", MOTD.as_bytes()),
                server.host.dir("dir"),
                server.host.file("dir/big", &vec![b'x'; BIG as usize]),
                server.host.link("link", b"dir/big"),
            ];
            ensure!(made.iter().all(std::result::Result::is_ok), "{made:?}");
            w.tell("port", w.peers.tcp(ninep_server(server))?)
        })
        .line("port=`{cat /n/host/port}; srv -q tcp!10.0.2.2!$port far")
        .is("")
        .line(format!(
            "mount -c -d '#9' /srv/far /n/far tree:9P2000.{dialect}; cat /n/far/motd; cat /dev/mtags"
        ))
        .gives(re(&format!("^{MOTD}host:.*\n.*:9P2000.{dialect}:[0-9]+:")))
        .line("cd /n/far; cp link copy; cmp dir/big copy; mkdir d; mv copy x; cd /; ls /n/far")
        .is("/n/far/d\n/n/far/dir\n/n/far/link\n/n/far/motd\n/n/far/x\n")
        .line("unmount /n/far; rm /srv/far; grep -c 9P2000 /dev/mtags; grep -l Established /net/tcp/*/status")
        .gives(re("^1\n"))
        .budget(120)
}

/// Debian's diod on TCP.
fn diod() -> Case {
    machine("dial/diod", &[])
        .needs("diod", "diod")
        .folder("served", |folder| {
            motd(folder)?;
            noise(&folder.join("big"), BIG)
        })
        .check(|w| {
            let folder = w.folder("served")?;
            let diod = program_path("diod").context("diod")?;
            // It has to be told a port; this one was free a moment ago.
            let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let mut program = Command::new(diod);
            program
                .args(["-f", "-n", "-N", "-L", "stderr", "-l", &format!("127.0.0.1:{port}"), "-e"])
                .arg(folder);
            w.programs.run("diod", program.stdin(Stdio::null()).stdout(Stdio::null()))?;
            w.tell("tree", folder.display())?;
            w.tell("port", port)?;
            (0..200)
                .find(|_| {
                    std::thread::sleep(Duration::from_millis(50));
                    TcpStream::connect(("127.0.0.1", port)).is_ok()
                })
                .map(drop)
                .context("diod does not listen")
        })
        .line("port=`{cat /n/host/port}; tree=`{cat /n/host/tree}; echo -n 0 >/dev/hostowner")
        .is("")
        .line("srv -q tcp!10.0.2.2!$port diod")
        .is("")
        .line("mount -c -d '#9' /srv/diod /n/far $tree^:9P2000.L; cat /n/far/motd; cp /n/far/big /n/far/back")
        .is(MOTD)
        .check(|w| {
            let folder = w.folder("served")?;
            ensure!(fs::read(folder.join("big"))? == fs::read(folder.join("back"))?, "the copy is another");
            Ok(())
        })
        .budget(120)
}

/// The guest's files on a port of the host.
fn exported() -> Case {
    machine("dial/exported", &[564])
        .line(format!("aux/listen1 -t 'tcp!*!9fs' exportfs -r /tmp & {LISTENS}"))
        .is("")
        .line("echo hello host >/tmp/from-guest; ls -l /bin/rc >/tmp/ls")
        .is("")
        .check(|w| {
            let at = w.forwarded(564)?;
            let run = |words: &[&str], input: &[u8]| -> Result<Vec<u8>> {
                let output = w.programs.mount_test_tcp(at, words, input)?;
                output.map_err(|e| anyhow::anyhow!("{words:?}: {e}"))
            };
            ensure!(run(&["cat", "from-guest"], b"")? == b"hello host\n");
            let big: Vec<u8> =
                (0..1u32 << 19).flat_map(|n| n.wrapping_mul(0x9E37_79B1).to_le_bytes()).collect();
            run(&["put", "big"], &big)?;
            ensure!(run(&["cat", "big"], b"")? == big, "the bytes have changed");
            // Several at once, among them one that says nothing and one that says nonsense.
            let silent = TcpStream::connect(at)?;
            let mut odd = TcpStream::connect(at)?;
            odd.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            odd.set_read_timeout(Some(Duration::from_secs(20)))?;
            // It is told why, as the messages of a service go to who calls it.
            let mut why = String::new();
            odd.read_to_string(&mut why).context("it is not hung up on who speaks no 9P")?;
            ensure!(why.contains("wrong size field"), "{why:?}");
            let all: Vec<_> = (0..4)
                .map(|_| {
                    let (elwood, at) = (w.programs.elwood().to_owned(), at.to_string());
                    std::thread::spawn(move || {
                        Command::new(elwood).args(["mount-test", "--tcp", &at, "cat", "from-guest"]).output()
                    })
                })
                .collect();
            for one in all {
                let output = one.join().map_err(|_| anyhow::anyhow!("a thread"))??;
                ensure!(output.stdout == b"hello host\n", "{output:?}");
            }
            drop(silent);
            Ok(())
        })
        .line("while(ps | grep -s exportfs) sleep 1; ls /tmp; grep -c Listen /net/tcp/*/status")
        .gives("/tmp/big\n/tmp/from-guest\n/tmp/ls\n")
        .budget(120)
}

/// A folder of services, which run as none.
fn services() -> Case {
    machine("dial/services", &[7, 564, 99])
        .line(
            "mkdir /tmp/service; cp /bin/service/tcp7 /bin/service/tcp564 /tmp/service; \
             {echo '#!/bin/rc'; echo 'cat /dev/user; echo; echo $1 $net $user; cat $1/remote'} >/tmp/service/tcp99; \
             chmod +x /tmp/service/tcp99; cp /tmp/service/tcp99 /tmp/service/!tcp98",
        )
        .is("")
        .line(format!("aux/listen -d /tmp/service; while(! test `{{{LISTENERS}}} -ge 3) sleep 1"))
        .is("")
        .check(|w| {
            let mut echo = TcpStream::connect(w.forwarded(7)?)?;
            echo.write_all(b"there and back\n")?;
            let mut back = [0; 15];
            echo.read_exact(&mut back)?;
            ensure!(&back == b"there and back\n");
            let mut said = String::new();
            TcpStream::connect(w.forwarded(99)?)?.read_to_string(&mut said)?;
            let (user, rest) = said.split_once('\n').context("nothing is said")?;
            ensure!(user == "none", "{said}");
            let words: Vec<&str> = rest.lines().next().unwrap_or_default().split(' ').collect();
            ensure!(matches!(words[..], [a, b, "none"] if a == b && a.starts_with("/net/tcp/")), "{said}");
            ensure!(said.contains("10.0.2.2!"), "{said}");
            // As none: what everybody may read, and nothing of the owner's.
            let at = w.forwarded(564)?;
            let name = w.programs.mount_test_tcp(at, &["cat", "/dev/sysname"], b"")?;
            ensure!(name.as_deref() == Ok(&b"elwood"[..]), "{name:?}");
            let refused = w.programs.mount_test_tcp(at, &["put", "/dev/hostowner"], b"me")?;
            ensure!(refused.as_ref().is_err_and(|e| e.contains("permission denied")), "{refused:?}");
            Ok(())
        })
        // Three listen: what begins with ! is not wanted.
        .line(format!("{LISTENERS}; ls /tmp/service"))
        .gives(re("^ *3\n"))
        .budget(120)
}

/// A directory of another machine, which is this one.
fn imported() -> Case {
    machine("dial/imported", &[])
        .line(format!("aux/listen1 -t 'tcp!*!9fs' exportfs & {LISTENS}"))
        .is("")
        .line("import localhost /rc/bin /n/one; cmp /n/one/9fs /rc/bin/9fs; ls /n/one | wc -l; ls /rc/bin | wc -l")
        .check(|w| {
            let counts: Vec<&str> = w.output.split_whitespace().collect();
            ensure!(matches!(counts[..], [a, b] if a == b), "{}", w.output);
            Ok(())
        })
        // Another's network: who is called sees the other machine call.
        .line("import -a localhost /net /net.alt; ls -d /net.alt/tcp; cat /net.alt/ipselftab | sed 1q")
        .gives("/net.alt/tcp\n")
        .line("import localhost /nowhere /n/two; import 'no body' / /n/two; import")
        .gives("mount /n/two: file does not exist")
        .gives("can't dial no body")
        .gives("usage: import")
}

/// Pages of a server, whole or not at all; what talks, and what netstat says of it.
fn fetched() -> Case {
    machine("dial/hget", &[])
        .check(|w| {
            let port = w.peers.tcp(|mut stream| {
                let mut asked = Vec::new();
                let mut byte = [0];
                while !asked.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                    asked.push(byte[0]);
                }
                let reply = page(&String::from_utf8_lossy(&asked));
                // The head of this one comes long before its body.
                let early = if asked.starts_with(b"GET /late ") { reply.len() - LATE.len() } else { 0 };
                let (head, body) = reply.split_at(early);
                let _ = stream.write_all(head);
                std::thread::sleep(Duration::from_millis(if early == 0 { 0 } else { 500 }));
                let _ = stream.write_all(body);
            })?;
            w.tell("port", port)
        })
        .line("port=`{cat /n/host/port}; u=http://10.0.2.2:$port; hget $u/plain; hget $u/chunks; hget $u/moved")
        .is("plain\nin pieces\nplain\n")
        .line("hget $u/late | wc -c")
        .is("      5\n")
        .line("hget -o /tmp/big $u/big; sha1sum /tmp/big; hget $u/short >/dev/null; echo $status")
        .gives("0dabe7c90c3491c20bc5ad1b295757a45621bb99")
        .gives(re("hget [0-9]+: the reply ends early\n"))
        .line("hget -o /tmp/none $u/none; hget -o /tmp/none $u/round; hget ftp://10.0.2.2/; ls /tmp/none")
        .gives("hget: 404 Not here\n")
        .gives("hget: it is sent on and on\n")
        .gives("hget: ftp: not http\n")
        .gives("/tmp/none: ")
        // What listens, and both ends of what talks.
        // One that answers once.
        .line(format!(
            "aux/listen1 -1 'tcp!127.0.0.1!777' echo called & {LISTENS}; con tcp!127.0.0.1!777 </dev/null; wait; \
             con tcp!127.0.0.1!777 </dev/null"
        ))
        .is("called\ncon: can't dial tcp!127.0.0.1!777: connection refused\n")
        .line(format!("aux/listen1 'tcp!*!7' cat & {LISTENS}; netstat -n; netstat -i"))
        .gives(re("(?m)^tcp    [0-9]+ +glenda +Listen +7 +0 +::$"))
        .gives(re("(?m)^/net/ether0 +1500 10.0.2.15 +/120 +[0-9]+ +[0-9]+ +0 +0$"))
        .types("con tcp!localhost!7\n")
        .types("there and back\n")
        .sees("there and back\nthere and back\n")
        .types("\x04")
        .types("\x7f")
        .sees(crate::case::PROMPT)
        .line("echo hello | con tcp!localhost!7 >/tmp/said & while(! test -s /tmp/said) {}; \
               netstat | grep -c Established; cat /tmp/said")
        .gives("2\nhello\n")
        .budget(120)
}

/// The cable is pulled in the middle of a page for some seconds, and in that of the next one the machine stands still.
fn cable() -> Case {
    let begun = "while(! test -s /n/host/back) sleep 1";
    let got = "wait; cat /tmp/said; cmp /n/host/big /n/host/back && echo the same; rm /n/host/back";
    let fetches = "hget -o /n/host/back http://10.0.2.2:$port/ >[2]/tmp/said &";
    machine("dial/cable", &[])
        .check(|w| {
            let big = w.folder("host")?.join("big");
            noise(&big, BIG)?;
            let port = w.peers.tcp(move |mut stream| {
                // Who closes without having heard the question is cut off by the host, with what is on its way.
                let (mut question, Ok(body)) = ([0; 4096], fs::read(&big)) else { return };
                let _ = stream.read(&mut question);
                let _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                for piece in body.chunks(50_000) {
                    let _ = stream.write_all(piece);
                    std::thread::sleep(Duration::from_millis(50));
                }
            })?;
            w.tell("port", port)
        })
        .line(format!("port=`{{cat /n/host/port}}; {fetches}; {begun}"))
        .is("")
        .qmp("set_link", json!({ "name": "n0", "up": false }))
        .waits(4)
        .qmp("set_link", json!({ "name": "n0", "up": true }))
        .line(got)
        .is("the same\n")
        .line(format!("{fetches}; {begun}"))
        .is("")
        .qmp("stop", json!({}))
        .waits(10)
        .qmp("cont", json!({}))
        .line(got)
        .gives("the same\n")
        .pinned()
        .budget(120)
}

/// A thousand connections open at once, and as many one after another, some times; usertests looks whether all that
/// they took has come back.
fn thousand() -> Case {
    Case::new("dial/thousand", q35().memory_mib(512))
        .line("usertests -n 10 net.many")
        .gives("usertests: 1 tests, 0 failed, ")
        .line("usertests -n 10 net.after")
        .gives("usertests: 1 tests, 0 failed, ")
        .line("grep Conv /net/tcp/stats")
        .is("Conversations: 0\n")
        .pinned()
        .budget(120)
}

/// Much comes from the host and goes to it, and is what it was.
fn both_ways() -> Case {
    machine("dial/both-ways", &[7])
        .check(|w| {
            let big = w.folder("host")?.join("big");
            noise(&big, MUCH)?;
            let port = w.peers.tcp(move |mut stream| {
                let (mut question, Ok(body)) = ([0; 4096], fs::read(&big)) else { return };
                let _ = stream.read(&mut question);
                let _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(&body);
            })?;
            w.tell("port", port)
        })
        .line("hget http://10.0.2.2:`{cat /n/host/port} | cmp /fd/0 /n/host/big && echo the same")
        .is("the same\n")
        .line(format!("aux/listen1 -t 'tcp!*!7' cat /n/host/big & {LISTENS}"))
        .is("")
        .check(|w| {
            let mut got = Vec::new();
            TcpStream::connect(w.forwarded(7)?)?.read_to_end(&mut got)?;
            ensure!(got == fs::read(w.folder("host")?.join("big"))?, "other bytes have come: {}", got.len());
            Ok(())
        })
        .pinned()
        .budget(120)
}

/// A body that comes late.
const LATE: &[u8] = b"late\n";

/// What the server says to a request.
fn page(asked: &str) -> Vec<u8> {
    let path = asked.split(' ').nth(1).unwrap_or_default();
    let head = |code: &str, more: &str| format!("HTTP/1.1 {code}\r\n{more}\r\n").into_bytes();
    match path {
        "/plain" => [head("200 OK", "Content-Length: 6\r\n"), b"plain\n".to_vec()].concat(),
        "/chunks" => [
            head("200 OK", "Transfer-Encoding: chunked\r\n"),
            b"3\r\nin \r\n7\r\npieces\n\r\n0\r\n\r\n".to_vec(),
        ]
        .concat(),
        "/late" => [head("200 OK", "Content-Length: 5\r\n"), LATE.to_vec()].concat(),
        "/moved" => head("302 Elsewhere", "Location: plain\r\n"),
        "/round" => head("302 Elsewhere", "Location: /round\r\n"),
        "/big" => [head("200 OK", ""), vec![b'x'; BIG as usize]].concat(),
        "/short" => [head("200 OK", "Content-Length: 10\r\n"), b"short".to_vec()].concat(),
        _ => head("404 Not here", "Content-Length: 0\r\n"),
    }
}
