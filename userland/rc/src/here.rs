//! Which commands hold here documents: they cannot be printed on one line.

use crate::ast::{Cmd, Redir, Word};

impl Cmd {
    /// Does printing the command leave a here document for the next newline?
    pub(crate) fn has_here(&self) -> bool {
        has_here(self)
    }
}

fn has_here(cmd: &Cmd) -> bool {
    let words = |list: &[Word]| list.iter().any(word_has_here);
    match cmd {
        Cmd::Empty => false,
        Cmd::Simple(list) => words(list),
        Cmd::Redir(list, inner) => {
            has_here(inner)
                || list.iter().any(|redir| match redir {
                    Redir::Here { .. } => true,
                    Redir::Open(_, _, word) => word_has_here(word),
                    _ => false,
                })
        }
        Cmd::Assign(list, inner) => {
            list.iter().any(|(n, v)| word_has_here(n) || word_has_here(v))
                || inner.as_ref().is_some_and(|c| has_here(c))
        }
        Cmd::Pipe(first, rest) => has_here(first) || rest.iter().any(|(_, c)| has_here(c)),
        Cmd::AndOr(first, rest) => has_here(first) || rest.iter().any(|(_, c)| has_here(c)),
        Cmd::Seq(list) => list.iter().any(|c| has_here(c)),
        Cmd::Not(c) | Cmd::Async(c) | Cmd::Brace(c) | Cmd::Subshell(c) | Cmd::IfNot(c) => has_here(c),
        Cmd::If(a, b) | Cmd::While(a, b) => has_here(a) || has_here(b),
        Cmd::For(var, list, c) => word_has_here(var) || list.as_deref().is_some_and(words) || has_here(c),
        // These always end their lines themselves, or hold no commands.
        Cmd::Switch(word, cases) => {
            word_has_here(word) || cases.iter().any(|(list, body)| words(list) || has_here(body))
        }
        Cmd::Fn(names, body) => words(names) || body.as_ref().is_some_and(|c| has_here(c)),
        Cmd::Match(word, list) => word_has_here(word) || words(list),
    }
}

fn word_has_here(word: &Word) -> bool {
    match word {
        Word::Lit { .. } => false,
        Word::Var(w) | Word::Count(w) | Word::Flat(w) => word_has_here(w),
        Word::Sub(w, list) => word_has_here(w) || list.iter().any(word_has_here),
        Word::Concat(list) | Word::List(list) => list.iter().any(word_has_here),
        Word::Backquote(split, body) => split.as_ref().is_some_and(|w| word_has_here(w)) || has_here(body),
        Word::Process(_, body) => has_here(body),
    }
}
