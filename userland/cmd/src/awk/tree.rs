//! A program as a tree, in which every name has become a number.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::value::Text;
use crate::regexp::Finder;

/// An expression that is written between slashes.
pub(super) type Pattern = Rc<RefCell<Finder>>;

/// A parsed program.
pub struct Program {
    pub(super) begin: Vec<Block>,
    pub(super) rules: Vec<Rule>,
    pub(super) end: Vec<Block>,
    pub(super) functions: Vec<Function>,
    /// Names of the global variables; those of [`Special`] are the first.
    pub(super) globals: Vec<Rc<str>>,
}

pub(super) struct Function {
    pub(super) name: Rc<str>,
    /// How many arguments it takes, with those that are its variables.
    pub(super) parameters: usize,
    pub(super) body: Block,
}

/// A pattern and what is done; `None` prints the record.
pub(super) struct Rule {
    pub(super) when: When,
    pub(super) action: Option<Block>,
}

pub(super) enum When {
    Always,
    True(Expr),
    /// From a record to a record; the number is the range's own.
    Range(Expr, Expr, usize),
}

pub(super) type Block = Vec<Statement>;

/// A statement and its line.
pub(super) struct Statement {
    pub(super) line: u32,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Nothing,
    Do(Expr),
    Print(Vec<Expr>, Option<Redirection>),
    Printf(Vec<Expr>, Option<Redirection>),
    Block(Block),
    If(Expr, Box<Statement>, Option<Box<Statement>>),
    While(Expr, Box<Statement>),
    DoWhile(Box<Statement>, Expr),
    For(Option<Box<Statement>>, Option<Expr>, Option<Box<Statement>>, Box<Statement>),
    ForIn(Expr, Name, Box<Statement>),
    Break,
    Continue,
    Next,
    NextFile,
    Exit(Option<Expr>),
    Return(Option<Expr>),
    Delete(Name, Vec<Expr>),
    DeleteAll(Name),
}

/// Where a print goes.
pub(super) struct Redirection {
    pub(super) way: Way,
    pub(super) to: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    File,
    Append,
    Pipe,
}

/// A variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Global(usize),
    /// An argument of the function.
    Local(usize),
}

/// Variables that mean something to the language itself, numbered as they are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Special {
    Nf,
    Nr,
    Fnr,
    Fs,
    Ofs,
    Rs,
    Ors,
    Subsep,
    Convfmt,
    Ofmt,
    Rstart,
    Rlength,
    Filename,
    Environ,
    Argc,
    Argv,
}

impl Special {
    /// Their names, in their order.
    pub(super) const NAMES: [&'static str; 16] = [
        "NF", "NR", "FNR", "FS", "OFS", "RS", "ORS", "SUBSEP", "CONVFMT", "OFMT", "RSTART", "RLENGTH",
        "FILENAME", "ENVIRON", "ARGC", "ARGV",
    ];

    /// The first so many do something when they are set, or are made up when they are asked for.
    pub(super) const LIVELY: usize = Special::Ofmt as usize + 1;
}

pub(super) enum Expr {
    Number(f64),
    String(Text),
    /// Does the record match?
    Regexp(Pattern),
    Variable(Name),
    /// One of [`Special::LIVELY`].
    Special(usize),
    Element(Name, Vec<Expr>),
    Field(Box<Expr>),
    Assign(Box<Expr>, Box<Expr>),
    Update(Arithmetic, Box<Expr>, Box<Expr>),
    /// What is added, and whether the value is the one from before.
    Step(Box<Expr>, f64, bool),
    Either(Box<[Expr; 3]>),
    And(Box<[Expr; 2]>),
    Or(Box<[Expr; 2]>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Plus(Box<Expr>),
    Arithmetic(Arithmetic, Box<[Expr; 2]>),
    Compare(Comparison, Box<[Expr; 2]>),
    Concat(Vec<Expr>),
    /// Whether it is to match, the text, the expression.
    Match(bool, Box<[Expr; 2]>),
    In(Vec<Expr>, Name),
    /// Several in parentheses: before `in`, or what is printed.
    Group(Vec<Expr>),
    Call(usize, Vec<Expr>),
    Builtin(Builtin, Vec<Expr>),
    /// From where, and the variable, or `$0`.
    Getline(Source, Option<Box<Expr>>),
}

pub(super) enum Source {
    Main,
    File(Box<Expr>),
    Pipe(Box<Expr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessEqual,
    Equal,
    Unequal,
    Greater,
    GreaterEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Builtin {
    Length,
    Substr,
    Index,
    Split,
    Sub,
    Gsub,
    Match,
    Sprintf,
    Sin,
    Cos,
    Atan2,
    Exp,
    Log,
    Sqrt,
    Int,
    Rand,
    Srand,
    ToLower,
    ToUpper,
    System,
    Close,
    Flush,
    Utf,
}

impl Builtin {
    /// By its name, with the least and the most arguments that it takes.
    pub(super) fn find(name: &str) -> Option<(Builtin, usize, usize)> {
        Some(match name {
            "length" => (Builtin::Length, 0, 1),
            "substr" => (Builtin::Substr, 2, 3),
            "index" => (Builtin::Index, 2, 2),
            "split" => (Builtin::Split, 2, 3),
            "sub" => (Builtin::Sub, 2, 3),
            "gsub" => (Builtin::Gsub, 2, 3),
            "match" => (Builtin::Match, 2, 2),
            "sprintf" => (Builtin::Sprintf, 1, usize::MAX),
            "sin" => (Builtin::Sin, 1, 1),
            "cos" => (Builtin::Cos, 1, 1),
            "atan2" => (Builtin::Atan2, 2, 2),
            "exp" => (Builtin::Exp, 1, 1),
            "log" => (Builtin::Log, 1, 1),
            "sqrt" => (Builtin::Sqrt, 1, 1),
            "int" => (Builtin::Int, 1, 1),
            "rand" => (Builtin::Rand, 0, 0),
            "srand" => (Builtin::Srand, 0, 1),
            "tolower" => (Builtin::ToLower, 1, 1),
            "toupper" => (Builtin::ToUpper, 1, 1),
            "system" => (Builtin::System, 1, 1),
            "close" => (Builtin::Close, 1, 1),
            "fflush" => (Builtin::Flush, 0, 1),
            "utf" => (Builtin::Utf, 1, 1),
            _ => return None,
        })
    }
}
