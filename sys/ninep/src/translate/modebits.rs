//! Row: mode bits that Plan 9 has and the server drops.
//!
//! Append-only, exclusive-use and temporary files do not exist on the host. They are kept here, by qid,
//! for as long as the session lasts: they are right between the programs of this machine, which is what
//! lock files need, and the host knows nothing of them. The driver asks for the bits when it opens a file
//! (`DMEXCL`: one opener at a time; `DMAPPEND`: open to append) and [shows](ModeBits::show) them in stats.

use alloc::collections::BTreeMap;

use abi::{DMAPPEND, DMEXCL, DMTMP, Dir};

/// The bits that servers drop.
pub const DROPPED: u32 = DMAPPEND | DMEXCL | DMTMP;

/// The mode bits of the files of one session.
#[derive(Clone, Debug, Default)]
pub struct ModeBits {
    bits: BTreeMap<u64, u32>,
}

impl ModeBits {
    /// Nothing mode_bits.
    pub const fn new() -> Self {
        ModeBits { bits: BTreeMap::new() }
    }

    /// Sets the bits of a file from a whole mode or permission: a create or a wstat.
    pub fn set(&mut self, qid_path: u64, mode: u32) {
        match mode & DROPPED {
            0 => self.bits.remove(&qid_path),
            bits => self.bits.insert(qid_path, bits),
        };
    }

    /// The bits of a file.
    pub fn get(&self, qid_path: u64) -> u32 {
        self.bits.get(&qid_path).copied().unwrap_or(0)
    }

    /// Forgets a file that was removed: the host will use its inode number again.
    pub fn forget(&mut self, qid_path: u64) {
        self.bits.remove(&qid_path);
    }

    /// Puts the bits of a file in its stat, in the mode and in the qid.
    pub fn show<S>(&self, dir: &mut Dir<S>) {
        let bits = self.get(dir.qid.path);
        dir.mode |= bits;
        dir.qid.kind |= (bits >> 24) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::{QTAPPEND, QTEXCL, Qid};

    #[test]
    fn bits_live_until_the_file_is_gone() {
        let mut mode_bits = ModeBits::new();
        let mut dir: Dir = Dir { qid: Qid::file(7), mode: 0o644, ..Dir::default() };
        mode_bits.show(&mut dir);
        assert_eq!((dir.mode, dir.qid.kind), (0o644, 0));
        mode_bits.set(7, DMEXCL | DMAPPEND | 0o600);
        mode_bits.show(&mut dir);
        assert_eq!((dir.mode, dir.qid.kind), (DMEXCL | DMAPPEND | 0o644, QTEXCL | QTAPPEND));
        mode_bits.set(7, 0o600);
        assert_eq!(mode_bits.get(7), 0);
        mode_bits.set(7, DMTMP);
        mode_bits.forget(7);
        assert_eq!(mode_bits.get(7), 0);
    }
}
