//! `#9`: mounting, unmounting, what `/dev/mtags` says of it, and what goes wrong in an orderly way.

use std::fs;

use anyhow::ensure;
use vm::{Flavour, Share};

use super::{MOTD, MOUNT, motd, q35};
use crate::case::{Case, re};

/// As [`MOUNT`], in the other dialect.
const MOUNT_L: &str = "mount -c -d '#9' /dev/null /n/host host:9P2000.L";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("mount/dotl", q35())
            .share("host", |folder| {
                motd(folder)?;
                std::os::unix::fs::symlink("motd", folder.join("link"))?;
                std::os::unix::fs::symlink("nowhere", folder.join("dangling"))?;
                fs::create_dir(folder.join("many"))?;
                (0..1000).try_for_each(|i| Ok(fs::write(folder.join(format!("many/{i}")), "")?))
            })
            .line(MOUNT_L)
            .is("")
            .line("cat /dev/mtags")
            .is("host:9P2000.L:131096:2:2\n")
            .line("cat /n/host/motd /n/host/link")
            .is(format!("{MOTD}{MOTD}"))
            .line("ls /n/host; ls /n/host/many | sort -u | wc -l")
            .gives("/n/host/dangling\n/n/host/link\n/n/host/many\n/n/host/motd\n")
            .gives("1000")
            .line("mkdir /n/host/dir; echo new >/n/host/dir/a; mv /n/host/dir/a /n/host/dir/b; cat /n/host/dir/b")
            .is("new\n")
            .line("rm /n/host/link; cat /n/host/none")
            .gives("file does not exist")
            .check(|w| {
                let folder = w.folder("host")?;
                ensure!(fs::read_to_string(folder.join("dir/b"))? == "new\n", "the new file is elsewhere");
                ensure!(!folder.join("dir/a").exists() && folder.join("motd").exists(), "what must go stays");
                ensure!(fs::symlink_metadata(folder.join("link")).is_err(), "the link is still there");
                Ok(())
            })
            .line("unmount /n/host; cat /dev/mtags")
            .is("host:-\n"),
        Case::new("mount/dotl-read-only", q35())
            .share_as(Share::new("host", "").readonly(), motd)
            .line(MOUNT_L)
            .is("")
            .line("echo x >/n/host/motd")
            .gives("permission denied")
            .line("rm /n/host/motd")
            .gives("motd")
            .line("cat /n/host/motd")
            .is(MOTD),
        Case::new("mount/mtags", q35())
            .share("host", motd)
            .line("cat /dev/mtags")
            .is("host:-\n")
            .line(MOUNT)
            .is("")
            .line("cat /dev/mtags")
            .is("host:9P2000.u:131096:2:2\n")
            .line("cat /n/host/motd")
            .is(MOTD)
            .line("unmount /n/host")
            .is("")
            .line("cat /dev/mtags")
            .is("host:-\n"),
        Case::new("mount/again", q35())
            .share("host", motd)
            .line(MOUNT)
            .is("")
            .line("cat /n/host/motd; unmount /n/host; ls /n/host")
            .is(MOTD)
            .line(MOUNT)
            .is("")
            .line("cat /n/host/motd")
            .is(MOTD),
        Case::new("mount/shared-session", q35())
            .share("host", motd)
            .line(MOUNT)
            .is("")
            .line("mount -d '#9' /dev/null /mnt host")
            .is("")
            .line("cmp /n/host/motd /mnt/motd; unmount /n/host; cat /mnt/motd; unmount /mnt; cat /dev/mtags")
            .is(format!("{MOTD}host:-\n")),
        Case::new("mount/wrong-tag", q35())
            .share("host", motd)
            .line("mount -d '#9' /dev/null /n/host nosuch")
            .gives(re("nosuch.*bad attach specifier|bad attach specifier.*nosuch"))
            .line("if(~ $status '') echo no status")
            .is("")
            .line(MOUNT)
            .is("")
            .line("cat /n/host/motd")
            .is(MOTD),
        Case::new("mount/no-device", q35())
            .line("cat /dev/mtags /dev/virtio")
            .is("")
            .line("mount -d '#9' /dev/null /n/host host")
            .gives("host")
            .line("echo still here")
            .is("still here\n"),
        Case::new("mount/two-shares", q35())
            .share("first", motd)
            .share("second", motd)
            .line("mount -d '#9' /dev/null /n/host second; cat /dev/mtags")
            .is("first:-\nsecond:9P2000.u:131096:2:2\n"),
        Case::new("mount/modern-only", q35())
            .share_as(Share::new("host", "").flavour(Flavour::Modern), motd)
            .line(MOUNT)
            .is("")
            .line("cat /n/host/motd")
            .is(MOTD),
        Case::new("mount/read-only", q35())
            .share_as(Share::new("host", "").readonly(), motd)
            .line(MOUNT)
            .is("")
            .line("cat /n/host/motd")
            .is(MOTD)
            .line("echo x >/n/host/motd")
            .gives("permission denied")
            .line("rm /n/host/motd")
            .gives("motd")
            .check(|w| {
                let text = fs::read_to_string(w.folder("host")?.join("motd"))?;
                ensure!(text == MOTD, "the file has changed: {text:?}");
                Ok(())
            }),
        Case::new("mount/union", q35())
            .share("host", |folder| Ok(fs::write(folder.join("over"), "over\n")?))
            .share("other", |folder| {
                fs::write(folder.join("over"), "hidden\n")?;
                Ok(fs::write(folder.join("under"), "under\n")?)
            })
            .line("mount -d '#9' /dev/null /n/one host; mount -ac -d '#9' /dev/null /n/one other")
            .is("")
            .line("cat /n/one/over /n/one/under")
            .is("over\nunder\n")
            .line("echo new >/n/one/new; ls /n/one | sort -u")
            .gives("/n/one/new\n/n/one/over\n/n/one/under\n")
            .check(|w| {
                let text = fs::read_to_string(w.folder("other")?.join("new"))?;
                ensure!(
                    text == "new\n" && !w.folder("host")?.join("new").exists(),
                    "the new file is elsewhere"
                );
                Ok(())
            }),
        Case::new("mount/irqalloc", q35())
            .share("host", motd)
            .line(MOUNT)
            .is("")
            .line("cat /dev/irqalloc")
            .gives(re(
                "^[ 0-9]{10}[0-9] [ 0-9]{10}[0-9] [ 0-9]{19}[0-9] [ 0-9]{19}[0-9] msi      virtio-9p-0$",
            ))
            .gives(re(" [1-9][0-9]* +[1-9][0-9]* msi +virtio-9p-0$"))
            .gives(re(" [1-9][0-9]* +[1-9][0-9]* lapic +"))
            .gives(re(" [1-9][0-9]* +[1-9][0-9]* ioapic +uart0$")),
    ]
}
