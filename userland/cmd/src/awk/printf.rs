//! printf: formats with their arguments, and the format that numbers have by themselves.

use alloc::string::String;
use alloc::vec::Vec;

use super::value::{Text, Value, append_integer};
use crate::floats;
use crate::regexp::decode;

/// The widest that one argument is made, and the most digits behind a point.
const WIDEST: usize = 1 << 20;
const MOST_DIGITS: usize = 1500;

/// How numbers that are not whole become strings: CONVFMT, OFMT.
#[derive(Clone, Debug)]
pub(super) enum Format {
    /// One verb for a floating point number.
    Float(floats::Format),
    /// What printf makes of it.
    Any(Text),
}

impl Format {
    /// `%.6g`
    pub(super) fn usual() -> Format {
        Format::Float(floats::Format::general(Some(6)))
    }

    pub(super) fn parse(text: &[u8]) -> Format {
        let float = core::str::from_utf8(text).ok().and_then(|text| floats::Format::parse(text).ok());
        float.map_or_else(|| Format::Any(text.into()), Format::Float)
    }

    pub(super) fn append(&self, n: f64, out: &mut Vec<u8>) {
        match self {
            Format::Float(format) => out.extend_from_slice(format.apply(n).as_bytes()),
            Format::Any(text) => {
                if print(text, &[Value::Number(n)], &Format::usual(), out).is_err() {
                    out.extend_from_slice(text);
                }
            }
        }
    }
}

/// What stands between a `%` and its letter.
#[derive(Default)]
struct Flags {
    left: bool,
    plus: bool,
    space: bool,
    zeros: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

/// Appends what the format makes of the arguments.
///
/// # Errors
/// When there are too few of them.
pub(super) fn print(
    format: &[u8],
    arguments: &[Value],
    numbers: &Format,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let mut arguments = arguments.iter();
    let mut next = || arguments.next().ok_or_else(|| few(format));
    let mut rest = format;
    while let Some(at) = rest.iter().position(|&b| b == b'%') {
        let (text, verb) = rest.split_at(at);
        out.extend_from_slice(text);
        let begun = verb;
        let mut verb = verb.get(1..).unwrap_or(&[]);
        if let [b'%', tail @ ..] = verb {
            out.push(b'%');
            rest = tail;
            continue;
        }
        let mut flags = Flags::default();
        while let [flag @ (b'-' | b'+' | b' ' | b'0' | b'#'), tail @ ..] = verb {
            match flag {
                b'-' => flags.left = true,
                b'+' => flags.plus = true,
                b' ' => flags.space = true,
                b'0' => flags.zeros = true,
                _ => flags.alternate = true,
            }
            verb = tail;
        }
        if let [b'*', tail @ ..] = verb {
            let width = next()?.number();
            flags.left |= width < 0.0;
            flags.width = width.abs() as usize;
            verb = tail;
        } else {
            flags.width = digits(&mut verb);
        }
        if let [b'.', tail @ ..] = verb {
            verb = tail;
            if let [b'*', tail @ ..] = verb {
                let precision = next()?.number();
                flags.precision = (precision >= 0.0).then_some(precision as usize);
                verb = tail;
            } else {
                flags.precision = Some(digits(&mut verb));
            }
        }
        while let [b'h' | b'l' | b'q' | b'L' | b'j' | b'z' | b't', tail @ ..] = verb {
            verb = tail;
        }
        if flags.width > WIDEST {
            return Err("printf field is too wide".into());
        }
        let Some((&letter, tail)) = verb.split_first() else {
            out.extend_from_slice(begun);
            return Ok(());
        };
        match letter {
            b'd' | b'i' => integer(&flags, next()?.number(), out),
            b'o' | b'x' | b'X' | b'u' => unsigned(&flags, letter, next()?.number(), out),
            b'e' | b'E' | b'f' | b'F' | b'g' | b'G' | b'a' | b'A' => {
                float(&flags, letter, next()?.number(), out)
            }
            b'c' => character(&flags, next()?, out),
            b's' => {
                let text = next()?.text(numbers);
                let end = flags.precision.map_or(text.len(), |most| end_of(&text, most));
                string(&flags, text.get(..end).unwrap_or(&text), out);
            }
            b'%' => out.push(b'%'),
            // A letter that means nothing is printed with what is before it.
            _ => out.extend_from_slice(begun.get(..begun.len() - tail.len()).unwrap_or(begun)),
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
    Ok(())
}

fn few(format: &[u8]) -> String {
    alloc::format!("not enough arguments in printf({})", String::from_utf8_lossy(format))
}

fn digits(text: &mut &[u8]) -> usize {
    let mut n: usize = 0;
    while let [digit @ b'0'..=b'9', tail @ ..] = *text {
        n = n.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
        *text = tail;
    }
    n
}

/// Where the first so many characters end.
fn end_of(text: &[u8], most: usize) -> usize {
    let mut at = 0;
    for _ in 0..most {
        match decode(text, at) {
            Some((_, len)) => at += len,
            None => break,
        }
    }
    at
}

/// Characters of a text.
pub(super) fn characters(text: &[u8]) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    let (mut at, mut count) = (0, 0);
    while let Some((_, len)) = decode(text, at) {
        at += len;
        count += 1;
    }
    count
}

fn string(flags: &Flags, text: &[u8], out: &mut Vec<u8>) {
    let room = flags.width.saturating_sub(if flags.width == 0 { 0 } else { characters(text) });
    let fill = |out: &mut Vec<u8>| out.resize(out.len() + room, b' ');
    if !flags.left {
        fill(out);
    }
    out.extend_from_slice(text);
    if flags.left {
        fill(out);
    }
}

fn character(flags: &Flags, value: &Value, out: &mut Vec<u8>) {
    let number = match value {
        Value::Number(n) => Some(*n),
        Value::Nothing => Some(0.0),
        Value::Input(text) => super::value::numeric(text),
        Value::String(_) => None,
    };
    match number {
        Some(n) => string(flags, &utf(n), out),
        None => {
            let text = value.text(&Format::usual());
            string(flags, text.get(..end_of(&text, 1)).unwrap_or(&[]), out);
        }
    }
}

/// The character of this number.
pub(super) fn utf(n: f64) -> Vec<u8> {
    let c = char::from_u32(n as u32).unwrap_or(char::REPLACEMENT_CHARACTER);
    c.encode_utf8(&mut [0; 4]).as_bytes().into()
}

/// A number of a sign or a prefix, and digits.
fn number(flags: &Flags, before: &str, digits: &[u8], zeros: bool, out: &mut Vec<u8>) {
    let room = flags.width.saturating_sub(before.len() + digits.len());
    if !flags.left && !zeros {
        out.resize(out.len() + room, b' ');
    }
    out.extend_from_slice(before.as_bytes());
    if !flags.left && zeros {
        out.resize(out.len() + room, b'0');
    }
    out.extend_from_slice(digits);
    if flags.left {
        out.resize(out.len() + room, b' ');
    }
}

fn sign(flags: &Flags, negative: bool) -> &'static str {
    match () {
        () if negative => "-",
        () if flags.plus => "+",
        () if flags.space => " ",
        () => "",
    }
}

/// Digits, with zeros in front up to the precision.
fn padded(flags: &Flags, digits: Vec<u8>) -> Vec<u8> {
    let least = flags.precision.unwrap_or(1).min(WIDEST);
    let digits = if digits == b"0" { Vec::new() } else { digits };
    let mut all = alloc::vec![b'0'; least.saturating_sub(digits.len())];
    all.extend(digits);
    all
}

fn integer(flags: &Flags, value: f64, out: &mut Vec<u8>) {
    const WHOLE: f64 = 9_223_372_036_854_775_808.0;
    if value.is_nan() || value.is_infinite() {
        return float(flags, b'g', value, out);
    }
    let mut digits = Vec::new();
    if value.abs() < WHOLE {
        append_integer((value as i64).abs(), &mut digits);
    } else {
        digits.extend_from_slice(floats::magnitude('f', value, 0, false).as_bytes());
    }
    let negative = value <= -1.0;
    number(
        flags,
        sign(flags, negative),
        &padded(flags, digits),
        flags.zeros && flags.precision.is_none(),
        out,
    );
}

fn unsigned(flags: &Flags, letter: u8, value: f64, out: &mut Vec<u8>) {
    let n = if value < 0.0 { (value as i64) as u64 } else { value as u64 };
    let digits = match letter {
        b'o' => alloc::format!("{n:o}"),
        b'x' => alloc::format!("{n:x}"),
        b'X' => alloc::format!("{n:X}"),
        _ => alloc::format!("{n}"),
    };
    let mut digits = padded(flags, digits.into_bytes());
    let mut before = "";
    if flags.alternate {
        match letter {
            b'o' if digits.first() != Some(&b'0') => digits.insert(0, b'0'),
            b'x' if n != 0 => before = "0x",
            b'X' if n != 0 => before = "0X",
            _ => {}
        }
    }
    number(flags, before, &digits, flags.zeros && flags.precision.is_none(), out);
}

fn float(flags: &Flags, letter: u8, value: f64, out: &mut Vec<u8>) {
    let precision = flags.precision.unwrap_or(6).min(MOST_DIGITS);
    let letter = match letter {
        b'a' => 'g',
        b'A' => 'G',
        letter => char::from(letter),
    };
    let mut digits = floats::magnitude(letter, value, precision, flags.alternate);
    if flags.alternate && precision == 0 && letter.eq_ignore_ascii_case(&'f') && value.is_finite() {
        digits.push('.');
    }
    let negative = value.is_sign_negative() && !value.is_nan();
    number(flags, sign(flags, negative), digits.as_bytes(), flags.zeros && value.is_finite(), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(format: &str, arguments: &[Value]) -> String {
        let mut out = Vec::new();
        print(format.as_bytes(), arguments, &Format::usual(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers() {
        for (format, value, want) in [
            ("%d", 42.9, "42"),
            ("%d", -42.9, "-42"),
            ("%d", -0.5, "0"),
            ("%5d|", 42.0, "   42|"),
            ("%-5d|", 42.0, "42   |"),
            ("%05d", -42.0, "-0042"),
            ("%+d", 42.0, "+42"),
            ("% d", 42.0, " 42"),
            ("%.4d", 42.0, "0042"),
            ("%6.4d", -42.0, " -0042"),
            ("%06.4d", 42.0, "  0042"),
            ("%.0d|", 0.0, "|"),
            ("%i", 3.0, "3"),
            ("%ld", 3.0, "3"),
            ("%d", 1e20, "100000000000000000000"),
            ("%d", f64::INFINITY, "Inf"),
            ("%x", 255.0, "ff"),
            ("%#X", 255.0, "0XFF"),
            ("%o", 8.0, "10"),
            ("%#o", 8.0, "010"),
            ("%u", 7.0, "7"),
            ("%x", -1.0, "ffffffffffffffff"),
            ("%f", 1.0 / 3.0, "0.333333"),
            ("%.2f", 2.675, "2.67"),
            ("%8.3f|", -1.5, "  -1.500|"),
            ("%-8.1f|", 1.5, "1.5     |"),
            ("%08.1f", -1.5, "-00001.5"),
            ("%.0f", 0.5, "0"),
            ("%#.0f", 1.0, "1."),
            ("%e", 12345.0, "1.234500e+04"),
            ("%G", 1e-10, "1E-10"),
            ("%g", 100000.0, "100000"),
            ("%g", 1e6, "1e+06"),
            ("%c", 65.0, "A"),
            ("%c", 960.0, "π"),
            ("%5c|", 65.0, "    A|"),
            ("%s", 0.1, "0.1"),
            ("%s", 1e6, "1000000"),
            ("%z", 1.0, "%z"),
            ("100%", 1.0, "100%"),
        ] {
            assert_eq!(printed(format, &[Value::Number(value)]), want, "{format} of {value}");
        }
    }

    #[test]
    fn strings() {
        let s = |text: &str| Value::string(text.as_bytes());
        assert_eq!(printed("%s %d", &[s("a"), s("12x")]), "a 12");
        assert_eq!(
            printed("%5s|%-5s|%.2s|%5.1s|", &[s("ab"), s("ab"), s("abc"), s("xyz")]),
            "   ab|ab   |ab|    x|"
        );
        assert_eq!(printed("%3s|%-3s|%.1s", &[s("π"), s("π"), s("πρ")]), "  π|π  |π");
        assert_eq!(printed("%c%c", &[s("hello"), s("π!")]), "hπ");
        assert_eq!(
            printed(
                "%*d|%-*d|%.*f",
                &[
                    Value::Number(4.0),
                    Value::Number(7.0),
                    Value::Number(3.0),
                    Value::Number(7.0),
                    Value::Number(1.0),
                    Value::Number(0.25)
                ]
            ),
            "   7|7  |0.2"
        );
        assert_eq!(printed("%*s|", &[Value::Number(-3.0), s("a")]), "a  |");
        assert_eq!(printed("%c", &[Value::Input(b"65"[..].into())]), "A");
        assert!(print(b"%s %s", &[s("a")], &Format::usual(), &mut Vec::new()).is_err());
        assert!(print(b"%99999999999d", &[s("a")], &Format::usual(), &mut Vec::new()).is_err());
    }
}
