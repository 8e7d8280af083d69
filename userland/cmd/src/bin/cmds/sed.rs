//! sed [-lnug] [-e script] [-f scriptfile] [script] [file ...]: edit the lines of the files as a script says.
//!
//! -n prints only what the script prints, -g makes every substitution replace all matches, -l and -u
//! write out every line at once.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use cmd::sed::{Editor, Io, parse};
use lib9::{Args, Error, File, Out, Reader, Result, eprintln, error, exits, fd, file, out, usage};

pub fn main(args: &Args) -> Result<()> {
    let (mut quiet, mut global, mut at_once) = (false, false, false);
    let mut text: Option<String> = None;
    let mut add = |more: &str| {
        let text = text.get_or_insert_with(String::new);
        text.push_str(more);
        text.push('\n');
    };
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'n' => quiet = true,
            'g' => global = true,
            'l' | 'u' => at_once = true,
            'e' => add(flags.value().unwrap_or_else(|_| synopsis(args))),
            'f' => {
                let name = flags.value().unwrap_or_else(|_| synopsis(args));
                add(&file::read_string(name).map_err(|e| error!("cannot open script file: {e}"))?);
            }
            _ => synopsis(args),
        }
    }
    let mut files = flags.rest();
    if text.is_none() {
        let [script, rest @ ..] = files else { synopsis(args) };
        text = Some(script.clone());
        files = rest;
    }
    let mut script = parse(&text.unwrap_or_default()).map_err(Error::from)?;
    if global {
        script.replace_all();
    }
    let mut outputs = Vec::new();
    for name in script.files() {
        let there = fd::stat(name).ok();
        let is_there = |input: &String| {
            there.as_ref().is_some_and(|there| fd::stat(input).is_ok_and(|dir| cmd::copy::same(there, &dir)))
        };
        if there.as_ref().is_some_and(|there| there.length > 0) && files.iter().any(is_there) {
            return Err(error!("{name} would be cut before it is read"));
        }
        let f = File::create(name, abi::OWRITE, 0o666).map_err(|e| error!("cannot create {name}: {e}"))?;
        outputs.push(Out::new(f.into_fd()));
    }
    let names = files.iter().cloned().collect::<VecDeque<_>>();
    let first = files.is_empty().then(|| Reader::new(0));
    let mut input = Input {
        names,
        current: first,
        open: None,
        ahead: None,
        at_end: false,
        outputs,
        at_once,
        trouble: None,
        failed: false,
    };
    Editor::new(&script, quiet).run(&mut input)?;
    for output in &mut input.outputs {
        output.flush()?;
    }
    if let Some(e) = input.trouble {
        return Err(e);
    }
    if input.failed { exits("error") } else { Ok(()) }
}

/// The files one after the other, one line ahead if it is asked whether that is the last.
struct Input {
    names: VecDeque<String>,
    current: Option<Reader>,
    /// Keeps the current file open.
    open: Option<File>,
    ahead: Option<Vec<u8>>,
    /// There is nothing more: a console would give more behind its end.
    at_end: bool,
    outputs: Vec<Out>,
    at_once: bool,
    /// Why nothing can be printed any more.
    trouble: Option<Error>,
    failed: bool,
}

impl Input {
    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(reader) = &mut self.current {
                match reader.line() {
                    Ok(Some(mut line)) => {
                        if line.last() == Some(&b'\n') {
                            line.pop();
                        }
                        return Ok(Some(line));
                    }
                    Ok(None) => {}
                    Err(e) => {
                        eprintln!("sed: read error: {e}");
                        self.failed = true;
                    }
                }
                self.current = None;
            }
            let Some(name) = self.names.pop_front() else { return Ok(None) };
            match File::open(&name, abi::OREAD) {
                Ok(f) => {
                    self.current = Some(Reader::new(f.fd()));
                    self.open = Some(f);
                }
                Err(e) => {
                    eprintln!("sed: can't open {name}: {e}");
                    self.failed = true;
                }
            }
        }
    }
}

impl Io for Input {
    type Error = Error;

    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        if let Some(e) = self.trouble.take() {
            return Err(e);
        }
        match self.ahead.take() {
            Some(line) => Ok(Some(line)),
            None if self.at_end => Ok(None),
            None => self.line(),
        }
    }

    fn is_last(&mut self) -> Result<bool> {
        if self.ahead.is_none() && !self.at_end {
            self.ahead = self.line()?;
            self.at_end = self.ahead.is_none();
        }
        Ok(self.ahead.is_none())
    }

    fn print(&mut self, bytes: &[u8]) {
        out::write(bytes);
        if self.at_once
            && bytes.ends_with(b"\n")
            && let Err(e) = out::flush()
        {
            self.trouble = Some(error!("write error: {e}"));
        }
    }

    fn write(&mut self, file: usize, bytes: &[u8]) {
        if let Some(output) = self.outputs.get_mut(file) {
            output.write(bytes);
        }
    }

    fn read(&mut self, name: &str) -> Vec<u8> {
        file::read(name).unwrap_or_default()
    }
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-lnug] [-e script] [-f scriptfile] [script] [file ...]")
}
