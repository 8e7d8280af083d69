//! The environment: one file a variable in `/env`, which holds a list of words.

use alloc::string::String;
use alloc::vec::Vec;

use abi::env::{contents, words};
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
    File::create(&path, OWRITE, 0o666)?.write_all(&contents(value))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_env() {
        assert_eq!(path(".."), None);
        assert_eq!(path("a/b"), None);
        assert_eq!(path("fn#x").as_deref(), Some("/env/fn#x"));
    }
}
