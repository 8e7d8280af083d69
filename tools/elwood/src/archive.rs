//! Whether a file is a tar archive that the guest can use, looked at before a machine is started with it.
//!
//! The kernel says on its console what is wrong with an archive and goes on without it; who asked for the archive wants
//! to hear of it at once, and where `elwood exec` keeps the console to itself would not hear of it at all.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tar::Archive;

/// Fails if `path` is no tar archive, or only the beginning of one. `option` is what named it.
///
/// # Errors
/// What is wrong with it; it cannot be read.
pub fn check(option: &str, path: &Path) -> Result<()> {
    let said = || format!("{option} {}", path.display());
    ensure!(path.is_file(), "{}: no such file", said());
    try_check(path).with_context(said)
}

fn try_check(path: &Path) -> Result<()> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    ensure!(len > 0, "it is empty");
    let mut archive = Archive::new(file);
    // One archive may follow another.
    archive.set_ignore_zeros(true);
    for entry in archive.entries_with_seek().context("it is no tar archive")? {
        let entry = entry.context("it is no tar archive")?;
        let end = entry.raw_file_position().saturating_add(entry.size());
        ensure!(end <= len, "it ends in the middle of {}", entry.path()?.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a file with these bytes.
    fn said(bytes: &[u8]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, bytes).unwrap();
        check("--initrd", &path).err().map(|e| format!("{e:#}"))
    }

    #[test]
    fn archives_are_told_from_other_files() {
        let mut header = tar::Header::new_gnu();
        header.set_size(3000);
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut header, "lib/news", &[7; 3000][..]).unwrap();
        let whole = builder.into_inner().unwrap();
        assert_eq!(said(&whole), None);
        assert_eq!(said(&[whole.clone(), whole.clone()].concat()), None, "one behind the other");
        assert_eq!(said(&[0; 10240]), None, "an archive of nothing");
        let mut spoilt = whole.clone();
        spoilt[0] ^= 1;
        let wrong: [(&[u8], &str); 7] = [
            (b"", "it is empty"),
            (b"x", "it is no tar archive"),
            (&[9; 511], "it is no tar archive"),
            (&[9; 4096], "it is no tar archive"),
            (&spoilt, "it is no tar archive"),
            (&whole[..512 + 2999], "it ends in the middle of lib/news"),
            (&[&whole[..], &[9; 512]].concat(), "it is no tar archive"),
        ];
        for (bytes, why) in wrong {
            let said = said(bytes).unwrap_or_default();
            assert!(
                said.starts_with("--initrd /") && said.contains(&format!("/a: {why}")),
                "{said:?}, not {why}"
            );
        }
        assert!(
            format!("{:#}", check("--initrd", Path::new("/no/such")).unwrap_err()).contains("no such file")
        );
    }
}
