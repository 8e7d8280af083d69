//! What `elwood exec` on the host and `hostexec` in the guest agree on: the job, and what they say to each other
//! about it.
//!
//! The job lies in the guest's root as the file [`FILE`]: fields `KEY=VALUE`, each ended by a zero byte, so that a
//! value may be any bytes that an argument may be. Four ports of a virtio console join the two. Through [`OUTPUT`]
//! and [`ERROR`] the program's bytes come as they are. [`INPUT`] carries the host's standard input in pieces
//! ([`piece`]), because the end of a port's connection may overtake its last bytes; the piece of length 0 is the end.
//! [`CONTROL`] carries [`Message`]s both ways. The functions are of bytes; nothing here does I/O.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// The job's file in the guest.
pub const FILE: &str = "/boot/exec/job";
/// The port of the messages.
pub const CONTROL: &str = "elwood.exec.ctl";
/// The port of standard input.
pub const INPUT: &str = "elwood.exec.in";
/// The port of standard output.
pub const OUTPUT: &str = "elwood.exec.out";
/// The port of standard error.
pub const ERROR: &str = "elwood.exec.err";
/// Most bytes of a piece of standard input and of a message.
pub const PIECE_MAX: usize = 32 << 10;

/// A folder of the host that the program sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The tag of its virtio-9p device.
    pub tag: String,
    /// Where it is, in the guest as on the host.
    pub place: String,
    /// Whether files can be made in it.
    pub writable: bool,
}

/// What is to be run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// The program's file.
    pub program: String,
    /// Its arguments; the first is its own name.
    pub args: Vec<Vec<u8>>,
    /// Where it runs.
    pub dir: String,
    /// The folders, in the order in which they are mounted.
    pub mounts: Vec<Mount>,
    /// The environment words beside the usual ones: name and value.
    pub env: Vec<(String, Vec<u8>)>,
    /// Standard error is the same file as standard output.
    pub one_output: bool,
}

impl Job {
    /// The job's file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut field = |key: &str, parts: &[&[u8]]| {
            out.extend_from_slice(key.as_bytes());
            out.push(b'=');
            parts.iter().for_each(|p| out.extend_from_slice(p));
            out.push(0);
        };
        field("program", &[self.program.as_bytes()]);
        field("dir", &[self.dir.as_bytes()]);
        for m in &self.mounts {
            let key = if m.writable { "write" } else { "read" };
            field(key, &[m.tag.as_bytes(), b":", m.place.as_bytes()]);
        }
        self.args.iter().for_each(|a| field("arg", &[a]));
        self.env.iter().for_each(|(name, value)| field("env", &[name.as_bytes(), b"=", value]));
        if self.one_output {
            field("output", &[b"one"]);
        }
        out
    }

    /// Reads [`Job::to_bytes`]; nothing when it is something else.
    pub fn parse(bytes: &[u8]) -> Option<Job> {
        let mut job = Job::default();
        for field in bytes.strip_suffix(&[0])?.split(|&b| b == 0) {
            let (key, value) = cut(field, b'=')?;
            match key {
                b"arg" => job.args.push(value.to_vec()),
                b"env" => {
                    let (name, value) = cut(value, b'=')?;
                    job.env.push((text(name)?, value.to_vec()));
                }
                b"read" | b"write" => {
                    let (tag, place) = cut(value, b':')?;
                    job.mounts.push(Mount {
                        tag: text(tag)?,
                        place: text(place)?,
                        writable: key == b"write",
                    });
                }
                b"program" => job.program = text(value)?,
                b"dir" => job.dir = text(value)?,
                b"output" => job.one_output = true,
                _ => return None,
            }
        }
        (!job.program.is_empty() && !job.args.is_empty()).then_some(job)
    }
}

/// What is said through [`CONTROL`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// From the host: post this note to the program's note group.
    Note(String),
    /// From the host: post this note to the program's first process alone.
    NoteOne(String),
    /// From the guest: the program has ended with this exit string.
    Ended(String),
    /// From the guest: the program could not be executed, for this reason.
    NotRun(String),
    /// From the guest: what the program needs could not be made, for this reason.
    NotReady(String),
}

impl Message {
    /// The message as it goes through the port: a letter, two bytes of length, the text.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (letter, text) = match self {
            Message::Note(t) => (b'n', t),
            Message::NoteOne(t) => (b'o', t),
            Message::Ended(t) => (b'x', t),
            Message::NotRun(t) => (b'e', t),
            Message::NotReady(t) => (b'f', t),
        };
        let text = text.as_bytes();
        let text = text.get(..PIECE_MAX).unwrap_or(text);
        let mut out = Vec::from([letter]);
        out.extend_from_slice(&length(text));
        out.extend_from_slice(text);
        out
    }

    /// The message that `bytes` begin with, and how long it is; nothing when there is more to come.
    ///
    /// # Errors
    /// When it is no message.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Message, usize)>, &'static str> {
        let &[letter, low, high, ref rest @ ..] = bytes else { return Ok(None) };
        let Some(text) = rest.get(..usize::from(u16::from_le_bytes([low, high]))) else { return Ok(None) };
        let used = 3 + text.len();
        let text = String::from_utf8_lossy(text).into_owned();
        let message = match letter {
            b'n' => Message::Note(text),
            b'o' => Message::NoteOne(text),
            b'x' => Message::Ended(text),
            b'e' => Message::NotRun(text),
            b'f' => Message::NotReady(text),
            _ => return Err("no message begins like this"),
        };
        Ok(Some((message, used)))
    }
}

/// The head of a piece of standard input with these bytes, of which there are at most [`PIECE_MAX`].
pub fn piece(bytes: &[u8]) -> [u8; 2] {
    length(bytes)
}

fn length(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes()
}

/// What is before and behind the first `mark`.
fn cut(bytes: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&b| b == mark)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

fn text(bytes: &[u8]) -> Option<String> {
    core::str::from_utf8(bytes).ok().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn a_job_is_what_was_sent() {
        let mount =
            |tag: &str, place: &str, writable| Mount { tag: tag.into(), place: place.into(), writable };
        let job = Job {
            program: "/tmp/b 1/a=b".into(),
            args: vec![
                b"x".to_vec(),
                b"".to_vec(),
                b"two words\nand 'lines'".to_vec(),
                vec![0xff, b'='],
                "ü".into(),
            ],
            dir: "/home/me".into(),
            mounts: vec![mount("d0", "/home/me:2", true), mount("d1", "/tmp", false)],
            env: vec![("A".into(), b"1=2\n".to_vec()), ("EMPTY".into(), vec![])],
            one_output: true,
        };
        assert_eq!(Job::parse(&job.to_bytes()).unwrap(), job);
        let last = Job { args: vec![vec![]], program: "p".into(), ..Job::default() };
        assert_eq!(Job::parse(&last.to_bytes()).unwrap(), last);
    }

    #[test]
    fn what_is_no_job() {
        for bytes in [&b""[..], b"\0", b"program=x\0", b"program=x\0arg=x", b"x=y\0", b"arg\0", b"env=a\0"] {
            assert_eq!(Job::parse(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn messages_come_in_any_pieces() {
        let message = Message::Ended("hello 12: sys: trap".into());
        let mut bytes = message.to_bytes();
        let len = bytes.len();
        bytes.push(b'n');
        for n in 0..len {
            assert_eq!(Message::parse(&bytes[..n]), Ok(None));
        }
        assert_eq!(Message::parse(&bytes), Ok(Some((message, len))));
        assert!(Message::parse(b"z\0\0").is_err());
        let long = Message::NotRun("y".repeat(100_000)).to_bytes();
        assert_eq!(Message::parse(&long).unwrap().unwrap().1, PIECE_MAX + 3);
    }
}
