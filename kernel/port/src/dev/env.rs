//! `#e`: environment variables as files. `#ec`: the variables that the kernel was started with.
//!
//! A process reaches the variables of its own group through any channel of `#e`, also one that somebody else opened or
//! bound: only a channel of `#ec` is tied to a group. A file's qid path is its variable's number, which copies of a
//! group keep, so an open file survives `RFENVG`. There is no state here; see [`Egrp`].

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Qid, error};

use crate::dev::dirtab::{self, Entry, Put};
use crate::dev::{Dev, Root};
use crate::error::Result;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::{Chan, OwnChan};
use crate::proc::egrp::{Egrp, MAXVALUE, Var};
use crate::proc::process::Proc;

/// The device.
pub struct Env;

impl Env {
    /// The device.
    pub fn new() -> Arc<Self> {
        Arc::new(Env)
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

fn entry(v: &Var) -> Entry {
    Entry {
        name: String::from(&*v.name).into(),
        qid: v.qid(),
        length: v.value.len() as u64,
        perm: 0o666,
        owner: None,
    }
}

impl Dev for Env {
    fn letter(&self) -> char {
        'e'
    }

    fn name(&self) -> &'static str {
        "env"
    }

    fn attach(&self, up: &Arc<Proc>, spec: &str) -> Result<Root> {
        if spec == "c" {
            return Ok(Root { devno: 1, aux: Some(up.kernel.boot_env.clone()), ..Root::default() });
        }
        Root::of_only_tree(spec)
    }

    fn each(&self, up: &Arc<Proc>, c: &Chan, _dir: Qid, after: u64, put: Put<'_>) -> Result<()> {
        let group = group(up, c);
        let mut some = Vec::new();
        let mut at = after;
        loop {
            group.after(at, &mut some);
            if some.is_empty() {
                return Ok(());
            }
            for v in some.drain(..) {
                at = v.qid().path;
                if !put(at, entry(&v)) {
                    return Ok(());
                }
            }
        }
    }

    fn lookup(&self, up: &Arc<Proc>, c: &Chan, _dir: Qid, name: &str) -> Result<Option<Qid>> {
        Ok(group(up, c).find(name).map(|v| v.qid()))
    }

    fn root_entry(&self) -> Entry {
        Entry::dir("", 0, 0o775)
    }

    fn entry(&self, up: &Arc<Proc>, c: &Chan) -> Result<Entry> {
        match c.qid.path {
            0 => Ok(self.root_entry()),
            path => Ok(entry(&group(up, c).get(path).ok_or(error::ENONEXIST)?)),
        }
    }

    fn open(&self, up: &Arc<Proc>, c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        if mode & abi::ORCLOSE != 0 || dirtab::access(mode) & abi::AWRITE != 0 {
            check_write(up, &c)?;
        }
        let mut c = dirtab::open(self, up, c, mode)?;
        if mode & abi::OTRUNC != 0 {
            group(up, &c).truncate(c.qid.path)?;
        }
        tie_for_close(up, &mut c, mode);
        Ok(c.share())
    }

    fn create(&self, up: &Arc<Proc>, mut c: OwnChan, name: &str, mode: u32, perm: u32) -> Result<Arc<Chan>> {
        check_write(up, &c)?;
        if !c.qid.is_dir() || perm & abi::DMDIR != 0 {
            return Err(error::EPERM.into());
        }
        c.qid = group(up, &c).create(name)?;
        c.mode = Some(mode);
        tie_for_close(up, &mut c, mode);
        Ok(c.share())
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
            return dirtab::read_dir(self, up, c, dst, offset);
        }
        dst.put_from(&group(up, c).value(c.qid.path)?, offset)
    }

    fn write(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>, offset: u64) -> Result<usize> {
        check_write(up, c)?;
        let at = usize::try_from(offset).ok().filter(|&o| o <= MAXVALUE).ok_or(error::ETOOBIG)?;
        let new = src.to_vec(MAXVALUE)?;
        group(up, c).write(c.qid.path, at, &new)?;
        Ok(new.len())
    }

    fn remove(&self, up: &Arc<Proc>, c: OwnChan) -> Result<()> {
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
