//! Which commands hold here documents: they cannot be printed on one line.

use crate::ast::{Cmd, Redir, Word};

impl Cmd {
    /// Does printing the command leave a here document for the next newline?
    pub(crate) fn has_heredoc(&self) -> bool {
        has_heredoc(self)
    }
}

fn has_heredoc(cmd: &Cmd) -> bool {
    let words = |list: &[Word]| list.iter().any(word_has_heredoc);
    match cmd {
        Cmd::Empty => false,
        Cmd::Simple(list) => words(list),
        Cmd::Redir(list, inner) => {
            has_heredoc(inner)
                || list.iter().any(|redir| match redir {
                    Redir::Here { .. } => true,
                    Redir::Open(_, _, word) => word_has_heredoc(word),
                    _ => false,
                })
        }
        Cmd::Assign(list, inner) => {
            list.iter().any(|(n, v)| word_has_heredoc(n) || word_has_heredoc(v))
                || inner.as_ref().is_some_and(|c| has_heredoc(c))
        }
        Cmd::Pipe(first, rest) => has_heredoc(first) || rest.iter().any(|(_, c)| has_heredoc(c)),
        Cmd::AndOr(first, rest) => has_heredoc(first) || rest.iter().any(|(_, c)| has_heredoc(c)),
        Cmd::Seq(list) => list.iter().any(|c| has_heredoc(c)),
        Cmd::Not(c) | Cmd::Async(c) | Cmd::Brace(c) | Cmd::Subshell(c) | Cmd::IfNot(c) => has_heredoc(c),
        Cmd::If(a, b) | Cmd::While(a, b) => has_heredoc(a) || has_heredoc(b),
        Cmd::For(var, list, c) => {
            word_has_heredoc(var) || list.as_deref().is_some_and(words) || has_heredoc(c)
        }
        // These always end their lines themselves, or hold no commands.
        Cmd::Switch(word, cases) => {
            word_has_heredoc(word) || cases.iter().any(|(list, body)| words(list) || has_heredoc(body))
        }
        Cmd::Fn(names, body) => words(names) || body.as_ref().is_some_and(|c| has_heredoc(c)),
        Cmd::Match(word, list) => word_has_heredoc(word) || words(list),
    }
}

fn word_has_heredoc(word: &Word) -> bool {
    match word {
        Word::Lit { .. } => false,
        Word::Var(w) | Word::Count(w) | Word::Flat(w) => word_has_heredoc(w),
        Word::Sub(w, list) => word_has_heredoc(w) || list.iter().any(word_has_heredoc),
        Word::Concat(list) | Word::List(list) => list.iter().any(word_has_heredoc),
        Word::Backquote(split, body) => {
            split.as_ref().is_some_and(|w| word_has_heredoc(w)) || has_heredoc(body)
        }
        Word::Process(_, body) => has_heredoc(body),
    }
}
