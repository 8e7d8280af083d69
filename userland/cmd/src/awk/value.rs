//! Values: numbers, strings, and strings from outside, which count as numbers in comparisons if they look like one.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::printf::Format;

/// A string; bytes that are meant to be UTF-8.
pub(super) type Text = Rc<[u8]>;

/// What a variable, a field or an element has.
#[derive(Clone, Debug, Default)]
pub(super) enum Value {
    /// Nothing yet: both 0 and the empty string.
    #[default]
    Nothing,
    Number(f64),
    String(Text),
    /// From a field, a line, the command line or the environment.
    Input(Text),
}

impl Value {
    pub(super) fn string(bytes: &[u8]) -> Value {
        Value::String(bytes.into())
    }

    /// As a number.
    pub(super) fn number(&self) -> f64 {
        match self {
            Value::Nothing => 0.0,
            Value::Number(n) => *n,
            Value::String(text) | Value::Input(text) => number(text),
        }
    }

    /// As a condition.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Nothing => false,
            Value::Number(n) => *n != 0.0,
            Value::String(text) => !text.is_empty(),
            Value::Input(text) => match numeric(text) {
                Some(n) => n != 0.0,
                None => !text.is_empty(),
            },
        }
    }

    /// Appends the value as a string; numbers that are not whole are written as `format` says.
    pub(super) fn append(&self, format: &Format, out: &mut Vec<u8>) {
        match self {
            Value::Nothing => {}
            Value::Number(n) => append_number(*n, format, out),
            Value::String(text) | Value::Input(text) => out.extend_from_slice(text),
        }
    }

    /// The value as a string.
    pub(super) fn text(&self, format: &Format) -> Text {
        match self {
            Value::String(text) | Value::Input(text) => text.clone(),
            other => {
                let mut out = Vec::new();
                other.append(format, &mut out);
                out.into()
            }
        }
    }

    /// The number, if this counts as one when it is compared.
    fn compared(&self) -> Option<f64> {
        match self {
            Value::Nothing => Some(0.0),
            Value::Number(n) => Some(*n),
            Value::String(_) => None,
            Value::Input(text) => numeric(text),
        }
    }
}

/// Compares as numbers where both are, else as strings; `None` for what is no number at all.
pub(super) fn compare(a: &Value, b: &Value, format: &Format) -> Option<Ordering> {
    if let (Some(a), Some(b)) = (a.compared(), b.compared()) {
        return a.partial_cmp(&b);
    }
    match (a, b) {
        (Value::String(a) | Value::Input(a), Value::String(b) | Value::Input(b)) => Some(a.cmp(b)),
        _ => Some(a.text(format).cmp(&b.text(format))),
    }
}

/// Appends a number: whole ones with all their digits.
pub(super) fn append_number(n: f64, format: &Format, out: &mut Vec<u8>) {
    // Of what is larger the digits mean nothing.
    const WHOLE: f64 = 9_223_372_036_854_775_808.0;
    if (-WHOLE..WHOLE).contains(&n) && (n as i64) as f64 == n {
        append_integer(n as i64, out);
    } else {
        format.append(n, out);
    }
}

/// Appends an integer's digits.
pub(super) fn append_integer(n: i64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = n.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if n < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// The number that a string begins with; 0 when it begins with none.
pub(super) fn number(text: &[u8]) -> f64 {
    prefix(text).map_or(0.0, |(n, _)| n)
}

/// The number that a string is, with blanks around it.
pub(super) fn numeric(text: &[u8]) -> Option<f64> {
    // Most that is none shows at once.
    match text.trim_ascii_start().first()? {
        b'0'..=b'9' | b'-' | b'+' | b'.' => {}
        _ => return None,
    }
    let (n, len) = prefix(text)?;
    text.get(len..)?.trim_ascii().is_empty().then_some(n)
}

/// Powers of ten that a floating point number has exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// The number at the beginning, behind blanks, and where it ends.
fn prefix(text: &[u8]) -> Option<(f64, usize)> {
    let begin = text.len() - text.trim_ascii_start().len();
    let mut at = begin;
    let negative = text.get(at)? == &b'-';
    if let Some(b'-' | b'+') = text.get(at) {
        at += 1;
    }
    let (mut mantissa, mut digits, mut behind) = (0u64, 0, 0);
    let mut point = false;
    let first = at;
    let mut any = false;
    while let Some(&b) = text.get(at) {
        match b {
            b'0'..=b'9' => {
                any = true;
                if mantissa > 0 || b > b'0' {
                    digits += 1;
                }
                if digits < 19 {
                    mantissa = mantissa * 10 + u64::from(b - b'0');
                }
                behind += i32::from(point);
            }
            b'.' if !point => point = true,
            _ => break,
        }
        at += 1;
    }
    if !any {
        return None;
    }
    let mut exponent = 0i32;
    if let Some(b'e' | b'E') = text.get(at) {
        let signed = matches!(text.get(at + 1), Some(b'+' | b'-'));
        let from = at + 1 + usize::from(signed);
        let mut to = from;
        while let Some(b) = text.get(to).filter(|b| b.is_ascii_digit()) {
            exponent = exponent.saturating_mul(10).saturating_add(i32::from(b - b'0')).min(1_000_000);
            to += 1;
        }
        if to > from {
            at = to;
            if text.get(from - 1) == Some(&b'-') {
                exponent = -exponent;
            }
        }
    }
    let scale = exponent.saturating_sub(behind);
    let power = POWERS.get(scale.unsigned_abs() as usize);
    let n = match power {
        // Both are exact, so that one operation rounds right.
        Some(power) if mantissa < 1 << 53 && digits < 19 => {
            if scale < 0 {
                mantissa as f64 / power
            } else {
                mantissa as f64 * power
            }
        }
        _ => core::str::from_utf8(text.get(first..at)?).ok()?.parse().ok()?,
    };
    Some((if negative { -n } else { n }, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn numbers_of_strings() {
        for (text, want) in [
            ("", 0.0),
            ("x", 0.0),
            ("12", 12.0),
            ("  -12.5abc", -12.5),
            ("+.5", 0.5),
            ("5.", 5.0),
            (".", 0.0),
            ("1e3", 1000.0),
            ("1e", 1.0),
            ("1e+", 1.0),
            ("1E-2x", 0.01),
            ("0x10", 0.0),
            ("123456789012345678901234567890", 123456789012345678901234567890.0),
            ("0.1", 0.1),
            ("179769313486231570000000000000000000000e270", f64::MAX),
            ("1e400", f64::INFINITY),
            ("1e-400", 0.0),
            ("9007199254740993", 9007199254740992.0),
            ("4.9e-324", 5e-324),
            ("00000000000000000000000012", 12.0),
            ("0.00000000000000000000000012", 0.000_000_000_000_000_000_000_000_12),
            ("nan", 0.0),
            ("inf", 0.0),
        ] {
            assert_eq!(number(text.as_bytes()), want, "{text}");
        }
        for (text, want) in [
            (" 10 ", Some(10.0)),
            ("1x", None),
            ("", None),
            (" ", None),
            ("+1e3\n", Some(1000.0)),
            ("-", None),
            (".", None),
        ] {
            assert_eq!(numeric(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn strings_of_numbers() {
        for (n, want) in [
            (0.0, "0"),
            (-0.0, "0"),
            (-17.0, "-17"),
            (0.1, "0.1"),
            (1e6, "1000000"),
            (123456789.0, "123456789"),
            (1e18, "1000000000000000000"),
            (1e19, "1e+19"),
            (3.0 / 7.0, "0.428571"),
            (-9_223_372_036_854_775_808.0, "-9223372036854775808"),
            (f64::INFINITY, "Inf"),
        ] {
            let mut out = Vec::new();
            append_number(n, &Format::usual(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }
}
