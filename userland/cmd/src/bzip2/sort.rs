//! The rotations of a block in their order, and back.

use alloc::vec::Vec;

use lib9::{Result, error};

/// A list of so many, if there is memory for it.
#[allow(clippy::disallowed_methods)] // The rule is the kernel's: a program has nothing set aside.
pub(super) fn list<T: Clone>(value: T, len: usize) -> Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(len).map_err(|_| error!("no memory for a block"))?;
    list.resize(len, value);
    Ok(list)
}

/// Where the sorted rotations of the text begin. They are sorted by their first byte, and then, knowing the order by so
/// many bytes, by twice as many, until no two are alike or all have been looked at whole.
pub(super) fn rotations(text: &[u8]) -> Result<Vec<u32>> {
    let n = text.len();
    let mut order = list(0u32, n)?;
    let mut other = list(0u32, n)?;
    let mut rank = list(0u32, n)?;
    let mut count = list(0u32, n.max(256) + 1)?;
    for &byte in text {
        count[usize::from(byte) + 1] += 1;
    }
    for at in 1..=256 {
        count[at] += count[at - 1];
    }
    // A rank is where those that are alike begin in the order.
    for (rank, byte) in rank.iter_mut().zip(text) {
        *rank = count[usize::from(*byte)];
    }
    let mut next = count.clone();
    for (at, byte) in text.iter().enumerate() {
        let place = &mut next[usize::from(*byte)];
        order[*place as usize] = at as u32;
        *place += 1;
    }
    drop(next);
    let mut known = 1;
    while known < n {
        // Those that begin `known` bytes before one are, taken in that one's order, sorted by their second half.
        for (at, count) in count.iter_mut().enumerate() {
            *count = at as u32;
        }
        for at in &order {
            let begin = (*at as usize + n - known) % n;
            let place = &mut count[rank[begin] as usize];
            other[*place as usize] = begin as u32;
            *place += 1;
        }
        core::mem::swap(&mut order, &mut other);
        let (mut alike, mut all_differ) = (0u32, true);
        let half = |rank: &[u32], at: u32| (rank[at as usize], rank[(at as usize + known) % n]);
        for at in 0..n {
            if at > 0 && half(&rank, order[at]) != half(&rank, order[at - 1]) {
                alike = at as u32;
            } else if at > 0 {
                all_differ = false;
            }
            other[order[at] as usize] = alike;
        }
        core::mem::swap(&mut rank, &mut other);
        if all_differ {
            break;
        }
        known *= 2;
    }
    Ok(order)
}

/// Undoes it in place: `table` has the last bytes of the sorted rotations, `begin` is which of them is the text. Gives
/// where the first byte is found; the table then has bytes, and where the next one is above them.
pub(super) fn undo(table: &mut [u32], begin: usize) -> Option<u32> {
    let mut starts = [0u32; 257];
    for entry in table.iter() {
        starts[(entry & 0xff) as usize + 1] += 1;
    }
    for at in 1..257 {
        starts[at] += starts[at - 1];
    }
    for at in 0..table.len() {
        let place = &mut starts[(table[at] & 0xff) as usize];
        table[*place as usize] |= (at as u32) << 8;
        *place += 1;
    }
    table.get(begin).map(|entry| entry >> 8)
}
