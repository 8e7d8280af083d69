//! `#9`, the phantom mount device: mount tags and their sessions. (Its servers behind channels are in `channels`.)
//!
//! The spec of a mount is the mount tag of a virtio-9p device, by itself or as `/dev/mtags` shows it,
//! `tag:version:msize`, quoted or not. A tag has one session; a second mount of it shares that, and the last to go ends
//! it.
//!
//! Lock order: a tag's `state` is held while its session is begun, which sleeps; nothing is held when it is taken.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use abi::quote::{one_line, quote_among};
use io::message::Transport;
use machine::sync::QLock;
use ninep::Dialect;
use ninep::translate::version::DEFAULT_MSIZE;

use super::session::{Patience, Session};
use super::shared::{Shared, Wanted};
use crate::error::Result;
use crate::kernel::Kernel;

/// A virtio-9p device. Its tag is the host's to choose, and may be anything.
pub(crate) struct Tag {
    /// The tag itself.
    name: String,
    /// The tag on one line, as somebody can type it.
    line: String,
    /// The tag as a field of `/dev/mtags`.
    field: String,
    transport: Arc<dyn Transport>,
    state: QLock<Shared>,
}

/// All devices, in the order in which they were found.
pub(crate) struct Tags {
    tags: Vec<Tag>,
    patience: Patience,
}

impl Tags {
    /// For these devices: mount tag and transport.
    pub(crate) fn new(devices: Vec<(String, Arc<dyn Transport>)>, patience: Patience) -> Self {
        let tag = |(name, transport): (String, _)| Tag {
            line: one_line(&name),
            field: mtags_field(&name),
            name,
            transport,
            state: QLock::new(Shared::default()),
        };
        Tags { tags: devices.into_iter().map(tag).collect(), patience }
    }

    /// The device whose tag `spec` begins with, and how the session is to be; `None` when no device has that tag.
    ///
    /// # Errors
    /// `bad attach specifier` for a size that cannot be.
    pub(crate) fn find(&self, spec: &str) -> Result<Option<(&Tag, Wanted)>> {
        let tag = |name: &str| {
            let by = |form: fn(&Tag) -> &String| self.tags.iter().find(|t| form(t) == name);
            by(|t| &t.name).or_else(|| by(|t| &t.line)).or_else(|| by(|t| &t.field))
        };
        // A tag may look like anything, so a spec that is one is that.
        if let Some(tag) = tag(spec) {
            return Ok(Some((tag, Wanted::default())));
        }
        let (name, wanted) = Wanted::parse(spec)?;
        Ok(tag(name).map(|tag| (tag, wanted)))
    }

    /// The tags, as somebody can type them.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().map(|tag| tag.line.as_str())
    }

    /// The device with this number, from 1.
    pub(crate) fn nth(&self, number: u64) -> Option<&Tag> {
        self.tags.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// The session with a device, begun if there is none, and its device number.
    ///
    /// # Errors
    /// `device or object already in use` when the tag is mounted in another way; what beginning a session gives.
    pub(crate) fn session(
        &self,
        kernel: &Arc<Kernel>,
        tag: &Tag,
        wanted: Wanted,
    ) -> Result<(Arc<Session>, u32)> {
        let mut state = tag.state.lock_intr()?;
        if let Some(session) = state.session() {
            if session.alive().is_ok() {
                return state.join(session, wanted);
            }
            session.wait_ended();
        }
        let asked = (wanted.dialect.unwrap_or(Dialect::U), wanted.msize.unwrap_or(DEFAULT_MSIZE));
        let session = Session::begin(kernel, tag.transport.clone(), asked, self.patience)?;
        let devno = kernel.new_id();
        *state = Shared::new(&session, devno, asked);
        Ok((session, devno))
    }

    /// `/dev/mtags`: `tag:-`, or `tag:version:msize:use:hits` while it is mounted.
    pub(crate) fn write_mtags(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        for tag in &self.tags {
            // A session that is just being begun is none yet.
            let live = tag.state.try_lock().and_then(|state| state.session());
            let live = live.filter(|s| s.alive().is_ok());
            match live {
                None => writeln!(out, "{}:-", tag.field)?,
                Some(s) => s.write_mtag(&tag.field, out)?,
            }
        }
        Ok(())
    }
}

/// A name that is not ours as a field of `/dev/mtags`: it ends neither the field nor the line.
pub(super) fn mtags_field(name: &str) -> String {
    quote_among(&one_line(name), &[':'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use io::message::{Request, TransportError};

    fn mtags(tags: &Tags) -> String {
        let mut out = String::new();
        tags.write_mtags(&mut out).unwrap();
        out
    }

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

    /// A host makes as many shares as it likes: its directory is told one by one.
    #[test]
    fn hundreds_are_listed_one_by_one() {
        const MANY: usize = 300;
        let transport: Arc<dyn Transport> = Arc::new(Nobody);
        let tags = (0..MANY).map(|n| (alloc::format!("share{n:03}"), transport.clone())).collect();
        let tags = Tags::new(tags, Patience::DEVICE);
        let mut seen = 0;
        machine::host::heap::within("list", machine::heap::GRANT, || {
            super::super::shares::each(&tags, 10, &mut |number, entry| {
                seen += 1;
                assert_eq!(entry.name, alloc::format!("share{:03}", number - 1));
                seen < 200
            });
        });
        assert_eq!(seen, 200);
        assert_eq!(super::super::shares::entry(&tags, 300).unwrap().name, "share299");
        assert!(super::super::shares::entry(&tags, 301).is_none());
    }

    #[test]
    fn specs() {
        let tags: Vec<(String, Arc<dyn Transport>)> = ["host", "a:b", "x:9P2000.u", "it's\n:a tag"]
            .map(|t| (String::from(t), Arc::new(Nobody) as Arc<dyn Transport>))
            .into();
        let tags = Tags::new(tags, Patience::DEVICE);
        let kernel = Kernel::new(Vec::new(), Vec::new(), crate::kmesg::Kmesg::new(None));
        let find = |spec: &str| {
            let (tag, wanted) = tags.find(spec).unwrap()?;
            Some((tag.name.as_str(), wanted.dialect, wanted.msize))
        };
        assert_eq!(find("host"), Some(("host", None, None)));
        assert_eq!(find("a:b"), Some(("a:b", None, None)));
        assert_eq!(find("x:9P2000.u"), Some(("x:9P2000.u", None, None)));
        assert_eq!(find("a:b:9P2000.u"), Some(("a:b", Some(Dialect::U), None)));
        assert_eq!(find("x:9P2000.u:9P2000.L"), Some(("x:9P2000.u", Some(Dialect::L), None)));
        assert_eq!(find("host:9P2000.L:8192"), Some(("host", Some(Dialect::L), Some(8192))));
        // A tag that is more than a word is found by what it is, by what is shown of it, and by the whole field.
        let odd = "it's\n:a tag";
        for spec in [odd, "it's␊:a tag", "'it''s␊:a tag'"] {
            assert_eq!(find(spec), Some((odd, None, None)), "{spec}");
            assert_eq!(
                find(&alloc::format!("{spec}:9P2000.L")),
                Some((odd, Some(Dialect::L), None)),
                "{spec}"
            );
        }
        assert_eq!(find("'a:b':9P2000.u:8192"), Some(("a:b", Some(Dialect::U), Some(8192))));
        assert_eq!([find(""), find("nope"), find("nope:9P2000.u"), find("x"), find(":9P2000.u")], [None; 5]);
        assert_eq!(
            tags.find("host:9P2000.u:5").err().unwrap().text(),
            "'host:9P2000.u:5' bad attach specifier"
        );
        let shown = "host:-\n'a:b':-\n'x:9P2000.u':-\n'it''s␊:a tag':-\n";
        assert_eq!(mtags(&tags), shown);
        // A server that is not there is an error, and the tag stays free.
        let (tag, wanted) = tags.find("host").unwrap().unwrap();
        assert_eq!(tags.session(&kernel, tag, wanted).err().unwrap().text(), abi::error::EHUNGUP);
        assert_eq!(mtags(&tags), shown);
    }
}
