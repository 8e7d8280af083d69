//! [`Os`] by system calls.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use lib9::abi::{self, DMDIR};
use lib9::proc::{Noted, notify};
use lib9::{Args, Dir, Fork, Rfork, fd, proc};
use rcshell::Shell;
use rcshell::os::{Entry, Error, Note, Os};

/// What notes there are, in the order in which they take effect.
const NOTES: [Note; 4] = [Note::Hangup, Note::Interrupt, Note::Alarm, Note::Term];

/// How many of each have come and wait to take effect.
static PENDING: [AtomicU32; 4] = [const { AtomicU32::new(0) }; 4];

/// This process is a child that runs a part of a command.
static CHILD: AtomicBool = AtomicBool::new(false);

/// It is about to become another program, and dies of notes as that would.
static LEAVING: AtomicBool = AtomicBool::new(false);

/// Runs the shell and exits with its status.
pub fn main(args: &Args) -> lib9::Result<()> {
    notify(Some(noted))?;
    let mut argv = Vec::from([String::from(args.argv0())]);
    argv.extend_from_slice(args.words());
    let status = rcshell::main(Plan9, &argv);
    proc::exits_now(&status)
}

/// Counts the notes that the shell handles between commands. It may run anywhere, so it does nothing else.
fn noted(text: &str) -> Noted {
    if LEAVING.load(Ordering::Relaxed) {
        return Noted::Default;
    }
    if let Some(at) = NOTES.iter().position(|note| text.starts_with(note.text())) {
        if let Some(count) = PENDING.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        return Noted::Continue;
    }
    // A shell outlives a reader that has gone away; a part of a pipeline must not.
    if text.starts_with("sys: write on closed pipe") && !CHILD.load(Ordering::Relaxed) {
        return Noted::Continue;
    }
    Noted::Default
}

fn text(error: lib9::Error) -> Error {
    error.to_string()
}

/// The kernel.
#[derive(Clone, Copy, Debug)]
struct Plan9;

impl Os for Plan9 {
    // Not /env, which is not bound yet when the first shell starts, and which anybody can bind something over.
    const ENV: &'static str = "#e";

    fn fork<F>(shell: &mut Shell<Self>, group: bool, f: F) -> Result<i32, Error>
    where
        F: FnOnce(&mut Shell<Self>) -> String + Send + 'static,
    {
        let mut flags = Rfork::PROC | Rfork::FDG | Rfork::REND;
        flags.set(Rfork::NOTEG, group);
        // What came since the shell last looked is meant for the command that begins here, so the child dies of it.
        // But while the function of a note runs, the notes that wait are for later.
        let held = shell.is_trapping();
        let before = PENDING.each_ref().map(|count| if held { count.load(Ordering::Relaxed) } else { 0 });
        match proc::rfork(flags).map_err(text)? {
            Fork::Parent(pid) => Ok(pid),
            Fork::Child => {
                CHILD.store(true, Ordering::Relaxed);
                for (count, before) in PENDING.iter().zip(before) {
                    count.fetch_sub(before, Ordering::Relaxed);
                }
                let status = f(shell);
                proc::exits_now(&status)
            }
        }
    }

    fn rfork(&mut self, flags: Rfork) -> Result<(), Error> {
        proc::rfork(flags).map(drop).map_err(text)
    }

    fn exec(&mut self, path: &str, argv: &[String]) -> Result<String, Error> {
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        // From here on the kernel sees to notes; what came before is seen to now.
        LEAVING.store(true, Ordering::Relaxed);
        if let Some(note) = self.note() {
            proc::exits_now(note.text());
        }
        match proc::exec(path, &argv) {
            Ok(never) => match never {},
            Err(e) => {
                LEAVING.store(false, Ordering::Relaxed);
                Err(text(e))
            }
        }
    }

    fn wait(&mut self) -> Result<(i32, String), Error> {
        proc::await_().map(|w| (w.pid, w.msg)).map_err(text)
    }

    fn room(&mut self) -> u64 {
        proc::room()
    }

    fn pid(&self) -> i32 {
        proc::getpid()
    }

    fn note(&mut self) -> Option<Note> {
        let waiting = |count: &AtomicU32| {
            count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
        };
        NOTES.into_iter().zip(&PENDING).find(|(_, count)| waiting(count)).map(|(note, _)| note)
    }

    fn is_noted(&self) -> bool {
        PENDING.iter().any(|count| count.load(Ordering::Relaxed) > 0)
    }

    fn open(&mut self, name: &str, mode: u32) -> Result<i32, Error> {
        fd::open(name, mode).map_err(text)
    }

    fn create(&mut self, name: &str, mode: u32, perm: u32) -> Result<i32, Error> {
        fd::create(name, mode, perm).map_err(text)
    }

    fn remove(&mut self, name: &str) -> Result<(), Error> {
        fd::remove(name).map_err(text)
    }

    fn close(&mut self, fd: i32) {
        let _ = fd::close(fd);
    }

    fn dup(&mut self, old: i32, new: i32) -> Result<i32, Error> {
        fd::dup(old, new).map_err(text)
    }

    fn pipe(&mut self) -> Result<[i32; 2], Error> {
        fd::pipe().map_err(text)
    }

    fn read(&mut self, fd: i32, buf: &mut [u8]) -> Result<usize, Error> {
        fd::read(fd, buf).map_err(text)
    }

    fn write(&mut self, fd: i32, bytes: &[u8]) -> Result<(), Error> {
        fd::write_all(fd, bytes).map_err(text)
    }

    fn seek_end(&mut self, fd: i32) -> Result<(), Error> {
        fd::seek(fd, 0, 2).map(drop).map_err(text)
    }

    fn chdir(&mut self, name: &str) -> Result<(), Error> {
        fd::chdir(name).map_err(text)
    }

    fn list(&mut self, dir: &str) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        let each = fd::each_in(dir, |d| {
            entries.push(Entry { dir: d.is_dir(), name: d.name });
            Ok(true)
        });
        each.map(|()| entries).map_err(text)
    }

    fn exists(&mut self, name: &str) -> bool {
        stat(name).is_some()
    }

    fn executable(&mut self, name: &str) -> bool {
        stat(name).is_some_and(|d| d.mode & DMDIR == 0 && d.mode & 0o111 != 0)
    }

    fn is_console(&mut self, fd: i32) -> bool {
        fd::is_console(fd)
    }
}

/// What is known of a file, also when a note comes in between: that is for the shell to look at later.
fn stat(name: &str) -> Option<Dir> {
    loop {
        match fd::stat(name) {
            Err(e) if e.is(abi::error::EINTR) => {}
            found => return found.ok(),
        }
    }
}
