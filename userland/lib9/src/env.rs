//! The environment: one file a variable in `/env`. A list is stored as rc does it, each word ended by a NUL.

use alloc::string::String;
use alloc::vec::Vec;

use abi::{OREAD, OWRITE};

use crate::{File, Result};

/// The words of a variable; none when it is not set (or set to the empty list).
pub fn getenv(name: &str) -> Vec<String> {
    let read = || File::open(&path(name)?, OREAD).ok()?.read_all().ok();
    words(&read().unwrap_or_default())
}

/// The first word of a variable.
pub fn get(name: &str) -> Option<String> {
    getenv(name).into_iter().next()
}

/// Sets a variable to a list of words.
///
/// # Errors
/// The kernel's; `bad character in file name` for a name that cannot be one.
pub fn putenv(name: &str, value: &[&str]) -> Result<()> {
    let path = path(name).ok_or(abi::error::EBADCHAR)?;
    let mut bytes = Vec::new();
    for word in value {
        bytes.extend_from_slice(word.as_bytes());
        bytes.push(0);
    }
    File::create(&path, OWRITE, 0o666)?.write_all(&bytes)
}

/// Removes a variable.
///
/// # Errors
/// The kernel's.
pub fn unsetenv(name: &str) -> Result<()> {
    crate::fd::remove(&path(name).ok_or(abi::error::EBADCHAR)?)
}

fn path(name: &str) -> Option<String> {
    let bad = name.is_empty() || name == "." || name == ".." || name.contains('/');
    (!bad).then(|| alloc::format!("/env/{name}"))
}

/// What lies between NULs; the last word need not be ended.
fn words(bytes: &[u8]) -> Vec<String> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    bytes.split(|&b| b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_nul_separated() {
        assert!(words(b"").is_empty());
        assert_eq!(words(b"a"), ["a"]);
        assert_eq!(words(b"a\0"), ["a"]);
        assert_eq!(words(b"a\0b\0"), ["a", "b"]);
        assert_eq!(words(b"\0"), [""]);
        assert_eq!(words(b"\0\0"), ["", ""]);
    }

    #[test]
    fn names_stay_in_env() {
        assert_eq!(path(".."), None);
        assert_eq!(path("a/b"), None);
        assert_eq!(path("fn#x").as_deref(), Some("/env/fn#x"));
    }
}
