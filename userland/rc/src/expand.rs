//! Evaluating words to lists: variables, carets, the output of commands, file names.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::ast::{Body, Direction, Word};
use crate::os::{Entry, Os};
use crate::shell::{Flow, Shell, is_interrupt};
use crate::text::{Text, concatenate};

/// Bytes that a word takes while it is evaluated, beside its own.
const WORD: usize = 96;

/// Lists that take less than this are not asked about.
const SMALL: usize = 256 << 10;

impl<O: Os> Shell<O> {
    /// Gives up when so many words do not fit into memory: it is the command line that ends then, and not the shell.
    /// No words are the output of a command, of which there may be more.
    fn allow(&mut self, words: usize, bytes: usize) -> Result<(), Flow> {
        let want = words.saturating_mul(WORD).saturating_add(bytes.saturating_mul(2));
        if want <= SMALL {
            return Ok(());
        }
        let room = self.os.room();
        if want as u64 <= room {
            return Ok(());
        }
        let list = match words {
            0 => format!("output too long: more than {bytes} bytes"),
            1 => format!("word too long: {bytes} bytes"),
            _ => format!("list too long: {words} words of {bytes} bytes"),
        };
        self.fail(&format!("{list} take {want} bytes of memory, and {room} are free"))
    }

    /// Words as a list, with patterns still in it.
    pub(crate) fn expand(&mut self, words: &[Word]) -> Result<Vec<Text>, Flow> {
        let mut out = Vec::new();
        for word in words {
            self.word(word, &mut out)?;
        }
        Ok(out)
    }

    /// Words as a list of strings, patterns replaced by the names of files.
    pub(crate) fn list(&mut self, words: &[Word]) -> Result<Vec<String>, Flow> {
        let texts = self.expand(words)?;
        if texts.iter().all(|text| text.metas.is_empty()) {
            // In the same memory.
            return Ok(texts.into_iter().map(|text| text.text).collect());
        }
        let mut out = Vec::new();
        for text in texts {
            if text.metas.is_empty() {
                out.push(text.text);
            } else {
                self.glob(text, &mut out);
            }
        }
        Ok(out)
    }

    /// A word as one string, its elements joined by blanks.
    pub(crate) fn flat(&mut self, word: &Word) -> Result<String, Flow> {
        let list = self.expand(core::slice::from_ref(word))?;
        Ok(join(list.iter().map(|t| t.text.as_str())))
    }

    /// The name of a variable.
    pub(crate) fn variable(&mut self, word: &Word) -> Result<String, Flow> {
        if let Word::Lit { text, .. } = word {
            return Ok(text.clone());
        }
        let mut list = self.expand(core::slice::from_ref(word))?;
        match (list.pop(), list.is_empty()) {
            (Some(name), true) => Ok(name.text),
            _ => self.fail("variable name not singleton!"),
        }
    }

    fn word(&mut self, word: &Word, out: &mut Vec<Text>) -> Result<(), Flow> {
        match word {
            Word::Lit { text, glob: true } => out.push(Text::pattern(text)),
            Word::Lit { text, glob: false } => out.push(Text::from(text.as_str())),
            Word::Var(name) => {
                let name = self.variable(name)?;
                let value = self.vars.get(&name);
                let (words, bytes) = (value.len(), value.iter().map(String::len).sum());
                self.allow(words, bytes)?;
                let value = self.vars.get(&name);
                reserve(out, words);
                out.extend(value.iter().map(|s| Text::from(s.as_str())));
            }
            Word::Sub(name, list) => {
                let name = self.variable(name)?;
                for index in self.expand(list)? {
                    let value = self.vars.get(&name);
                    let (from, to) = subscript(&index.text, value.len());
                    let chosen = value.get(from..to).unwrap_or(&[]);
                    out.extend(chosen.iter().map(|s| Text::from(s.as_str())));
                }
            }
            Word::Count(name) => {
                let name = self.variable(name)?;
                out.push(Text::from(format!("{}", self.vars.get(&name).len())));
            }
            Word::Flat(name) => {
                let name = self.variable(name)?;
                let bytes = self.vars.get(&name).iter().map(|word| word.len() + 1).sum();
                self.allow(1, bytes)?;
                out.push(Text::from(join(self.vars.get(&name).iter().map(String::as_str))));
            }
            Word::Concat(parts) => {
                let mut left: Option<Vec<Text>> = None;
                for part in parts {
                    let right = self.expand(core::slice::from_ref(part))?;
                    if let Some(left) = &left {
                        let (words, bytes) = product(left, &right);
                        self.allow(words, bytes)?;
                    }
                    left = Some(match left {
                        None => right,
                        Some(left) => match concatenate(left, right) {
                            Ok(list) => list,
                            Err(message) => return self.fail(message),
                        },
                    });
                }
                out.extend(left.into_iter().flatten());
            }
            Word::List(list) => {
                for word in list {
                    self.word(word, out)?;
                }
            }
            Word::Backquote(split, body) => {
                let split = match split {
                    Some(word) => self.flat(word)?,
                    None if self.vars.is_set("ifs") => self.vars.get("ifs").concat(),
                    None => " \t\n".into(),
                };
                let text = self.output(body)?;
                let words = || text.split(|c| split.contains(c)).filter(|w| !w.is_empty());
                if text.len() * WORD / 2 > SMALL {
                    let count = words().count();
                    self.allow(count, text.len())?;
                    reserve(out, count);
                }
                out.extend(words().map(Text::from));
            }
            Word::Process(direction, body) => out.push(Text::from(self.process(*direction, body)?)),
        }
        Ok(())
    }

    /// Runs a command and returns what it prints; `$status` is its status.
    fn output(&mut self, body: &Body) -> Result<String, Flow> {
        let [from, to] = self.pipe()?;
        let child = body.clone();
        let pid = self.spawn(false, &[(1, to)], move |sh| sh.finish(|sh| sh.eval(&child, true)));
        self.fds.close(&mut self.os, to);
        let mut bytes = Pieces::default();
        let mut buf = [0; 4096];
        let mut watched = SMALL;
        let (mut result, mut allowed) = (Ok(()), Ok(()));
        while pid.is_ok() {
            match self.os.read(from, &mut buf) {
                Ok(0) => break,
                Ok(n) => {
                    bytes.push(buf.get(..n).unwrap_or(&[]));
                    if bytes.len > watched {
                        watched += SMALL;
                        // It is to be a string, and words.
                        allowed = self.allow(0, bytes.len);
                        if allowed.is_err() {
                            break;
                        }
                    }
                }
                Err(e) if is_interrupt(&e) => {
                    result = self.traps();
                    if result.is_err() {
                        break;
                    }
                }
                // A part is not taken for the whole.
                Err(e) => {
                    allowed = self.fail(&format!("can't read the output of a command: {e}"));
                    break;
                }
            }
        }
        self.fds.close(&mut self.os, from);
        let status = self.wait_for(pid?);
        self.set_status(&status);
        result?;
        if allowed.is_err() {
            self.set_status("error");
            allowed?;
        }
        let text = String::from_utf8(bytes.join())
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        Ok(if text.contains('\0') { text.replace('\0', "") } else { text })
    }

    /// Starts a command with a pipe and returns the name under which the command being made finds it.
    fn process(&mut self, direction: Direction, body: &Body) -> Result<String, Flow> {
        let [ours, theirs] = self.pipe()?;
        let connect: &[(i32, i32)] = match direction {
            Direction::In => &[(1, theirs)],
            Direction::Out => &[(0, theirs)],
            Direction::Both => &[(0, theirs), (1, theirs)],
        };
        let body = body.clone();
        let pid = self.spawn(false, connect, move |sh| sh.finish(|sh| sh.eval(&body, true)));
        self.fds.close(&mut self.os, theirs);
        self.fds.give_to_user(ours);
        let fd = self.fds.add_pipe_argument(&mut self.os, ours);
        self.children.remove(&pid?);
        Ok(format!("/fd/{fd}"))
    }

    /// The files that a pattern matches, sorted; the pattern itself if there are none.
    fn glob(&mut self, pattern: Text, out: &mut Vec<String>) {
        let elements = pattern.elements();
        let mut found = Vec::new();
        self.glob_from(String::new(), &elements, &mut found);
        if found.is_empty() {
            out.push(pattern.text);
            return;
        }
        found.sort();
        out.append(&mut found);
    }

    fn glob_from(&mut self, prefix: String, elements: &[Text], found: &mut Vec<String>) {
        // Literal elements are taken as they are; whether the name exists shows at its end.
        let literal = elements.iter().take_while(|e| e.metas.is_empty()).count();
        let mut path = prefix;
        for (i, element) in elements.iter().take(literal).enumerate() {
            path.push_str(&element.text);
            if i + 1 < elements.len() {
                path.push('/');
            }
        }
        let Some((pattern, rest)) = elements.get(literal..).and_then(|e| e.split_first()) else {
            if self.os.exists(&path) {
                found.push(path);
            }
            return;
        };
        let dir = if path.is_empty() { "." } else { path.as_str() };
        let Ok(entries) = self.os.list(dir) else { return };
        for Entry { name, dir } in entries {
            let hidden = matches!(name.as_str(), "." | "..") && !pattern.text.starts_with('.');
            if hidden || !pattern.matches(&name) {
                continue;
            }
            if rest.is_empty() {
                found.push(format!("{path}{name}"));
            } else if dir {
                self.glob_from(format!("{path}{name}/"), rest, found);
            }
        }
    }

    /// The text of a here document with its variables. `$x^` is `$x`, and `$$` is a dollar.
    pub(crate) fn substitute(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
                continue;
            }
            let end = rest.find(|c| !crate::lex::name_char(c)).unwrap_or(rest.len());
            if end == 0 {
                out.push('$');
                continue;
            }
            let (name, after) = rest.split_at(end);
            out.push_str(&join(self.vars.get(name).iter().map(String::as_str)));
            rest = after.strip_prefix('^').unwrap_or(after);
        }
        out.push_str(rest);
        out
    }
}

/// Bytes of which there may be many, so that they are not moved each time that there are more.
#[derive(Default)]
struct Pieces {
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
    len: usize,
}

impl Pieces {
    /// Bytes of one.
    const SIZE: usize = 64 << 10;

    fn push(&mut self, bytes: &[u8]) {
        if self.last.len() + bytes.len() > Self::SIZE {
            let next = Vec::with_capacity(Self::SIZE);
            self.full.push(core::mem::replace(&mut self.last, next));
        }
        self.last.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    /// All of them.
    fn join(mut self) -> Vec<u8> {
        if self.full.is_empty() {
            return self.last;
        }
        let mut all = Vec::with_capacity(self.len);
        for piece in self.full.drain(..) {
            all.extend_from_slice(&piece);
        }
        all.extend_from_slice(&self.last);
        all
    }
}

/// Makes room for so many more, if they are many, without as much again.
fn reserve(out: &mut Vec<Text>, words: usize) {
    if words > 64 {
        out.reserve_exact(words);
    }
}

/// How many words `left^right` has, and how many bytes.
fn product(left: &[Text], right: &[Text]) -> (usize, usize) {
    let bytes = |list: &[Text]| list.iter().map(|text| text.text.len()).sum::<usize>();
    let times = |list: &[Text], other: &[Text]| if list.len() == 1 { other.len() } else { 1 };
    let left_bytes = bytes(left).saturating_mul(times(left, right));
    (left.len().max(right.len()), left_bytes.saturating_add(bytes(right).saturating_mul(times(right, left))))
}

fn join<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for (i, word) in words.enumerate() {
        if i > 0 {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// What `3`, `2-4` or `2-` choose from a list, as indices from 0. Anything else chooses nothing.
fn subscript(text: &str, len: usize) -> (usize, usize) {
    let (from, to) = match text.split_once('-') {
        None => (text.parse(), text.parse()),
        Some((from, "")) => (from.parse(), Ok(len)),
        Some((from, to)) => (from.parse(), to.parse()),
    };
    match (from, to) {
        (Ok(from @ 1..), Ok(to)) if from <= to => (from - 1, to.min(len)),
        _ => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscripts() {
        assert_eq!(subscript("1", 4), (0, 1));
        assert_eq!(subscript("2-3", 4), (1, 3));
        assert_eq!(subscript("3-", 4), (2, 4));
        assert_eq!(subscript("3-9", 4), (2, 4));
        for bad in ["0", "-1", "x", "", "3-2", "99999999999999999999"] {
            assert_eq!(subscript(bad, 4), (0, 0), "{bad}");
        }
        // Beyond the end: an empty range that `get` refuses or empties.
        assert!([1, 2].get(subscript("5", 2).0..subscript("5", 2).1).unwrap_or(&[]).is_empty());
    }
}
