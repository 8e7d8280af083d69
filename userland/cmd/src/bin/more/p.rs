//! p [-h] [-lines] [file ...]: show files a page at a time, each until a newline is typed.
//!
//! What is not shown on a console is copied without waiting. With -h the first page ends with a word on how to go on.

use alloc::string::String;
use alloc::vec::Vec;

use cmd::paging::{LINES, Pages, Screen, lines_of};
use lib9::{Args, Error, Fork, Out, Reader, Result, Rfork, eprintln, error, exits, fd, proc, usage};

pub fn main(args: &Args) -> Result<()> {
    let synopsis = || -> ! { usage(args, "[-h] [-lines] [file ...]") };
    let (mut files, mut lines, mut hints) = (args.words(), None, false);
    while let Some((first, rest)) = files.split_first().filter(|(first, _)| first.starts_with('-')) {
        files = rest;
        match first[1..].parse() {
            Ok(number) if number > 0 => lines = Some(number),
            _ if first == "-h" => hints = true,
            _ => synopsis(),
        }
    }
    let lines = lines.unwrap_or_else(|| fd::window().map_or(LINES, |(rows, _)| lines_of(rows)));
    let lines = if fd::is_console(1) { lines } else { usize::MAX };
    let mut pages = Pages::new(Console { out: Out::new(1), keys: None, hints }, lines);
    let mut status = "";
    if files.is_empty() && !show(0, &mut pages)? {
        exits("");
    }
    for name in files {
        let opened = match fd::open(name, abi::OREAD) {
            Ok(opened) => opened,
            Err(e) => {
                eprintln!("p: can't open {name}: {e}");
                status = "errors";
                continue;
            }
        };
        // Between files nobody is waited for either if nobody is looking.
        let more = (lines == usize::MAX || pages.turn()?) && show(opened, &mut pages)?;
        let _ = fd::close(opened);
        if !more {
            exits(status);
        }
    }
    pages.end()?.out.flush()?;
    exits(status)
}

/// Shows what can be read from a descriptor. False when the user has seen enough.
fn show(from: i32, pages: &mut Pages<Console>) -> Result<bool> {
    let mut reader = Reader::new(from);
    let mut line = Vec::new();
    while reader.line_into(&mut line)? {
        if !pages.line(&line)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Standard output, and the keys of the console.
struct Console {
    out: Out,
    keys: Option<Reader>,
    /// Nobody has been told yet how to go on.
    hints: bool,
}

impl Screen for Console {
    type Error = Error;

    fn show(&mut self, text: &[u8]) -> Result<()> {
        self.out.write(text);
        Ok(())
    }

    fn wait(&mut self) -> Result<bool> {
        if core::mem::take(&mut self.hints) {
            self.out.write(b"\n(more: return; no more: q and return)");
        }
        self.out.flush()?;
        if self.keys.is_none() {
            let cons = fd::open("/dev/cons", abi::OREAD).map_err(|e| error!("can't open /dev/cons: {e}"))?;
            self.keys = Some(Reader::new(cons));
        }
        let Some(keys) = &mut self.keys else { return Ok(false) };
        loop {
            let Some(typed) = keys.line()? else { return Ok(false) };
            let typed = String::from_utf8_lossy(&typed);
            let typed = typed.trim_end();
            match typed.strip_prefix('!') {
                Some(command) => {
                    run(command)?;
                    self.out.write(b"!\n");
                    self.out.flush()?;
                }
                None => return Ok(typed != "q"),
            }
        }
    }
}

/// Has the shell do a command, and waits for it.
fn run(command: &str) -> Result<()> {
    match proc::rfork(Rfork::PROC | Rfork::FDG)? {
        Fork::Parent(pid) => {
            while proc::await_()?.pid != pid {}
            Ok(())
        }
        Fork::Child => {
            let Err(e) = proc::exec("/bin/rc", &["rc", "-c", command]);
            eprintln!("p: can't exec rc: {e}");
            proc::exits_now("exec")
        }
    }
}
