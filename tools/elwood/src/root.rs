//! `--root`: the machine's root is a whole Plan 9, in a folder of the host or on the image of a disk.
//!
//! A folder is a share with the tag `root`. An image is a virtio disk, and the guest runs the file server that its
//! contents are for: a program of that Plan 9, which the guest does not have until it has the root. So `--root-server`
//! brings it along, in an archive beside the kernel. See boot(8).

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use rustix::fs::{MemfdFlags, memfd_create};
use tar::{Builder, Header};
use vm::{Board, Share, Vm};

use crate::certs;
use crate::exec::inherit;

/// The mount tag of the folder.
pub const TAG: &str = "root";

/// What begins an image of QEMU's own format.
const QCOW: &[u8] = b"QFI\xfb";

/// What says where the root is.
#[derive(Args)]
pub struct Root {
    /// A whole Plan 9 to boot into: a folder with its tree, or the image of a disk; :ro protects it from changes
    #[arg(long, value_name = "DIR|IMAGE[:ro]")]
    pub root: Option<String>,
    /// The program of that Plan 9 that serves the image's file system (hjfs, 9660srv, dossrv, kfs, cwfs64x...)
    #[arg(long, value_name = "PROGRAM", requires = "root")]
    root_server: Option<PathBuf>,
}

/// The machine with its root, over which `certs` and what is in `initrd` are laid, and what it reads when it starts and
/// must be kept until then.
///
/// # Errors
/// There is no such folder or image; the server is no file.
pub fn add(
    mut vm: Vm,
    options: &Root,
    certs: Option<Vec<u8>>,
    initrd: Option<&Path>,
) -> Result<(Vm, Option<File>)> {
    let mut kept = None;
    let server = options.root_server.as_deref().map(server).transpose()?;
    let certs = certs.map(|bytes| (certs::PLACE.to_owned(), 0o444, bytes));
    let files: Vec<(String, u32, Vec<u8>)> = server.into_iter().chain(certs).collect();
    if !files.is_empty() {
        let archive = archive(&files, initrd)?;
        inherit(archive.as_fd())?;
        vm = vm.initrd(format!("/proc/self/fd/{}", archive.as_raw_fd()));
        kept = Some(archive);
    } else if let Some(initrd) = initrd {
        vm = vm.initrd(initrd);
    }
    let Some(root) = &options.root else { return Ok((vm, kept)) };
    let (path, readonly) = split(root);
    if path.is_dir() {
        ensure!(
            options.root_server.is_none(),
            "--root-server: {} is a folder, which needs none",
            path.display()
        );
        let share = Share::new(TAG, path);
        let share = if readonly { share.readonly() } else { share };
        return Ok((vm.share(share).append(format!("root={TAG}")), kept));
    }
    ensure!(path.exists(), "--root {root}: no folder and no image {}", path.display());
    ensure!(path.is_file(), "--root {root}: neither a folder nor a file");
    let format = format(path).with_context(|| format!("--root {root}"))?;
    let mut drive = format!("if=none,id=root,format={format}").into_bytes();
    if readonly {
        drive.extend(b",readonly=on");
    }
    drive.extend(b",file=");
    // In an option list a comma is written twice.
    for &byte in path.as_os_str().as_bytes() {
        drive.extend(std::iter::repeat_n(byte, if byte == b',' { 2 } else { 1 }));
    }
    let bus = if vm.board() == Board::Microvm { "device" } else { "pci" };
    let server = match options.root_server.as_deref().and_then(Path::file_name) {
        Some(name) => format!("{}!", name.to_string_lossy()),
        None => String::new(),
    };
    let word = abi::quote::quote(&format!("{server}/dev/sdF0"));
    vm = vm.arg("-drive").arg(std::ffi::OsString::from_vec(drive));
    vm = vm.arg("-device").arg(format!("virtio-blk-{bus},drive=root")).append(format!("root={word}"));
    Ok((vm, kept))
}

/// Cuts `PATH[:ro]`. A colon that belongs to the name is recognised by the file being there.
fn split(root: &str) -> (&Path, bool) {
    match root.strip_suffix(":ro") {
        Some(path) if !Path::new(root).exists() => (Path::new(path), true),
        _ => (Path::new(root), false),
    }
}

/// QEMU's name for an image's format.
fn format(path: &Path) -> Result<&'static str> {
    let mut magic = [0; 4];
    let n = File::open(path)?.read(&mut magic)?;
    Ok(if magic.get(..n) == Some(QCOW) { "qcow2" } else { "raw" })
}

/// The server as a file of the guest's /bin: its name, permissions and contents.
fn server(server: &Path) -> Result<(String, u32, Vec<u8>)> {
    let said = || format!("--root-server {}", server.display());
    ensure!(server.is_file(), "{}: no such file", said());
    let name = server.file_name().and_then(|name| name.to_str()).with_context(said)?;
    ensure!(!name.contains(['!', ' ', '\'']), "{}: no such name can be", said());
    Ok((format!("bin/{name}"), 0o755, std::fs::read(server).with_context(said)?))
}

/// An archive with these files, and what is in `initrd`, without a name on the host.
fn archive(files: &[(String, u32, Vec<u8>)], initrd: Option<&Path>) -> Result<File> {
    let memory = memfd_create("elwood-root", MemfdFlags::empty()).context("an archive in memory")?;
    let mut builder = Builder::new(File::from(memory));
    for (name, mode, bytes) in files {
        let mut header = Header::new_gnu();
        header.set_mode(*mode);
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, &bytes[..])?;
    }
    let mut file = match initrd {
        // The next archive begins where this one's end mark would be, or is.
        Some(path) => {
            let mut file = builder.into_inner()?;
            std::io::copy(&mut File::open(path)?, &mut file)?;
            file
        }
        None => builder.into_inner()?,
    };
    file.rewind()?;
    Ok(file)
}
