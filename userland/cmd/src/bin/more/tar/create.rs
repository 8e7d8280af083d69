//! Files and directories into an archive.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use cmd::copy::{Above, ENDLESS, join};
use cmd::tar::{self, BLOCK, Kind, Member, Style, padding};
use lib9::{Dir, File, Out, Result, eprintln, error, fd};

use super::{Errors, Key, filter, wait};

pub(super) fn create(key: &Key, files: &[String], errors: &mut Errors) -> Result<()> {
    let mut begin = 0;
    let file = match (&key.archive, key.verb) {
        (None, 'c') => File::from_fd(1),
        (None, _) => return Err(error!("the archive for r has to be named")),
        (Some(name), 'c') => {
            File::create(name, abi::OWRITE, 0o666).map_err(|e| error!("can't create {name}: {e}"))?
        }
        (Some(name), _) => {
            if key.compressed {
                return Err(error!("nothing can be put behind a compressed archive"));
            }
            let file = File::open(name, abi::ORDWR).map_err(|e| error!("can't open {name}: {e}"))?;
            begin = end(&file)?;
            file.seek(begin as i64, 0)?;
            file
        }
    };
    let (to, child) = match key.compressed {
        true => filter("gzip", file.fd(), true).map(|(to, child)| (to, Some(child)))?,
        false => (file.fd(), None),
    };
    let own = file.stat().ok();
    let mut out = Out::new(to);
    let written = add_all(key, files, own.as_ref(), &mut out, errors);
    if written.is_err() && key.verb == 'r' {
        // What was there before is an archive again.
        let shorter = Dir { length: begin, ..Dir::untouched() };
        let restored = fd::fwstat(file.fd(), &shorter).and_then(|()| file.pwrite(&[0; 2 * BLOCK], begin));
        if let Err(e) = restored {
            errors.tell(&error!("can't end the archive where it ended: {e}"));
        }
    }
    if let Some(child) = child {
        fd::close(to)?;
        return wait(child).and(written);
    }
    written
}

/// Writes files and directories, and the end of the archive.
fn add_all(key: &Key, files: &[String], own: Option<&Dir>, out: &mut Out, errors: &mut Errors) -> Result<()> {
    let style = Style { ustar: !key.old, numbers: key.numbers };
    // The deepest first would need a stack; names wait here instead, the next one last, and between them where a
    // directory ends.
    let mut names: Vec<Option<String>> = files.iter().rev().cloned().map(Some).collect();
    let mut above = Above::default();
    while let Some(next) = names.pop() {
        let Some(name) = next else {
            above.leave();
            continue;
        };
        match add(&name, key, style, own, &mut above, out, errors) {
            Ok(Some(inner)) => {
                names.push(None);
                names.extend(inner.into_iter().map(Some));
            }
            Ok(None) => {}
            Err(Trouble::Here(e)) => errors.tell(&e),
            Err(Trouble::Archive(e)) => return Err(e),
        }
    }
    out.write(&[0; 2 * BLOCK]);
    out.flush().map_err(|e| error!("can't write the archive: {e}"))
}

/// What is wrong with a file, or with the archive.
enum Trouble {
    Here(lib9::Error),
    Archive(lib9::Error),
}

/// Writes a file, or a directory, which is entered then, and whose files are still to be written: their names.
fn add(
    name: &str,
    key: &Key,
    style: Style,
    own: Option<&Dir>,
    above: &mut Above,
    out: &mut Out,
    errors: &mut Errors,
) -> Result<Option<Vec<String>>, Trouble> {
    let here = |e: lib9::Error| Trouble::Here(error!("{name}: {e}"));
    let archive = |e: lib9::Error| Trouble::Archive(error!("can't write the archive: {e}"));
    let file = File::open(name, abi::OREAD).map_err(here)?;
    let dir = file.stat().map_err(here)?;
    if own.is_some_and(|own| cmd::copy::same(own, &dir)) {
        return Err(Trouble::Here(error!("{name}: is the archive")));
    }
    let directory = dir.mode & abi::DMDIR != 0;
    let itself = directory.then(|| dir.clone());
    let member = Member {
        name: if directory { format!("{}/", name.trim_end_matches('/')) } else { name.into() },
        kind: if directory { Kind::Directory } else { Kind::File },
        mode: dir.mode,
        length: if directory { 0 } else { dir.length },
        mtime: dir.mtime,
        owner: [dir.uid, dir.gid],
    };
    if key.told {
        eprintln!("{name}");
    }
    if let Some(itself) = itself {
        // What is in it is known before anything is written of it.
        let mut inner: Vec<String> = file.dirread().map_err(here)?.iter().map(|d| join(name, &d.name)).collect();
        inner.sort_unstable();
        inner.reverse();
        out.write(&tar::head(&member, style).map_err(here)?);
        if !above.enter(&itself) {
            return Err(here(ENDLESS.into()));
        }
        return Ok(Some(inner));
    }
    out.write(&tar::head(&member, style).map_err(here)?);
    let trouble = add_contents(&file, member.length, out);
    // A full disk is told at once, not with every file.
    out.flush().map_err(archive)?;
    match trouble {
        Some(e) if key.ignore => {
            let was = errors.0;
            errors.tell(&error!("{name}: {e}"));
            errors.0 = was;
            Ok(None)
        }
        trouble => trouble.map_or(Ok(None), |e| Err(here(e))),
    }
}

/// Writes contents that are as long as the head says, whatever becomes of the file meanwhile. What was wrong with them.
fn add_contents(file: &File, length: u64, out: &mut Out) -> Option<lib9::Error> {
    let mut left = length;
    let mut buf = vec![0; fd::PIECE];
    let mut trouble = None;
    while left > 0 {
        let want = left.min(buf.len() as u64) as usize;
        let piece = buf.get_mut(..want).unwrap_or(&mut []);
        let read = if trouble.is_some() { Ok(0) } else { file.read(piece) };
        let n = match read {
            Ok(n) if n > 0 => n,
            failed => {
                let e = failed.err().unwrap_or_else(|| error!("became shorter"));
                trouble.get_or_insert_with(|| error!("{e}; zeros are in its place from byte {}", length - left));
                piece.fill(0);
                want
            }
        };
        out.write(piece.get(..n).unwrap_or(&[]));
        left -= n as u64;
    }
    out.write(vec![0; padding(length)].as_slice());
    // A file that is said to be empty may be a device, which one would wait for.
    if trouble.is_none() && length > 0 && file.read(&mut [0]).is_ok_and(|n| n > 0) {
        trouble = Some(error!("became longer; only {length} bytes are in the archive"));
    }
    trouble
}

/// Where in an archive its last member ends. An empty file is one without members.
fn end(file: &File) -> Result<u64> {
    let length = file.stat()?.length;
    let mut at = 0u64;
    loop {
        let mut read = 0;
        let member = match tar::next(&mut |buf| {
            let n = fd::readn(file.fd(), buf)?;
            read += n as u64;
            Ok(n)
        }) {
            Err(_) if at == 0 && read == 0 && length == 0 => return Ok(0),
            member => member?,
        };
        let Some(member) = member else { return Ok(at) };
        at += read + member.length + padding(member.length) as u64;
        if at > length {
            return Err(tar::early());
        }
        file.seek(at as i64, 0)?;
    }
}
