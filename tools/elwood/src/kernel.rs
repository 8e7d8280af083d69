//! Whether a file is a kernel that QEMU can start, looked at before it is asked to.
//!
//! QEMU takes any file for `-kernel`: what is none of the kinds that it knows ends it with a word about the kind that
//! it tried last, or is started as a boot sector's, and the machine says nothing.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// So much of a file is looked at; a kernel's notes are in front.
const BEGINNING: u64 = 64 << 10;
/// The header of an ELF file of 64 bits, in the order of bytes that x86 has.
const HEADER: usize = 64;
const MAGIC: &[u8] = b"\x7fELF\x02\x01";
/// What kind of file it is, and for which processor.
const KIND: (usize, u16) = (16, 2);
const PROCESSOR: (usize, u16) = (18, 62);
/// One of the headers of its segments, and those that are notes.
const SEGMENT: usize = 56;
const NOTES: u32 = 4;
/// The note that says where a machine without firmware begins (PVH).
const OWNER: &[u8] = b"Xen\0";
const ENTRY: u32 = 18;

/// Fails if `path` is no kernel.
///
/// # Errors
/// What is wrong with it; it cannot be read.
pub fn check(path: &Path) -> Result<()> {
    try_check(path).with_context(|| format!("{} is no kernel", path.display()))
}

fn try_check(path: &Path) -> Result<()> {
    let mut file = Vec::new();
    File::open(path)?.take(BEGINNING).read_to_end(&mut file)?;
    ensure!(!file.is_empty(), "it is empty");
    ensure!(file.len() >= HEADER && file.starts_with(MAGIC), "it is no 64-bit ELF file");
    let is = |(at, value): (usize, u16)| short(&file, at) == Some(value);
    ensure!(is(KIND) && is(PROCESSOR), "it is no ELF program for x86-64");
    ensure!(notes(&file).any(has_entry), "it does not say where a machine begins that has no firmware (PVH)");
    Ok(())
}

/// The segments of notes that are in the beginning of a file.
fn notes(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let first = long(file, 32).unwrap_or(usize::MAX);
    let count = short(file, 56).map_or(0, usize::from);
    let segments = file.get(first..).unwrap_or_default().chunks_exact(SEGMENT).take(count);
    segments.filter(|segment| word(segment, 0) == Some(NOTES)).filter_map(|segment| {
        let start = long(segment, 8)?;
        file.get(start..start.checked_add(long(segment, 32)?)?)
    })
}

/// Is the note that QEMU looks for among these?
fn has_entry(mut notes: &[u8]) -> bool {
    while let (Some(owner), Some(len), Some(kind)) = (word(notes, 0), word(notes, 4), word(notes, 8)) {
        let body = notes.get(12..).unwrap_or_default();
        if kind == ENTRY && owner as usize == OWNER.len() && body.starts_with(OWNER) {
            return true;
        }
        let whole = |len: u32| (len as usize).next_multiple_of(4);
        notes = body.get(whole(owner) + whole(len)..).unwrap_or_default();
    }
    false
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}

#[cfg(test)]
#[path = "../tests/sample/mod.rs"]
pub mod sample;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a file with these bytes.
    fn said(bytes: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        std::fs::write(&path, bytes).unwrap();
        check(&path).err().map(|e| format!("{e:#}")).unwrap_or_default()
    }

    #[test]
    fn kernels_are_told_from_other_files() {
        let good = sample::bytes();
        assert_eq!(said(&good), "");
        let changed = |at: usize, value: u8| {
            let mut file = good.clone();
            file[at] = value;
            said(&file)
        };
        for (said, why) in [
            (said(b""), "it is empty"),
            (said(b"[package]\nname = \"elwood\"\n"), "it is no 64-bit ELF file"),
            (changed(4, 1), "it is no 64-bit ELF file"),
            (changed(16, 3), "it is no ELF program for x86-64"),
            (changed(18, 183), "it is no ELF program for x86-64"),
            (changed(56, 1), "(PVH)"),
            (changed(good.len() - 8, b'x'), "(PVH)"),
            (changed(good.len() - 12, 17), "(PVH)"),
        ] {
            assert!(said.contains("/k is no kernel: ") && said.ends_with(why), "{said:?}, not {why}");
        }
        // Whatever the numbers in it are, and wherever it ends.
        for cut in 0..good.len() {
            assert_ne!(said(&good[..cut]), "", "{cut}");
        }
        for at in 0..good.len() {
            changed(at, 0xff);
        }
    }
}
