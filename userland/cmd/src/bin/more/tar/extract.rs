//! Files and directories out of an archive, or their names.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use cmd::tar::{self, Kind, Member, padding};
use lib9::{Dir, File, Result, eprintln, error, fd, println, proc};

use super::{Errors, Key, filter, wait};

pub(super) fn read(key: &Key, files: &[String], errors: &mut Errors) -> Result<()> {
    let file = match &key.archive {
        None => File::from_fd(0),
        Some(name) => File::open(name, abi::OREAD).map_err(|e| error!("can't open {name}: {e}"))?,
    };
    let own = file.stat().ok();
    let (from, child) = match key.compressed {
        true => filter("gunzip", file.fd(), false).map(|(from, child)| (from, Some(child)))?,
        false => (file.fd(), None),
    };
    let mut input = |buf: &mut [u8]| fd::readn(from, buf);
    let mut found = vec![false; files.len()];
    // Directories get their modes and times when everything is in them.
    let mut later: Vec<(String, Member)> = Vec::new();
    let done = members(key, files, &mut found, own.as_ref(), &mut input, &mut later, errors);
    for (name, member) in later.iter().rev() {
        finish(&|change| fd::wstat(name, change), member, key, errors);
    }
    if let (Ok(()), Some(child)) = (&done, child) {
        // What is behind the archive's end is of no interest, but its writer is to end well.
        let mut buf = vec![0; fd::PIECE];
        while fd::read(from, &mut buf)? > 0 {}
        wait(child)?;
    }
    done?;
    for (name, _) in files.iter().zip(&found).filter(|(_, found)| !**found) {
        errors.tell(&error!("{name}: it is not in the archive"));
    }
    Ok(())
}

/// Lists or extracts the members of an archive up to its end.
fn members(
    key: &Key,
    files: &[String],
    found: &mut [bool],
    own: Option<&Dir>,
    input: &mut dyn FnMut(&mut [u8]) -> Result<usize>,
    later: &mut Vec<(String, Member)>,
    errors: &mut Errors,
) -> Result<()> {
    let mut lost = false;
    loop {
        let member = match tar::next(input) {
            Err(e) if key.resynchronise && e.is("checksum") => {
                // The next block may be one.
                if !lost {
                    errors.tell(&e);
                }
                lost = true;
                continue;
            }
            member => member?,
        };
        lost = false;
        let Some(member) = member else { return Ok(()) };
        let mut wanted = files.is_empty();
        for (file, found) in files.iter().zip(found.iter_mut()) {
            if is_below(&member.name, file) {
                (wanted, *found) = (true, true);
            }
        }
        let of = |e: lib9::Error| error!("{}: {e}", member.name);
        let mut left = member.length;
        if wanted && key.verb == 't' {
            list(&member, key.told);
        } else if wanted {
            match extract(&member, key, own, later) {
                Err(e) => errors.tell(&of(e)),
                Ok(None) => {}
                Ok(Some(to)) => {
                    if let Err(e) = pass(input, &mut left, &mut |b: &[u8]| to.write_all(b)).map_err(of)? {
                        errors.tell(&of(e));
                    }
                    finish(&|change| fd::fwstat(to.fd(), change), &member, key, errors);
                }
            }
        }
        left += padding(member.length) as u64;
        pass(input, &mut left, &mut |_| Ok(())).map_err(of)??;
    }
}

/// Is a member the file, or in the directory, of this name?
fn is_below(name: &str, file: &str) -> bool {
    let plain = |name: &'_ str| -> String {
        let name = name.trim_end_matches('/');
        let name = if name == "." { "" } else { name.strip_prefix("./").unwrap_or(name) };
        name.into()
    };
    let (name, file) = (plain(name), plain(file));
    file.is_empty() || name.strip_prefix(&*file).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn list(member: &Member, told: bool) {
    if !told {
        println!("{}", member.name);
        return;
    }
    let mode = member.mode | if member.kind == Kind::Directory { abi::DMDIR } else { 0 };
    let [owner, group] = &member.owner;
    let now = proc::seconds();
    let date = lib9::date::short(i64::from(member.mtime), now, &lib9::date::Timezone::local());
    println!("{} {owner} {group} {:>10} {date} {}", lib9::list::mode(mode), member.length, member.name);
}

/// Makes a directory, or the file that the contents go to.
fn extract(
    member: &Member,
    key: &Key,
    own: Option<&Dir>,
    later: &mut Vec<(String, Member)>,
) -> Result<Option<File>> {
    let name = tar::safe_name(&member.name, key.absolute)
        .ok_or_else(|| error!("it would be outside, and is left there"))?;
    if key.told {
        eprintln!("{name}");
    }
    let name = if name.starts_with('/') && name.trim_end_matches('/').is_empty() {
        "/"
    } else {
        name.trim_end_matches('/')
    };
    match &member.kind {
        Kind::Other(what) => Err(error!("it is {what}, and is not extracted")),
        Kind::Directory => {
            if fd::stat(name).is_ok_and(|dir| dir.mode & abi::DMDIR != 0) {
                return Ok(None);
            }
            make_directory(name)?;
            later.push((name.into(), member.clone()));
            Ok(None)
        }
        Kind::File => {
            if let Ok(there) = fd::stat(name) {
                if key.keep {
                    return Ok(None);
                }
                if own.is_some_and(|own| cmd::copy::same(own, &there)) {
                    return Err(error!("it is the archive, and is kept"));
                }
            }
            let create = || File::create(name, abi::OWRITE, member.mode | 0o200);
            let made = create().or_else(|e| match name.rsplit_once('/') {
                Some((above, _)) if fd::stat(above).is_err() => {
                    make_directory(above)?;
                    create()
                }
                _ => Err(e),
            });
            made.map(Some)
        }
    }
}

/// Makes a directory, and those above it.
fn make_directory(name: &str) -> Result<()> {
    for (at, _) in name.match_indices('/').filter(|(at, _)| *at > 0) {
        let above = name.get(..at).unwrap_or("");
        if fd::stat(above).is_err() {
            fd::close(fd::create(above, abi::OREAD, abi::DMDIR | 0o777)?)?;
        }
    }
    fd::close(fd::create(name, abi::OREAD, abi::DMDIR | 0o777)?)
}

/// Gives an extracted file its mode if that is possible, and with T its time, which has to be, and its owner and group
/// if it may.
fn finish(change: &dyn Fn(&Dir) -> Result<()>, member: &Member, key: &Key, errors: &mut Errors) {
    let directory = if member.kind == Kind::Directory { abi::DMDIR } else { 0 };
    let mode = Dir { mode: member.mode | directory, ..Dir::untouched() };
    if key.time {
        let [uid, gid] = member.owner.clone();
        let _ = change(&Dir { gid, ..Dir::untouched() });
        let _ = change(&Dir { uid, ..Dir::untouched() });
    }
    let _ = change(&mode);
    if key.time
        && let Err(e) = change(&Dir { mtime: member.mtime, ..Dir::untouched() })
    {
        errors.tell(&error!("{}: can't set its time: {e}", member.name));
    }
}

/// Passes on bytes; `left` is what remains. Two kinds of errors: of reading, and of writing.
fn pass(
    input: &mut dyn FnMut(&mut [u8]) -> Result<usize>,
    left: &mut u64,
    write: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<Result<()>> {
    let mut buf = vec![0; fd::PIECE.min(usize::try_from(*left).unwrap_or(usize::MAX))];
    while *left > 0 {
        let want = (*left).min(buf.len() as u64) as usize;
        let piece = buf.get_mut(..want).unwrap_or(&mut []);
        if input(piece)? < want {
            return Err(error!("unexpected end of archive"));
        }
        *left -= want as u64;
        if let Err(e) = write(piece) {
            return Ok(Err(e));
        }
    }
    Ok(Ok(()))
}
