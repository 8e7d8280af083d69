//! Makes new inputs from old ones, without looking at what they do: for a Rust that has no fuzzer.

use ninep::testserver::hostile::Random;

/// Numbers that mean something to somebody.
const EDGES: [u64; 10] = [0, 1, 7, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];
/// The longest input.
const LONGEST: usize = 8192;

/// An input made from those of a corpus.
pub fn input(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = match random.of(corpus) {
        Some(old) if !random.once_in(10) => old.clone(),
        _ => (0..random.below(300)).map(|_| random.number() as u8).collect(),
    };
    for _ in 0..1 + random.below(6) {
        let len = bytes.len() as u64;
        let at = random.below(len + 1) as usize;
        match random.below(8) {
            0 | 1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.number() as u8;
                }
            }
            2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            3 => {
                let edge = *random.of(&EDGES).unwrap_or(&0);
                let width = *random.of(&[1, 2, 4, 8]).unwrap_or(&1);
                let (little, big) = (edge.to_le_bytes(), edge.to_be_bytes());
                let from = if random.once_in(2) { &little[..width] } else { &big[8 - width..] };
                bytes.iter_mut().skip(at).zip(from).for_each(|(place, byte)| *place = *byte);
            }
            4 => {
                let end = (at + random.below(32) as usize).min(bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let more: Vec<u8> = (0..random.below(16)).map(|_| random.number() as u8).collect();
                bytes.splice(at..at, more);
            }
            6 => {
                let from = random.below(len + 1) as usize;
                let piece =
                    bytes.get(from..(from + random.below(64) as usize).min(bytes.len())).unwrap_or_default();
                let piece = piece.to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                if let Some(other) = random.of(corpus) {
                    let from = random.below(other.len() as u64 + 1) as usize;
                    bytes.truncate(at);
                    bytes.extend_from_slice(other.get(from..).unwrap_or_default());
                }
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}
