//! `Egrp`: the environment variables of a group of processes.
//!
//! Numbers of variables, the qid paths of their files in `#e`, are not used again, and copies of a group keep them.
//!
//! Locks: `Egrp::vars` guards the variables and is a leaf; values are replaced as a whole and may be large, so readers
//! take a counted reference and copy without it.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Qid, error};
use machine::lock::Lock;

use crate::error::Result;

/// Longest value, in bytes.
pub(crate) const MAXVALUE: usize = 512 * 1024;
/// Most bytes in all values of a group.
const MAXTOTAL: usize = 1024 * 1024;

/// A variable.
#[derive(Clone)]
pub(crate) struct Var {
    /// What it is called.
    pub(crate) name: Arc<str>,
    path: u64,
    vers: u32,
    /// What is in it. It is replaced as a whole.
    pub(crate) value: Arc<Vec<u8>>,
}

impl Var {
    /// The qid of its file.
    pub(crate) fn qid(&self) -> Qid {
        Qid { kind: 0, vers: self.vers, path: self.path }
    }
}

/// A group of variables, shared by processes.
pub struct Egrp {
    vars: Lock<Vars>,
}

#[derive(Clone, Default)]
struct Vars {
    list: Vec<Var>,
    last_path: u64,
    total: usize,
}

impl Vars {
    fn by_path(&mut self, path: u64) -> Option<&mut Var> {
        self.list.iter_mut().find(|v| v.path == path)
    }

    fn add(&mut self, name: &str) -> Qid {
        self.last_path += 1;
        let path = self.last_path;
        self.list.push(Var { name: name.into(), path, vers: 0, value: Arc::default() });
        Qid::file(path)
    }

    fn set(&mut self, path: u64, value: Arc<Vec<u8>>) -> Result<()> {
        let (total, len) = (self.total, value.len());
        let var = self.by_path(path).ok_or(error::ENONEXIST)?;
        let total = total - var.value.len() + len;
        if len > MAXVALUE || total > MAXTOTAL {
            return Err(error::ETOOBIG.into());
        }
        var.value = value;
        var.vers = var.vers.wrapping_add(1);
        self.total = total;
        Ok(())
    }
}

impl Egrp {
    /// An empty group.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Egrp { vars: Lock::new(Vars::default()) })
    }

    /// Another group with the same variables, for `RFENVG`.
    pub fn copy(&self) -> Arc<Self> {
        Arc::new(Egrp { vars: Lock::new(self.vars.lock().clone()) })
    }

    /// The words of the command line: one variable for each name, its value a list when the name repeats.
    pub(crate) fn from_config(config: &[(String, String)]) -> Arc<Self> {
        let mut vars = Vars::default();
        for (name, value) in config {
            let path = match vars.list.iter().find(|v| *v.name == **name) {
                Some(v) => v.path,
                None => vars.add(name).path,
            };
            let mut list = vars.by_path(path).map(|v| v.value.to_vec()).unwrap_or_default();
            if !list.is_empty() {
                list.push(0);
            }
            list.extend_from_slice(value.as_bytes());
            // What is too long for a variable is too long for a command line.
            let _ = vars.set(path, Arc::new(list));
        }
        Arc::new(Egrp { vars: Lock::new(vars) })
    }

    /// The variables, in the order in which they were made.
    pub(crate) fn list(&self) -> Vec<Var> {
        self.vars.lock().list.clone()
    }

    /// The variable of this name.
    pub(crate) fn find(&self, name: &str) -> Option<Var> {
        self.vars.lock().list.iter().find(|v| *v.name == *name).cloned()
    }

    /// Makes a variable without a value; gives the qid of its file.
    ///
    /// # Errors
    /// `file already exists`.
    pub(crate) fn create(&self, name: &str) -> Result<Qid> {
        let mut vars = self.vars.lock();
        if vars.list.iter().any(|v| *v.name == *name) {
            return Err(error::EEXIST.into());
        }
        Ok(vars.add(name))
    }

    /// The value of the variable with this number.
    ///
    /// # Errors
    /// `file does not exist`.
    pub(crate) fn value(&self, path: u64) -> Result<Arc<Vec<u8>>> {
        let value = self.vars.lock().by_path(path).map(|v| v.value.clone());
        value.ok_or(error::ENONEXIST.into())
    }

    /// Empties the variable with this number.
    ///
    /// # Errors
    /// `file does not exist`.
    pub(crate) fn truncate(&self, path: u64) -> Result<()> {
        self.vars.lock().set(path, Arc::default())
    }

    /// Puts `new` into the value of the variable with this number, from offset `at` on; a gap is filled with zeros.
    ///
    /// # Errors
    /// `read or write too large` beyond [`MAXVALUE`] or [`MAXTOTAL`]; `file does not exist`; no memory.
    pub(crate) fn write(&self, path: u64, at: usize, new: &[u8]) -> Result<()> {
        let end = at.checked_add(new.len()).ok_or(error::ETOOBIG)?;
        // Built outside the lock; done again in the rare case that somebody else wrote meanwhile.
        loop {
            let old = self.value(path)?;
            let mut value = Vec::new();
            let len = old.len().max(end);
            value.try_reserve_exact(len).map_err(|_| error::ENOMEM)?;
            value.extend_from_slice(&old);
            value.resize(len, 0);
            if let Some(place) = value.get_mut(at..end) {
                place.copy_from_slice(new);
            }
            let value = Arc::new(value);
            let mut vars = self.vars.lock();
            if vars.by_path(path).is_some_and(|v| Arc::ptr_eq(&v.value, &old)) {
                return vars.set(path, value);
            }
        }
    }

    /// Takes the variable with this number away.
    ///
    /// # Errors
    /// `file does not exist`.
    pub(crate) fn remove(&self, path: u64) -> Result<()> {
        let mut vars = self.vars.lock();
        let at = vars.list.iter().position(|v| v.path == path).ok_or(error::ENONEXIST)?;
        let gone = vars.list.remove(at);
        vars.total -= gone.value.len();
        Ok(())
    }
}
