//! What commands do that scripts of other systems ask of them by options.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;

use super::dial::machine;
use super::q35;
use crate::case::{Case, PROMPT, re};

pub fn cases() -> Vec<Case> {
    vec![pages(), parts(), calls(), cards(), terminals(), typed(), texts(), archives()]
}

/// What is given to a server, and how it is asked; pages that are brought up to date.
fn pages() -> Case {
    machine("options/hget", &[])
        .check(|w| {
            let asked = Mutex::default();
            let port = w.peers.tcp(move |mut stream| {
                let reply = answer(&mut stream, &asked);
                let _ = stream.write_all(reply.as_bytes());
            })?;
            w.tell("port", port)
        })
        .line(
            "u=http://10.0.2.2:`{cat /n/host/port}; hget -p 'a=b c' $u/echo; \
                echo -n x=y | hget -P -r 'X-One: 1' $u/echo",
        )
        .is("POST /echo a=b c application/x-www-form-urlencoded -\n\
                POST /echo x=y application/x-www-form-urlencoded 1\n")
        .line(
            "hget -m PUT -r 'Content-Type: text/plain' -p '' $u/echo; hget -m HEAD $u/echo; \
                hget -b $u/a/b/c ../echo?x",
        )
        .is("PUT /echo  text/plain -\nGET /a/echo?x  - -\n")
        // Where it can be had is told, and nobody asks there.
        .line("hget -l -p x $u/post; hget -p x $u/post; hget -l $u/moved; hget $u/count")
        .gives(re("^http://10.0.2.2:[0-9]+/made\nGET /made  - -\nhttp://10.0.2.2:[0-9]+/echo\nmade 1\n$"))
        // The whole, the rest, nothing, and the whole again.
        .line(
            "cd /tmp; hget -o f $u/page; cat f; dd -quiet 1 -if f -of g -bs 4 -count 1; \
                hget -o g $u/page; cat g; \
               hget -o g $u/page; cat g; echo older and longer >g; hget -o g $u/new; cat g; \
                echo mistake >g; hget -o g $u/undated; cat g; hget $u/asked",
        )
        .is("the page\nthe page\nthe page\na new page\nundated\nGET - HEAD - GET bytes=4- HEAD - \n")
        .line("hget -m 'A B' $u/; hget -r x $u/; hget -l -o f $u/; hget -b x y")
        .is("hget: A B: no method\nhget: x: no header\n\
             usage: hget [-lvP] [-o file] [-p body] [-r header] [-m method] [-b baseurl] url\n\
             hget: not http://HOST/...\n")
        .budget(120)
}

/// Reads a request, and makes a reply: for most pages it says what was asked.
fn answer(stream: &mut TcpStream, asked: &Mutex<(String, usize)>) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let field = |name: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}: ")));
        line.map_or("-", |line| &line[name.len() + 2..]).to_string()
    };
    let mut body = vec![0; field("content-length").parse().unwrap_or(0)];
    let _ = stream.read_exact(&mut body);
    let words: Vec<&str> = head.split(' ').collect();
    let [method, path, ..] = words[..] else { return String::new() };
    let said = format!(
        "{method} {path} {} {} {}\n",
        String::from_utf8_lossy(&body),
        field("content-type"),
        field("x-one")
    );
    let page = |code: &str, more: &str, text: &str| {
        let text = if method == "HEAD" { String::new() } else { text.to_string() };
        format!("HTTP/1.1 {code}\r\n{more}\r\n{text}")
    };
    let whole = |text: &str| page("200 OK", &format!("Content-Length: {}\r\n", text.len()), text);
    let Ok(mut asked) = asked.lock() else { return String::new() };
    match path {
        "/post" => page("303 See other", "Location: /made\r\nContent-Length: 0\r\n", ""),
        "/moved" => page("302 Elsewhere", "Location: echo\r\nContent-Length: 0\r\n", ""),
        "/made" => {
            asked.1 += 1;
            whole(&said)
        }
        "/count" => whole(&format!("made {}\n", asked.1)),
        "/page" => {
            asked.0 += &format!("{method} {} ", field("range"));
            let (text, dated) = ("the page\n", "Last-Modified: Fri, 01 Jan 2010 00:00:00 GMT\r\n");
            let range = field("range");
            let from = range.strip_prefix("bytes=").and_then(|r| r.strip_suffix('-')?.parse::<usize>().ok());
            match from {
                Some(from) => page(
                    "206 A part",
                    &format!("{dated}Content-Length: {}\r\nContent-Range: bytes {from}-8/9\r\n", 9 - from),
                    &text[from..],
                ),
                None => page("200 OK", &format!("{dated}Content-Length: 9\r\n"), text),
            }
        }
        // It does not say how old it is.
        "/undated" => whole("undated\n"),
        "/asked" => whole(&format!("{}\n", asked.0)),
        // It is from the future.
        "/new" => page(
            "200 OK",
            "Content-Length: 11\r\nLast-Modified: Fri, 01 Jan 2100 00:00:00 GMT\r\n",
            "a new page\n",
        ),
        _ => whole(&said),
    }
}

/// Parts of a name space, and a server's tree.
fn parts() -> Case {
    Case::new("options/exportfs", q35())
        .line(
            "mkdir /tmp/d; echo one >/tmp/d/a; echo two >/tmp/d/b.pgp; echo '- \\.pgp$' >/tmp/patterns; \
             srv -q -e 'exportfs -r /tmp -P /tmp/patterns -m 8192' part; mount -c /srv/part /n/one; \
                ls /n/one/d",
        )
        .is("/n/one/d/a\n")
        .line(
            "cat /n/one/d/b.pgp; mv /n/one/d/a /n/one/d/a.pgp; rm /n/one/d/b.pgp; ls /tmp/d; \
                echo x >/n/one/d/c.pgp",
        )
        .gives(re("(.*file does not exist.*\n){3}/tmp/d/a\n/tmp/d/b.pgp\n.*file does not exist.*\n$"))
        .line(
            "unmount /n/one; rm /srv/part; ramfs -s; mount -c /srv/ramfs /n/one; \
                echo hello >/n/one/there; ls /mnt >/tmp/before",
        )
        .is("")
        .line(
            "srv -q -e 'exportfs -S /srv/ramfs' again; mount -c /srv/again /n/two; cat /n/two/there; \
               echo more >/n/two/made; cat /n/one/made; ls /mnt | cmp /fd/0 /tmp/before && echo as it was",
        )
        .is("hello\nmore\nas it was\n")
        .line(
            "echo '+ (' >/tmp/patterns; exportfs -P /tmp/patterns </dev/null; \
                exportfs -m 10 </dev/null; exportfs -S /srv/none </dev/null",
        )
        .gives("exportfs: /tmp/patterns: (: ")
        .gives("usage: exportfs [-Rs]")
        .gives("'/srv/none' file does not exist")
}

/// Messages to conversations; what names mean with less.
fn calls() -> Case {
    let two = "while(test `{grep -l Listen /net/tcp/*/status >[2]/dev/null | wc -l} -lt 2) sleep 1";
    machine("options/listen", &[])
        // One that hangs up before it says anything.
        .line(format!(
            "aux/listen1 -O 'keepalive 1000' 'tcp!*!7' echo hi & aux/listen1 -o hangup 'tcp!*!8' echo hi & {two}"
        ))
        .is("")
        .line("con tcp!localhost!7 </dev/null; con tcp!localhost!8 </dev/null; aux/listen1 -O bogus 'tcp!*!9' cat")
        .gives(re("^hi\n(con: .*\n)?listen1: announce tcp!\\*!9: bogus: .+\n$"))
        // With -i what comes later is not listened for, and what is there is.
        .line("mkdir /tmp/s; echo '#!/bin/rc' >/tmp/s/tcp99; echo 'echo there' >>/tmp/s/tcp99; chmod +x /tmp/s/tcp99; \
               aux/listen -i -d /tmp/s; while(! con tcp!localhost!99 </dev/null >[2]/dev/null) sleep 1")
        .is("there\n")
        .line("ndb/cs -4; ndb/csquery /net/cs tcp!localhost!9; ndb/cs -n")
        .gives("/net/tcp/clone 127.0.0.1!9\n")
        .gives("cs: the database has no name for this machine\n")
        .line("echo 'sys=mine ether='^`{cat /net/ether0/addr} >/tmp/ndb; ndb/cs -n -f /tmp/ndb; \
                cat /dev/sysname; echo")
        .is("mine\n")
        .line("ndb/dnsquery /net/dns localhost; ndb/dnsquery -x localhost; ndb/dnsquery -x /net localhost")
        .gives("localhost ip\t127.0.0.1\n")
        .budget(120)
}

/// A card's addresses, as scripts of other systems ask for them.
fn cards() -> Case {
    machine("options/ipconfig", &[])
        .line("ip/ipconfig del 10.0.2.15 255.255.255.0; ip/ipconfig -dXs 10.9.9.9 -s fd00::9; \
               grep dns= /net/ndb | sort; ip/ipconfig -nG -s 10.9.9.8 | grep 9.8")
        .gives("dns=10.9.9.9\n")
        .gives("dns=fd00::9\n")
        .gives("dns=10.9.9.8\n")
        .line("ip/ipconfig -u ether /net/ether0 fd00::7 /64; grep -c fd00::7 /net/ipselftab; \
               ip/ipconfig del fd00::7 /64; grep -c fd00::7 /net/ipselftab; ip/ipconfig -c bogus; ip/ipconfig unbind x")
        .gives(re("^[1-9]\n0\nipconfig: bogus: .+\nusage: ipconfig .*\n"))
        .line("ip/ipconfig unbind; cat /net/ipifc/*/status | grep -c ether0; ip/ipconfig unbind")
        .is("0\nipconfig: /net/ether0: no interface has it\n")
        .line("ip/ipconfig; grep -c 10.0.2.15 /net/ipselftab")
        .is("1\n")
        .budget(120)
}

/// What a terminal says to the other side of telnet, and con.
fn terminals() -> Case {
    machine("options/telnet", &[])
        .check(|w| {
            let port = w.peers.tcp(|mut stream| {
                // It will echo, and asks for the terminal's name.
                let _ = stream.write_all(b"\xff\xfb\x01\xff\xfd\x18\xff\xfa\x18\x01\xff\xf0login:\r\n");
                let mut heard = [0; 25];
                let _ = stream.read_exact(&mut heard);
                let _ = stream.write_all(format!("{}\r\n", heard.escape_ascii()).as_bytes());
            })?;
            w.tell("port", port)
        })
        .line(
            "TERM=vt220; {echo glenda; sleep 3} | telnet tcp!10.0.2.2!`{cat /n/host/port} >/tmp/said; \
                cat /tmp/said",
        )
        .gives("login:\n")
        .gives("glenda\\r\\n")
        .gives("\\xff\\xfd\\x01\\xff\\xfb\\x18\\xff\\xfa\\x18\\x00vt220\\xff\\xf0")
        .line(
            "echo | con -rv tcp!10.0.2.2!`{cat /n/host/port} >[2]/tmp/told >/tmp/said & sleep 2; \
                kill con | rc; wait; cat /tmp/told; wc -c </tmp/said",
        )
        .gives(re("^connected to tcp!10.0.2.2![0-9]+ on /net/tcp/[0-9]+\n *19\n$"))
        .line(
            "telnet -x y; telnet; con; pstree x; sleep 99 & pstree | grep 'rc|sleep' | sed 's/[0-9]+ \
                *//'; kill sleep | rc; wait",
        )
        .gives(
            "usage: telnet [-Cnr] address\nusage: telnet [-Cnr] address\nusage: con [-Cnrv] address\n\
                usage: pstree\n",
        )
        .gives(re("(?m)^ ?[├└]sleep 99$"))
        .budget(120)
}

/// What is typed: the end, and how to go on.
fn typed() -> Case {
    Case::new("options/typed", q35())
        .types("man rc\n")
        .sees("\n(more: return; no more: q and return)")
        .types("\n")
        .types("q\n")
        .sees(PROMPT)
        .types("ed\n\x04")
        .sees(PROMPT)
        .types("ed\na\nx\n\x04")
        .sees("?\n")
        .types("\x04")
        .sees(PROMPT)
        .line("man -S lsx; man -S psu; man -w psu; man -wS psu ls; man -nz ls; echo $status")
        .gives(re(
            "^man: no page lsx\nPSU\\(1\\)\n\nSee ps\\(1\\).\n/sys/man/1/ps\n/sys/man/1/psu\n/sys/man/1/ls\n\
                   usage: man .*\nman [0-9]+: usage\n$",
        ))
}

/// Lines and pages.
fn texts() -> Case {
    Case::new("options/texts", q35())
        .line(
            "cd /tmp; seq 3 | pr -n2t; seq 3 | pr -tn:1d; seq 4 | pr -t2s,l2; \
                seq 2 | pr -l20h x -n3 | sed 6q | wc -l",
        )
        .is(" 1\t1\n 2\t2\n 3\t3\n1:1\n\n2:2\n\n3:3\n\n1,3\n2,4\n      6\n")
        .line("{echo 9 a; echo 1f b; echo 20 c} >n; look -b16 1F n; look -b 16 9 n; look -b 1 x n; look x")
        .gives(re("^1f b\n9 a\nusage: look .*\nlook: can't open /lib/words: .*\n$"))
        .line(
            "{for(i in `{seq 100}) echo -n 12345678; echo} >long; strings long | wc; \
               echo 'echo begins' >s; echo 'x=(' >>s; rc s; rc -b s; . -q /nowhere; echo on",
        )
        .gives(re("^ +1 +2 +811\nbegins\nrc: s:2: .*\nrc: s:2: .*\non\n$"))
}

/// Archives there and back, and two texts that become one.
fn archives() -> Case {
    Case::new("options/archives", q35())
        .line(
            "cd /tmp; mkdir d d/e; cp /bin/rc d/e/program; echo x >d/t; touch -t 1000000000 d/t; \
                zip -vf a.zip d >[2=1]; \
               rm -r d; unzip -f a.zip -t d/e; unzip -Tf a.zip; cmp d/e/program /bin/rc && cat d/t; \
                ls -l d/t | sed 's/.* (Sep.*)/\\1/'",
        )
        .is("adding d/\nadding d/e/\nadding d/e/program\nadding d/t\nd/e/\nd/e/program\nx\n\
                Sep  9  2001 d/t\n")
        // Over what is there.
        .line("echo y >d/t; unzip -f a.zip; cat d/t; zip -f /tmp/a.zip d; zip -f /tmp/a.zip d; ls d /tmp/a.zip*")
        .is("x\nd/e\nd/t\n/tmp/a.zip\n")
        .line(
            "unzip -f d/t; unzip -f a.zip nothing; echo $status; zip -1 d/t | {cat >b.zip}; \
                unzip -c <b.zip; zip; unzip -f none",
        )
        .gives(re("^unzip: not a zip archive\nunzip: nothing: it is not in the archive\n\
                unzip [0-9]+: errors\nx\n\
                   usage: zip .*\nunzip: can't open none: .*\n$"))
        .line(
            "bzip2 -1 d/e/program; bunzip2 -c program.bz2 | cmp /fd/0 /bin/rc && echo the same; \
                bunzip2 -v program.bz2 >[2=1]; \
               cmp program /bin/rc; seq 1000 | bzip2 | bunzip2 | tail -1; bunzip2 d/t; echo | bunzip2",
        )
        .is("the same\nextracting program.bz2 to program\n1000\nbunzip2: d/t: not a bzip2 file\n\
                bunzip2: not a bzip2 file\n")
        .line(
            "seq 5 >b; sed s/1/one/ b >t; sed s/5/five/ b >o; merge3 t b o; sed s/1/uno/ b >o; \
                merge3 t b o | sed 6q; \
               merge3 t b o >/dev/null; echo $status; fcp b c; cmp b c",
        )
        .gives(re("^one\n2\n3\n4\nfive\n<<<<<<<<<< t\none\n========== original\n1\n========== o\nuno\n\
                   merge3 [0-9]+: conflict\n$"))
}
