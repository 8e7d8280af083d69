//! Sequences of numbers, as seq prints them.

use alloc::string::String;

use crate::floats::Format;

/// Largest number up to which all integers are floating point numbers.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A sequence: `first`, `first + step` and so on, up to `last`.
#[derive(Clone, Debug, PartialEq)]
pub struct Seq {
    first: f64,
    step: f64,
    count: u64,
    format: Format,
}

impl Seq {
    /// The sequence of the command line: `last`, `first last` or `first step last`; how each is printed (-f), and
    /// whether all have one width (-w).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(numbers: &[String], format: Option<&str>, equal: bool) -> Result<Seq, &'static str> {
        let parse = |text: &String| text.parse::<f64>().ok().filter(|n| n.is_finite()).ok_or("bad number");
        let (first, step, last) = match numbers {
            [last] => (1.0, 1.0, parse(last)?),
            [first, last] => (parse(first)?, 1.0, parse(last)?),
            [first, step, last] => (parse(first)?, parse(step)?, parse(last)?),
            _ => return Err("one to three numbers are wanted"),
        };
        if step == 0.0 {
            return Err("zero increment");
        }
        // The sum of many tenths is not quite a whole number.
        let steps = (last - first) / step + 1e-10;
        let count = if steps < 0.0 { 0 } else { (steps as u64).saturating_add(1) };
        let mut seq = Seq { first, step, count, format: Format::general(None) };
        if let Some(format) = format {
            seq.format = Format::parse(format)?;
            return Ok(seq);
        }
        let end = seq.value(count.saturating_sub(1));
        let whole = |n: f64| n % 1.0 == 0.0 && n.abs() < EXACT;
        if whole(first) && whole(step) && whole(end) {
            seq.format = Format::fixed(0, 0);
            if equal {
                let width = seq.format.apply(first).len().max(seq.format.apply(end).len());
                seq.format = Format::fixed(width, 0);
            }
        } else if equal {
            seq.format = seq.surveyed();
        }
        Ok(seq)
    }

    /// The numbers as they are printed.
    pub fn texts(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.count).map(|n| self.format.apply(self.value(n)))
    }

    fn value(&self, n: u64) -> f64 {
        self.first + n as f64 * self.step
    }

    /// A format as wide as the widest of all numbers on both sides of the point, unless one has an exponent.
    fn surveyed(&self) -> Format {
        let (mut before, mut behind) = (0, 0);
        for text in self.texts() {
            if text.contains('e') {
                return Format::general(None);
            }
            let (left, right) = text.split_once('.').unwrap_or((&text, ""));
            before = before.max(left.len());
            behind = behind.max(right.len());
        }
        Format::fixed(before + usize::from(behind > 0) + behind, behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn seq(numbers: &str, format: Option<&str>, equal: bool) -> String {
        let numbers = lib9::tokenize(numbers);
        Seq::new(&numbers, format, equal).unwrap().texts().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn sequences() {
        assert_eq!(seq("3", None, false), "1 2 3");
        assert_eq!(seq("8 11", None, true), "08 09 10 11");
        assert_eq!(seq("3 -1 1", None, false), "3 2 1");
        assert_eq!(seq("0 .05 .1", None, false), "0 0.05 0.1");
        assert_eq!(seq("0 .05 .1", None, true), "0.00 0.05 0.10");
        assert_eq!(seq("-1 1", None, true), "-1 00 01");
        assert_eq!(seq("0 0.1 0.3", None, false), "0 0.1 0.2 0.3");
        assert_eq!(seq("2000000 2000001", None, false), "2000000 2000001");
        assert_eq!(seq("1 2", Some("x%03.0f"), false), "x001 x002");
        assert_eq!(seq("2 1", None, false), "");
        assert_eq!(seq("1 1e300 5", None, false), "1");
    }

    #[test]
    fn bad_ones() {
        for bad in ["", "x", "1 0 2", "1 2 3 4", "inf", "nan"] {
            assert!(Seq::new(&lib9::tokenize(bad), None, false).is_err(), "{bad}");
        }
        for bad in ["%d", "%401g", "%.401f", "%99999999999999999999g", "%g %g"] {
            assert!(Seq::new(&lib9::tokenize("1"), Some(bad), false).is_err(), "{bad}");
        }
    }
}
