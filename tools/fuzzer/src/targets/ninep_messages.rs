//! Any bytes as a message, a head, a stat record, directory entries: decoding never panics, and what decodes
//! encodes to a message that decodes to the same.

use ninep::head::{Head, Rio, Tio};
use ninep::{Dialect, Dirents, Rmsg, Stat, Stats, Tmsg};

/// Tries these bytes.
pub fn run(bytes: &[u8]) {
    // A size field that is right, so that the fuzzer need not find it.
    let mut sized = bytes.to_vec();
    if let Some(front) = sized.first_chunk_mut() {
        *front = (bytes.len() as u32).to_le_bytes();
    }
    for dialect in Dialect::ALL {
        for bytes in [bytes, &sized] {
            if let Ok((tag, t)) = Tmsg::decode(dialect, bytes) {
                let again = t.to_vec(dialect, tag).expect("what was decoded can be encoded");
                assert_eq!(Tmsg::decode(dialect, &again), Ok((tag, t)));
            }
            if let Ok((tag, r)) = Rmsg::decode(dialect, bytes) {
                let again = r.to_vec(dialect, tag).expect("what was decoded can be encoded");
                assert_eq!(Rmsg::decode(dialect, &again), Ok((tag, r)));
            }
        }
        for stat in Stats::new(dialect, bytes).flatten() {
            let again = stat.to_vec(dialect).expect("what was decoded can be encoded");
            assert_eq!(Stat::parse(dialect, &again), Ok((stat, again.len())));
        }
    }
    assert!(Dirents::new(bytes).count() <= bytes.len());
    if let Ok(head) = Head::parse(bytes) {
        assert_eq!(head.to_bytes(), bytes[..7]);
    }
    if let Ok(io) = Tio::parse(bytes) {
        assert_eq!(io.to_bytes(), bytes[..23]);
    }
    if let Ok(io) = Rio::parse(bytes) {
        assert_eq!(io.to_bytes(), bytes[..11]);
    }
    assert_eq!(ninep::unescape(&ninep::escape(bytes)).as_ref(), bytes);
}
