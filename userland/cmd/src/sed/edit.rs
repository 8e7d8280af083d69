//! Running a script over lines.

use alloc::vec::Vec;

use super::{Address, Command, Script, Substitute, Verb, text};
use crate::regexp::Regexp;

/// Where lines come from and go to.
pub trait Io {
    /// Why it failed.
    type Error;
    /// The next line without its newline, and whether it is the last one of all.
    ///
    /// # Errors
    /// Its own.
    fn next(&mut self) -> Result<Option<(Vec<u8>, bool)>, Self::Error>;
    /// Standard output.
    fn print(&mut self, bytes: &[u8]);
    /// The file of this number in [`Script::files`].
    fn write(&mut self, file: usize, bytes: &[u8]);
    /// The contents of a file; nothing when it cannot be read.
    fn read(&mut self, name: &str) -> Vec<u8>;
}

/// A script at work.
#[derive(Debug)]
pub struct Editor<'a> {
    commands: &'a [Command],
    quiet: bool,
    /// For each command with two addresses: is it between them, and if the second is a number, up to which line.
    active: Vec<bool>,
    space: Vec<u8>,
    hold: Vec<u8>,
    line: u64,
    last: bool,
    replaced: bool,
    /// What `a` and `r` have for the end of the cycle.
    after: Vec<Later<'a>>,
    recent: Option<&'a Regexp>,
}

#[derive(Debug)]
enum Later<'a> {
    Text(&'a [u8]),
    File(&'a str),
}

/// How a command leaves the cycle.
enum Flow {
    Next,
    Goto(usize),
    /// End of the cycle, with the pattern space printed or not.
    End {
        print: bool,
    },
    /// The next cycle keeps the pattern space.
    Again,
    Quit {
        print: bool,
    },
}

impl<'a> Editor<'a> {
    /// An editor that prints the pattern space at the end of each cycle, unless `quiet` (-n).
    pub fn new(script: &'a Script, quiet: bool) -> Self {
        Editor {
            commands: &script.commands,
            quiet,
            active: alloc::vec![false; script.commands.len()],
            space: Vec::new(),
            hold: Vec::new(),
            line: 0,
            last: false,
            replaced: false,
            after: Vec::new(),
            recent: None,
        }
    }

    /// Edits everything.
    ///
    /// # Errors
    /// A failure to read, and an empty expression before any other was used.
    pub fn run<I: Io>(&mut self, io: &mut I) -> Result<(), I::Error>
    where
        I::Error: From<&'static str>,
    {
        let mut keep = false;
        while keep || self.fetch(io)? {
            keep = false;
            self.replaced = false;
            let mut pc = 0;
            let end = loop {
                let Some(command) = self.commands.get(pc) else { break Flow::End { print: true } };
                let flow = if self.selected(pc, command)? {
                    self.execute(pc, command, io)?
                } else if let Verb::Block(end) = command.verb {
                    Flow::Goto(end)
                } else {
                    Flow::Next
                };
                match flow {
                    Flow::Next => pc += 1,
                    Flow::Goto(to) => pc = to,
                    end => break end,
                }
            };
            if let Flow::End { print: true } | Flow::Quit { print: true } = end
                && !self.quiet
            {
                self.show(io);
            }
            self.finish(io);
            match end {
                Flow::Quit { .. } => return Ok(()),
                Flow::Again => keep = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn fetch<I: Io>(&mut self, io: &mut I) -> Result<bool, I::Error> {
        let Some((line, last)) = io.next()? else { return Ok(false) };
        self.space = line;
        self.last = last;
        self.line += 1;
        Ok(true)
    }

    fn show<I: Io>(&mut self, io: &mut I) {
        self.space.push(b'\n');
        io.print(&self.space);
        self.space.pop();
    }

    fn finish<I: Io>(&mut self, io: &mut I) {
        for later in core::mem::take(&mut self.after) {
            match later {
                Later::Text(text) => io.print(text),
                Later::File(name) => {
                    let contents = io.read(name);
                    io.print(&contents);
                }
            }
        }
    }

    fn selected(&mut self, pc: usize, command: &'a Command) -> Result<bool, &'static str> {
        let inside = match (&command.from, &command.to) {
            (None, _) => true,
            (Some(from), None) => self.at(from)?,
            (Some(from), Some(to)) => self.between(pc, from, to)?,
        };
        Ok(inside != command.negated)
    }

    fn between(&mut self, pc: usize, from: &'a Address, to: &'a Address) -> Result<bool, &'static str> {
        if !self.active.get(pc).is_some_and(|a| *a) {
            if !self.at(from)? {
                return Ok(false);
            }
            // A second address that is already past selects this line alone.
            let more = match to {
                Address::Line(n) => *n > self.line,
                _ => true,
            };
            self.set_active(pc, more);
            return Ok(true);
        }
        match to {
            Address::Line(n) if self.line > *n => {
                self.set_active(pc, false);
                self.at(from)
            }
            to => {
                let ends = self.at(to)?;
                self.set_active(pc, !ends);
                Ok(true)
            }
        }
    }

    fn set_active(&mut self, pc: usize, on: bool) {
        if let Some(a) = self.active.get_mut(pc) {
            *a = on;
        }
    }

    fn at(&mut self, address: &'a Address) -> Result<bool, &'static str> {
        Ok(match address {
            Address::Line(n) => self.line == *n,
            Address::Last => self.last,
            Address::Match(re) => self.regexp(re)?.find(&self.space, 0).is_some(),
        })
    }

    /// The expression, or the one used last.
    fn regexp(&mut self, re: &'a Option<Regexp>) -> Result<&'a Regexp, &'static str> {
        self.recent = re.as_ref().or(self.recent);
        self.recent.ok_or("no previous regular expression")
    }

    fn execute<I: Io>(&mut self, pc: usize, command: &'a Command, io: &mut I) -> Result<Flow, I::Error>
    where
        I::Error: From<&'static str>,
    {
        match &command.verb {
            Verb::Block(_) | Verb::Nothing => {}
            Verb::Number => io.print(alloc::format!("{}\n", self.line).as_bytes()),
            Verb::Append(text) => self.after.push(Later::Text(text)),
            Verb::Branch(to) => return Ok(Flow::Goto(*to)),
            Verb::Change(text) => {
                // Of a range, the text replaces the whole: it comes with the last line.
                let in_range = command.to.is_some() && !command.negated && self.active.get(pc) == Some(&true);
                if !in_range || self.last {
                    io.print(text);
                }
                return Ok(Flow::End { print: false });
            }
            Verb::Delete => return Ok(Flow::End { print: false }),
            Verb::DeleteFirst => {
                let Some(at) = self.first_line() else { return Ok(Flow::End { print: false }) };
                self.space.drain(..=at);
                return Ok(Flow::Again);
            }
            Verb::Get => self.space.clone_from(&self.hold),
            Verb::GetAppend => {
                self.space.push(b'\n');
                self.space.extend_from_slice(&self.hold);
            }
            Verb::Hold => self.hold.clone_from(&self.space),
            Verb::HoldAppend => {
                self.hold.push(b'\n');
                self.hold.extend_from_slice(&self.space);
            }
            Verb::Insert(text) => io.print(text),
            Verb::List => io.print(text::listing(&self.space).as_bytes()),
            Verb::Next => {
                if self.last {
                    return Ok(Flow::Quit { print: true });
                }
                if !self.quiet {
                    self.show(io);
                }
                self.finish(io);
                if !self.fetch(io)? {
                    return Ok(Flow::Quit { print: false });
                }
            }
            Verb::NextAppend => {
                if self.last {
                    return Ok(Flow::Quit { print: true });
                }
                self.finish(io);
                let mut before = core::mem::take(&mut self.space);
                if !self.fetch(io)? {
                    self.space = before;
                    return Ok(Flow::Quit { print: true });
                }
                before.push(b'\n');
                before.append(&mut self.space);
                self.space = before;
            }
            Verb::Print => self.show(io),
            Verb::PrintFirst => {
                let end = self.first_line().unwrap_or(self.space.len());
                io.print(self.space.get(..end).unwrap_or(&[]));
                io.print(b"\n");
            }
            Verb::Quit => return Ok(Flow::Quit { print: true }),
            Verb::Read(name) => self.after.push(Later::File(name)),
            Verb::Substitute(s) => {
                if self.substitute(s)? {
                    self.replaced = true;
                    if s.print {
                        self.show(io);
                    }
                    if let Some(file) = s.write {
                        self.write(file, io);
                    }
                }
            }
            Verb::Test(to) => {
                if core::mem::take(&mut self.replaced) {
                    return Ok(Flow::Goto(*to));
                }
            }
            Verb::Write(file) => self.write(*file, io),
            Verb::Exchange => core::mem::swap(&mut self.space, &mut self.hold),
            Verb::Translate(table) => self.space = text::translate(&self.space, table),
        }
        Ok(Flow::Next)
    }

    fn write<I: Io>(&mut self, file: usize, io: &mut I) {
        self.space.push(b'\n');
        io.write(file, &self.space);
        self.space.pop();
    }

    fn first_line(&self) -> Option<usize> {
        self.space.iter().position(|&b| b == b'\n')
    }

    fn substitute(&mut self, s: &'a Substitute) -> Result<bool, &'static str> {
        let re = self.regexp(&s.re)?;
        let Some(text) = text::substitute(s, re, &self.space) else { return Ok(false) };
        self.space = text;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use alloc::string::{String, ToString};

    struct Lines {
        left: Vec<Vec<u8>>,
        printed: Vec<u8>,
        written: Vec<Vec<u8>>,
    }

    impl Io for Lines {
        type Error = &'static str;
        fn next(&mut self) -> Result<Option<(Vec<u8>, bool)>, &'static str> {
            let line = self.left.pop();
            Ok(line.map(|l| (l, self.left.is_empty())))
        }
        fn print(&mut self, bytes: &[u8]) {
            self.printed.extend_from_slice(bytes);
        }
        fn write(&mut self, file: usize, bytes: &[u8]) {
            self.written[file].extend_from_slice(bytes);
        }
        fn read(&mut self, name: &str) -> Vec<u8> {
            alloc::format!("<{name}>\n").into_bytes()
        }
    }

    fn run(script: &str, quiet: bool, input: &str) -> (String, Vec<Vec<u8>>) {
        let script = parse(script).unwrap();
        let mut left: Vec<Vec<u8>> = input.lines().map(|l| l.as_bytes().to_vec()).collect();
        left.reverse();
        let mut io =
            Lines { left, printed: Vec::new(), written: alloc::vec![Vec::new(); script.files().len()] };
        Editor::new(&script, quiet).run(&mut io).unwrap();
        (String::from_utf8(io.printed).unwrap(), io.written)
    }

    fn sed(script: &str, input: &str) -> String {
        run(script, false, input).0
    }

    fn sedn(script: &str, input: &str) -> String {
        run(script, true, input).0
    }

    const ABC: &str = "a\nb\nc\nd\n";

    #[test]
    fn addresses() {
        assert_eq!(sedn("2p", ABC), "b\n");
        assert_eq!(sedn("$p", ABC), "d\n");
        assert_eq!(sedn("2,3p", ABC), "b\nc\n");
        assert_eq!(sedn("3,1p", ABC), "c\n");
        assert_eq!(sedn("/b/,/c/p", ABC), "b\nc\n");
        assert_eq!(sedn("/c/,/x/p", ABC), "c\nd\n");
        assert_eq!(sedn("2,3!p", ABC), "a\nd\n");
        assert_eq!(sedn("\\,b,p", ABC), "b\n");
        assert_eq!(sed("2q", ABC), "a\nb\n");
        assert_eq!(sed("/b/d;/d/d", ABC), "a\nc\n");
    }

    #[test]
    fn substitutions() {
        assert_eq!(sed("s/[a-c]/<&>/", "abc"), "<a>bc\n");
        assert_eq!(sed("s/[a-c]/<&>/g", "abxc"), "<a><b>x<c>\n");
        assert_eq!(sed("s/./X/2", "abc"), "aXc\n");
        assert_eq!(sed("s/./X/2g", "abc"), "aXX\n");
        assert_eq!(sed("s,(.)(.),\\2\\1,", "ab"), "ba\n");
        assert_eq!(sed("s/x*/-/g", "abc"), "-a-b-c-\n");
        assert_eq!(sed("s/b*/-/g", "abc"), "-a-c-\n");
        assert_eq!(sed("s/a\\/b/x/", "a/b"), "x\n");
        assert_eq!(sed("s/a/\\&\\n/", "a"), "&\n\n");
        assert_eq!(sed("/b/s//x/", "abc"), "axc\n");
        assert_eq!(sedn("s/a/x/p", "a\nb"), "x\n");
        assert_eq!(sed("s|a\\|b|x|", "a|b"), "x\n");
        assert_eq!(sed("s/[/]/x/", "a/b"), "axb\n");
        let (_, written) = run("s/a/x/w out", true, "a\nb");
        assert_eq!(written, [b"x\n".to_vec()]);
    }

    #[test]
    fn hold_and_next() {
        assert_eq!(sedn("1!G;h;$p", ABC), "d\nc\nb\na\n");
        assert_eq!(sed("N;s/\\n/+/", ABC), "a+b\nc+d\n");
        assert_eq!(sed("$!N;P;D", "a\na\nb"), "a\na\nb\n");
        assert_eq!(sed("n;d", ABC), "a\nc\n");
        assert_eq!(sed("x;p;x", "a\nb"), "\na\n\nb\n");
    }

    #[test]
    fn branches_and_blocks() {
        assert_eq!(sed(":a\ns/x/y/\nta", "xxx"), "yyy\n");
        assert_eq!(sed("/b/{s/b/B/;p;}", ABC), "a\nB\nB\nc\nd\n");
        assert_eq!(sed("/b/{\ns/b/B/\nb end\n}\ns/./-/\n:end", ABC), "-\nB\n-\n-\n");
        assert_eq!(sed("/b/!{/c/!d}", ABC), "b\nc\n");
    }

    #[test]
    fn texts_and_files() {
        assert_eq!(sed("2a\\\nnew\\\nlines", "a\nb\nc"), "a\nb\nnew\nlines\nc\n");
        assert_eq!(sed("1i\\\nnew", "a"), "new\na\n");
        assert_eq!(sed("2,3c\\\nnew", ABC), "a\nnew\nd\n");
        assert_eq!(sed("$r file", "a\nb"), "a\nb\n<file>\n");
        assert_eq!(sed("y/abc/αbC/", "abcc"), "αbCC\n");
        assert_eq!(sedn("=", "a\nb"), "1\n2\n");
        assert_eq!(sedn("l", "a\tb\\\u{1}"), "a\\tb\\\\\\x01\n");
        assert_eq!(run("/b/w x\nw y", true, ABC).1, [b"b\n".to_vec(), b"a\nb\nc\nd\n".to_vec()]);
    }

    #[test]
    fn bad_scripts() {
        for bad in ["{", "}", "k", "s/a/b", "s/(/b/", "y/ab/c/", "bx", "1,2q", "1,p", "s/a/b/k", "p x", ":"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("bx").unwrap_err().to_string().contains("undefined label x"));
    }
}
