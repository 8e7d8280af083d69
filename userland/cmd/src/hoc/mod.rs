//! hoc's language: arithmetic, variables, functions. A statement is read, made a tree, and run at once; [`Hoc::run`]
//! takes them from lines that come one by one, so that a person gets each answer before the next question.

mod eval;
mod lex;
mod parse;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use lex::Lexer;

/// What the language needs of the world.
pub trait Io {
    /// The next line of the program, with its newline; nothing at the end.
    fn line(&mut self) -> Option<String>;
    /// Prints.
    fn print(&mut self, text: &str);
    /// Says what is wrong near a line of the program.
    fn complain(&mut self, what: &str, line: u32);
    /// Something was wrong: what is left of a program that is a file is not run any more.
    fn forget(&mut self) {}
    /// The next word of the input that `read` reads.
    fn word(&mut self) -> Option<String>;
}

/// Names, and what they are. It outlives the files of a program.
pub struct Hoc {
    variables: BTreeMap<String, f64>,
    functions: BTreeMap<String, Rc<Function>>,
    /// Arguments of the functions that run, the innermost last.
    frames: Vec<Vec<(String, f64)>>,
    /// How deep the evaluation is.
    depth: u32,
}

/// A function, or a procedure, which gives no value.
struct Function {
    gives: bool,
    parameters: Vec<String>,
    body: Statement,
}

/// A step of a program.
enum Statement {
    Expression(Expression),
    Print(Vec<Printed>),
    Block(Vec<Statement>),
    If(Expression, Box<Statement>, Option<Box<Statement>>),
    While(Expression, Box<Statement>),
    For([Option<Expression>; 3], Box<Statement>),
    Return(Option<Expression>),
    /// A definition.
    Define(String, Rc<Function>),
}

enum Printed {
    Text(String),
    Value(Expression),
}

enum Expression {
    Number(f64),
    Variable(String),
    /// The operator in front of the `=`, if there is one.
    Assign(Option<char>, String, Box<Expression>),
    /// What is added, and whether the value is the one before.
    Step(String, f64, bool),
    Negate(Box<Expression>),
    Not(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    Call(String, Vec<Expression>),
    Read(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Equal,
    Unequal,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

/// What is wrong.
type Fault = String;

impl Default for Hoc {
    fn default() -> Self {
        Hoc::new()
    }
}

impl Hoc {
    /// The language with its constants.
    pub fn new() -> Self {
        let constants = [
            ("PI", core::f64::consts::PI),
            ("E", core::f64::consts::E),
            ("GAMMA", 0.577_215_664_901_532_9),
            ("DEG", 180.0 / core::f64::consts::PI),
            ("PHI", 1.618_033_988_749_895),
            ("PREC", 12.0),
        ];
        let variables = constants.map(|(name, value)| (name.into(), value)).into();
        Hoc { variables, functions: BTreeMap::new(), frames: Vec::new(), depth: 0 }
    }

    /// Runs a program. False when something in it was wrong.
    pub fn run(&mut self, io: &mut dyn Io) -> bool {
        let mut lexer = Lexer::default();
        let mut good = true;
        loop {
            let done = match parse::statement(&mut lexer, io) {
                Ok(None) => return good,
                Ok(Some(statement)) => self.top(&statement, io),
                Err(fault) => {
                    lexer.skip_line();
                    Err(fault)
                }
            };
            if let Err(fault) = done {
                self.frames.clear();
                self.depth = 0;
                good = false;
                io.complain(&fault, lexer.line());
                io.forget();
            }
        }
    }

    /// Runs a statement that stands by itself: the value of an expression is printed, unless it is an assignment.
    fn top(&mut self, statement: &Statement, io: &mut dyn Io) -> Result<(), Fault> {
        if let Statement::Expression(expression) = statement
            && !matches!(expression, Expression::Assign(..))
            && !self.is_procedure_call(expression)
        {
            let value = self.value(expression, io)?;
            self.variables.insert("_".into(), value);
            let text = self.shown(value);
            io.print(&text);
            io.print("\n");
            return Ok(());
        }
        match self.execute(statement, io)? {
            eval::Flow::Next => Ok(()),
            eval::Flow::Return(_) => Err("return used outside definition".into()),
        }
    }

    /// A number as it is printed: as many digits as `PREC` says.
    fn shown(&self, value: f64) -> String {
        let digits = self.variables.get("PREC").map_or(12.0, |p| p.clamp(1.0, 30.0));
        crate::floats::Format::general(Some(digits as usize)).apply(value)
    }
}
