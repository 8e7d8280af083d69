//! The expressions of test.

use alloc::format;
use alloc::string::String;

use abi::{DMAPPEND, DMEXCL, DMTMP, OEXEC, OREAD, OWRITE};
use lib9::Dir;

use crate::number::integer;

/// What expressions ask about.
pub trait World {
    /// The file, if it is there.
    fn stat(&self, name: &str) -> Option<Dir>;
    /// Can the file be opened this way?
    fn opens(&self, name: &str, mode: u32) -> bool;
    /// Is the descriptor the console?
    fn is_console(&self, fd: i32) -> bool;
    /// Seconds since 1970.
    fn now(&self) -> i64;
}

/// What asks about the next word.
const UNARY: [&str; 12] = ["-n", "-z", "-e", "-d", "-f", "-s", "-A", "-L", "-T", "-r", "-w", "-x"];

/// The truth of an expression. None at all is false.
///
/// # Errors
/// What is wrong with the expression.
pub fn evaluate(words: &[String], world: &dyn World) -> Result<bool, String> {
    if words.is_empty() {
        return Ok(false);
    }
    let mut e = Evaluator { words, at: 0, world, depth: 0 };
    let truth = e.or()?;
    match e.peek() {
        None => Ok(truth),
        Some(word) => Err(format!("unexpected operator/operand: {word}")),
    }
}

struct Evaluator<'a> {
    words: &'a [String],
    at: usize,
    world: &'a dyn World,
    depth: u32,
}

impl<'a> Evaluator<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    fn operand(&mut self) -> Result<&'a str, String> {
        self.next().ok_or_else(|| "argument expected".into())
    }

    fn or(&mut self) -> Result<bool, String> {
        let mut truth = self.and()?;
        while self.peek() == Some("-o") {
            self.at += 1;
            truth |= self.and()?;
        }
        Ok(truth)
    }

    fn and(&mut self) -> Result<bool, String> {
        let mut truth = self.not()?;
        while self.peek() == Some("-a") {
            self.at += 1;
            truth &= self.not()?;
        }
        Ok(truth)
    }

    fn not(&mut self) -> Result<bool, String> {
        let mut turned = false;
        // `! = x` compares.
        while self.peek() == Some("!") && !self.is_binary(self.at + 1) {
            self.at += 1;
            turned = !turned;
        }
        Ok(self.primary()? != turned)
    }

    fn is_binary(&self, at: usize) -> bool {
        const BINARY: [&str; 11] =
            ["=", "!=", "-eq", "-ne", "-gt", "-ge", "-lt", "-le", "-nt", "-ot", "-older"];
        self.words.get(at).is_some_and(|w| BINARY.contains(&w.as_str())) && self.words.len() > at + 1
    }

    fn primary(&mut self) -> Result<bool, String> {
        let word = self.operand()?;
        if self.is_binary(self.at) {
            return self.binary(word);
        }
        if word == "(" && self.peek().is_some() {
            self.depth += 1;
            if self.depth > 100 {
                return Err("too deeply nested".into());
            }
            let truth = self.or()?;
            self.depth -= 1;
            return if self.next() == Some(")") { Ok(truth) } else { Err(") expected".into()) };
        }
        // A descriptor need not be said.
        if word == "-t" {
            let fd = self.peek().and_then(|w| w.parse().ok());
            self.at += usize::from(fd.is_some());
            return Ok(self.world.is_console(fd.unwrap_or(1)));
        }
        // As a list of nothing makes it.
        if self.peek().is_none() {
            return if UNARY.contains(&word) {
                Err("argument expected".into())
            } else {
                Ok(!word.is_empty())
            };
        }
        let mode = |bit: u32| move |d: Dir| d.mode & bit != 0;
        let world = self.world;
        let file = |e: &mut Self, is: &dyn Fn(Dir) -> bool| -> Result<bool, String> {
            Ok(world.stat(e.operand()?).is_some_and(is))
        };
        match word {
            "-n" => Ok(!self.operand()?.is_empty()),
            "-z" => Ok(self.operand()?.is_empty()),
            "-e" => file(self, &|_| true),
            "-d" => file(self, &|d| d.is_dir()),
            "-f" => file(self, &|d| !d.is_dir()),
            "-s" => file(self, &|d| d.length > 0),
            "-A" => file(self, &mode(DMAPPEND)),
            "-L" => file(self, &mode(DMEXCL)),
            "-T" => file(self, &mode(DMTMP)),
            "-r" => Ok(world.opens(self.operand()?, OREAD)),
            "-w" => Ok(world.opens(self.operand()?, OWRITE)),
            "-x" => Ok(world.opens(self.operand()?, OEXEC)),
            string => Ok(!string.is_empty()),
        }
    }

    fn binary(&mut self, left: &str) -> Result<bool, String> {
        let op = self.operand()?;
        let right = self.operand()?;
        let number = |s: &str| integer(s.trim()).ok_or_else(|| format!("not a number: {s}"));
        let mtime = |s: &str| self.world.stat(s).map(|d| d.mtime);
        Ok(match op {
            "=" => left == right,
            "!=" => left != right,
            "-nt" => mtime(left).zip(mtime(right)).is_some_and(|(l, r)| l > r),
            "-ot" => mtime(left).zip(mtime(right)).is_some_and(|(l, r)| l < r),
            "-older" => {
                let age = age(right).ok_or_else(|| format!("bad time: {right}"))?;
                mtime(left).is_some_and(|t| i64::from(t) < self.world.now().saturating_sub(age))
            }
            _ => {
                let (l, r) = (number(left)?, number(right)?);
                match op {
                    "-eq" => l == r,
                    "-ne" => l != r,
                    "-gt" => l > r,
                    "-ge" => l >= r,
                    "-lt" => l < r,
                    _ => l <= r,
                }
            }
        })
    }
}

/// `3d12h` in seconds; a number without a unit is seconds.
fn age(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let n: i64 = rest.get(..digits)?.parse().ok()?;
        let mut after = rest.get(digits..)?.chars();
        let unit = match after.next() {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            Some('M') => 30 * 86_400,
            Some('y') => 365 * 86_400,
            Some(_) => return None,
        };
        total = total.checked_add(n.checked_mul(unit)?)?;
        rest = after.as_str();
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake;

    impl World for Fake {
        fn stat(&self, name: &str) -> Option<Dir> {
            let (mode, length, mtime) = match name {
                "dir" => (abi::DMDIR | 0o755, 0, 10),
                "old" => (0o644, 5, 100),
                "new" => (0o755 | DMAPPEND, 0, 200),
                _ => return None,
            };
            Some(Dir { mode, length, mtime, ..Dir::default() })
        }
        fn opens(&self, name: &str, mode: u32) -> bool {
            self.stat(name).is_some_and(|d| mode != OEXEC || d.mode & 0o111 != 0)
        }
        fn is_console(&self, fd: i32) -> bool {
            fd == 1
        }
        fn now(&self) -> i64 {
            260
        }
    }

    fn test(line: &str) -> Result<bool, String> {
        evaluate(&lib9::tokenize(line), &Fake)
    }

    #[test]
    fn truths() {
        for yes in [
            "a",
            "-n a",
            "-z ''",
            "a = a",
            "a != b",
            "1 -lt 2",
            "010 -eq 8",
            "-2 -lt -1",
            "-e dir",
            "-d dir",
            "-f old",
            "-s old",
            "-r old",
            "-x new",
            "-A new",
            "new -nt old",
            "old -ot new",
            "old -older 2m",
            "! a = b",
            "! -e none",
            "a -a b",
            "'' -o b",
            "( a )",
            "( '' ) -o ! ( '' )",
            "-t",
            "-t 1",
            "! = !",
            "-n = -n",
            "'' -a '' -o a",
        ] {
            assert_eq!(test(yes), Ok(true), "{yes}");
        }
        for no in [
            "",
            "''",
            "-n ''",
            "a = b",
            "2 -le 1",
            "-e none",
            "-f dir",
            "-s new",
            "-x old",
            "-t 0",
            "a -a ''",
            "new -older 61",
            "! a",
            "none -nt old",
        ] {
            assert_eq!(test(no), Ok(false), "{no}");
        }
    }

    #[test]
    fn mistakes() {
        for bad in ["a b", "1 -eq x", "( a", "a -a", "old -older 3q", "! ", "-e", "-n", "a -a -f"] {
            assert!(test(bad).is_err(), "{bad}");
        }
    }
}
