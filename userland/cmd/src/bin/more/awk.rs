//! awk [-F fs] [-v var=value] [-safe] [prog | -f progfile] [file ...]: do what a program says for the lines of files.
//!
//! -F is what separates fields, t for a tab; -v sets a variable before the program begins; -safe runs no commands and
//! opens no files but those that are named. -mf and -mr are taken and mean nothing.

use alloc::string::String;
use alloc::vec::Vec;

use cmd::awk::{Handle, How, Program, Start, World};
use lib9::{Args, Error, File, Fork, Result, Rfork, env, error, exits, fd, file, proc, usage};

/// Of the stack, what a program's functions may use. A process has two thirds of it more.
const STACK: usize = (abi::layout::USTKSIZE / 4 * 3) as usize;

pub fn main(args: &Args) -> Result<()> {
    let mut words = args.words();
    let mut program: Option<String> = None;
    let mut assignments = Vec::new();
    let mut separator = None;
    let mut safe = false;
    while let Some((word, rest)) = words.split_first().filter(|(word, _)| word.len() > 1 && word.starts_with('-')) {
        words = rest;
        // What is attached to the letters, or the next word.
        let mut value = |letters: usize| -> String {
            let attached = word.get(letters..).unwrap_or("");
            lib9::args::flag_value(attached, &mut words).unwrap_or_else(|| synopsis(args)).into()
        };
        match word.as_bytes() {
            b"--" => break,
            b"-safe" => safe = true,
            b"-version" | b"-V" => {
                lib9::println!("awk of Elwood {}", env!("CARGO_PKG_VERSION"));
                return Ok(());
            }
            // Sizes that something else had to be told.
            [b'-', b'm', b'f' | b'r', ..] => drop(value(3)),
            [b'-', b'F', ..] => separator = Some(value(2)),
            [b'-', b'v', ..] => assignments.push(value(2)),
            [b'-', b'f', ..] => {
                let name = value(2);
                let text = if name == "-" { fd::read_all(0) } else { file::read(&name) };
                let text = text.map_err(|e| error!("can't open file {name}: {e}"))?;
                let program = program.get_or_insert_default();
                program.push_str(&String::from_utf8_lossy(&text));
                program.push('\n');
            }
            _ => synopsis(args),
        }
    }
    let text = match program {
        Some(text) => text,
        None => {
            let Some((first, rest)) = words.split_first() else { synopsis(args) };
            words = rest;
            first.clone()
        }
    };
    let arguments: Vec<String> = [String::from(args.name())].into_iter().chain(words.iter().cloned()).collect();
    if separator.as_deref() == Some("t") {
        separator = Some("\t".into());
    }
    let program = Program::parse(text.as_bytes()).map_err(Error::from)?;
    let start = Start {
        arguments: &arguments,
        assignments: &assignments,
        separator: separator.as_deref(),
        stack: STACK,
    };
    let mut system = System { commands: Vec::new(), waited: Vec::new(), safe };
    let status = program.run(&start, &mut system).map_err(Error::from)?;
    if status == 0.0 { Ok(()) } else { exits(&alloc::format!("{}", status as i64)) }
}

/// This system.
struct System {
    /// Pipes and the processes at their other ends.
    commands: Vec<(Handle, i32)>,
    /// Processes that ended while another one was waited for.
    waited: Vec<(i32, f64)>,
    safe: bool,
}

impl System {
    fn allowed(&self) -> Result<(), String> {
        if self.safe { Err("not allowed with -safe".into()) } else { Ok(()) }
    }

    /// Runs a command of rc in a process of its own. `end` is which of its descriptors the pipe is.
    fn start(&self, command: &[u8], end: Option<(i32, [i32; 2])>) -> Result<i32> {
        match proc::rfork(Rfork::PROC | Rfork::FDG)? {
            Fork::Parent(pid) => Ok(pid),
            Fork::Child => {
                if let Some((number, [ours, theirs])) = end {
                    let _ = fd::close(ours);
                    if theirs != number {
                        let _ = fd::dup(theirs, number);
                        let _ = fd::close(theirs);
                    }
                }
                // A command would not see the end of what comes to another one.
                for (other, _) in &self.commands {
                    let _ = fd::close(*other);
                }
                let words: [&[u8]; 3] = [b"rc", b"-c", command];
                let Err(e) = proc::exec("/bin/rc", &words);
                lib9::eprintln!("awk: can't exec rc: {e}");
                proc::exits_now("exec")
            }
        }
    }

    /// Waits for a process; its status as a number.
    fn wait(&mut self, pid: i32) -> f64 {
        if let Some(at) = self.waited.iter().position(|(ended, _)| *ended == pid) {
            return self.waited.swap_remove(at).1;
        }
        loop {
            match proc::await_() {
                Ok(done) => {
                    let status = number(&done.msg);
                    if done.pid == pid {
                        return status;
                    }
                    self.waited.push((done.pid, status));
                }
                Err(e) if e.is(abi::error::EINTR) => {}
                Err(_) => return -1.0,
            }
        }
    }
}

/// An exit status as a number: that which it is, 0 for success, else 1.
fn number(status: &str) -> f64 {
    // `NAME PID: STATUS`
    let status = status.split_once(": ").map_or(status, |(_, status)| status);
    if status.is_empty() { 0.0 } else { status.parse().unwrap_or(1.0) }
}

impl World for System {
    fn open(&mut self, name: &[u8], how: How) -> Result<Handle, String> {
        if how != How::Read {
            self.allowed()?;
        }
        let name = core::str::from_utf8(name).map_err(|_| String::from(abi::error::EBADCHAR))?;
        let create = || File::create(name, abi::OWRITE, 0o666);
        let file = match how {
            How::Read => File::open(name, abi::OREAD),
            How::Write => create(),
            How::Append => match File::open(name, abi::OWRITE) {
                Err(e) if e.is(abi::error::ENONEXIST) => create(),
                file => file.and_then(|file| file.seek(0, 2).map(|_| file)),
            },
        };
        file.map(File::into_fd).map_err(String::from)
    }

    fn pipe(&mut self, command: &[u8], how: How) -> Result<Handle, String> {
        self.allowed()?;
        let [ours, theirs] = fd::pipe()?;
        let number = if how == How::Read { 1 } else { 0 };
        let started = self.start(command, Some((number, [ours, theirs])));
        let _ = fd::close(theirs);
        match started {
            Ok(pid) => {
                self.commands.push((ours, pid));
                Ok(ours)
            }
            Err(e) => {
                let _ = fd::close(ours);
                Err(e.into())
            }
        }
    }

    fn read(&mut self, handle: Handle, buf: &mut [u8]) -> Result<usize, String> {
        match fd::read(handle, buf) {
            // The command has ended while it wrote.
            Err(e) if e.is(abi::error::EHUNGUP) => Ok(0),
            other => other.map_err(String::from),
        }
    }

    fn write(&mut self, handle: Handle, bytes: &[u8]) -> Result<(), String> {
        fd::write_all(handle, bytes).map_err(|e| String::from(error!("write error: {e}")))
    }

    fn close(&mut self, handle: Handle) -> f64 {
        let closed = fd::close(handle);
        match self.commands.iter().position(|(pipe, _)| *pipe == handle) {
            Some(at) => {
                let (_, pid) = self.commands.swap_remove(at);
                self.wait(pid)
            }
            None => if closed.is_ok() { 0.0 } else { -1.0 },
        }
    }

    fn is_safe(&self) -> bool {
        self.safe
    }

    fn system(&mut self, command: &[u8]) -> f64 {
        match self.start(command, None) {
            Ok(pid) => self.wait(pid),
            Err(_) => -1.0,
        }
    }

    fn seconds(&mut self) -> f64 {
        proc::nsec() as f64 / 1e9
    }

    fn environment(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        if self.safe {
            return Vec::new();
        }
        let mut all = Vec::new();
        for dir in fd::readdir("/env").unwrap_or_default() {
            // A function of rc is none, and a list is its words with blanks between them.
            if dir.name.starts_with("fn#") {
                continue;
            }
            let words = env::getenv(&dir.name);
            all.push((dir.name.into_bytes(), words.join(" ").into_bytes()));
        }
        all
    }

    fn is_watched(&mut self) -> bool {
        fd::is_console(1)
    }
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-F fs] [-v var=value] [-safe] [prog | -f progfile] [file ...]")
}
