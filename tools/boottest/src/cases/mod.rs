//! The boot cases, by subject. A new case is one more entry of a subject's list.

mod balloon;
mod boot;
mod cables;
mod commands;
mod console;
mod desk;
mod dial;
mod diod;
mod disk;
mod dos;
mod files;
mod flood;
mod guide;
mod hostnames;
mod load;
mod manual;
mod memory;
mod mmio;
mod module;
mod mount;
mod names;
mod net;
mod odd;
mod options;
mod panic;
mod place;
mod power;
mod proxy;
mod root;
mod secure;
mod servers;
mod silent;
mod smp;
mod tlssrv;
mod users;
mod usertests;
mod virtcon;
mod wires;

use std::path::Path;

use anyhow::Result;
use vm::{Board, Flavour, Vm};

use crate::case::Case;

/// All of them, and those that are not about a board once more on microvm. Machines that are described with one
/// processor have `smp`; unless said, the former have one and the latter two.
pub fn all(smp: Option<u32>) -> Vec<Case> {
    let here = usual().into_iter().chain(mmio::cases()).chain(place::cases());
    let elsewhere = moved(Board::Microvm, Flavour::Transitional).into_iter();
    let here = here.map(|case| case.smp(smp.unwrap_or(1)));
    here.chain(elsewhere.map(|case| case.smp(smp.unwrap_or(2)))).collect()
}

/// Those that are not about a board, on this one.
pub fn moved(board: Board, flavour: Flavour) -> Vec<Case> {
    usual().into_iter().filter(Case::moves).map(|case| case.on(board, flavour)).collect()
}

/// All on the boards they name, the long ones first so that the last machine to end is a short one.
fn usual() -> Vec<Case> {
    let long = load::cases(DOTU).into_iter().chain(load::cases(DOTL).into_iter().map(Case::pinned));
    let short = [DOTU, DOTL]
        .into_iter()
        .flat_map(|d| [mount::cases(d), files::cases(d), odd::cases(d), root::cases(d)])
        .flatten();
    long.chain(proxy::cases())
        .chain(guide::cases().into_iter().chain(wires::cases()).map(Case::pinned))
        .chain(virtcon::cases())
        .chain(options::cases())
        .chain(hostnames::cases())
        .chain(users::cases())
        .chain(secure::cases())
        .chain(tlssrv::cases())
        .chain(servers::cases())
        .chain(silent::cases())
        .chain(diod::cases())
        .chain(disk::cases())
        .chain(dos::cases())
        .chain(short)
        .chain(mount::other_cases())
        .chain(root::other_cases())
        .chain(console::cases())
        .chain(manual::cases())
        .chain(commands::cases())
        .chain(power::cases().into_iter().map(Case::pinned))
        .chain(desk::cases().into_iter().map(Case::pinned))
        .chain(balloon::cases())
        .chain(net::cases())
        .chain(dial::cases())
        .chain(cables::cases())
        .chain(names::cases())
        .chain(boot::cases())
        .chain(memory::cases())
        .chain(panic::cases())
        .chain(module::cases())
        .chain(smp::cases().into_iter().chain(flood::cases()).map(Case::pinned))
        .chain(usertests::cases())
        .collect()
}

/// The machine for cases that are not about machines.
fn q35() -> Vm {
    Vm::new(Board::Q35)
}

/// Fills a share with one file, `motd`.
fn motd(folder: &Path) -> Result<()> {
    Ok(std::fs::write(folder.join("motd"), MOTD)?)
}

/// What is in it.
const MOTD: &str = "the rabbit is tall\n";

/// A line that mounts the share `host` where the root has room for it.
const MOUNT: &str = "mount -c -d '#9' /dev/null /n/host host";

/// What `#9` speaks. Whatever is tested of it is tested in both.
#[derive(Clone, Copy)]
struct Dialect {
    /// What a mount line has behind the tag.
    spec: &'static str,
    /// What `/dev/mtags` says, with the size of a message.
    version: &'static str,
    /// What is behind the name of a case.
    suffix: &'static str,
}

/// The one that is spoken when none is asked for.
const DOTU: Dialect = Dialect { spec: "", version: "9P2000.u:131096", suffix: "" };

/// The other.
const DOTL: Dialect = Dialect { spec: ":9P2000.L", version: "9P2000.L:131096", suffix: "/L" };

impl Dialect {
    /// A case on this machine, in this dialect.
    fn case(self, name: &str, vm: Vm) -> Case {
        Case::new(format!("{name}{}", self.suffix), vm)
    }

    /// [`MOUNT`] in this dialect.
    fn mount(self) -> String {
        self.mount_at("host", "/n/host")
    }

    /// A line that mounts any share anywhere.
    fn mount_at(self, tag: &str, place: &str) -> String {
        format!("mount -c -d '#9' /dev/null {place} {tag}{}", self.spec)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    #[test]
    fn names_are_unique_and_what_runs_twice_has_one_processor_and_two() {
        let cases = super::all(None);
        let named: BTreeMap<_, _> = cases.iter().map(|case| (case.name(), case.processors())).collect();
        assert_eq!(named.len(), cases.len());
        let of = |name: &str| named.get(name).copied();
        assert_eq!([of("mount/union"), of("microvm/mount/union")], [Some(1), Some(2)]);
        assert_eq!([of("smp/q35-4"), of("smp/microvm-8")], [Some(4), Some(8)]);
    }
}
