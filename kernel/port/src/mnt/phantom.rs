//! `#9`, the phantom mount device: mount tags and their sessions.
//!
//! The spec of a mount is the mount tag of a virtio-9p device, by itself or as `/dev/mtags` shows it,
//! `tag:version:msize`. A tag has one session; a second mount of it shares that, and the last to go ends it.
//!
//! Lock order: a tag's `state` is held while its session is begun, which sleeps; nothing is held when it is taken.

use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::error;
use machine::message::Transport;
use machine::sync::QLock;
use ninep::Dialect;
use ninep::translate::version::{DEFAULT_MSIZE, Spec};

use super::session::{Patience, Session};
use crate::error::{Error, Result};

/// A virtio-9p device.
pub struct Tag {
    name: String,
    transport: Arc<dyn Transport>,
    state: QLock<Mounted>,
}

/// A tag's session, while there is one.
struct Mounted {
    session: Weak<Session>,
    devno: u32,
    asked: u32,
}

/// All devices, in the order in which they were found.
pub struct Tags {
    tags: Vec<Tag>,
    patience: Patience,
}

/// What a spec asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    index: usize,
    /// Only when the spec says so.
    dialect: Option<Dialect>,
    msize: Option<u32>,
}

impl Tags {
    /// For these devices: mount tag and transport.
    pub fn new(devices: Vec<(String, Arc<dyn Transport>)>, patience: Patience) -> Self {
        let tag = |(name, transport)| Tag {
            name,
            transport,
            state: QLock::new(Mounted { session: Weak::new(), devno: 0, asked: 0 }),
        };
        Tags { tags: devices.into_iter().map(tag).collect(), patience }
    }

    fn parse(&self, spec: &str) -> Result<Wanted> {
        let place = |name: &str| self.tags.iter().position(|t| t.name == name);
        // A tag may look like anything, so a spec that is one is that.
        if let Some(index) = place(spec) {
            return Ok(Wanted { index, dialect: None, msize: None });
        }
        let unknown = |name: &str| Error::new(error::EBADSPEC).with_name(name);
        let parsed = Spec::parse(spec).map_err(|_| unknown(spec))?;
        let index = place(parsed.tag).ok_or_else(|| unknown(parsed.tag))?;
        let sized = spec.len() > parsed.tag.len() + 1 + parsed.dialect.version().len();
        Ok(Wanted { index, dialect: Some(parsed.dialect), msize: sized.then_some(parsed.msize) })
    }

    /// The session that `spec` asks for, begun if there is none, and its device number.
    ///
    /// # Errors
    /// `bad attach specifier` with the tag in front; `device or object already in use` when the tag is mounted
    /// in another way; what beginning a session gives.
    pub fn session(&self, spec: &str, new_devno: impl FnOnce() -> u32) -> Result<(Arc<Session>, u32)> {
        let wanted = self.parse(spec)?;
        let tag = self.tags.get(wanted.index).ok_or(error::EBADSPEC)?;
        let mut state = tag.state.lock_intr()?;
        if let Some(session) = state.session.upgrade() {
            if session.alive().is_ok() {
                let same = wanted.dialect.is_none_or(|d| d == session.dialect)
                    && wanted.msize.is_none_or(|m| m == state.asked);
                return if same { Ok((session, state.devno)) } else { Err(error::EINUSE.into()) };
            }
            session.wait_ended();
        }
        let dialect = wanted.dialect.unwrap_or(Dialect::U);
        if dialect == Dialect::P9 {
            return Err(Error::new(error::EBADSPEC).with_name(spec));
        }
        let asked = wanted.msize.unwrap_or(DEFAULT_MSIZE);
        let session = Arc::new(Session::begin(tag.transport.clone(), dialect, asked, self.patience)?);
        *state = Mounted { session: Arc::downgrade(&session), devno: new_devno(), asked };
        Ok((session, state.devno))
    }

    /// `/dev/mtags`: `tag:-`, or `tag:version:msize:use:hits` while it is mounted.
    pub fn mtags(&self) -> String {
        let mut out = String::new();
        for tag in &self.tags {
            // A session that is just being begun is none yet.
            let live = tag.state.try_lock().and_then(|state| state.session.upgrade());
            let live = live.filter(|s| s.alive().is_ok());
            out += &match live {
                None => format!("{}:-\n", tag.name),
                Some(s) => {
                    let (used, hits) = s.slots.counts();
                    format!("{}:{}:{}:{used}:{hits}\n", tag.name, s.dialect.version(), s.msize)
                }
            };
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::message::{Request, TransportError};

    struct Nobody;

    impl Transport for Nobody {
        fn name(&self) -> String {
            "nobody".into()
        }
        fn max_in_flight(&self) -> usize {
            1
        }
        fn max_segments(&self) -> usize {
            8
        }
        fn submit(&self, request: alloc::boxed::Box<Request>) {
            request.complete(Err(TransportError::HungUp));
        }
        fn reset(&self) -> core::result::Result<(), TransportError> {
            Ok(())
        }
    }

    #[test]
    fn specs() {
        let tags: Vec<(String, Arc<dyn Transport>)> = ["host", "a:b", "x:9P2000.u"]
            .map(|t| (String::from(t), Arc::new(Nobody) as Arc<dyn Transport>))
            .into();
        let tags = Tags::new(tags, Patience::DEVICE);
        let wanted = |index, dialect, msize| Wanted { index, dialect, msize };
        assert_eq!(tags.parse("host").unwrap(), wanted(0, None, None));
        assert_eq!(tags.parse("a:b").unwrap(), wanted(1, None, None));
        assert_eq!(tags.parse("x:9P2000.u").unwrap(), wanted(2, None, None));
        assert_eq!(tags.parse("a:b:9P2000.u").unwrap(), wanted(1, Some(Dialect::U), None));
        assert_eq!(tags.parse("host:9P2000.L:8192").unwrap(), wanted(0, Some(Dialect::L), Some(8192)));
        assert_eq!(tags.parse("nope").unwrap_err().text(), "'nope' bad attach specifier");
        assert_eq!(tags.parse("nope:9P2000.u").unwrap_err().text(), "'nope' bad attach specifier");
        assert_eq!(tags.mtags(), "host:-\na:b:-\nx:9P2000.u:-\n");
        // A server that is not there is an error, and the tag stays free.
        assert_eq!(tags.session("host", || 1).err().unwrap().text(), error::EHUNGUP);
        assert_eq!(tags.mtags(), "host:-\na:b:-\nx:9P2000.u:-\n");
    }
}
