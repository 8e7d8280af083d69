//! The ChaCha20 block function. Written out here because the library versions pick vector instructions, which the
//! kernel must not touch. Tested on the host.

/// The key, as eight little-endian words.
pub type Key = [u32; 8];

/// One block of the ChaCha20 function (RFC 8439 section 2.3), with a 64-bit counter and no nonce.
pub fn chacha20(key: &Key, counter: u64) -> [u8; 64] {
    let mut start = [0u32; 16];
    start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    start[4..12].copy_from_slice(key);
    start[12] = counter as u32;
    start[13] = (counter >> 32) as u32;
    let mut s = start;
    for _ in 0..10 {
        for (i, shift) in [(0, [0, 4, 8, 12]), (1, [0, 5, 10, 15])] {
            for lane in 0..4 {
                let at = |row: usize| 4 * row + if i == 0 { lane } else { (lane + shift[row] % 4) % 4 };
                quarter(&mut s, at(0), at(1), at(2), at(3));
            }
        }
    }
    let mut out = [0; 64];
    for ((bytes, a), b) in out.chunks_exact_mut(4).zip(s).zip(start) {
        bytes.copy_from_slice(&a.wrapping_add(b).to_le_bytes());
    }
    out
}

fn quarter(s: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    for (x, y, z, n) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
        s[x] = s[x].wrapping_add(s[y]);
        s[z] = (s[z] ^ s[x]).rotate_left(n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 8439's examples: bytes 0 to 31.
    fn key() -> Key {
        core::array::from_fn(|i| u32::from_le_bytes(core::array::from_fn(|j| (4 * i + j) as u8)))
    }

    #[test]
    fn the_block_function_is_chacha20() {
        // RFC 8439, appendix A.1, test vectors 1 and 2: key and nonce zero, counters 0 and 1.
        let b = chacha20(&[0; 8], 0);
        assert_eq!(b[..8], [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90]);
        let b = chacha20(&[0; 8], 1);
        assert_eq!(b[..8], [0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a]);
        assert_ne!(chacha20(&key(), 1), chacha20(&key(), 2));
    }
}
