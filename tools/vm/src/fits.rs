//! Whether an archive and the kernel can be in a machine's memory at the same time.
//!
//! QEMU puts the archive of `-initrd` at the end of memory and looks only at whether it is smaller than that. One that
//! reaches down into the kernel overwrites it, and the machine ends without a word.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Result, ensure};

/// What the board and its firmware keep at the end of memory, and more: no machine does anything with so little.
const KEPT: u64 = 1 << 20;
/// A 64-bit ELF file's header, and the part of it that says it is one.
const HEADER: usize = 64;
const MAGIC: &[u8] = b"\x7fELF\x02\x01";
/// One of its program headers, of which there are few at the beginning of a kernel.
const SEGMENT: usize = 56;
const BEGINNING: u64 = 4096;
/// A segment that is loaded.
const LOAD: u32 = 1;

/// Fails if the archive would lie on the kernel. Files that cannot be read are left to QEMU, which says what is wrong
/// with them.
pub fn check(kernel: &Path, archive: &Path, memory_mib: u32) -> Result<()> {
    let (Some(end), Ok(archive)) = (kernel_end(kernel), archive.metadata()) else { return Ok(()) };
    let memory = u64::from(memory_mib) << 20;
    let wanted = archive.len().saturating_add(end).saturating_add(KEPT);
    ensure!(
        wanted <= memory,
        "an archive of {} MiB and the kernel do not fit into {memory_mib} MiB of memory; see -m",
        archive.len().div_ceil(1 << 20)
    );
    Ok(())
}

/// Where the memory that a kernel's file asks for ends, as a physical address.
fn kernel_end(kernel: &Path) -> Option<u64> {
    let mut file = Vec::new();
    File::open(kernel).ok()?.take(BEGINNING).read_to_end(&mut file).ok()?;
    let header = file.get(..HEADER).filter(|h| h.starts_with(MAGIC))?;
    let first = usize::try_from(long(header, 32)?).ok()?;
    let count = usize::from(u16::from_le_bytes(*header.get(56..)?.first_chunk()?));
    let segments = file.get(first..)?.chunks_exact(SEGMENT).take(count);
    let loaded = segments.filter(|s| s.first_chunk().is_some_and(|kind| u32::from_le_bytes(*kind) == LOAD));
    loaded.filter_map(|s| long(s, 24)?.checked_add(long(s, 40)?)).max()
}

/// The eight bytes of a number.
fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_must_not_lie_on_the_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let (kernel, archive) = (dir.path().join("k.elf"), dir.path().join("r.tar"));
        // One note that is not loaded, and one segment from 1 MiB to 3 MiB.
        let mut elf =
            [MAGIC, &[0; 26], &64u64.to_le_bytes(), &[0; 16], &2u16.to_le_bytes(), &[0; 6]].concat();
        assert_eq!(elf.len(), HEADER);
        for (kind, start, size) in [(4u32, 1u64 << 40, 1u64), (LOAD, 1 << 20, 2 << 20)] {
            let mut segment = [0; SEGMENT];
            segment[..4].copy_from_slice(&kind.to_le_bytes());
            segment[24..32].copy_from_slice(&start.to_le_bytes());
            segment[40..48].copy_from_slice(&size.to_le_bytes());
            elf.extend(segment);
        }
        std::fs::write(&kernel, &elf).unwrap();
        assert_eq!(kernel_end(&kernel), Some(3 << 20));
        File::create(&archive).unwrap().set_len(4 << 20).unwrap();
        assert!(check(&kernel, &archive, 8).is_ok());
        let e = check(&kernel, &archive, 7).unwrap_err().to_string();
        assert_eq!(e, "an archive of 4 MiB and the kernel do not fit into 7 MiB of memory; see -m");
        // What is no kernel or is not there is QEMU's to tell.
        assert!(check(&archive, &archive, 1).is_ok());
        assert!(check(&kernel, &dir.path().join("none"), 1).is_ok());
        for cut in 0..elf.len() {
            std::fs::write(&kernel, &elf[..cut]).unwrap();
            kernel_end(&kernel);
        }
    }
}
