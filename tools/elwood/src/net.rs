//! What a machine's network cards are connected to: `--net` and `--forward`.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use vm::Vm;

/// Backends that are passed on to QEMU with all that is said of them.
const PASSED_ON: [&str; 5] = ["socket", "stream", "dgram", "tap", "bridge"];

/// The options.
#[derive(Args)]
pub struct Network {
    /// What a network card is connected to: user, QEMU's own network; none; or socket,... tap,... and the like as
    /// QEMU's -netdev has them. May be repeated, a card each
    #[arg(long, value_name = "NETDEV")]
    net: Vec<String>,
    /// A port of this machine that leads to one of the guest's, on its user network. May be repeated
    #[arg(long, value_name = "[udp:][ADDR:]HOST:GUEST")]
    forward: Vec<String>,
}

impl Network {
    /// Whether there is to be none.
    pub fn is_none(&self) -> bool {
        self.net.iter().any(|net| net == "none")
    }

    /// The machine with its cards; without `--net` it has one at `usual`.
    ///
    /// # Errors
    /// What cannot be.
    pub fn add(&self, mut vm: Vm, usual: &str) -> Result<Vm> {
        let said: Vec<&str> = match (self.net.is_empty(), self.forward.is_empty()) {
            (false, _) => self.net.iter().map(String::as_str).collect(),
            // Who forwards a port wants it to lead somewhere.
            (true, false) => vec!["user"],
            (true, true) => vec![usual],
        };
        ensure!(said.len() == 1 || !said.contains(&"none"), "--net none: and another network");
        let users = said.iter().filter(|net| is_user(net)).count();
        ensure!(users <= 1, "--net user: twice, and the two would not know each other");
        ensure!(users == 1 || self.forward.is_empty(), "--forward: there is no user network");
        for net in said {
            if is_user(net) {
                let (backend, mac) = split_mac(net)?;
                let backend = self.forward.iter().try_fold(backend, |backend, said| {
                    anyhow::Ok(format!("{backend},hostfwd={}", forward(said)?))
                })?;
                vm = vm.network(&backend, mac.as_deref());
                continue;
            }
            let kind = net.split(',').next().unwrap_or_default();
            match kind {
                "none" if net == "none" => {}
                kind if PASSED_ON.contains(&kind) => {
                    let (backend, mac) = split_mac(net)?;
                    // Two machines that hear each other need addresses of their own.
                    vm = vm.network(&backend, Some(&mac.unwrap_or_else(random_mac)));
                }
                _ => bail!("--net {net}: none, user, or {},...", PASSED_ON.join(",... ")),
            }
        }
        Ok(vm)
    }
}

fn is_user(net: &str) -> bool {
    net == "user" || net.starts_with("user,")
}

/// `HOST:GUEST` and what may stand before it, as QEMU's hostfwd has it. Unless said, only this machine gets there.
fn forward(said: &str) -> Result<String> {
    let wrong = || format!("--forward {said}: not [udp:][ADDR:]HOST:GUEST");
    let (protocol, rest) = match said.split_once(':') {
        Some((protocol @ ("tcp" | "udp"), rest)) => (protocol, rest),
        _ => ("tcp", said),
    };
    let (rest, guest) = rest.rsplit_once(':').with_context(wrong)?;
    let (address, host) = match rest.rsplit_once(':') {
        Some((address, host)) => (address.parse::<Ipv4Addr>().with_context(wrong)?, host),
        None => (Ipv4Addr::LOCALHOST, rest),
    };
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0).with_context(wrong);
    Ok(format!("{protocol}:{address}:{}-:{}", port(host)?, port(guest)?))
}

/// Takes `mac=` out of a backend's words: it is the card's.
fn split_mac(net: &str) -> Result<(String, Option<String>)> {
    let (mac, rest): (Vec<&str>, Vec<&str>) = net.split(',').partition(|word| word.starts_with("mac="));
    ensure!(
        !rest.iter().any(|word| word.starts_with("id=")),
        "--net {net}: the card's id is not yours to choose"
    );
    let mac = mac.last().map(|word| word.trim_start_matches("mac="));
    let digits = |byte: &str| byte.len() == 2 && byte.bytes().all(|b| b.is_ascii_hexdigit());
    if let Some(mac) = mac {
        ensure!(
            mac.split(':').count() == 6 && mac.split(':').all(digits),
            "--net {net}: mac={mac} is no address"
        );
    }
    Ok((rest.join(","), mac.map(String::from)))
}

/// An address of QEMU's that no other machine is likely to have.
fn random_mac() -> String {
    let [a, b, c, ..] = RandomState::new().build_hasher().finish().to_le_bytes();
    format!("52:54:00:{a:02x}:{b:02x}:{c:02x}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use vm::{Board, Flavour};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        network: Network,
    }

    /// What QEMU is told for `words`, where `usual` is what is usual.
    fn qemu(words: &[&str], board: Board, usual: &str) -> Result<String> {
        let line = std::iter::once("run").chain(words.iter().copied());
        let vm = Line::try_parse_from(line)?
            .network
            .add(Vm::new(Board::Q35).on(board, Flavour::Transitional), usual)?;
        let words = vm.command_line()?;
        let words: Vec<_> = words.iter().map(|w| w.to_string_lossy()).collect();
        Ok(words.iter().skip_while(|w| *w != "-netdev").cloned().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_machine_has_the_usual_network_unless_another_is_named() {
        let user = "-netdev user,id=net0 -device virtio-net-pci,netdev=net0,romfile=";
        assert_eq!(qemu(&[], Board::Q35, "user").unwrap(), user);
        assert_eq!(qemu(&["--net", "user"], Board::Pc, "none").unwrap(), user);
        assert_eq!(qemu(&[], Board::Q35, "none").unwrap(), "");
        assert_eq!(qemu(&["--net", "none"], Board::Q35, "user").unwrap(), "");
        let small = "-netdev user,id=net0 -device virtio-net-device,netdev=net0";
        assert_eq!(qemu(&[], Board::Microvm, "user").unwrap(), small);
        let own = qemu(&["--net", "user,net=10.9.0.0/24"], Board::Q35, "user").unwrap();
        assert!(own.starts_with("-netdev user,id=net0,net=10.9.0.0/24 "), "{own}");
    }

    #[test]
    fn ports_lead_to_the_guest_from_this_machine_alone_unless_said() {
        let line = qemu(
            &["--forward", "8080:80", "--forward", "udp:5353:53", "--forward", "tcp:0.0.0.0:2222:22"],
            Board::Q35,
            "none",
        );
        let wanted = "-netdev user,id=net0,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=udp:127.0.0.1:5353-:53,\
                      hostfwd=tcp:0.0.0.0:2222-:22 -device";
        assert!(line.as_ref().unwrap().starts_with(wanted), "{line:?}");
        for wrong in ["80", "x:80", "80:x", "0:80", "80:65536", "1.2.3:80:80", "80:80,x=y", "sctp:80:80", ""]
        {
            assert!(qemu(&["--forward", wrong], Board::Q35, "user").is_err(), "{wrong}");
        }
    }

    #[test]
    fn cards_elsewhere_have_addresses_of_their_own() {
        let words = ["--net", "socket,listen=:1234,mac=52:54:00:00:00:07", "--net", "user"];
        assert_eq!(
            qemu(&words, Board::Q35, "user").unwrap(),
            "-netdev socket,id=net0,listen=:1234 -device virtio-net-pci,netdev=net0,mac=52:54:00:00:00:07,romfile= \
             -netdev user,id=net1 -device virtio-net-pci,netdev=net1,romfile="
        );
        let words = ["--net", "user,mac=52:54:00:00:00:09", "--forward", "80:8080"];
        assert_eq!(
            qemu(&words, Board::Q35, "user").unwrap(),
            "-netdev user,id=net0,hostfwd=tcp:127.0.0.1:80-:8080 \
             -device virtio-net-pci,netdev=net0,mac=52:54:00:00:00:09,romfile="
        );
        let tap = || qemu(&["--net", "tap,ifname=tap0,script=no"], Board::Q35, "user").unwrap();
        let (one, other) = (tap(), tap());
        assert!(one.starts_with("-netdev tap,id=net0,ifname=tap0,script=no -device "), "{one}");
        assert!(one.contains(",mac=52:54:00:") && one != other, "{one}");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for words in [
            &["--net", "nothing"][..],
            &["--net", "none", "--net", "user"],
            &["--net", "user", "--net", "user"],
            &["--net", "none", "--forward", "80:80"],
            &["--net", "none,x=y"],
            &["--net", "tap,id=n"],
            &["--net", "tap,mac=1:2"],
            &["--net", "user,mac=1:2"],
            &["--net", ""],
        ] {
            assert!(qemu(words, Board::Q35, "user").is_err(), "{words:?}");
        }
    }
}
