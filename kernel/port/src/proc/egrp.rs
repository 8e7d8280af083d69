//! `Egrp`: the environment variables of a group of processes.
//!
//! Numbers of variables, the qid paths of their files in `#e`, are not used again, and copies of a group keep them.
//!
//! Names and values together are limited ([`MAXTOTAL`]), and each variable counts for some bytes more ([`VARIABLE`]).
//!
//! Locks: `Egrp::vars` guards the variables and is a leaf; values are replaced as a whole and may be large, so readers
//! take a counted reference and copy without it. It is held for one variable, or for [`BATCH`] of them.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use abi::{Qid, error};
use machine::heap;
use machine::ledger::for_long;
use machine::lock::Lock;

use crate::error::Result;
use crate::pools::{Counted, ENV_GROUPS};

/// Longest value, in bytes.
pub(crate) const MAXVALUE: usize = 512 * 1024;
/// Most bytes in all names and values of a group, with [`VARIABLE`] for each variable.
const MAXTOTAL: usize = 1024 * 1024;
/// Longest name, in bytes.
const MAXNAME: usize = 4096;
/// What a variable counts for beside its name and its value, so that there is an end to their number.
const VARIABLE: usize = 16;
/// A longer value leaves what is set aside for the owner alone.
const LARGE: usize = 4096;
/// Variables that are looked at in one go.
pub(crate) const BATCH: usize = 32;

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
    _counted: Counted<ENV_GROUPS>,
}

#[derive(Default)]
struct Vars {
    /// In the order in which they were made.
    by_path: BTreeMap<u64, Var>,
    by_name: BTreeMap<Arc<str>, u64>,
    last_path: u64,
    total: usize,
}

impl Vars {
    fn by_name(&self, name: &str) -> Option<&Var> {
        self.by_path.get(self.by_name.get(name)?)
    }

    fn add(&mut self, name: Arc<str>) -> Result<Qid> {
        let total = self.total + VARIABLE + name.len();
        if total > MAXTOTAL {
            return Err(error::ETOOBIG.into());
        }
        self.total = total;
        self.last_path += 1;
        let path = self.last_path;
        self.by_name.insert(name.clone(), path);
        self.by_path.insert(path, Var { name, path, vers: 0, value: Arc::default() });
        Ok(Qid::file(path))
    }

    fn set(&mut self, path: u64, value: Arc<Vec<u8>>) -> Result<()> {
        let var = self.by_path.get_mut(&path).ok_or(error::ENONEXIST)?;
        let total = self.total - var.value.len() + value.len();
        if value.len() > MAXVALUE || total > MAXTOTAL {
            return Err(error::ETOOBIG.into());
        }
        var.value = value;
        var.vers = var.vers.wrapping_add(1);
        self.total = total;
        Ok(())
    }

    /// Up to [`BATCH`] variables behind the one with the number `after`, into `out`.
    fn after(&self, after: u64, out: &mut Vec<Var>) {
        let range = (Bound::Excluded(after), Bound::Unbounded);
        out.extend(self.by_path.range(range).take(BATCH).map(|(_, v)| v.clone()));
    }
}

impl Egrp {
    /// An empty group.
    pub(crate) fn new() -> Arc<Self> {
        Self::with(Vars::default())
    }

    fn with(vars: Vars) -> Arc<Self> {
        Arc::new(Egrp { vars: Lock::new(vars), _counted: Counted::new() })
    }

    /// Another group with the same variables, for `RFENVG`.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    pub fn copy(&self) -> Result<Arc<Self>> {
        // What is made meanwhile does not count, and not only because it might not end.
        let end = self.vars.lock().last_path;
        let mut new = Vars { last_path: end, ..Vars::default() };
        let mut some = Vec::with_capacity(BATCH);
        let mut at = 0;
        loop {
            self.vars.lock().after(at, &mut some);
            let Some(last) = some.last().filter(|_| at < end) else { break };
            at = last.path;
            if !new.by_path.is_empty() && !heap::is_granted() {
                return Err(error::ENOMEM.into());
            }
            for v in some.drain(..).filter(|v| v.path <= end) {
                new.total += VARIABLE + v.name.len() + v.value.len();
                new.by_name.insert(v.name.clone(), v.path);
                new.by_path.insert(v.path, v);
            }
        }
        Ok(Self::with(new))
    }

    /// The words of the command line: one variable for each name, its value a list when the name repeats.
    pub(crate) fn from_config(config: &[(String, String)]) -> Arc<Self> {
        let mut vars = Vars::default();
        for (name, value) in config {
            let path = match vars.by_name(name) {
                Some(v) => v.path,
                None => match vars.add(name.as_str().into()) {
                    Ok(qid) => qid.path,
                    Err(_) => continue,
                },
            };
            let mut list = vars.by_path.get(&path).map(|v| v.value.to_vec()).unwrap_or_default();
            if !list.is_empty() {
                list.push(0);
            }
            list.extend_from_slice(value.as_bytes());
            // What is too long for a variable is too long for a command line.
            let _ = vars.set(path, Arc::new(list));
        }
        Self::with(vars)
    }

    /// Up to [`BATCH`] variables behind the one with the number `after`, in the order in which they were made, into
    /// `out`.
    pub(crate) fn after(&self, after: u64, out: &mut Vec<Var>) {
        out.reserve(BATCH);
        self.vars.lock().after(after, out);
    }

    /// The variable with this number.
    pub(crate) fn get(&self, path: u64) -> Option<Var> {
        self.vars.lock().by_path.get(&path).cloned()
    }

    /// The variable of this name.
    pub(crate) fn find(&self, name: &str) -> Option<Var> {
        self.vars.lock().by_name(name).cloned()
    }

    /// Makes a variable without a value; gives the qid of its file.
    ///
    /// # Errors
    /// `file already exists`; `read or write too large` when there are too many.
    pub(crate) fn create(&self, name: &str) -> Result<Qid> {
        if name.len() > MAXNAME {
            return Err(error::ETOOLONG.into());
        }
        let name: Arc<str> = name.into();
        let mut vars = self.vars.lock();
        if vars.by_name.contains_key(&name) {
            return Err(error::EEXIST.into());
        }
        vars.add(name)
    }

    /// The value of the variable with this number.
    ///
    /// # Errors
    /// `file does not exist`.
    pub(crate) fn value(&self, path: u64) -> Result<Arc<Vec<u8>>> {
        Ok(self.get(path).ok_or(error::ENONEXIST)?.value)
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
            let len = old.len().max(end);
            // A shell's stays when the one that wrote it has gone.
            let make = || heap::try_vec(len);
            let mut value = if len > LARGE { for_long(make)? } else { make()? };
            value.extend_from_slice(&old);
            value.resize(len, 0);
            if let Some(place) = value.get_mut(at..end) {
                place.copy_from_slice(new);
            }
            let value = Arc::new(value);
            let mut vars = self.vars.lock();
            if vars.by_path.get(&path).is_none_or(|v| Arc::ptr_eq(&v.value, &old)) {
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
        let gone = vars.by_path.remove(&path).ok_or(error::ENONEXIST)?;
        vars.by_name.remove(&gone.name);
        vars.total -= VARIABLE + gone.name.len() + gone.value.len();
        drop(vars);
        drop(gone);
        Ok(())
    }
}
