//! Row: what a failure is called.
//!
//! Programs compare the texts of errors, so a host's `No such file or directory` must read `file does not exist`.
//! The number is looked at first, because texts depend on the host's language and libc. One for which Plan 9 has no
//! text is shown with Linux's name for it.

use alloc::borrow::Cow;
use alloc::string::String;

use crate::{Dialect, Rmsg, Str, kind};
use abi::error::*;

/// A text for a program: one of [`abi::error`], or the server's own words.
pub type Text = Cow<'static, str>;

/// Symbolic links that lead to each other, or too many in one path.
pub const ELOOP: &str = "too many symbolic links";
/// A rename to another file system of the server.
pub const EXDEV: &str = "cannot rename to another file system";
/// A request that the server does not know.
pub const ENOTSUP: &str = "not supported by the file server";
/// A fifo, a socket or a device of the host: it can be seen, but not opened.
pub const ESPECIAL: &str = EPERM;

/// Plan 9's text for a Linux error number.
pub const fn errno(number: u32) -> Option<&'static str> {
    Some(match number {
        1 | 13 | 30 => EPERM,        // EPERM EACCES EROFS
        2 | 116 => ENONEXIST,        // ENOENT ESTALE
        3 => EPROCDIED,              // ESRCH
        4 => EINTR,                  // EINTR
        5 | 117 | 121 => EIO,        // EIO EUCLEAN EREMOTEIO
        6 | 19 => ESPECIAL,          // ENXIO ENODEV
        7 | 27 | 75 | 90 => ETOOBIG, // E2BIG EFBIG EOVERFLOW EMSGSIZE
        9 => EBADFD,                 // EBADF
        11 | 16 | 26 => EINUSE,      // EAGAIN EBUSY ETXTBSY
        12 => ENOMEM,                // ENOMEM
        14 | 22 | 34 => EBADARG,     // EFAULT EINVAL ERANGE
        17 => EEXIST,                // EEXIST
        18 => EXDEV,                 // EXDEV
        20 => ENOTDIR,               // ENOTDIR
        21 => EISDIR,                // EISDIR
        23 | 24 => ENOFD,            // ENFILE EMFILE
        25 => EBADUSEFD,             // ENOTTY
        28 | 122 => EFULL,           // ENOSPC EDQUOT
        29 => EISSTREAM,             // ESPIPE
        32 | 104 | 108 => EHUNGUP,   // EPIPE ECONNRESET ESHUTDOWN
        36 => ETOOLONG,              // ENAMETOOLONG
        38 | 95 => ENOTSUP,          // ENOSYS EOPNOTSUPP
        39 => ENOTEMPTY,             // ENOTEMPTY
        40 => ELOOP,                 // ELOOP
        71 => EMOUNTRPC,             // EPROTO
        84 => EBADCHAR,              // EILSEQ
        _ => return None,
    })
}

/// Linux's names of its error numbers, from 1 on; `-` for numbers that it does not use.
const NAMES: &str = "EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK \
    EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE \
    EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP - ENOMSG EIDRM \
    ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT \
    - EBFONT ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP \
    EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ELIBSCN ELIBMAX ELIBEXEC EILSEQ \
    ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT \
    ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH \
    ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT \
    ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM \
    EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED \
    EOWNERDEAD ENOTRECOVERABLE ERFKILL EHWPOISON";

/// Linux's name of an error number.
fn name(number: u32) -> Option<&'static str> {
    let at = usize::try_from(number).ok()?.checked_sub(1)?;
    NAMES.split(' ').nth(at).filter(|name| *name != "-")
}

/// An error number for which Plan 9 has no text.
fn number_and_name(number: u32) -> String {
    match name(number) {
        Some(name) => alloc::format!("host error {number}, {name}"),
        None => alloc::format!("host error {number}"),
    }
}

/// The text of an error reply, or `None` when the reply is not one.
pub fn text(dialect: Dialect, reply: &Rmsg<'_>) -> Option<Text> {
    match *reply {
        Rmsg::Lerror { ecode } => {
            Some(errno(ecode).map_or_else(|| number_and_name(ecode).into(), Text::Borrowed))
        }
        Rmsg::Error { ename, .. } if dialect == Dialect::P9 => Some(own_words(ename, abi::ERRMAX - 1)),
        Rmsg::Error { ename, errno: number } => Some(match errno(number) {
            _ if is_plan9(ename) => own_words(ename, abi::ERRMAX - 1),
            Some(text) => Text::Borrowed(text),
            None if number == 0 => own_words(ename, abi::ERRMAX - 1),
            None => {
                let number = alloc::format!(" ({})", number_and_name(number));
                let words = own_words(ename, (abi::ERRMAX - 1).saturating_sub(number.len()));
                (words.into_owned() + &number).into()
            }
        }),
        _ => None,
    }
}

/// Decodes the reply to a request and checks that it is one: the right tag, and the right type or an error.
///
/// # Errors
/// The server's reason when it refuses; `mount rpc error` when the reply makes no sense.
pub fn reply<'a>(dialect: Dialect, tag: u16, request: u8, bytes: &'a [u8]) -> Result<Rmsg<'a>, Text> {
    let (got, reply) = Rmsg::decode(dialect, bytes).map_err(|e| Text::Borrowed(e.text()))?;
    if got != tag {
        return Err(Text::Borrowed(EMOUNTRPC));
    }
    if let Some(text) = text(dialect, &reply) {
        // Rflush has no error form: a server that sends one is out of step.
        return Err(if request == kind::TFLUSH { Text::Borrowed(EMOUNTRPC) } else { text });
    }
    if reply.kind() == request.wrapping_add(1) { Ok(reply) } else { Err(Text::Borrowed(EMOUNTRPC)) }
}

fn is_plan9(ename: Str<'_>) -> bool {
    ALL.iter().any(|text| text.as_bytes() == ename.bytes())
}

/// What the server said, at most so many bytes of it.
fn own_words(ename: Str<'_>, most: usize) -> Text {
    // A server may say 64 KiB. What is left out begins with a character.
    let bytes = ename.bytes();
    let is_inside = |at: usize| bytes.get(at).is_some_and(|b| b & 0xc0 == 0x80);
    let cut = (0..=abi::ERRMAX).rev().find(|&at| !is_inside(at)).unwrap_or(0);
    let text = Str(bytes.get(..cut).unwrap_or(bytes)).text();
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    match text.get(..end) {
        None | Some("") => Text::Borrowed(EIO),
        Some(words) => Text::Owned(String::from(words)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// The numbers that QEMU was seen to send, and those that it is likely to.
    #[test]
    fn numbers() {
        for (n, text) in [
            (1, "permission denied"),
            (2, "file does not exist"),
            (4, "interrupted"),
            (5, "i/o error"),
            (6, "permission denied"),
            (9, "fd out of range or not open"),
            (13, "permission denied"),
            (17, "file already exists"),
            (18, "cannot rename to another file system"),
            (19, "permission denied"),
            (20, "not a directory"),
            (21, "file is a directory"),
            (22, "bad arg in system call"),
            (23, "no free file descriptors"),
            (24, "no free file descriptors"),
            (27, "read or write too large"),
            (28, "file system full"),
            (30, "permission denied"),
            (36, "name too long"),
            (39, "directory not empty"),
            (40, "too many symbolic links"),
            (90, "read or write too large"),
            (95, "not supported by the file server"),
            (116, "file does not exist"),
            (122, "file system full"),
        ] {
            assert_eq!(errno(n), Some(text), "{n}");
        }
        assert_eq!(errno(0), None);
        assert_eq!(errno(77), None);
        for n in 0..200 {
            assert!(errno(n).is_none_or(|t| t.len() < abi::ERRMAX), "{n}");
        }
    }

    #[test]
    fn the_number_goes_first_then_the_text() {
        let u = |ename: &'static str, errno| {
            text(Dialect::U, &Rmsg::Error { ename: ename.into(), errno }).unwrap()
        };
        assert_eq!(u("No such file or directory", 2), ENONEXIST);
        assert_eq!(u("Datei oder Verzeichnis nicht gefunden", 2), ENONEXIST);
        assert_eq!(u("file already exists", 5), EEXIST, "some servers put EIO on every text");
        assert_eq!(u("No medium found", 123), "No medium found (host error 123, ENOMEDIUM)");
        assert_eq!(u("what is this?", 999), "what is this? (host error 999)");
        assert_eq!(u("disk on fire", 0), "disk on fire");
        assert_eq!(u("", 0), EIO);
        assert_eq!(text(Dialect::L, &Rmsg::Lerror { ecode: 39 }).unwrap(), ENOTEMPTY);
        assert_eq!(text(Dialect::L, &Rmsg::Lerror { ecode: 999 }).unwrap(), "host error 999");
        assert_eq!(text(Dialect::L, &Rmsg::Lerror { ecode: 61 }).unwrap(), "host error 61, ENODATA");
        assert_eq!(
            [name(1), name(40), name(41), name(42)],
            [Some("EPERM"), Some("ELOOP"), None, Some("ENOMSG")]
        );
        assert_eq!([name(0), name(133), name(134)], [None, Some("EHWPOISON"), None]);
        let p9 = Rmsg::Error { ename: "phase error".into(), errno: 0 };
        assert_eq!(text(Dialect::P9, &p9).unwrap(), "phase error");
        assert_eq!(text(Dialect::U, &Rmsg::Clunk {}), None);
    }

    #[test]
    fn own_words_are_cut_at_a_character() {
        let long: Vec<u8> = "é".repeat(100).into_bytes();
        let t = text(Dialect::U, &Rmsg::Error { ename: Str(&long), errno: 0 }).unwrap();
        assert_eq!(t, "é".repeat(63));
        let t = text(Dialect::U, &Rmsg::Error { ename: Str(&long), errno: 123 }).unwrap();
        assert!(t.len() < abi::ERRMAX && t.ends_with("é (host error 123, ENOMEDIUM)"), "{t}");
        let bad = text(Dialect::U, &Rmsg::Error { ename: Str(b"caf\xe9"), errno: 0 }).unwrap();
        assert_eq!(bad, "caf\u{efe9}");
    }

    #[test]
    fn replies_must_fit() {
        let bytes = Rmsg::Clunk {}.to_vec(Dialect::U, 7).unwrap();
        assert_eq!(reply(Dialect::U, 7, kind::TCLUNK, &bytes), Ok(Rmsg::Clunk {}));
        assert_eq!(reply(Dialect::U, 8, kind::TCLUNK, &bytes), Err(EMOUNTRPC.into()));
        assert_eq!(reply(Dialect::U, 7, kind::TREMOVE, &bytes), Err(EMOUNTRPC.into()));
        assert_eq!(reply(Dialect::U, 7, kind::TCLUNK, &bytes[..6]), Err(EMOUNTRPC.into()));
        let bytes = Rmsg::Error { ename: "File exists".into(), errno: 17 }.to_vec(Dialect::U, 7).unwrap();
        assert_eq!(reply(Dialect::U, 7, kind::TCREATE, &bytes), Err(EEXIST.into()));
        assert_eq!(reply(Dialect::U, 7, kind::TFLUSH, &bytes), Err(EMOUNTRPC.into()));
        assert_eq!(reply(Dialect::L, 7, kind::TLCREATE, &bytes), Err(EMOUNTRPC.into()));
    }
}
