//! Network cards: frames by `#l` to QEMU's user network and back, the link, and a card that is taken out.

use std::path::Path;

use anyhow::Result;
use serde_json::json;
use vm::{Board, Flavour};

use super::{MOUNT, q35};
use crate::case::{Case, re};

/// Who has 10.0.2.2? The card that sends this puts its own address in as the sender's.
const ASK: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 8, 6, // to everybody
    0, 1, 8, 0, 6, 4, 0, 1, // a question about IP on Ethernet
    0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15, // from 10.0.2.15
    0, 0, 0, 0, 0, 0, 10, 0, 2, 2,
];
/// The same, as snoop tells it, and the answer.
const ASKED: &str = "52:54:00:12:34:56 > ff:ff:ff:ff:ff:ff arp who-has 10.0.2.2 tell 10.0.2.15\n";
const ANSWERED: &str = "52:55:0a:00:02:02 > 52:54:00:12:34:56 arp 10.0.2.2 is-at 52:55:0a:00:02:02\n";

fn ask(folder: &Path) -> Result<()> {
    Ok(std::fs::write(folder.join("ask"), ASK)?)
}

/// A machine with a card at the user network, and the question in a share.
fn card(name: &str) -> Case {
    carded(name, ask, "host")
}

/// The same with another share.
pub fn carded(name: &str, fill: impl Fn(&Path) -> Result<()> + Send + Sync + 'static, tag: &str) -> Case {
    Case::new(name, q35())
        .share(tag, fill)
        .arg("-netdev")
        .arg("user,id=n0")
        .device("virtio-net-pci,netdev=n0,id=card,mac=52:54:00:12:34:56,romfile=")
}

/// The same, where nobody asks for its address.
fn quiet(name: &str) -> Case {
    card(name).append("net=none")
}

pub fn cases() -> Vec<Case> {
    vec![
        frames(),
        frames().on(Board::Pc, Flavour::Legacy),
        frames().on(Board::Pc, Flavour::Modern),
        frames().on(Board::Q35, Flavour::Legacy),
        frames().on(Board::Microvm, Flavour::Modern),
        frames().append("nomsi").on(Board::Q35, Flavour::Modern),
        link(),
        removed(),
        two(),
        dhcp(),
        dhcp().on(Board::Pc, Flavour::Legacy),
        both(),
        named(),
        unmerged(),
        unmerged().on(Board::Microvm, Flavour::Modern),
    ]
}

/// A question and its answer, seen by who asks and by who snoops.
fn frames() -> Case {
    quiet("net/arp")
        .line(MOUNT)
        .is("")
        .line("cat /net/ether0/addr; echo; ls -p /net/ether0")
        .is("525400123456\naddr\nclone\nifstats\nstats\n")
        .line(
            "{echo -n connect 0x806 >[1=3]; cat /n/host/ask >/net/ether0/0/data; \
             for(i in 1 2) dd -quiet 1 -bs 2000 -count 1 -if /net/ether0/0/data | xd -1x; cat /net/ether0/0/type} \
             <>[3]/net/ether0/clone",
        )
        .gives("ff ff ff ff ff ff 52 54 00 12 34 56 08 06 00 01\n")
        .gives("52 54 00 12 34 56 52 55 0a 00 02 02 08 06 00 01\n")
        .gives("       2054 ")
        .types(
            "{snoop -t 0x806 -n 2 & while(! grep -s '^prom: 1' /net/ether0/stats) sleep 1; \
             cat /n/host/ask >/net/ether0/0/data; wait} <>[3]/net/ether0/clone\n",
        )
        .sees(ASKED)
        .sees(ANSWERED)
        .line("cat /dev/virtio /net/ether0/stats")
        .gives(re("virtio-net-1 .*'525400123456 up' .* net sent [0-9]+ received [0-9]+ "))
        .gives("\nlink: 1\n")
        .gives("addr: 525400123456\n")
}

/// The cable is pulled and put in again.
fn link() -> Case {
    let waits = |link: u8| format!("while(! grep '^link: {link}$' /net/ether0/stats >/dev/null) sleep 1");
    quiet("net/link")
        .line(MOUNT)
        .is("")
        .qmp("set_link", json!({ "name": "card", "up": false }))
        .line(waits(0))
        .is("")
        .line("grep -c ' .525400123456 down. ' /dev/virtio")
        .is("1\n")
        .qmp("set_link", json!({ "name": "card", "up": true }))
        .line(waits(1))
        .is("")
        .line("grep -c ' .525400123456 up. ' /dev/virtio")
        .is("1\n")
        .types(
            "{snoop -t 0x806 -n 2 & while(! grep -s '^prom: 1' /net/ether0/stats) sleep 1; \
             cat /n/host/ask >/net/ether0/0/data; wait} <>[3]/net/ether0/clone\n",
        )
        .sees(ANSWERED)
}

/// A card that QEMU takes out says so to who reads there, and to who comes later.
fn removed() -> Case {
    quiet("net/removed")
        .line("snoop &")
        .line("while(! test -f /net/ether0/0/data) ~ x x")
        .types("wait\n")
        .qmp("device_del", json!({ "id": "card" }))
        .happens("DEVICE_DELETED", "card")
        .sees("snoop: /net/ether0/0/data: i/o on hungup channel")
        .line("cat /net/ether0/clone")
        .gives("i/o on hungup channel")
        .line("grep net-1 /dev/virtio")
        .gives("taken out")
        .on(Board::Pc, Flavour::Transitional)
}

/// Two cards at one hub hear each other, and each is its own.
fn two() -> Case {
    Case::new("net/two", q35())
        .append("net=none")
        .share("host", ask)
        .arg("-netdev")
        .arg("hubport,id=h0,hubid=0")
        .arg("-netdev")
        .arg("hubport,id=h1,hubid=0")
        .device("virtio-net-pci,netdev=h0,mac=52:54:00:12:34:56,romfile=")
        .device("virtio-net-pci,netdev=h1,mac=52:54:00:12:34:57,romfile=")
        .line(MOUNT)
        .is("")
        .line("cat /net/ether^(0 1)^/addr; echo")
        .is("525400123456525400123457\n")
        .types(
            "{snoop -n 1 /net/ether1 & while(! grep -s '^prom: 1' /net/ether1/stats) sleep 1; \
             cat /n/host/ask >/net/ether0/0/data; wait} <>[3]/net/ether0/clone\n",
        )
        .sees(ASKED)
        .line("grep '^in:' /net/ether1/stats; grep '^out:' /net/ether0/stats")
        .is("in: 1\nout: 1\n")
        // Each has a stack, and of one address of IPv6 only the first may have it.
        .line("mkdir /tmp/n; bind '#I1' /tmp/n; ip/ipconfig ether /net/ether0 fd00::5 /64")
        .is("")
        .line("ip/ipconfig -x /tmp/n ether /net/ether1 fd00::5 /64")
        .gives("fd00::5: somebody has it")
        .line("ip/ipconfig -x /tmp/n ether /net/ether1 fd00::6 /64; grep -c fd00 /tmp/n/ipselftab")
        .is("1\n")
        .line("ip/ping -n 1 fd00::6")
        .gives("0: 56 bytes from fd00::6 ")
}

/// The machine has its address without being asked, and what else QEMU's server says.
fn dhcp() -> Case {
    card("net/dhcp")
        .line("ip/ipconfig -n")
        .is("ip=10.0.2.15 ipmask=/120 ipgw=10.0.2.2\n\tsys=elwood\n\tdns=10.0.2.3\n\tdhcp=10.0.2.2 ether=/net/ether0\n")
        .line("while(! grep '^ip=10.0.2.15 ' /net/ndb >/dev/null) sleep 1; cat /net/ipselftab /net/iproute")
        .gives("10.0.2.15")
        .gives("10.0.2.2")
        .line("ip/ping -q -n 1 127.0.0.1; ip/ping -6fa -n 2 localhost | sed 's/[0-9]+ µs$//; 2q'; ip/ping -6 10.0.2.2; \
               ip/ping -l -n 2 -i 0 127.0.0.1; ip/ping -rf -n 1 -i 1 -w 10 127.0.0.1 | sed -n '$s/,.*//p'")
        .gives(re("^0: 56 bytes from ::1 to ::1 \n1: 56 bytes from ::1 to ::1 \nping: 10.0.2.2: no address of IPv6\n\
                   2 of 2 came back, .*\n1 of 1 came back\n$"))
        .line("ip/ping -n 2 -i 100 10.0.2.2; ip/ping -n 1 localhost; ip/ping -n 1 ::1; ip/ping -n 1 10.0.2.15")
        .gives(re("^0: 56 bytes from 10.0.2.2 [0-9]+ µs\n1: 56 bytes from 10.0.2.2 [0-9]+ µs\n2 of 2 came back, "))
        .gives("0: 56 bytes from 127.0.0.1 ")
        .gives("0: 56 bytes from ::1 ")
        .gives("0: 56 bytes from 10.0.2.15 ")
        .line("ip/ipconfig nothing")
        .gives("nothing: no address")
        .line("ip/ipconfig -6; ip/ipconfig ether /net/ether0 fd00::5 /64; ip/ping -n 1 fd00::5")
        .gives("0: 56 bytes from fd00::5 ")
        .line("ip/ipconfig add6 fd00:1:: 64 1 1 1000 500; ip/ipconfig ra6 recvra 1")
        .is("")
        .line("grep -c ' (1000|999|998) +(500|499|498) ' /net/ipifc/1/status; cat /net/ipselftab")
        .gives("1\n")
        .gives("fe80::5054:ff:fe12:3456 ")
        .gives("fd00:1::5054:ff:fe12:3456 ")
        .line("ip/ipconfig remove fd00::5 /64; grep -c fd00::5 /net/ipselftab")
        .is("0\n")
}

/// Of two cards that are given addresses the first leads out, and both stand in /net/ndb. Groups are heard by the one
/// that they were joined by.
fn both() -> Case {
    Case::new("net/both", q35())
        .arg("-netdev")
        .arg("user,id=n0")
        .arg("-netdev")
        .arg("user,id=n1,net=10.0.3.0/24")
        .device("virtio-net-pci,netdev=n0,romfile=")
        .device("virtio-net-pci,netdev=n1,romfile=")
        .line(
            "while(! grep '^ip=10.0.2.15 ' /net/ndb >/dev/null) sleep 1; ip/ipconfig ether /net/ether1; \
             grep ip= /net/ndb",
        )
        .is("ip=10.0.2.15 ipmask=/120 ipgw=10.0.2.2\nip=10.0.3.15 ipmask=/120 ipgw=10.0.3.2\n")
        .line("grep '^0.0.0.0 ' /net/iproute | awk '{print $3}'; ip/ping -n 1 10.0.2.2; ip/ping -n 1 10.0.3.2")
        .gives(re("^10.0.2.2\n0: 56 bytes from 10.0.2.2 .*\n"))
        .gives("0: 56 bytes from 10.0.3.2 ")
        .line(
            "{echo -n announce 5353 >[1=3]; for(m in tos^' 16' addmulti^' 10.0.3.15 239.1.2.3') echo -n $m >[1=3]; \
             grep 239 /net/ipselftab; echo -n mtu 1400 >/net/ipifc/1/ctl; sed 's/ sendra.*//; 1q' /net/ipifc/1/status} \
             <>[3]/net/udp/clone",
        )
        .is("239.1.2.3                                    01 4m  \ndevice /net/ether0 maxtu 1400\n")
}

/// What a router of IPv6 says of servers of names, and what a server of DHCP has said before stays. The router is the
/// machine's other card, on the same wire.
fn named() -> Case {
    Case::new("net/named", q35())
        .append("net=none")
        .share("host", |folder| Ok(std::fs::write(folder.join("ra"), advertisement())?))
        .arg("-netdev")
        .arg("hubport,id=n0,hubid=0")
        .arg("-netdev")
        .arg("hubport,id=n1,hubid=0")
        .device("virtio-net-pci,netdev=n0,romfile=")
        .device("virtio-net-pci,netdev=n1,romfile=")
        .line(format!(
            "{MOUNT}; {{echo 'ip=10.9.9.9'; echo ' dhcp=10.9.9.1 ether=/net/ether0'}} >/tmp/ndb; \
             cp /tmp/ndb /net/ndb; ip/ipconfig ra6 recvra 1; sleep 1; {{echo -n connect 0x86dd >[1=3]; \
             cat /n/host/ra >/net/ether1/0/data}} <>[3]/net/ether1/clone; \
             while(! grep -s fd00::53 /net/ndb) sleep 1; cat /net/ndb"
        ))
        .is("ip=10.9.9.9\n dhcp=10.9.9.1 ether=/net/ether0\n\
             ra=fe80::2 ether=/net/ether0\n\tdns=fd00::53\n")
}

/// A frame in which fe80::2 says for half an hour that fd00::53 knows names.
fn advertisement() -> Vec<u8> {
    let address = |first: [u8; 2], last: u8| [&first[..], &[0; 13], &[last]].concat();
    let (from, to) = (address([0xfe, 0x80], 2), address([0xff, 2], 1));
    let option = [&[25, 3, 0, 0, 0, 0, 7, 8][..], &address([0xfd, 0], 0x53)].concat();
    let mut message = [&[134, 0, 0, 0, 64, 0, 0, 0][..], &[0; 8], &option].concat();
    let summed = [&from[..], &to, &(message.len() as u32).to_be_bytes(), &[0, 0, 0, 58], &message].concat();
    let sum: u32 = summed.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let head = [
        0x33,
        0x33,
        0,
        0,
        0,
        1,
        2,
        0,
        0,
        0,
        0,
        2,
        0x86,
        0xdd,
        0x60,
        0,
        0,
        0,
        0,
        message.len() as u8,
        58,
        255,
    ];
    [&head[..], &from, &to, &message].concat()
}

/// A card that has each frame in one buffer. QEMU 7.2 says then that it is in none.
fn unmerged() -> Case {
    Case::new("net/unmerged", q35())
        .arg("-netdev")
        .arg("user,id=n0")
        .device("virtio-net-pci,netdev=n0,mrg_rxbuf=off,romfile=")
        .line("while(! grep '^ip=10.0.2.15 ' /net/ndb >/dev/null) sleep 1; ip/ping -n 2 -i 100 10.0.2.2")
        .gives("2 of 2 came back, ")
}
