//! `9pvpxy` between the mount driver and `elwood serve` on the host, or somebody worse.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::load::noise;
use super::{MOTD, motd, q35};
use crate::case::{Case, PROMPT, World, re};

/// A port that knows who is connected, of a device with several.
const PORT: &str = "virtserialport,chardev=c0,nr=1,name=org.elwood.9p";
/// Its file.
const NAMED: &str = "/dev/virtcon/by-name/org.elwood.9p";
/// The port that does not know, and its file.
const CONSOLE: &str = "virtconsole,chardev=c0";
const UNNAMED: &str = "/dev/virtcon/virtio-console-0";
/// Starting the proxy on the first.
const SRV: &str = "srv -e '9pvpxy /dev/virtcon/by-name/org.elwood.9p' vc2";
/// And mounting what it leads to.
const MOUNT: &str = "mount -c -n /srv/vc2 /mnt/xxx";

pub fn cases() -> Vec<Case> {
    vec![
        sixty(machine("proxy/sixty", PORT)),
        stopped(machine("proxy/stopped", PORT)),
        killed(machine("proxy/killed", PORT)),
        killed_console(machine("proxy/killed-console", CONSOLE)),
        held(machine("proxy/held", PORT).check(serve).line(CONNECTED).is(""), NAMED),
        held(machine("proxy/held-console", CONSOLE).check(serve), UNNAMED),
        listening(),
        malformed(machine("proxy/malformed", PORT)),
        files(machine("proxy/files", PORT)),
    ]
}

/// A machine with one port, and a folder to be served through it.
fn machine(name: &str, port: &str) -> Case {
    let case = Case::new(name, q35())
        .folder("served", |folder| {
            motd(folder)?;
            noise(&folder.join("big"), BIG)
        })
        .chardev("c0")
        .device("virtio-serial-pci")
        .device(port);
    // QEMU listens by now.
    case.sees(PROMPT)
}

/// The size of the large file.
const BIG: u64 = 8_000_001;

/// Starts `elwood serve`, which calls the port's socket.
fn serve(w: &World) -> Result<()> {
    w.programs.serve_calling("server", w.folder("served")?, &w.sockets.path("c0"))
}

/// Waits until the machine knows that the host is connected.
const CONNECTED: &str = "while(! grep 'connected 1' /dev/virtio >/dev/null) sleep 1";

/// From the prompt to the mounted folder, through a port that knows who is connected.
fn mounted(case: Case) -> Case {
    case.check(serve).line(CONNECTED).is("").line(format!("{SRV}; {MOUNT}")).is("post...\n")
}

/// All that is done with files, and what is not allowed.
fn files(case: Case) -> Case {
    let case = case.folder("secret", motd).check(|w| {
        let folder = w.folder("served")?;
        fs::create_dir(folder.join("dir"))?;
        symlink(w.folder("secret")?.join("motd"), folder.join("out"))?;
        symlink("../secret/motd", folder.join("up"))?;
        Ok(symlink("motd", folder.join("in"))?)
    });
    mounted(case)
        .line("ls -p /mnt/xxx; cat /mnt/xxx/in")
        .is(format!("big\ndir\nin\nmotd\nout\nup\n{MOTD}"))
        .line("cd /mnt/xxx; echo new >made; echo more >>made; mkdir sub; cp made sub/copy; mv made renamed")
        .is("")
        .line("chmod 600 renamed; rm motd in; ls -p; cat sub/copy; ls -l renamed")
        .gives("big\ndir\nout\nrenamed\nsub\nup\nnew\nmore\n")
        .gives(re("^--rw------- M "))
        .line("for(f in out up) cat $f")
        .gives("out")
        .line("echo overwritten >out")
        .gives("'out' permission denied")
        .line("echo overwritten >up")
        .gives("'up' permission denied")
        .line("cat ../../secret/motd ; ls ../..")
        .gives("../../mnt\n")
        .check(|w| {
            ensure!(!w.output.contains(MOTD), "the secret is out");
            let (folder, secret) = (w.folder("served")?, w.folder("secret")?);
            for name in ["renamed", "sub/copy"] {
                let text = fs::read_to_string(folder.join(name)).with_context(|| name.to_owned())?;
                ensure!(text == "new\nmore\n", "{name} is {text:?}");
            }
            let mode = fs::metadata(folder.join("renamed"))?.permissions().mode() & 0o777;
            ensure!(mode == 0o600, "the mode is {mode:o}");
            ensure!(!folder.join("motd").exists() && !folder.join("made").exists(), "something is left");
            ensure!(fs::read_to_string(secret.join("motd"))? == MOTD, "the secret has changed");
            Ok(())
        })
        .line("cp big back; cmp big back; echo $status")
        .is("\n")
        .check(|w| same(w, "big", "back"))
        .line("cd /; unmount /mnt/xxx; rm /srv/vc2; while(ps | grep 9pvpxy >/dev/null) sleep 1")
        .is("")
}

/// Sixty processes read and compare at the same time.
fn sixty(case: Case) -> Case {
    let case = case.check(|w| {
        let folder = w.folder("served")?;
        noise(&folder.join("a"), 100_003)?;
        fs::copy(folder.join("a"), folder.join("b"))?;
        let numbers: Vec<String> = (1..=60).map(|n| n.to_string()).collect();
        let script = format!(
            "for(i in {}) {{ cmp /mnt/xxx/a /mnt/xxx/b && cp /mnt/xxx/a /mnt/xxx/c$i && echo equal & }}\nwait\n",
            numbers.join(" ")
        );
        Ok(fs::write(folder.join("sixty"), script)?)
    });
    mounted(case)
        .line("rc /mnt/xxx/sixty")
        .is("equal\n".repeat(60))
        .check(|w| (1..=60).try_for_each(|i| same(w, "a", &format!("c{i}"))))
        .budget(120)
}

/// The server stops for ten seconds in the middle of reads and writes, and nothing is lost.
fn stopped(case: Case) -> Case {
    mounted(case)
        .types("cp /mnt/xxx/big /mnt/xxx/back && cmp /mnt/xxx/big /mnt/xxx/back; echo done^$status\n")
        .check(|w| grown(w, "back", BIG / 4))
        .check(|w| {
            w.programs.pause("server", true)?;
            std::thread::sleep(Duration::from_secs(10));
            w.programs.pause("server", false)
        })
        .sees("\ndone\n")
        .check(|w| same(w, "big", "back"))
}

/// The server is killed in the middle of a read, and started again. Its port tells the machine.
fn killed(case: Case) -> Case {
    mounted(case)
        .types("echo reading; @{ while() cat /mnt/xxx/big >/dev/null || exit }\n")
        .sees("\nreading\n")
        .check(|w| w.programs.kill("server"))
        .sees("i/o on hungup channel")
        .sees(PROMPT)
        .line("cat /mnt/xxx/motd")
        .gives("i/o on hungup channel")
        .check(serve)
        .line(CONNECTED)
        .line(format!("unmount /mnt/xxx; rm /srv/vc2; {SRV}; {MOUNT}; cat /mnt/xxx/motd"))
        .is(format!("post...\n{MOTD}"))
}

/// The same with a console, which does not tell: the reader waits until it is interrupted and the kernel has waited in
/// vain for the answer to its flush. The proxy ends with its last user.
fn killed_console(case: Case) -> Case {
    case.check(serve)
        .line("srv -e '9pvpxy /dev/virtcon/virtio-console-0' vc2")
        .is("post...\n")
        .line(format!("{MOUNT}; cat /mnt/xxx/motd"))
        .is(MOTD)
        .types("echo reading; while() cat /mnt/xxx/big >/dev/null\n")
        .sees("\nreading\n")
        .check(|w| {
            w.programs.kill("server")?;
            // Whatever was under way is answered or never will be.
            std::thread::sleep(Duration::from_millis(500));
            serve(w)
        })
        .types("\x7f")
        .sees(PROMPT)
        .line("unmount /mnt/xxx; rm /srv/vc2; srv -e '9pvpxy /dev/virtcon/virtio-console-0' vc2")
        .is("post...\n")
        .line(format!("{MOUNT}; cat /mnt/xxx/motd"))
        .is(MOTD)
}

/// Somebody still reads the port when the proxy begins: it waits, and gets all answers. Who comes while one stays is
/// told.
fn held(case: Case, port: &str) -> Case {
    let srv = format!("srv -e '9pvpxy {port}' vc2");
    case.line(format!("cat {port} >/dev/null & first=$apid"))
        .is("")
        // It has the port: otherwise the proxy comes first, and the one to be killed is the one that is told below.
        .line("while(! grep virtcon /proc/$first/fd >/dev/null) sleep 1")
        .is("")
        .line(format!("{{ sleep 1; echo kill >/proc/$first/note }} & {srv}; {MOUNT}; cat /mnt/xxx/motd"))
        .is(format!("post...\n{MOTD}"))
        .line(format!("cat {port}"))
        .gives(format!("'{port}' device or object already in use"))
        .line(format!("unmount /mnt/xxx; rm /srv/vc2; {srv}; {MOUNT}; cat /mnt/xxx/motd"))
        .is(format!("post...\n{MOTD}"))
}

/// The server listens before the machine is there, QEMU calls it, and calls the next one.
fn listening() -> Case {
    Case::new("proxy/listening", q35())
        .folder("served", motd)
        .calling_chardev("c0")
        .device("virtio-serial-pci")
        .device(PORT)
        .first(listen)
        .line(format!("{SRV}; {MOUNT}; cat /mnt/xxx/motd"))
        .is(format!("post...\n{MOTD}"))
        .check(|w| {
            w.programs.kill("server")?;
            listen(w)
        })
        .line("cat /mnt/xxx/motd")
        .gives("i/o on hungup channel")
}

fn listen(w: &World) -> Result<()> {
    w.programs.serve_listening("server", w.folder("served")?, &w.sockets.path("c0"))
}

/// What is no 9P ends the proxy, with a message, and closes both sides.
fn malformed(mut case: Case) -> Case {
    // A length that is none, one of a gigabyte, a request from the server.
    let tests: [(&'static [u8], &str); 3] = [
        (b"\x03\0\0\0\x65", "9pvpxy: message of 3 bytes from the server, 1048576 are agreed\n"),
        (
            b"\0\0\0\x40\x65\xff\xff",
            "9pvpxy: message of 1073741824 bytes from the server, 1048576 are agreed\n",
        ),
        (b"\x07\0\0\0\x78\x01\0", "9pvpxy: message type 120 (TCLUNK) from the server\n"),
    ];
    for (bytes, message) in tests {
        case = case
            .connects("c0")
            .line(CONNECTED)
            .line(SRV)
            .is("post...\n")
            .types(format!("{MOUNT}\n"))
            // The client has asked before it is answered.
            .check(|w| {
                let asked = w.sockets.hear("c0", 19)?;
                ensure!(asked.get(4) == Some(&100), "no Tversion: {asked:?}");
                Ok(())
            })
            .says("c0", bytes)
            .sees(message)
            .sees("i/o on hungup channel\n")
            .sees(PROMPT)
            .line("rm /srv/vc2; while(ps | grep 9pvpxy >/dev/null) sleep 1; cat /mnt/xxx/motd")
            .gives("'/mnt/xxx/motd' file does not exist")
            .leaves("c0");
    }
    case
}

/// The two files of the served folder are equal.
fn same(w: &World, one: &str, other: &str) -> Result<()> {
    let folder = w.folder("served")?;
    ensure!(fs::read(folder.join(one))? == fs::read(folder.join(other))?, "{one} and {other} differ");
    Ok(())
}

/// Waits until a file of the served folder has grown to `len` bytes.
fn grown(w: &World, name: &str, len: u64) -> Result<()> {
    let path = w.folder("served")?.join(name);
    let size = |path: &Path| fs::metadata(path).map_or(0, |m| m.len());
    let end = Instant::now() + Duration::from_secs(60);
    while size(&path) < len {
        ensure!(Instant::now() < end, "{name} has {} bytes and grows no more", size(&path));
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
