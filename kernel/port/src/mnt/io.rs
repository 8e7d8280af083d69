//! Reading and writing: data go straight between the server and the pages of whoever reads or writes.
//!
//! A transfer is cut into pieces of at most the server's iounit. `#9` has several in flight together, each with
//! a request of the slot; what counts is the part up to the first piece that came short. A channel's server may
//! be anything, a device with a memory of what was read for one, so `#M` sends a piece only when the one before
//! it came back whole.
//!
//! Between two rounds of pieces one looks for notes: what has been moved is then all that is moved, and how much that
//! is is said. A note that comes while pieces are under way has them flushed; if any were moved before, up to the first
//! that was given up, they count too. Plan 9's devmnt looks between its messages likewise (`up->nnote` in mntrdwr), but
//! calls the whole transfer interrupted when the note comes while a message is under way, though some of the data have
//! gone: a count is what a program can go on from, and what the descriptor's offset is moved by.
//!
//! The reply to a read has room for more than the data: an error can be longer than the few bytes asked for, and
//! QEMU breaks a device whose reply does not fit.

use alloc::sync::Arc;
use alloc::vec::Vec;

use ::io::message::Request;
use abi::error;
use abi::layout::PAGE;
use machine::page::Pinned;
use ninep::head::{RIOSZ, Rio, Tio};
use ninep::translate::io;
use ninep::{Dialect, NOFID, Rmsg, kind};

use super::file::MntFile;
use super::session::Session;
use super::slot::PIECES;
use super::slots::SlotGuard;
use crate::error::{Error, Result};
use crate::mem::iobuf::{Dst, Src, UserBuf, cut, kernel_pages};

/// A piece under way.
struct Flight {
    number: usize,
    tag: u16,
    asked: u32,
}

/// The pages of a piece.
enum Data {
    /// Within one page that is mapped, as those of most small transfers are.
    One(Pinned),
    Many(Vec<Pinned>),
}

impl Data {
    /// Puts them into the list of a request. One takes the memory that the list has.
    fn put_into(self, list: &mut Vec<Pinned>) {
        match self {
            Data::One(pinned) => {
                list.clear();
                list.push(pinned);
            }
            Data::Many(pages) => *list = pages,
        }
    }
}

/// Which way the data go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Read,
    Write,
}

impl MntFile {
    /// Reads from the open file.
    ///
    /// # Errors
    /// The server's, `interrupted`, a bad address.
    pub(crate) fn read(&self, dst: &mut Dst<'_>, offset: u64, iounit: u32) -> Result<usize> {
        let len = dst.len();
        if let Dst::Kernel(_) = dst {
            let pages = kernel_pages(len.min(iounit as usize))?;
            let n = self
                .transfer(Way::Read, offset, iounit, pages_len(&pages), None, |at, n| cut(&pages, at, n))?;
            let mut at = 0;
            for page in &pages {
                let mut bytes = [0u8; PAGE as usize];
                let take = page.len().min(n - at);
                let bytes = bytes.get_mut(..take).unwrap_or(&mut []);
                page.read(0, bytes);
                dst.put(at, bytes)?;
                at += take;
            }
            return Ok(n);
        }
        let dst = &*dst;
        let user = if let Dst::User(user) = dst { Some(user) } else { None };
        self.transfer(Way::Read, offset, iounit, len, user, |at, n| {
            dst.pin(at, n)?.ok_or(Error::new(error::EBADARG))
        })
    }

    /// One read, for directories: what one message brings.
    pub(super) fn read_piece(&self, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        let most = dst.len();
        self.read(dst, offset, most as u32)
    }

    /// Writes to the open file.
    ///
    /// # Errors
    /// The server's, `interrupted`, a bad address.
    pub(crate) fn write(&self, src: &Src<'_>, offset: u64, iounit: u32) -> Result<usize> {
        let len = src.len();
        if let Src::Kernel(bytes) = src {
            let bytes = bytes.get(..len.min(iounit as usize)).unwrap_or(&[]);
            let pages = kernel_pages(bytes.len())?;
            let mut rest = bytes;
            for page in &pages {
                let (now, later) = rest.split_at(page.len());
                page.write(0, now);
                rest = later;
            }
            return self.transfer(Way::Write, offset, iounit, bytes.len(), None, |at, n| cut(&pages, at, n));
        }
        let user = if let Src::User(user) = src { Some(user) } else { None };
        self.transfer(Way::Write, offset, iounit, len, user, |at, n| {
            src.pin(at, n)?.ok_or(Error::new(error::EBADARG))
        })
    }

    /// Moves `len` bytes. `pin` gives the pages of a piece by its place and length; what is small and of a `user` is
    /// mostly in a page that is mapped.
    fn transfer(
        &self,
        way: Way,
        offset: u64,
        iounit: u32,
        len: usize,
        user: Option<&UserBuf<'_>>,
        pin: impl Fn(usize, usize) -> Result<Vec<Pinned>>,
    ) -> Result<usize> {
        let session = self.session();
        session.ready()?;
        let most = session.msize.saturating_sub(ninep::IOHDRSZ) as usize;
        let unit = match iounit as usize {
            0 => most,
            n => n.min(most),
        };
        if len <= unit && len <= PAGE as usize {
            let mapped = user.filter(|_| len != 0).and_then(|u| u.mem.space.pin(u.va, len, way == Way::Read));
            let data = match mapped {
                Some(pinned) => Data::One(pinned),
                None => Data::Many(pin(0, len)?),
            };
            return self.single(way, offset, len, data);
        }
        // The heads and the tail take up to four segments.
        let runs = session.transport.max_segments().saturating_sub(4).max(1);
        // Appended pieces would come in any order, and another kind of server may be anything.
        let abreast = if session.dialect == Dialect::P9 || self.is_append() { 1 } else { PIECES };
        let mut done = 0;
        loop {
            // Pinning may page in, from this server for one: before there is a slot in hand that somebody else
            // may be waiting for.
            let (mut pieces, mut planned, mut failed) = (Vec::with_capacity(abreast), done, None);
            while pieces.len() < abreast && failed.is_none() && (planned < len || len == 0) {
                let n = unit.min(len - planned);
                match pin(planned, n) {
                    Ok(mut data) => {
                        let n = keep_runs(&mut data, runs);
                        planned += n;
                        pieces.push((n, data));
                    }
                    Err(e) => failed = Some(e),
                }
                if len == 0 {
                    break;
                }
            }
            let at = offset.saturating_add(done as u64);
            let (moved, whole, failure) =
                if pieces.is_empty() { (0, true, None) } else { self.round(way, at, pieces)? };
            done += moved;
            let said = failure.as_ref().is_some_and(|e| !e.is_note());
            match failure.or(failed.filter(|_| whole)) {
                Some(e) if done == 0 => return Err(e),
                // What is short of a write is a failure, and the next one need not meet it again: programs look at what
                // is said of this one. A read that goes on from there does meet it.
                Some(e) if way == Way::Write && said => return Err(e),
                Some(_) => return Ok(done),
                None if !whole || done >= len => return Ok(done),
                None if machine::thread::is_interrupted() => return Ok(done),
                None => {}
            }
        }
    }

    /// One piece of at most a page.
    fn single(&self, way: Way, offset: u64, len: usize, data: Data) -> Result<usize> {
        let session = self.session();
        let mut guard = session.slots.take(true, || session.must_die())?;
        let flight = self.send(&mut guard, 0, way, offset, len, data)?;
        self.receive(&mut guard, flight, way).map(|(n, _)| n as usize)
    }

    /// Has some pieces in flight together. How many bytes were moved up to the first piece that was short or failed,
    /// whether all were moved, and the failure.
    fn round(
        &self,
        way: Way,
        offset: u64,
        pieces: Vec<(usize, Vec<Pinned>)>,
    ) -> Result<(usize, bool, Option<Error>)> {
        let session = self.session();
        let mut guard = session.slots.take(true, || session.must_die())?;
        let mut flights = Vec::with_capacity(pieces.len());
        let (mut at, mut moved, mut whole, mut failed) = (offset, 0, true, None);
        for (number, (len, data)) in pieces.into_iter().enumerate() {
            match self.send(&mut guard, number, way, at, len, Data::Many(data)) {
                Ok(flight) => flights.push(flight),
                Err(e) => {
                    failed = Some(e);
                    break;
                }
            }
            at = at.saturating_add(len as u64);
        }
        let sent = failed.take();
        for flight in flights {
            match self.receive(&mut guard, flight, way) {
                // Pieces behind a short one do not count, but they have to come back.
                Ok((n, asked)) if whole => {
                    moved += n as usize;
                    whole = n == asked;
                }
                Err(e) if whole => {
                    failed = Some(e);
                    whole = false;
                }
                _ => {}
            }
        }
        Ok((moved, whole && sent.is_none(), failed.or(sent.filter(|_| whole))))
    }

    fn send(
        &self,
        guard: &mut SlotGuard<'_>,
        number: usize,
        way: Way,
        offset: u64,
        len: usize,
        data: Data,
    ) -> Result<Flight> {
        guard.count();
        let piece = guard.slot()?.piece(number)?;
        let (tag, tail) = (piece.tag, piece.tail());
        let mut request = piece.request.take().ok_or(error::EHUNGUP)?;
        let asked = len as u32;
        let head = match way {
            Way::Read => {
                request.r_len = RIOSZ;
                data.put_into(&mut request.r_data);
                request.r_data.push(tail);
                request.t_data.clear();
                Tio::read(tag, self.fid.number, offset, asked)
            }
            Way::Write => {
                request.r_len = request.r.len();
                request.r_data.clear();
                data.put_into(&mut request.t_data);
                Tio::write(tag, self.fid.number, offset, asked)
            }
        };
        let head = head.to_bytes();
        request.t.write(0, &head);
        request.t_len = head.len();
        (piece.fids, piece.may_flush) = ([self.fid.number, NOFID], true);
        self.session().transport.submit(request);
        Ok(Flight { number, tag, asked })
    }

    /// Waits for a piece: how many bytes it moved, of how many.
    fn receive(&self, guard: &mut SlotGuard<'_>, flight: Flight, way: Way) -> Result<(u32, u32)> {
        let session = self.session();
        let request = session.wait(guard, flight.number, flight.tag, true)?;
        let result = moved(session, &request, flight.tag, flight.asked, way);
        guard.slot()?.piece(flight.number)?.put_back(request);
        result.map(|n| (n, flight.asked))
    }
}

fn moved(session: &Arc<Session>, request: &Request, tag: u16, asked: u32, way: Way) -> Result<u32> {
    let len = session.reply_len(request)?;
    if len == 0 {
        return Err(error::EINTR.into());
    }
    let mut head = [0u8; RIOSZ];
    request.reply_read(0, &mut head);
    match way {
        Way::Read => match Rio::parse(&head) {
            Ok(rio) if rio.kind == kind::RREAD && rio.tag == tag && rio.size() as usize == len => {
                io::read(asked, rio).map_err(|_| session.protocol_error())
            }
            _ => Err(session.transfer_error(kind::TREAD, tag, request)),
        },
        Way::Write => match Rmsg::decode(session.dialect, &head) {
            Ok((t, Rmsg::Write { count })) if t == tag && len == RIOSZ => {
                io::written(asked, count).map_err(|_| session.protocol_error())
            }
            _ => Err(session.transfer_error(kind::TWRITE, tag, request)),
        },
    }
}

/// Leaves so much of the pages as is in at most `most` stretches of memory; how many bytes that is.
fn keep_runs(pages: &mut Vec<Pinned>, most: usize) -> usize {
    let (mut runs, mut len, mut end) = (0, 0, None);
    for (n, page) in pages.iter().enumerate() {
        if end != Some(page.phys()) {
            runs += 1;
        }
        if runs > most {
            pages.truncate(n);
            break;
        }
        end = page.phys().checked_add(page.len() as u64);
        len += page.len();
    }
    len
}

fn pages_len(pages: &[Pinned]) -> usize {
    pages.iter().map(Pinned::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::page::Page;

    #[test]
    fn a_piece_has_so_many_stretches_of_memory_and_as_many_pages_as_are_in_them() {
        machine::host::new_machine();
        let page = Page::new_zeroed().unwrap();
        let all = || [(0, 10), (10, 5), (15, 1), (20, 4), (24, 6), (0, 3)];
        let pins =
            || all().map(|(at, len)| Pinned::new(page.clone(), at, len)).into_iter().collect::<Vec<_>>();
        for (most, pages, bytes) in [(1, 3, 16), (2, 5, 26), (3, 6, 29), (100, 6, 29), (0, 0, 0)] {
            let mut data = pins();
            assert_eq!((keep_runs(&mut data, most), data.len()), (bytes, pages), "{most}");
            assert_eq!(pages_len(&data), bytes);
        }
        assert_eq!(keep_runs(&mut Vec::new(), 1), 0);
        drop(page);
    }
}
