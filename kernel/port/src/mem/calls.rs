//! Calls and jumps in packed contents. A program's say how far it is to where they lead, so that two which lead to the
//! same place differ; in an archive they say where, which compresses to less. `tools/pack` does that to each block, and
//! this undoes it.
//!
//! What is meant is told by no header: whatever looks like a call is changed, in texts too, and changed back. A
//! distance from one place to another below [`SPAN`] becomes a place, or where that is beyond, a negative number;
//! the numbers of these are the same, so that nothing is lost.

/// Places that are told: what is packed is shorter.
const SPAN: i32 = 1 << 24;
/// How a call and a jump begin; four bytes follow.
const CALL: u8 = 0xe8;
const JUMP: u8 = 0xe9;

/// Has the calls in a block, which is at `at` of the contents, say how far it is again.
pub(super) fn undo(block: &mut [u8], at: usize) {
    let mut from = 0;
    while let Some(found) =
        block.get(from..).and_then(|rest| rest.iter().position(|b| matches!(*b, CALL | JUMP)))
    {
        let here = from + found;
        let Some(number) = block.get_mut(here + 1..).and_then(|rest| rest.first_chunk_mut::<4>()) else {
            return;
        };
        let Some(place) = i32::try_from(at + here).ok().filter(|place| *place < SPAN) else { return };
        let told = i32::from_le_bytes(*number);
        if (-place..SPAN).contains(&told) {
            *number = (if told >= 0 { told - place } else { told + SPAN }).to_le_bytes();
        }
        from = here + 5;
    }
}
