//! zip [-avD1-9] [-f zipfile] file ...: put files, and directories with all that is in them, into an archive, which is
//! the standard output unless it is named. See gzip(1).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use cmd::copy::Above;
use cmd::zip::{Stamp, Writer};
use lib9::date::Timezone;
use lib9::{Args, Dir, File, Result, eprintln, error, fd, usage};

use super::gzip::whole;

/// What the archive gets, and how.
struct Zip<'a> {
    writer: Writer<'a>,
    zone: Timezone,
    level: u8,
    tells: bool,
    /// What is not put into it.
    own: Vec<Dir>,
    above: Above,
}

pub fn main(args: &Args) -> Result<()> {
    let synopsis = "[-avD1-9] [-f zipfile] file ...";
    let (mut level, mut tells, mut name) = (None, false, None);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            // Directories have their own entries always.
            'a' | 'D' => {}
            'v' => tells = true,
            'f' => name = Some(flags.value().unwrap_or_else(|_| usage(args, synopsis))),
            '1'..='9' if level.is_none() => level = Some(letter as u8 - b'0'),
            _ => usage(args, synopsis),
        }
    }
    let files = flags.rest();
    if files.is_empty() {
        usage(args, synopsis);
    }
    let zone = Timezone::local();
    let first = fd::stat(&files[0]).map_err(|e| error!("{e}"))?;
    let before = name.and_then(|name| fd::stat(name).ok());
    whole(name, &first, |to| {
        let mut write = |bytes: &[u8]| fd::write_all(to, bytes);
        // The archive itself is not put into itself, nor is the one that it replaces.
        let own = [name.and_then(|_| fd::fstat(to).ok()), before.clone()].into_iter().flatten().collect();
        let mut zip = Zip {
            writer: Writer::new(&mut write),
            zone: zone.clone(),
            level: level.unwrap_or(6),
            tells,
            own,
            above: Above::default(),
        };
        for file in files {
            zip.add(file).map_err(|e| error!("{file}: {e}"))?;
        }
        zip.writer.finish()
    })
}

impl Zip<'_> {
    /// Adds a file, or a directory and what is in it.
    fn add(&mut self, path: &str) -> Result<()> {
        let file = File::open(path, abi::OREAD)?;
        let dir = file.stat()?;
        if self.own.iter().any(|own| cmd::copy::same(own, &dir)) {
            return Ok(());
        }
        let name = path.trim_start_matches(['/', '#']).trim_end_matches('/');
        let name = name.strip_prefix("./").unwrap_or(name);
        let name = if dir.is_dir() { format!("{name}/") } else { String::from(name) };
        let stamp = Stamp::new(dir.mtime.into(), &self.zone);
        let is_here = matches!(name.as_str(), "/" | "./");
        if !is_here {
            if self.tells {
                eprintln!("adding {name}");
            }
            let mut read = |buf: &mut [u8]| if dir.is_dir() { Ok(0) } else { file.read(buf) };
            self.writer.add(&name, stamp, self.level, &mut read)?;
        }
        if dir.is_dir() {
            if !self.above.enter(&dir) {
                return Err(error!("{path}: it is bound below itself"));
            }
            let mut entries = file.dirread()?;
            drop(file);
            entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            for entry in entries {
                self.add(&format!("{}/{}", path.trim_end_matches('/'), entry.name))?;
            }
            self.above.leave();
        }
        Ok(())
    }
}
