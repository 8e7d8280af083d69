//! What a failed operation says: Plan 9's text, which is what the program will read.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt;

/// A failure. Most texts are constants of [`abi::error`]; a server's own words come along owned.
#[derive(Clone)]
pub struct Error {
    text: Cow<'static, str>,
    /// The program gave an address that it does not have: the call also posts a note.
    fault: bool,
    /// A server says so.
    said: bool,
}

/// Who says it makes no difference.
impl PartialEq for Error {
    fn eq(&self, other: &Error) -> bool {
        (&self.text, self.fault) == (&other.text, other.fault)
    }
}

impl Eq for Error {}

/// The result of nearly everything in this crate.
pub type Result<T> = core::result::Result<T, Error>;

impl Error {
    /// One of the constants of [`abi::error`].
    pub const fn new(text: &'static str) -> Self {
        Error { text: Cow::Borrowed(text), fault: false, said: false }
    }

    /// A user address that cannot be read or written. It reads `bad arg in system call`, and the system
    /// call that returns it posts `sys: bad address in syscall` to its process.
    pub(crate) const fn bad_address() -> Self {
        Error { text: Cow::Borrowed(abi::error::EBADARG), fault: true, said: false }
    }

    /// The text, at most `ERRMAX - 1` bytes of it.
    pub fn text(&self) -> &str {
        clip(&self.text, abi::ERRMAX - 1)
    }

    /// Did a bad user address cause it?
    pub const fn is_fault(&self) -> bool {
        self.fault
    }

    /// What a server has answered, which may be any text.
    pub(crate) const fn said_by_server(text: Cow<'static, str>) -> Self {
        Error { text, fault: false, said: true }
    }

    /// Is it a server's answer?
    pub(crate) const fn is_answer(&self) -> bool {
        self.said
    }

    /// Did a note end the call here? A server may say the same of its own.
    pub(crate) fn is_note(&self) -> bool {
        !self.said && self.is(abi::error::EINTR)
    }

    /// Is it this text of [`abi::error`]? A name in front (`'x' file does not exist`) does not matter.
    pub fn is(&self, text: &str) -> bool {
        self.text.ends_with(text)
    }

    /// The same failure with the quoted name in front, as path walks report it.
    pub(crate) fn with_name(&self, name: &str) -> Self {
        // The text must survive whole: a long name gives way, from its front.
        let room = (abi::ERRMAX - 1).saturating_sub(self.text.len() + 3);
        let mut front = name.len().saturating_sub(room);
        while !name.is_char_boundary(front) {
            front += 1;
        }
        // What does not fit anyway is left out first: names are long.
        let mut quoted = name.get(front..).unwrap_or("").replace('\'', "''");
        if front > 0 && quoted.len() <= room {
            // So that it is seen to be cut.
            quoted.insert_str(0, "...");
        }
        if quoted.len() > room {
            let mut cut = quoted.len() - room.saturating_sub(3);
            while !quoted.is_char_boundary(cut) {
                cut += 1;
            }
            quoted = format!("...{}", &quoted[cut..]);
        }
        Error { text: Cow::Owned(format!("'{quoted}' {}", self.text)), fault: self.fault, said: self.said }
    }
}

/// The longest front part of `text` that fits in `max` bytes and ends at a character.
pub(crate) fn clip(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("")
}

impl From<&'static str> for Error {
    fn from(text: &'static str) -> Self {
        Error::new(text)
    }
}

impl From<String> for Error {
    fn from(text: String) -> Self {
        Error { text: Cow::Owned(text), fault: false, said: false }
    }
}

impl From<machine::OutOfMemory> for Error {
    fn from(_: machine::OutOfMemory) -> Self {
        Error::new(abi::error::ENOMEM)
    }
}

impl From<machine::sync::Interrupted> for Error {
    fn from(_: machine::sync::Interrupted) -> Self {
        Error::new(abi::error::EINTR)
    }
}

/// What a program is told of a conversation.
impl From<net::Error> for Error {
    fn from(e: net::Error) -> Self {
        Error::new(e.0)
    }
}

/// What a program is told of a disk that failed.
impl From<io::DiskError> for Error {
    fn from(e: io::DiskError) -> Self {
        Error::new(match e {
            io::DiskError::NoMemory => abi::error::ENOMEM,
            other => other.text(),
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.text(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_in_front_and_gives_way() {
        let e = Error::new(abi::error::ENONEXIST);
        assert_eq!(e.with_name("/no/such").text(), "'/no/such' file does not exist");
        assert_eq!(e.with_name("it's").text(), "'it''s' file does not exist");
        let long = e.with_name(&"é".repeat(400));
        assert!(long.text().len() < abi::ERRMAX);
        assert!(long.text().starts_with("'...é"));
        assert!(long.is(abi::error::ENONEXIST));
        assert!(long.text().ends_with("' file does not exist"));
    }
}
