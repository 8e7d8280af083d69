//! Processes: programs, pipelines, `&`, `@`, and waiting for them.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use abi::Rfork;
use abi::layout::ARGS_MAX;

use crate::ast::{Body, Conn};
use crate::os::Os;
use crate::print;
use crate::shell::{Flow, Run, Shell, is_interrupt};

/// Statuses of `&` commands nobody waited for that are remembered.
const REMEMBERED: usize = 128;

impl<O: Os> Shell<O> {
    /// A pipe whose ends are the shell's.
    pub(crate) fn pipe(&mut self) -> Result<[i32; 2], Flow> {
        match self.os.pipe() {
            Ok([a, b]) => Ok([self.fds.take_for_shell(a), self.fds.take_for_shell(b)]),
            Err(e) => self.fail(&format!("can't get pipe: {e}")),
        }
    }

    /// Makes a process that runs `f` with some descriptors replaced, and exits with what it returns.
    pub(crate) fn spawn<F>(&mut self, group: bool, connect: &[(i32, i32)], f: F) -> Result<i32, Flow>
    where
        F: FnOnce(&mut Self) -> String + Send + 'static,
    {
        self.start(group, connect, false, f)
    }

    fn start<F>(&mut self, group: bool, connect: &[(i32, i32)], program: bool, f: F) -> Result<i32, Flow>
    where
        F: FnOnce(&mut Self) -> String + Send + 'static,
    {
        // Once here rather than in every child.
        self.export();
        let connect = connect.to_vec();
        let child = O::fork(self, group, move |sh: &mut Self| {
            sh.subshell = true;
            sh.children.clear();
            sh.fds.map.extend(connect.into_iter().map(|(fd, ours)| (fd, Some(ours))));
            sh.fds.close_unneeded(&mut sh.os, program);
            f(sh)
        });
        match child {
            Ok(pid) => {
                self.children.insert(pid, None);
                Ok(pid)
            }
            Err(e) => self.fail(&format!("try again: {e}")),
        }
    }

    /// Runs `f` as all that is left of this process to do, and returns the exit status.
    pub(crate) fn finish(&mut self, f: impl FnOnce(&mut Self) -> Run) -> String {
        let status = match f(self) {
            Ok(()) | Err(Flow::Abort) => self.status(),
            Err(Flow::Exit(status)) => status,
            Err(Flow::Gone(status)) => return status,
        };
        self.exit_status(status)
    }

    /// Waits until a child has ended and returns its status. Others that end meanwhile are noted.
    pub(crate) fn wait_for(&mut self, pid: i32) -> String {
        loop {
            match self.children.get(&pid) {
                Some(Some(_)) => return self.children.remove(&pid).flatten().unwrap_or_default(),
                Some(None) => {}
                None => return String::new(),
            }
            if let Err(e) = self.reap()
                && !is_interrupt(&e)
            {
                self.children.remove(&pid);
                return e;
            }
        }
    }

    /// Waits for one child, whichever.
    pub(crate) fn reap(&mut self) -> Result<(), String> {
        let (pid, status) = self.os.wait()?;
        if let Some(slot) = self.children.get_mut(&pid) {
            *slot = Some(status);
        }
        let ended = self.children.iter().filter(|(_, s)| s.is_some()).map(|(pid, _)| *pid);
        let ended: Vec<i32> = ended.collect();
        for pid in ended.iter().take(ended.len().saturating_sub(REMEMBERED)) {
            self.children.remove(pid);
        }
        Ok(())
    }

    /// Runs a program.
    pub(crate) fn program(&mut self, argv: Vec<String>, tail: bool) -> Run {
        if !self.fits(&argv) {
            return Ok(());
        }
        if tail {
            let pipes = self.fds.pipe_arguments();
            self.fds.close_unneeded(&mut self.os, pipes > 0);
            return self.exec(&argv);
        }
        let run = move |sh: &mut Self| sh.finish(|sh| sh.exec(&argv));
        let pid = self.start(false, &[], true, run)?;
        let status = self.wait_for(pid);
        self.set_status(&status);
        Ok(())
    }

    /// Whether a program can have these arguments; it is told when not, and is the status.
    pub(crate) fn fits(&mut self, argv: &[String]) -> bool {
        let bytes = argv.iter().map(|arg| arg.len() as u64 + 1 + 8).sum::<u64>() + 16;
        if bytes > ARGS_MAX {
            let name = print::quote(argv.first().map_or("", String::as_str));
            let much = format!("{bytes} bytes with their pointers, {ARGS_MAX} at most");
            self.put(2, &format!("{name}: argument list too long: {much}\n"));
            self.set_status("argument list too long");
        }
        bytes <= ARGS_MAX
    }

    /// Becomes a program, looking for it along `$path`. Returns only to report that it cannot.
    pub(crate) fn exec(&mut self, argv: &[String]) -> Run {
        let Some(name) = argv.first() else { return Ok(()) };
        self.export();
        self.fds.move_into_place(&mut self.os);
        let mut reason = abi::error::ENONEXIST.into();
        for path in self.candidates(name) {
            match self.os.exec(&path, argv) {
                Ok(status) => return Err(Flow::Gone(status)),
                // That there is no such file is told only when no place in the path knows better.
                Err(e) if e.ends_with(abi::error::ENONEXIST) => {}
                Err(e) => {
                    // The name need not be told twice.
                    reason = match e.strip_prefix(&format!("'{name}' ")) {
                        Some(rest) => rest.into(),
                        None => e,
                    };
                    break;
                }
            }
        }
        let name = print::quote(name);
        self.put(2, &format!("{name}: {reason}\n"));
        Err(Flow::Exit(reason))
    }

    /// The files that a command's name may mean, in order.
    pub(crate) fn candidates(&self, name: &str) -> Vec<String> {
        // Nothing is no name of a file, and not that of a directory in the path.
        if is_path(name) || name.is_empty() {
            return vec![name.into()];
        }
        let dirs = self.vars.get("path");
        let join = |dir: &String| match dir.as_str() {
            "" => name.into(),
            dir if dir.ends_with('/') => format!("{dir}{name}"),
            dir => format!("{dir}/{name}"),
        };
        if dirs.is_empty() { vec![name.into()] } else { dirs.iter().map(join).collect() }
    }

    /// `a | b | c`: all but the last run in children, the last one here; so `| x=5` lasts.
    pub(crate) fn pipeline(&mut self, first: &Body, rest: &[(Conn, Body)]) -> Run {
        let mut pids = Vec::new();
        let mut stage = first;
        let mut from: Option<(i32, i32)> = None;
        for (conn, next) in rest {
            let [read, write] = self.pipe()?;
            let mut connect = vec![(conn.left, write)];
            connect.extend(from);
            let body = stage.clone();
            let pid = self.spawn(false, &connect, move |sh| sh.finish(|sh| sh.eval(&body, true)));
            self.fds.close(&mut self.os, write);
            if let Some((_, fd)) = from {
                self.fds.close(&mut self.os, fd);
            }
            if pid.is_err() {
                self.fds.close(&mut self.os, read);
            }
            pids.push(pid?);
            from = Some((conn.right, read));
            stage = next;
        }
        let saved = self.fds.map.clone();
        self.fds.map.extend(from.map(|(fd, ours)| (fd, Some(ours))));
        let result = self.eval(stage, false);
        self.fds.map = saved;
        if let Some((_, fd)) = from {
            self.fds.close(&mut self.os, fd);
        }
        result?;
        let last = self.status();
        let mut status = String::new();
        for pid in pids {
            status.push_str(&self.wait_for(pid));
            status.push('|');
        }
        status.push_str(&last);
        self.set_status(&status);
        Ok(())
    }

    /// `@ cmd`
    pub(crate) fn subshell(&mut self, body: &Body) -> Run {
        let body = body.clone();
        let pid = self.spawn(false, &[], move |sh| sh.finish(|sh| sh.eval(&body, true)))?;
        let status = self.wait_for(pid);
        self.set_status(&status);
        Ok(())
    }

    /// `cmd &`: in a note group of its own, so that an interrupt does not reach it, and without a terminal to read.
    pub(crate) fn background(&mut self, body: &Body) -> Run {
        let null = self.os.open("/dev/null", abi::OREAD).ok().map(|fd| self.fds.take_for_shell(fd));
        let connect: Vec<(i32, i32)> = null.into_iter().map(|fd| (0, fd)).collect();
        let body = body.clone();
        let pid = self.spawn(true, &connect, move |sh| sh.finish(|sh| sh.eval(&body, true)));
        if let Some(fd) = null {
            self.fds.close(&mut self.os, fd);
        }
        self.vars.set_one("apid", format!("{}", pid?));
        Ok(())
    }

    /// Writes what changed to the environment. A subshell gets one of its own first, so that its parent's stays as it
    /// is.
    pub(crate) fn export(&mut self) {
        if !self.vars.has_changed() {
            return;
        }
        if self.subshell && !self.own_env {
            self.own_env = self.os.rfork(Rfork::ENVG).is_ok();
        }
        let (vars, functions) = self.vars.take_changed();
        for name in vars {
            self.export_variable(&name);
        }
        for name in functions {
            self.export_function(&name);
        }
    }
}

/// Is a command's name a path, which `$path` has nothing to do with?
pub(crate) fn is_path(name: &str) -> bool {
    ["/", "#", "./", "../"].iter().any(|p| name.starts_with(p)) || matches!(name, "." | "..")
}
