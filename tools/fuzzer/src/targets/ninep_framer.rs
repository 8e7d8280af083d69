//! A stream gives the same messages however it is cut, and they are the stream.

use ninep::{Framer, WireError};

fn frames<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Option<WireError>) {
    let mut framer = Framer::new(256);
    let mut out = Vec::new();
    for piece in pieces {
        framer.push(piece);
        loop {
            match framer.next_message() {
                Ok(Some(message)) => out.push(message.to_vec()),
                Ok(None) => break,
                Err(e) => return (out, Some(e)),
            }
        }
        assert!(framer.wanted().is_ok_and(|n| n > 0));
    }
    (out, None)
}

/// Tries these bytes.
pub fn run(bytes: &[u8]) {
    let (whole, error) = frames(core::iter::once(bytes));
    assert!(bytes.starts_with(&whole.concat()));
    assert!(whole.iter().all(|m| (7..=256).contains(&m.len())));
    let step = bytes.first().map_or(1, |b| usize::from(*b % 32) + 1);
    assert_eq!(frames(bytes.chunks(step)), (whole, error));
}
