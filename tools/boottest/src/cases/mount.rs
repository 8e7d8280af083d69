//! `#9`: mounting, unmounting, what `/dev/mtags` says of it, and what goes wrong in an orderly way.

use std::fs;

use anyhow::ensure;
use vm::{Flavour, Share};

use super::{Dialect, MOTD, motd, q35};
use crate::case::{Case, re};

pub fn cases(d: Dialect) -> Vec<Case> {
    vec![
        d.case("mount/sessions", q35())
            .share("host", motd)
            .line("cat /dev/mtags")
            .is("host:-\n")
            .line(d.mount())
            .is("")
            .line("cat /dev/mtags")
            .is(format!("host:{}:2:2\n", d.version))
            .line("cat /n/host/motd; ls /n/host; unmount /n/host; ls /n/host")
            .is(format!("{MOTD}/n/host/motd\n"))
            .line("cat /dev/mtags")
            .is("host:-\n")
            // The session that comes after knows nothing of the one that was.
            .line(format!("{}; cat /dev/mtags", d.mount()))
            .is(format!("host:{}:2:2\n", d.version))
            .line(d.mount_at("host", "/mnt"))
            .is("")
            .line("cmp /n/host/motd /mnt/motd; unmount /n/host; cat /mnt/motd")
            .is(MOTD)
            // It lasts as long as a file is open.
            .line(
                "@{ unmount /mnt; ls /mnt/xxx; sed 's/:[0-9]+:[0-9]+$//' /dev/mtags; cat } </mnt/motd; \
                 cat /dev/mtags",
            )
            .is(format!("host:{}\n{MOTD}host:-\n", d.version)),
        d.case("mount/wrong-tag", q35())
            .share("host", motd)
            .line("mount -d '#9' /dev/null /n/host nosuch")
            .gives(re("nosuch.*bad attach specifier|bad attach specifier.*nosuch"))
            .line("if(~ $status '') echo no status")
            .is("")
            .line(d.mount())
            .is("")
            .line("cat /n/host/motd")
            .is(MOTD),
        d.case("mount/two-shares", q35())
            .share("first", motd)
            .share("second", motd)
            .line(format!("{}; cat /dev/mtags", d.mount_at("second", "/n/host")))
            .is(format!("first:-\nsecond:{}:2:2\n", d.version)),
        kept(d),
        d.case("mount/modern-only", q35())
            .share_as(Share::new("host", "").flavour(Flavour::Modern), motd)
            .line(d.mount())
            .is("")
            .line("cat /n/host/motd")
            .is(MOTD),
        d.case("mount/union", q35())
            .share("host", |folder| Ok(fs::write(folder.join("over"), "over\n")?))
            .share("other", |folder| {
                fs::write(folder.join("over"), "hidden\n")?;
                Ok(fs::write(folder.join("under"), "under\n")?)
            })
            .line(format!(
                "mount -d '#9' /dev/null /n/one host{0}; mount -ac -d '#9' /dev/null /n/one other{0}",
                d.spec
            ))
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
        d.case("mount/irqalloc", q35())
            .pinned()
            .share("host", motd)
            .line(d.mount())
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

/// What is the same whatever would be spoken.
pub fn other_cases() -> Vec<Case> {
    vec![
        Case::new("mount/no-device", q35())
            .line("cat /dev/mtags /dev/virtio")
            .is("")
            .line("mount -d '#9' /dev/null /n/host host")
            .gives("host")
            .line("echo still here")
            .is("still here\n"),
    ]
}

/// Contents of files are kept by a mount that says so: no message for what is read again, and each open sees what the
/// host has changed.
fn kept(d: Dialect) -> Case {
    const LEN: usize = 500_000;
    let text =
        |with: u8| (0..LEN).map(move |n| if n % 80 == 79 { b'\n' } else { with + (n / 80 % 20) as u8 });
    let write = move |folder: &std::path::Path, with: u8| -> anyhow::Result<()> {
        let path = folder.join("text");
        fs::write(&path, text(with).collect::<Vec<u8>>())?;
        // What is new is not kept.
        let before =
            std::time::SystemTime::now() - std::time::Duration::from_secs(100 - u64::from(with - b'A'));
        Ok(fs::File::options().write(true).open(&path)?.set_modified(before)?)
    };
    let messages = "fn messages {sed 's/.*:([0-9]+):[0-9]+$/\\1/' /dev/mtags}";
    d.case("mount/kept", q35())
        .share("host", move |folder| write(folder, b'A'))
        .append(&format!("mount=host{}:/n/host cache=host", d.spec))
        .line(messages)
        .is("")
        .line("grep /n/host '#p'/$pid/ns")
        .gives("-cC")
        .line("fn skim {dd -if text -bs 512 -of /dev/null >[2]/dev/null}")
        .is("")
        .line("cd /n/host; cp text /tmp/text; a=`{messages}; cmp text /tmp/text; skim")
        .is("")
        // Walks, opens, looks, closes, and an end of the file each time, but nothing of the thousand reads.
        .line("b=`{messages}; if(test `{hoc -e $b^-^$a} -lt 40) echo few")
        .gives("few\n")
        .check(move |w| write(w.folder("host")?, b'B'))
        .line("sed 1q text; cmp text /tmp/text")
        .gives("BBBBBBBB")
        .gives("differ")
        .line("echo here >text; cat text; tail -1 text")
        .is("here\nhere\n")
        .line("grep content.page /dev/pools")
        .is("          0 content.page\n")
}
