//! Programs that answer calls: what listen(8) and listen1(8) share. Each call gets a process with the connection as its
//! standard files; so many of them at a time, and further calls wait in the kernel, or are not answered.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use abi::{OREAD, Rfork};
use lib9::net::{Announced, Call};
use lib9::{Fork, Result, eprintln, error, fd, file, net, proc};

use crate::children::{Children, Kernel};
use crate::nsbuild;

/// Most calls of an address that are answered at a time, unless said.
pub const MOST: usize = 100;

/// What answers.
pub struct Answerer<'a> {
    /// The program and its arguments; none is what the directory of the connection is put in place of.
    pub words: Vec<Option<&'a str>>,
    /// It runs as who listens, and not as none.
    pub trusted: bool,
    /// The file of its name space; none is a copy of the listener's.
    pub namespace: Option<&'a str>,
    /// Most calls at a time.
    pub most: usize,
    /// Tells who calls.
    pub tells: bool,
    /// Only the first call is answered.
    pub once: bool,
    /// Messages of ip(3) for each call's conversation.
    pub options: &'a [String],
}

/// Announces an address, and says these messages of ip(3) to it.
///
/// # Errors
/// The kernel's.
pub fn announce(address: &str, options: &[String]) -> Result<Announced> {
    let at = net::announce(address)?;
    for option in options {
        at.ctl.write_all(option.as_bytes()).map_err(|e| error!("{option}: {e}"))?;
    }
    Ok(at)
}

impl Answerer<'_> {
    /// Answers calls until no more can come.
    ///
    /// # Errors
    /// Why they cannot.
    pub fn answer(&self, at: &Announced) -> Result<()> {
        let mut running = Children::new(Kernel);
        loop {
            running.wait_below(self.most)?;
            let call = at.listen()?;
            if self.tells {
                eprintln!("{}: {} calls", at.dir, call.remote().unwrap_or_default());
            }
            match proc::rfork(Rfork::PROC | Rfork::FDG | Rfork::NAMEG | Rfork::ENVG | Rfork::NOTEG) {
                Ok(Fork::Parent(_)) if self.once => return Ok(()),
                Ok(Fork::Parent(pid)) => running.add(pid),
                Ok(Fork::Child) => {
                    let _ = fd::close(at.ctl.fd());
                    let Err(e) = self.become_it(call);
                    proc::exits_now(e.text());
                }
                // The caller is told: it is hung up.
                Err(e) => eprintln!("{}: no process to answer with: {e}", at.dir),
            }
        }
    }

    /// Becomes the program.
    fn become_it(&self, call: Call) -> Result<core::convert::Infallible> {
        let conn = call.accept()?;
        for option in self.options {
            conn.ctl.write_all(option.as_bytes()).map_err(|e| error!("{option}: {e}"))?;
        }
        // Whom nobody hears of any more does not keep a process.
        conn.keep_alive();
        let text = match self.namespace {
            Some(name) => file::read_string(name).map_err(|e| error!("can't open {name}: {e}"))?,
            None => String::new(),
        };
        if !self.trusted {
            file::control("#c/user", "none").map_err(|e| error!("can't become none: {e}"))?;
            let _ = nsbuild::set("user", "none");
        }
        if self.namespace.is_some() {
            proc::rfork(Rfork::CNAMEG)?;
            nsbuild::build(&text, false);
        }
        let _ = nsbuild::set("net", &conn.dir);
        for standard in [0, 1, 2] {
            fd::dup(conn.data.fd(), standard)?;
        }
        let words: Vec<&str> = self.words.iter().map(|word| word.unwrap_or(&conn.dir)).collect();
        let Some(command) = words.first() else { return Err("no command".into()) };
        let is_path = command.starts_with(['/', '.', '#']);
        let path = if is_path { (*command).into() } else { format!("/bin/{command}") };
        let _ = fd::close(conn.data.into_fd());
        let _ = fd::close(conn.ctl.into_fd());
        proc::exec(&path, &words)
    }
}

/// The service that a file of a folder is: its network and its port, `tcp564` or `udp7`, unless the name begins with
/// something else, as `!tcp564` for one that is not wanted.
pub fn service<'a>(proto: &str, name: &'a str) -> Option<&'a str> {
    let port = name.strip_prefix(proto)?;
    let is_port = !port.is_empty() && port.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    // A network whose name is the beginning of another's has no services of that.
    (is_port && (port.parse::<u16>().is_ok() || !port.starts_with(|c: char| c.is_ascii_digit())))
        .then_some(port)
}

/// The files of a folder; none when there is no such folder.
pub fn files(dir: &str) -> Vec<String> {
    let mut names = Vec::new();
    let Ok(open) = fd::open(dir, OREAD) else { return names };
    if let Ok(dirs) = fd::dirread(open) {
        names.extend(dirs.into_iter().filter(|d| !d.is_dir()).map(|d| d.name));
    }
    let _ = fd::close(open);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_named_by_network_and_port() {
        assert_eq!(service("tcp", "tcp564"), Some("564"));
        assert_eq!(service("tcp", "tcphttp"), Some("http"));
        for name in ["!tcp564", "udp7", "tcp", "tcp99999", "tcp5/4", "tcp5x", "README"] {
            assert_eq!(service("tcp", name), None, "{name}");
        }
    }
}
