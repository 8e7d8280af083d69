//! Reading tar archives: ustar, GNU long names, pax paths. Bytes in, entries out; nothing is copied.
//!
//! Follows POSIX `pax` (ustar interchange format, extended header) and GNU tar's `L`, `K` and base-256
//! numbers. Anything may be wrong with an archive: the reader stops with a reason at the first header that
//! makes no sense, and what came before stays good.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// Bytes in a block.
const BLOCK: usize = 512;
/// Longest name that is taken, in bytes.
const MAXNAME: usize = 4096;

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A plain file.
    File,
    /// A directory.
    Dir,
    /// Another name of the file with this name in the archive.
    Link(String),
    /// A symbolic link with this target.
    Symlink(String),
    /// A device, a fifo...
    Other,
}

/// A member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name as it stands there.
    pub name: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// Permission bits.
    pub(crate) perm: u32,
    /// Last change, seconds since 1970.
    pub mtime: u32,
    /// Where its contents are in the archive.
    pub data: Range<usize>,
}

/// Iterates over an archive; see [`read`].
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Names from extended headers, for the next entry.
    long: Long,
}

#[derive(Default)]
struct Long {
    name: Option<String>,
    link: Option<String>,
    size: Option<usize>,
    mtime: Option<u32>,
}

/// The members of `archive` in order. An `Err` is the last item and says what is wrong with the rest.
pub fn read(archive: &[u8]) -> Reader<'_> {
    Reader { bytes: archive, at: 0, long: Long::default() }
}

impl Iterator for Reader<'_> {
    type Item = Result<Entry, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.member();
        if matches!(item, Err(_) | Ok(None)) {
            self.at = self.bytes.len();
        }
        item.transpose()
    }
}

impl Reader<'_> {
    fn member(&mut self) -> Result<Option<Entry>, &'static str> {
        loop {
            if self.at == self.bytes.len() {
                return Ok(None);
            }
            let header = self.bytes.get(self.at..).and_then(|b| b.first_chunk::<BLOCK>());
            let header = header.ok_or("it ends in the middle of a header")?;
            if header.iter().all(|&b| b == 0) {
                return Ok(None);
            }
            check_sum(header)?;
            let flag = header[156];
            let is_meta = matches!(flag, b'x' | b'g' | b'L' | b'K');
            let own_size = number(&header[124..136])?;
            let size = if is_meta { own_size } else { self.long.size.unwrap_or(own_size) };
            let has_data = is_meta || !matches!(flag, b'1'..=b'6');
            let size = if has_data { size } else { 0 };
            let start = self.at + BLOCK;
            let end = start.checked_add(size).filter(|&e| e <= self.bytes.len());
            let data = start..end.ok_or("a member is longer than the archive")?;
            self.at = data.end.next_multiple_of(BLOCK).min(self.bytes.len());
            let contents = self.bytes.get(data.clone()).unwrap_or(&[]);
            match flag {
                b'L' => self.long.name = Some(string(contents)?),
                b'K' => self.long.link = Some(string(contents)?),
                b'x' => self.pax(contents)?,
                b'g' => {}
                _ => return self.entry(header, flag, data).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &[u8; BLOCK], flag: u8, data: Range<usize>) -> Result<Entry, &'static str> {
        let long = core::mem::take(&mut self.long);
        let name = match long.name {
            Some(name) => name,
            None => {
                let mut name = String::new();
                // GNU's old format has other things where ustar has the prefix.
                if &header[257..263] == b"ustar\0" && header[345] != 0 {
                    name = string(&header[345..500])?;
                    name.push('/');
                }
                name.push_str(&string(&header[..100])?);
                name
            }
        };
        let link = || match long.link.clone() {
            Some(link) => Ok(link),
            None => string(&header[157..257]),
        };
        let kind = match flag {
            b'5' => Kind::Dir,
            b'1' => Kind::Link(link()?),
            b'2' => Kind::Symlink(link()?),
            b'3' | b'4' | b'6' => Kind::Other,
            // The oldest archives mark directories by their names.
            _ if name.ends_with('/') => Kind::Dir,
            _ => Kind::File,
        };
        let perm = (number(&header[100..108])? & 0o777) as u32;
        let mtime = match long.mtime {
            Some(t) => t,
            None => u32::try_from(number(&header[136..148])?).unwrap_or(0),
        };
        Ok(Entry { name, kind, perm, mtime, data })
    }

    /// Records `LENGTH KEY=VALUE\n`.
    fn pax(&mut self, mut records: &[u8]) -> Result<(), &'static str> {
        let bad = "a pax header makes no sense";
        while !records.is_empty() {
            let blank = records.iter().position(|&b| b == b' ').ok_or(bad)?;
            let digits = records.get(..blank).and_then(|b| core::str::from_utf8(b).ok()).ok_or(bad)?;
            let len: usize = digits.parse().map_err(|_| bad)?;
            if len > records.len() || len < blank + 3 {
                return Err(bad);
            }
            let (record, rest) = records.split_at(len);
            records = rest;
            let record = record.get(blank + 1..len - 1).and_then(|b| core::str::from_utf8(b).ok());
            // A value that is not UTF-8 (a comment, somebody's attribute) is not one that matters here.
            let Some((key, value)) = record.and_then(|r| r.split_once('=')) else {
                continue;
            };
            match key {
                "path" => self.long.name = Some(string(value.as_bytes())?),
                "linkpath" => self.long.link = Some(string(value.as_bytes())?),
                "size" => self.long.size = Some(value.parse().map_err(|_| bad)?),
                "mtime" => self.long.mtime = value.split('.').next().and_then(|s| s.parse().ok()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A number field: octal text, or GNU's base 256 with the top bit set.
fn number(field: &[u8]) -> Result<usize, &'static str> {
    let bad = "a number in a header makes no sense";
    if let Some((&first, rest)) = field.split_first()
        && first & 0x80 != 0
    {
        // Negative numbers (times before 1970) have all bits set.
        if first & 0x40 != 0 {
            return Ok(0);
        }
        let start = usize::from(first & 0x3f);
        return rest.iter().try_fold(start, |n, &b| n.checked_mul(256)?.checked_add(b.into())).ok_or(bad);
    }
    let mut n = 0usize;
    for &b in field.iter().skip_while(|&&b| b == b' ') {
        match b {
            b'0'..=b'7' => {
                n = n.checked_mul(8).and_then(|n| n.checked_add(usize::from(b - b'0'))).ok_or(bad)?;
            }
            0 | b' ' => break,
            _ => return Err(bad),
        }
    }
    Ok(n)
}

/// A text field, up to its zero.
fn string(field: &[u8]) -> Result<String, &'static str> {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    let text = field.get(..end).unwrap_or(&[]);
    if text.len() > MAXNAME {
        return Err("a name is too long");
    }
    String::from_utf8(Vec::from(text)).map_err(|_| "a name is not UTF-8")
}

/// The sum of the header's bytes, its own field counted as blanks. Old archives summed signed bytes.
fn check_sum(header: &[u8; BLOCK]) -> Result<(), &'static str> {
    let want = number(&header[148..156]).map_err(|_| "it is no tar archive")?;
    let mut header = *header;
    header[148..156].fill(b' ');
    // Eight bytes at a time, since the machine starts with this: sums of every other byte, and how often each is
    // negative. All of them stay within their part of the word.
    const BYTES: u64 = 0x00ff_00ff_00ff_00ff;
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (mut sums, mut negatives) = (0u64, 0u64);
    for word in header.as_chunks().0 {
        let word = u64::from_le_bytes(*word);
        sums += (word & BYTES) + (word >> 8 & BYTES);
        negatives += word >> 7 & ONES;
    }
    let add = |word: u64, bits: u32| {
        (0..u64::BITS / bits).map(|i| (word >> (i * bits) & ((1 << bits) - 1)) as i64).sum()
    };
    let unsigned: i64 = add(sums, 16);
    let negative: i64 = add(negatives, 8);
    let signed = unsigned - 256 * negative;
    let want = i64::try_from(want).unwrap_or(-1);
    if want == unsigned || want == signed { Ok(()) } else { Err("a header's checksum is wrong") }
}
