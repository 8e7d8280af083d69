//! Linux as a guest: Debian's kernel, with a first process that does the same work by Linux's calls.
//!
//! The kernels come from Debian's packages (`apt-get download`) into the cache, and nothing into the repository:
//! linux-image-amd64, and linux-image-cloud-amd64, which boots sooner and has no 9P. They are as fast as their owner
//! can make them here: see [`TUNED`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use vm::{Accel, Board, Vm};

use crate::compile;
use crate::guest::{END, Machine, run_to_end};
use crate::host;

/// No hardening.
const TUNED: &str = "console=ttyS0 quiet panic=-1 mitigations=off init_on_alloc=0 nosmap \
    randomize_kstack_offset=off hardened_usercopy=off audit=0 lsm=capability preempt=none";
/// No copying and clearing by `rep movsb` and `rep stosb`, which TCG does a byte at a time: the kernel then copies and
/// clears by 8 bytes. Hardware is fast at it.
const TRANSLATED: &str = "clearcpuid=erms,fsrm";
/// For the shortest boot.
const BOOT: &str = "console=ttyS0 quiet panic=-1 loglevel=0 mitigations=off tsc=reliable no_timer_check audit=0 \
    apparmor=0 selinux=0 cryptomgr.notests nokaslr 8250.nr_uarts=1 i8042.noaux i8042.nokbd i8042.nopnp";
/// What is loaded, in this order; what a kernel has built in is not there.
const MODULES: &[&str] = &[
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_mmio",
    "virtio_console",
    "netfs",
    "fscache",
    "9pnet",
    "9pnet_virtio",
    "9p",
    "failover",
    "net_failover",
    "virtio_net",
];
/// The size of the file in memory that is read: more than a read of the row takes.
const FILE: usize = 1 << 16;

/// The guest, ready to be started.
pub struct Linux {
    /// The version of its kernel.
    pub version: String,
    kernel: PathBuf,
    archive: PathBuf,
    /// For the time of a boot.
    cloud: PathBuf,
    first: PathBuf,
}

impl Linux {
    /// Fetches what is not in the cache, and puts the archives together in `folder`.
    pub fn prepare(folder: &Path) -> Result<Linux> {
        let cache = vm::cache()?.join("bench");
        let full = fetch(&cache, "linux-image-amd64")?;
        let cloud = fetch(&cache, "linux-image-cloud-amd64")?;
        let kernel = boot_file(&full, "vmlinuz-")?;
        let name = kernel.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let version = name.trim_start_matches("vmlinuz-").to_owned();
        let vmlinux = cloud.join("vmlinux");
        if !vmlinux.exists() {
            fs::write(&vmlinux, unpacked(&fs::read(boot_file(&cloud, "vmlinuz-")?)?)?)?;
        }
        let [bench, tiny, first] = compile::linux_programs(folder)?;
        let (archive, first_archive) = (folder.join("linux.cpio"), folder.join("first.cpio"));
        let directory = |name| (name, 0o040755, Vec::new());
        let modules = modules(&full, &version)?;
        let order: String = modules.iter().map(|(name, _)| format!("{name}\n")).collect();
        let mut files: Vec<(&str, u32, Vec<u8>)> =
            ["bin", "lib", "dev", "proc", "sys", "mnt", "tmp"].map(directory).into();
        files.push(("init", 0o100755, fs::read(bench)?));
        files.push(("bin/tiny", 0o100755, fs::read(tiny)?));
        files.push(("bin/big", 0o100644, vec![b'x'; FILE]));
        files.push(("lib/order", 0o100644, order.into_bytes()));
        let named: Vec<(String, Vec<u8>)> =
            modules.into_iter().map(|(name, bytes)| (format!("lib/{name}"), bytes)).collect();
        files.extend(named.iter().map(|(name, bytes)| (name.as_str(), 0o100644, bytes.clone())));
        compile::cpio(&archive, &files)?;
        compile::cpio(&first_archive, &[directory("dev"), ("init", 0o100755, fs::read(first)?)])?;
        Ok(Linux { version, kernel, archive, cloud: vmlinux, first: first_archive })
    }

    /// Does `set` by words of the program's, among them `only=A,B`: rows whose names contain A or B. What it printed.
    pub fn run(&self, vm: Vm, accel: Accel, set: &str, words: &str, port: u16) -> Result<String> {
        run_to_end(self.told(vm, accel, set, words, port), END)
    }

    /// The machine that will do it, by words of the program's; a set of the network's has somebody at `port`.
    pub fn told(&self, vm: Vm, accel: Accel, set: &str, words: &str, port: u16) -> Vm {
        let words = format!("bench={set} port={port} {words}");
        let clock = calibration(&vm);
        let vm = vm.kernel(&self.kernel).initrd(&self.archive);
        let translated = if accel == Accel::Tcg { TRANSLATED } else { "" };
        vm.append(TUNED).append(translated).append(clock).append(words)
    }

    /// A machine whose first process says so at once.
    pub fn first(&self, machine: &Machine) -> Vm {
        let vm = machine.bare();
        let words = calibration(&vm);
        vm.kernel(&self.cloud).initrd(&self.first).append(BOOT).append(words)
    }
}

/// On microvm there is only the PIT to find the clock's frequency with, and on a busy host that fails, and Linux hangs.
/// TCG's clock is the host's, so it is told.
fn calibration(vm: &Vm) -> String {
    match (vm.board(), host::clock_khz()) {
        (Board::Microvm, Some(khz)) => format!("tsc_early_khz={khz}"),
        _ => String::new(),
    }
}

/// Downloads the kernel that a package of Debian's depends on, and unpacks it: the folder.
fn fetch(cache: &Path, package: &str) -> Result<PathBuf> {
    let folder = cache.join(package);
    if folder.exists() {
        return Ok(folder);
    }
    for tool in ["apt-get", "apt-cache", "dpkg-deb"] {
        ensure!(compile::is_there(tool), "no {tool} here: the Linux guest is Debian's");
    }
    fs::create_dir_all(cache).with_context(|| cache.display().to_string())?;
    let mut kernel = depends(package)?;
    if kernel.is_none() {
        // There is no list of packages yet, or none of this one.
        let _ = run(Command::new("apt-get").args(["-qq", "update"]));
        kernel = depends(package)?;
    }
    let kernel = kernel.with_context(|| format!("apt-cache knows no kernel of {package}"))?;
    eprintln!("bench: fetching {kernel} into {}", cache.display());
    let work = tempfile::Builder::new().prefix(".new").tempdir_in(cache)?;
    run(Command::new("apt-get").args(["-qq", "download", &kernel]).current_dir(work.path()))?;
    let downloaded = fs::read_dir(work.path())?.next().context("apt-get has downloaded nothing")??.path();
    let unpacked = work.path().join("unpacked");
    run(Command::new("dpkg-deb").arg("-x").args([&downloaded, &unpacked]))?;
    // Somebody else may have been faster; his is as good.
    if let Err(error) = fs::rename(&unpacked, &folder) {
        ensure!(folder.exists(), "{}: {error}", folder.display());
    }
    Ok(folder)
}

/// The kernel's own package.
fn depends(package: &str) -> Result<Option<String>> {
    let output = Command::new("apt-cache").args(["depends", package]).output()?;
    Ok(kernel_of(&String::from_utf8_lossy(&output.stdout)))
}

fn kernel_of(depends: &str) -> Option<String> {
    let names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    names.map(str::to_owned).find(|name| name.starts_with("linux-image-"))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A file of the package's `boot` whose name begins so.
fn boot_file(package: &Path, begin: &str) -> Result<PathBuf> {
    let boot = package.join("boot");
    for entry in fs::read_dir(&boot).with_context(|| boot.display().to_string())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(begin) {
            return Ok(entry.path());
        }
    }
    bail!("no {begin} in {}; remove that folder, and it is fetched again", boot.display())
}

/// The modules of [`MODULES`] that there are, with their names.
fn modules(package: &Path, version: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let below = ["usr/lib/modules", "lib/modules"].map(|place| package.join(place).join(version));
    let top = below.into_iter().find(|folder| folder.is_dir()).context("the package has no modules")?;
    let mut files = Vec::new();
    collect(&top.join("kernel"), &mut files)?;
    let mut found = Vec::new();
    for module in MODULES {
        let plain = format!("{module}.ko");
        for file in &files {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name == plain {
                found.push((plain.clone(), fs::read(file)?));
            } else if name.strip_suffix(".xz") == Some(&plain) {
                found.push((plain.clone(), filter("xz", &["-dc"], &fs::read(file)?)?));
            }
        }
    }
    Ok(found)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { collect(&entry.path(), files)? } else { files.push(entry.path()) }
    }
    Ok(())
}

/// The ELF file in a bzImage, so that the guest spends nothing on unpacking it.
fn unpacked(image: &[u8]) -> Result<Vec<u8>> {
    let payload = payload(image).context("no bzImage")?;
    let elf = match payload {
        [0xfd, b'7', b'z', b'X', b'Z', ..] => filter("xz", &["-dc", "--single-stream"], payload)?,
        // Behind it is the size that comes out.
        [2, 0x21, 0x4c, 0x18, ..] => filter("lz4", &["-dc"], &payload[..payload.len() - 4])?,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => filter("zstd", &["-dc"], &payload[..payload.len() - 4])?,
        other => bail!("a kernel packed in an unknown way: {:?}", other.get(..4)),
    };
    ensure!(elf.starts_with(b"\x7fELF"), "what is in the bzImage is no ELF file");
    Ok(elf)
}

/// Linux, Documentation/arch/x86/boot.rst: the setup's sectors, and where behind them the payload is.
fn payload(image: &[u8]) -> Option<&[u8]> {
    let number = |at: usize| Some(u32::from_le_bytes(*image.get(at..)?.first_chunk()?) as usize);
    image.get(0x202..).filter(|head| head.starts_with(b"HdrS"))?;
    let sectors = match *image.get(0x1f1)? {
        0 => 4,
        n => usize::from(n),
    };
    image
        .get((sectors + 1) * 512 + number(0x248)?..)?
        .get(..number(0x24c)?)
        .filter(|payload| payload.len() > 8)
}

/// What a program makes of `input`.
fn filter(program: &str, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let mut file = tempfile::tempfile()?;
    std::io::Write::write_all(&mut file, input)?;
    std::io::Seek::rewind(&mut file)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::from(file));
    let output = command.output().with_context(|| format!("no {program}; 'boot/deps bench' installs it"))?;
    ensure!(!output.stdout.is_empty(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_package_is_found() {
        let said = "linux-image-amd64\n  Depends: linux-image-6.1.0-57-amd64\n  Conflicts: x\n";
        assert_eq!(kernel_of(said).as_deref(), Some("linux-image-6.1.0-57-amd64"));
        assert_eq!(kernel_of("N: Unable to locate package\n"), None);
    }

    #[test]
    fn a_payload_is_where_the_head_says() {
        let mut image = vec![0; 4096];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x1f1] = 2;
        image[0x248..0x24c].copy_from_slice(&16u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&12u32.to_le_bytes());
        image[3 * 512 + 16..3 * 512 + 28].copy_from_slice(b"payload here");
        assert_eq!(payload(&image), Some(b"payload here".as_slice()));
        assert!(unpacked(&image).unwrap_err().to_string().contains("unknown way"));
        for cut in 0..image.len() {
            payload(&image[..cut]);
        }
        image[0x202] = 0;
        assert_eq!(payload(&image), None);
    }
}
