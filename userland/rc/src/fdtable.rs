//! Descriptors. Redirections of the shell itself are kept as a table from the number a command sees to the number
//! that is open in this process; the numbers are moved into place only where a program is about to run. So nothing
//! has to be saved and restored, and the shell's own files cannot be hit by `>[3]`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::os::Os;

/// Which descriptor stands for which.
#[derive(Clone, Debug, Default)]
pub struct FdTable {
    /// From a command's descriptor to ours; `None` is closed. What is missing is itself.
    pub map: BTreeMap<i32, Option<i32>>,
    /// Open here for the shell's use: scripts, pipes, files of redirections.
    own: BTreeSet<i32>,
    /// Pipes whose names (`/fd/7`) are arguments of the command being made.
    pipe_arguments: Vec<i32>,
}

impl FdTable {
    /// Our descriptor for a command's `fd`, if that is open.
    pub fn get(&self, fd: i32) -> Option<i32> {
        match self.map.get(&fd) {
            Some(ours) => *ours,
            None => (!self.own.contains(&fd)).then_some(fd),
        }
    }

    /// Takes a descriptor as the shell's own.
    pub fn take_for_shell(&mut self, fd: i32) -> i32 {
        self.own.insert(fd);
        fd
    }

    /// Gives an own descriptor to the user: `exec >file`.
    pub fn give_to_user(&mut self, fd: i32) {
        self.own.remove(&fd);
    }

    /// Closes a descriptor of the shell's.
    pub fn close(&mut self, os: &mut impl Os, fd: i32) {
        self.own.remove(&fd);
        os.close(fd);
    }

    /// Keeps an open pipe under a number that commands see as it is, and returns that number.
    pub fn add_pipe_argument(&mut self, os: &mut impl Os, fd: i32) -> i32 {
        let mut fd = fd;
        let mut skipped = Vec::new();
        while self.map.contains_key(&fd) {
            skipped.push(fd);
            match os.dup(fd, -1) {
                Ok(new) => fd = new,
                Err(_) => break,
            }
        }
        for fd in skipped {
            os.close(fd);
        }
        self.pipe_arguments.push(fd);
        fd
    }

    /// How many pipes are arguments, for [`FdTable::close_pipe_arguments`].
    pub fn pipe_arguments(&self) -> usize {
        self.pipe_arguments.len()
    }

    /// Closes the pipes that are arguments, the newest first, until `count` are left.
    pub fn close_pipe_arguments(&mut self, os: &mut impl Os, count: usize) {
        while self.pipe_arguments.len() > count {
            if let Some(fd) = self.pipe_arguments.pop() {
                os.close(fd);
            }
        }
    }

    /// In a new process: closes what only the parent needs. A program about to run keeps the pipes that are its
    /// arguments.
    pub fn close_unneeded(&mut self, os: &mut impl Os, keep_pipe_arguments: bool) {
        if !keep_pipe_arguments {
            self.close_pipe_arguments(os, 0);
        }
        let used: BTreeSet<i32> = self.map.values().flatten().copied().collect();
        let unused: Vec<i32> = self.own.difference(&used).copied().collect();
        for fd in unused {
            self.close(os, fd);
        }
    }

    /// Moves everything to the numbers that a program expects; afterwards the table is empty.
    pub fn move_into_place(&mut self, os: &mut impl Os) {
        let map = core::mem::take(&mut self.map);
        // A source that is also somebody's place steps aside first.
        let mut aside = BTreeMap::new();
        let mut spare = Vec::new();
        for (&to, &from) in &map {
            let Some(from) = from else { continue };
            if from == to || aside.contains_key(&from) || !map.contains_key(&from) {
                continue;
            }
            let mut at = os.dup(from, -1);
            while let Ok(fd) = at {
                spare.push(fd);
                if !map.contains_key(&fd) {
                    aside.insert(from, fd);
                    break;
                }
                at = os.dup(from, -1);
            }
        }
        for (&to, &from) in &map {
            match from {
                Some(from) if from != to => {
                    let from = aside.get(&from).copied().unwrap_or(from);
                    if os.dup(from, to).is_err() {
                        os.close(to);
                    }
                }
                Some(_) => {}
                None => os.close(to),
            }
        }
        spare.retain(|fd| !map.contains_key(fd));
        let own = core::mem::take(&mut self.own);
        for fd in own.into_iter().filter(|fd| !map.contains_key(fd)).chain(spare) {
            os.close(fd);
        }
    }
}
