//! Rows: reading directories.
//!
//! In 9P2000.u a directory read gives whole stat records. The server only goes on from where it stopped, so the
//! driver keeps the translated records (they have other lengths) and its own offsets. In 9P2000.L it gives names
//! and cookies; the driver walks to each name and asks for its attributes.

use alloc::string::String;

use super::FileType;
use super::ids::Ids;
use super::names;
use super::stat::{File, fits};
use crate::{Dialect, Dirents, Stats};
use abi::Qid;
use abi::error::EBADSTAT;

/// The files in the data of a 9P2000.u (or 9P2000) directory read, without `.` and `..`.
///
/// A record that is malformed inside comes as an error and the next one follows; one that reaches past the
/// end comes as an error and is the last. A driver that leaves out the errors shows everything that can be
/// shown; it should fail when there is nothing else.
#[derive(Clone, Debug)]
pub struct Listing<'a> {
    dialect: Dialect,
    stats: Stats<'a>,
    ids: &'a Ids,
}

impl<'a> Listing<'a> {
    /// For the data of an `Rread`.
    pub fn new(dialect: Dialect, data: &'a [u8], ids: &'a Ids) -> Self {
        Listing { dialect, stats: Stats::new(dialect, data), ids }
    }
}

impl Iterator for Listing<'_> {
    type Item = Result<File, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.stats.next()? {
                Ok(stat) if names::visible(stat.name) => {
                    let file = fits(&stat).then(|| File::from_stat(self.dialect, &stat, self.ids));
                    return Some(file.ok_or(EBADSTAT));
                }
                Ok(_) => {}
                Err(_) => return Some(Err(EBADSTAT)),
            }
        }
    }
}

/// Longest name in a 9P2000.L directory, in bytes: Linux has none that is longer.
const NAME_MOST: usize = 255;

/// One name of a 9P2000.L directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// The file. Its type and version may be 0 whatever it is.
    pub qid: Qid,
    /// What it is, when the server says.
    pub what: Option<FileType>,
    /// The server's mark of the place behind it.
    pub cookie: u64,
}

/// The names in the data of an `Rreaddir`, without `.` and `..`. An entry that is cut short is an error and the last.
#[derive(Clone, Debug)]
pub struct Names<'a> {
    entries: Dirents<'a>,
    cookie: Option<u64>,
}

impl<'a> Names<'a> {
    /// For the data of an `Rreaddir`.
    pub fn new(data: &'a [u8]) -> Self {
        Names { entries: Dirents::new(data), cookie: None }
    }

    /// Where the next `Treaddir` goes on: behind the last entry that was looked at, shown or not.
    /// `None` when there was none, which is the end of the directory.
    pub const fn cookie(&self) -> Option<u64> {
        self.cookie
    }

    /// Bytes behind the last entry that was looked at.
    pub fn left(&self) -> usize {
        self.entries.left()
    }
}

impl Iterator for Names<'_> {
    type Item = Result<Entry, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Ok(entry) = self.entries.next()? else { return Some(Err(EBADSTAT)) };
            self.cookie = Some(entry.cookie);
            if entry.name.bytes().len() > NAME_MOST {
                return Some(Err(EBADSTAT));
            }
            if names::visible(entry.name) {
                let what = FileType::from_dtype(entry.dtype);
                let name = entry.name.text().into_owned();
                return Some(Ok(Entry { name, qid: entry.qid, what, cookie: entry.cookie }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dirent, Stat, Str};
    use abi::Dir;
    use alloc::vec::Vec;

    fn record(name: &[u8], mode: u32) -> Vec<u8> {
        let stat = Stat {
            dir: Dir { name: Str(name), mode, length: 1, ..Dir::untouched() },
            n_uid: 0,
            ..Stat::default()
        };
        stat.to_vec(Dialect::U).unwrap()
    }

    fn names(data: &[u8]) -> Vec<Result<String, &'static str>> {
        Listing::new(Dialect::U, data, &Ids::new()).map(|f| f.map(|f| f.dir.name)).collect()
    }

    #[test]
    fn dots_and_impossible_names_are_dropped() {
        let data = [
            record(b".", 0x8000_01ed),
            record(b"a", 0o644),
            record(b"..", 0x8000_01ed),
            record(b"../../etc/passwd", 0o644),
            record(b"", 0o644),
            record(b"p\xe8re", 0o644),
        ]
        .concat();
        assert_eq!(names(&data), [Ok("a".into()), Ok("p\u{efe8}re".into())]);
        assert_eq!(names(&[]), []);
    }

    #[test]
    fn records_are_translated() {
        let data = [record(b"d", 0x8000_01ed), record(b"s", 0x0010_01a4)].concat();
        let files: Vec<File> = Listing::new(Dialect::U, &data, &Ids::new()).flatten().collect();
        assert_eq!((files[0].dir.mode, files[0].dir.length), (0x8000_01ed, 0));
        assert_eq!((files[1].what, files[1].dir.mode), (FileType::Socket, 0o644));
        // What the ancestor could not pack: a socket whose owner's name is longer than the record had room for.
        let mut ids = Ids::new();
        ids.add_user(0, "a-very-long-owner");
        let files: Vec<File> = Listing::new(Dialect::U, &data, &ids).flatten().collect();
        let bytes = files[1].dir.to_bytes();
        assert_eq!(abi::Dir::parse(&bytes).map(|(d, _)| d.uid), Ok("a-very-long-owner".into()));
    }

    #[test]
    fn a_bad_record_costs_one_entry() {
        let mut bad = record(b"bad", 0);
        bad[41] = 99;
        let mut cut = record(b"cut", 0);
        cut.pop();
        let data = [record(b"a", 0), bad, record(b"b", 0), cut].concat();
        assert_eq!(names(&data), [Ok("a".into()), Err(EBADSTAT), Ok("b".into()), Err(EBADSTAT)]);
    }

    fn entry(name: &'static str, cookie: u64, dtype: u8) -> Vec<u8> {
        let mut out = alloc::vec![0; 24 + name.len()];
        Dirent { qid: Qid::file(cookie), cookie, dtype, name: name.into() }.encode(&mut out).unwrap();
        out
    }

    #[test]
    fn cookies_count_what_is_not_shown() {
        let data = [entry("a", 900, 8), entry("l", 17, 10), entry("?", 55, 0), entry("..", 33, 4)].concat();
        let mut names = Names::new(&data);
        assert_eq!(names.cookie(), None);
        let got: Vec<_> = names.by_ref().flatten().map(|e| (e.name, e.what)).collect();
        let expected = [("a", Some(FileType::Plain)), ("l", Some(FileType::Link)), ("?", None)];
        assert_eq!(got, expected.map(|(n, w)| (String::from(n), w)));
        assert_eq!(names.cookie(), Some(33));
        let mut cut = Names::new(&data[..data.len() - 1]);
        assert_eq!(cut.by_ref().last(), Some(Err(EBADSTAT)));
        assert_eq!(cut.cookie(), Some(55), "an entry that is not whole will be read again");
    }
}
