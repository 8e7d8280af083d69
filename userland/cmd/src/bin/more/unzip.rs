//! unzip [-acitTvD] [-f zipfile] [file ...]: bring files out of an archive, or list them. See gzip(1).

use alloc::string::String;
use alloc::vec;

use abi::{DMDIR, OREAD};
use cmd::tar::safe_name;
use cmd::zip::{Entry, extract, list};
use lib9::date::{self, Timezone};
use lib9::{Args, Dir, File, Result, eprintln, error, exits, fd, proc, println, usage};

use super::gzip::whole;

#[derive(Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools)] // They are the flags of the command.
struct Options {
    to_output: bool,
    lower: bool,
    lists: bool,
    times: bool,
    tells: bool,
}

pub fn main(args: &Args) -> Result<()> {
    let synopsis = || -> ! { usage(args, "[-acitTvD] [-f zipfile] [file ...]") };
    let (mut o, mut name) = (Options::default(), None);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            // Directories are made as they are needed.
            'a' | 'D' => {}
            'c' => o.to_output = true,
            'i' => o.lower = true,
            't' => o.lists = true,
            'T' => o.times = true,
            'v' => o.tells = true,
            'f' => name = Some(flags.value().unwrap_or_else(|_| synopsis())),
            _ => synopsis(),
        }
    }
    let archive = match name {
        Some(name) => File::open(name, OREAD).map_err(|e| error!("can't open {name}: {e}"))?,
        None => File::from_fd(fd::dup(0, -1)?),
    };
    let own = archive.stat()?;
    let mut read = |buf: &mut [u8], at: u64| archive.pread(buf, at);
    let entries = list(&mut read, own.length)?;
    let (files, zone) = (flags.rest(), Timezone::local());
    let (mut found, mut failed) = (vec![false; files.len()], false);
    for mut entry in entries {
        if o.lower {
            entry.name = entry.name.to_lowercase();
        }
        let mut wanted = files.is_empty();
        for (file, found) in files.iter().zip(&mut found) {
            let below = entry.name.strip_prefix(file.trim_end_matches('/'));
            if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                (wanted, *found) = (true, true);
            }
        }
        if !wanted {
            continue;
        }
        if o.lists {
            tell(&entry, o, &zone);
        } else if let Err(e) = bring(&entry, o, &own, &zone, &mut read) {
            eprintln!("unzip: {}: {e}", entry.name);
            failed = true;
        }
    }
    for (file, _) in files.iter().zip(&found).filter(|(_, found)| !**found) {
        eprintln!("unzip: {file}: it is not in the archive");
        failed = true;
    }
    if failed { exits("errors") } else { Ok(()) }
}

/// Prints the line of a file.
fn tell(entry: &Entry, o: Options, zone: &Timezone) {
    // A name may be anything, but every file is one line.
    let name = entry.name.replace(|c: char| c.is_control(), "?");
    if o.tells {
        let time = date::short(entry.time.seconds(zone), proc::seconds(), zone);
        println!("{:>10} {time} {name}", entry.length);
    } else {
        println!("{name}");
    }
}

/// Makes a file, and the directories that it is in.
fn bring(
    entry: &Entry,
    o: Options,
    own: &Dir,
    zone: &Timezone,
    read: &mut dyn FnMut(&mut [u8], u64) -> Result<usize>,
) -> Result<()> {
    let name = safe_name(entry.name.trim_end_matches('/'), false);
    let name = name.ok_or_else(|| error!("a name that leads elsewhere"))?;
    if o.tells {
        eprintln!("extracting {}", entry.name);
    }
    if entry.is_dir() {
        return if o.to_output { Ok(()) } else { directories(&name, true) };
    }
    if !o.to_output {
        directories(&name, false)?;
    }
    whole((!o.to_output).then_some(name.as_str()), own, |to| {
        extract(entry, read, &mut |bytes| fd::write_all(to, bytes))?;
        match (o.to_output, o.times, u32::try_from(entry.time.seconds(zone))) {
            (false, true, Ok(mtime)) => fd::fwstat(to, &Dir { mtime, ..Dir::untouched() }),
            _ => Ok(()),
        }
    })
}

/// Makes the directories of a path that are not there, the last one too if it is to be one itself.
fn directories(path: &str, whole: bool) -> Result<()> {
    let mut made = String::new();
    let mut elements = path.split('/').peekable();
    while let Some(element) = elements.next() {
        if elements.peek().is_none() && !whole {
            break;
        }
        made.push_str(element);
        if !made.is_empty() && fd::stat(&made).is_err() {
            fd::close(fd::create(&made, OREAD, DMDIR | 0o777)?)?;
        }
        made.push('/');
    }
    Ok(())
}
