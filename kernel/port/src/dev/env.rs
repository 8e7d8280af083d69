//! `#e`: environment variables as files. `#ec`: the variables that the kernel was started with.
//!
//! A process reaches the variables of its own group through any channel of `#e`, also one that somebody else
//! opened or bound: only a channel of `#ec` is tied to a group. Qid paths are numbers that are not used again
//! and that copies of a group keep, so an open file survives `RFENVG`.
//!
//! Locks: `Egrp::vars` guards the variables and is a leaf; values are replaced as a whole and may be large,
//! so readers take a counted reference and copy without it.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Qid, error};
use machine::lock::Lock;
use spin::Once;

use crate::dev::Dev;
use crate::dev::dirtab::{self, Entry, Tree};
use crate::error::Result;
use crate::name::chan::Chan;
use crate::name::iobuf::{Dst, Src};
use crate::proc::process::Proc;

/// Longest value, in bytes.
pub const MAXVALUE: usize = 512 * 1024;
/// Most bytes in all values of a group.
pub const MAXTOTAL: usize = 1024 * 1024;

/// A variable.
#[derive(Clone)]
struct Var {
    name: Arc<str>,
    path: u64,
    vers: u32,
    value: Arc<Vec<u8>>,
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
    pub fn new() -> Arc<Self> {
        Arc::new(Egrp { vars: Lock::new(Vars::default()) })
    }

    /// Another group with the same variables, for `RFENVG`.
    pub fn copy(&self) -> Arc<Self> {
        Arc::new(Egrp { vars: Lock::new(self.vars.lock().clone()) })
    }

    /// The words of the command line: one variable for each name, its value a list when the name repeats.
    pub fn from_config(config: &[(String, String)]) -> Arc<Self> {
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

    /// The value of a variable, as its file would read.
    pub fn get(&self, name: &str) -> Option<Arc<Vec<u8>>> {
        self.vars.lock().list.iter().find(|v| *v.name == *name).map(|v| v.value.clone())
    }

    /// Gives a variable a value, making it if need be.
    ///
    /// # Errors
    /// `read or write too large` beyond [`MAXVALUE`] or [`MAXTOTAL`].
    pub fn put(&self, name: &str, value: &[u8]) -> Result<()> {
        let value = Arc::new(value.to_vec());
        let mut vars = self.vars.lock();
        let path = match vars.list.iter().find(|v| *v.name == *name) {
            Some(v) => v.path,
            None => vars.add(name).path,
        };
        vars.set(path, value)
    }

    fn remove(&self, path: u64) -> Result<()> {
        let mut vars = self.vars.lock();
        let at = vars.list.iter().position(|v| v.path == path).ok_or(error::ENONEXIST)?;
        let gone = vars.list.remove(at);
        vars.total -= gone.value.len();
        Ok(())
    }
}

/// The device.
#[derive(Default)]
pub struct Env {
    boot: Once<Arc<Egrp>>,
}

impl Env {
    /// The device.
    pub fn new() -> Arc<Self> {
        Arc::new(Env::default())
    }
}

/// The group that `c` leads to.
fn group(up: &Arc<Proc>, c: &Chan) -> Arc<Egrp> {
    c.aux_arc::<Egrp>().unwrap_or_else(|_| up.egrp())
}

/// `#ec` is changed by the machine's owner alone.
fn check_write(up: &Arc<Proc>, c: &Chan) -> Result<()> {
    if c.aux.is_some() && !up.is_hostowner() { Err(error::EPERM.into()) } else { Ok(()) }
}

impl Tree for Env {
    fn list(&self, up: &Arc<Proc>, c: &Chan, _dir: Qid) -> Result<Vec<Entry>> {
        let vars = group(up, c).vars.lock().list.clone();
        let entry = |v: Var| Entry {
            name: String::from(&*v.name).into(),
            qid: Qid { kind: 0, vers: v.vers, path: v.path },
            length: v.value.len() as u64,
            perm: 0o666,
            owner: None,
        };
        Ok(vars.into_iter().map(entry).collect())
    }

    fn lookup(&self, up: &Arc<Proc>, c: &Chan, _dir: Qid, name: &str) -> Result<Option<Qid>> {
        let group = group(up, c);
        let vars = group.vars.lock();
        let var = vars.list.iter().find(|v| *v.name == *name);
        Ok(var.map(|v| Qid { kind: 0, vers: v.vers, path: v.path }))
    }

    fn root(&self) -> Entry {
        Entry::dir("", 0, 0o775)
    }
}

impl Dev for Env {
    fn letter(&self) -> char {
        'e'
    }

    fn name(&self) -> &'static str {
        "env"
    }

    fn attach(self: Arc<Self>, up: &Arc<Proc>, spec: &str) -> Result<Chan> {
        let boot = match spec {
            "" => None,
            "c" => Some(self.boot.call_once(|| Egrp::from_config(&up.kernel.config)).clone()),
            _ => return Err(error::EBADSPEC.into()),
        };
        let mut c = dirtab::attach(self, "")?;
        if let Some(boot) = boot {
            c.path = crate::name::namec::device_path('e', spec);
            c.devno = 1;
            c.aux = Some(boot);
        }
        Ok(c)
    }

    fn tree(&self) -> Option<&dyn Tree> {
        Some(self)
    }

    fn open(&self, up: &Arc<Proc>, c: Chan, mode: u32) -> Result<Arc<Chan>> {
        if mode & abi::ORCLOSE != 0 || dirtab::access(mode) & abi::AWRITE != 0 {
            check_write(up, &c)?;
        }
        let mut c = dirtab::open(self, up, c, mode)?;
        if mode & abi::OTRUNC != 0 {
            group(up, &c).vars.lock().set(c.qid.path, Arc::default())?;
        }
        tie_for_close(up, &mut c, mode);
        Ok(Arc::new(c))
    }

    fn create(&self, up: &Arc<Proc>, mut c: Chan, name: &str, mode: u32, perm: u32) -> Result<Arc<Chan>> {
        check_write(up, &c)?;
        if !c.qid.is_dir() || perm & abi::DMDIR != 0 {
            return Err(error::EPERM.into());
        }
        {
            let group = group(up, &c);
            let mut vars = group.vars.lock();
            if vars.list.iter().any(|v| *v.name == *name) {
                return Err(error::EEXIST.into());
            }
            c.qid = vars.add(name);
        }
        c.mode = Some(mode);
        tie_for_close(up, &mut c, mode);
        Ok(Arc::new(c))
    }

    fn close(&self, c: &mut Chan) {
        if let (Some(mode), Ok(group)) = (c.mode, c.aux::<Egrp>())
            && mode & abi::ORCLOSE != 0
        {
            // It may have been removed already.
            let _ = group.remove(c.qid.path);
        }
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        if c.qid.is_dir() {
            return dirtab::read_tree(self, up, c, dst, offset);
        }
        let value = group(up, c).vars.lock().by_path(c.qid.path).map(|v| v.value.clone());
        dst.put_from(&value.ok_or(error::ENONEXIST)?, offset)
    }

    fn write(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>, offset: u64) -> Result<usize> {
        check_write(up, c)?;
        let at = usize::try_from(offset).ok().filter(|&o| o <= MAXVALUE).ok_or(error::ETOOBIG)?;
        let new = src.to_vec(MAXVALUE)?;
        let group = group(up, c);
        // Built outside the lock; done again in the rare case that somebody else wrote meanwhile.
        loop {
            let old =
                group.vars.lock().by_path(c.qid.path).map(|v| v.value.clone()).ok_or(error::ENONEXIST)?;
            let mut value = Vec::new();
            let len = old.len().max(at + new.len());
            value.try_reserve_exact(len).map_err(|_| error::ENOMEM)?;
            value.extend_from_slice(&old);
            value.resize(len, 0);
            if let Some(place) = value.get_mut(at..at + new.len()) {
                place.copy_from_slice(&new);
            }
            let value = Arc::new(value);
            let mut vars = group.vars.lock();
            if vars.by_path(c.qid.path).is_some_and(|v| Arc::ptr_eq(&v.value, &old)) {
                vars.set(c.qid.path, value)?;
                return Ok(new.len());
            }
        }
    }

    fn remove(&self, up: &Arc<Proc>, c: Chan) -> Result<()> {
        check_write(up, &c)?;
        if c.qid.is_dir() {
            return Err(error::EPERM.into());
        }
        group(up, &c).remove(c.qid.path)
    }
}

/// A file to be removed when it is closed must know its group then, when there is no caller.
fn tie_for_close(up: &Arc<Proc>, c: &mut Chan, mode: u32) {
    if mode & abi::ORCLOSE != 0 && c.aux.is_none() {
        c.aux = Some(up.egrp());
    }
}
