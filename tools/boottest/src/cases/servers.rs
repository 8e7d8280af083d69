//! File servers of the guest: ramfs mounted in it, exportfs mounted in it and looked at from the host.

use anyhow::{Result, ensure};
use vm::Pattern;

use super::{MOUNT, motd, q35};
use crate::case::{Case, PROMPT, World, re};

pub fn cases() -> Vec<Case> {
    vec![
        rules(),
        ramfs(),
        limit(),
        many(),
        exported(),
        waiting(),
        host_client(),
        host_client_dies(),
        host_clients_follow(),
        shares(),
    ]
}

/// The same rules everywhere, and where they do not hold.
fn rules() -> Case {
    // The host does not know who changed a file; QEMU asks nobody's permission but its own, and cuts a file by its
    // name, which a removed one has not. phantom(3) has the same list.
    let host = "muid,permissions,removed-length";
    Case::new("servers/rules", q35())
        .share("host", motd)
        .line("fsrules /tmp")
        .is("42 rules, 0 broken\n")
        // Permissions are those of who mounted it.
        .line("ramfs -c -m /mnt/one; fsrules -x permissions /mnt/one")
        .is("41 rules, 0 broken\n")
        .line(format!("{MOUNT}; fsrules -x {host} /n/host"))
        .is("39 rules, 0 broken\n")
        .line(format!("unmount /n/host; {MOUNT}:9P2000.L; fsrules -x {host} /n/host"))
        .is("39 rules, 0 broken\n")
        // Two hundred files and sixty megabytes, and the memory that they took is back.
        .line(
            "cd /tmp; kernel=`{sed -n 3p /dev/swap}; \
             for(a in 0 1 2 3 4 5 6 7 8 9) touch $a^0^(0 1 2 3 4 5 6 7 8 9) $a^1^(0 1 2 3 4 5 6 7 8 9)",
        )
        .line("ls | wc -l; dd -quiet 1 -if /dev/zero -of big -bs 65536 -count 960; ls -s big")
        .gives(re("^ *200\n"))
        .line("rm *; now=`{sed -n 3p /dev/swap}; test $now(1) -lt `{echo $kernel(1)^9} && ls | wc -l")
        .gives(re("^ *0\n"))
}

/// What the files of ramfs mean.
fn ramfs() -> Case {
    Case::new("servers/ramfs", q35())
        .line("unmount /tmp; ramfs; ls -ld /tmp")
        .gives(re("^d-rwxrwxr-x M [0-9]+ glenda glenda 0 .* /tmp$"))
        .line("echo one >/tmp/a; cat /tmp/a; mv /tmp/a /tmp/b; ls /tmp")
        .is("one\n/tmp/b\n")
        .line("echo two >/tmp/c; mv /tmp/b /tmp/c; cat /tmp/c")
        .is("one\n")
        .line("echo longer than it was >/tmp/c; echo short >/tmp/c; cat /tmp/c; ls -lq /tmp/c")
        .gives(re("^short\n"))
        .gives(re(r"^\([0-9a-f]{16} [0-9]+ 00\) --rw-rw-r-- "))
        .line("mkdir /tmp/d; echo x >/tmp/d/in; rm /tmp/d")
        .gives("directory not empty")
        .line("rm -r /tmp/d; cat /tmp/d/in")
        .gives("file does not exist")
        .line("echo first >/tmp/log; chmod +a /tmp/log; echo second >/tmp/log; echo third >/tmp/log; cat /tmp/log")
        .is("first\nsecond\nthird\n")
        .line("echo x >/tmp/lock; chmod +l /tmp/lock; {echo mine; cat /tmp/lock} >>/tmp/lock")
        .gives("exclusive use file already open")
        .line("cat /tmp/lock")
        .is("x\nmine\n")
        .line("chmod 0 /tmp/c; cat /tmp/c")
        .gives("permission denied")
        .line("cp /bin/rc /tmp/rc; cmp /bin/rc /tmp/rc && /tmp/rc -c 'echo runs'")
        .is("runs\n")
        // Removed while it runs, and while it is read.
        .line("{rm /tmp/log; cat} </tmp/log; ls /tmp/log")
        .gives("first\nsecond\nthird\n")
        .gives("file does not exist")
        .line("ramfs -s; mount -c /srv/ramfs /mnt/one; mount /srv/ramfs /mnt/two; mkdir /mnt/one/d; ls /mnt/two")
        .is("/mnt/two/d\n")
        // The servers end with their last mounts.
        .line("unmount /mnt/one; unmount /mnt/two; rm /srv/ramfs; unmount /tmp; \
               while(ps | grep ramfs >/dev/null) sleep 1")
        .is("")
}

/// A limit that is reached, and room again afterwards.
fn limit() -> Case {
    Case::new("servers/ramfs-limit", q35())
        .line("ramfs -l 4M -m /mnt/one -c; cd /mnt/one; dd -if /dev/zero -of big -bs 64k")
        .gives("file system full")
        .line("ls -l big")
        .gives(re("glenda +(39|40|41)[0-9]{5} .* big$"))
        .line("cp /bin/rc too; rm too")
        .gives("file system full")
        .line("echo >big; cp /bin/rc now; cmp /bin/rc now && ls -s now")
        .gives("now")
}

/// Forty processes at once, each with files of its own.
fn many() -> Case {
    let work = "i=$a$b; mkdir /tmp/$i; cp /bin/echo /tmp/$i/a; mv /tmp/$i/a /tmp/$i/b; \
                cmp /bin/echo /tmp/$i/b && echo $i >/tmp/$i/ok";
    let all = format!("for(a in 0 1 2 3) for(b in 0 1 2 3 4 5 6 7 8 9) {{@{{{work}}} &}}");
    Case::new("servers/ramfs-40", q35())
        .line(all)
        .line("wait; cat /tmp/*/ok | sort -u | wc -l")
        .gives(re("^ +40$"))
        .budget(120)
}

/// The name space mounted in itself.
fn exported() -> Case {
    Case::new("servers/exportfs", q35())
        .line(
            "bind -c /tmp /mnt/one; bind -ac /env /mnt/one; srv -q -e exportfs all; mount -c /srv/all /n/one",
        )
        .is("")
        .line("cat /n/one/dev/sysname; echo; cmp /bin/rc /n/one/bin/rc && ls /n/one/rc")
        .is("elwood\n/n/one/rc/bin\n/n/one/rc/lib\n")
        // A union is one; what is made goes where it would go here.
        .line("echo new >/n/one/mnt/one/new; cat /tmp/new; ls /n/one/mnt/one | grep 'new|sysname'")
        .is("new\n/n/one/mnt/one/new\n/n/one/mnt/one/sysname\n")
        .line("mv /n/one/tmp/new /n/one/tmp/old; cat /tmp/old; rm /n/one/tmp/old; cat /tmp/old")
        .gives("new\n")
        .gives("file does not exist")
        .line("cat /n/one/nothing; echo x >/n/one/bin/rc")
        .gives("'/n/one/nothing' file does not exist")
        .gives("denied")
        .line(
            "srv -q -e 'exportfs -R -r /tmp' ro; mount -c /srv/ro /n/two; echo x >/tmp/x; cat /n/two/x; \
             rm /n/two/x; echo y >/n/two/y",
        )
        .gives("x\n")
        .gives(re("/n/two/x.* permission denied"))
        .gives(re("/n/two/y.* permission denied"))
        .line(
            "ls /n/two; rm /srv/ro /srv/all; unmount /n/one; unmount /n/two; \
             while(ps | grep exportfs >/dev/null) sleep 1",
        )
        .is("/n/two/x\n")
}

/// Requests that wait hold up no others, and an interrupted program's request ends.
fn waiting() -> Case {
    Case::new("servers/exportfs-waiting", q35())
        .line("bind '#|' /mnt/two; srv -q -e exportfs all; mount /srv/all /n/one")
        .is("")
        // Thirty readers of a pipe into which nobody writes, and as many of the server's processes that wait for them.
        .line("for(a in 0 1 2 3 4) for(b in 0 1 2 3 4 5) {cat /n/one/mnt/two/data & pids=($pids $apid)}")
        .line("while(test `{ps | grep -c Pread} -lt 60) sleep 1")
        .is("")
        .line("cat /n/one/dev/sysname; echo; ls /n/one | wc -l")
        .gives("elwood\n")
        .line(
            "for(p in $pids) echo interrupt >/proc/$p/note; wait; \
               while(test `{ps | grep -c Pread} -gt 5) sleep 1",
        )
        .is("")
        .line("cat /n/one/dev/sysname; echo")
        .is("elwood\n")
}

/// The guest's files from the host, over a port.
fn host_client() -> Case {
    exporting("servers/host-client")
        .check(|w| {
            let run =
                |words: &[&str], input: &[u8]| w.programs.mount_test(&w.sockets.path("c0"), words, input);
            let ok = |words: &[&str], input: &[u8]| {
                let output = run(words, input)?;
                output.map_err(|e| anyhow::anyhow!("{words:?}: {e}"))
            };
            let fails = |words: &[&str], want: &str| -> Result<()> {
                let error = run(words, b"")?.err().unwrap_or_default();
                ensure!(error == want, "{words:?}: {error:?} is not {want:?}");
                Ok(())
            };
            ensure!(ok(&[], b"")? == b"9P2000, messages of 1048576 bytes, 1 files in the root\n");
            ensure!(ok(&["cat", "from-guest"], b"")? == b"hello host\n");
            let big: Vec<u8> =
                (0..1u32 << 20).flat_map(|n| n.wrapping_mul(0x9E37_79B1).to_le_bytes()).collect();
            ok(&["mkdir", "dir"], b"")?;
            ok(&["put", "dir/big"], &big)?;
            ensure!(ok(&["cat", "dir/big"], b"")? == big, "the bytes have changed");
            ensure!(ok(&["--msize", "5000", "cat", "dir/big"], b"")? == big, "the bytes have changed");
            ok(&["put", "name"], b"text")?;
            ok(&["mv", "name", "other"], b"")?;
            ok(&["rm", "from-guest"], b"")?;
            ensure!(ok(&["ls"], b"")? == b"dir\nother\n");
            ensure!(ok(&["--tree", "dir", "ls"], b"")? == b"big\n");
            let sums = String::from_utf8(ok(&["sum"], b"")?)?;
            ensure!(sums.ends_with("  dir/big\n") || sums.contains("  dir/big\n"), "{sums}");
            fails(&["cat", "nothing"], "elwood: nothing: file does not exist")?;
            fails(&["rm", "dir"], "elwood: dir: directory not empty")?;
            fails(&["mkdir", "dir"], "elwood: dir: file already exists")?;
            fails(&["cat", "dir"], "elwood: dir: file is a directory")
        })
        .types("\x7f")
        .sees(PROMPT)
        .line("ls /tmp; cat /tmp/other; echo; sha1sum /tmp/dir/big")
        .gives("/tmp/dir\n/tmp/other\ntext\n")
        .budget(120)
}

/// A client that goes in the middle of everything, and others after it.
fn host_client_dies() -> Case {
    exporting("servers/host-client-dies")
        .connects("c0")
        // A version, and the first bytes of an attach.
        .says("c0", b"\x13\0\0\0\x64\xff\xff\0\x20\0\0\x06\x009P2000\x20\0\0\0\x68\0")
        .hears("c0", b"\x13\0\0\0\x65\xff\xff\0\x20\0\0\x06\x009P2000")
        .leaves("c0")
        .sees("the client left in the middle of a message: 6 bytes")
        .check(still_there)
        .connects("c0")
        .says("c0", b"GET / HTTP/1.0\r\n\r\n")
        .sees("wrong size field")
        .leaves("c0")
        .check(still_there)
        .check(still_there)
        .budget(120)
}

/// Clients that follow one another at once: none loses its first words, nor waits for an answer.
fn host_clients_follow() -> Case {
    exporting("servers/host-clients-follow").check(|w| (0..40).try_for_each(|_| still_there(w))).budget(120)
}

/// A machine with a file in /tmp, which is served on the port `c0` to one client after the other.
fn exporting(name: &str) -> Case {
    let port = "/dev/virtcon/by-name/export";
    Case::new(name, q35())
        .chardev("c0")
        .device("virtio-serial-pci")
        .device("virtserialport,chardev=c0,nr=1,name=export")
        .line("echo hello host >/tmp/from-guest")
        .is("")
        .types(format!("while() exportfs -r /tmp {port}\n"))
        .sees(Pattern::from(port))
}

fn still_there(w: &World) -> Result<()> {
    let output = w.programs.mount_test(&w.sockets.path("c0"), &["cat", "from-guest"], b"")?;
    ensure!(output.as_deref() == Ok(&b"hello host\n"[..]), "{output:?}");
    Ok(())
}

/// What is mounted in a share is seen from every name space, as long as the server lives.
fn shares() -> Case {
    Case::new("servers/shares", q35())
        .line("ramfs -S one; ramfs -S two; mkdir '#σc/work'; ls /shr; ls /shr/work")
        .is("/shr/work\n")
        .line(
            "@{rfork n; unmount /shr; bind -c '#σ/work' /n/x; \
             echo 3 >'#σc/work/one' <>[3]/srv/one; echo old >/n/x/old}",
        )
        .line("cat /shr/work/old; echo 3 >'#σc/work/two' <>[3]/srv/two; echo new >/shr/work/new; ls /shr/work")
        .is("old\n/shr/work/new\n/shr/work/old\n")
        .line("mkdir /shr/work/dir; bind /lib /shr/work/dir; ls -p /shr/work/dir; ls '#σ/work/dir'; ns | grep shr")
        .is("namespace\nndb\nbind '#σ' /shr\nbind /lib /shr/work/dir\n")
        .line("echo 3 >'#σc/work/two' <>[3]/srv/two")
        .gives("file already exists")
        .line("rm '#σc/work'")
        .gives("directory not empty")
        .line("unmount /shr/work/dir; rm /srv/two '#σc/work/two'; ls /shr/work; mount -c '#σc/work/one' /n/one")
        .is("/shr/work/old\n")
        // A server that has gone takes only its own files along.
        .line("ramfs -S three; echo 3 >'#σc/work/three' <>[3]/srv/three; echo x >/n/one/x; ls /shr/work")
        .is("/shr/work/old\n/shr/work/x\n")
        .line("rm /srv/three; kill ramfs | sed -n '$p' | rc; cat /n/one/old; ls /shr/work")
        .is("old\n/shr/work/old\n/shr/work/x\n")
        .line("unmount /n/one; rm '#σc'/work/*; rm '#σc/work'; ls /shr '#σc'; grep 'shr$' /dev/pools")
        .gives(re("^ +0 shr\n"))
}
