//! Packs a tar archive into what the kernel has in its image: an index, contents as they are, and contents that are
//! compressed in blocks. The format is described where it is read, in `kernel/port/src/dev/root/packed.rs`.
#![forbid(unsafe_code)]

mod calls;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Read;

use miniz_oxide::deflate::compress_to_vec;
use tar::EntryType;

/// How a packed archive begins.
const MAGIC: &[u8; 8] = b"elwood/3";
/// Bytes of a page: plain contents begin at one, and so does each of them that fills one.
const PAGE: usize = 4096;
/// Bytes of a block when it is whole.
const BLOCK: usize = 32 << 10;
/// How hard deflate tries.
const LEVEL: u8 = 10;

/// What is made, or why it cannot be.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A file or a folder.
struct Member {
    kind: u8,
    perm: u16,
    mtime: u32,
    name: String,
    /// Whose contents it has, if it is a file.
    contents: Option<usize>,
}

/// Packs a tar archive of files, folders and hard links. What has one of the names `plain`, is below it, or has
/// another name that is, stays as it is.
///
/// # Errors
/// An archive that cannot be read, or that has other things in it.
pub fn pack(archive: &[u8], plain: &[&str]) -> Result<Vec<u8>> {
    let (members, files) = read(archive)?;
    let is_plain = |name: &str| plain.iter().any(|p| name == *p || name.starts_with(&format!("{p}/")));
    let plain: Vec<bool> = (0..files.len())
        .map(|n| members.iter().any(|m| m.contents == Some(n) && is_plain(&m.name)))
        .collect();
    let mut starts = vec![0; files.len()];
    let mut as_is = Vec::new();
    for large in [true, false] {
        for (n, file) in files.iter().enumerate() {
            if plain[n] && (file.len() >= PAGE) == large {
                if large {
                    as_is.resize(as_is.len().next_multiple_of(PAGE), 0);
                }
                starts[n] = as_is.len();
                as_is.extend_from_slice(file);
            }
        }
    }
    // Small files have blocks together; of one that fills blocks each begins where a page does.
    let mut whole = Vec::new();
    for large in [false, true] {
        for (n, file) in files.iter().enumerate() {
            if plain[n] || (file.len() >= BLOCK) != large {
                continue;
            }
            if large {
                whole.resize(whole.len().next_multiple_of(BLOCK), 0);
            }
            starts[n] = as_is.len() + whole.len();
            whole.extend_from_slice(file);
        }
    }
    let (mut ends, mut packed) = (Vec::new(), Vec::new());
    for (n, block) in whole.chunks_mut(BLOCK).enumerate() {
        calls::tell(block, n * BLOCK);
        packed.extend_from_slice(&compress_to_vec(block, LEVEL));
        ends.extend_from_slice(&number(packed.len())?);
    }
    let mut index = Vec::new();
    for m in &members {
        let (start, len) = m.contents.map_or((0, 0), |n| (starts[n], files[n].len()));
        index.push(m.kind);
        index.extend_from_slice(&m.perm.to_le_bytes());
        index.extend_from_slice(&m.mtime.to_le_bytes());
        index.extend_from_slice(&number(start)?);
        index.extend_from_slice(&number(len)?);
        index.extend_from_slice(&u16::try_from(m.name.len())?.to_le_bytes());
        index.extend_from_slice(m.name.as_bytes());
    }
    let mut out = MAGIC.to_vec();
    for part in [index.len(), as_is.len(), whole.len()] {
        out.extend_from_slice(&number(part)?);
    }
    out.extend_from_slice(&index);
    out.extend_from_slice(&ends);
    if !as_is.is_empty() {
        out.resize(out.len().next_multiple_of(PAGE), 0);
    }
    out.extend_from_slice(&as_is);
    out.extend_from_slice(&packed);
    Ok(out)
}

fn number(n: usize) -> Result<[u8; 4]> {
    Ok(u32::try_from(n).map_err(|_| "it is too large")?.to_le_bytes())
}

/// What is in the archive, and the contents of its files.
fn read(archive: &[u8]) -> Result<(Vec<Member>, Vec<Vec<u8>>)> {
    let (mut members, mut files) = (Vec::<Member>::new(), Vec::new());
    // By their names, for links.
    let mut named = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_str().ok_or("a name is not UTF-8")?.trim_end_matches('/').to_owned();
        let header = entry.header();
        let (perm, mtime) = ((header.mode()? & 0o777) as u16, u32::try_from(header.mtime()?)?);
        let (kind, contents) = match header.entry_type() {
            EntryType::Directory => (b'd', None),
            EntryType::Regular => {
                let mut contents = Vec::new();
                entry.read_to_end(&mut contents)?;
                files.push(contents);
                (b'f', Some(files.len() - 1))
            }
            EntryType::Link => {
                let to = entry.link_name()?;
                let to = to.as_deref().and_then(|to| to.to_str()).and_then(|to| named.get(to)).copied();
                (b'f', Some(to.ok_or_else(|| format!("{name}: a link to what is not there"))?))
            }
            _ => return Err(format!("{name}: it is neither file nor folder").into()),
        };
        if let Some(n) = contents {
            named.insert(name.clone(), n);
        }
        members.push(Member { kind, perm, mtime, name, contents });
    }
    Ok((members, files))
}
