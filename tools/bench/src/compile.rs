//! The C parts: programs of the guests, the floor's kernel, and the plugin that counts; and archives for the guests.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use vm::Version;

/// Programs of Plan 9, which have nothing but the system calls.
const PLAN9: &str = "-O2 -ffreestanding -nostdlib -static -fno-pic -no-pie -fno-stack-protector \
    -fno-asynchronous-unwind-tables -fcf-protection=none -Wall -Wno-unused-value -Wno-unused-function \
    -Wl,-Ttext-segment=0x200000,--build-id=none,-z,noexecstack,-z,norelro";
/// A kernel of 32 bits, which QEMU loads at 1 MiB.
const BARE: &str = "-m32 -O2 -ffreestanding -fno-pic -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables \
    -mno-sse -mno-mmx -mgeneral-regs-only -Wall -nostdlib -static \
    -Wl,-m,elf_i386,-Ttext=0x100000,--build-id=none,-z,noexecstack,-N,--no-warn-rwx-segments";
const PLUGIN: &str = "-O2 -Wall -shared -fPIC";
const LINUX: &str = "-O2 -static -Wall -lpthread";
const TINY_LINUX: &str = "-O2 -static -nostdlib -Wall";

/// Compiles a file of this crate's to `out`.
fn gcc(flags: &str, defines: &[String], source: &str, out: &Path) -> Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let mut command = Command::new("gcc");
    command
        .args(defines)
        .arg("-o")
        .args([out.as_os_str(), source.as_os_str()])
        .args(flags.split_whitespace());
    let output = command.output().context("cannot start gcc; 'boot/deps bench' installs it")?;
    ensure!(output.status.success(), "gcc {}: {}", source.display(), String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Whether there is a compiler.
pub fn has_gcc() -> bool {
    Command::new("gcc").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// An archive with the programs that Elwood's guest runs, below `bin`.
pub fn elwood_archive(folder: &Path) -> Result<PathBuf> {
    let archive = folder.join("elwood.tar");
    let mut tar = tar::Builder::new(File::create(&archive)?);
    for (name, source) in [("bench", "main.c"), ("tiny", "tiny.c"), ("first", "first.c")] {
        let program = folder.join(name);
        gcc(PLAN9, &[], &format!("guest/elwood/{source}"), &program)?;
        let bytes = std::fs::read(program)?;
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len().try_into()?);
        header.set_mode(0o755);
        tar.append_data(&mut header, format!("bin/{name}"), bytes.as_slice())?;
    }
    tar.into_inner()?.flush()?;
    Ok(archive)
}

/// The programs of the Linux guest: the one that does the work, the one that ends at once, and a first process.
pub fn linux_programs(folder: &Path) -> Result<[PathBuf; 3]> {
    let [bench, tiny, first] = ["linux-bench", "linux-tiny", "linux-first"].map(|name| folder.join(name));
    gcc(LINUX, &[], "guest/linux/main.c", &bench)?;
    gcc(TINY_LINUX, &[], "guest/linux/tiny.c", &tiny)?;
    gcc(TINY_LINUX, &["-DFIRST".into()], "guest/linux/tiny.c", &first)?;
    Ok([bench, tiny, first])
}

/// The floor's kernel; with `pvh`, one that only says that it is there.
pub fn floor(folder: &Path, pvh: bool) -> Result<PathBuf> {
    let kernel = folder.join(if pvh { "floor-pvh.elf" } else { "floor.elf" });
    let defines: &[String] = if pvh { &["-DPVHONLY".into()] } else { &[] };
    gcc(BARE, defines, "guest/floor.c", &kernel)?;
    Ok(kernel)
}

/// The plugin, for the interface that this QEMU has.
pub fn plugin(folder: &Path, qemu: Version) -> Result<PathBuf> {
    let plugin = folder.join("count.so");
    gcc(PLUGIN, &[format!("-DAPI={}", interface(qemu))], "plugin/count.c", &plugin)?;
    Ok(plugin)
}

/// The version of the plugin interface that a QEMU has, or an older one that it takes.
fn interface(qemu: Version) -> u32 {
    match (qemu.major, qemu.minor) {
        (..9, _) => 1,
        (9, 0) => 2,
        (9, 1) => 3,
        _ => 4,
    }
}

/// Writes an archive of the form that Linux unpacks as its first file system (cpio, "newc").
pub fn cpio(archive: &Path, files: &[(&str, u32, Vec<u8>)]) -> Result<()> {
    let mut bytes = Vec::new();
    let trailer = [("TRAILER!!!", 0, Vec::new())];
    for (n, (name, mode, contents)) in files.iter().chain(&trailer).enumerate() {
        let size = u32::try_from(contents.len())?;
        let name_size = u32::try_from(name.len() + 1)?;
        // Number, mode, owner, group, links, time, size, four numbers of devices, length of the name, no checksum.
        let fields = [u32::try_from(n)? + 1, *mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        write!(bytes, "070701")?;
        for field in fields {
            write!(bytes, "{field:08x}")?;
        }
        write!(bytes, "{name}\0")?;
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(contents);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    std::fs::write(archive, bytes).with_context(|| archive.display().to_string())
}

/// Whether a program is in PATH.
pub fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(OsStr::new(program)).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_is_the_versions_own() {
        let of = |major, minor| interface(Version { major, minor, micro: 0 });
        assert_eq!(
            [of(7, 2), of(8, 2), of(9, 0), of(9, 1), of(9, 2), of(10, 0), of(11, 1)],
            [1, 1, 2, 3, 4, 4, 4]
        );
    }

    #[test]
    fn an_archive_is_what_cpio_reads() {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("a.cpio");
        let files = [("dev", 0o040755, Vec::new()), ("init", 0o100755, b"hello".to_vec())];
        cpio(&archive, &files).unwrap();
        let bytes = std::fs::read(&archive).unwrap();
        assert_eq!(bytes.len() % 4, 0);
        assert!(bytes.starts_with(b"07070100000001000041ed"));
        let text = String::from_utf8_lossy(&bytes);
        for part in ["init\0", "hello\0", "TRAILER!!!\0"] {
            assert!(text.contains(part), "{part}");
        }
        // 110 bytes of header and the name end at a multiple of four, and there the contents begin.
        let at = text.find("hello").unwrap();
        assert_eq!((at % 4, &text[at - 6..at - 1]), (0, "init\0"));
    }

    #[test]
    fn the_c_parts_compile() {
        if !has_gcc() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let archive = elwood_archive(dir.path()).unwrap();
        let mut tar = tar::Archive::new(File::open(archive).unwrap());
        let names: Vec<_> = tar.entries().unwrap().map(|e| e.unwrap().path().unwrap().into_owned()).collect();
        assert_eq!(names, ["bin/bench", "bin/tiny", "bin/first"].map(PathBuf::from));
        linux_programs(dir.path()).unwrap();
        for pvh in [false, true] {
            let kernel = std::fs::read(floor(dir.path(), pvh).unwrap()).unwrap();
            assert!(kernel.starts_with(b"\x7fELF\x01"), "of 32 bits");
        }
        for minor in [0, 1, 2] {
            plugin(dir.path(), Version { major: 9, minor, micro: 0 }).unwrap();
        }
    }
}
