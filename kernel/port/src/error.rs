//! What a failed operation says: Plan 9's text, which is what the program will read.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt;

use machine::text_word::TextWord;

/// A failure. Most texts are constants of [`abi::error`]; a server's own words come along owned. It is one word, so
/// that results fit registers.
#[derive(Clone)]
pub struct Error(TextWord);

/// A mark: the program gave an address that it does not have, and the call also posts a note.
const FAULT: u8 = 1;
/// A mark: a server says so.
const SAID: u8 = 2;

/// Who says it makes no difference.
impl PartialEq for Error {
    fn eq(&self, other: &Error) -> bool {
        (self.0.text(), self.is_fault()) == (other.0.text(), other.is_fault())
    }
}

impl Eq for Error {}

/// The result of nearly everything in this crate.
pub type Result<T> = core::result::Result<T, Error>;

impl Error {
    /// One of the constants of [`abi::error`].
    pub fn new(text: &'static str) -> Self {
        Error(TextWord::of(text))
    }

    /// A user address that cannot be read or written. It reads `bad arg in system call`, and the system
    /// call that returns it posts `sys: bad address in syscall` to its process.
    pub(crate) fn bad_address() -> Self {
        Error(TextWord::of(abi::error::EBADARG).with_marks(FAULT))
    }

    /// The text, at most `ERRMAX - 1` bytes of it.
    pub fn text(&self) -> &str {
        clip(self.0.text(), abi::ERRMAX - 1)
    }

    /// Did a bad user address cause it?
    pub fn is_fault(&self) -> bool {
        self.0.marks() & FAULT != 0
    }

    /// What a server has answered, which may be any text.
    pub(crate) fn said_by_server(text: Cow<'static, str>) -> Self {
        Error(TextWord::from(text).with_marks(SAID))
    }

    /// Is it a server's answer?
    pub(crate) fn is_answer(&self) -> bool {
        self.0.marks() & SAID != 0
    }

    /// Did a note end the call here? A server may say the same of its own.
    pub(crate) fn is_note(&self) -> bool {
        !self.is_answer() && self.is(abi::error::EINTR)
    }

    /// Is it this text of [`abi::error`]? A name in front (`'x' file does not exist`) does not matter.
    pub fn is(&self, text: &str) -> bool {
        self.0.text().ends_with(text)
    }

    /// The same failure with the quoted name in front, as path walks report it.
    pub(crate) fn with_name(&self, name: &str) -> Self {
        // The text must survive whole: a long name gives way, from its front.
        let room = (abi::ERRMAX - 1).saturating_sub(self.0.text().len() + 3);
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
        Error(TextWord::boxed(format!("'{quoted}' {}", self.0.text())).with_marks(self.0.marks()))
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
        Error(TextWord::boxed(text))
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
    fn results_fit_registers() {
        assert_eq!(size_of::<Result<()>>(), 8);
        assert_eq!(size_of::<Result<u64>>(), 16);
    }

    #[test]
    fn who_says_it_and_why_survive_a_name_in_front() {
        let said = Error::said_by_server(Cow::Borrowed(abi::error::EINTR)).with_name("x");
        assert!(said.is_answer() && !said.is_note() && !said.is_fault());
        assert!(Error::new(abi::error::EINTR).is_note());
        let fault = Error::bad_address();
        assert!(fault.is_fault() && !fault.is_answer());
        assert!(fault != Error::new(abi::error::EBADARG), "the call posts no note for the other");
    }

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
