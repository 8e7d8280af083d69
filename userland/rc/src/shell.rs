//! The shell itself: its state, the loop that reads commands and runs them, messages and the exit status.
//!
//! `eval` runs commands, `expand` evaluates words, `job` makes processes, `redir` does redirections, `builtin` the
//! builtin commands, `trap` the notes, `start` the beginning. All are parts of [`Shell`].

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::ast::Body;
use crate::fdtable::FdTable;
use crate::lex::{Failure, Source, Stop, Syntax};
use crate::os::{Error, Os};
use crate::parse::{self, Lines, Place};
use crate::print;
use crate::vars::Vars;

/// Why the commands that are running stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// An error or an interrupt: back to the nearest interactive loop; without one the shell ends with its `$status`.
    Abort,
    /// `exit` with this status.
    Exit(String),
    /// The process became another program, which has ended with this status. Happens on the test system only.
    Gone(String),
}

/// What running commands comes to.
pub type Run = Result<(), Flow>;

/// Reading the terminal may fail this often in a row before the shell takes it for the end.
const READ_TRIES: u32 = 10;

/// A shell on the system `O`.
#[derive(Clone, Debug)]
pub struct Shell<O: Os> {
    /// The system.
    pub os: O,
    /// Variables and functions.
    pub vars: Vars,
    pub(crate) fds: FdTable,
    /// Name the shell was called by, for messages.
    pub(crate) name: String,
    /// The flags that are set, by letter.
    pub(crate) flags: Vec<char>,
    /// Children to be waited for, with the status of those that have ended.
    pub(crate) children: BTreeMap<i32, Option<String>>,
    /// The condition of the last `if` was false.
    pub(crate) if_failed: bool,
    /// This is a copy of a shell that runs a part of a command.
    pub(crate) subshell: bool,
    /// The environment is not shared with the parent.
    pub(crate) own_env: bool,
    /// Inside conditions `-e` does not apply.
    pub(crate) conditions: u32,
    /// How deep commands are nested at the moment.
    pub(crate) depth: u32,
    /// `exec` without a command made the redirections around it permanent.
    pub(crate) keep_redirs: bool,
    /// A note's function is running.
    pub(crate) trapping: bool,
}

/// An open file of commands.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub fd: i32,
    pub file: Option<String>,
    pub interactive: bool,
    pub place: Place,
    /// `-v` shows nothing of it; only `-V` does.
    pub quiet: bool,
    buf: Vec<u8>,
    ended: bool,
}

impl Input {
    pub fn new(fd: i32, file: Option<String>, interactive: bool) -> Self {
        Input { fd, file, interactive, place: Place::default(), quiet: false, buf: Vec::new(), ended: false }
    }
}

impl<O: Os> Shell<O> {
    /// A shell without variables that has read nothing.
    pub fn new(os: O, name: &str) -> Self {
        Shell {
            os,
            vars: Vars::default(),
            fds: FdTable::default(),
            name: name.into(),
            flags: Vec::new(),
            children: BTreeMap::new(),
            if_failed: false,
            subshell: false,
            own_env: false,
            conditions: 0,
            depth: 0,
            keep_redirs: false,
            trapping: false,
        }
    }

    pub(crate) fn flag(&self, letter: char) -> bool {
        self.flags.contains(&letter)
    }

    /// `$status` as one string.
    pub fn status(&self) -> String {
        self.vars.get("status").join(" ")
    }

    pub(crate) fn set_status(&mut self, status: &str) {
        self.vars.set_one("status", status);
    }

    /// Was the last command successful? A pipeline was if all its commands were.
    pub fn succeeded(&self) -> bool {
        self.vars.get("status").iter().all(|s| succeeds(s))
    }

    /// Writes to a command's descriptor; what cannot be written is lost.
    pub(crate) fn put(&mut self, fd: i32, text: &str) {
        if let Some(fd) = self.fds.get(fd) {
            let _ = self.os.write(fd, text.as_bytes());
        }
    }

    /// Prints `rc: message`, or `rc (NAME): message` when the shell is not called that.
    pub(crate) fn complain(&mut self, message: &str) {
        let name = match self.name.as_str() {
            "rc" | "/bin/rc" => "rc".to_owned(),
            name => format!("rc ({name})"),
        };
        self.put(2, &format!("{name}: {message}\n"));
    }

    /// An error that gives up the command line.
    pub(crate) fn fail<T>(&mut self, message: &str) -> Result<T, Flow> {
        self.complain(message);
        self.set_status("error");
        Err(Flow::Abort)
    }

    fn syntax_error(&mut self, error: &Syntax, input: Option<&Input>) {
        let file = input.and_then(|i| i.file.as_deref());
        let interactive = input.is_some_and(|i| i.interactive);
        let line = error.line;
        let mut text = match (file, interactive) {
            (Some(file), false) => format!("rc: {file}:{line}: "),
            (Some(file), true) => format!("rc: {file}: "),
            (None, false) => format!("rc: line {line}: "),
            (None, true) => "rc: ".to_owned(),
        };
        if !error.token.is_empty() {
            text.push_str(&format!("token {}: ", print::quote(&error.token)));
        }
        text.push_str(&error.message);
        text.push('\n');
        self.put(2, &text);
        self.set_status(&error.message);
    }

    /// Runs the commands in a string.
    ///
    /// # Errors
    /// Why they were stopped. A syntax error is reported, and ends them without being an error here.
    pub fn run_string(&mut self, text: &str) -> Run {
        let mut source = Lines(text);
        let mut place = Place::default();
        loop {
            match parse::line(&mut source, &mut place) {
                Ok(Some(cmd)) => self.eval(&cmd, false)?,
                Ok(None) | Err(Failure::Stopped) => return Ok(()),
                Err(Failure::Syntax(error)) => {
                    self.syntax_error(&error, None);
                    return Ok(());
                }
            }
        }
    }

    /// Runs the commands in a file. An interactive one outlives errors and interrupts.
    pub(crate) fn run_input(&mut self, input: &mut Input) -> Run {
        loop {
            let result = self.run_line(input);
            match result {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(Flow::Abort) if input.interactive && !self.subshell => {
                    self.depth = 0;
                    self.conditions = 0;
                }
                Err(flow) => return Err(flow),
            }
        }
    }

    /// Runs the commands in a file once all of them are understood: none when one is wrong.
    pub(crate) fn run_whole(&mut self, input: &mut Input) -> Run {
        let mut all = Vec::new();
        loop {
            let mut place = input.place;
            let parsed = parse::line(&mut Reader { shell: self, input }, &mut place);
            input.place = place;
            match parsed {
                Ok(Some(cmd)) => all.push(cmd),
                Ok(None) => break,
                Err(Failure::Stopped) => return Ok(()),
                Err(Failure::Syntax(error)) => {
                    self.syntax_error(&error, Some(input));
                    return Ok(());
                }
            }
        }
        for cmd in &all {
            self.traps()?;
            self.run_command(cmd)?;
        }
        Ok(())
    }

    /// Runs a command line of a file.
    fn run_command(&mut self, cmd: &Body) -> Run {
        if self.flag('r') {
            self.put(2, &format!("{cmd}\n"));
        }
        let pipes = self.fds.pipe_arguments();
        let result = self.eval(cmd, false);
        // `x=<{...}` keeps its pipe to the end of the line.
        self.fds.close_pipe_arguments(&mut self.os, pipes);
        result?;
        self.traps()
    }

    /// Reads and runs one command line; false at the end of the file.
    fn run_line(&mut self, input: &mut Input) -> Result<bool, Flow> {
        self.traps()?;
        let mut place = input.place;
        let parsed = parse::line(&mut Reader { shell: self, input }, &mut place);
        input.place = place;
        match parsed {
            Ok(None) => return Ok(false),
            Ok(Some(cmd)) => {
                self.run_command(&cmd)?;
                if input.interactive && self.flag('s') && !self.succeeded() {
                    let text = format!("status={}\n", print::list(self.vars.get("status")));
                    self.put(2, &text);
                }
            }
            Err(Failure::Stopped) => {}
            Err(Failure::Syntax(error)) => {
                self.syntax_error(&error, Some(input));
                return Ok(input.interactive && !input.ended);
            }
        }
        Ok(true)
    }

    /// The exit status of this process: nothing for success.
    pub(crate) fn exit_status(&self, status: String) -> String {
        if succeeds(&status) { String::new() } else { status }
    }

    fn prompt(&mut self, more: bool) {
        let prompt = match (self.vars.get("prompt"), more) {
            ([first, ..], false) => first.clone(),
            ([_, second, ..], true) => second.clone(),
            ([], false) => "% ".into(),
            (_, true) => "\t".into(),
        };
        self.put(2, &prompt);
    }

    /// What was typed of a line is forgotten.
    fn give_up_line(&mut self, input: &mut Input) -> Stop {
        if input.interactive {
            input.buf.clear();
            self.put(2, "\n");
        }
        Stop
    }

    /// Reads more of a file of commands.
    fn fill(&mut self, input: &mut Input) -> Result<(), Stop> {
        let mut tries = 0;
        loop {
            // One that came since the prompt is about what has been typed so far, not about the next line.
            if input.interactive && !self.trapping && self.os.is_noted() {
                return Err(self.give_up_line(input));
            }
            let mut buf = [0; 4096];
            match self.os.read(input.fd, &mut buf) {
                Ok(0) => {
                    input.ended = true;
                    return Ok(());
                }
                Ok(n) => {
                    input.buf.extend_from_slice(buf.get(..n).unwrap_or(&[]));
                    return Ok(());
                }
                Err(e) if is_interrupt(&e) => return Err(self.give_up_line(input)),
                Err(e) => {
                    tries += 1;
                    if !input.interactive || tries >= READ_TRIES || e.ends_with(abi::error::EHUNGUP) {
                        let name = input.file.clone().unwrap_or_else(|| "standard input".into());
                        self.complain(&format!("{name}: {e}"));
                        input.ended = true;
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// Reads the lines of an [`Input`], with prompts if it is interactive.
struct Reader<'a, O: Os> {
    shell: &'a mut Shell<O>,
    input: &'a mut Input,
}

impl<O: Os> Source for Reader<'_, O> {
    fn line(&mut self, more: bool) -> Result<Option<String>, Stop> {
        if self.input.interactive {
            self.shell.prompt(more);
        }
        let mut searched = 0;
        loop {
            let fresh = self.input.buf.get(searched..).unwrap_or(&[]);
            let newline = fresh.iter().position(|&b| b == b'\n').map(|at| searched + at + 1);
            let end = match newline {
                Some(end) => end,
                None if self.input.ended && self.input.buf.is_empty() => return Ok(None),
                None if self.input.ended => self.input.buf.len(),
                None => {
                    searched = self.input.buf.len();
                    self.shell.fill(self.input)?;
                    continue;
                }
            };
            let rest = self.input.buf.split_off(end);
            let line = core::mem::replace(&mut self.input.buf, rest);
            let line = String::from_utf8_lossy(&line).into_owned();
            if self.shell.flag('V') || self.shell.flag('v') && !self.input.quiet {
                self.shell.put(2, &line);
            }
            return Ok(Some(line));
        }
    }
}

/// Does this status mean success? `0` does, and the `|` between the statuses of a pipeline may stay.
pub fn succeeds(status: &str) -> bool {
    status.bytes().all(|b| b == b'0' || b == b'|')
}

/// Is it the error of a system call that a note interrupted?
pub(crate) fn is_interrupt(error: &Error) -> bool {
    error.ends_with(abi::error::EINTR)
}
