//! Variables, elements and fields as things that are set.

use alloc::format;
use alloc::vec::Vec;

use super::printf::Format;
use super::record::{self, Separator};
use super::run::{Done, Machine};
use super::streams::Ending;
use super::table::Array;
use super::tree::{Expr, Name, Special};
use super::value::Value;

/// What a variable is.
#[derive(Clone)]
pub(super) enum Cell {
    Scalar(Value),
    Array(Array),
    /// Not known yet. An argument has the variable of the caller's that it is, since it becomes what this one becomes.
    Untyped(Option<Origin>),
}

#[derive(Clone, Copy)]
pub(super) enum Origin {
    Global(usize),
    /// Counted over all functions that run.
    Local(usize),
}

impl<'a> Machine<'a> {
    fn origin(&self, name: Name) -> Origin {
        match name {
            Name::Global(number) => Origin::Global(number),
            Name::Local(number) => Origin::Local(self.base + number),
        }
    }

    fn at(&self, origin: Origin) -> Option<&Cell> {
        match origin {
            Origin::Global(number) => self.globals.get(number),
            Origin::Local(number) => self.locals.get(number),
        }
    }

    fn at_mut(&mut self, origin: Origin) -> Option<&mut Cell> {
        match origin {
            Origin::Global(number) => self.globals.get_mut(number),
            Origin::Local(number) => self.locals.get_mut(number),
        }
    }

    pub(super) fn cell(&self, name: Name) -> Option<&Cell> {
        match name {
            Name::Global(number) => self.globals.get(number),
            Name::Local(number) => self.locals.get(self.base + number),
        }
    }

    /// A variable as an argument.
    pub(super) fn passed(&self, name: Name) -> Cell {
        match self.cell(name) {
            Some(Cell::Untyped(_)) | None => Cell::Untyped(Some(self.origin(name))),
            Some(cell) => cell.clone(),
        }
    }

    /// The array that a name is, or becomes.
    pub(super) fn array(&mut self, name: Name) -> Done<Array> {
        if let Some(Cell::Array(array)) = self.cell(name) {
            return Ok(array.clone());
        }
        // All that it is the argument of become the same array.
        let mut same = Vec::new();
        let mut next = Some(self.origin(name));
        let mut array = None;
        while let Some(origin) = next {
            next = match self.at(origin) {
                Some(Cell::Untyped(from)) => {
                    same.push(origin);
                    *from
                }
                Some(Cell::Array(there)) => {
                    array = Some(there.clone());
                    None
                }
                _ => return Err(format!("can't use {} as an array", self.name(name)).into()),
            };
        }
        let array = array.unwrap_or_default();
        for origin in same {
            if let Some(cell) = self.at_mut(origin) {
                *cell = Cell::Array(array.clone());
            }
        }
        Ok(array)
    }

    /// What to call it in a message.
    pub(super) fn name(&self, name: Name) -> &str {
        match name {
            Name::Global(number) => self.program.globals.get(number).map_or("a variable", |name| name),
            Name::Local(_) => "an argument",
        }
    }

    pub(super) fn global_value(&self, special: Special) -> Value {
        match self.globals.get(special as usize) {
            Some(Cell::Scalar(value)) => value.clone(),
            _ => Value::Nothing,
        }
    }

    /// Sets what an expression stands for.
    pub(super) fn assign(&mut self, place: &'a Expr, value: Value) -> Done<()> {
        match place {
            Expr::Variable(name) => self.set_variable(*name, value),
            Expr::Special(number) => self.set_special(*number, value),
            Expr::Element(name, list) => {
                let mut key = self.buffer();
                self.subscript(list, &mut key)?;
                *self.array(*name)?.borrow_mut().entry(&key) = value;
                self.spare.push(key);
                Ok(())
            }
            Expr::Field(number) => {
                let number = self.field_number(number)?;
                self.set_field(number, value)
            }
            _ => Err("assignment to what is no variable".into()),
        }
    }

    pub(super) fn set_variable(&mut self, name: Name, value: Value) -> Done<()> {
        let origin = self.origin(name);
        match self.at_mut(origin) {
            Some(Cell::Array(_)) | None => {
                Err(format!("can't assign to {}; it's an array name", self.name(name)).into())
            }
            Some(cell) => {
                *cell = Cell::Scalar(value);
                Ok(())
            }
        }
    }

    /// Changes a number that is somewhere: the value before and after.
    pub(super) fn update(&mut self, place: &'a Expr, f: impl FnOnce(f64) -> Done<f64>) -> Done<(f64, f64)> {
        match place {
            Expr::Variable(name) => {
                let origin = self.origin(*name);
                let old = match self.at(origin) {
                    Some(Cell::Scalar(value)) => value.number(),
                    Some(Cell::Untyped(_)) => 0.0,
                    _ => {
                        return Err(
                            format!("can't assign to {}; it's an array name", self.name(*name)).into()
                        );
                    }
                };
                let new = f(old)?;
                if let Some(cell) = self.at_mut(origin) {
                    *cell = Cell::Scalar(Value::Number(new));
                }
                Ok((old, new))
            }
            Expr::Element(name, list) => {
                let mut key = self.buffer();
                self.subscript(list, &mut key)?;
                let array = self.array(*name)?;
                let mut table = array.borrow_mut();
                let value = table.entry(&key);
                let old = value.number();
                let new = f(old)?;
                *value = Value::Number(new);
                self.spare.push(key);
                Ok((old, new))
            }
            Expr::Field(number) => {
                let number = self.field_number(number)?;
                self.ready(number)?;
                let old = self.record.number(number);
                let new = f(old)?;
                self.set_field(number, Value::Number(new))?;
                Ok((old, new))
            }
            place => {
                let old = self.number(place)?;
                let new = f(old)?;
                self.assign(place, Value::Number(new))?;
                Ok((old, new))
            }
        }
    }

    /// The number of a field.
    pub(super) fn field_number(&mut self, number: &'a Expr) -> Done<usize> {
        let n = self.number(number)?;
        if n >= 0.0 && n < record::MOST as f64 {
            Ok(n as usize)
        } else {
            Err(format!("trying to access out of range field {n}").into())
        }
    }

    /// Has field `number`, or `$0`, ready to be looked at.
    pub(super) fn ready(&mut self, number: usize) -> Done<()> {
        if number > 0 {
            self.cut();
        } else if self.record.is_stale() {
            self.record.join(&self.settings.ofs, &self.settings.convfmt);
        }
        Ok(())
    }

    pub(super) fn cut(&mut self) {
        let newlines = matches!(self.settings.rs, Ending::Paragraph);
        self.record.cut(&self.settings.fs, newlines);
    }

    fn set_field(&mut self, number: usize, value: Value) -> Done<()> {
        if number == 0 {
            let text = value.text(&self.settings.convfmt);
            self.record.set(&text);
        } else {
            self.cut();
            self.record.set_field(number, value);
        }
        Ok(())
    }

    /// A variable that means something to the language.
    pub(super) fn special(&mut self, number: usize) -> Value {
        match number {
            n if n == Special::Nf as usize => {
                self.cut();
                Value::Number(self.record.count() as f64)
            }
            n if n == Special::Nr as usize => Value::Number(self.nr),
            n if n == Special::Fnr as usize => Value::Number(self.fnr),
            n => match self.globals.get(n) {
                Some(Cell::Scalar(value)) => value.clone(),
                _ => Value::Nothing,
            },
        }
    }

    pub(super) fn set_special(&mut self, number: usize, value: Value) -> Done<()> {
        const NF: usize = Special::Nf as usize;
        const NR: usize = Special::Nr as usize;
        const FNR: usize = Special::Fnr as usize;
        match number {
            NF => {
                self.cut();
                let count = value.number();
                if !(0.0..record::MOST as f64).contains(&count) {
                    return Err(format!("cannot set NF to {count}").into());
                }
                self.record.resize(count as usize);
                return Ok(());
            }
            NR => {
                self.nr = value.number();
                return Ok(());
            }
            FNR => {
                self.fnr = value.number();
                return Ok(());
            }
            _ => {}
        }
        let text = value.text(&self.settings.convfmt);
        match number {
            n if n == Special::Fs as usize => {
                // The record that is there was read with the other one.
                self.cut();
                self.settings.fs = self.separator(&text)?;
            }
            n if n == Special::Rs as usize => {
                self.cut();
                self.settings.rs = match *text {
                    [] => Ending::Paragraph,
                    [byte] => Ending::Byte(byte),
                    _ => Ending::Regexp(self.compiled(&text)?),
                };
            }
            n if n == Special::Ofs as usize => {
                // A record that is to be put together was changed under the old one.
                self.ready(0)?;
                self.settings.ofs = text;
            }
            n if n == Special::Ors as usize => self.settings.ors = text,
            n if n == Special::Subsep as usize => self.settings.subsep = text,
            n if n == Special::Convfmt as usize => self.settings.convfmt = Format::parse(&text),
            _ => self.settings.ofmt = Format::parse(&text),
        }
        self.set_cell(number, value);
        Ok(())
    }

    /// What a field separator that is a string means.
    pub(super) fn separator(&mut self, text: &[u8]) -> Done<Separator> {
        Ok(match text {
            b" " => Separator::Blanks,
            b"" => Separator::None,
            [byte] if byte.is_ascii() && *byte != b'\\' => Separator::Byte(*byte),
            b"\\" => Separator::Byte(b'\\'),
            text => Separator::Regexp(self.compiled(text)?),
        })
    }

    /// The key of an element.
    pub(super) fn subscript(&mut self, list: &'a [Expr], key: &mut Vec<u8>) -> Done<()> {
        for (n, expr) in list.iter().enumerate() {
            if n > 0 {
                key.extend_from_slice(&self.settings.subsep);
            }
            self.append(expr, key)?;
        }
        Ok(())
    }

    /// Calls a function of the program.
    pub(super) fn call(&mut self, number: usize, arguments: &'a [Expr]) -> Done<Value> {
        let program = self.program;
        let Some(function) = program.functions.get(number) else { return Err("no such function".into()) };
        if !self.has_stack() {
            return Err(format!("function {} is called too deeply", function.name).into());
        }
        let begin = self.locals.len();
        for argument in arguments {
            let cell = match argument {
                Expr::Variable(name) => self.passed(*name),
                other => Cell::Scalar(self.value(other)?),
            };
            self.locals.push(cell);
        }
        self.locals.resize(begin + function.parameters, Cell::Untyped(None));
        let base = core::mem::replace(&mut self.base, begin);
        let line = self.line;
        let flow = self.block(&function.body);
        self.base = base;
        self.locals.truncate(begin);
        Ok(match flow? {
            super::run::Flow::Return(value) => {
                self.line = line;
                value
            }
            _ => {
                self.line = line;
                Value::Nothing
            }
        })
    }
}
