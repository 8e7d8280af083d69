//! What a program reads and writes: files, commands, and the standard ones. Each has a buffer here; what there really
//! is behind it is the [`World`]'s.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use super::tree::Way;
use super::value::Text;
use crate::regexp::Finder;

/// A number by which the world knows something open. 0, 1 and 2 are standard input, output and error.
pub type Handle = i32;

/// How something is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// To read it.
    Read,
    /// To write it anew; of a command, its input.
    Write,
    /// To write behind what is there.
    Append,
}

/// What the language needs of the world.
pub trait World {
    /// Opens a file.
    ///
    /// # Errors
    /// Why it cannot be, as everywhere here.
    fn open(&mut self, name: &[u8], how: How) -> Result<Handle, String>;
    /// Runs a command with a pipe to it or from it.
    ///
    /// # Errors
    /// As there.
    fn pipe(&mut self, command: &[u8], how: How) -> Result<Handle, String>;
    /// Reads; nothing at the end.
    ///
    /// # Errors
    /// As there.
    fn read(&mut self, handle: Handle, buf: &mut [u8]) -> Result<usize, String>;
    /// Writes all.
    ///
    /// # Errors
    /// As there.
    fn write(&mut self, handle: Handle, bytes: &[u8]) -> Result<(), String>;
    /// Closes; a command is waited for, and its status is a number.
    fn close(&mut self, handle: Handle) -> f64;
    /// No commands are run.
    fn is_safe(&self) -> bool {
        false
    }
    /// Runs a command; its status as a number.
    fn system(&mut self, command: &[u8]) -> f64;
    /// The time of day, in seconds.
    fn seconds(&mut self) -> f64;
    /// The variables of the environment.
    fn environment(&mut self) -> Vec<(Vec<u8>, Vec<u8>)>;
    /// Somebody looks at standard output while it is written.
    fn is_watched(&mut self) -> bool;
}

/// What ends a record.
#[derive(Clone)]
pub(super) enum Ending {
    Byte(u8),
    /// Empty lines.
    Paragraph,
    Regexp(Rc<RefCell<Finder>>),
}

/// Bytes of a first read, and of those of a large file.
const PIECE: usize = 16 << 10;
const LARGE: usize = 128 << 10;
/// Bytes that are written at once.
const FULL: usize = 16 << 10;

/// Something that is read.
#[derive(Debug)]
pub(super) struct Reader {
    handle: Handle,
    buf: Vec<u8>,
    at: usize,
    have: usize,
    ended: bool,
}

impl Reader {
    pub(super) fn new(handle: Handle) -> Reader {
        Reader { handle, buf: Vec::new(), at: 0, have: 0, ended: false }
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle
    }

    /// Reads more behind what is there. False at the end.
    fn more(&mut self, world: &mut dyn World) -> Result<bool, String> {
        if self.ended {
            return Ok(false);
        }
        if self.at > 0 {
            self.buf.copy_within(self.at..self.have, 0);
            self.have -= self.at;
            self.at = 0;
        }
        if self.buf.len() - self.have < PIECE {
            let size = if self.buf.is_empty() { PIECE } else { (self.have * 2).max(LARGE) };
            self.buf.resize(size, 0);
        }
        let room = self.buf.get_mut(self.have..).unwrap_or_default();
        let n = world.read(self.handle, room)?.min(room.len());
        self.have += n;
        self.ended = n == 0;
        Ok(n > 0)
    }

    fn held(&self) -> &[u8] {
        self.buf.get(self.at..self.have).unwrap_or(&[])
    }

    /// Puts the next record into `out`. False at the end.
    pub(super) fn record(
        &mut self,
        ending: &Ending,
        world: &mut dyn World,
        out: &mut Vec<u8>,
    ) -> Result<bool, String> {
        out.clear();
        if let Ending::Paragraph = ending {
            // Empty lines in front of one are none.
            loop {
                let empty = self.held().iter().take_while(|&&b| b == b'\n').count();
                self.at += empty;
                if self.at < self.have || !self.more(world)? {
                    break;
                }
            }
        }
        // Bytes in which there is certainly no end.
        let mut seen = 0;
        loop {
            let held = self.held();
            let found = match ending {
                Ending::Byte(byte) => {
                    let rest = held.get(seen..).unwrap_or(&[]);
                    rest.iter().position(|b| b == byte).map(|n| (seen + n, seen + n + 1))
                }
                Ending::Paragraph => paragraph(held, seen, self.ended),
                Ending::Regexp(re) => {
                    let found = re.borrow_mut().find(held, 0).filter(|(from, to)| from < to);
                    // One that ends with what is there may go on.
                    found.filter(|(_, to)| *to < held.len() || self.ended)
                }
            };
            if let Some((end, next)) = found {
                out.extend_from_slice(held.get(..end).unwrap_or(&[]));
                self.at += next;
                return Ok(true);
            }
            seen = held.len();
            if let Ending::Paragraph = ending {
                // Those at the end may be the beginning of it.
                seen -= held.iter().rev().take_while(|&&b| b == b'\n').count();
            }
            if self.ended {
                break;
            }
            self.more(world)?;
        }
        let mut rest = self.held();
        if let Ending::Paragraph = ending {
            rest = rest.strip_suffix(b"\n").unwrap_or(rest);
        }
        out.extend_from_slice(rest);
        let any = self.at < self.have;
        self.at = self.have;
        Ok(any)
    }
}

/// The end of a paragraph and the beginning of the next one, which has to be there unless the input has ended.
fn paragraph(held: &[u8], from: usize, ended: bool) -> Option<(usize, usize)> {
    let rest = held.get(from..).unwrap_or(&[]);
    let end = from + rest.windows(2).position(|two| two == b"\n\n")?;
    let next = held.get(end..)?.iter().position(|&b| b != b'\n').map(|n| end + n);
    match next {
        Some(next) => Some((end, next)),
        None => ended.then_some((end, held.len())),
    }
}

/// Something that is written.
struct Writer {
    handle: Handle,
    buf: Vec<u8>,
}

impl Writer {
    fn write(&mut self, bytes: &[u8], world: &mut dyn World) -> Result<(), String> {
        if self.buf.len() + bytes.len() > FULL {
            self.flush(world)?;
        }
        if bytes.len() >= FULL {
            return world.write(self.handle, bytes);
        }
        self.buf.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self, world: &mut dyn World) -> Result<(), String> {
        if self.buf.is_empty() {
            return Ok(());
        }
        let written = world.write(self.handle, &self.buf);
        self.buf.clear();
        written
    }
}

/// What a name that is open is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    To(Way),
    FromFile,
    FromPipe,
}

struct Stream {
    name: Text,
    sort: Sort,
    end: End,
}

enum End {
    Reader(Reader),
    Writer(Writer),
    /// The standard ones are not the stream's to close.
    Standard(usize),
}

/// Everything open but the main input.
pub(super) struct Streams {
    list: Vec<Stream>,
    standard: [Writer; 2],
    /// Output is to be seen at once.
    watched: bool,
}

impl Streams {
    pub(super) fn new(world: &mut dyn World) -> Streams {
        let writer = |handle| Writer { handle, buf: Vec::new() };
        Streams { list: Vec::new(), standard: [writer(1), writer(2)], watched: world.is_watched() }
    }

    /// Writes to standard output.
    pub(super) fn print(&mut self, bytes: &[u8], world: &mut dyn World) -> Result<(), String> {
        let [out, _] = &mut self.standard;
        out.write(bytes, world)?;
        if self.watched { out.flush(world) } else { Ok(()) }
    }

    /// Writes to a file or a command, which is opened if it is not.
    pub(super) fn print_to(
        &mut self,
        way: Way,
        name: &[u8],
        bytes: &[u8],
        world: &mut dyn World,
    ) -> Result<(), String> {
        let at = match self.list.iter().position(|s| s.sort == Sort::To(way) && *s.name == *name) {
            Some(at) => at,
            None => self.open_to(way, name, world)?,
        };
        let watched = self.watched;
        match self.list.get_mut(at).map(|stream| &mut stream.end) {
            Some(End::Writer(writer)) => writer.write(bytes, world),
            Some(End::Standard(n)) => {
                let at_once = watched || *n == 1;
                let Some(writer) = self.standard.get_mut(*n) else { return Ok(()) };
                writer.write(bytes, world)?;
                if at_once { writer.flush(world) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    fn open_to(&mut self, way: Way, name: &[u8], world: &mut dyn World) -> Result<usize, String> {
        let standard = match name {
            b"/dev/stdout" | b"/fd/1" => Some(0),
            b"/dev/stderr" | b"/fd/2" => Some(1),
            _ => None,
        };
        let end = match standard.filter(|_| way != Way::Pipe) {
            Some(n) => End::Standard(n),
            None => {
                if way == Way::Pipe {
                    // What was printed before is before what the command prints.
                    self.flush_all(world)?;
                }
                let handle = match way {
                    Way::File => world.open(name, How::Write),
                    Way::Append => world.open(name, How::Append),
                    Way::Pipe => world.pipe(name, How::Write),
                };
                let shown = String::from_utf8_lossy(name);
                let handle = handle.map_err(|e| alloc::format!("can't redirect to {shown}: {e}"))?;
                End::Writer(Writer { handle, buf: Vec::new() })
            }
        };
        self.list.push(Stream { name: name.into(), sort: Sort::To(way), end });
        Ok(self.list.len() - 1)
    }

    /// The reader of a file or a command, which is opened if it is not; nothing when it cannot be.
    pub(super) fn reader(&mut self, pipe: bool, name: &[u8], world: &mut dyn World) -> Option<&mut Reader> {
        let sort = if pipe { Sort::FromPipe } else { Sort::FromFile };
        let at = match self.list.iter().position(|s| s.sort == sort && *s.name == *name) {
            Some(at) => at,
            None => {
                // A command may read what was written, and print behind what was printed.
                self.flush_all(world).ok()?;
                let handle = match name {
                    b"-" | b"/dev/stdin" | b"/fd/0" if !pipe => Ok(0),
                    _ if pipe => world.pipe(name, How::Read),
                    _ => world.open(name, How::Read),
                };
                let end = End::Reader(Reader::new(handle.ok()?));
                self.list.push(Stream { name: name.into(), sort, end });
                self.list.len() - 1
            }
        };
        match self.list.get_mut(at).map(|stream| &mut stream.end) {
            Some(End::Reader(reader)) => Some(reader),
            _ => None,
        }
    }

    /// Closes everything of this name: the status of the last, or -1 if there is none.
    pub(super) fn close(&mut self, name: &[u8], world: &mut dyn World) -> f64 {
        let mut status = -1.0;
        while let Some(at) = self.list.iter().position(|s| *s.name == *name) {
            let stream = self.list.remove(at);
            status = self.end(stream, world);
        }
        status
    }

    fn end(&mut self, stream: Stream, world: &mut dyn World) -> f64 {
        match stream.end {
            End::Reader(reader) if reader.handle() == 0 => 0.0,
            End::Reader(reader) => world.close(reader.handle()),
            End::Writer(mut writer) => {
                let written = writer.flush(world);
                if stream.sort == Sort::To(Way::Pipe) {
                    // Our own output comes before the rest of the command's.
                    let _ = self.flush_all(world);
                }
                let status = world.close(writer.handle);
                if written.is_err() { -1.0 } else { status }
            }
            End::Standard(n) => match self.standard.get_mut(n).map(|writer| writer.flush(world)) {
                Some(Err(_)) => -1.0,
                _ => 0.0,
            },
        }
    }

    /// Writes out what one of this name has, or says -1.
    pub(super) fn flush(&mut self, name: &[u8], world: &mut dyn World) -> f64 {
        let mut status = -1.0;
        for stream in self.list.iter_mut().filter(|s| *s.name == *name) {
            let flushed = match &mut stream.end {
                End::Writer(writer) => writer.flush(world),
                End::Standard(n) => self.standard.get_mut(*n).map_or(Ok(()), |writer| writer.flush(world)),
                End::Reader(_) => continue,
            };
            status = if flushed.is_ok() { 0.0 } else { -1.0 };
        }
        status
    }

    /// Writes out everything.
    pub(super) fn flush_all(&mut self, world: &mut dyn World) -> Result<(), String> {
        let Streams { list, standard, .. } = self;
        let mut result = Ok(());
        let others = list.iter_mut().filter_map(|stream| match &mut stream.end {
            End::Writer(writer) => Some(writer),
            _ => None,
        });
        for writer in standard.iter_mut().chain(others) {
            result = result.and(writer.flush(world));
        }
        result
    }

    /// Closes everything, at the program's end.
    pub(super) fn finish(&mut self, world: &mut dyn World) -> Result<(), String> {
        let result = self.flush_all(world);
        while !self.list.is_empty() {
            let stream = self.list.remove(0);
            self.end(stream, world);
        }
        result
    }
}
