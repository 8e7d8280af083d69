//! Reading and writing the primitive fields: integers, strings, counted data.

use core::fmt;

use crate::text::Str;
use abi::Qid;

/// Why bytes are no message, or why a message cannot be put into bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The bytes end inside a field.
    Short,
    /// The size field is not the number of bytes there are, or is no possible size.
    Size(u32),
    /// Bytes are left over after the last field, or after the last string of a stat record.
    Trailing,
    /// There is no message of this type, or a request stands where a reply belongs.
    Kind(u8),
    /// There is such a message, but not in this dialect.
    Dialect(u8),
    /// A walk of more than 16 names or qids.
    TooMany(u16),
    /// A counted field has a count that contradicts the message's size.
    Count(u32),
    /// A string is longer than 65,535 bytes, or a message longer than 4 GiB.
    TooLong,
    /// The buffer for the message is too small: it needs this many bytes.
    Room(usize),
}

impl WireError {
    /// What a program sees when a server sends such a thing.
    pub const fn text(self) -> &'static str {
        abi::error::EMOUNTRPC
    }
}

impl From<WireError> for &'static str {
    fn from(e: WireError) -> Self {
        e.text()
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Short => f.write_str("9P message ends inside a field"),
            WireError::Size(n) => write!(f, "9P message has a wrong size field ({n})"),
            WireError::Trailing => f.write_str("9P message has bytes after its last field"),
            WireError::Kind(k) => write!(f, "unexpected 9P message type {k}"),
            WireError::Dialect(k) => write!(f, "9P message type {k} is not in this dialect"),
            WireError::TooMany(n) => write!(f, "{n} names in a walk"),
            WireError::Count(n) => write!(f, "9P message has a wrong data count ({n})"),
            WireError::TooLong => f.write_str("string or message too long for 9P"),
            WireError::Room(n) => write!(f, "9P message needs {n} bytes"),
        }
    }
}

impl core::error::Error for WireError {}

/// Reads fields from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(rest: &'a [u8]) -> Self {
        Reader { rest }
    }

    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        let (field, rest) = self.rest.split_at_checked(n).ok_or(WireError::Short)?;
        self.rest = rest;
        Ok(field)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (field, rest) = self.rest.split_first_chunk().ok_or(WireError::Short)?;
        self.rest = rest;
        Ok(*field)
    }

    pub fn get<T: Field<'a>>(&mut self) -> Result<T, WireError> {
        T::get(self)
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    pub fn left(&self) -> usize {
        self.rest.len()
    }

    pub fn end(&self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WireError::Trailing) }
    }
}

/// Writes fields into a buffer. It counts on past the buffer's end, so that the size needed is known.
#[derive(Debug)]
pub(crate) struct Writer<'b> {
    buf: &'b mut [u8],
    at: usize,
    error: Option<WireError>,
}

impl<'b> Writer<'b> {
    pub fn new(buf: &'b mut [u8]) -> Self {
        Writer { buf, at: 0, error: None }
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        let end = self.at.saturating_add(bytes.len());
        if let Some(place) = self.buf.get_mut(self.at..end) {
            place.copy_from_slice(bytes);
        }
        self.at = end;
    }

    pub fn put<'a, T: Field<'a>>(&mut self, value: &T) {
        value.put(self);
    }

    /// Puts a 16-bit count; `n` over 65,535 makes the whole message an error.
    pub fn count16(&mut self, n: usize) {
        let count = u16::try_from(n).unwrap_or_else(|_| self.fail(WireError::TooLong));
        self.put(&count);
    }

    /// Puts a 32-bit count; `n` over 4 GiB makes the whole message an error.
    pub fn count32(&mut self, n: usize) {
        let count = u32::try_from(n).unwrap_or_else(|_| self.fail(WireError::TooLong));
        self.put(&count);
    }

    /// Notes the first reason why this cannot be written, and gives a number to write all the same.
    pub fn fail<T: Default>(&mut self, e: WireError) -> T {
        self.error.get_or_insert(e);
        T::default()
    }

    /// Ends a message: fills in its size and says how long it is.
    pub fn finish_message(self) -> Result<usize, WireError> {
        let size = u32::try_from(self.at).map_err(|_| WireError::TooLong)?;
        self.finish(&size.to_le_bytes())
    }

    /// Ends a stat record: fills in its size, which does not count itself, and says how long it is.
    pub fn finish_record(self) -> Result<usize, WireError> {
        let size = u16::try_from(self.at.saturating_sub(2)).map_err(|_| WireError::TooLong)?;
        self.finish(&size.to_le_bytes())
    }

    /// Ends something without a size at its front.
    pub fn finish(self, front: &[u8]) -> Result<usize, WireError> {
        if let Some(e) = self.error {
            return Err(e);
        }
        if self.at > self.buf.len() {
            return Err(WireError::Room(self.at));
        }
        if let Some(place) = self.buf.get_mut(..front.len()) {
            place.copy_from_slice(front);
        }
        Ok(self.at)
    }
}

/// Something that stands in a message as one field or a fixed run of fields.
pub(crate) trait Field<'a>: Sized {
    fn get(r: &mut Reader<'a>) -> Result<Self, WireError>;
    fn put(&self, w: &mut Writer<'_>);
}

macro_rules! integers {
    ($($t:ty)*) => {$(
        impl<'a> Field<'a> for $t {
            #[inline]
            fn get(r: &mut Reader<'a>) -> Result<Self, WireError> {
                Ok(<$t>::from_le_bytes(r.array()?))
            }
            #[inline]
            fn put(&self, w: &mut Writer<'_>) {
                w.bytes(&self.to_le_bytes());
            }
        }
    )*};
}

integers! { u8 u16 u32 u64 }

impl<'a> Field<'a> for Qid {
    fn get(r: &mut Reader<'a>) -> Result<Self, WireError> {
        Ok(Qid { kind: r.get()?, vers: r.get()?, path: r.get()? })
    }
    fn put(&self, w: &mut Writer<'_>) {
        w.put(&self.kind);
        w.put(&self.vers);
        w.put(&self.path);
    }
}

impl<'a> Field<'a> for Str<'a> {
    fn get(r: &mut Reader<'a>) -> Result<Self, WireError> {
        let n: u16 = r.get()?;
        Ok(Str(r.bytes(usize::from(n))?))
    }
    fn put(&self, w: &mut Writer<'_>) {
        w.count16(self.0.len());
        w.bytes(self.0);
    }
}

/// Data with a 32-bit count, always the last field of its message.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Data<'a>(pub &'a [u8]);

impl fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<'a> Field<'a> for Data<'a> {
    fn get(r: &mut Reader<'a>) -> Result<Self, WireError> {
        let n: u32 = r.get()?;
        if n as usize != r.left() {
            return Err(WireError::Count(n));
        }
        Ok(Data(r.rest()))
    }
    fn put(&self, w: &mut Writer<'_>) {
        w.count32(self.0.len());
        w.bytes(self.0);
    }
}

/// One stat record behind its second, 16-bit count, always the last field of its message.
///
/// QEMU sends 0 for that count, so 0 is read as "the rest of the message"; the record has a size of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Record<'a>(pub &'a [u8]);

impl<'a> Field<'a> for Record<'a> {
    fn get(r: &mut Reader<'a>) -> Result<Self, WireError> {
        let n: u16 = r.get()?;
        if n != 0 && usize::from(n) != r.left() {
            return Err(WireError::Count(u32::from(n)));
        }
        Ok(Record(r.rest()))
    }
    fn put(&self, w: &mut Writer<'_>) {
        w.count16(self.0.len());
        w.bytes(self.0);
    }
}

/// Reads the seven bytes that every message begins with, checks the size against the bytes there are, and
/// leaves the reader at the body.
pub(crate) fn open_message<'a>(bytes: &'a [u8]) -> Result<(u8, u16, Reader<'a>), WireError> {
    let mut r = Reader::new(bytes);
    let size: u32 = r.get()?;
    let kind = r.get()?;
    let tag = r.get()?;
    if size as usize != bytes.len() {
        return Err(WireError::Size(size));
    }
    Ok((kind, tag, r))
}

/// Refuses a message that the dialect does not have.
pub(crate) fn require(exists: bool, kind: u8) -> Result<(), WireError> {
    if exists { Ok(()) } else { Err(WireError::Dialect(kind)) }
}
