//! Building a name space from the text of a namespace file: [`crate::nsfile`] reads the lines, this does them.

use alloc::format;
use alloc::string::String;

use lib9::{Result, Rfork, eprintln, fd, file, ns, proc, sys};

use crate::nsfile::{self, Operation};

/// Files within files.
const DEPTH: usize = 16;

/// Does what the lines of a namespace file say, in this process's name space. What does not work is passed over, as in
/// Plan 9, whose files name what only some machines have; it is told if that is wanted.
pub fn build(text: &str, tell: bool) {
    let mut builder = Builder { tell, moved: false };
    builder.lines(text, DEPTH);
    // The working directory is to be one of the new name space.
    if !builder.moved && fd::getwd().and_then(|dir| fd::chdir(&dir)).is_err() {
        let _ = fd::chdir("/");
    }
}

/// Sets a variable, whether or not /env is there.
///
/// # Errors
/// The kernel's.
pub fn set(name: &str, value: &str) -> Result<()> {
    lib9::File::create(&format!("#e/{name}"), abi::OWRITE, 0o666)?.write_all(value.as_bytes())
}

/// The first word of a variable.
fn get(name: &str) -> Option<String> {
    if name.is_empty() || name == "." || name == ".." {
        return None;
    }
    let bytes = file::read(&format!("#e/{name}")).ok()?;
    let word = bytes.split(|b| *b == 0).next().unwrap_or(&[]);
    Some(String::from_utf8_lossy(word).into_owned())
}

struct Builder {
    tell: bool,
    /// A line has gone to a directory of the new name space.
    moved: bool,
}

impl Builder {
    /// Does what the lines of a file say.
    fn lines(&mut self, text: &str, depth: usize) {
        for line in text.lines() {
            let done = match nsfile::parse(line, get) {
                Ok(None) => continue,
                Ok(Some(operation)) => self.operate(operation, depth),
                Err(why) => Err(why.into()),
            };
            if let (Err(e), true) = (done, self.tell) {
                eprintln!("namespace: {line}: {e}");
            }
        }
    }

    fn operate(&mut self, operation: Operation, depth: usize) -> Result<()> {
        match operation {
            Operation::Bind { new, old, flag } => ns::bind(&new, &old, flag).map(drop),
            Operation::Mount { service, old, spec, flag } => {
                let server = fd::open(&service, abi::ORDWR)?;
                // A server that wants nobody authenticated refuses, and is attached to without.
                let afd = sys::fauth(server, &spec).unwrap_or(-1);
                let mounted = ns::mount(server, afd, &old, flag, &spec);
                if mounted.is_err() {
                    let _ = fd::close(server);
                }
                if afd >= 0 {
                    let _ = fd::close(afd);
                }
                mounted.map(drop)
            }
            Operation::Unmount { new, old } => ns::unmount(new.as_deref(), &old),
            Operation::Cd(dir) => {
                fd::chdir(&dir)?;
                self.moved |= dir.starts_with('/');
                Ok(())
            }
            Operation::Clear => proc::rfork(Rfork::CNAMEG).map(drop),
            Operation::File(name) => {
                let text = file::read(&name)?;
                let depth = depth.checked_sub(1).filter(|d| *d > 0).ok_or("files in files in files")?;
                self.lines(&String::from_utf8_lossy(&text), depth);
                Ok(())
            }
        }
    }
}
