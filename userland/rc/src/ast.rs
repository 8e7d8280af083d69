//! The tree that the parser makes of a command, and that functions are kept as.
//!
//! Commands are counted references: a function body is shared by the function, by the command that runs it (which may
//! redefine it meanwhile) and by child processes on the test host.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A command that may be shared.
pub type Body = Arc<Cmd>;

/// A command. The comment shows how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cmd {
    /// Nothing: it changes nothing, the status neither.
    Empty,
    /// `name word ...`
    Simple(Vec<Word>),
    /// `>file cmd >[2=1]`: redirections from left to right around a command.
    Redir(Vec<Redir>, Body),
    /// `a=1 b=(2 3) cmd`; without a command the variables stay assigned.
    Assign(Vec<(Word, Word)>, Option<Body>),
    /// `a | b |[2] c`: the first command and those that follow, each with its connection.
    Pipe(Body, Vec<(Conn, Body)>),
    /// `a && b || c`, from left to right; true for `&&`.
    AndOr(Body, Vec<(bool, Body)>),
    /// `! cmd`
    Not(Body),
    /// `a; b` or lines.
    Seq(Vec<Body>),
    /// `cmd &`
    Async(Body),
    /// `{ body }`
    Brace(Body),
    /// `@ cmd`
    Subshell(Body),
    /// `if(cond) cmd`
    If(Body, Body),
    /// `if not cmd`
    IfNot(Body),
    /// `for(var in list) cmd`; without a list it is `$*`.
    For(Word, Option<Vec<Word>>, Body),
    /// `while(cond) cmd`
    While(Body, Body),
    /// `switch(word){ case pattern ... }`: each case's patterns and commands.
    Switch(Word, Vec<(Vec<Word>, Body)>),
    /// `fn name ... { body }`, without a body the functions are removed.
    Fn(Vec<Word>, Option<Body>),
    /// `~ subject pattern ...`
    Match(Word, Vec<Word>),
}

/// A word before it is evaluated; each gives a list of strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Text; `glob` when it was not quoted and holds `*`, `?` or `[`.
    Lit {
        /// The text without its quotes.
        text: String,
        /// Whether `*`, `?` and `[` are patterns.
        glob: bool,
    },
    /// `$name`
    Var(Arc<Word>),
    /// `$name(1 3-5)`
    Sub(Arc<Word>, Vec<Word>),
    /// `$#name`
    Count(Arc<Word>),
    /// `$"name`
    Flat(Arc<Word>),
    /// `a^b`, carets written or implied.
    Concat(Vec<Word>),
    /// `(a b c)`
    List(Vec<Word>),
    /// `` `{ body } `` or `` `split{ body } ``
    Backquote(Option<Arc<Word>>, Body),
    /// `<{ body }` and the like: the name of a pipe to a command.
    Process(Direction, Body),
}

impl Word {
    /// A literal without patterns.
    pub fn plain(text: &str) -> Word {
        Word::Lit { text: text.into(), glob: false }
    }
}

/// Which way data flows through `<{}`, `>{}`, `<>{}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the command.
    In,
    /// To the command.
    Out,
    /// Both.
    Both,
}

/// The descriptors that `|[left=right]` connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conn {
    /// Written by the left command, 1 unless told otherwise.
    pub left: i32,
    /// Read by the right command, 0 unless told otherwise.
    pub right: i32,
}

/// How a redirection opens its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `<`
    Read,
    /// `>`: create or truncate.
    Write,
    /// `>>`: write at the end.
    Append,
    /// `<>`: read and write, not truncated.
    ReadWrite,
}

/// A redirection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redir {
    /// `>[fd] file`
    Open(Mode, i32, Word),
    /// `<<[fd] tag` with the text up to the line that is the tag.
    Here {
        /// The descriptor it is read from.
        fd: i32,
        /// The line that ends it.
        tag: String,
        /// A quoted tag keeps `$` as it is.
        quoted: bool,
        /// The lines.
        text: String,
    },
    /// `>[to=from]`
    Dup {
        /// The descriptor that changes.
        to: i32,
        /// What it becomes a copy of.
        from: i32,
    },
    /// `>[fd=]`
    Close(i32),
}
