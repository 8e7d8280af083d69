//! Numbers as commands take them.

use alloc::string::String;

/// Decimal seconds with a fraction, in milliseconds.
pub fn milliseconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let ms = fraction.bytes().chain(*b"000").take(3).fold(0, |n, b| n * 10 + u64::from(b - b'0'));
    seconds.checked_mul(1000)?.checked_add(ms)
}

/// A count with factors: decimal, octal (`0...`) or hexadecimal (`0x...`), then `k`, `b`, `w`, `M`, `G`, and products
/// with `x`, as dd takes them: `4k`, `2bx10`.
pub fn size(text: &str) -> Option<u64> {
    if let Some(hex) = text.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok();
    }
    let mut product: u64 = 1;
    for factor in text.split(['x', '*']) {
        let digits = factor.find(|c: char| !c.is_ascii_digit()).unwrap_or(factor.len());
        let (number, units) = factor.split_at(digits);
        let mut n: u64 = match number.strip_prefix('0') {
            Some(octal) if !octal.is_empty() => u64::from_str_radix(octal, 8).ok()?,
            _ => number.parse().ok()?,
        };
        for unit in units.chars() {
            n = n.checked_mul(match unit {
                'k' => 1 << 10,
                'b' => 512,
                'w' => 2,
                'M' | 'm' => 1 << 20,
                'G' | 'g' => 1 << 30,
                _ => return None,
            })?;
        }
        product = product.checked_mul(n)?;
    }
    Some(product)
}

/// What a letter of du's -p stands for: nothing for one byte, `k` for 1024 of them, and so on.
pub fn prefix(text: &str) -> Option<u64> {
    let mut letters = text.chars();
    let Some(letter) = letters.next() else { return Some(1) };
    let at = "kmgtpe".find(letter.to_ascii_lowercase())?;
    letters.next().is_none().then(|| 1 << (10 * (at + 1)))
}

/// A signed number, decimal, octal or hexadecimal by its prefix.
pub fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hex = digits.strip_prefix("0x").or(digits.strip_prefix("0X"));
    let n = if let Some(hex) = hex.filter(|h| !h.starts_with('+')) {
        i64::from_str_radix(hex, 16).ok()?
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(digits, 8).ok()?
    } else if digits.starts_with(|c: char| c.is_ascii_digit()) {
        digits.parse().ok()?
    } else {
        return None;
    };
    Some(if negative { -n } else { n })
}

/// Bytes with a unit that leaves at most four digits: `512`, `1.5K`, `12.0M`.
pub fn scaled(bytes: u64) -> String {
    let mut unit = 1u64;
    let mut letters = ["", "K", "M", "G", "T", "P"].iter();
    let mut letter = letters.next().copied().unwrap_or("");
    while bytes / unit >= 1024 {
        let Some(next) = letters.next() else { break };
        letter = next;
        unit <<= 10;
    }
    if unit == 1 {
        return alloc::format!("{bytes}");
    }
    // Rounded up, so that nothing takes less than it does.
    let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(unit));
    alloc::format!("{}.{}{letter}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds() {
        assert_eq!(milliseconds("2"), Some(2000));
        assert_eq!(milliseconds("0.25"), Some(250));
        assert_eq!(milliseconds(".0019"), Some(1));
        assert_eq!(milliseconds("1."), Some(1000));
        for bad in ["", ".", "x", "1.x", "-1", "99999999999999999999"] {
            assert_eq!(milliseconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("10"), Some(10));
        assert_eq!(size("128k"), Some(131_072));
        assert_eq!(size("2bx10"), Some(10_240));
        assert_eq!(size("010"), Some(8));
        assert_eq!(size("0x10"), Some(16));
        assert_eq!(size("0"), Some(0));
        for bad in ["", "k", "1q", "1x", "99999999999999999999", "99999999999G"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn scales() {
        assert_eq!(scaled(1023), "1023");
        assert_eq!(scaled(1536), "1.5K");
        assert_eq!(scaled(12 << 20), "12.0M");
        assert_eq!(scaled(u64::MAX), "16384.0P");
    }

    #[test]
    fn prefixes() {
        assert_eq!(
            [prefix(""), prefix("K"), prefix("g"), prefix("e")],
            [Some(1), Some(1024), Some(1 << 30), Some(1 << 60)]
        );
        assert_eq!([prefix("x"), prefix("kk"), prefix("κ")], [None; 3]);
    }

    #[test]
    fn integers() {
        assert_eq!(integer("-12"), Some(-12));
        assert_eq!(integer("+012"), Some(10));
        assert_eq!(integer("0xff"), Some(255));
        for bad in ["", "-", "--1", "0x", "a", "0x+1"] {
            assert_eq!(integer(bad), None, "{bad}");
        }
    }
}
