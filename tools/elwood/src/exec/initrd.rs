//! The archive that the machine gets beside its kernel: the job, the places of the shares, and files that were asked
//! for.
//!
//! It is a file in memory without a name, so that nothing is left when this process ends, however it ends.

use std::fs::File;
use std::io::{Seek, Write};
use std::mem::ManuallyDrop;
use std::path::Path;

use abi::job::{self, Job};
use anyhow::{Context, Result};
use rustix::fs::{MemfdFlags, memfd_create};
use tar::{Builder, EntryType, Header};

/// What else is laid over the guest's root.
pub struct More<'a> {
    /// A folder.
    pub root: Option<&'a Path>,
    /// An archive.
    pub initrd: Option<&'a Path>,
}

/// Makes the archive. Whoever is to read it by its path below /proc must inherit the descriptor.
pub fn make(job: &Job, more: &More<'_>) -> Result<File> {
    let memory = memfd_create("elwood-exec", MemfdFlags::empty()).context("an archive in memory")?;
    let mut file = File::from(memory);
    write(&mut file, job, more)?;
    file.rewind()?;
    Ok(file)
}

fn write(file: &mut impl Write, job: &Job, more: &More<'_>) -> Result<()> {
    // Not dropped, since that writes an end mark.
    let mut archive = ManuallyDrop::new(Builder::new(file));
    add(&mut archive, job::FILE, EntryType::Regular, &job.to_bytes())?;
    for mount in job.mounts.iter().filter(|m| !Path::new(&m.place).starts_with("/tmp")) {
        add(&mut archive, &mount.place, EntryType::Directory, &[])?;
    }
    if let Some(root) = more.root {
        archive.follow_symlinks(false);
        archive.append_dir_all(".", root).with_context(|| format!("--root {}", root.display()))?;
    }
    match more.initrd {
        // The next archive begins where this one's end mark would be.
        Some(path) => {
            let mut other = File::open(path).with_context(|| format!("--initrd {}", path.display()))?;
            std::io::copy(&mut other, archive.get_mut())?;
        }
        None => archive.finish()?,
    }
    Ok(())
}

fn add(archive: &mut Builder<impl Write>, path: &str, kind: EntryType, data: &[u8]) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(if kind.is_dir() { 0o755 } else { 0o444 });
    header.set_size(data.len() as u64);
    archive.append_data(&mut header, path.trim_start_matches('/'), data).with_context(|| path.to_owned())
}
