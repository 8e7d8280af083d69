//! The database of the network, ndb(6): entries of pairs of a name and a value, in a few text files.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use lib9::file;

/// A database: entries of pairs of a name and a value.
#[derive(Default)]
pub struct Ndb {
    entries: Vec<Vec<(String, String)>>,
}

impl Ndb {
    /// Adds what a file has: an entry begins where a line does, and goes on in lines that begin with blanks.
    pub fn add(&mut self, text: &str) {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or("");
            let goes_on = line.starts_with([' ', '\t']);
            if line.trim().is_empty() {
                continue;
            }
            if !goes_on || self.entries.is_empty() {
                self.entries.push(Vec::new());
            }
            let pairs = line.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, "")));
            if let Some(entry) = self.entries.last_mut() {
                entry.extend(pairs.map(|(name, value)| (name.to_string(), value.to_string())));
            }
        }
    }

    /// The entries that have this pair.
    pub fn having<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> impl Iterator<Item = &'a [(String, String)]> {
        let has = move |e: &&Vec<(String, String)>| e.iter().any(|(n, v)| n == name && v == value);
        self.entries.iter().filter(has).map(Vec::as_slice)
    }

    /// The values of `wanted` in the entries that have this pair.
    pub fn values<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
        wanted: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        let all = self.having(name, value).flatten();
        all.filter(move |(n, _)| n == wanted).map(|(_, v)| v.as_str())
    }

    /// All values of this name, each with its entry.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a [(String, String)], &'a str)> {
        let of_entry = move |e: &'a Vec<(String, String)>| {
            e.iter().filter(move |(n, _)| n == name).map(move |(_, v)| (e.as_slice(), v.as_str()))
        };
        self.entries.iter().flat_map(of_entry)
    }

    /// The database that begins in the file `name`, with the other files that it names. What cannot be read is not
    /// there.
    pub fn open(name: &str) -> Ndb {
        let text = |name: &str| file::read_string(name).unwrap_or_default();
        let mut ndb = Ndb::default();
        ndb.add(&text(name));
        for more in ndb.files().iter().filter(|more| *more != name) {
            ndb.add(&text(more));
        }
        ndb
    }

    /// The files that the database is in, as it says itself.
    pub fn files(&self) -> Vec<String> {
        self.values("database", "", "file").map(String::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_go_on_in_lines_that_begin_with_blanks() {
        let mut ndb = Ndb::default();
        ndb.add("# a comment\ndatabase=\n\tfile=/a\n\tfile=/b # and one\n\n");
        ndb.add("sys=one ip=10.0.0.1\nsys=two dom=two.example\n\tip=10.0.0.2 \n  ip=fd00::2 odd\n");
        assert_eq!(ndb.files(), ["/a", "/b"]);
        assert_eq!(ndb.values("dom", "two.example", "ip").collect::<Vec<_>>(), ["10.0.0.2", "fd00::2"]);
        assert_eq!(ndb.having("odd", "").count(), 1);
        assert_eq!(ndb.having("sys", "three").count(), 0);
    }
}
