//! The messages of 9P2000, 9P2000.u and 9P2000.L, and the rules by which Elwood speaks them. No I/O.
//!
//! * [`Tmsg`] and [`Rmsg`] are requests and replies: decoded as views that borrow the message, encoded into
//!   a buffer of the caller. Which messages and fields exist depends on the [`Dialect`].
//! * [`head`] has the first bytes of a message alone, for transfers whose data lie elsewhere: the 23 bytes
//!   before the data of a `Twrite`, the 11 before those of an `Rread`.
//! * [`Stat`], [`Attr`], [`SetAttr`], [`Dirent`] are what the messages carry about files.
//! * [`Str`], [`escape`] and [`unescape`]: names are bytes on the wire and text in the system; no byte is lost.
//! * [`Framer`] cuts a byte stream into whole messages; [`proxy`] passes them on between a client and a server.
//! * [`server`] is a 9P2000 server over any tree of files; [`ram`] is such a tree in memory.
//! * [`translate`] is the table of rules by which a mount driver gives Plan 9's meaning to a server of the
//!   other two dialects.
//!
//! Everything that decodes takes bytes from an untrusted peer: it answers [`WireError`], it never panics, and
//! it allocates nothing.
//!
//! The layouts follow section 5 of the Plan 9 manual for 9P2000 and the protocol notes in
//! `docs/facts/plan9-abi.md` section 7 and `docs/facts/virtio-9p.md` section 4 for the others. Integers are
//! little-endian.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod attr;
pub mod dialect;
pub mod frame;
pub mod head;
#[macro_use]
mod message;
pub mod list;
pub mod proxy;
pub mod ram;
pub mod rmsg;
#[cfg(test)]
mod rng;
pub mod server;
pub mod stat;
#[cfg(any(test, feature = "testserver"))]
pub mod testserver;
pub mod text;
pub mod tmsg;
pub mod translate;
pub mod wire;

pub use attr::{Attr, Dirent, Dirents, SetAttr, Time};
pub use dialect::{Dialect, kind};
pub use frame::Framer;
pub use list::{Names, Qids};
pub use rmsg::Rmsg;
pub use stat::{Stat, Stats};
pub use text::{Str, escape, unescape};
pub use tmsg::Tmsg;
pub use wire::WireError;

/// The tag of `Tversion`, which belongs to no request.
pub const NOTAG: u16 = 0xffff;
/// The fid that is none, as `afid` when there is no authentication.
pub const NOFID: u32 = 0xffff_ffff;
/// The numeric user or group that is none: unknown, or not to be changed.
pub const NONUM: u32 = 0xffff_ffff;
/// Most names in one `Twalk`.
pub const MAXWELEM: usize = 16;
/// Bytes that `msize` must leave free around the data of a read or write.
pub const IOHDRSZ: u32 = 24;
