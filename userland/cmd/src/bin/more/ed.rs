//! ed [-] [-o] [file]: edit a text, line by line. `-` prints no counts; -o prints to descriptor 2, so that `w` can
//! write to standard output.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use cmd::ed::{Editor, Fault, Io};
use lib9::proc::{self, Noted};
use lib9::{Args, File, Fork, Out, Reader, Result, Rfork, env, eprintln, error, exits, fd, usage};

/// There was an interrupt, and nobody has told yet.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// The terminal has hung up.
static HUNG_UP: AtomicBool = AtomicBool::new(false);

pub fn main(args: &Args) -> Result<()> {
    let (mut quiet, mut to_error) = (false, false);
    let mut words = args.words();
    while let Some((word, rest)) = words.split_first().filter(|(word, _)| word.starts_with('-')) {
        match word.as_str() {
            "-" => quiet = true,
            "-o" => to_error = true,
            _ => usage(args, "[-] [-o] [file]"),
        }
        words = rest;
    }
    let name = match words {
        [] => None,
        [name] => Some(name),
        _ => usage(args, "[-] [-o] [file]"),
    };
    proc::notify(Some(note))?;
    let world = World { reader: Reader::new(0), out: Out::new(if to_error { 2 } else { 1 }) };
    let remembered = to_error.then(|| String::from("/fd/1"));
    let mut editor = Editor::new(world, quiet, remembered);
    let opened = name.map_or(Ok(()), |name| editor.open(name));
    if opened.and_then(|()| editor.run()).is_err() {
        return hung_up(&mut editor);
    }
    editor.io().out.flush()
}

/// Saves what would be lost where it is found again.
fn hung_up(editor: &mut Editor<World>) -> Result<()> {
    if editor.is_changed() {
        let home = format!("{}/ed.hup", env::get("home").unwrap_or_default());
        if editor.rescue("ed.hup").is_err() && editor.rescue(&home).is_err() {
            return Err(error!("can't save the text in ed.hup"));
        }
    }
    exits("hangup")
}

/// Only tells that it was here: what is done about it is done between two commands.
fn note(note: &str) -> Noted {
    match note {
        "interrupt" => INTERRUPTED.store(true, Ordering::Relaxed),
        "hangup" => HUNG_UP.store(true, Ordering::Relaxed),
        _ => return Noted::Default,
    }
    Noted::Continue
}

struct World {
    reader: Reader,
    out: Out,
}

/// A fault of the file `name`.
fn of_file(name: &str) -> Fault {
    Fault::Wrong(name.into())
}

impl Io for World {
    fn line(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let _ = self.out.flush();
        loop {
            self.check()?;
            match self.reader.line() {
                Ok(line) => return Ok(line),
                Err(e) if e.is(abi::error::EINTR) => {}
                // Whoever typed is gone.
                Err(_) => return Err(Fault::Hangup),
            }
        }
    }

    fn forget(&mut self) {
        // A pipe has no end to go to.
        if fd::seek(0, 0, 2).is_ok() {
            self.reader = Reader::new(0);
        }
    }

    fn print(&mut self, text: &[u8]) {
        self.out.write(text);
    }

    fn check(&mut self) -> Result<(), Fault> {
        if HUNG_UP.load(Ordering::Relaxed) {
            return Err(Fault::Hangup);
        }
        if INTERRUPTED.swap(false, Ordering::Relaxed) { Err(of_file("")) } else { Ok(()) }
    }

    fn read(&mut self, name: &str, take: &mut dyn FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        let file = File::open(name, abi::OREAD).map_err(|_| of_file(name))?;
        match file.stat() {
            Ok(dir) if dir.mode & abi::DMDIR != 0 => return Err(of_file(name)),
            // Writing it would put the whole text behind what is there.
            Ok(dir) if dir.mode & abi::DMAPPEND != 0 => {
                self.print(format!("warning: {name} is append only\n").as_bytes());
            }
            _ => {}
        }
        let mut buf = alloc::vec![0; fd::PIECE];
        loop {
            self.check()?;
            match file.read(&mut buf) {
                Ok(0) => return Ok(()),
                Ok(n) => take(buf.get(..n).unwrap_or(&[]))?,
                Err(e) if e.is(abi::error::EINTR) => {}
                Err(_) => return Err(of_file(name)),
            }
        }
    }

    fn write(
        &mut self,
        name: &str,
        append: bool,
        lines: &mut dyn Iterator<Item = &[u8]>,
    ) -> Result<(), Fault> {
        let _ = self.out.flush();
        let create = || File::create(name, abi::OWRITE, 0o666);
        let file = match append {
            // Only a file that is not there is made: none is cut because its end could not be found.
            true => match File::open(name, abi::OWRITE) {
                Err(e) if e.is(abi::error::ENONEXIST) => create(),
                file => file.and_then(|file| file.seek(0, 2).map(|_| file)),
            },
            false => create(),
        };
        let file = file.map_err(|_| of_file(name))?;
        let mut out = Out::new(file.fd());
        for line in lines {
            out.write(line);
            out.write(b"\n");
        }
        out.flush().map_err(|_| of_file(name))
    }

    fn shell(&mut self, command: &[u8]) -> Result<(), Fault> {
        let _ = self.out.flush();
        let child = match proc::rfork(Rfork::PROC | Rfork::FDG).map_err(|_| of_file(""))? {
            Fork::Parent(child) => child,
            Fork::Child => {
                // An interrupt that came before the command ran is for it, too.
                let _ = proc::notify(None);
                if INTERRUPTED.load(Ordering::Relaxed) || HUNG_UP.load(Ordering::Relaxed) {
                    proc::exits_now("interrupt");
                }
                let words: [&[u8]; 3] = [b"rc", b"-c", command];
                let Err(e) = proc::exec("/bin/rc", &words);
                eprintln!("ed: can't exec rc: {e}");
                proc::exits_now("exec")
            }
        };
        loop {
            match proc::await_() {
                Ok(done) if done.pid == child => break,
                Err(e) if !e.is(abi::error::EINTR) => break,
                _ => {}
            }
        }
        // An interrupt was the command's.
        INTERRUPTED.store(false, Ordering::Relaxed);
        Ok(())
    }
}
