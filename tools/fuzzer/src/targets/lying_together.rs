//! Two servers that [lie](super::lying) at the same time, used by one process: `#M` by way of `9pvpxy`, and `#9`, of
//! either dialect, over a pipe.

use ninep::Dialect;

use super::lying::{Liar, Way, attack};

/// Tries these bytes: the dialect of the second, the servers' seeds, and then calls, two bytes each.
pub fn run(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let Some((seed, rest)) = rest.split_first_chunk::<4>() else { return };
    let Some((other, calls)) = rest.split_first_chunk::<4>() else { return };
    let dialect = [Dialect::U, Dialect::L][usize::from(first) % 2];
    let proxied = Liar { way: Way::Proxy, dialect: Dialect::P9, seed: number(seed) };
    attack(&[proxied, Liar { way: Way::Pipe, dialect, seed: number(other) }], calls);
}

fn number(bytes: &[u8; 4]) -> u64 {
    u64::from(u32::from_le_bytes(*bytes))
}
