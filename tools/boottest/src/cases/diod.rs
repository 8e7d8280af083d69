//! `#9` over a channel: Debian's `diod`, which speaks 9P2000.L and nothing else, behind a port of the machine.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{MOTD, motd, q35};
use crate::case::{Case, World, re};
use crate::host::program_path;

/// Its port in the guest.
const PORT: &str = "/dev/virtcon/by-name/diod";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("diod/port", q35())
            .needs("diod", "diod")
            .share("tree", |folder| {
                motd(folder)?;
                symlink("motd", folder.join("link"))?;
                fs::create_dir(folder.join("many"))?;
                fs::write(folder.join("big"), big())?;
                (0..300).try_for_each(|i| Ok(fs::write(folder.join(format!("many/{i}")), "")?))
            })
            .chardev("c0")
            .device("virtio-serial-pci")
            .device("virtserialport,chardev=c0,name=diod")
            // The server lets in whom the host knows: this is the user who runs it, by his number.
            .line(format!("echo -n {} >/dev/hostowner", me()))
            .is("")
            .check(serve)
            // The name of its tree is where it is on the host.
            .line("mount -d '#9' /dev/null /n/host tree; tree=`{cat /n/host/where}")
            .is("")
            .line(format!("mount -c -d '#9' {PORT} /mnt $tree^:9P2000.L"))
            .is("")
            .line("cat /dev/mtags")
            .gives(re(&format!("^tree:.*\n{PORT}:9P2000.L:65536:2:2\n")))
            .line("cat /mnt/motd /mnt/link")
            .is(format!("{MOTD}{MOTD}"))
            .line("ls /mnt; ls /mnt/many | wc -l")
            .gives("/mnt/big\n/mnt/link\n/mnt/many\n/mnt/motd\n/mnt/where\n")
            .gives("300")
            .line(
                "mkdir /mnt/d; echo new >/mnt/d/a; mv /mnt/d/a /mnt/d/b; cp /mnt/big /mnt/d/big; \
                 cmp /mnt/big /mnt/d/big",
            )
            .is("")
            .line("echo x >/mnt/d/c; rm /mnt/link; cat /mnt/d/b")
            .is("new\n")
            .check(|w| {
                let folder = w.folder("tree")?;
                ensure!(fs::read(folder.join("d/big"))? == big(), "the copy is another");
                ensure!(fs::symlink_metadata(folder.join("link")).is_err(), "the link is still there");
                ensure!(!folder.join("d/a").exists() && folder.join("motd").exists(), "what must go stays");
                Ok(())
            })
            // It dies; another one takes its place.
            .check(|w| w.sockets.kill("c0"))
            .line("cat /mnt/motd")
            .gives("i/o on hungup channel")
            .line("unmount /mnt; grep virtcon /dev/mtags")
            .is("")
            .check(serve)
            .line(format!("mount -c -d '#9' {PORT} /mnt $tree^:9P2000.L:8192; cat /mnt/d/c; cat /dev/mtags"))
            .gives(re(&format!("^x\ntree:.*\n{PORT}:9P2000.L:8192:")))
            .line("unmount /mnt; grep virtcon /dev/mtags")
            .is("")
            .budget(120),
    ]
}

/// The number of the user who runs this.
fn me() -> u32 {
    fs::metadata("/proc/self").map_or(0, |m| m.uid())
}

/// Starts the server of the folder, on the host's end of the port.
fn serve(w: &World) -> Result<()> {
    let folder = w.folder("tree")?;
    fs::write(folder.join("where"), folder.as_os_str().as_encoded_bytes())?;
    let diod = program_path("diod").context("diod")?;
    let mut program = Command::new(diod);
    program.args(["-f", "-n", "-N", "-r", "0", "-w", "0", "-L", "stderr", "-e"]).arg(folder);
    w.sockets.serve("c0", program.stderr(Stdio::null()))
}

/// Something of many messages.
fn big() -> Vec<u8> {
    (0..1u32 << 16).flat_map(|n| n.wrapping_mul(0x9E37_79B1).to_le_bytes()).collect()
}
