//! The checksums of sum: Plan 9's of 32 bits, and the two of System V.

use alloc::format;
use alloc::string::String;

/// Which checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A cyclic one, of the length, too.
    Cyclic,
    /// `sum -r`: bits that go round.
    Rotating,
    /// `sum -5`: the bytes added up.
    Added,
}

/// A sum in progress.
#[derive(Clone, Debug)]
pub struct Sum {
    kind: Kind,
    cyclic: crc32fast::Hasher,
    sum: u32,
    length: u64,
}

impl Sum {
    /// The sum of nothing yet.
    pub fn new(kind: Kind) -> Sum {
        // The register begins with zeros, which the library calls by its complement.
        Sum { kind, cyclic: crc32fast::Hasher::new_with_initial(!0), sum: 0, length: 0 }
    }

    /// More bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        match self.kind {
            Kind::Cyclic => self.cyclic.update(bytes),
            Kind::Rotating => {
                for &byte in bytes {
                    let turned = (self.sum >> 1) | ((self.sum & 1) << 15);
                    self.sum = (turned + u32::from(byte)) & 0xffff;
                }
            }
            Kind::Added => {
                self.sum = bytes.iter().fold(self.sum, |sum, &byte| sum.wrapping_add(u32::from(byte)))
            }
        }
    }

    /// The sum and the length, as they are printed: in bytes, or in blocks of a kilobyte or half of one.
    pub fn text(mut self) -> String {
        let length = self.length;
        match self.kind {
            Kind::Cyclic => {
                let [.., a, b, c, d] = length.to_be_bytes();
                self.cyclic.update(&[a ^ 0xcc, b ^ 0x55, c ^ 0xcc, d ^ 0x55]);
                format!("{:08x} {length:6}", !self.cyclic.finalize())
            }
            Kind::Rotating => format!("{:05}{:6}", self.sum, length.div_ceil(1024)),
            Kind::Added => format!("{:05}{:6}", ((self.sum >> 16) + self.sum) & 0xffff, length.div_ceil(512)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(kind: Kind, text: &[u8]) -> String {
        let mut sum = Sum::new(kind);
        text.chunks(5).for_each(|piece| sum.take(piece));
        sum.text()
    }

    /// The register bit by bit.
    fn slowly(text: &[u8]) -> u32 {
        text.iter().fold(0, |crc, &byte| {
            (0..8)
                .fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
        })
    }

    #[test]
    fn sums() {
        let mut with_length = b"hello, world\n".to_vec();
        with_length.extend([0xcc, 0x55, 0xcc, 13 ^ 0x55]);
        assert_eq!(sum(Kind::Cyclic, b"hello, world\n"), format!("{:08x}     13", slowly(&with_length)));
        assert_eq!(sum(Kind::Cyclic, b""), format!("{:08x}      0", slowly(&[0xcc, 0x55, 0xcc, 0x55])));
        // As coreutils' sum and sum -s have them.
        assert_eq!(sum(Kind::Rotating, b"hello, world\n"), "37777     1");
        assert_eq!(sum(Kind::Added, b"hello, world\n"), "01170     1");
        assert_eq!(sum(Kind::Rotating, &[0xff; 3000]), "65161     3");
        assert_eq!(sum(Kind::Added, &[0xff; 3000]), "44115     6");
    }
}
