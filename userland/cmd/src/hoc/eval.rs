//! Running trees.

use alloc::format;
use alloc::vec::Vec;

use super::{Expression, Fault, Hoc, Io, Operator, Printed, Statement};

/// Functions that call this one that there may be: they use the stack.
const DEEP: u32 = 2500;

/// How a statement leaves.
pub(super) enum Flow {
    Next,
    Return(Option<f64>),
}

impl Hoc {
    pub(super) fn execute(&mut self, statement: &Statement, io: &mut dyn Io) -> Result<Flow, Fault> {
        self.deeper()?;
        let done = self.execute_inside(statement, io);
        self.depth -= 1;
        done
    }

    fn execute_inside(&mut self, statement: &Statement, io: &mut dyn Io) -> Result<Flow, Fault> {
        match statement {
            Statement::Expression(expression) if self.is_procedure_call(expression) => {
                self.call(expression, io)?;
            }
            Statement::Expression(expression) => {
                self.value(expression, io)?;
            }
            Statement::Print(list) => {
                for part in list {
                    match part {
                        Printed::Text(text) => io.print(text),
                        Printed::Value(value) => {
                            let value = self.value(value, io)?;
                            let text = self.shown(value);
                            io.print(&text);
                            io.print(" ");
                        }
                    }
                }
            }
            Statement::Block(list) => {
                for statement in list {
                    if let flow @ Flow::Return(_) = self.execute(statement, io)? {
                        return Ok(flow);
                    }
                }
            }
            Statement::If(condition, body, other) => {
                if self.value(condition, io)? != 0.0 {
                    return self.execute(body, io);
                }
                if let Some(other) = other {
                    return self.execute(other, io);
                }
            }
            Statement::While(condition, body) => {
                while self.value(condition, io)? != 0.0 {
                    if let flow @ Flow::Return(_) = self.execute(body, io)? {
                        return Ok(flow);
                    }
                }
            }
            Statement::For([begin, condition, step], body) => {
                if let Some(begin) = begin {
                    self.value(begin, io)?;
                }
                while match condition {
                    Some(condition) => self.value(condition, io)? != 0.0,
                    None => true,
                } {
                    if let flow @ Flow::Return(_) = self.execute(body, io)? {
                        return Ok(flow);
                    }
                    if let Some(step) = step {
                        self.value(step, io)?;
                    }
                }
            }
            Statement::Return(value) => {
                let value = match value {
                    Some(value) => Some(self.value(value, io)?),
                    None => None,
                };
                return Ok(Flow::Return(value));
            }
            Statement::Define(name, function) => {
                if builtin(name).is_some() {
                    return Err(format!("{name} is built in"));
                }
                self.functions.insert(name.clone(), function.clone());
            }
        }
        Ok(Flow::Next)
    }

    fn deeper(&mut self) -> Result<(), Fault> {
        if self.depth >= DEEP {
            return Err("call nested too deeply".into());
        }
        self.depth += 1;
        Ok(())
    }

    pub(super) fn value(&mut self, expression: &Expression, io: &mut dyn Io) -> Result<f64, Fault> {
        self.deeper()?;
        let value = self.value_inside(expression, io);
        self.depth -= 1;
        value
    }

    fn value_inside(&mut self, expression: &Expression, io: &mut dyn Io) -> Result<f64, Fault> {
        Ok(match expression {
            Expression::Number(number) => *number,
            Expression::Variable(name) => self.variable(name)?,
            Expression::Assign(operator, name, value) => {
                let value = self.value(value, io)?;
                let value = match operator {
                    None => value,
                    Some(operator) => {
                        let operator = match operator {
                            '+' => Operator::Add,
                            '-' => Operator::Subtract,
                            '*' => Operator::Multiply,
                            '/' => Operator::Divide,
                            '%' => Operator::Remainder,
                            _ => Operator::Power,
                        };
                        compute(operator, self.variable(name)?, value)?
                    }
                };
                self.set(name, value);
                value
            }
            Expression::Step(name, step, before) => {
                let old = self.variable(name)?;
                self.set(name, old + step);
                if *before { old } else { old + step }
            }
            Expression::Negate(value) => -self.value(value, io)?,
            Expression::Not(value) => truth(self.value(value, io)? == 0.0),
            Expression::Binary(Operator::And, left, right) => {
                truth(self.value(left, io)? != 0.0 && self.value(right, io)? != 0.0)
            }
            Expression::Binary(Operator::Or, left, right) => {
                truth(self.value(left, io)? != 0.0 || self.value(right, io)? != 0.0)
            }
            Expression::Binary(operator, left, right) => {
                let left = self.value(left, io)?;
                compute(*operator, left, self.value(right, io)?)?
            }
            Expression::Call(name, arguments) => match (builtin(name), arguments.as_slice()) {
                (Some(function), [argument]) => {
                    let argument = self.value(argument, io)?;
                    let value = function(argument);
                    if value.is_nan() && !argument.is_nan() {
                        return Err(format!("{name} argument out of domain"));
                    }
                    if value.is_infinite() && argument.is_finite() {
                        return Err(format!("{name} result out of range"));
                    }
                    value
                }
                (Some(_), _) => return Err(format!("{name} takes one argument")),
                (None, _) => self.call(expression, io)?.ok_or_else(|| format!("{name} returns no value"))?,
            },
            Expression::Read(name) => match io.word() {
                None => 0.0,
                Some(word) => {
                    let number = word.parse().map_err(|_| format!("non-number read into {name}"))?;
                    self.set(name, number);
                    1.0
                }
            },
        })
    }

    /// Does the expression only call a procedure?
    pub(super) fn is_procedure_call(&self, expression: &Expression) -> bool {
        matches!(expression, Expression::Call(name, _) if self.functions.get(name).is_some_and(|f| !f.gives))
    }

    /// Runs a function that was defined.
    fn call(&mut self, expression: &Expression, io: &mut dyn Io) -> Result<Option<f64>, Fault> {
        let Expression::Call(name, arguments) = expression else { return Ok(None) };
        let function = self.functions.get(name).cloned().ok_or_else(|| format!("{name} is not defined"))?;
        if function.parameters.len() != arguments.len() {
            return Err(format!("{name} takes {} arguments", function.parameters.len()));
        }
        let mut frame = Vec::with_capacity(arguments.len());
        for (parameter, argument) in function.parameters.iter().zip(arguments) {
            frame.push((parameter.clone(), self.value(argument, io)?));
        }
        self.frames.push(frame);
        let flow = self.execute(&function.body, io);
        self.frames.pop();
        match flow? {
            Flow::Return(None) if function.gives => Err(format!("{name} (func) returns no value")),
            Flow::Return(Some(_)) if !function.gives => Err(format!("{name} (proc) returns value")),
            Flow::Return(value) => Ok(value),
            Flow::Next => Ok(None),
        }
    }

    fn variable(&self, name: &str) -> Result<f64, Fault> {
        let argument = self.frames.last().and_then(|frame| frame.iter().find(|(n, _)| n == name));
        let value = argument.map(|(_, value)| *value).or_else(|| self.variables.get(name).copied());
        value.ok_or_else(|| format!("undefined variable {name}"))
    }

    fn set(&mut self, name: &str, value: f64) {
        let argument = self.frames.last_mut().and_then(|frame| frame.iter_mut().find(|(n, _)| n == name));
        match argument {
            Some((_, place)) => *place = value,
            None => {
                self.variables.insert(name.into(), value);
            }
        }
    }
}

fn truth(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

fn compute(operator: Operator, a: f64, b: f64) -> Result<f64, Fault> {
    Ok(match operator {
        Operator::Or => truth(a != 0.0 || b != 0.0),
        Operator::And => truth(a != 0.0 && b != 0.0),
        Operator::Greater => truth(a > b),
        Operator::GreaterEqual => truth(a >= b),
        Operator::Less => truth(a < b),
        Operator::LessEqual => truth(a <= b),
        Operator::Equal => truth(a == b),
        Operator::Unequal => truth(a != b),
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide | Operator::Remainder if b == 0.0 => return Err("division by zero".into()),
        Operator::Divide => a / b,
        Operator::Remainder => libm::fmod(a, b),
        Operator::Power => {
            let value = libm::pow(a, b);
            if value.is_nan() && !a.is_nan() && !b.is_nan() {
                return Err("exponentiation argument out of domain".into());
            }
            if value.is_infinite() && a.is_finite() && b.is_finite() {
                return Err("exponentiation result out of range".into());
            }
            value
        }
    })
}

fn builtin(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => libm::fabs,
        "acos" => libm::acos,
        "asin" => libm::asin,
        "atan" => libm::atan,
        "cos" => libm::cos,
        "cosh" => libm::cosh,
        "exp" => libm::exp,
        "int" => libm::trunc,
        "log" => libm::log,
        "log10" => libm::log10,
        "sin" => libm::sin,
        "sinh" => libm::sinh,
        "sqrt" => libm::sqrt,
        "tan" => libm::tan,
        "tanh" => libm::tanh,
        _ => return None,
    })
}
