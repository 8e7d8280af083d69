//! Floating point numbers as print(2) writes them: `%g`, `%f`, `%e` with flags, width and precision.

use alloc::format;
use alloc::string::String;

/// Digits that are printed at most behind the point, since no number has more that mean something, and columns of one.
const MOST: usize = 400;

/// How a number is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    before: String,
    left: bool,
    plus: bool,
    space: bool,
    zeros: bool,
    keep: bool,
    width: usize,
    precision: Option<usize>,
    verb: char,
    after: String,
}

impl Format {
    /// A format that has one verb among other text; `%%` is a percent sign.
    ///
    /// # Errors
    /// When there is none, a second one, or one that is not for floating point numbers.
    pub fn parse(text: &str) -> Result<Format, &'static str> {
        const BAD: &str = "bad format";
        let mut format: Option<Format> = None;
        let mut literal = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if c != '%' || chars.next_if_eq(&'%').is_some() {
                literal.push(c);
                continue;
            }
            if format.is_some() {
                return Err(BAD);
            }
            let mut f = Format::general(None);
            while let Some(flag) = chars.next_if(|c| "-+ 0#".contains(*c)) {
                match flag {
                    '-' => f.left = true,
                    '+' => f.plus = true,
                    ' ' => f.space = true,
                    '0' => f.zeros = true,
                    _ => f.keep = true,
                }
            }
            f.width = number(&mut chars);
            if chars.next_if_eq(&'.').is_some() {
                f.precision = Some(number(&mut chars));
            }
            if f.width.max(f.precision.unwrap_or(0)) > MOST {
                return Err("too wide a format");
            }
            f.verb = chars.next().filter(|c| "eEfFgG".contains(*c)).ok_or(BAD)?;
            f.before = core::mem::take(&mut literal);
            format = Some(f);
        }
        let mut format = format.ok_or(BAD)?;
        format.after = literal;
        Ok(format)
    }

    /// `%g` with as many significant digits, 6 when nothing is said.
    pub fn general(precision: Option<usize>) -> Format {
        Format {
            before: String::new(),
            left: false,
            plus: false,
            space: false,
            zeros: false,
            keep: false,
            width: 0,
            precision,
            verb: 'g',
            after: String::new(),
        }
    }

    /// `%0W.Pf`.
    pub fn fixed(width: usize, precision: usize) -> Format {
        Format { zeros: true, width, verb: 'f', ..Format::general(Some(precision)) }
    }

    /// The number so printed.
    pub fn apply(&self, value: f64) -> String {
        let digits = magnitude(self.verb, value, self.precision.unwrap_or(6), self.keep);
        let sign = match () {
            () if value.is_sign_negative() && !value.is_nan() => "-",
            () if self.plus => "+",
            () if self.space => " ",
            () => "",
        };
        let room = self.width.saturating_sub(sign.len() + digits.len());
        let number = if self.left {
            format!("{sign}{digits}{:room$}", "")
        } else if self.zeros && value.is_finite() {
            format!("{sign}{}{digits}", "0".repeat(room))
        } else {
            format!("{:room$}{sign}{digits}", "")
        };
        format!("{}{number}{}", self.before, self.after)
    }
}

/// The number without its sign, as the verb writes it; `keep` is the flag `#`.
pub fn magnitude(verb: char, value: f64, precision: usize, keep: bool) -> String {
    let value = value.abs();
    let mut digits = if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        "Inf".into()
    } else {
        match verb.to_ascii_lowercase() {
            'f' => format!("{value:.precision$}"),
            'e' => exponential(value, precision, true),
            _ => general(value, precision.max(1), keep),
        }
    };
    if verb.is_ascii_uppercase() {
        digits.make_ascii_uppercase();
    }
    digits
}

/// The digits that come next, as a number.
fn number(chars: &mut core::iter::Peekable<core::str::Chars<'_>>) -> usize {
    let mut n: usize = 0;
    while let Some(digit) = chars.next_if(char::is_ascii_digit).and_then(|d| d.to_digit(10)) {
        n = n.saturating_mul(10).saturating_add(digit as usize);
    }
    n
}

/// `d.ddde±dd`.
fn exponential(value: f64, precision: usize, keep: bool) -> String {
    let text = format!("{value:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", if keep { digits } else { shortened(digits) }, exponent.abs())
}

/// The shorter of both, without the zeros at its end.
fn general(value: f64, precision: usize, keep: bool) -> String {
    let text = format!("{value:.*e}", precision - 1);
    let exponent: i32 = text.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    if exponent < -4 || i64::from(exponent) >= precision as i64 {
        return exponential(value, precision - 1, keep);
    }
    let behind = usize::try_from(precision as i64 - 1 - i64::from(exponent)).unwrap_or(0);
    let text = format!("{value:.behind$}");
    if keep { text } else { shortened(&text).into() }
}

fn shortened(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_print_writes_them() {
        for (format, value, want) in [
            ("%g", 0.0, "0"),
            ("%g", 100000.0, "100000"),
            ("%g", 1e6, "1e+06"),
            ("%g", 0.0001, "0.0001"),
            ("%g", 0.00001, "1e-05"),
            ("%g", 1.0 / 3.0, "0.333333"),
            ("%.12g", 1.0 / 3.0, "0.333333333333"),
            ("%g", 999999.5, "1e+06"),
            ("%#.3g", 1.0, "1.00"),
            ("%f", 1.5, "1.500000"),
            ("%.0f", 2.5, "2"),
            ("%6.2f|", -1.5, " -1.50|"),
            ("%-7.1f|", 1.5, "1.5    |"),
            ("%07.1f", -1.5, "-0001.5"),
            ("%+g", 1.0, "+1"),
            ("% g", 1.0, " 1"),
            ("%e", 12345.678, "1.234568e+04"),
            ("%.0E", 1e-10, "1E-10"),
            ("%e", 1e100, "1.000000e+100"),
            ("100%% %g", 1.0, "100% 1"),
            ("%g", f64::NEG_INFINITY, "-Inf"),
            ("%05g", f64::NAN, "  NaN"),
        ] {
            assert_eq!(Format::parse(format).unwrap().apply(value), want, "{format} of {value}");
        }
    }

    #[test]
    fn other_formats_are_refused() {
        for bad in ["", "x", "%d", "%s", "%", "%g%g", "%5", "%.", "%ld", "%*g"] {
            assert!(Format::parse(bad).is_err(), "{bad}");
        }
        assert!(Format::parse("%400.400f").is_ok());
    }
}
