//! The table of the keys: an American keyboard of 102 keys and the one more of Europe's.

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// It types.
    Types(Character),
    /// The shift keys.
    LeftShift,
    /// The other one.
    RightShift,
    /// The control keys.
    LeftCtl,
    /// The other one.
    RightCtl,
    /// Caps lock.
    Caps,
    /// Num lock.
    Num,
    /// Alt, either of them.
    Compose,
    /// Nothing known.
    Nothing,
}

/// What a key types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Character {
    /// Always this.
    Always(char),
    /// One character without shift, and another one with it.
    Two(char, char),
    /// On the keypad: a digit with num lock, the other without.
    Pad(char, char),
}

/// The keys that change what others type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mods {
    /// A shift key is held.
    pub shift: bool,
    /// A control key is held.
    pub ctl: bool,
    /// Caps lock is on.
    pub caps: bool,
    /// Num lock is on.
    pub num: bool,
}

/// Plan 9's rune of the key Home; of other keys below.
pub const HOME: char = '\u{f00d}';
/// Up.
pub const UP: char = '\u{f00e}';
/// Page up.
pub const PGUP: char = '\u{f00f}';
/// Print screen.
pub const PRINT: char = '\u{f010}';
/// Left.
pub const LEFT: char = '\u{f011}';
/// Right.
pub const RIGHT: char = '\u{f012}';
/// Page down.
pub const PGDOWN: char = '\u{f013}';
/// Insert.
pub const INS: char = '\u{f014}';
/// End.
pub const END: char = '\u{f018}';
/// Down.
pub const DOWN: char = '\u{f800}';
/// Delete, which interrupts.
pub const DEL: char = '\x7f';

/// The keys by scan code, in rows of neighbours: first code, plain, shifted.
const ROWS: [(u8, &str, &str); 6] = [
    (0x02, "1234567890-=", "!@#$%^&*()_+"),
    (0x10, "qwertyuiop[]", "QWERTYUIOP{}"),
    (0x1e, "asdfghjkl;'`", "ASDFGHJKL:\"~"),
    (0x2b, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (0x39, " ", " "),
    (0x56, "\\", "|"),
];

/// The keypad from code 0x47: with num lock, and without.
const PAD: &str = "789-456+1230.";
const PAD_KEYS: [char; 13] = [HOME, UP, PGUP, '-', LEFT, '5', RIGHT, '+', END, DOWN, PGDOWN, INS, DEL];

/// The key with this scan code; `extended` when 0xE0 came before.
pub fn key(code: u8, extended: bool) -> Key {
    let always = |c| Key::Types(Character::Always(c));
    match (code, extended) {
        (0x1d, false) => Key::LeftCtl,
        (0x1d, true) => Key::RightCtl,
        (0x2a, false) => Key::LeftShift,
        (0x36, false) => Key::RightShift,
        (0x38, _) => Key::Compose,
        (0x3a, false) => Key::Caps,
        (0x45, false) => Key::Num,
        (0x01, false) => always('\x1b'),
        (0x0e, false) => always('\x08'),
        (0x0f, false) => always('\t'),
        (0x1c, _) => always('\n'),
        (0x35, true) => always('/'),
        (0x37, false) => always('*'),
        (0x37, true) => always(PRINT),
        (0x3b..=0x44, false) => rune(0xf001 + u32::from(code - 0x3b)),
        (0x57..=0x58, false) => rune(0xf00b + u32::from(code - 0x57)),
        (0x47..=0x53, false) => {
            let n = usize::from(code - 0x47);
            match (PAD.chars().nth(n), PAD_KEYS.get(n)) {
                (Some(digit), Some(key)) => Key::Types(Character::Pad(digit, *key)),
                _ => Key::Nothing,
            }
        }
        // The keys beside the keypad; + and - are only on it.
        (0x47..=0x53, true) if !matches!(code, 0x4a | 0x4c | 0x4e) => {
            PAD_KEYS.get(usize::from(code - 0x47)).map_or(Key::Nothing, |c| always(*c))
        }
        (_, false) => typewriter(code),
        _ => Key::Nothing,
    }
}

fn rune(value: u32) -> Key {
    char::from_u32(value).map_or(Key::Nothing, |c| Key::Types(Character::Always(c)))
}

fn typewriter(code: u8) -> Key {
    for (first, plain, shifted) in ROWS {
        let Some(n) = code.checked_sub(first).map(usize::from) else { continue };
        if let (Some(plain), Some(shifted)) = (plain.chars().nth(n), shifted.chars().nth(n)) {
            return Key::Types(Character::Two(plain, shifted));
        }
    }
    Key::Nothing
}

impl Character {
    /// What is typed while `mods` are held or on.
    pub fn with(self, mods: Mods) -> char {
        let c = match self {
            Character::Always(c) => c,
            Character::Pad(digit, key) => {
                if mods.num != mods.shift {
                    digit
                } else {
                    key
                }
            }
            Character::Two(plain, shifted) => {
                if mods.shift != (mods.caps && plain.is_ascii_lowercase()) {
                    shifted
                } else {
                    plain
                }
            }
        };
        match c {
            '@'..='_' | 'a'..='z' if mods.ctl => char::from(c as u8 & 0x1f),
            _ => c,
        }
    }
}
