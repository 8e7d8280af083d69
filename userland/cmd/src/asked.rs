//! A directory with one file that answers questions: what cs(8) and dns(8) serve. A question is written, and the lines
//! of its answer are read, one a read; they stay with the open file that it was written to.

use alloc::string::String;
use alloc::vec::Vec;

use abi::{Dir, OEXEC, ORDWR, OREAD, OTRUNC, OWRITE, Qid, error};
use lib9::serve::Files;
use lib9::sys::Lock;
use ninep::server::{self, record};
use ninep::{Stat, Str};

type Result<T> = server::Result<T>;

/// Longest question, in bytes.
const LONGEST: usize = 512;
/// The number of the file.
const FILE: u64 = 1;

/// Who answers.
pub trait Answers {
    /// The lines that answer a question.
    ///
    /// # Errors
    /// Why there is no answer.
    fn answer(&self, question: &str) -> core::result::Result<Vec<String>, String>;
}

/// The directory.
pub struct Asked<A> {
    /// What the file is called.
    pub name: &'static str,
    /// Whose it is.
    pub owner: Vec<u8>,
    /// Who answers.
    pub who: A,
}

/// The directory, or the file with the answers to what was asked by it last.
pub struct File {
    number: u64,
    lines: Lock<Vec<String>>,
}

impl File {
    fn new(number: u64) -> (File, Qid) {
        let qid = if number == FILE { Qid::file(number) } else { Qid::dir(number) };
        (File { number, lines: Lock::new(Vec::new()) }, qid)
    }
}

impl<A> Asked<A> {
    fn record(&self, number: u64) -> Result<Vec<u8>> {
        let (name, mode): (&[u8], u32) =
            if number == FILE { (self.name.as_bytes(), 0o666) } else { (b"/", abi::DMDIR | 0o555) };
        let [name, uid, gid, muid] = [name, &self.owner, &self.owner, &self.owner].map(Str);
        let qid = File::new(number).1;
        record(&Stat::from(Dir { qid, name, uid, gid, muid, ..Dir { mode, ..Dir::default() } }))
    }
}

impl<A: Answers> Files for Asked<A> {
    type File = File;

    fn attach(&self, _user: &[u8], _tree: &[u8]) -> Result<(File, Qid)> {
        Ok(File::new(0))
    }

    fn walk(&self, dir: &File, name: &[u8]) -> Result<(File, Qid)> {
        match dir.number {
            0 if name == self.name.as_bytes() => Ok(File::new(FILE)),
            0 if name == b".." => Ok(File::new(0)),
            _ => Err(error::ENONEXIST.into()),
        }
    }

    fn open(&self, file: &File, mode: u32) -> Result<(File, Qid)> {
        match (file.number, mode & !OTRUNC) {
            (FILE, OREAD | OWRITE | ORDWR) | (0, OREAD | OEXEC) => Ok(File::new(file.number)),
            _ => Err(error::EPERM.into()),
        }
    }

    fn create(&self, _dir: &File, _name: &[u8], _perm: u32, _mode: u32) -> Result<(File, Qid)> {
        Err(error::EPERM.into())
    }

    /// One line a read, the one in which `offset` is.
    fn read(&self, file: &File, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let lines = file.lines.lock();
        let mut begins = 0;
        for line in lines.iter().map(String::as_bytes) {
            let at = usize::try_from(offset.saturating_sub(begins)).unwrap_or(usize::MAX);
            if let Some(rest) = line.get(at..).filter(|rest| !rest.is_empty()) {
                let n = rest.len().min(buf.len());
                if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
                    to.copy_from_slice(from);
                }
                return Ok(n);
            }
            begins += line.len() as u64;
        }
        Ok(0)
    }

    fn list(&self, dir: &File, rewind: bool, put: &mut dyn FnMut(&[u8]) -> bool) -> Result<()> {
        if dir.number == 0 && rewind {
            put(&self.record(FILE)?);
        }
        Ok(())
    }

    fn write(&self, file: &File, _offset: u64, data: &[u8]) -> Result<usize> {
        if data.len() > LONGEST {
            return Err(error::ETOOBIG.into());
        }
        let question = core::str::from_utf8(data).map_err(|_| error::EBADARG)?;
        let answer = self.who.answer(question);
        *file.lines.lock() = Vec::new();
        *file.lines.lock() = answer?;
        Ok(data.len())
    }

    fn stat(&self, file: &File) -> Result<Vec<u8>> {
        self.record(file.number)
    }

    fn wstat(&self, _file: &File, _change: &Stat<'_>) -> Result<()> {
        Err(error::EPERM.into())
    }

    fn remove(&self, _file: &File) -> Result<()> {
        Err(error::EPERM.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Twice;

    impl Answers for Twice {
        fn answer(&self, question: &str) -> core::result::Result<Vec<String>, String> {
            if question == "no" {
                Err("no answer".into())
            } else {
                Ok(Vec::from([question.into(), question.into()]))
            }
        }
    }

    #[test]
    fn answers_are_read_line_by_line_and_stay_with_who_asked() {
        let twice = Asked { name: "twice", owner: b"glenda".to_vec(), who: Twice };
        let (root, _) = twice.attach(b"glenda", b"").unwrap();
        let open = || twice.open(&twice.walk(&root, b"twice").unwrap().0, ORDWR).unwrap().0;
        let (file, mut buf) = (open(), [0; 100]);
        assert_eq!(twice.read(&file, 0, &mut buf).unwrap(), 0);
        twice.write(&file, 0, b"question").unwrap();
        assert_eq!(twice.read(&file, 0, &mut buf).unwrap(), 8);
        assert_eq!(twice.read(&file, 8, &mut buf).unwrap(), 8);
        assert_eq!(&buf[..8], b"question");
        assert_eq!(twice.read(&file, 16, &mut buf).unwrap(), 0);
        assert_eq!(twice.read(&file, 10, &mut buf[..3]).unwrap(), 3);
        assert_eq!(&buf[..3], b"est");
        assert_eq!(twice.read(&open(), 0, &mut buf).unwrap(), 0);
        assert!(twice.write(&file, 0, b"no").is_err());
        assert_eq!(twice.read(&file, 0, &mut buf).unwrap(), 0, "no answer is left of an earlier question");
        assert!(twice.write(&file, 0, &[b'x'; 600]).is_err());
        assert!(twice.open(&root, OWRITE).is_err() && twice.walk(&file, b"x").is_err());
        assert!(twice.walk(&root, b"cs").is_err());
    }
}
