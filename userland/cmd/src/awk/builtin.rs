//! The functions that are built in.

use alloc::string::String;
use alloc::vec::Vec;

use super::place::Cell;
use super::printf::{characters, utf};
use super::record::{Separator, cut};
use super::run::{Done, Machine};
use super::tree::{Builtin, Expr, Pattern, Special};
use super::value::{Value, append_integer};
use crate::regexp::decode;

impl<'a> Machine<'a> {
    pub(super) fn builtin(&mut self, builtin: Builtin, arguments: &'a [Expr]) -> Done<Value> {
        let number = match (builtin, arguments) {
            (Builtin::Length, []) => {
                self.ready(0)?;
                characters(self.record.whole()) as f64
            }
            (Builtin::Length, [Expr::Variable(name), ..])
                if matches!(self.cell(*name), Some(Cell::Array(_))) =>
            {
                self.array(*name)?.borrow().len() as f64
            }
            (Builtin::Length, [text, ..]) => self.with(text, |_, text| Ok(characters(text) as f64))?,
            (Builtin::Substr, [text, from, rest @ ..]) => {
                let text = self.text(text)?;
                let from = self.number(from)?;
                let len = match rest.first() {
                    Some(len) => self.number(len)?,
                    None => f64::INFINITY,
                };
                return Ok(Value::string(substr(&text, from, len)));
            }
            (Builtin::Index, [text, part, ..]) => {
                let text = self.text(text)?;
                self.with(part, |_, part| {
                    let at = if part.is_empty() {
                        Some(0)
                    } else {
                        text.windows(part.len()).position(|w| w == part)
                    };
                    Ok(at.map_or(0.0, |at| (characters(text.get(..at).unwrap_or(&[])) + 1) as f64))
                })?
            }
            (Builtin::Split, [text, array, rest @ ..]) => self.split(text, array, rest.first())?,
            (Builtin::Sub | Builtin::Gsub, [pattern, with, rest @ ..]) => {
                self.substitute(builtin == Builtin::Gsub, pattern, with, rest.first())?
            }
            (Builtin::Match, [text, pattern, ..]) => self.find(text, pattern)?,
            (Builtin::Sprintf, arguments) => {
                let text = self.formatted(arguments)?;
                let value = Value::string(&text);
                self.spare.push(text);
                return Ok(value);
            }
            (Builtin::Sin, [n, ..]) => libm::sin(self.number(n)?),
            (Builtin::Cos, [n, ..]) => libm::cos(self.number(n)?),
            (Builtin::Atan2, [y, x, ..]) => {
                let y = self.number(y)?;
                libm::atan2(y, self.number(x)?)
            }
            (Builtin::Exp, [n, ..]) => libm::exp(self.number(n)?),
            (Builtin::Log, [n, ..]) => libm::log(self.number(n)?),
            (Builtin::Sqrt, [n, ..]) => libm::sqrt(self.number(n)?),
            (Builtin::Int, [n, ..]) => libm::trunc(self.number(n)?),
            (Builtin::Rand, _) => self.rand(),
            (Builtin::Srand, seed) => {
                let seed = match seed.first() {
                    Some(seed) => self.number(seed)?,
                    None => libm::trunc(self.world.seconds()),
                };
                self.random = seed.to_bits();
                core::mem::replace(&mut self.seed, seed)
            }
            (Builtin::ToLower, [text, ..]) => {
                return self.with(text, |_, text| Ok(Value::string(&lower(text))));
            }
            (Builtin::ToUpper, [text, ..]) => {
                return self.with(text, |_, text| Ok(Value::string(&upper(text))));
            }
            (Builtin::System, [command, ..]) => {
                if self.world.is_safe() {
                    return Err("system: not allowed with -safe".into());
                }
                let command = self.text(command)?;
                self.streams.flush_all(self.world)?;
                self.world.system(&command)
            }
            (Builtin::Close, [name, ..]) => {
                let name = self.text(name)?;
                self.streams.close(&name, self.world)
            }
            (Builtin::Flush, names) => match names.first() {
                Some(name) => {
                    let name = self.text(name)?;
                    if name.is_empty() { self.flush_all() } else { self.streams.flush(&name, self.world) }
                }
                None => self.flush_all(),
            },
            (Builtin::Utf, [n, ..]) => return Ok(Value::string(&utf(self.number(n)?))),
            _ => return Err("a function without its arguments".into()),
        };
        Ok(Value::Number(number))
    }

    fn flush_all(&mut self) -> f64 {
        if self.streams.flush_all(self.world).is_ok() { 0.0 } else { -1.0 }
    }

    /// Calls `f` with the bytes of an expression's value.
    fn with<T>(&mut self, expr: &'a Expr, f: impl FnOnce(&mut Self, &[u8]) -> Done<T>) -> Done<T> {
        let mut text = self.buffer();
        self.append(expr, &mut text)?;
        let done = f(self, &text);
        self.spare.push(text);
        done
    }

    /// The next of a sequence of numbers from 0 to 1.
    fn rand(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 / (1u64 << 53) as f64
    }

    fn split(&mut self, text: &'a Expr, array: &'a Expr, by: Option<&'a Expr>) -> Done<f64> {
        let text = self.text(text)?;
        let by = match by {
            None => self.settings.fs.clone(),
            Some(Expr::Regexp(pattern)) => Separator::Regexp(pattern.clone()),
            Some(by) => {
                let by = self.text(by)?;
                self.separator(&by)?
            }
        };
        let Expr::Variable(name) = array else { return Err("split into what is no array".into()) };
        let array = self.array(*name)?;
        let mut array = array.borrow_mut();
        array.clear();
        let mut count = 0;
        let mut key = Vec::new();
        cut(&text, &by, false, |from, to| {
            count += 1;
            key.clear();
            append_integer(count, &mut key);
            *array.entry(&key) = Value::Input(text.get(from..to).unwrap_or(&[]).into());
        });
        Ok(count as f64)
    }

    fn find(&mut self, text: &'a Expr, pattern: &'a Expr) -> Done<f64> {
        let text = self.text(text)?;
        let pattern = self.pattern(pattern)?;
        let found = pattern.borrow_mut().find(&text, 0);
        let (start, len) = match found {
            Some((from, to)) => {
                let count = |from: usize, to: usize| characters(text.get(from..to).unwrap_or(&[])) as f64;
                (count(0, from) + 1.0, count(from, to))
            }
            None => (0.0, -1.0),
        };
        self.set_cell(Special::Rstart as usize, Value::Number(start));
        self.set_cell(Special::Rlength as usize, Value::Number(len));
        Ok(start)
    }

    fn substitute(
        &mut self,
        all: bool,
        pattern: &'a Expr,
        with: &'a Expr,
        place: Option<&'a Expr>,
    ) -> Done<f64> {
        let pattern = self.pattern(pattern)?;
        let with = self.text(with)?;
        let mut text = self.buffer();
        match place {
            Some(place) => self.append(place, &mut text)?,
            None => self.append_field(0, &mut text)?,
        }
        let mut out = self.buffer();
        let count = replace(all, &pattern, &with, &text, &mut out);
        if count > 0 {
            match place {
                Some(place) => self.assign(place, Value::string(&out))?,
                None => self.record.set(&out),
            }
        }
        self.spare.extend([text, out]);
        Ok(count as f64)
    }
}

/// Replaces the first match, or all, and says how many.
fn replace(all: bool, pattern: &Pattern, with: &[u8], text: &[u8], out: &mut Vec<u8>) -> usize {
    let mut pattern = pattern.borrow_mut();
    let (mut at, mut count) = (0, 0);
    // The end of the last match: an empty one right behind it is none.
    let mut last = None;
    while let Some((from, to)) = pattern.find(text, at) {
        out.extend_from_slice(text.get(at..from).unwrap_or(&[]));
        at = to;
        if from < to || last != Some(from) {
            count += 1;
            expand(with, text.get(from..to).unwrap_or(&[]), out);
            last = Some(to);
            if !all {
                break;
            }
        }
        if from == to {
            let Some((_, len)) = decode(text, at) else { break };
            out.extend_from_slice(text.get(at..at + len).unwrap_or(&[]));
            at += len;
        }
    }
    out.extend_from_slice(text.get(at..).unwrap_or(&[]));
    count
}

/// `&` is what matched, `\&` a `&`, and `\\&` a backslash with what matched.
fn expand(with: &[u8], matched: &[u8], out: &mut Vec<u8>) {
    let mut rest = with;
    loop {
        rest = match rest {
            [] => return,
            [b'\\', b'&', tail @ ..] => {
                out.push(b'&');
                tail
            }
            [b'\\', b'\\', b'&', tail @ ..] => {
                out.push(b'\\');
                out.extend_from_slice(matched);
                tail
            }
            [b'\\', b'\\', b'\\', b'&', tail @ ..] => {
                out.extend_from_slice(b"\\&");
                tail
            }
            [b'&', tail @ ..] => {
                out.extend_from_slice(matched);
                tail
            }
            [b, tail @ ..] => {
                out.push(*b);
                tail
            }
        };
    }
}

/// So many characters from `from` on, which counts from 1; both are cut to whole numbers, and what is before the first
/// character is the first.
fn substr(text: &[u8], from: f64, len: f64) -> &[u8] {
    let first = libm::trunc(from).max(1.0) - 1.0;
    let len = libm::trunc(len);
    if len.is_nan() || len <= 0.0 {
        return &[];
    }
    let end = first + len;
    let place = |n: f64| {
        let n = if n < text.len() as f64 { n as usize } else { text.len() };
        if text.is_ascii() {
            return n;
        }
        let mut at = 0;
        for _ in 0..n {
            match decode(text, at) {
                Some((_, len)) => at += len,
                None => break,
            }
        }
        at
    };
    text.get(place(first)..place(end)).unwrap_or(&[])
}

fn lower(text: &[u8]) -> Vec<u8> {
    mapped(text, |b| b.to_ascii_lowercase(), |c| c.to_lowercase().collect())
}

fn upper(text: &[u8]) -> Vec<u8> {
    mapped(text, |b| b.to_ascii_uppercase(), |c| c.to_uppercase().collect())
}

/// Each character changed; one that would become several, and what is none, stay.
fn mapped(text: &[u8], ascii: fn(u8) -> u8, other: fn(char) -> String) -> Vec<u8> {
    if text.is_ascii() {
        return text.iter().map(|b| ascii(*b)).collect();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some((c, len)) = decode(text, at) {
        match char::from_u32(c).map(other).filter(|mapped| mapped.chars().count() == 1) {
            Some(mapped) => out.extend_from_slice(mapped.as_bytes()),
            None => out.extend_from_slice(text.get(at..at + len).unwrap_or(&[])),
        }
        at += len;
    }
    out
}
