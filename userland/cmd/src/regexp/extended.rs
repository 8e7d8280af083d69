//! Expressions as POSIX has them (extended ones, and awk's escapes): besides what Plan 9's have, `{n,m}`, classes as
//! `[:alpha:]`, and sets in which `]` stands first and `-` at an end for themselves. `^` and `$` are the ends of the
//! text, `.` and sets that are negated take newlines as well, and a byte that is not UTF-8 stands for itself.

use alloc::vec;
use alloc::vec::Vec;

use super::parse::{DEEP, absolute, back};
use super::{Inst, Regexp, decode};

/// The last of the numbers that characters, and bytes which are none, have.
const LAST: u32 = 0x11_00ff;
/// Instructions that an expression may have; repetitions multiply them.
const LONG: usize = 20_000;
/// What `{n}` may ask for.
const OFTEN: usize = 1000;

/// Compiles `pattern`.
///
/// # Errors
/// What is wrong with the pattern.
pub fn extended(pattern: &[u8]) -> Result<Regexp, &'static str> {
    let mut parser = Parser { pattern, at: 0, depth: 0 };
    let mut prog = vec![Inst::Save(0)];
    prog.append(&mut parser.alternatives()?);
    if parser.at < pattern.len() {
        return Err("unmatched )");
    }
    prog.push(Inst::Save(1));
    prog.push(Inst::Match);
    Ok(Regexp::new(absolute(prog), false))
}

/// Code fragments have relative targets, as those of [`super::parse`].
struct Parser<'a> {
    pattern: &'a [u8],
    at: usize,
    depth: usize,
}

type Code = Result<Vec<Inst>, &'static str>;

/// A set of these ranges.
fn set(ranges: Vec<(u32, u32)>) -> Inst {
    Inst::Set { negated: false, ranges }
}

impl Parser<'_> {
    fn peek(&self) -> Option<u32> {
        decode(self.pattern, self.at).map(|(c, _)| c)
    }

    fn next(&mut self) -> Option<u32> {
        let (c, len) = decode(self.pattern, self.at)?;
        self.at += len;
        Some(c)
    }

    fn take(&mut self, c: char) -> bool {
        let there = self.peek() == Some(u32::from(c));
        if there {
            self.at += c.len_utf8();
        }
        there
    }

    fn at_any(&self, of: &[u8]) -> bool {
        self.pattern.get(self.at).is_some_and(|b| of.contains(b))
    }

    fn alternatives(&mut self) -> Code {
        let mut code = self.sequence()?;
        while self.take('|') {
            let other = self.sequence()?;
            let mut both = vec![Inst::Split(1, code.len() + 2)];
            both.append(&mut code);
            both.push(Inst::Jump(other.len() + 1));
            both.extend(other);
            code = both;
        }
        Ok(code)
    }

    fn sequence(&mut self) -> Code {
        let mut code = Vec::new();
        while self.at < self.pattern.len() && !self.at_any(b"|)") {
            code.append(&mut self.repeated(code.is_empty())?);
            if code.len() > LONG {
                return Err("regular expression too long");
            }
        }
        Ok(code)
    }

    fn repeated(&mut self, first: bool) -> Code {
        // With nothing in front of it to repeat, it stands for itself.
        let mut code = match self.peek().and_then(char::from_u32) {
            Some(c @ ('*' | '+' | '?')) if first => {
                self.at += 1;
                vec![Inst::Char(u32::from(c))]
            }
            _ => self.atom()?,
        };
        loop {
            let (least, most) = if self.take('*') {
                (0, None)
            } else if self.take('+') {
                (1, None)
            } else if self.take('?') {
                (0, Some(1))
            } else if let Some(times) = self.times()? {
                times
            } else {
                return Ok(code);
            };
            code = repeat(&code, least, most)?;
        }
    }

    /// `{n}`, `{n,}` or `{n,m}`; another brace stands for itself.
    fn times(&mut self) -> Result<Option<(usize, Option<usize>)>, &'static str> {
        let Some(rest) = self.pattern.get(self.at..).and_then(|rest| rest.strip_prefix(b"{")) else {
            return Ok(None);
        };
        let Some(len) = rest.iter().position(|&b| b == b'}') else { return Ok(None) };
        let Some(inside) = rest.get(..len).and_then(|inside| core::str::from_utf8(inside).ok()) else {
            return Ok(None);
        };
        let (least, most) =
            inside.split_once(',').map_or((inside, None), |(least, most)| (least, Some(most)));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if least.is_empty() || !digits(least) || !most.is_none_or(digits) {
            return Ok(None);
        }
        let number = |text: &str| text.parse().ok().filter(|n| *n <= OFTEN).ok_or("too many repetitions");
        let least = number(least)?;
        let most = match most {
            None => Some(least),
            Some("") => None,
            Some(most) => Some(number(most)?),
        };
        if most.is_some_and(|most| most < least) {
            return Err("bad repetition");
        }
        self.at += len + 2;
        Ok(Some((least, most)))
    }

    fn atom(&mut self) -> Code {
        let Some(c) = self.next() else { return Err("missing operand") };
        Ok(vec![match char::from_u32(c) {
            Some('(') => return self.group(),
            Some('.') => set(vec![(0, LAST)]),
            Some('^') => Inst::Begin,
            Some('$') => Inst::End,
            Some('[') => self.set()?,
            // One at the end stands for itself.
            Some('\\') if self.at < self.pattern.len() => Inst::Char(self.escaped()),
            _ => Inst::Char(c),
        }])
    }

    fn group(&mut self) -> Code {
        self.depth += 1;
        if self.depth > DEEP {
            return Err("too deeply nested");
        }
        let code = self.alternatives()?;
        if !self.take(')') {
            return Err("unmatched (");
        }
        self.depth -= 1;
        Ok(code)
    }

    /// What stands behind a backslash.
    fn escaped(&mut self) -> u32 {
        let Some(c) = self.next() else { return u32::from('\\') };
        match char::from_u32(c) {
            Some('n') => 0x0a,
            Some('t') => 0x09,
            Some('r') => 0x0d,
            Some('f') => 0x0c,
            Some('v') => 0x0b,
            Some('a') => 0x07,
            Some('b') => 0x08,
            Some('0'..='7') => {
                let mut n = c - u32::from('0');
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(char::from_u32).and_then(|c| c.to_digit(8)) else {
                        break;
                    };
                    n = n * 8 + digit;
                    self.at += 1;
                }
                // A byte beyond ASCII is none that is decoded by itself.
                if n & 0xff < 0x80 { n & 0xff } else { 0x11_0000 + (n & 0xff) }
            }
            _ => c,
        }
    }

    fn set(&mut self) -> Result<Inst, &'static str> {
        let negated = self.take('^');
        let mut ranges = Vec::new();
        let mut first = true;
        loop {
            if !core::mem::take(&mut first) && self.take(']') {
                break;
            }
            if self.peek() == Some(u32::from('[')) && self.class(&mut ranges)? {
                continue;
            }
            let low = self.member()?;
            let mut high = low;
            if self.at_any(b"-") && self.pattern.get(self.at + 1).is_some_and(|&b| b != b']') {
                self.at += 1;
                high = self.member()?;
            }
            if low <= high {
                ranges.push((low, high));
            }
        }
        Ok(set(if negated { others(ranges) } else { ranges }))
    }

    /// A character that stands in a set.
    fn member(&mut self) -> Result<u32, &'static str> {
        let c = self.next().ok_or("nonterminated character class")?;
        Ok(if c == u32::from('\\') { self.escaped() } else { c })
    }

    /// `[:name:]` within a set.
    fn class(&mut self, ranges: &mut Vec<(u32, u32)>) -> Result<bool, &'static str> {
        let rest = self.pattern.get(self.at..).unwrap_or(&[]);
        let Some(name) = rest.strip_prefix(b"[:") else { return Ok(false) };
        let Some(len) = name.windows(2).position(|two| two == b":]") else { return Ok(false) };
        let member: fn(char) -> bool = match name.get(..len).unwrap_or(&[]) {
            b"alpha" => char::is_alphabetic,
            b"digit" => |c| c.is_ascii_digit(),
            b"alnum" => |c| c.is_alphabetic() || c.is_ascii_digit(),
            b"upper" => char::is_uppercase,
            b"lower" => char::is_lowercase,
            b"space" => |c| c.is_whitespace(),
            b"blank" => |c| c == ' ' || c == '\t',
            b"punct" => |c| c.is_ascii_punctuation(),
            b"print" => |c| !c.is_control(),
            b"graph" => |c| !c.is_control() && !c.is_whitespace(),
            b"cntrl" => char::is_control,
            b"xdigit" => |c| c.is_ascii_hexdigit(),
            _ => return Err("unknown character class"),
        };
        self.at += len + 4;
        // What is written in many characters is taken as a whole.
        if member('\u{e000}') {
            ranges.push((0x3000, 0x10_ffff));
        } else if member('中') {
            ranges.extend([
                (0x3041, 0x30ff),
                (0x3105, 0x318e),
                (0x3400, 0x9fff),
                (0xa000, 0xd7a3),
                (0xf900, 0xfdfb),
            ]);
            ranges.extend([(0xff21, 0xffdc), (0x1_0000, 0x1_d7ff), (0x2_0000, 0x3_134f)]);
        }
        let mut run: Option<(u32, u32)> = None;
        for c in (0..0x3000).filter(|&n| char::from_u32(n).is_some_and(member)) {
            match &mut run {
                Some((_, high)) if *high + 1 == c => *high = c,
                _ => ranges.extend(run.replace((c, c))),
            }
        }
        ranges.extend(run);
        Ok(true)
    }
}

/// The ranges between these.
fn others(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.sort_unstable();
    let mut out = Vec::new();
    let mut from = 0;
    for (low, high) in ranges {
        if low > from {
            out.push((from, low - 1));
        }
        from = from.max(high + 1);
    }
    if from <= LAST {
        out.push((from, LAST));
    }
    out
}

/// The code so often in a row.
fn repeat(code: &[Inst], least: usize, most: Option<usize>) -> Code {
    let n = code.len();
    if n.saturating_mul(most.unwrap_or(least).max(1)) > LONG {
        return Err("regular expression too long");
    }
    let mut out = Vec::new();
    for _ in 0..least {
        out.extend_from_slice(code);
    }
    match most {
        // Once more, or not, and again.
        None if least > 0 => out.extend([Inst::Split(back(n), 1)]),
        None => {
            out.push(Inst::Split(1, n + 2));
            out.extend_from_slice(code);
            out.push(Inst::Jump(back(n + 1)));
        }
        Some(most) => {
            for left in (0..most - least).rev() {
                // Past this one and all that would come.
                out.push(Inst::Split(1, (n + 1) * (left + 1)));
                out.extend_from_slice(code);
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, text: &str) -> Option<(usize, usize)> {
        extended(pattern.as_bytes()).unwrap().find(text.as_bytes(), 0).map(|m| (m.begin(), m.end()))
    }

    #[test]
    fn what_plan_9_has_not() {
        for (pattern, text, want) in [
            ("a{2}", "aaaa", Some((0, 2))),
            ("a{2,}", "aaaa", Some((0, 4))),
            ("a{2,3}", "aaaa", Some((0, 3))),
            ("^a{0,1}b", "ab", Some((0, 2))),
            ("^(ab){1,2}$", "abab", Some((0, 4))),
            ("^(ab){1,2}$", "ababab", None),
            ("(a{2}){2}", "aaaaa", Some((0, 4))),
            ("a{0}b", "ab", Some((1, 2))),
            ("a{x}", "a{x}", Some((0, 4))),
            ("{", "{", Some((0, 1))),
            ("a{,2}", "a{,2}", Some((0, 5))),
            ("[[:digit:]]+", "ab12c", Some((2, 4))),
            ("[^[:alpha:]_]", "a_π1", Some((4, 5))),
            ("[]a]+", "x]a]", Some((1, 4))),
            ("[^]a]", "]ab", Some((2, 3))),
            ("[a-]+", "x-a", Some((1, 3))),
            ("[-a]+", "x-a", Some((1, 3))),
            ("[a\\]b]+", "x]a", Some((1, 3))),
            ("[[a]+", "x[a", Some((1, 3))),
            ("a.c", "a\nc", Some((0, 3))),
            ("[^x]", "\n", Some((0, 1))),
            ("^b", "a\nb", None),
            ("a$", "a\nb", None),
            ("\\t\\/\\.\\101", "\t/.A", Some((0, 4))),
            ("*a", "*a", Some((0, 2))),
            ("(*a|+b)", "+b", Some((0, 2))),
            ("()a", "a", Some((0, 1))),
            ("a||b", "xb", Some((0, 0))),
            ("[[:upper:]][[:lower:]]", "xÄä", Some((1, 5))),
            ("a\\", "a\\", Some((0, 2))),
        ] {
            assert_eq!(found(pattern, text), want, "{pattern} in {text:?}");
        }
        assert!(extended(b"\xff+").unwrap().find(b"a\xff\xff", 0).is_some());
        assert!(extended(b"\\377").unwrap().find(b"a\xff", 0).is_some());
    }

    #[test]
    fn bad_patterns() {
        for bad in
            ["(", ")", "a)", "[", "[]", "[a", "[[:x:]]", "a{3,2}", "a{5000}", "((((a{99}){99}){99}){99})"]
        {
            assert!(extended(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(extended(&b"(".repeat(100_000)).is_err());
    }
}
