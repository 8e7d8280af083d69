//! Errors: the text that the kernel gave, or one of the program's own.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

/// A Plan 9 error: its text, as `errstr` returns it.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Cow<'static, str>);

impl Error {
    /// An error with this text.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Error(text.into())
    }

    /// The text of the last system call that failed; takes it out of the kernel.
    pub fn last() -> Self {
        Error(Cow::Owned(crate::sys::errstr("")))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Does the text end with `text`? That is how a kernel error is recognised: `'name' file does not exist`.
    pub fn is(&self, text: &str) -> bool {
        self.0.ends_with(text)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl core::error::Error for Error {}

impl From<&'static str> for Error {
    fn from(text: &'static str) -> Self {
        Error(Cow::Borrowed(text))
    }
}

impl From<String> for Error {
    fn from(text: String) -> Self {
        Error(Cow::Owned(text))
    }
}

/// Makes an [`Error`] as `format!` makes a `String`.
#[macro_export]
macro_rules! error {
    ($($arg:tt)*) => { $crate::Error::from($crate::alloc::format!($($arg)*)) };
}

impl From<Error> for String {
    fn from(e: Error) -> String {
        e.0.into_owned()
    }
}
