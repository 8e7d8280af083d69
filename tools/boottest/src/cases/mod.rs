//! The boot cases, by subject. A new case is one more entry of a subject's list.

mod boot;
mod console;
mod files;
mod load;
mod mount;
mod virtcon;
mod wires;

use std::path::Path;

use anyhow::Result;
use vm::{Board, Vm};

use crate::case::Case;

/// All of them, the long ones first so that the last machine to end is a short one.
pub fn all() -> Vec<Case> {
    [
        load::cases(),
        wires::cases(),
        mount::cases(),
        virtcon::cases(),
        files::cases(),
        console::cases(),
        boot::cases(),
    ]
    .into_iter()
    .flatten()
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

/// A line that mounts the share `host` where `/lib/namespace` has made room for it.
const MOUNT: &str = "mount -c -d '#9' /dev/null /n/host host";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        let cases = super::all();
        let names: BTreeSet<_> = cases.iter().map(|case| case.name()).collect();
        assert_eq!(names.len(), cases.len());
    }
}
