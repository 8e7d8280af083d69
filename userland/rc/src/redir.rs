//! Redirections.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use abi::error::EEXIST;
use abi::{OEXCL, ORDWR, OREAD, OWRITE};

use crate::ast::{Body, Mode, Redir, Word};
use crate::os::{Error, Os};
use crate::shell::{Flow, Run, Shell};

impl<O: Os> Shell<O> {
    /// Runs a command with redirections, made from left to right.
    pub(crate) fn redirected(&mut self, list: &[Redir], inner: &Body, tail: bool) -> Run {
        let saved = self.fds.map.clone();
        let pipes = self.fds.pipe_arguments();
        let mut opened = Vec::new();
        let mut result = Ok(());
        for redir in list {
            match self.redirect(redir) {
                Ok(fd) => opened.extend(fd),
                Err(flow) => {
                    result = Err(flow);
                    break;
                }
            }
        }
        if result.is_ok() {
            result = self.eval(inner, tail);
        }
        if core::mem::take(&mut self.keep_redirs) && result.is_ok() {
            return result;
        }
        self.fds.map = saved;
        for fd in opened {
            self.fds.close(&mut self.os, fd);
        }
        self.fds.close_pipe_arguments(&mut self.os, pipes);
        result
    }

    /// Makes one redirection; returns the descriptor it opened.
    fn redirect(&mut self, redir: &Redir) -> Result<Option<i32>, Flow> {
        match redir {
            Redir::Open(mode, fd, target) => {
                let name = self.target(*mode, target)?;
                match self.open_for(*mode, &name) {
                    Ok(ours) => {
                        self.fds.take_for_shell(ours);
                        self.fds.map.insert(*fd, Some(ours));
                        Ok(Some(ours))
                    }
                    Err(e) => {
                        self.put(2, &format!("{name}: "));
                        self.fail(&format!("can't open: {e}"))
                    }
                }
            }
            Redir::Here { fd, quoted, text, .. } => {
                let text = if *quoted { text.clone() } else { self.substitute(text) };
                let [read, write] = self.pipe()?;
                let feed = move |sh: &mut Self| {
                    sh.put(1, &text);
                    String::new()
                };
                let pid = self.spawn(false, &[(1, write)], feed);
                self.fds.close(&mut self.os, write);
                self.children.remove(&pid?);
                self.fds.map.insert(*fd, Some(read));
                Ok(Some(read))
            }
            Redir::Dup { to, from } => {
                let ours = self.fds.get(*from);
                self.fds.map.insert(*to, ours);
                Ok(None)
            }
            Redir::Close(fd) => {
                self.fds.map.insert(*fd, None);
                Ok(None)
            }
        }
    }

    fn target(&mut self, mode: Mode, word: &Word) -> Result<String, Flow> {
        let sign = match mode {
            Mode::Read => "<",
            Mode::Write => ">",
            Mode::Append => ">>",
            Mode::ReadWrite => "<>",
        };
        let mut list = self.list(core::slice::from_ref(word))?;
        match (list.pop(), list.is_empty()) {
            (Some(name), true) => Ok(name),
            (None, _) => self.fail(&format!("{sign} requires file")),
            (Some(_), false) => self.fail(&format!("{sign} requires singleton")),
        }
    }

    fn open_for(&mut self, mode: Mode, name: &str) -> Result<i32, Error> {
        let name = self.file_name(name);
        match mode {
            Mode::Read => self.os.open(&name, OREAD),
            Mode::Write => self.os.create(&name, OWRITE, 0o666),
            Mode::ReadWrite => self.os.open(&name, ORDWR),
            Mode::Append => match self.os.open(&name, OWRITE) {
                Ok(fd) => {
                    // A pipe or a device has no end to move to.
                    let _ = self.os.seek_end(fd);
                    Ok(fd)
                }
                Err(e) => self.make(&name, e),
            },
        }
    }

    /// Makes a file that could not be opened to be written. One that is there is not cut because of that.
    fn make(&mut self, name: &str, why: Error) -> Result<i32, Error> {
        match self.os.create(name, OWRITE | OEXCL, 0o666) {
            Err(e) if e.ends_with(EEXIST) => Err(why),
            made => made,
        }
    }

    /// A file's name in this process: `/fd/1` means what a command would find there.
    pub(crate) fn file_name(&self, name: &str) -> String {
        match name.strip_prefix("/fd/").and_then(|n| n.parse().ok()).and_then(|fd| self.fds.get(fd)) {
            Some(ours) => format!("/fd/{ours}"),
            None => name.into(),
        }
    }
}
