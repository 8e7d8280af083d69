//! Calls and jumps in contents: they say how far it is, and shall say where it is. What this means is described where
//! it is undone, in `kernel/port/src/mem/calls.rs`.

/// Places that are told.
const SPAN: i32 = 1 << 24;

/// Has the calls in a block, which is at `at` of the contents, say where they lead.
pub(crate) fn tell(block: &mut [u8], at: usize) {
    let mut from = 0;
    while let Some(found) = block[from..].iter().position(|b| matches!(*b, 0xe8 | 0xe9)) {
        let here = from + found;
        let Some(number) = block[here + 1..].first_chunk_mut::<4>() else { return };
        let Some(place) = i32::try_from(at + here).ok().filter(|place| *place < SPAN) else { return };
        let far = i32::from_le_bytes(*number);
        if (-place..SPAN).contains(&far) {
            *number = (if far < SPAN - place { far + place } else { far - SPAN }).to_le_bytes();
        }
        from = here + 5;
    }
}
