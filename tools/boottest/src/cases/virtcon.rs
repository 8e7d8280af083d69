//! `/dev/virtcon`: ports that know who is connected, many ports, reads that wait. What the guide does with a console
//! is among the guide's cases.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{MOUNT, q35};
use crate::case::{Case, PROMPT, World, re};

/// The guide's own devices.
const GUIDE: &str = "virtio-serial-pci,max_ports=1";
/// A port behind a second kind of device, with a name.
const NAMED: &str = "virtserialport,chardev=c0,nr=3,name=org.elwood.9p";
/// Its file.
const CHAT: &str = "/dev/virtcon/by-name/org.elwood.9p";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("virtcon/none", q35())
            .line("ls '#C' '#C/virtcon'")
            .is("#C/virtcon\n")
            .line("ls /dev/virtcon")
            .is(""),
        connections(),
        unread(),
        several(),
        interrupt(),
        bulk(),
    ]
}

/// The host comes, goes, and comes back.
fn connections() -> Case {
    Case::new("virtcon/connections", q35())
        .chardev("c0")
        .device("virtio-serial-pci")
        .device(NAMED)
        .line("ls /dev/virtcon")
        .is("/dev/virtcon/by-name\n/dev/virtcon/by-place\n/dev/virtcon/virtio-console-0.3\n")
        .line("cat /dev/virtio")
        .gives(re("^virtio-console-0 .* org.elwood.9p .* console ports 1"))
        .line(format!("echo lost >{CHAT}"))
        .gives("i/o on hungup channel")
        // A reader that is there before the host is.
        .types(format!("cat {CHAT}\n"))
        .connects("c0")
        .says("c0", b"first\n")
        .sees("\nfirst\n")
        .leaves("c0")
        .sees(PROMPT)
        .line(format!("echo lost >{CHAT}"))
        .gives("i/o on hungup channel")
        .connects("c0")
        .says("c0", b"second\n")
        .line(format!("dd -if {CHAT} -count 1 -quiet 1"))
        .is("second\n")
        .line(format!("echo again >{CHAT}"))
        .is("")
        .hears("c0", b"again\n")
}

/// One who reads nothing leaves when the way to it is full; whoever comes next hears what is said all the same.
fn unread() -> Case {
    Case::new("virtcon/unread", q35())
        .chardev("c0")
        .device("virtio-serial-pci")
        .device(NAMED)
        .line("ls /dev/virtcon/by-name")
        .gives("9p")
        .connects("c0")
        .types(format!("dd -if /dev/zero -of {CHAT} -bs 32k -count 100 >[2]/dev/null\n"))
        // By then nothing moves any more.
        .check(|_| {
            std::thread::sleep(Duration::from_secs(2));
            Ok(())
        })
        .leaves("c0")
        .sees(PROMPT)
        .connects("c0")
        .line("while(! grep 'connected 1' /dev/virtio >/dev/null) sleep 1")
        .is("")
        .line(format!("echo hello >{CHAT}"))
        .is("")
        .check(|w| w.sockets.hear_until("c0", b"hello\n").map(drop))
}

/// Ports of one device have nothing to do with each other.
fn several() -> Case {
    let case = Case::new("virtcon/several", q35())
        .share("host", |folder| Ok(fs::write(folder.join("big"), big())?))
        .chardev("c0")
        .chardev("c1")
        .chardev("c2")
        .device("virtio-serial-pci")
        .device("virtconsole,chardev=c0")
        .device("virtserialport,chardev=c1,name=org.elwood.one")
        .device("virtserialport,chardev=c2,name=org.elwood.two,nr=7")
        .line(MOUNT)
        .is("")
        .line("ls /dev/virtcon /dev/virtcon/by-name")
        .is("/dev/virtcon/by-name\n/dev/virtcon/by-place\n/dev/virtcon/virtio-console-1\n\
             /dev/virtcon/virtio-console-1.1\n/dev/virtcon/virtio-console-1.7\n\
             /dev/virtcon/by-name/org.elwood.one\n/dev/virtcon/by-name/org.elwood.two\n")
        .line("cd /dev/virtcon; cat /dev/virtio")
        .gives(re("^virtio-console-1 .* org.elwood.one,org.elwood.two .* console ports 3 connected 1 "))
        .connects("c0")
        .connects("c1")
        .connects("c2")
        .line(
            "while(! grep 'connected 3' /dev/virtio >/dev/null) sleep 1; \
             for(p in *.7 *-1 by-name/*one) echo to $p >$p",
        );
    case.hears("c0", b"to virtio-console-1\n")
        .hears("c1", b"to by-name/org.elwood.one\n")
        .hears("c2", b"to virtio-console-1.7\n")
        // Three wait at once, each for his own.
        .types("for(p in *-1 *.1 *.7){ dd -if $p -count 1 -quiet 1 -of /n/host/from.$p & }; wait; echo all^here\n")
        .says("c2", b"two")
        .says("c0", b"console")
        .says("c1", b"one")
        // The prompt of the line before may come behind the echo of this one.
        .sees("allhere\n")
        .check(|w| {
            for (port, text) in [("-1", "console"), ("-1.1", "one"), ("-1.7", "two")] {
                let got = fs::read_to_string(w.folder("host")?.join(format!("from.virtio-console{port}")))?;
                ensure!(got == text, "{got:?} came from port {port}");
            }
            Ok(())
        })
        // One that the host does not read holds up its own writer only; when the host leaves, the writer is told.
        .line("cat /n/host/big >by-name/org.elwood.one & echo through >by-name/org.elwood.two")
        .is("")
        .hears("c2", b"through\n")
        .leaves("c1")
        .types("wait\n")
        .sees("i/o on hungup channel\n")
        .line("echo up")
        .is("up\n")
}

/// A read that nobody answers ends with a note.
fn interrupt() -> Case {
    Case::new("virtcon/interrupt", q35())
        .chardev("c0")
        .device(GUIDE)
        .device("virtconsole,chardev=c0")
        .line("echo ready")
        .types("cat /dev/virtcon/virtio-console-0\n")
        .sees("virtio-console-0\n")
        .check(|_| {
            std::thread::sleep(Duration::from_millis(300));
            Ok(())
        })
        .types("\x7f")
        .sees(PROMPT)
        .line("echo still here")
        .is("still here\n")
}

/// A megabyte each way, where nothing may be lost; the host reads with pauses.
fn bulk() -> Case {
    Case::new("virtcon/bulk", q35())
        .share("host", |folder| Ok(fs::write(folder.join("big"), big())?))
        .chardev("c0")
        .device("virtio-serial-pci")
        .device(NAMED)
        .line(MOUNT)
        .is("")
        .connects("c0")
        // Whoever is connected before the first byte is sent gets all.
        .types(format!("cp /n/host/big {CHAT}\n"))
        .check(|w| {
            let mut got = Vec::new();
            while got.len() < big().len() {
                got.extend(w.sockets.hear("c0", 128 * 1024)?);
                std::thread::sleep(Duration::from_millis(50));
            }
            ensure!(got == big(), "the bytes have changed on their way out");
            Ok(())
        })
        .sees(PROMPT)
        .types(format!("cat {CHAT} >/n/host/got\n"))
        .check(|w| w.sockets.say("c0", &big()))
        .check(|w| grown(w, "got", big().len()))
        .leaves("c0")
        .sees(PROMPT)
        .check(|w| {
            ensure!(
                fs::read(w.folder("host")?.join("got"))? == big(),
                "the bytes have changed on their way in"
            );
            Ok(())
        })
        .budget(120)
}

/// A megabyte in which every part is different.
fn big() -> Vec<u8> {
    (0..1u32 << 18).flat_map(|n| n.wrapping_mul(0x9E37_79B1).to_le_bytes()).collect()
}

/// Waits until a file on the share has grown to `len` bytes.
fn grown(w: &World, name: &str, len: usize) -> Result<()> {
    let size = |path: &Path| fs::metadata(path).map_or(0, |m| m.len() as usize);
    let path = w.folder("host")?.join(name);
    let end = Instant::now() + Duration::from_secs(60);
    while size(&path) < len {
        ensure!(Instant::now() < end, "{name} has {} bytes and grows no more", size(&path));
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
