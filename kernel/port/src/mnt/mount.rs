//! Mounting: from a channel or a tag and a specifier to the root of a tree, by way of the session with the server.
//!
//! No state, no locks: a session is made and found in `channels` and `tags`, and the device remembers it.

use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use abi::{Qid, error};
use machine::sole::Sole;
use ninep::translate::version::DEFAULT_MSIZE;
use ninep::{Dialect, NOFID, Rmsg, Tmsg};

use super::MntDev;
use super::fid::Fid;
use super::file::MntFile;
use super::session::Session;
use super::shared::Wanted;
use super::shares;
use super::tags::Tags;
use crate::dev::pipe::ATOMIC;
use crate::dev::{Dev, MountDriver};
use crate::error::{Error, Result};
use crate::name::chan::{Chan, OwnChan};
use crate::name::path::Path;
use crate::proc::process::Proc;

/// What `#M` wants of a session.
const PLAN9: Wanted = Wanted { dialect: Some(Dialect::P9), msize: None };

impl MntDev {
    /// The session on a channel.
    fn channel_session(
        &self,
        up: &Arc<Proc>,
        server: &Arc<Chan>,
        wanted: Wanted,
        msize: u32,
    ) -> Result<(Arc<Session>, u32)> {
        let dialect = wanted.dialect.unwrap_or(Dialect::U);
        let msize = wanted.msize.unwrap_or(msize);
        let (session, devno) = self.channels.session(up, server, wanted, (dialect, msize))?;
        self.sessions.remember(devno, &session)?;
        Ok((session, devno))
    }

    /// What `#9`'s spec leads to: the session, its device number and the tree that is wanted.
    fn phantom_session<'a>(
        &self,
        tags: &Tags,
        up: &Arc<Proc>,
        server: &Arc<Chan>,
        spec: &'a str,
    ) -> Result<(Arc<Session>, u32, &'a str)> {
        if shares::is_ours(server) {
            let tag = tags.nth(server.qid.path).ok_or(error::EBADSPEC)?;
            let (session, devno) = tags.session(&up.kernel, tag, shares::wanted(spec)?)?;
            self.sessions.remember(devno, &session)?;
            return Ok((session, devno, ""));
        }
        if let Some((tag, wanted)) = tags.find(spec)? {
            let (session, devno) = tags.session(&up.kernel, tag, wanted)?;
            self.sessions.remember(devno, &session)?;
            return Ok((session, devno, ""));
        }
        let (aname, wanted) = Wanted::parse(spec)?;
        // Nothing of the console device leads to a server: /dev/null says that a tag is meant.
        if server.dev.letter() == 'c' {
            return Err(Error::new(error::EBADSPEC).with_name(aname));
        }
        let (session, devno) = self.channel_session(up, server, wanted, DEFAULT_MSIZE)?;
        Ok((session, devno, aname))
    }

    fn root(self: Arc<Self>, session: &Arc<Session>, devno: u32, attached: (Fid, Qid)) -> OwnChan {
        let (fid, qid) = attached;
        debug_assert!(Arc::ptr_eq(session, &fid.session));
        let path = Path::of_device(self.letter(), "");
        Sole::new(Chan::new(self, devno, qid, path, Some(Arc::new(MntFile::root(fid, qid)))))
    }
}

/// The size of `#M`'s messages to begin with on a channel. Who reads them from a pipe may take a read for a message,
/// and have room for what a pipe keeps together.
fn usual_msize(server: &Chan) -> u32 {
    if server.dev.letter() == '|' { DEFAULT_MSIZE.min(ATOMIC as u32) } else { DEFAULT_MSIZE }
}

/// `MountDriver` hands out channels of the device, so it needs the device's own reference.
pub(super) struct Driver(pub(super) Arc<MntDev>);

impl MountDriver for Driver {
    fn attach_server(
        &self,
        up: &Arc<Proc>,
        server: Arc<Chan>,
        auth: Option<Arc<Chan>>,
        spec: &str,
        keeps: bool,
    ) -> Result<OwnChan> {
        let dev = &self.0;
        if dev.tags.is_none()
            && let Some(phantom) = shares::driver(&server)
        {
            return phantom.attach_server(up, server, auth, spec, keeps);
        }
        let (session, devno, aname) = match &dev.tags {
            Some(tags) => dev.phantom_session(tags, up, &server, spec)?,
            None => {
                let (session, devno) = dev.channel_session(up, &server, PLAN9, usual_msize(&server))?;
                (session, devno, spec)
            }
        };
        let afid = match &auth {
            Some(c) => c.aux::<MntFile>()?.fid.number,
            None => NOFID,
        };
        let attached = Fid::attach(&session, &up.user(), aname, afid)?;
        attached.0.keeps.store(keeps, Ordering::Relaxed);
        dev.channels.used(&server);
        Ok(dev.clone().root(&session, devno, attached))
    }

    fn version(&self, up: &Arc<Proc>, server: &Arc<Chan>, msize: u32, version: &str) -> Result<String> {
        if !version.is_empty() && !version.starts_with("9P2000") {
            return Err(error::EBADARG.into());
        }
        if shares::is_ours(server) {
            return Err(error::EPERM.into());
        }
        let msize = if msize == 0 { usual_msize(server) } else { msize };
        let (session, _) = self.0.channel_session(up, server, PLAN9, msize)?;
        self.0.channels.keep(server, &session);
        Ok(String::from(session.dialect.version()))
    }

    fn auth(&self, up: &Arc<Proc>, server: Arc<Chan>, aname: &str) -> Result<Arc<Chan>> {
        if shares::is_ours(&server) {
            return Err(error::EPERM.into());
        }
        let (session, devno) = self.0.channel_session(up, &server, PLAN9, DEFAULT_MSIZE)?;
        // The mount that follows is of this session, also when the server asks for no proof, or the proof is over.
        self.0.channels.keep(&server, &session);
        let fid = Fid::reserve(&session)?;
        fid.set_waits();
        let user = up.user();
        let message = Tmsg::Auth {
            afid: fid.number,
            uname: (*user).into(),
            aname: aname.into(),
            n_uname: ninep::NONUM,
        };
        let qid = session.call(&message, |reply| match reply {
            Rmsg::Auth { aqid } => Ok(aqid),
            _ => Err(error::EMOUNTRPC.into()),
        })?;
        let mut chan = self.0.clone().root(&session, devno, (fid.born(), qid));
        chan.mode = Some(abi::ORDWR);
        chan.iounit = session.msize.saturating_sub(ninep::IOHDRSZ);
        Ok(chan.share())
    }
}
