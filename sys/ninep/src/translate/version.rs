//! Row: which dialect, and how large a message.

use crate::{Dialect, Rmsg};
use abi::error;

/// The `msize` asked for when nobody says otherwise: 128 KiB of data and their header.
pub const DEFAULT_MSIZE: u32 = 131_096;
/// Less than this QEMU refuses.
pub const MIN_MSIZE: u32 = 4096;
/// More than this is never asked for: what the largest QEMU takes.
pub const MAX_MSIZE: u32 = 4_186_112;
/// A server that agrees on less than this cannot be worked with: no walk and no stat would fit.
const LEAST: u32 = 256;
/// Text for a server that answers another version than the one it was asked for.
pub const EVERSION: &str = "server does not speak this version of 9P";

/// What a `mount` of the phantom device asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec<'a> {
    /// The mount tag, or for a server behind a channel the name of one of its trees. May be empty.
    pub name: &'a str,
    /// The dialect to speak, when the spec says so.
    pub dialect: Option<Dialect>,
    /// The largest message to ask for, in bytes, when the spec says so.
    pub msize: Option<u32>,
}

impl<'a> Spec<'a> {
    /// Reads `name`, `name:version` or `name:version:msize`, the form of a line of `/dev/mtags`. A name may hold
    /// colons: only a version that exists ends it.
    ///
    /// # Errors
    /// `bad attach specifier` when the size is not between [`MIN_MSIZE`] and [`MAX_MSIZE`].
    pub fn parse(spec: &'a str) -> Result<Spec<'a>, &'static str> {
        let versioned = |s: &'a str| {
            let (name, version) = s.rsplit_once(':')?;
            Some((name, Dialect::from_version(version.as_bytes())?))
        };
        // Behind a version there is a size, unless it is a version again: then the first belongs to the name.
        let is_size = |n: &str| Dialect::from_version(n.as_bytes()).is_none();
        let sized = spec.rsplit_once(':').filter(|(_, n)| is_size(n));
        let sized = sized.and_then(|(front, n)| Some((versioned(front)?, n)));
        if let Some(((name, dialect), n)) = sized {
            let msize = n.parse().map_err(|_| error::EBADSPEC)?;
            if !(MIN_MSIZE..=MAX_MSIZE).contains(&msize) {
                return Err(error::EBADSPEC);
            }
            return Ok(Spec { name, dialect: Some(dialect), msize: Some(msize) });
        }
        Ok(match versioned(spec) {
            Some((name, dialect)) => Spec { name, dialect: Some(dialect), msize: None },
            None => Spec { name: spec, dialect: None, msize: None },
        })
    }
}

/// Checks an `Rversion`: the dialect and the largest message of the session.
/// Plain 9P2000 is accepted for any dialect that was asked for, because a 9P2000 server may answer so.
///
/// # Errors
/// [`EVERSION`] when the version is another; `mount rpc error` when the size is larger than asked for or
/// uselessly small, or when it is no `Rversion`.
pub fn accept(asked: Dialect, msize: u32, reply: &Rmsg<'_>) -> Result<(Dialect, u32), &'static str> {
    let Rmsg::Version { msize: answered, version } = reply else {
        return Err(error::EMOUNTRPC);
    };
    let dialect = Dialect::from_version(version.bytes()).ok_or(EVERSION)?;
    if dialect != asked && dialect != Dialect::P9 {
        return Err(EVERSION);
    }
    if *answered > msize || *answered < LEAST {
        return Err(error::EMOUNTRPC);
    }
    Ok((dialect, *answered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs() {
        let spec = |name, dialect, msize| Ok(Spec { name, dialect, msize });
        let (u, l) = (Some(Dialect::U), Some(Dialect::L));
        assert_eq!(Spec::parse("host"), spec("host", None, None));
        assert_eq!(Spec::parse("harvtmp:9P2000.L"), spec("harvtmp", l, None));
        assert_eq!(Spec::parse("harvtmp:9P2000.u:1048600"), spec("harvtmp", u, Some(1_048_600)));
        assert_eq!(Spec::parse("a:b"), spec("a:b", None, None));
        assert_eq!(Spec::parse("a:9P2000.x:5"), spec("a:9P2000.x:5", None, None));
        assert_eq!(Spec::parse("c:\\x:9P2000.L"), spec("c:\\x", l, None));
        assert_eq!(Spec::parse(""), spec("", None, None));
        assert_eq!(Spec::parse(":9P2000.L"), spec("", l, None));
        assert_eq!(Spec::parse("/a b/:9P2000:4096"), spec("/a b/", Some(Dialect::P9), Some(4096)));
        assert_eq!(Spec::parse(":9P2000.L:9P2000.u"), spec(":9P2000.L", u, None));
        for bad in ["t:9P2000.u:", "t:9P2000.u:x", "t:9P2000.u:4095", "t:9P2000.u:99999999999"] {
            assert_eq!(Spec::parse(bad), Err(error::EBADSPEC), "{bad}");
        }
    }

    #[test]
    fn answers() {
        let v = |msize, text: &'static str| Rmsg::Version { msize, version: text.into() };
        assert_eq!(accept(Dialect::U, 8192, &v(8192, "9P2000.u")), Ok((Dialect::U, 8192)));
        assert_eq!(accept(Dialect::L, 8192, &v(4096, "9P2000.L")), Ok((Dialect::L, 4096)));
        assert_eq!(accept(Dialect::U, 8192, &v(8192, "9P2000")), Ok((Dialect::P9, 8192)));
        assert_eq!(accept(Dialect::U, 8192, &v(8192, "9P2000.L")), Err(EVERSION));
        assert_eq!(accept(Dialect::P9, 8192, &v(8192, "9P2000.u")), Err(EVERSION));
        assert_eq!(accept(Dialect::U, 8192, &v(8192, "unknown")), Err(EVERSION));
        assert_eq!(accept(Dialect::U, 8192, &v(8193, "9P2000.u")), Err(error::EMOUNTRPC));
        assert_eq!(accept(Dialect::U, 8192, &v(255, "9P2000.u")), Err(error::EMOUNTRPC));
        assert_eq!(accept(Dialect::U, 8192, &Rmsg::Clunk {}), Err(error::EMOUNTRPC));
    }
}
