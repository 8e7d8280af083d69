//! Does KVM work here? `/dev/kvm` may be there, may open, and may still never run an instruction (in a container, or
//! in a virtual machine whose host does not nest). So a machine is really started, with a time limit, and only its
//! success counts.

use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;

use crate::{Accel, Board, Vm, exit_code};

/// How long the tiny machine may take; it needs a few tens of milliseconds.
const BUDGET: Duration = Duration::from_secs(3);

/// How long it holds that KVM does not work.
const NO_HOLDS: Duration = Duration::from_secs(3600);

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

/// Where things are kept that can be made again: `$XDG_CACHE_HOME/elwood`, or `.cache/elwood` in the home folder.
///
/// # Errors
/// When neither variable is set.
pub fn cache() -> anyhow::Result<PathBuf> {
    let of = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = of("XDG_CACHE_HOME").or_else(|| Some(of("HOME")?.join(".cache")));
    Ok(base.context("neither XDG_CACHE_HOME nor HOME is set")?.join("elwood"))
}

/// An answer that outlives this process, in a file that begins with what it is about.
struct Note {
    file: PathBuf,
    about: String,
}

impl Note {
    /// The answer, if there is one about the same. A no is asked again after [`NO_HOLDS`]: the host may have been busy.
    fn read(&self) -> Option<bool> {
        let said = std::fs::read_to_string(&self.file).ok()?;
        match said.strip_prefix(&self.about)?.strip_prefix(": ")? {
            "works" => Some(true),
            "does not work" => {
                let age = std::fs::metadata(&self.file).ok()?.modified().ok()?.elapsed().ok()?;
                (age < NO_HOLDS).then_some(false)
            }
            _ => None,
        }
    }

    /// Leaves the answer, whole or not at all: others may be at the same.
    fn write(&self, works: bool) -> anyhow::Result<()> {
        let dir = self.file.parent().context("no folder")?;
        std::fs::create_dir_all(dir)?;
        let mut new = tempfile::NamedTempFile::new_in(dir)?;
        write!(new, "{}: {}", self.about, if works { "works" } else { "does not work" })?;
        new.persist(&self.file)?;
        Ok(())
    }

    /// The answer there is, or what `find` finds, which is noted.
    fn or_find(&self, find: impl FnOnce() -> bool) -> bool {
        self.read().unwrap_or_else(|| {
            let works = find();
            // Without a place for it, it is found out again.
            let _ = self.write(works);
            works
        })
    }
}

/// Whether KVM runs guests on this host. It takes at most three seconds to find out; the answer is kept in [`cache`]
/// until the host is started again.
pub fn kvm_works() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        if std::fs::File::options().read(true).write(true).open("/dev/kvm").is_err() {
            return false;
        }
        let find = || runs(Accel::Kvm).unwrap_or(false);
        let (file, boot) = (cache(), std::fs::read_to_string("/proc/sys/kernel/random/boot_id"));
        let (Ok(folder), Ok(boot)) = (file, boot) else { return find() };
        let qemu = Vm::new(Board::Pc).program().display().to_string();
        Note { file: folder.join("kvm"), about: format!("{qemu} on boot {}", boot.trim()) }.or_find(find)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_works_where_translation_does() {
        assert!(runs(Accel::Tcg).unwrap());
    }

    #[test]
    fn an_answer_is_kept_as_long_as_it_is_about_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let note = |about: &str| Note { file: dir.path().join("elwood/kvm"), about: about.into() };
        assert!(note("qemu on boot 1").or_find(|| true));
        assert!(note("qemu on boot 1").or_find(|| panic!("asked again")));
        assert!(!note("qemu on boot 2").or_find(|| false));
        assert!(!note("qemu on boot 2").or_find(|| panic!("asked again")));
        let file = std::fs::File::options().write(true).open(dir.path().join("elwood/kvm")).unwrap();
        file.set_modified(std::time::SystemTime::now() - 2 * NO_HOLDS).unwrap();
        assert!(note("qemu on boot 2").or_find(|| true), "a busy host may be idle later");
        std::fs::write(dir.path().join("elwood/kvm"), "qemu on boot 2: perhaps").unwrap();
        assert!(note("qemu on boot 2").or_find(|| true));
        let nowhere = Note { file: "/proc/elwood/kvm".into(), about: String::new() };
        assert!(nowhere.or_find(|| true), "found out all the same");
    }
}
