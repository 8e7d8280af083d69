//! Does KVM work here? `/dev/kvm` may be there, may open, and may still never run an instruction (in a container, or in a
//! virtual machine whose host does not nest). So a machine is really started, with a time limit, and only its success counts.

use std::sync::OnceLock;
use std::time::Duration;

use crate::{Accel, Board, Vm, exit_code};

/// How long the tiny machine may take; it needs a few tens of milliseconds.
const BUDGET: Duration = Duration::from_secs(3);

/// What it writes to the debug-exit port, and what QEMU makes of that.
const MAGIC: u8 = 0x15;
const MAGIC_EXIT: i32 = 2 * MAGIC as i32 + 1;

/// A firmware image whose first instructions, at the processor's reset address, end QEMU with [`MAGIC_EXIT`].
fn image() -> Vec<u8> {
    let mut image = vec![0xf4; 0x1_0000]; // hlt
    // mov al, MAGIC; out 0xf4, al; hlt
    let code = [0xb0, MAGIC, 0xe6, 0xf4, 0xf4];
    if let Some(reset) = image.get_mut(0xfff0..0xfff0 + code.len()) {
        reset.copy_from_slice(&code);
    }
    image
}

/// Whether a machine under `accel` ends as its firmware says.
fn runs(accel: Accel) -> anyhow::Result<bool> {
    let dir = tempfile::tempdir()?;
    let rom = dir.path().join("probe.rom");
    std::fs::write(&rom, image())?;
    let vm = Vm::new(Board::Pc).accel(accel).memory_mib(16).firmware(rom).debug_exit();
    Ok(exit_code(vm.start()?.wait_exit(BUDGET)?) == MAGIC_EXIT)
}

/// Whether KVM runs guests on this host. Looked into once, which takes at most three seconds.
pub fn kvm_works() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        std::fs::File::options().read(true).write(true).open("/dev/kvm").is_ok()
            && runs(Accel::Kvm).unwrap_or(false)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_works_where_translation_does() {
        assert!(runs(Accel::Tcg).unwrap());
    }
}
