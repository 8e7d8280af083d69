//! `9pvpxy` between the mount driver and a port, with a server that [lies](super::lying) on the host.

use ninep::Dialect;

use super::lying::{Liar, Way, attack};

/// Tries these bytes: the dialect, the server's seed, and then calls, two bytes each.
pub fn run(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let Some((seed, calls)) = rest.split_first_chunk::<4>() else { return };
    let dialect = Dialect::ALL[usize::from(first) % 3];
    attack(&[Liar { way: Way::Proxy, dialect, seed: u64::from(u32::from_le_bytes(*seed)) }], calls);
}
