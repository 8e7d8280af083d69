//! Values of expressions, in the form that is wanted: as a value, a number, a condition, or bytes behind others. What
//! is wanted as a number is not made a string first, nor the other way round.

use core::cmp::Ordering;

use alloc::vec::Vec;

use super::place::Cell;
use super::run::{Done, Machine};
use super::tree::{Arithmetic, Builtin, Comparison, Expr, Name, Pattern};
use super::value::{Text, Value, append_number, compare, number, numeric};

impl<'a> Machine<'a> {
    /// The value.
    pub(super) fn value(&mut self, expr: &'a Expr) -> Done<Value> {
        match expr {
            Expr::String(text) => Ok(Value::String(text.clone())),
            Expr::Variable(name) => match self.cell(*name) {
                Some(Cell::Scalar(value)) => Ok(value.clone()),
                Some(Cell::Untyped(_)) => Ok(Value::Nothing),
                _ => Err(self.is_array(*name)),
            },
            Expr::Special(number) => Ok(self.special(*number)),
            Expr::Element(name, list) => {
                let mut key = self.buffer();
                self.subscript(list, &mut key)?;
                let array = self.array(*name)?;
                let value = array.borrow_mut().entry(&key).clone();
                self.spare.push(key);
                Ok(value)
            }
            Expr::Field(number) => {
                let number = self.field_number(number)?;
                self.ready(number)?;
                Ok(self.record.value(number))
            }
            Expr::Assign(place, value) => {
                let value = self.value(value)?;
                self.assign(place, value.clone())?;
                // Set, it may be something else: a field beyond the last, `$0`.
                Ok(value)
            }
            Expr::Either(three) => {
                let [condition, yes, no] = &**three;
                if self.truth(condition)? { self.value(yes) } else { self.value(no) }
            }
            Expr::Concat(_) => {
                let mut out = self.buffer();
                self.append(expr, &mut out)?;
                let value = Value::string(&out);
                self.spare.push(out);
                Ok(value)
            }
            Expr::Group(_) => Err("illegal list".into()),
            Expr::Call(number, arguments) => self.call(*number, arguments),
            Expr::Builtin(builtin, arguments) => self.builtin(*builtin, arguments),
            // All others are numbers.
            expr => Ok(Value::Number(self.number(expr)?)),
        }
    }

    fn is_array(&self, name: Name) -> super::run::Stop {
        alloc::format!("can't read value of {}; it's an array name", self.name(name)).into()
    }

    /// The value as a number.
    pub(super) fn number(&mut self, expr: &'a Expr) -> Done<f64> {
        Ok(match expr {
            Expr::Number(n) => *n,
            Expr::Variable(name) => match self.cell(*name) {
                Some(Cell::Scalar(value)) => value.number(),
                Some(Cell::Untyped(_)) => 0.0,
                _ => return Err(self.is_array(*name)),
            },
            Expr::Element(name, list) => {
                let mut key = self.buffer();
                self.subscript(list, &mut key)?;
                let n = self.array(*name)?.borrow_mut().entry(&key).number();
                self.spare.push(key);
                n
            }
            Expr::Field(number) => {
                let number = self.field_number(number)?;
                self.ready(number)?;
                self.record.number(number)
            }
            Expr::Update(operator, place, value) => {
                let value = self.number(value)?;
                self.update(place, |old| compute(*operator, old, value))?.1
            }
            Expr::Step(place, step, before) => {
                let (old, new) = self.update(place, |old| Ok(old + step))?;
                if *before { old } else { new }
            }
            Expr::Negate(operand) => -self.number(operand)?,
            Expr::Plus(operand) => self.number(operand)?,
            Expr::Arithmetic(operator, both) => {
                let [left, right] = &**both;
                let left = self.number(left)?;
                compute(*operator, left, self.number(right)?)?
            }
            Expr::Regexp(_)
            | Expr::And(_)
            | Expr::Or(_)
            | Expr::Not(_)
            | Expr::Compare(..)
            | Expr::Match(..)
            | Expr::In(..) => f64::from(u8::from(self.truth(expr)?)),
            Expr::Getline(source, variable) => self.getline(source, variable.as_deref())?,
            Expr::Concat(_) => {
                let mut out = self.buffer();
                self.append(expr, &mut out)?;
                let n = number(&out);
                self.spare.push(out);
                n
            }
            expr => self.value(expr)?.number(),
        })
    }

    /// The value as a condition.
    pub(super) fn truth(&mut self, expr: &'a Expr) -> Done<bool> {
        Ok(match expr {
            Expr::Regexp(pattern) => {
                self.ready(0)?;
                pattern.borrow_mut().matches(self.record.whole())
            }
            Expr::And(both) => {
                let [left, right] = &**both;
                self.truth(left)? && self.truth(right)?
            }
            Expr::Or(both) => {
                let [left, right] = &**both;
                self.truth(left)? || self.truth(right)?
            }
            Expr::Not(operand) => !self.truth(operand)?,
            Expr::Compare(comparison, both) => {
                let [left, right] = &**both;
                self.compare(*comparison, left, right)?
            }
            Expr::Match(wanted, both) => {
                let [text, pattern] = &**both;
                self.matches(text, pattern)? == *wanted
            }
            Expr::In(list, name) => {
                let mut key = self.buffer();
                self.subscript(list, &mut key)?;
                let there = self.array(*name)?.borrow().contains(&key);
                self.spare.push(key);
                there
            }
            Expr::Variable(_) | Expr::String(_) | Expr::Element(..) | Expr::Field(_) | Expr::Assign(..) => {
                self.value(expr)?.is_true()
            }
            Expr::Either(_) | Expr::Concat(_) | Expr::Call(..) | Expr::Builtin(..) | Expr::Special(_) => {
                self.value(expr)?.is_true()
            }
            expr => self.number(expr)? != 0.0,
        })
    }

    /// Does the expression what it does, for no value.
    pub(super) fn effect(&mut self, expr: &'a Expr) -> Done<()> {
        match expr {
            Expr::Assign(place, value) => {
                let value = self.value(value)?;
                self.assign(place, value)
            }
            Expr::Update(..) | Expr::Step(..) => self.number(expr).map(|_| ()),
            expr => self.value(expr).map(|_| ()),
        }
    }

    /// Appends the value as a string.
    pub(super) fn append(&mut self, expr: &'a Expr, out: &mut Vec<u8>) -> Done<()> {
        match expr {
            Expr::String(text) => out.extend_from_slice(text),
            Expr::Number(n) => append_number(*n, &self.settings.convfmt, out),
            Expr::Variable(name) => match self.cell(*name) {
                Some(Cell::Scalar(value)) => value.append(&self.settings.convfmt, out),
                Some(Cell::Untyped(_)) => {}
                _ => return Err(self.is_array(*name)),
            },
            Expr::Field(number) => {
                let number = self.field_number(number)?;
                self.append_field(number, out)?;
            }
            Expr::Element(name, list) => {
                let mut key = self.buffer();
                self.subscript(list, &mut key)?;
                let array = self.array(*name)?;
                array.borrow_mut().entry(&key).append(&self.settings.convfmt, out);
                self.spare.push(key);
            }
            Expr::Concat(list) => {
                for part in list {
                    self.append(part, out)?;
                }
            }
            Expr::Builtin(Builtin::Sprintf, arguments) => {
                let text = self.formatted(arguments)?;
                out.extend_from_slice(&text);
                self.spare.push(text);
            }
            expr => self.value(expr)?.append(&self.settings.convfmt, out),
        }
        Ok(())
    }

    /// The same as print does it: numbers are written as OFMT says.
    pub(super) fn append_printed(&mut self, expr: &'a Expr, out: &mut Vec<u8>) -> Done<()> {
        match expr {
            Expr::String(_) | Expr::Concat(_) => self.append(expr, out),
            Expr::Field(number) => {
                let number = self.field_number(number)?;
                self.ready(number)?;
                self.record.append(number, &self.settings.ofmt, out);
                Ok(())
            }
            Expr::Variable(name) if matches!(self.cell(*name), Some(Cell::Scalar(_))) => {
                if let Some(Cell::Scalar(value)) = self.cell(*name) {
                    value.append(&self.settings.ofmt, out);
                }
                Ok(())
            }
            expr => {
                self.value(expr)?.append(&self.settings.ofmt, out);
                Ok(())
            }
        }
    }

    pub(super) fn append_field(&mut self, number: usize, out: &mut Vec<u8>) -> Done<()> {
        self.ready(number)?;
        self.record.append(number, &self.settings.convfmt, out);
        Ok(())
    }

    /// The value as a string.
    pub(super) fn text(&mut self, expr: &'a Expr) -> Done<Text> {
        Ok(self.value(expr)?.text(&self.settings.convfmt))
    }

    /// The expression that something is when it is matched with.
    pub(super) fn pattern(&mut self, expr: &'a Expr) -> Done<Pattern> {
        match expr {
            Expr::Regexp(pattern) => Ok(pattern.clone()),
            other => {
                let mut text = self.buffer();
                self.append(other, &mut text)?;
                let pattern = self.compiled(&text)?;
                self.spare.push(text);
                Ok(pattern)
            }
        }
    }

    fn matches(&mut self, text: &'a Expr, pattern: &'a Expr) -> Done<bool> {
        if let Expr::Field(number) = text
            && let Expr::Regexp(pattern) = pattern
        {
            let number = self.field_number(number)?;
            self.ready(number)?;
            if let Some(bytes) = self.record.bytes(number) {
                return Ok(pattern.borrow_mut().matches(bytes));
            }
        }
        let mut bytes = self.buffer();
        self.append(text, &mut bytes)?;
        let pattern = self.pattern(pattern)?;
        let found = pattern.borrow_mut().matches(&bytes);
        self.spare.push(bytes);
        Ok(found)
    }

    fn compare(&mut self, comparison: Comparison, left: &'a Expr, right: &'a Expr) -> Done<bool> {
        // A field with a constant: without a copy of the field.
        if let Expr::Field(number) = left
            && matches!(right, Expr::Number(_) | Expr::String(_))
        {
            let number = self.field_number(number)?;
            self.ready(number)?;
            if let Some(bytes) = self.record.bytes(number) {
                let order = match right {
                    Expr::Number(n) => match numeric(bytes) {
                        Some(field) => field.partial_cmp(n),
                        None => {
                            let mut text = Vec::new();
                            append_number(*n, &self.settings.convfmt, &mut text);
                            Some(bytes.cmp(&text))
                        }
                    },
                    Expr::String(text) => Some(bytes.cmp(text)),
                    _ => None,
                };
                return Ok(holds(comparison, order));
            }
        }
        let left = self.value(left)?;
        let right = self.value(right)?;
        Ok(holds(comparison, compare(&left, &right, &self.settings.convfmt)))
    }
}

fn holds(comparison: Comparison, order: Option<Ordering>) -> bool {
    match comparison {
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::Unequal => order != Some(Ordering::Equal),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}

fn compute(operator: Arithmetic, a: f64, b: f64) -> Done<f64> {
    Ok(match operator {
        Arithmetic::Add => a + b,
        Arithmetic::Subtract => a - b,
        Arithmetic::Multiply => a * b,
        Arithmetic::Divide if b == 0.0 => return Err("division by zero".into()),
        Arithmetic::Divide => a / b,
        Arithmetic::Remainder if b == 0.0 => return Err("division by zero in %".into()),
        Arithmetic::Remainder => remainder(a, b),
        Arithmetic::Power => power(a, b),
    })
}

fn remainder(a: f64, b: f64) -> f64 {
    // Whole numbers that are exact, by the processor.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let (x, y) = (a as i64, b as i64);
    if a.abs() < EXACT && b.abs() < EXACT && x as f64 == a && y as f64 == b && x > 0 {
        (x % y) as f64
    } else {
        libm::fmod(a, b)
    }
}

fn power(a: f64, b: f64) -> f64 {
    // Whole powers by multiplication, so that those of whole numbers are whole.
    if (0.0..=64.0).contains(&b) && libm::trunc(b) == b && libm::trunc(a) == a {
        let (mut n, mut square, mut product) = (b as u32, a, 1.0);
        while n > 0 {
            if n & 1 != 0 {
                product *= square;
            }
            square *= square;
            n >>= 1;
        }
        return product;
    }
    libm::pow(a, b)
}
