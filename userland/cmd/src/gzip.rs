//! Files as gzip compresses them: a head, data that is deflated, and a checksum; RFC 1952.

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use lib9::{Error, Result, error};
use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::inflate::stream::InflateState;
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

/// Bytes that are read, and written, at a time.
const PIECE: usize = 32 * 1024;
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// Most bytes of a name that are kept.
const MAXNAME: usize = 1024;

/// Where bytes come from: fills a buffer, and says how far; 0 is the end.
pub type Read<'a> = &'a mut dyn FnMut(&mut [u8]) -> Result<usize>;
/// Where bytes go to. Nothing is never written: at a pipe that is the end of the file.
pub type Write<'a> = &'a mut dyn FnMut(&[u8]) -> Result<()>;

/// What a file is called, and when it was changed; 0 is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its name, without a folder.
    pub name: String,
    /// Seconds since 1970.
    pub mtime: u32,
}

/// Compresses everything; `level` is from 1, fast, to 9, small.
///
/// # Errors
/// Those of `read` and `write`.
pub fn compress(level: u8, head: &Head, read: Read<'_>, write: Write<'_>) -> Result<()> {
    let named = !head.name.is_empty() && !head.name.contains('\0');
    let mut begin = MAGIC.to_vec();
    begin.push(if named { 8 } else { 0 });
    begin.extend_from_slice(&head.mtime.to_le_bytes());
    // How hard it was tried, and that it is of no system that others know.
    begin.extend_from_slice(&[if level >= 9 { 2 } else { 0 }, 255]);
    if named {
        begin.extend_from_slice(head.name.as_bytes());
        begin.push(0);
    }
    write(&begin)?;
    let whole = deflate(level, read, write)?;
    let mut end = whole.sum.to_le_bytes().to_vec();
    end.extend_from_slice(&(whole.length as u32).to_le_bytes());
    write(&end)
}

/// The checksum and the length of what was compressed or expanded, before the one and after the other.
pub(crate) struct Whole {
    pub(crate) sum: u32,
    pub(crate) length: u64,
}

/// Compresses everything, without head and end.
///
/// # Errors
/// Those of `read` and `write`.
pub(crate) fn deflate(level: u8, read: Read<'_>, write: Write<'_>) -> Result<Whole> {
    // Fifteen bits of window, and negative for bare data.
    let flags = create_comp_flags_from_zip_params(i32::from(level.clamp(1, 9)), -15, 0);
    let mut state = Box::new(CompressorOxide::new(flags));
    let mut sum = crc32fast::Hasher::new();
    let mut length = 0;
    let (mut input, mut output) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let n = read(&mut input)?.min(PIECE);
        let mut rest = input.get(..n).unwrap_or(&[]);
        sum.update(rest);
        length += n as u64;
        let flush = if n == 0 { MZFlush::Finish } else { MZFlush::None };
        loop {
            let done = miniz_oxide::deflate::stream::deflate(&mut state, rest, &mut output, flush);
            rest = rest.get(done.bytes_consumed..).unwrap_or(&[]);
            if done.bytes_written > 0 {
                write(output.get(..done.bytes_written).unwrap_or(&[]))?;
            }
            match done.status {
                Ok(MZStatus::StreamEnd) => return Ok(Whole { sum: sum.finalize(), length }),
                // There was nothing left to do.
                Err(MZError::Buf) if n > 0 => break,
                Ok(_) if n == 0 || !rest.is_empty() || done.bytes_written == PIECE => {}
                Ok(_) => break,
                Err(_) => return Err(error!("cannot deflate")),
            }
        }
    }
}

/// Bytes that are read ahead.
pub(crate) struct Source<'a> {
    read: Read<'a>,
    buf: Vec<u8>,
    at: usize,
    have: usize,
}

impl<'a> Source<'a> {
    pub(crate) fn new(read: Read<'a>) -> Source<'a> {
        Source { read, buf: vec![0; PIECE], at: 0, have: 0 }
    }

    /// What is there; nothing at the end.
    fn fill(&mut self) -> Result<&[u8]> {
        if self.at >= self.have {
            self.at = 0;
            self.have = 0;
            self.have = (self.read)(&mut self.buf)?.min(self.buf.len());
        }
        Ok(self.buf.get(self.at..self.have).unwrap_or(&[]))
    }

    fn next(&mut self) -> Result<Option<u8>> {
        let byte = self.fill()?.first().copied();
        self.at += 1;
        Ok(byte)
    }

    fn byte(&mut self) -> Result<u8> {
        self.next()?.ok_or_else(|| error!("unexpected end of file"))
    }

    fn word(&mut self) -> Result<u32> {
        let mut bytes = [0; 4];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(u32::from_le_bytes(bytes))
    }

    /// Text up to a zero.
    fn text(&mut self) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        loop {
            match self.byte()? {
                0 => return Ok(text),
                byte if text.len() < MAXNAME => text.push(byte),
                _ => {}
            }
        }
    }

    /// A head. Nothing when there is none, only zeros, or nothing, to the end.
    fn head(&mut self) -> Result<Option<Head>> {
        let first = loop {
            match self.next()? {
                None => return Ok(None),
                Some(0) => {}
                Some(byte) => break byte,
            }
        };
        if [first, self.byte()?, self.byte()?] != MAGIC {
            return Err(error!("not a gzip file"));
        }
        let flags = self.byte()?;
        let mtime = self.word()?;
        let _ = [self.byte()?, self.byte()?];
        if flags & 0xe0 != 0 {
            return Err(error!("unknown gzip flags"));
        }
        if flags & 4 != 0 {
            let length = u16::from_le_bytes([self.byte()?, self.byte()?]);
            for _ in 0..length {
                self.byte()?;
            }
        }
        let name = if flags & 8 != 0 { self.text()? } else { Vec::new() };
        if flags & 16 != 0 {
            self.text()?;
        }
        if flags & 2 != 0 {
            let _ = [self.byte()?, self.byte()?];
        }
        Ok(Some(Head { name: String::from_utf8_lossy(&name).into_owned(), mtime }))
    }
}

/// What became of compressed files that lie one behind the other, of which the first at least is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expanded {
    /// What the head of the first says.
    pub head: Head,
    /// Bytes of those that are good.
    pub length: u64,
    /// What is wrong behind them.
    pub tail: Option<Error>,
}

/// Why one is not expanded: because of its data, or since they cannot be written.
pub(crate) enum Fault {
    Data(Error),
    Write(Error),
}

impl From<Error> for Fault {
    fn from(e: Error) -> Self {
        Fault::Data(e)
    }
}

/// Expands everything: one compressed file, or several one behind the other, and tells each with its length. What comes
/// behind a good one and is wrong does not spoil it.
///
/// # Errors
/// Those of `write`; those of `read`, and what is wrong with the data, in the first.
pub fn expand(read: Read<'_>, write: Write<'_>, each: &mut dyn FnMut(&Head, u64)) -> Result<Expanded> {
    let mut source = Source::new(read);
    let head = source.head()?.ok_or_else(|| error!("not a gzip file"))?;
    let mut all = Expanded { head, length: 0, tail: None };
    let mut next = all.head.clone();
    let mut any = false;
    loop {
        match data(&mut source, write) {
            Ok(length) => {
                all.length += length;
                any = true;
                each(&next, length);
            }
            Err(Fault::Data(e)) if any => {
                all.tail = Some(e);
                return Ok(all);
            }
            Err(Fault::Data(e) | Fault::Write(e)) => return Err(e),
        }
        match source.head() {
            Ok(Some(head)) => next = head,
            Ok(None) => return Ok(all),
            Err(e) => {
                all.tail = Some(e);
                return Ok(all);
            }
        }
    }
}

/// Expands the data behind a head. Says how many bytes there are.
fn data(source: &mut Source<'_>, write: Write<'_>) -> Result<u64, Fault> {
    let whole = inflate(source, write)?;
    if source.word()? != whole.sum {
        return Err(error!("checksum does not match").into());
    }
    if source.word()? != whole.length as u32 {
        return Err(error!("length does not match").into());
    }
    Ok(whole.length)
}

/// Expands everything up to the end that the data have themselves.
pub(crate) fn inflate(source: &mut Source<'_>, write: Write<'_>) -> Result<Whole, Fault> {
    let mut state = InflateState::new_boxed(DataFormat::Raw);
    let mut sum = crc32fast::Hasher::new();
    let mut length = 0u64;
    let mut output = vec![0; PIECE];
    loop {
        let input = source.fill()?;
        let at_end = input.is_empty();
        let done = miniz_oxide::inflate::stream::inflate(&mut state, input, &mut output, MZFlush::None);
        source.at += done.bytes_consumed;
        let made = output.get(..done.bytes_written).unwrap_or(&[]);
        sum.update(made);
        length += made.len() as u64;
        if !made.is_empty() {
            write(made).map_err(Fault::Write)?;
        }
        match done.status {
            Ok(MZStatus::StreamEnd) => return Ok(Whole { sum: sum.finalize(), length }),
            Ok(_) | Err(MZError::Buf) if done.bytes_consumed > 0 || done.bytes_written > 0 => {}
            _ if at_end => return Err(error!("unexpected end of file").into()),
            _ => return Err(error!("corrupted data").into()),
        }
    }
}

/// What a compressed file is called: `.gz` behind its name, and `.tgz` for archives.
pub fn compressed_name(name: &str) -> String {
    let name = crate::copy::last_element(name);
    match name.strip_suffix(".tar") {
        Some(stem) if !stem.is_empty() => alloc::format!("{stem}.tgz"),
        _ => alloc::format!("{name}.gz"),
    }
}

/// What an expanded file is called; nothing when that is what it was called before.
pub fn expanded_name(name: &str) -> Option<String> {
    let last = crate::copy::last_element(name);
    let stem = |suffix| last.strip_suffix(suffix).filter(|stem: &&str| !stem.is_empty());
    let known =
        stem(".tgz").map(|stem| alloc::format!("{stem}.tar")).or_else(|| stem(".gz").map(String::from));
    known.or_else(|| (last != name).then(|| last.into()))
}
