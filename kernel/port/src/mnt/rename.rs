//! Giving a file another name.
//!
//! QEMU's server knows a file by the path that its fid was walked to, and it puts the paths of other fids right when it
//! is asked to rename. After Trenameat it does so for all of them. After Trename and the name in a Twstat it forgets
//! those that it comes to behind the fid that was named in the request, so that they have no file any more, or a new
//! one of the old name. So a device is sent Trenameat, which QEMU takes in a 9P2000.u session as well, and so is every
//! server of 9P2000.L that knows the message.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::error;
use ninep::translate::errors::ENOTSUP;
use ninep::translate::names;
use ninep::translate::wstat::Change;
use ninep::{Dialect, Names, Rmsg, Str, Tmsg};

use super::fid::Fid;
use super::file::wstat_fid;
use super::links::{self, Place};
use super::trail::Trail;
use crate::error::Result;

/// A file that can have the name that it is to have.
pub(super) struct Rename {
    file: Arc<Fid>,
    dir: Place,
    old: String,
    new: Vec<u8>,
}

impl Rename {
    /// The file behind `file` in the tree of `root` is called `old` and is to be called `new`. The name must be free:
    /// the server would replace what has it.
    ///
    /// # Errors
    /// `file already exists`; the server's.
    pub(super) fn plan(root: &Place, file: &Arc<Fid>, old: &str, new: Vec<u8>) -> Result<Rename> {
        let dir = links::above(root, file)?;
        if exists(&dir.fid, &new)? {
            return Err(error::EEXIST.into());
        }
        Ok(Rename { file: file.clone(), dir, old: String::from(old), new })
    }

    /// Renames.
    ///
    /// # Errors
    /// The server's.
    pub(super) fn carry_out(self) -> Result<()> {
        let fids = self.file.session.fids.clone();
        drop(fids.with_looks(|looks| looks.renames(true)));
        let session = self.file.session.clone();
        session.moves();
        let done = self.do_it();
        session.moves();
        drop(fids.with_looks(|looks| looks.renames(false)));
        done
    }

    fn do_it(self) -> Result<()> {
        let Rename { file, dir, old, new } = self;
        let session = &file.session;
        let whole = session.dialect == Dialect::L || session.is_device();
        if !(whole && rename_at(&dir.fid, &old, &new)?) {
            let change = Change { name: Some(new.clone()), ..Change::default() };
            match session.dialect {
                Dialect::L => {
                    // An open fid cannot be renamed.
                    let copy = file.copy()?;
                    if let Some(message) = change.rename(copy.number, dir.fid.number) {
                        session.call(&message, |_| Ok(()))?;
                    }
                }
                _ => wstat_fid(&file, &change)?,
            }
        }
        Trail::renamed(&file, &old, &new);
        Ok(())
    }
}

/// Asks for the new name by that of the directory; false when the server does not know the message.
fn rename_at(dir: &Fid, old: &str, new: &[u8]) -> Result<bool> {
    let old = names::element(old)?;
    let (olddirfid, newdirfid) = (dir.number, dir.number);
    let message = Tmsg::Renameat { olddirfid, oldname: Str(&old), newdirfid, newname: Str(new) };
    match dir.session.call(&message, |_| Ok(())) {
        Ok(()) => Ok(true),
        Err(e) if e.is(ENOTSUP) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Is there a file of this name in the directory?
fn exists(dir: &Fid, name: &[u8]) -> Result<bool> {
    let new = Fid::reserve(&dir.session)?;
    let names = [Str(name)];
    let walk = Tmsg::Walk { fid: dir.number, newfid: new.number, names: Names::new(&names) };
    let whole = |reply: Rmsg<'_>| Ok(matches!(reply, Rmsg::Walk { qids } if qids.len() == names.len()));
    match dir.session.call(&walk, whole) {
        Ok(true) => {
            drop(new.born());
            Ok(true)
        }
        Ok(false) => Ok(false),
        Err(e) if e.is(error::ENONEXIST) => Ok(false),
        Err(e) => Err(e),
    }
}
