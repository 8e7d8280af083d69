//! From the text of an expression to its program.

use alloc::vec;
use alloc::vec::Vec;

use super::{Inst, NSUB, Regexp, lower};

/// Nesting that is taken; it bounds the stack the parser needs.
pub(super) const DEEP: usize = 200;

/// Compiles `pattern`; `fold` makes upper and lower case the same.
///
/// # Errors
/// What is wrong with the pattern.
pub fn parse(pattern: &str, fold: bool) -> Result<Regexp, &'static str> {
    let mut parser = Parser { left: pattern.chars().collect(), fold, subs: 0, depth: 0 };
    parser.left.reverse();
    let mut prog = vec![Inst::Save(0)];
    prog.append(&mut parser.alternatives()?);
    if parser.left.last().is_some() {
        return Err("unmatched right paren");
    }
    prog.push(Inst::Save(1));
    prog.push(Inst::Match);
    // Targets were counted from the beginning of each part: make them absolute.
    Ok(Regexp::new(absolute(prog), fold))
}

/// A pattern of grep: what is behind a star at its beginning stands for itself.
pub fn unstarred(pattern: &str) -> alloc::string::String {
    match pattern.strip_prefix('*') {
        None => pattern.into(),
        Some(text) => {
            let quoted = |c: char| (!c.is_alphanumeric() && c != ' ').then_some('\\').into_iter().chain([c]);
            text.chars().flat_map(quoted).collect()
        }
    }
}

/// Turns relative targets (two's complement of the distance) into indexes.
pub(super) fn absolute(mut prog: Vec<Inst>) -> Vec<Inst> {
    for (at, inst) in prog.iter_mut().enumerate() {
        match inst {
            Inst::Jump(to) => *to = at.wrapping_add(*to),
            Inst::Split(a, b) => {
                *a = at.wrapping_add(*a);
                *b = at.wrapping_add(*b);
            }
            _ => {}
        }
    }
    prog
}

/// Code fragments have targets relative to the instruction, so that they can be put anywhere.
struct Parser {
    /// What is not read yet, last character first.
    left: Vec<char>,
    fold: bool,
    subs: usize,
    depth: usize,
}

type Code = Result<Vec<Inst>, &'static str>;

/// A target that lies so far back.
pub(super) fn back(distance: usize) -> usize {
    distance.wrapping_neg()
}

impl Parser {
    fn alternatives(&mut self) -> Code {
        let mut code = self.sequence()?;
        // A newline separates alternatives, too: that is how grep takes a list of patterns.
        while let Some('|' | '\n') = self.left.last() {
            self.left.pop();
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
        while !matches!(self.left.last(), None | Some('|' | '\n' | ')')) {
            code.append(&mut self.repeated()?);
        }
        Ok(code)
    }

    fn repeated(&mut self) -> Code {
        let mut code = self.atom()?;
        while let Some(&op @ ('*' | '+' | '?')) = self.left.last() {
            self.left.pop();
            let n = code.len();
            let mut out = Vec::with_capacity(n + 2);
            if op != '+' {
                out.push(Inst::Split(1, if op == '*' { n + 2 } else { n + 1 }));
            }
            out.append(&mut code);
            match op {
                '*' => out.push(Inst::Jump(back(n + 1))),
                '+' => out.push(Inst::Split(back(n), 1)),
                _ => {}
            }
            code = out;
        }
        Ok(code)
    }

    fn atom(&mut self) -> Code {
        let Some(c) = self.left.pop() else { return Err("missing operand") };
        Ok(vec![match c {
            '(' => return self.group(),
            '*' | '+' | '?' => return Err("missing operand for * + ?"),
            '.' => Inst::Any,
            '^' => Inst::Bol,
            '$' => Inst::Eol,
            '[' => self.set()?,
            '\\' => match self.left.pop() {
                None => return Err("malformed: trailing \\"),
                Some('n') => Inst::Char(u32::from('\n')),
                Some(c) => self.literal(c),
            },
            c => self.literal(c),
        }])
    }

    fn literal(&self, c: char) -> Inst {
        Inst::Char(if self.fold { lower(u32::from(c)) } else { u32::from(c) })
    }

    fn group(&mut self) -> Code {
        self.depth += 1;
        if self.depth > DEEP {
            return Err("too deeply nested");
        }
        self.subs += 1;
        let sub = self.subs;
        let mut inner = self.alternatives()?;
        if self.left.pop() != Some(')') {
            return Err("unmatched left paren");
        }
        self.depth -= 1;
        if sub >= NSUB {
            return Ok(inner);
        }
        let mut code = vec![Inst::Save(2 * sub)];
        code.append(&mut inner);
        code.push(Inst::Save(2 * sub + 1));
        Ok(code)
    }

    fn set(&mut self) -> Result<Inst, &'static str> {
        const BAD: &str = "malformed []";
        let negated = self.left.last() == Some(&'^');
        if negated {
            self.left.pop();
        }
        let mut ranges = Vec::new();
        loop {
            let low = match self.left.pop().ok_or(BAD)? {
                ']' => break,
                '-' => return Err(BAD),
                c => self.escaped(c)?,
            };
            let high = if self.left.last() == Some(&'-') {
                self.left.pop();
                match self.left.pop().ok_or(BAD)? {
                    ']' | '-' => return Err(BAD),
                    c => self.escaped(c)?,
                }
            } else {
                low
            };
            if low > high {
                return Err(BAD);
            }
            ranges.push((u32::from(low), u32::from(high)));
            if self.fold {
                self.fold_range(low, high, &mut ranges);
            }
        }
        if ranges.is_empty() {
            return Err(BAD);
        }
        Ok(Inst::Set { negated, ranges })
    }

    /// Adds the lower-case forms of a range: text is compared in lower case.
    fn fold_range(&self, low: char, high: char, ranges: &mut Vec<(u32, u32)>) {
        // Beyond this many characters a range holds both cases of nearly everything anyway.
        for c in (low..=high).take(1024) {
            let small = lower(u32::from(c));
            if small != u32::from(c) {
                ranges.push((small, small));
            }
        }
    }

    fn escaped(&mut self, c: char) -> Result<char, &'static str> {
        match c {
            '\\' => match self.left.pop() {
                None => Err("malformed []"),
                Some('n') => Ok('\n'),
                Some(c) => Ok(c),
            },
            c => Ok(c),
        }
    }
}
