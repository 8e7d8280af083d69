//! Codes of symbols by their lengths: short ones for those that come often, in the order of the symbols.

use alloc::vec;
use alloc::vec::Vec;

use super::LONGEST;

/// A table to read symbols by.
pub(super) struct Decoder {
    /// For each length the first code, and where its symbols begin among all.
    first: [(u32, usize); LONGEST + 2],
    /// How many codes have each length.
    count: [usize; LONGEST + 1],
    symbols: Vec<u16>,
}

impl Decoder {
    /// That for codes of these lengths.
    pub(super) fn new(lengths: &[u8]) -> Decoder {
        let mut symbols: Vec<u16> = (0..lengths.len() as u16).collect();
        symbols.sort_by_key(|&s| lengths.get(usize::from(s)));
        let mut count = [0; LONGEST + 1];
        for &length in lengths {
            if let Some(count) = count.get_mut(usize::from(length)) {
                *count += 1;
            }
        }
        let mut first = [(0u32, 0); LONGEST + 2];
        for length in 1..=LONGEST {
            let (code, at) = first[length];
            first[length + 1] = ((code.wrapping_add(count[length] as u32)) << 1, at + count[length]);
        }
        Decoder { first, count, symbols }
    }

    /// The next symbol of these bits; nothing when no code is like that, or they end.
    pub(super) fn next(&self, mut bit: impl FnMut() -> Option<u32>) -> Option<u16> {
        let mut code = 0u32;
        for length in 1..=LONGEST {
            code = code << 1 | bit()?;
            let (first, at) = self.first[length];
            let place = code.wrapping_sub(first) as usize;
            if code >= first && place < self.count[length] {
                return self.symbols.get(at + place).copied();
            }
        }
        None
    }
}

/// Lengths of codes for symbols that come so often, none longer than `most`.
pub(super) fn lengths(counts: &[u32], most: u8) -> Vec<u8> {
    let mut weights: Vec<u32> = counts.iter().map(|c| (*c).max(1)).collect();
    loop {
        let lengths = unlimited(&weights);
        if lengths.iter().all(|length| *length <= most) {
            return lengths;
        }
        // Flatter, until no code is too long.
        weights.iter_mut().for_each(|w| *w = *w / 2 + 1);
    }
}

/// By joining the two rarest until there is one.
fn unlimited(weights: &[u32]) -> Vec<u8> {
    let mut parents = vec![usize::MAX; weights.len()];
    let mut nodes: Vec<(u64, usize)> = weights.iter().enumerate().map(|(n, w)| (u64::from(*w), n)).collect();
    // The rarest at the end.
    nodes.sort_unstable_by(|a, b| b.cmp(a));
    while let (Some(a), Some(b)) = (nodes.pop(), nodes.pop()) {
        let joined = (a.0 + b.0, parents.len());
        parents[a.1] = joined.1;
        parents[b.1] = joined.1;
        parents.push(usize::MAX);
        let at = nodes.partition_point(|node| *node > joined);
        nodes.insert(at, joined);
        if nodes.len() == 1 {
            break;
        }
    }
    let mut depth = vec![0u8; parents.len()];
    for n in (0..parents.len()).rev() {
        if let Some(above) = depth.get(parents[n]).copied() {
            depth[n] = above.saturating_add(1);
        }
    }
    depth.truncate(weights.len());
    depth
}

/// The codes of these lengths.
pub(super) fn codes(lengths: &[u8]) -> Vec<u32> {
    let mut all = vec![0; lengths.len()];
    let mut code = 0;
    for length in 1..=LONGEST as u8 {
        for (n, _) in lengths.iter().enumerate().filter(|(_, l)| **l == length) {
            all[n] = code;
            code += 1;
        }
        code <<= 1;
    }
    all
}
