//! Reading a file of a mount that has contents kept: what is [kept](crate::mem::contents) is copied, and what is not is
//! brought with what follows it.
//!
//! Ownership: an open file holds its [`Kept`], and that what is kept. No locks of its own; the server is asked without
//! any.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::layout::PAGE;
use abi::{Dir, Qid};
use machine::heap;
use machine::page::{Page, Pinned};

use super::file::MntFile;
use super::trail::Trail;
use crate::dev::Teller;
use crate::error::Result;
use crate::mem::contents::{Content, File, Version};
use crate::mem::iobuf::Dst;
use crate::mem::names::{Answer, Names};
use crate::mem::new_image_page;
use crate::name::chan::Chan;
use crate::proc::process::Proc;

/// Pages that are brought for who reads on, together with those that are wanted: 128 KiB. What a read wants is brought
/// in as many pages at a time, too.
const AHEAD: u64 = 32;
/// Reads of fewer bytes are not worth pinning the reader's pages for.
const SHORT: usize = 1024;

/// What an open file has of all this.
pub(super) enum Kept {
    /// A file's contents.
    Content(Reader),
    /// The version of a directory, whose [list](super::kept_list) may be kept.
    List(Version),
}

/// What who reads a file has.
pub(super) struct Reader {
    content: Arc<Content>,
    /// Where the last read ended.
    next: AtomicU64,
}

impl Kept {
    /// For a file that has just been opened to be read, and is like `dir`.
    fn open(up: &Arc<Proc>, file: File, dir: &Dir) -> Option<Kept> {
        if dir.qid.is_dir() {
            return Version::of(dir).map(Kept::List);
        }
        let content = up.kernel.contents.open(file, dir)?;
        Some(Kept::Content(Reader { content, next: AtomicU64::new(0) }))
    }
}

impl Reader {
    /// Reads as much as is here or can be brought. `None` where the server has to be asked for just what is wanted.
    ///
    /// # Errors
    /// The server's, `interrupted`, a bad address.
    pub(super) fn read(
        &self,
        up: &Arc<Proc>,
        file: &MntFile,
        dst: &mut Dst<'_>,
        offset: u64,
        iounit: u32,
    ) -> Result<Option<usize>> {
        let mut done = 0;
        loop {
            let at = offset.saturating_add(done as u64);
            let rest = (dst.len() - done)
                .min(usize::try_from(self.content.length().saturating_sub(at)).unwrap_or(usize::MAX));
            // Some pages of the reader's are pinned at a time, and what is kept is copied once.
            let window = rest.min((AHEAD * PAGE) as usize);
            let read = if window == 0 {
                Ok(0)
            } else if window < SHORT || !matches!(dst, Dst::User(_)) {
                self.read_some(up, file, dst, (at, done, window), iounit)
            } else {
                dst.pin(done, window).and_then(|pages| {
                    let pages = pages.unwrap_or_default();
                    self.read_some(up, file, &mut Dst::Pages(&pages), (at, 0, window), iounit)
                })
            };
            match read {
                Ok(n) => {
                    done += n;
                    if n == 0 || n < window || done == dst.len() || machine::thread::is_interrupted() {
                        return Ok((done > 0).then_some(done));
                    }
                }
                Err(_) if done > 0 => return Ok(Some(done)),
                Err(e) => return Err(e),
            }
        }
    }

    /// Reads the `window` bytes of the file from `at` on to offset `to` of `dst`: what is here or can be brought.
    fn read_some(
        &self,
        up: &Arc<Proc>,
        file: &MntFile,
        dst: &mut Dst<'_>,
        (at, to, window): (u64, usize, usize),
        iounit: u32,
    ) -> Result<usize> {
        let reads_on = self.next.load(Ordering::Relaxed) == at;
        let mut done = 0;
        while done < window {
            let (here, left) = (at + done as u64, window - done);
            let wanted = (here % PAGE + left as u64).div_ceil(PAGE) as usize;
            let Some(pages) = self.content.pages(here / PAGE, wanted) else { break };
            if let [None, ..] = pages {
                match self.bring(up, file, dst, (here, to + done, left), reads_on, iounit) {
                    Ok(0) => break,
                    Ok(n) => done += n,
                    Err(_) if done > 0 => break,
                    Err(e) => return Err(e),
                }
            }
            for page in pages.into_iter().flatten() {
                let skip = ((at + done as u64) % PAGE) as usize;
                let n = (PAGE as usize - skip).min(window - done);
                dst.put_page(to + done, &page, skip, n)?;
                done += n;
            }
        }
        self.next.store(at.saturating_add(done as u64), Ordering::Relaxed);
        Ok(done)
    }

    /// Reads some pages from the server, from the byte `at` on, to keep them, and puts `left` bytes of them, or as many
    /// as there are, at offset `to` of `dst`. How many; 0 when it cannot be so.
    fn bring(
        &self,
        up: &Arc<Proc>,
        file: &MntFile,
        dst: &mut Dst<'_>,
        (at, to, left): (u64, usize, usize),
        reads_on: bool,
        iounit: u32,
    ) -> Result<usize> {
        let (content, length) = (&self.content, self.content.length());
        let number = at / PAGE;
        let wanted = length.min(at.saturating_add(left as u64)).div_ceil(PAGE) - number;
        let end = length.div_ceil(PAGE) - number;
        let most = if reads_on { AHEAD } else { wanted.min(AHEAD) };
        let count = content.missing(number, most.min(end));
        if count == 0 || !up.kernel.contents.make_room(count, content) {
            return Ok(0);
        }
        let pages: Vec<Page> = (0..count).map_while(|_| new_image_page(up).ok()).collect();
        let start = number * PAGE;
        let size = |n: usize| (length - start - n as u64 * PAGE).min(PAGE) as usize;
        let pinned: Vec<Pinned> =
            pages.iter().enumerate().map(|(n, page)| Pinned::new(page.clone(), 0, size(n))).collect();
        if pinned.is_empty() {
            return Ok(0);
        }
        let got = file.read(&mut Dst::Pages(&pinned), start, iounit)?;
        drop(pinned);
        let (mut skip, mut put) = ((at - start) as usize, 0);
        for (n, page) in pages.into_iter().enumerate() {
            let have = got.saturating_sub(n * PAGE as usize).min(PAGE as usize);
            let take = have.saturating_sub(skip).min(left - put);
            if take > 0 {
                dst.put_page(to + put, &page, skip, take)?;
            }
            put += take;
            skip = skip.saturating_sub(PAGE as usize);
            // The rest of a file that has become shorter is not what it was.
            if have == size(n) {
                content.put(&up.kernel.contents, number + n as u64, page);
            }
        }
        Ok(put)
    }
}

impl MntFile {
    /// The file has been opened: what is kept of its contents is asked for if they are only read and the mount says so.
    pub(super) fn keep(&self, up: &Arc<Proc>, qid: Qid, mode: u32) {
        // Programs that run are kept as images.
        let reads = mode & 3 == abi::OREAD;
        if self.keeps() {
            // Nothing that is told of it from now on is older.
            up.kernel.contents.names.changed(self.kept_as(qid));
        }
        let plain = qid.kind & !abi::QTTMP == 0;
        let is_list = qid.is_dir() && self.session().looks_by_fid();
        if !reads || !(plain || is_list) || !self.keeps() {
            return;
        }
        // One that cannot be looked at is not kept.
        if let Ok(found) = self.stat()
            && let Some(kept) = Kept::open(up, self.kept_as(qid), &found.dir)
        {
            self.kept.call_once(|| kept);
        }
    }

    /// The file with this qid, which this one is or was, is changed from here.
    pub(super) fn changes(&self, up: &Arc<Proc>, qid: Qid) {
        up.kernel.contents.changed(self.kept_as(qid));
    }

    /// Is it of a mount that has things kept?
    pub(super) fn keeps(&self) -> bool {
        self.root.fid.keeps.load(Ordering::Relaxed)
    }

    /// Keeps what was told of a name in the directory with this number; what the file is like, if that was told.
    pub(super) fn keep_name(
        &self,
        names: &Names,
        (dir, name): (u64, &str),
        qid: Qid,
        told: Option<&Dir>,
        asked: u64,
    ) {
        let mut shown = [qid];
        self.show(&mut shown);
        let session = Arc::as_ptr(self.session()).addr();
        names.put(&Answer { dir: (session, dir), name, qid, file: shown[0].path, told, asked });
    }

    /// What some names lead to from here, and what is at their end, as was told lately.
    pub(super) fn known(&self, all: &Names, names: &[&str]) -> Option<(Vec<Qid>, Dir)> {
        let session = Arc::as_ptr(self.session()).addr();
        let (last, before) = names.split_last()?;
        let (mut at, mut qids) = (Trail::file(&self.fid), Vec::new());
        for name in before {
            let qid = all.find((session, at), name).filter(|qid| qid.is_dir())?;
            heap::try_push(&mut qids, qid).ok()?;
            at = qid.path;
        }
        let told = all.told((session, at), last)?;
        heap::try_push(&mut qids, told.qid).ok()?;
        Some((qids, told))
    }

    /// Tells what is at the end of some names, if that was told lately, as [`glance`](crate::Dev::glance) does.
    pub(super) fn glance(
        &self,
        all: &Names,
        c: &Chan,
        names: &[&str],
        pass: &mut dyn FnMut(Qid) -> bool,
        tell: Teller<'_>,
    ) -> bool {
        if !self.keeps() || !self.session().looks_by_fid() || self.via.is_some() || Trail::is_gone(&self.fid)
        {
            return false;
        }
        let session = self.session();
        let from = (Arc::as_ptr(session).addr(), Trail::file(&self.fid));
        all.glance(from, names, pass, |mut dir| {
            session.attributes.show(&mut dir);
            tell(&shown(dir, c.devno)).is_ok()
        })
    }

    fn kept_as(&self, qid: Qid) -> File {
        (Arc::as_ptr(self.session()).addr(), qid.path)
    }
}

/// As files of the mount with this number are shown: programs take other types for devices.
pub(super) fn shown<S>(dir: Dir<S>, dev: u32) -> Dir<S> {
    Dir { kind: u16::from(b'M'), dev, ..dir }
}
