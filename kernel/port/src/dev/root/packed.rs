//! Reading packed archives: what `tools/pack` makes of a tar archive, for the kernel's image. Bytes in, entries out;
//! nothing is copied.
//!
//! An archive is a head, an index, and contents. Numbers are little-endian, of four bytes unless it is said.
//!
//! | part | what is in it |
//! |---|---|
//! | head | [`MAGIC`]; the length of the index; the length of the plain contents; that of the packed ones when whole |
//! | index | an entry for each file and folder |
//! | ends | where each block of the packed contents ends, counted from where they begin |
//! | plain | contents as they are, if there are any, from the next page of the archive on |
//! | packed | contents in blocks of [`BLOCK`] bytes, of which the last may be shorter; each deflated by itself |
//!
//! In a block that is deflated calls say where they lead (`mem::calls`). An entry is a kind (one byte, `d` or `f`),
//! permissions (two bytes), the time of change, where the contents begin and how long they are, the length of the name
//! (two bytes), and the name. Contents are counted from the first plain byte; where those end, the packed ones go on.
//! Files may have the same contents. Programs that run all the time are plain, and begin at a page: their pages are
//! mapped where they lie, if the archive lies at a page, and nothing has to be made of them before they start. What
//! is wrong with an archive ends it with a reason, and what came before stays good; a block that makes no sense is an
//! error of whoever reads it.

use alloc::string::String;
use core::ops::Range;

use abi::layout::PAGE;

use super::tar::{Entry, Kind};

/// How a packed archive begins.
pub const MAGIC: [u8; 8] = *b"elwood/3";
/// Bytes of a block.
pub const BLOCK: usize = 32 << 10;
/// Bytes of the head.
const HEAD: usize = 20;
/// Bytes of an entry without its name.
const ENTRY: usize = 17;

/// Where the parts of an archive are.
#[derive(Clone)]
pub(super) struct Packed {
    ends: Range<usize>,
    plain: Range<usize>,
    /// Bytes of the packed contents when they are whole.
    whole: usize,
}

/// Iterates over an index.
pub(super) struct Entries<'a> {
    rest: &'a [u8],
    /// Bytes of all contents.
    all: usize,
}

impl Packed {
    /// The parts of this archive and its index, if it is packed.
    pub(super) fn read(archive: &[u8]) -> Option<Result<(Packed, Entries<'_>), &'static str>> {
        archive.starts_with(&MAGIC).then(|| Packed::parts(archive).ok_or("its head makes no sense"))
    }

    fn parts(archive: &[u8]) -> Option<(Packed, Entries<'_>)> {
        let head = archive.get(MAGIC.len()..HEAD)?;
        let mut numbers = head.as_chunks().0.iter().map(|n| u32::from_le_bytes(*n) as usize);
        let (index, plain, whole) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let index = HEAD..HEAD.checked_add(index)?;
        let ends = index.end..index.end.checked_add(whole.div_ceil(BLOCK).checked_mul(4)?)?;
        let first = match plain {
            0 => ends.end,
            _ => ends.end.checked_next_multiple_of(PAGE as usize)?,
        };
        let plain = first..first.checked_add(plain)?;
        let all = plain.len().checked_add(whole)?;
        archive.get(plain.clone())?;
        Some((Packed { ends, plain, whole }, Entries { rest: archive.get(index)?, all }))
    }

    /// Those of the contents `data` that are in the archive as they are: all of them, or none.
    pub(super) fn plain<'a>(&self, archive: &'a [u8], data: &Range<usize>) -> Option<&'a [u8]> {
        archive.get(self.plain.clone())?.get(data.clone())
    }

    /// The number of the block that has byte `at` of the contents, which is not plain, and which byte of it that is.
    pub(super) fn place(&self, at: usize) -> Option<(usize, usize)> {
        let at = at.checked_sub(self.plain.len())?;
        Some((at / BLOCK, at % BLOCK))
    }

    /// The block with this number, deflated, and how long it is when whole.
    pub(super) fn block<'a>(&self, archive: &'a [u8], number: usize) -> Option<(&'a [u8], usize)> {
        let ends = archive.get(self.ends.clone())?.as_chunks().0;
        let end = |n: usize| Some(u32::from_le_bytes(*ends.get(n)?) as usize);
        let start = if number == 0 { 0 } else { end(number - 1)? };
        let deflated = archive.get(self.plain.end..)?.get(start..end(number)?)?;
        Some((deflated, self.whole.checked_sub(number.checked_mul(BLOCK)?)?.min(BLOCK)))
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let entry = self.entry().ok_or("an entry of its index makes no sense");
        if entry.is_err() {
            self.rest = &[];
        }
        Some(entry)
    }
}

impl Entries<'_> {
    fn entry(&mut self) -> Option<Entry> {
        let (head, rest) = self.rest.split_first_chunk::<ENTRY>()?;
        let number = |at: usize| Some(u32::from_le_bytes(*head.get(at..)?.first_chunk()?));
        let short = |at: usize| Some(u16::from_le_bytes(*head.get(at..)?.first_chunk()?));
        let kind = match head[0] {
            b'd' => Kind::Dir,
            b'f' => Kind::File,
            _ => return None,
        };
        let start = number(7)? as usize;
        let end = start.checked_add(number(11)? as usize)?;
        let (name, rest) = rest.split_at_checked(short(15)?.into())?;
        self.rest = rest;
        let name = String::from(core::str::from_utf8(name).ok()?);
        let perm = u32::from(short(1)? & 0o777);
        (end <= self.all).then_some(Entry { name, kind, perm, mtime: number(3)?, data: start..end })
    }
}
