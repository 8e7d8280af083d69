//! The folder of the host that all guests see: small files, large ones, a directory of 2000 and a tree of 5000.
//!
//! It is in memory, so that no disk is timed, and goes away with the [`TempDir`] that it is, or by [`remove_all`] when
//! this process is interrupted. The one lock guards the list of those that there are, and is held for nothing else.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use tempfile::TempDir;

/// How long ago the large files were changed.
const AGE: Duration = Duration::from_secs(3600);
/// Where files are in memory.
const MEMORY: &str = "/dev/shm";

/// Those that have been made.
static MADE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes all folders. For a process that is about to end without unwinding.
pub fn remove_all() {
    for folder in std::mem::take(&mut *MADE.lock().unwrap_or_else(PoisonError::into_inner)) {
        // It may have gone by itself.
        let _ = fs::remove_dir_all(folder);
    }
}

/// A folder with everything: 130 MB.
pub fn whole() -> Result<TempDir> {
    let folder = small()?;
    fill(folder.path())?;
    Ok(folder)
}

/// A folder with what small requests want.
pub fn small() -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("elwood-bench");
    let folder = if Path::new(MEMORY).is_dir() { builder.tempdir_in(MEMORY)? } else { builder.tempdir()? };
    MADE.lock().unwrap_or_else(PoisonError::into_inner).push(folder.path().to_owned());
    fs::create_dir(folder.path().join("w"))?;
    fs::write(folder.path().join("one"), [b'x'; 1024])?;
    Ok(folder)
}

fn fill(folder: &Path) -> Result<()> {
    let mut block = vec![0; 1 << 20];
    File::open("/dev/urandom")?.read_exact(&mut block)?;
    let large = |name: &str, blocks: usize| -> Result<()> {
        let mut file = File::create(folder.join(name))?;
        (0..blocks).try_for_each(|_| file.write_all(&block))?;
        // As most files are; what has just been changed is not kept in a cache.
        file.set_modified(SystemTime::now() - AGE)?;
        Ok(())
    };
    large("big", 64)?;
    for reader in 0..4 {
        large(&format!("big{reader}"), 16)?;
    }
    let many = folder.join("d2000");
    fs::create_dir(&many)?;
    for n in 0..2000 {
        fs::write(many.join(format!("file{n:04}")), "x".repeat(n % 97))?;
    }
    for (a, b) in (0..10).flat_map(|a| (0..10).map(move |b| (a, b))) {
        let branch = folder.join(format!("tree/a{a}/b{b}"));
        fs::create_dir_all(&branch)?;
        (0..50).try_for_each(|n| fs::write(branch.join(format!("f{n:02}")), "x"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_away() {
        let folder = small().unwrap();
        let path = folder.path().to_owned();
        assert_eq!(fs::read(path.join("one")).unwrap().len(), 1024);
        drop(folder);
        assert!(!path.exists());
        let folder = small().unwrap();
        remove_all();
        assert!(!folder.path().exists());
    }
}
