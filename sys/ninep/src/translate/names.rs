//! Rows: names on the way out and on the way in.

use alloc::borrow::Cow;
use alloc::string::String;

use crate::{Str, unescape};
use abi::error::{EBADCHAR, EFILENAME, ENONAME, ETOOLONG};

/// Longest name in bytes that is sent: what host file systems have.
pub const NAME_MAX: usize = 255;

/// A name for create or rename, as the bytes to send.
///
/// # Errors
/// `empty file name`, `bad character in file name` for a `/` or NUL, `file name syntax` for `.` and `..`,
/// `name too long`.
pub fn check(name: &str) -> Result<Cow<'_, [u8]>, &'static str> {
    if name == ".." { Err(EFILENAME) } else { element(name) }
}

/// A name for a walk, as the bytes to send: the same, but `..` may be walked to.
///
/// # Errors
/// As [`check`].
pub fn element(name: &str) -> Result<Cow<'_, [u8]>, &'static str> {
    if name.is_empty() {
        return Err(ENONAME);
    }
    if name == "." {
        return Err(EFILENAME);
    }
    if name.bytes().any(|b| b == b'/' || b == 0) {
        return Err(EBADCHAR);
    }
    let bytes = unescape(name);
    if bytes.len() > NAME_MAX { Err(ETOOLONG) } else { Ok(bytes) }
}

/// Whether a name in a directory read is shown. `.` and `..` are not; nor is what could be no name, and would
/// lead a program that joins it to a path somewhere else.
pub fn visible(name: Str<'_>) -> bool {
    let name = name.bytes();
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|b| *b == b'/' || *b == 0)
}

/// The name in a stat of one file: its last element, or `/` for the root, which QEMU calls `.`.
pub fn last(name: Str<'_>) -> String {
    let element = name.bytes().rsplit(|b| *b == b'/').find(|e| !e.is_empty()).unwrap_or(b".");
    if element == b"." { String::from("/") } else { Str(element).text().into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_sent() {
        assert_eq!(check("a b"), Ok(Cow::Borrowed(&b"a b"[..])));
        assert_eq!(check("...").as_deref(), Ok(&b"..."[..]));
        assert_eq!(check("p\u{efe8}re").as_deref(), Ok(&b"p\xe8re"[..]));
        assert_eq!(element("..").as_deref(), Ok(&b".."[..]));
        assert_eq!(check(&"x".repeat(255)).map(|n| n.len()), Ok(255));
        // 255 bytes on the host, 765 here.
        assert_eq!(check(&"\u{efff}".repeat(255)).map(|n| n.len()), Ok(255));
        for (name, text) in [
            ("", "empty file name"),
            (".", "file name syntax"),
            ("..", "file name syntax"),
            ("a/b", "bad character in file name"),
            ("/", "bad character in file name"),
            ("a\0", "bad character in file name"),
        ] {
            assert_eq!(check(name), Err(text), "{name:?}");
        }
        assert_eq!(element("."), Err(EFILENAME));
        assert_eq!(check(&"é".repeat(128)), Err(ETOOLONG));
    }

    #[test]
    fn what_a_directory_shows() {
        for (name, shown) in
            [("a", true), ("...", true), (".rc", true), (".", false), ("..", false), ("", false)]
        {
            assert_eq!(visible(name.into()), shown, "{name}");
        }
        assert!(!visible("../../etc/passwd".into()) && !visible("a\0b".into()));
        assert!(visible(Str(b"\xff\xfe")));
    }

    #[test]
    fn the_root_is_a_slash() {
        assert_eq!(last(".".into()), "/");
        assert_eq!(last("/".into()), "/");
        assert_eq!(last("".into()), "/");
        assert_eq!(last("usr".into()), "usr");
        assert_eq!(last("/tmp/x/".into()), "x");
        assert_eq!(last(Str(b"\xff")), "\u{efff}");
    }
}
