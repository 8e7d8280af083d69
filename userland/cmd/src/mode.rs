//! The modes that chmod understands: `755`, `u+x`, `go-w`, `+a`.

use abi::{DMAPPEND, DMEXCL, DMTMP};

/// Bits to give to a mode: those in `mask` become those of `bits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    mask: u32,
    bits: u32,
}

impl Change {
    /// The mode after the change.
    pub fn apply(self, mode: u32) -> u32 {
        mode & !self.mask | self.bits & self.mask
    }
}

/// Reads an octal number or `[ugoa...]` `[+-=]` `[rwxalt...]`.
pub fn parse(text: &str) -> Option<Change> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o777)?;
        return Some(Change { mask: 0o777, bits });
    }
    let at = text.find(['+', '-', '='])?;
    let (who, rest) = text.split_at(at);
    let mut people = 0;
    for c in who.chars() {
        people |= match c {
            'u' => 0o700,
            'g' => 0o070,
            'o' => 0o007,
            'a' => 0o777,
            _ => return None,
        };
    }
    if who.is_empty() {
        people = 0o777;
    }
    let (op, letters) = rest.split_at(1);
    let mut bits = 0;
    for c in letters.chars() {
        bits |= match c {
            'r' => 0o444 & people,
            'w' => 0o222 & people,
            'x' => 0o111 & people,
            'a' => DMAPPEND,
            'l' => DMEXCL,
            't' => DMTMP,
            _ => return None,
        };
    }
    Some(match op {
        "+" => Change { mask: bits, bits },
        "-" => Change { mask: bits, bits: 0 },
        _ => Change { mask: people | bits, bits },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(mode: u32, text: &str) -> Option<u32> {
        parse(text).map(|c| c.apply(mode))
    }

    #[test]
    fn modes() {
        assert_eq!(on(abi::DMDIR | 0o640, "755"), Some(abi::DMDIR | 0o755));
        assert_eq!(on(0o640, "+x"), Some(0o751));
        assert_eq!(on(0o640, "u+x"), Some(0o740));
        assert_eq!(on(0o666, "go-w"), Some(0o644));
        assert_eq!(on(0o666, "g=x"), Some(0o616));
        assert_eq!(on(0o666, "-rw"), Some(0));
        assert_eq!(on(0o600, "+al"), Some(DMAPPEND | DMEXCL | 0o600));
        assert_eq!(on(DMAPPEND | 0o600, "-a"), Some(0o600));
        for bad in ["", "8", "1777", "z+x", "u", "u+q", "x"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
