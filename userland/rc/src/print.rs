//! Commands as text, for `whatis` and for functions in the environment. What is printed parses to the same tree.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Display, Write};

use crate::ast::{Body, Cmd, Direction, Mode, Redir, Word};
use crate::lex::word_char;

/// `text` so that it is read back as one word without patterns.
pub fn quote(text: &str) -> String {
    let bare = !text.is_empty() && text.chars().all(|c| word_char(c) && !matches!(c, '*' | '?' | '[' | '\\'));
    if bare && !is_keyword(text) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        if c == '\'' {
            out.push('\'');
        }
        out.push(c);
    }
    out.push('\'');
    out
}

/// Words that mean something at the beginning of a command (or, as `in`, behind another one).
fn is_keyword(text: &str) -> bool {
    ["for", "in", "while", "if", "not", "~", "!", "@", "switch", "fn", "case"].contains(&text)
}

/// A list as `whatis` shows it: one word bare, any other number in parentheses.
pub fn list(words: &[String]) -> String {
    match words {
        [one] => quote(one),
        _ => {
            let mut out = String::from("(");
            for (i, word) in words.iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                out.push_str(&quote(word));
            }
            out.push(')');
            out
        }
    }
}

/// The definition of a function, with a newline at the end.
pub fn function(name: &str, body: &Body) -> String {
    let mut printer = Printer::default();
    let _ = printer.function(&[Word::plain(name)], Some(body));
    printer.newline();
    printer.out
}

impl Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printer = Printer::default();
        printer.cmd(self)?;
        if !printer.here.is_empty() {
            printer.newline();
        }
        f.write_str(printer.out.trim_end_matches('\t'))
    }
}

#[derive(Default)]
struct Printer {
    out: String,
    indent: usize,
    /// Here documents that follow the line being printed: text and tag.
    here: Vec<(String, String)>,
}

impl Printer {
    fn newline(&mut self) {
        self.out.push('\n');
        for (text, tag) in core::mem::take(&mut self.here) {
            self.out.push_str(&text);
            self.out.push_str(&tag);
            self.out.push('\n');
        }
        for _ in 0..self.indent {
            self.out.push('\t');
        }
    }

    /// The inside of braces or parentheses: on the same line when it is one short thing.
    fn inside(&mut self, open: char, cmd: &Body, close: char) -> fmt::Result {
        self.out.push(open);
        let long = matches!(**cmd, Cmd::Seq(_)) || cmd.has_heredoc();
        if long {
            self.indent += 1;
            self.newline();
        }
        self.cmd(cmd)?;
        if long {
            self.indent -= 1;
            self.newline();
        }
        self.out.push(close);
        Ok(())
    }

    fn cmd(&mut self, cmd: &Cmd) -> fmt::Result {
        match cmd {
            Cmd::Empty => {}
            Cmd::Simple(words) => self.words(words)?,
            Cmd::Redir(list, inner) => self.redirected(list, inner)?,
            Cmd::Assign(list, inner) => {
                for (i, (name, value)) in list.iter().enumerate() {
                    if i > 0 {
                        self.out.push(' ');
                    }
                    self.word(name)?;
                    self.out.push('=');
                    self.word(value)?;
                }
                if let Some(inner) = inner {
                    self.out.push(' ');
                    self.cmd(inner)?;
                }
            }
            Cmd::Pipe(first, rest) => {
                self.cmd(first)?;
                for (conn, cmd) in rest {
                    match (conn.left, conn.right) {
                        (1, 0) => self.out.push_str(" | "),
                        (left, 0) => write!(self.out, " |[{left}] ")?,
                        (left, right) => write!(self.out, " |[{left}={right}] ")?,
                    }
                    self.cmd(cmd)?;
                }
            }
            Cmd::AndOr(first, rest) => {
                self.cmd(first)?;
                for (and, cmd) in rest {
                    self.out.push_str(if *and { " && " } else { " || " });
                    self.cmd(cmd)?;
                }
            }
            Cmd::Not(inner) => self.prefixed("! ", inner)?,
            Cmd::Subshell(inner) => self.prefixed("@ ", inner)?,
            Cmd::Async(inner) => {
                self.cmd(inner)?;
                self.out.push('&');
            }
            Cmd::Seq(list) => {
                for (i, cmd) in list.iter().enumerate() {
                    if i > 0 {
                        self.newline();
                    }
                    self.cmd(cmd)?;
                }
            }
            Cmd::Brace(inner) => self.inside('{', inner, '}')?,
            Cmd::If(cond, inner) => {
                self.out.push_str("if");
                self.inside('(', cond, ')')?;
                self.prefixed(" ", inner)?;
            }
            Cmd::IfNot(inner) => self.prefixed("if not ", inner)?,
            Cmd::For(var, list, inner) => {
                self.out.push_str("for(");
                self.word(var)?;
                if let Some(list) = list {
                    self.out.push_str(" in ");
                    self.words(list)?;
                }
                self.prefixed(") ", inner)?;
            }
            Cmd::While(cond, inner) => {
                self.out.push_str("while");
                self.inside('(', cond, ')')?;
                self.prefixed(" ", inner)?;
            }
            Cmd::Switch(subject, cases) => {
                self.out.push_str("switch ");
                self.word(subject)?;
                self.out.push('{');
                for (patterns, body) in cases {
                    self.newline();
                    self.out.push_str("case ");
                    self.words(patterns)?;
                    if **body != Cmd::Empty {
                        self.indent += 1;
                        self.newline();
                        self.cmd(body)?;
                        self.indent -= 1;
                    }
                }
                self.newline();
                self.out.push('}');
            }
            Cmd::Fn(names, body) => self.function(names, body.as_ref())?,
            Cmd::Match(subject, patterns) => {
                self.out.push_str("~ ");
                self.word(subject)?;
                self.out.push(' ');
                self.words(patterns)?;
            }
        }
        Ok(())
    }

    fn prefixed(&mut self, prefix: &str, cmd: &Cmd) -> fmt::Result {
        self.out.push_str(prefix);
        self.cmd(cmd)
    }

    fn function(&mut self, names: &[Word], body: Option<&Arc<Cmd>>) -> fmt::Result {
        self.out.push_str("fn ");
        self.words(names)?;
        if let Some(body) = body {
            self.out.push(' ');
            self.inside('{', body, '}')?;
        }
        Ok(())
    }

    /// Redirections go behind what takes them there, and in front of the rest.
    fn redirected(&mut self, list: &[Redir], inner: &Cmd) -> fmt::Result {
        let behind = matches!(inner, Cmd::Simple(_) | Cmd::Brace(_) | Cmd::Switch(..));
        if behind {
            self.cmd(inner)?;
        }
        for (i, redir) in list.iter().enumerate() {
            if i > 0 || behind {
                self.out.push(' ');
            }
            self.redir(redir)?;
        }
        if !behind && *inner != Cmd::Empty {
            self.out.push(' ');
            self.cmd(inner)?;
        }
        Ok(())
    }

    fn redir(&mut self, redir: &Redir) -> fmt::Result {
        match redir {
            Redir::Open(mode, fd, target) => {
                let (sign, default) = match mode {
                    Mode::Read => ("<", 0),
                    Mode::Write => (">", 1),
                    Mode::Append => (">>", 1),
                    Mode::ReadWrite => ("<>", 0),
                };
                self.out.push_str(sign);
                if *fd != default {
                    write!(self.out, "[{fd}]")?;
                }
                let at = self.out.len();
                self.word(target)?;
                // `<<{`, `>>{` and `>[` would be read as something else.
                if self.out.get(at..).is_some_and(|t| t.starts_with(['<', '>', '['])) {
                    self.out.insert(at, ' ');
                }
                Ok(())
            }
            Redir::Here { fd, tag, quoted, text } => {
                self.out.push_str("<<");
                if *fd != 0 {
                    write!(self.out, "[{fd}]")?;
                }
                if *quoted {
                    write!(self.out, "'{}'", tag.replace('\'', "''"))?;
                } else {
                    self.out.push_str(tag);
                }
                self.here.push((text.clone(), tag.clone()));
                Ok(())
            }
            Redir::Dup { to, from } => write!(self.out, ">[{to}={from}]"),
            Redir::Close(fd) => write!(self.out, ">[{fd}=]"),
        }
    }

    /// Words with blanks between.
    fn words(&mut self, words: &[Word]) -> fmt::Result {
        for (i, word) in words.iter().enumerate() {
            if i > 0 {
                self.out.push(' ');
            }
            self.word(word)?;
        }
        Ok(())
    }

    fn word(&mut self, word: &Word) -> fmt::Result {
        match word {
            Word::Lit { text, glob: true } => {
                // At the end of a line a backslash would take the next line along.
                let head = text.trim_end_matches('\\');
                self.out.push_str(head);
                if head.len() < text.len() {
                    self.out.push('^');
                    self.out.push_str(&quote(text.get(head.len()..).unwrap_or_default()));
                }
            }
            Word::Lit { text, glob: false } => self.out.push_str(&quote(text)),
            Word::Var(name) => {
                self.out.push('$');
                self.name(name)?;
            }
            Word::Sub(name, list) => {
                self.out.push('$');
                self.name(name)?;
                self.out.push('(');
                self.words(list)?;
                self.out.push(')');
            }
            Word::Count(name) => {
                self.out.push_str("$#");
                self.name(name)?;
            }
            Word::Flat(name) => {
                self.out.push_str("$\"");
                self.name(name)?;
            }
            Word::Concat(parts) => {
                for (i, part) in parts.iter().enumerate() {
                    if i > 0 {
                        self.out.push('^');
                    }
                    self.word(part)?;
                }
            }
            Word::List(list) => {
                self.out.push('(');
                self.words(list)?;
                self.out.push(')');
            }
            Word::Backquote(split, body) => {
                self.out.push('`');
                if let Some(split) = split {
                    self.word(split)?;
                }
                self.inside('{', body, '}')?;
            }
            Word::Process(direction, body) => {
                self.out.push_str(match direction {
                    Direction::In => "<",
                    Direction::Out => ">",
                    Direction::Both => "<>",
                });
                self.inside('{', body, '}')?;
            }
        }
        Ok(())
    }

    /// What follows a `$`: only names of plain characters stand without quotes.
    fn name(&mut self, name: &Word) -> fmt::Result {
        match name {
            Word::Lit { text, .. } if !text.is_empty() && text.chars().all(crate::lex::name_char) => {
                self.out.push_str(text);
                Ok(())
            }
            Word::Lit { text, .. } => write!(self.out, "'{}'", text.replace('\'', "''")),
            word => self.word(word),
        }
    }
}
