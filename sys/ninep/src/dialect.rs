//! The three dialects, and the numbers of their messages.

use core::fmt;

/// A dialect of 9P: it decides which messages exist and which fields they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Plan 9's own, `9P2000`.
    P9,
    /// The Unix extensions, `9P2000.u`: numeric users, errno, special files.
    U,
    /// Linux's, `9P2000.L`: its own calls for everything but walking, reading and writing.
    L,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 3] = [Dialect::P9, Dialect::U, Dialect::L];

    /// The text in `Tversion` and `Rversion`.
    pub const fn version(self) -> &'static str {
        match self {
            Dialect::P9 => "9P2000",
            Dialect::U => "9P2000.u",
            Dialect::L => "9P2000.L",
        }
    }

    /// The dialect of a version text, if it is exactly one that exists.
    pub fn from_version(text: &[u8]) -> Option<Dialect> {
        Self::ALL.into_iter().find(|d| d.version().as_bytes() == text)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.version())
    }
}

/// Sets of dialects, as the message tables name them.
pub(crate) mod set {
    use super::Dialect;

    /// Every dialect.
    pub const fn all(_: Dialect) -> bool {
        true
    }
    /// 9P2000 and 9P2000.u.
    pub const fn old(d: Dialect) -> bool {
        !matches!(d, Dialect::L)
    }
    /// 9P2000.u alone.
    pub const fn u(d: Dialect) -> bool {
        matches!(d, Dialect::U)
    }
    /// 9P2000.u and 9P2000.L.
    pub const fn ul(d: Dialect) -> bool {
        !matches!(d, Dialect::P9)
    }
    /// 9P2000.L alone.
    pub const fn l(d: Dialect) -> bool {
        matches!(d, Dialect::L)
    }
}

macro_rules! kinds {
    ($($t:ident $r:ident = $number:literal;)*) => {
        /// Message types. The reply to type `t` is `t + 1`, or an error reply.
        pub mod kind {
            $(
                #[doc = concat!("Request ", stringify!($number), ".")]
                pub const $t: u8 = $number;
                #[doc = concat!("The reply to `", stringify!($t), "`.")]
                pub const $r: u8 = $number + 1;
            )*
            /// The failure of a request in 9P2000.L.
            pub const RLERROR: u8 = 7;
            /// The failure of a request in 9P2000 and 9P2000.u.
            pub const RERROR: u8 = 107;

            /// The name of a message type, for traces.
            pub const fn name(kind: u8) -> Option<&'static str> {
                match kind {
                    $($t => Some(stringify!($t)), $r => Some(stringify!($r)),)*
                    RLERROR => Some("RLERROR"),
                    RERROR => Some("RERROR"),
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    TSTATFS RSTATFS = 8;
    TLOPEN RLOPEN = 12;
    TLCREATE RLCREATE = 14;
    TSYMLINK RSYMLINK = 16;
    TMKNOD RMKNOD = 18;
    TRENAME RRENAME = 20;
    TREADLINK RREADLINK = 22;
    TGETATTR RGETATTR = 24;
    TSETATTR RSETATTR = 26;
    TXATTRWALK RXATTRWALK = 30;
    TXATTRCREATE RXATTRCREATE = 32;
    TREADDIR RREADDIR = 40;
    TFSYNC RFSYNC = 50;
    TLOCK RLOCK = 52;
    TGETLOCK RGETLOCK = 54;
    TLINK RLINK = 70;
    TMKDIR RMKDIR = 72;
    TRENAMEAT RRENAMEAT = 74;
    TUNLINKAT RUNLINKAT = 76;
    TVERSION RVERSION = 100;
    TAUTH RAUTH = 102;
    TATTACH RATTACH = 104;
    TFLUSH RFLUSH = 108;
    TWALK RWALK = 110;
    TOPEN ROPEN = 112;
    TCREATE RCREATE = 114;
    TREAD RREAD = 116;
    TWRITE RWRITE = 118;
    TCLUNK RCLUNK = 120;
    TREMOVE RREMOVE = 122;
    TSTAT RSTAT = 124;
    TWSTAT RWSTAT = 126;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_exact() {
        for d in Dialect::ALL {
            assert_eq!(Dialect::from_version(d.version().as_bytes()), Some(d));
        }
        assert_eq!(Dialect::from_version(b"9P2000.l"), None);
        assert_eq!(Dialect::from_version(b"9P2000.uu"), None);
        assert_eq!(Dialect::from_version(b"unknown"), None);
    }

    #[test]
    fn replies_follow_requests() {
        assert_eq!(kind::RREAD, 117);
        assert_eq!(kind::name(kind::RUNLINKAT), Some("RUNLINKAT"));
        assert_eq!(kind::name(106), None);
    }
}
