//! What the names of a program are: arguments of the function that is being read, global variables, functions.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use super::parse::Parsed;
use super::tree::{Expr, Name, Special};

/// The names seen so far.
pub(super) struct Names {
    pub(super) globals: Vec<Rc<str>>,
    numbers: BTreeMap<Rc<str>, usize>,
    functions: BTreeMap<Rc<str>, Function>,
    locals: Vec<Rc<str>>,
}

struct Function {
    number: usize,
    /// Once it is defined.
    parameters: Option<usize>,
    /// The most arguments that it was called with.
    arguments: usize,
}

impl Names {
    pub(super) fn new() -> Names {
        let mut names = Names {
            globals: Vec::new(),
            numbers: BTreeMap::new(),
            functions: BTreeMap::new(),
            locals: Vec::new(),
        };
        for name in Special::NAMES {
            names.global(&Rc::from(name));
        }
        names
    }

    /// The number of a global variable, which is made if it is new.
    fn global(&mut self, name: &Rc<str>) -> usize {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.globals.len();
        self.globals.push(name.clone());
        self.numbers.insert(name.clone(), number);
        number
    }

    fn resolve(&mut self, name: &Rc<str>) -> Parsed<Name> {
        if let Some(at) = self.locals.iter().position(|local| local == name) {
            return Ok(Name::Local(at));
        }
        if self.functions.contains_key(name) {
            return Err(format!("{name} is a function"));
        }
        Ok(Name::Global(self.global(name)))
    }

    /// A name that stands by itself.
    pub(super) fn variable(&mut self, name: &Rc<str>) -> Parsed<Expr> {
        Ok(match self.resolve(name)? {
            Name::Global(number) if number < Special::LIVELY => Expr::Special(number),
            name => Expr::Variable(name),
        })
    }

    /// The name of an array.
    pub(super) fn array(&mut self, name: &Rc<str>) -> Parsed<Name> {
        match self.resolve(name)? {
            Name::Global(number)
                if Special::NAMES.get(number).is_some_and(|n| !matches!(*n, "ENVIRON" | "ARGV")) =>
            {
                Err(format!("{name} is not an array"))
            }
            name => Ok(name),
        }
    }

    pub(super) fn is_function(&self, name: &str) -> bool {
        self.functions.contains_key(name)
    }

    fn function(&mut self, name: &Rc<str>) -> &mut Function {
        let number = self.functions.len();
        self.functions.entry(name.clone()).or_insert(Function { number, parameters: None, arguments: 0 })
    }

    /// The number of a function that is called.
    pub(super) fn call(&mut self, name: &Rc<str>, arguments: usize) -> usize {
        let function = self.function(name);
        function.arguments = function.arguments.max(arguments);
        function.number
    }

    /// A function begins; until [`Names::leave`] its parameters are known.
    pub(super) fn define(&mut self, name: &Rc<str>, parameters: Vec<Rc<str>>) -> Parsed<usize> {
        let function = self.function(name);
        if function.parameters.is_some() {
            return Err(format!("function {name} is defined twice"));
        }
        function.parameters = Some(parameters.len());
        let number = function.number;
        self.locals = parameters;
        Ok(number)
    }

    /// The function's end.
    pub(super) fn leave(&mut self) {
        self.locals.clear();
    }

    /// At the program's end: is everything that is called there, and as it is called?
    pub(super) fn check(&self) -> Result<(), String> {
        for (name, function) in &self.functions {
            if self.numbers.contains_key(name) {
                return Err(format!("{name} is a function and a variable"));
            }
            match function.parameters {
                None => return Err(format!("calling undefined function {name}")),
                Some(parameters) if parameters < function.arguments => {
                    return Err(format!(
                        "function {name} called with {} arguments, takes {parameters}",
                        function.arguments
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}
