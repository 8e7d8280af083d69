//! Adjacent lines that are equal, as uniq finds them.

use alloc::format;
use alloc::vec::Vec;

use lib9::Result;

use crate::lines::Lines;

/// What uniq was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uniq {
    /// Lines that are not repeated (-u).
    pub single: bool,
    /// One of each that is (-d).
    pub repeated: bool,
    /// All of them, behind how often they are there (-c).
    pub count: bool,
    /// A line that begins with the one before is as good as the same (-s).
    pub prefix: bool,
    /// Fields that are not compared (-N).
    pub fields: usize,
    /// Characters behind them that are not (+N).
    pub characters: usize,
}

impl Uniq {
    /// Prints what is asked for of `input`.
    ///
    /// # Errors
    /// A failure to read.
    pub fn run(&self, input: &mut dyn Lines, print: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut first = Vec::new();
        let mut line = Vec::new();
        if !input.next(&mut first)? {
            return Ok(());
        }
        let mut count = 1u64;
        while input.next(&mut line)? {
            let (key, before) = (self.key(&line), self.key(&first));
            if key == before || self.prefix && key.starts_with(before) {
                count += 1;
                continue;
            }
            self.show(&first, count, print);
            core::mem::swap(&mut first, &mut line);
            count = 1;
        }
        self.show(&first, count, print);
        Ok(())
    }

    fn show(&self, line: &[u8], count: u64, print: &mut dyn FnMut(&[u8])) {
        if self.count {
            print(format!("{count:4} ").as_bytes());
        } else if (self.single || self.repeated) && !(self.single && count == 1 || self.repeated && count > 1)
        {
            return;
        }
        print(line);
        print(b"\n");
    }

    /// The part of a line that is compared.
    fn key<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        let mut rest = line;
        let blank = |b: &u8| matches!(b, b' ' | b'\t');
        for _ in 0..self.fields {
            let begin = rest.iter().position(|b| !blank(b)).unwrap_or(rest.len());
            let field = rest.get(begin..).unwrap_or(&[]);
            let end = field.iter().position(blank).unwrap_or(field.len());
            rest = field.get(end..).unwrap_or(&[]);
            if rest.is_empty() {
                break;
            }
        }
        for _ in 0..self.characters {
            let Some((_, len)) = crate::regexp::decode(rest, 0) else { break };
            rest = rest.get(len..).unwrap_or(&[]);
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn run(uniq: Uniq, text: &str) -> String {
        let mut out = Vec::new();
        uniq.run(&mut text.as_bytes(), &mut |b| out.extend_from_slice(b)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn which_lines() {
        let text = "a\na\nb\nc\nc\nc\na\n";
        assert_eq!(run(Uniq::default(), text), "a\nb\nc\na\n");
        assert_eq!(run(Uniq { single: true, ..Uniq::default() }, text), "b\na\n");
        assert_eq!(run(Uniq { repeated: true, ..Uniq::default() }, text), "a\nc\n");
        assert_eq!(run(Uniq { single: true, repeated: true, ..Uniq::default() }, text), "a\nb\nc\na\n");
        assert_eq!(run(Uniq { count: true, ..Uniq::default() }, text), "   2 a\n   1 b\n   3 c\n   1 a\n");
        assert_eq!(run(Uniq::default(), ""), "");
        assert_eq!(run(Uniq::default(), "x"), "x\n");
        assert_eq!(run(Uniq::default(), "\n\n"), "\n");
    }

    #[test]
    fn what_is_compared() {
        let text = "1 a\n2  a\n3 b\n";
        assert_eq!(run(Uniq { fields: 1, ..Uniq::default() }, text), "1 a\n2  a\n3 b\n");
        assert_eq!(run(Uniq { fields: 1, ..Uniq::default() }, "1 a\n 2 a\n3 b\n"), "1 a\n3 b\n");
        assert_eq!(run(Uniq { characters: 1, ..Uniq::default() }, "πa\nxa\nxb\n"), "πa\nxb\n");
        assert_eq!(run(Uniq { fields: 9, characters: 9, ..Uniq::default() }, "a\nb\n"), "a\n");
    }
}
