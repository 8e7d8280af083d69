//! Which file each line goes to, as split decides it.

use alloc::format;
use alloc::string::String;

use lib9::Result;

use crate::copy::Made;
use crate::regexp::Regexp;

/// What split was asked for.
#[derive(Clone, Debug)]
pub struct Split {
    /// Lines in a file, when there is no expression (-n).
    pub lines: u64,
    /// A line that matches begins a file (-e).
    pub at: Option<Regexp>,
    /// What the names of numbered files begin with (-f).
    pub stem: String,
    /// What is behind names that are taken from lines (-s).
    pub suffix: String,
    /// Lines that match are left away (-x).
    pub exclude: bool,
    /// Names that are taken from lines are made lower case (-i).
    pub lower: bool,
    /// Lines in the file that is being written; nothing before the first.
    here: Option<u64>,
    /// Numbered files so far.
    files: u32,
    /// Names so far.
    made: Made,
}

/// What becomes of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name of a file that begins here.
    pub begins: Option<String>,
    /// Is the line written?
    pub written: bool,
}

impl Split {
    /// Pieces of 1000 lines in `xaa`, `xab` and so on.
    pub fn new() -> Self {
        Split {
            lines: 1000,
            at: None,
            stem: "x".into(),
            suffix: String::new(),
            exclude: false,
            lower: false,
            here: None,
            files: 0,
            made: Made::default(),
        }
    }

    /// What becomes of the next line.
    ///
    /// # Errors
    /// When there are no more names, or one comes for the second time.
    pub fn place(&mut self, line: &[u8]) -> Result<Place> {
        let found = self.at.as_ref().and_then(|re| re.find(line, 0));
        let begins = match (&self.at, found, self.here) {
            (_, Some(found), _) => {
                let part = (1..crate::regexp::NSUB).find_map(|n| found.part(n));
                let name = part.and_then(|(begin, end)| line.get(begin..end)).filter(|name| !name.is_empty());
                Some(match name {
                    None => self.numbered()?,
                    Some(name) => {
                        let name = String::from_utf8_lossy(name);
                        let name = if self.lower { name.to_lowercase() } else { name.into() };
                        format!("{name}{}", self.suffix)
                    }
                })
            }
            (_, _, None) => Some(self.numbered()?),
            (None, _, Some(n)) if n >= self.lines => Some(self.numbered()?),
            _ => None,
        };
        if let Some(name) = &begins {
            self.made.first("a piece", name)?;
        }
        let written = found.is_none() || !self.exclude;
        let before = if begins.is_some() { 0 } else { self.here.unwrap_or(0) };
        self.here = Some(before + u64::from(written));
        Ok(Place { begins, written })
    }

    /// The next of 676 names.
    fn numbered(&mut self) -> Result<String> {
        let letter = |n: u32| char::from_u32(u32::from('a') + n).unwrap_or('?');
        let n = self.files;
        if n >= 26 * 26 {
            return Err("too many files".into());
        }
        self.files += 1;
        Ok(format!("{}{}{}", self.stem, letter(n / 26), letter(n % 26)))
    }
}

impl Default for Split {
    fn default() -> Self {
        Split::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regexp::parse;

    /// Each file with its lines.
    fn split(mut split: Split, text: &str) -> String {
        let mut out = String::new();
        for line in text.split(' ') {
            let place = split.place(line.as_bytes()).unwrap();
            if let Some(name) = place.begins {
                out.push_str(&format!("[{name}]"));
            }
            if place.written {
                out.push_str(line);
            }
        }
        out
    }

    #[test]
    fn by_number() {
        assert_eq!(split(Split { lines: 2, ..Split::new() }, "a b c d e"), "[xaa]ab[xab]cd[xac]e");
        assert_eq!(split(Split { lines: 1, stem: "y.".into(), ..Split::new() }, "a b"), "[y.aa]a[y.ab]b");
        let mut many = Split { lines: 1, ..Split::new() };
        for n in 0..676 {
            assert!(many.place(b"").unwrap().begins.is_some(), "{n}");
        }
        assert_eq!(many.place(b"").unwrap_err().text(), "too many files");
    }

    #[test]
    fn by_expression() {
        let at = |pattern| Split { at: Some(parse(pattern, false).unwrap()), ..Split::new() };
        assert_eq!(split(at("^H"), "a H1 b H2"), "[xaa]a[xab]H1b[xac]H2");
        assert_eq!(split(Split { exclude: true, ..at("^H") }, "H1 b H2 c"), "[xaa]b[xab]c");
        let named = Split { suffix: ".t".into(), lower: true, ..at("^=(.*)") };
        assert_eq!(split(named.clone(), "=One a =Two"), "[one.t]=Onea[two.t]=Two");
        assert_eq!(split(named.clone(), "a ="), "[xaa]a[xab]=");
        // A piece is not written over.
        let mut twice = named;
        assert!(twice.place(b"=One").is_ok() && twice.place(b"=Two").is_ok());
        assert!(twice.place(b"=one").is_err());
        assert_eq!(split(at("^=(.*)\n^-(.*)"), "-x =y"), "[x]-x[y]=y");
    }
}
