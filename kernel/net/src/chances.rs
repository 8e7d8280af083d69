//! Random numbers that a stack has in advance: for a few of them the kernel's generator has as much to do as for many.
//! Whatever has been given out is not here any more. They are under the stack's lock.

use machine::random;

/// Bytes that are taken at a time.
const BYTES: usize = 256;

/// See the module comment.
pub(crate) struct Chances {
    bytes: [u8; BYTES],
    /// Those from here on have not been given out.
    at: usize,
}

impl Default for Chances {
    fn default() -> Chances {
        Chances { bytes: [0; BYTES], at: BYTES }
    }
}

impl Chances {
    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        if self.at >= BYTES {
            random::fill(&mut self.bytes);
            self.at = 0;
        }
        let next = self.bytes.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut::<8>());
        self.at += 8;
        u64::from_le_bytes(next.map(core::mem::take).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_is_given_out_once_and_gone_then() {
        machine::host::new_machine();
        let mut chances = Chances::default();
        let all: BTreeSet<u64> = (0..1000).map(|_| chances.next()).collect();
        assert_eq!(all.len(), 1000);
        let (gone, left) = chances.bytes.split_at(chances.at);
        assert!(gone.iter().all(|b| *b == 0) && left.iter().any(|b| *b != 0));
    }
}
