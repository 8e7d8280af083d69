//! What a PS/2 mouse says: packets of three bytes, four with a wheel, as functions of bytes.

/// One movement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Move {
    /// To the right.
    pub(crate) dx: i32,
    /// Down.
    pub(crate) dy: i32,
    /// The wheel, towards the user.
    pub(crate) wheel: i32,
    /// Buttons held: 1 left, 2 middle, 4 right.
    pub(crate) buttons: u8,
}

/// The first byte of a packet has this bit.
const FIRST: u8 = 0x08;
const X_NEGATIVE: u8 = 0x10;
const Y_NEGATIVE: u8 = 0x20;
/// A distance was too long to be told.
const OVERFLOW: u8 = 0xc0;

/// Collects the bytes of a packet.
#[derive(Clone, Debug)]
pub(crate) struct Packets {
    bytes: [u8; 4],
    have: usize,
    size: usize,
}

impl Packets {
    /// Nothing collected; `wheel`: packets have four bytes.
    pub(crate) const fn new(wheel: bool) -> Packets {
        Packets { bytes: [0; 4], have: 0, size: if wheel { 4 } else { 3 } }
    }

    /// The next byte; a movement when the packet is whole. A byte that cannot be the first of one is left out, so a
    /// lost byte costs one packet or two.
    pub(crate) fn byte(&mut self, byte: u8) -> Option<Move> {
        if self.have == 0 && byte & FIRST == 0 {
            return None;
        }
        if let Some(place) = self.bytes.get_mut(self.have) {
            *place = byte;
        }
        self.have += 1;
        if self.have < self.size {
            return None;
        }
        self.have = 0;
        let [first, x, y, z] = self.bytes;
        let distance = |low: u8, sign: u8| {
            let negative = if first & sign != 0 { 256 } else { 0 };
            if first & OVERFLOW != 0 { 0 } else { i32::from(low) - negative }
        };
        Some(Move {
            dx: distance(x, X_NEGATIVE),
            // The mouse counts upwards.
            dy: -distance(y, Y_NEGATIVE),
            wheel: if self.size == 4 { i32::from(z as i8) } else { 0 },
            buttons: first & 1 | first >> 1 & 2 | first << 1 & 4,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn moves(wheel: bool, bytes: &[u8]) -> Vec<Move> {
        let mut p = Packets::new(wheel);
        bytes.iter().filter_map(|b| p.byte(*b)).collect()
    }

    #[test]
    fn distances_buttons_and_the_wheel() {
        let m = |dx, dy, wheel, buttons| Move { dx, dy, wheel, buttons };
        assert_eq!(
            moves(false, &[0x08, 5, 7, 0x18, 0xfb, 0, 0x28, 0, 0xf9]),
            [m(5, -7, 0, 0), m(-5, 0, 0, 0), m(0, 7, 0, 0)]
        );
        assert_eq!(
            moves(false, &[0x09, 0, 0, 0x0a, 0, 0, 0x0c, 0, 0]).iter().map(|m| m.buttons).collect::<Vec<_>>(),
            [1, 4, 2]
        );
        assert_eq!(moves(true, &[0x08, 0, 0, 0xff, 0x08, 0, 0, 1]), [m(0, 0, -1, 0), m(0, 0, 1, 0)]);
        assert_eq!(moves(false, &[0x49, 0xff, 3]), [m(0, 0, 0, 1)], "too far to be told");
    }

    #[test]
    fn a_lost_byte_is_recovered_from() {
        // The first byte of the first packet is missing.
        let got = moves(false, &[1, 2, 0x08, 3, 4, 0x08, 5, 6]);
        assert_eq!(got.len(), 2);
        assert_eq!((got[1].dx, got[1].dy), (5, -6));
    }
}
