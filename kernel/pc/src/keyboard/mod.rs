//! From scan codes to characters: what the keys of a PC type.
//!
//! Pure state: scan codes of set 1 go in, characters come out. [`layout`] is the table of the keys, [`compose`] what is
//! typed with Alt. Keys without a character of their own are Plan 9's runes in the private use area, from U+F000;
//! Delete is DEL and control-C is ^C, which interrupt; Backspace is ^H. Repeated keys come from the device.

pub mod compose;
pub mod layout;

use self::compose::Compose;
use self::layout::{Key, Mods};

/// A code announcing one of the keys that the first PC did not have.
const EXTENDED: u8 = 0xe0;
/// A code announcing the two others of the key Pause.
const PAUSE: u8 = 0xe1;
/// The bit that says that a key is let go.
const RELEASED: u8 = 0x80;

/// Which keys are held, and what has begun.
pub struct Keyboard {
    left_shift: bool,
    right_shift: bool,
    left_ctl: bool,
    right_ctl: bool,
    caps: bool,
    num: bool,
    /// A locking key that is held does not lock again when it repeats.
    caps_held: bool,
    num_held: bool,
    extended: bool,
    /// Codes still to come that mean nothing.
    skip: u8,
    compose: Compose,
}

impl Default for Keyboard {
    fn default() -> Keyboard {
        Keyboard::new()
    }
}

impl Keyboard {
    /// No key is held; the keypad types digits.
    pub const fn new() -> Keyboard {
        Keyboard {
            left_shift: false,
            right_shift: false,
            left_ctl: false,
            right_ctl: false,
            caps: false,
            num: true,
            caps_held: false,
            num_held: false,
            extended: false,
            skip: 0,
            compose: Compose::new(),
        }
    }

    /// The next code; each character that it types is given to `typed`.
    pub fn code(&mut self, code: u8, typed: &mut dyn FnMut(char)) {
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        match code {
            EXTENDED => self.extended = true,
            PAUSE => self.skip = 2,
            _ => {
                let extended = core::mem::take(&mut self.extended);
                self.key(layout::key(code & !RELEASED, extended), code & RELEASED == 0, typed);
            }
        }
    }

    fn key(&mut self, key: Key, down: bool, typed: &mut dyn FnMut(char)) {
        match key {
            Key::Nothing => {}
            Key::LeftShift => self.left_shift = down,
            Key::RightShift => self.right_shift = down,
            Key::LeftCtl => self.left_ctl = down,
            Key::RightCtl => self.right_ctl = down,
            Key::Caps => {
                self.caps ^= down && !self.caps_held;
                self.caps_held = down;
            }
            Key::Num => {
                self.num ^= down && !self.num_held;
                self.num_held = down;
            }
            Key::Compose => {
                if down {
                    self.compose.begin();
                }
            }
            Key::Types(character) => {
                if down {
                    let mods = Mods {
                        shift: self.left_shift || self.right_shift,
                        ctl: self.left_ctl || self.right_ctl,
                        caps: self.caps,
                        num: self.num,
                    };
                    self.compose.key(character.with(mods), typed);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    /// What the codes type on a keyboard that was just plugged in.
    fn typed(codes: &[u8]) -> String {
        let mut k = Keyboard::new();
        let mut out = String::new();
        codes.iter().for_each(|c| k.code(*c, &mut |t| out.push(t)));
        out
    }

    #[test]
    fn letters_shift_and_locks() {
        assert_eq!(typed(&[0x1e, 0x9e, 0x2a, 0x1e, 0x9e, 0xaa, 0x1e]), "aAa");
        assert_eq!(typed(&[0x36, 0x02, 0x28, 0xb6, 0x02, 0x28]), "!\"1'");
        // Caps lock turns letters over, not digits; shift turns them back.
        assert_eq!(typed(&[0x3a, 0xba, 0x10, 0x02, 0x2a, 0x10, 0xaa, 0x3a, 0xba, 0x10]), "Q1qq");
        assert_eq!(typed(&[0x3a, 0x3a, 0x3a, 0xba, 0x10]), "Q", "a repeating caps lock locks once");
        assert_eq!(typed(&[0x39, 0x1c, 0x0f, 0x0e, 0x01]), " \n\t\x08\x1b");
        // One shift let go while the other is held.
        assert_eq!(typed(&[0x2a, 0x36, 0xaa, 0x1e]), "A");
    }

    #[test]
    fn control_and_delete() {
        assert_eq!(typed(&[0x1d, 0x2e, 0xae, 0x9d, 0x2e]), "\x03c");
        assert_eq!(typed(&[0xe0, 0x1d, 0x20, 0xe0, 0x9d, 0x20]), "\x04d");
        assert_eq!(typed(&[0xe0, 0x53, 0xe0, 0xd3]), "\x7f");
        assert_eq!(typed(&[0x1d, 0x1a, 0x2b]), "\x1b\x1c");
        assert_eq!(typed(&[0x1d, 0x02]), "1", "no control character");
    }

    #[test]
    fn the_keypad_and_the_keys_beside_it() {
        assert_eq!(typed(&[0x47, 0x4b, 0x53, 0x4a, 0x37, 0xe0, 0x35, 0xe0, 0x1c]), "74.-*/\n");
        assert_eq!(typed(&[0x45, 0xc5, 0x47, 0x48, 0x53, 0x4e]), "\u{f00d}\u{f00e}\x7f+");
        let arrows = [0xe0, 0x48, 0xe0, 0x50, 0xe0, 0x4b, 0xe0, 0x4d];
        assert_eq!(typed(&arrows), "\u{f00e}\u{f800}\u{f011}\u{f012}");
        let others = [0xe0, 0x47, 0xe0, 0x4f, 0xe0, 0x49, 0xe0, 0x51, 0xe0, 0x52, 0xe0, 0x37];
        assert_eq!(typed(&others), "\u{f00d}\u{f018}\u{f00f}\u{f013}\u{f014}\u{f010}");
        assert_eq!(typed(&[0x3b, 0x44, 0x57, 0x58]), "\u{f001}\u{f00a}\u{f00b}\u{f00c}");
        // With num lock off some keyboards wrap arrows in shifts that are none; Pause is six codes.
        assert_eq!(typed(&[0xe0, 0xaa, 0xe0, 0x48, 0xe0, 0xc8, 0xe0, 0x2a, 0x1e]), "\u{f00e}a");
        assert_eq!(typed(&[0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5, 0x1e]), "a");
    }

    #[test]
    fn alt_composes() {
        assert_eq!(typed(&[0x38, 0xb8, 0x28, 0x12]), "é");
        assert_eq!(typed(&[0xe0, 0x38, 0x2e, 0x18, 0xe0, 0xb8, 0x18]), "©o");
        // alt X 2 6 3 a
        assert_eq!(typed(&[0x38, 0x2a, 0x2d, 0xaa, 0x03, 0x07, 0x04, 0x1e, 0x1e]), "☺a");
    }

    #[test]
    fn any_codes_at_all() {
        let mut k = Keyboard::new();
        let mut n = 0u64;
        let mut x = 1u32;
        for _ in 0..100_000 {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            k.code((x >> 24) as u8, &mut |_| n += 1);
        }
        assert!(n > 10_000);
    }
}
