//! Names that the host chooses, and that would be another line or field if they were shown as they are.

use super::{MOTD, motd, q35};
use crate::case::{Case, re};

/// A mount tag that is a line of `/dev/mtags` behind another.
const TAG: &str = "it's\na:-";
/// A port's name with a newline and a slash.
const PORT: &str = "two words\n/";

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("hostnames/shown-and-usable", q35())
            .share("host", motd)
            .chardev("c0")
            .device(&format!("virtio-9p-pci,fsdev=share0,mount_tag={TAG}"))
            .device("virtio-serial-pci")
            .device(&format!("virtserialport,chardev=c0,name={PORT}"))
            .line("cat /dev/mtags")
            .is("host:-\n'it''s␊a:-':-\n")
            .line("mount -d '#9' /dev/null /mnt 'it''s␊a:-' && cat /mnt/motd && unmount /mnt")
            .is(MOTD)
            .line("mount -d '#9' /dev/null /mnt '''it''''s␊a:-'':9P2000.L' && cat /mnt/motd /dev/mtags")
            .gives(re("^the rabbit is tall\nhost:-\n'it''s␊a:-':9P2000.L:[0-9:]+\n$"))
            .line("wc -l </dev/virtio")
            .gives(re("^ *3\n$"))
            .line("sed 's/ +/ /g' /dev/virtio")
            .gives(re("(?m)^virtio-9p-1 .* 'it''s␊a:-' "))
            .gives(re("(?m)^virtio-console-2 .* 'two words␊/' "))
            .connects("c0")
            .line(
                "while(! grep 'connected 1' /dev/virtio >/dev/null) sleep 1; \
                 for(p in /dev/virtcon/by-name/*) echo heard >$p; echo still here",
            )
            .is("still here\n")
            .hears("c0", b"heard\n"),
    ]
}
