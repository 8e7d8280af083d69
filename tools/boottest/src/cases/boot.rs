//! Getting from QEMU to a prompt or to a command, on every machine and with every word of the command line.

use anyhow::{Context, Result, ensure};
use vm::{Board, Vm};

use super::{MOTD, motd, q35};
use crate::case::{Case, End, PROMPT, World, re};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for board in [Board::Pc, Board::Q35] {
        for (firmware, vm) in [("seabios", Vm::new(board)), ("qboot", Vm::new(board).qboot())] {
            cases.push(
                Case::new(format!("boot/{}-{firmware}", board.name()), vm)
                    .share("host", motd)
                    .append("mount=host:/n/host")
                    .line("echo hello world")
                    .is("hello world\n")
                    .line("cat /n/host/motd")
                    .is(MOTD)
                    .line("cat /dev/kmesg")
                    .gives(re("boot: [0-9]+ ms")),
            );
        }
    }
    // Processors that somebody has made up.
    for (without, lack) in [
        ("lm", "64-bit mode"),
        ("cmov", "conditional moves"),
        ("fpu", "floating point unit"),
        ("apic", "APIC"),
        ("sse2", "SSE2"),
        ("syscall", "SYSCALL instruction"),
    ] {
        let vm = q35().cpu(format!("qemu64,-{without}")).debug_exit();
        cases.push(
            Case::new(format!("boot/no-{without}"), vm)
                .sees(format!("elwood: this processor has no {lack}\n"))
                .ends(End::Exits(1)),
        );
    }
    // One without a device to exit by ends as well.
    let ends =
        |without: &str| Case::new(format!("boot/no-{without}-off"), q35().cpu(format!("qemu64,-{without}")));
    cases.extend(
        ["lm", "apic"].map(|without| ends(without).sees("this processor has no").ends(End::Exits(0))),
    );
    cases.extend([
        Case::new("boot/default-devices", Vm::new(Board::Pc).default_devices()).line("echo up").is("up\n"),
        Case::new("boot/user", q35())
            .append("user=bob")
            .line("cat /dev/user; echo; cat /dev/hostowner; echo; echo $user $home")
            .is("bob\nbob\nbob /usr/glenda\n")
            .line("ls -l /dev/null")
            .gives(re("^--rw-rw-rw- c 0 bob bob 0 ")),
        Case::new("boot/timezone", q35())
            .append("timezone=CET")
            .line("date 1782864000; date 1767225600; ls /adm; cat /adm/users | sed 1q")
            .is("Wed Jul  1 02:00:00 CES 2026\nThu Jan  1 01:00:00 CET 2026\n\
                 /adm/timezone\n/adm/users\n-1:adm:adm:glenda\n")
            .line("cat /env/timezone | sed 1q; ls /adm/timezone | wc -l")
            .gives(re("^CET 3600 CES 7200\n +60$"))
            .line("cat /adm/timezone/US_Eastern >/env/timezone; rc -c 'date 1767225600'")
            .is("Wed Dec 31 19:00:00 EST 2025\n"),
        // A directory to mount on is there when it is asked for, and what is mounted is found again.
        Case::new("boot/mount-points", q35())
            .line("ls -d /n/new /mnt/new; bind /lib /n/new; cd /; ls -p /n/new; ls /n/old/x")
            .is("/mnt/new\n/n/new\nnamespace\nndb\nls: /n/old/x: '/n/old/x' file does not exist\n")
            .line("@{rfork n; unmount /n; mount -a /srv/slashn /n; ls -p /n/new}; unmount /n/new; ls /n/new")
            .is("namespace\nndb\n"),
        // Where auth programs look for keys, and what they become users by.
        Case::new("boot/keys", q35())
            .line("echo $nvram; echo -n secret >$nvram; dd -if $nvram -bs 6 -count 1 -quiet 1; echo; ls -p '#¤'")
            .is("#r/nvram\nsecret\ncaphash\ncapuse\n")
            .line("echo -n glenda@eve@key >'#¤/capuse'")
            .gives(re("invalid capability"))
            .line("rm '#¤/caphash'; ls -p '#¤'")
            .is("capuse\n"),
        Case::new("boot/timezone-none", q35())
            .append("timezone=Nowhere timezone='../../dev/cons' user=none")
            .sees("bad word 'timezone=../../dev/cons' ignored")
            .sees("bad word 'user=none' ignored")
            .sees("init: timezone=Nowhere: there is no such zone")
            .line("date 1767225600; sed 1q /env/timezone")
            .is("Thu Jan  1 00:00:00 GMT 2026\nGMT 0 GMT 0\n"),
        Case::new("boot/cpu-max", q35().cpu("max")).line("echo up").is("up\n"),
        Case::new("boot/memory-64", q35().memory_mib(64)).line("cat /dev/swap").check(|w| memory(w, 48, 64)),
        // README says so.
        Case::new("boot/memory-10", q35().memory_mib(10))
            .share("host", |folder| Ok(std::fs::write(folder.join("motd"), "hello\n")?))
            .line("mount -d '#9' /dev/null /n/host host; cat /n/host/motd")
            .is("hello\n")
            // The shell and the common commands run where they lie: they were 245 pages.
            .line("sed -n 's/\\/.* user$/ user/p' /dev/swap")
            .check(|w| pages(w, " user", 150)),
        // With the network, and with programs that the kernel has compressed.
        Case::new("boot/memory-12-net", q35().memory_mib(12))
            .share("host", |folder| Ok(std::fs::write(folder.join("motd"), "hello\n")?))
            .arg("-netdev")
            .arg("user,id=n0")
            .device("virtio-net-pci,netdev=n0,romfile=")
            .line("mount -d '#9' /dev/null /n/host host; cat /n/host/motd")
            .is("hello\n")
            .line("while(! grep -s '^ip=10.0.2.15 ' /net/ndb) sleep 1; ip/ping -n 1 10.0.2.2")
            .gives("1 of 1 came back")
            .line("seq 10 | awk '{s += $1} END {print s}'; man -n sed | sed 1q; cmp /bin/awk /bin/ed && echo same")
            .is("55\nSED(1)\nsame\n"),
        // Who takes it all dies of it, and all of it comes back.
        Case::new("boot/out-of-memory", q35().memory_mib(64))
            .line("awk 'BEGIN { while(1) x[n++] = n }'")
            .gives(re(
                "awk [0-9]+: out of memory\nawk [0-9]+: suicide: sys: trap: out of memory addr=0x[0-9a-f]+ pc=",
            ))
            .line("cat /dev/swap")
            .check(|w| pages(w, " kernel", 2000))
            .line("sed -n 's/\\/.* user$/ user/p' /dev/swap")
            .check(|w| pages(w, " user", 2000)),
        // If it is the shell at the console, there is another, and what it had made is there still.
        Case::new("boot/shell-again", q35().memory_mib(64))
            .line("echo kept >/tmp/kept; x=`{seq 1000}")
            .is("")
            .types("for(i in $x) for(j in $x) v$i^_^$j=a\n")
            .sees("init: the shell has gone for want of memory, here is another\n")
            .sees(PROMPT)
            .line("cat /tmp/kept")
            .is("kept\n"),
        // It has not gone for that when what it ran last has.
        Case::new("boot/end-after-all", q35().memory_mib(64))
            .line("awk 'BEGIN { while(1) x[n++] = n }'")
            .gives(re("awk [0-9]+: suicide: sys: trap: out of memory"))
            .types("\x04")
            .never("here is another")
            .ends(End::Exits(0)),
        // And whoever is beside it goes on.
        Case::new("boot/beside-an-eater", q35().memory_mib(64))
            .line("awk 'BEGIN { while(1) x[n++] = n }' &")
            .line("for(i in 1 2 3 4 5 6 7 8 9 10 11 12) {ls /bin >/dev/null || echo failed; sleep 1}; echo all is well")
            .gives(re("^all is well$"))
            .never(re("^failed$")),
        Case::new("boot/memory-8192", q35().memory_mib(8192))
            .line("cat /dev/swap")
            .check(|w| memory(w, 7900, 8192)),
        Case::new("boot/overlay", q35())
            .overlay(&[("lib/news", "laid over\n"), ("rc/bin/hi", "#!/bin/rc\necho hi $*\n")])
            .line("cat /lib/news")
            .is("laid over\n")
            .line("rc /rc/bin/hi there")
            .is("hi there\n"),
        Case::new("init/empty-status", q35()).init("echo hello").sees("hello\n").never("term%"),
        Case::new("init/status", q35())
            .init("exit bad")
            .sees(re("^init: exit status: .*bad\n"))
            .ends(End::Fails),
        Case::new("init/failed-command", q35())
            .init("ls /no/such/file")
            .sees("/no/such/file")
            .ends(End::Fails),
        Case::new("init/unknown-command", q35()).init("nosuchcommand").sees("nosuchcommand").ends(End::Fails),
        Case::new("init/no-exit-device", q35()).append("init='exit bad'").sees("bad").ends(End::Exits(0)),
        Case::new("init/quotes", q35()).init("x='it''s'; echo $x | sed 's/it/that/'").sees("that's\n"),
        Case::new("init/killed", q35().debug_exit())
            .sees(PROMPT)
            .types("echo -n kill >/proc/1/note\n")
            .sees(re(
                "boot: /rc/bin/init has ended: .*\"kill\" came from process [0-9]+ \\(echo\\) of glenda\\)\n",
            ))
            .ends(End::Fails),
        // The shell's group is not init's, which ends the machine in order when the shell has gone.
        Case::new("init/group", q35().debug_exit())
            .sees(PROMPT)
            .types("echo -n hangup >/proc/$pid/notepg\n")
            .never("has ended")
            .ends(End::Exits(0)),
        // Typed, they would begin the machine a second time; it goes on as it was.
        Case::new("init/typed", q35())
            .line("init || echo refused; bootroot || echo refused; hostexec || echo refused; ns | grep -c '#I'")
            .is("init: only the first process of a machine is init\nrefused\n\
                 bootroot: only the first process of a machine is bootroot\nrefused\n\
                 hostexec: only the first process of a machine is hostexec\nrefused\n1\n")
            .line("pwd; echo still here")
            .is("/usr/glenda\nstill here\n"),
        first_computes(),
        Case::new("init/mounted", q35())
            .share("one", motd)
            .share("two", motd)
            // The first of these places is in no archive; the kernel makes it.
            .append("mount=one:/shares/first mount=two:/n/two")
            .init("cmp /shares/first/motd /n/two/motd && cat /n/two/motd")
            .sees(MOTD),
        Case::new("words/good", q35())
            .append("greeting='hello  world' colour=blue")
            .line("echo $greeting, $colour")
            .is("hello  world, blue\n")
            .line("cat /dev/config")
            .gives("colour=blue"),
        Case::new("words/bad", q35())
            .append("nonsense ncpu=many mount=nowhere colour=blue")
            .sees("bad word 'nonsense' ignored: not name=value\n")
            .sees("bad word 'ncpu=many' ignored")
            .sees("bad word 'mount=nowhere' ignored")
            .line("echo $colour")
            .is("blue\n"),
        Case::new("words/mount-of-nothing", q35())
            .append("mount=absent:/n/host")
            .sees("absent")
            .line("echo up")
            .is("up\n"),
    ]);
    cases.extend(long_words());
    cases
}

/// Command lines as long as QEMU's loader takes, and longer ones, which `vm` would not start: they go another way.
fn long_words() -> Vec<Case> {
    let words = |vm: Vm, len: usize| {
        let (head, tail) = ("append=colour=blue pad=", " last=word");
        let pad = "x".repeat(len + "append=".len() - head.len() - tail.len());
        vm.board_option(format!("{head}{pad}{tail}"))
    };
    let mut cases = Vec::new();
    for (name, vm) in [("q35", Vm::new(Board::Q35)), ("pc", Vm::new(Board::Pc))] {
        cases.push(
            Case::new(format!("words/too-long-{name}"), words(vm.clone(), 5000).debug_exit())
                .sees("elwood: the command line (-append) has 5000 bytes; QEMU's loader has room for 4096")
                .ends(End::Exits(1))
                .pinned(),
        );
        let most = Case::new(format!("words/longest-{name}"), words(vm, 4096)).pinned();
        cases.push(most.never("is cut").line("echo $colour $last").is("blue word\n"));
    }
    for (name, vm) in [("qboot", Vm::new(Board::Q35).qboot()), ("microvm", Vm::new(Board::Microvm))] {
        cases.push(
            Case::new(format!("words/cut-{name}"), words(vm, 9000))
                .sees("boot: the command line has 9000 bytes and is cut: 4096 are read; the word at the cut, 'pad=xxx")
                .line("echo $colour $#pad $#last")
                .is("blue 0 0\n"),
        );
    }
    cases
}

/// The line that ends in `what` counts at most so many pages.
fn pages(world: &World, what: &str, most: u64) -> Result<()> {
    let count =
        world.output.lines().find_map(|line| line.strip_suffix(what)).context("the line is missing")?;
    let count: u64 = count.parse().context("a number of pages")?;
    ensure!(count <= most, "{count} pages{what}, more than {most}");
    Ok(())
}

/// `/dev/swap` tells of `least` to `most` MiB.
fn memory(world: &World, least: u64, most: u64) -> Result<()> {
    let line = world.output.lines().find(|line| line.ends_with(" memory")).context("no line 'memory'")?;
    let bytes: u64 =
        line.split(' ').next().unwrap_or_default().parse().context("the number before 'memory'")?;
    let mib = bytes >> 20;
    ensure!((least..=most).contains(&mib), "{mib} MiB of memory, not {least} to {most}");
    Ok(())
}

/// The first process is one of the owner's, too: when it computes for ever its children have their turns.
fn first_computes() -> Case {
    let quote = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let script = "{l=(1 2 3 4 5 6 7 8 9 10); for(a in $l) for(b in $l) for(c in $l) for(d in $l) x=$a; \
                  echo child lives; echo halt >'#c/reboot'} & while(~ a a) {}";
    Case::new("init/first-computes", q35())
        .append(&format!("boot={}", quote(&format!("/bin/rc -c {}", quote(script)))))
        .sees("child lives\n")
        .ends(End::Exits(0))
        .pinned()
}
