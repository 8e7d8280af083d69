//! Tokens.

use alloc::string::String;

use crate::ast::{Conn, Mode};

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tok {
    /// A word or a quoted string.
    Word(String, Quoted),
    /// `$`
    Dollar,
    /// `$#`
    Count,
    /// `$"`
    Flat,
    /// `` ` ``
    Backquote,
    /// `(`
    Lparen,
    /// `)`
    Rparen,
    /// `{`
    Lbrace,
    /// `}`
    Rbrace,
    /// `;`
    Semi,
    /// End of a line.
    Newline,
    /// `&`
    Amp,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `|`, `|[2=3]`
    Pipe(Conn),
    /// `^`
    Caret,
    /// `=`
    Eq,
    /// `>` and the like with its descriptor, and whether that was written.
    Redir(Mode, i32, bool),
    /// `<<`
    Here(i32),
    /// `>[to=from]`
    Dup(i32, i32),
    /// `>[fd=]`
    Close(i32),
    /// End of the source.
    Eof,
}

/// Was a word written in quotes? Only bare words are keywords or patterns.
pub type Quoted = bool;

/// A token and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub tok: Tok,
    /// No blank between it and a word before it: that is where carets are implied.
    pub glued: bool,
}

impl Tok {
    /// The token as a message names it; a newline has no name.
    pub fn name(&self) -> String {
        let text = match self {
            Tok::Word(text, _) => text,
            Tok::Dollar => "$",
            Tok::Count => "$#",
            Tok::Flat => "$\"",
            Tok::Backquote => "`",
            Tok::Lparen => "(",
            Tok::Rparen => ")",
            Tok::Lbrace => "{",
            Tok::Rbrace => "}",
            Tok::Semi => ";",
            Tok::Newline => "",
            Tok::Amp => "&",
            Tok::And => "&&",
            Tok::Or => "||",
            Tok::Pipe(_) => "|",
            Tok::Caret => "^",
            Tok::Eq => "=",
            Tok::Redir(Mode::Read, ..) | Tok::Here(_) => "<",
            Tok::Redir(Mode::Append, ..) => ">>",
            Tok::Redir(Mode::ReadWrite, ..) => "<>",
            Tok::Redir(Mode::Write, ..) | Tok::Dup(..) | Tok::Close(_) => ">",
            Tok::Eof => "EOF",
        };
        text.into()
    }
}
