//! What the blocks of an archive say. None of it is believed: lengths are bounded, and what is not understood is an
//! error, or a member of a kind of its own.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use lib9::{Error, Result, error};

use super::{BLOCK, Kind, MAXABOUT, MAXLENGTH, Member, padding};

/// Where an archive is read from: fills a buffer as far as there is something.
pub type Read<'a> = &'a mut dyn FnMut(&mut [u8]) -> Result<usize>;

/// A block, or nothing at the end of the file.
fn read_block(read: &mut dyn FnMut(&mut [u8]) -> Result<usize>) -> Result<Option<[u8; BLOCK]>> {
    let mut block = [0; BLOCK];
    match read(&mut block)? {
        0 => Ok(None),
        BLOCK => Ok(Some(block)),
        _ => Err(early()),
    }
}

/// An archive that ends before its end.
pub fn early() -> Error {
    "unexpected end of archive".into()
}

/// What the members before one say of it.
#[derive(Default)]
struct About {
    name: Option<String>,
    link: Option<String>,
    length: Option<u64>,
    mtime: Option<u32>,
    /// Its contents are not what the file contains.
    sparse: bool,
}

/// The next member; its contents are what is read next, and then their padding. Nothing at the end of the archive,
/// which is a block of zeros, and another one if the file goes on.
///
/// # Errors
/// A failure to read, an archive that is none, or that ends early.
pub fn next(read: Read<'_>) -> Result<Option<Member>> {
    let mut about = About::default();
    loop {
        let block = read_block(read)?.ok_or_else(early)?;
        if block.iter().all(|&b| b == 0) {
            return match read_block(read)? {
                Some(block) if block.iter().any(|&b| b != 0) => {
                    Err(error!("the archive goes on behind a block of zeros"))
                }
                _ => Ok(None),
            };
        }
        let field = |at: usize, width: usize| block.get(at..at + width).unwrap_or(&[]);
        let sum: u32 =
            block.iter().enumerate().map(|(i, &b)| if (148..156).contains(&i) { 32 } else { b.into() }).sum();
        if number(field(148, 8)) != Some(u64::from(sum)) {
            return Err(error!("bad archive header: checksum"));
        }
        let length = number(field(124, 12)).filter(|length| *length <= MAXLENGTH);
        let length = length.ok_or_else(|| error!("bad archive header: length"))?;
        match block[156] {
            letter @ (b'L' | b'K' | b'x' | b'X' | b'g') => {
                let text = contents(read, length)?;
                match letter {
                    b'L' => about.name = Some(string(&text)),
                    b'K' => about.link = Some(string(&text)),
                    b'g' => about_all(&text)?,
                    _ => about_one(&text, &mut about)?,
                }
            }
            _ => return Ok(Some(member(&block, length, about))),
        }
    }
}

/// The member that a block is the head of.
fn member(block: &[u8; BLOCK], length: u64, about: About) -> Member {
    let field = |at: usize, width: usize| block.get(at..at + width).unwrap_or(&[]);
    let letter = block[156];
    let ustar = field(257, 5) == b"ustar";
    let mut own = string(field(0, 100));
    // GNU's archives have other things where the prefix would be.
    let prefix = if ustar && field(263, 2) == b"00" { string(field(345, 155)) } else { String::new() };
    if !prefix.is_empty() {
        own = format!("{prefix}/{own}");
    }
    let name = about.name.unwrap_or(own);
    let link = about.link.unwrap_or_else(|| string(field(157, 100)));
    let kind = match letter {
        b'0' | 0 | b'7' if about.sparse => {
            Kind::Other("a file with holes, in a form that is not known".into())
        }
        b'0' | 0 | b'7' if name.ends_with('/') => Kind::Directory,
        b'0' | 0 | b'7' => Kind::File,
        b'1' | b'2' => Kind::Other(format!("a link to {link}")),
        b'3' | b'4' => Kind::Other("a device".into()),
        b'5' | b'D' => Kind::Directory,
        b'6' => Kind::Other("a FIFO".into()),
        b'M' => Kind::Other("the rest of a file of another volume".into()),
        b'S' => Kind::Other("a file with holes, in a form that is not known".into()),
        b'V' => Kind::Other("the name of the volume".into()),
        letter => Kind::Other(format!("of the unknown kind {:?}", char::from(letter))),
    };
    // Links, devices and directories have no contents, whatever the head says of their length.
    let has_contents = !matches!(letter, b'1'..=b'6');
    let owner = |at: usize, other: usize| match string(field(at, 32)) {
        named if ustar && !named.is_empty() => named,
        _ => format!("{}", number(field(other, 8)).unwrap_or(0)),
    };
    let mtime = || number(field(136, 12)).map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX));
    Member {
        name,
        kind,
        mode: (number(field(100, 8)).unwrap_or(0) & 0o777) as u32,
        length: if has_contents { about.length.unwrap_or(length) } else { 0 },
        mtime: about.mtime.unwrap_or_else(mtime),
        owner: [owner(265, 108), owner(297, 116)],
    }
}

/// What pax records say of the next member.
fn about_one(text: &[u8], about: &mut About) -> Result<()> {
    for record in records(text) {
        let (key, value) = record?;
        match key {
            b"path" => about.name = Some(string(value)),
            b"linkpath" => about.link = Some(string(value)),
            b"size" => {
                let length = core::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
                let length = length.filter(|length| *length <= MAXLENGTH);
                about.length = Some(length.ok_or_else(|| error!("bad archive header: length"))?);
            }
            b"mtime" => about.mtime = whole_seconds(value),
            _ => about.sparse |= key.starts_with(b"GNU.sparse."),
        }
    }
    Ok(())
}

/// What pax records say of all members to come. That is a comment as a rule; what would change names or contents is not
/// understood, and not passed over.
fn about_all(text: &[u8]) -> Result<()> {
    for record in records(text) {
        let (key, _) = record?;
        if matches!(key, b"path" | b"linkpath" | b"size") || key.starts_with(b"GNU.sparse.") {
            return Err(error!("{} for all members is not understood", String::from_utf8_lossy(key)));
        }
    }
    Ok(())
}

/// The contents of a member that is about the next one.
fn contents(read: Read<'_>, size: u64) -> Result<Vec<u8>> {
    if size > MAXABOUT {
        return Err(error!("bad archive header: {size} bytes about a member"));
    }
    let mut text = vec![0; size as usize + padding(size)];
    if read(&mut text)? < text.len() {
        return Err(early());
    }
    text.truncate(size as usize);
    Ok(text)
}

/// Text up to a zero.
fn string(bytes: &[u8]) -> String {
    let text = bytes.split(|&b| b == 0).next().unwrap_or(&[]);
    String::from_utf8_lossy(text).into_owned()
}

/// A number: octal digits among blanks and zeros, or GNU's, binary.
fn number(field: &[u8]) -> Option<u64> {
    if field.first()? & 0x80 != 0 {
        let high = field.get(..field.len().checked_sub(8)?)?;
        let zero = high.iter().enumerate().all(|(i, &b)| b == if i == 0 { 0x80 } else { 0 });
        return zero.then(|| u64::from_be_bytes(*field.last_chunk().unwrap_or(&[0; 8])));
    }
    let text = core::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

/// The records of a pax header: length, blank, key, equals sign, value, newline. One that is broken is the last.
fn records(text: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8])>> {
    let mut rest = text;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let found = record(rest);
        rest = found.map_or(&[], |(_, _, behind)| behind);
        Some(
            found.map(|(key, value, _)| (key, value)).ok_or_else(|| error!("bad archive header: pax record")),
        )
    })
}

/// Key and value of the first record, and what is behind it.
fn record(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = text.iter().position(|&b| b == b' ')?;
    let length: usize = core::str::from_utf8(text.get(..blank)?).ok()?.parse().ok()?;
    let record = text.get(blank + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&b| b == b'=')?;
    Some((record.get(..equals)?, record.get(equals + 1..)?, text.get(length..)?))
}

fn whole_seconds(value: &[u8]) -> Option<u32> {
    let text = core::str::from_utf8(value).ok()?;
    text.split('.').next()?.parse().ok()
}

/// The name under which a member is extracted: below the current directory, unless it may be `absolute`. Nothing when
/// it would leave the directory where it belongs.
pub fn safe_name(name: &str, absolute: bool) -> Option<String> {
    let name = if absolute { name } else { name.trim_start_matches('/') };
    if name.split('/').any(|element| element == "..") || name.contains('\0') {
        return None;
    }
    // A name of a device is a name of a file here.
    let device = if name.starts_with('#') { "./" } else { "" };
    Some(if name.is_empty() { ".".into() } else { format!("{device}{name}") })
}
