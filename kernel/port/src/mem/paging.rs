//! Paging: how what is in a program's file comes into its [image](super::image).
//!
//! A page that is in memory for good, in the kernel's image, is the image's as it is ([`Dev::page`]). Any other is read
//! by whoever needs it first; others who need it wait for that one, each until it is to die itself. When the reader
//! fails or is killed the next of them reads; and after [`PATIENCE_NS`] each for itself, since the reader may be
//! somebody else's program, which is told a note each time before it is done. Its neighbours are read with it. Where
//! each read is a message to a server, few are made: more neighbours come together, and a small program is
//! [brought](ImageRef::bring) whole when it is started.
//!
//! [`Dev::page`]: crate::dev::Dev::page
//!
//! Ownership: pages are the image's as soon as they are read. Locks: `Image::state`, a leaf; files are read without.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use abi::layout::PAGE;
use machine::clock;
use machine::ledger::as_kernel;
use machine::page::{Page, Pinned};
use machine::sync::Wake;

use super::image::{GROUP, Image, ImageRef, Key, Stretch, group};
use super::iobuf::{Dst, cut};
use super::newpage::new_image_page;
use crate::error::Result;
use crate::name::chan::Chan;
use crate::proc::process::Proc;

/// How long one waits for another who reads, in ns.
const PATIENCE_NS: u64 = 1_000_000_000;

/// Pages that come together where each read is a message, and bytes of a program that comes whole: 128 KiB.
const TOGETHER: u64 = 32;
const WHOLE: u64 = TOGETHER * PAGE;

/// A part of the file that is being read. Its drop wakes those who wait for that.
struct Reading<'a> {
    image: &'a Image,
    part: Range<u64>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut state = self.image.state.lock();
        if let Some(at) = state.coming.iter().position(|part| *part == self.part) {
            state.coming.swap_remove(at);
        }
        drop(state);
        self.image.read.wakeup();
    }
}

/// Who brings a page in.
enum Whose<'a> {
    /// Nobody: it is there.
    Done(Page),
    /// Another does.
    Others,
    /// The caller, these pages together, from this file.
    Mine(Range<u64>, Arc<Chan>, Reading<'a>),
}

impl ImageRef {
    /// Page `number` of a stretch of the file. When it has to be read, its neighbours are read with it, as far as they
    /// are not there. Sleeps while the file is read, by the caller or by another.
    ///
    /// # Errors
    /// What the file's server says, a file that ends early, or no memory; `interrupted` when the process is to die.
    pub(crate) fn page(&self, up: &Arc<Proc>, from: Stretch, number: u64) -> Result<Page> {
        let key = from.key(number).ok_or(abi::error::EIOLOAD)?;
        let mut alone = false;
        loop {
            match self.whose(from, number, key, alone)? {
                Whose::Done(page) => return Ok(page),
                Whose::Mine(wanted, chan, reading) => {
                    let (there, missing) = self.find_standing(from, wanted, number, &chan);
                    let page = match there {
                        None => self.read(up, from, missing, number, &chan)?,
                        page => page,
                    };
                    drop(reading);
                    return page.ok_or(abi::error::EIOLOAD.into());
                }
                Whose::Others => {
                    let (image, until) = (&self.image, clock::now_ns().saturating_add(PATIENCE_NS));
                    let over = || !image.state.lock().is_coming(key);
                    alone = up.despite_notes(|| match image.read.sleep_until(until, over) {
                        Ok(()) => Ok(false),
                        Err(Wake::TimedOut) => Ok(true),
                        Err(Wake::Interrupted) => Err(abi::error::EINTR.into()),
                    })?;
                }
            }
        }
    }

    /// Who is to read page `number`: not another if it has to be `alone`.
    fn whose(&self, from: Stretch, number: u64, key: Key, alone: bool) -> Result<Whose<'_>> {
        let mut state = self.image.state.lock();
        if let Some(page) = state.pages.get(&key) {
            return Ok(Whose::Done(page.clone()));
        }
        if !alone && state.is_coming(key) {
            return Ok(Whose::Others);
        }
        let chan = state.chan.clone().ok_or(abi::error::EIOLOAD)?;
        let group = group(number, if chan.dev.asks() { TOGETHER } else { GROUP });
        let missing = |n: &u64| {
            from.key(*n).is_some_and(|key| !state.pages.contains_key(&key) && !state.is_coming(key))
        };
        let before = (group.start..number).rev().take_while(missing).count() as u64;
        let behind = (number + 1..group.end).take_while(missing).count() as u64;
        let wanted = number - before..number + 1 + behind;
        let start = from.key(wanted.start).map_or(key.0, |first| first.0);
        let part = start..start + (before + 1 + behind) * PAGE;
        as_kernel(|| state.coming.push(part.clone()));
        Ok(Whose::Mine(wanted, chan, Reading { image: &self.image, part }))
    }

    /// Makes those of these pages the image's that are in memory for good. Gives page `number` if it is among them, and
    /// else what is better read together with it.
    fn find_standing(
        &self,
        from: Stretch,
        wanted: Range<u64>,
        number: u64,
        chan: &Arc<Chan>,
    ) -> (Option<Page>, Range<u64>) {
        let (mut found, mut any) = (None, false);
        for n in wanted.clone() {
            let Some(key) = from.key(n).filter(|key| u64::from(key.1) == PAGE) else { continue };
            let Some(page) = chan.dev.page(chan, key.0) else { continue };
            any = true;
            let page = as_kernel(|| self.image.state.lock().pages.entry(key).or_insert(page).clone());
            if n == number {
                found = Some(page);
            }
        }
        (found, if any { number..number + 1 } else { wanted })
    }

    /// Reads these pages of a stretch, or as many as there is memory for, `number` among them: gives that one, unless
    /// the file has ended before it. What is read together costs less, above all if it has to be made whole first.
    fn read(
        &self,
        up: &Arc<Proc>,
        from: Stretch,
        mut wanted: Range<u64>,
        number: u64,
        chan: &Arc<Chan>,
    ) -> Result<Option<Page>> {
        let key = from.key(number).ok_or(abi::error::EIOLOAD)?;
        loop {
            let keys: Vec<Key> = wanted.clone().filter_map(|n| from.key(n)).collect();
            match new_image_pages(up, keys.len()) {
                Ok(pages) => return self.fill(up, &keys, pages, chan, true, key),
                Err(e) if keys.len() <= 1 => return Err(e),
                Err(_) => wanted = half(wanted, number),
            }
        }
    }

    /// Reads a program that is small and of which nothing is here, as it is about to be started: whole, with one
    /// message. When that fails its pages are read one by one, as they are wanted.
    ///
    /// # Errors
    /// `interrupted` by a note.
    pub(crate) fn bring(&self, up: &Arc<Proc>) -> Result<()> {
        let chan = {
            let state = self.image.state.lock();
            let is_here = !state.pages.is_empty() || !state.coming.is_empty();
            state.chan.clone().filter(|chan| chan.dev.asks() && !is_here)
        };
        let Some(chan) = chan else { return Ok(()) };
        let runs = &self.image.layout.runs;
        let len = runs.iter().fold(0, |len: u64, run| len.saturating_add(run.len));
        if len > WHOLE {
            return Ok(());
        }
        let stretches = runs.iter().map(|run| Stretch { offset: run.offset, len: run.len });
        let keys: Vec<Key> = stretches.flat_map(|from| (0..).map_while(move |n| from.key(n))).collect();
        let end = |key: &Key| key.0.saturating_add(u64::from(key.1));
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok(()) };
        // What is between them would be read for nothing.
        if keys.windows(2).any(|two| matches!(two, [a, b] if end(a) != b.0)) {
            return Ok(());
        }
        let part = first.0..end(last);
        as_kernel(|| self.image.state.lock().coming.push(part.clone()));
        let reading = Reading { image: &self.image, part };
        let pages = new_image_pages(up, keys.len());
        let brought = pages.and_then(|pages| self.fill(up, &keys, pages, &chan, false, *first));
        drop(reading);
        match brought {
            Err(e) if e.is_note() => Err(e),
            _ => Ok(()),
        }
    }

    /// Reads what follows one another in the file into these pages, and keeps them; `to_end`, whatever notes come.
    /// Gives the page `wanted` of them, if the file has it: who wants memory may have taken it from the image before
    /// anybody looks there.
    fn fill(
        &self,
        up: &Arc<Proc>,
        keys: &[Key],
        pages: Vec<Page>,
        chan: &Arc<Chan>,
        to_end: bool,
        wanted: Key,
    ) -> Result<Option<Page>> {
        let first = keys.first().map_or(0, |k| k.0);
        let pinned: Vec<Pinned> =
            pages.iter().zip(keys).map(|(page, key)| Pinned::new(page.clone(), 0, key.1 as usize)).collect();
        let len = pinned.iter().map(Pinned::len).sum();
        let mut got = 0;
        while got < len {
            let rest = cut(&pinned, got, len - got)?;
            let read = || chan.dev.read(up, chan, &mut Dst::Pages(&rest), first + got as u64);
            // A note must not look like a broken disk.
            match if to_end { up.despite_notes(read) } else { read() }? {
                0 => break,
                n => got += n,
            }
        }
        drop(pinned);
        let mut found = None;
        let mut state = self.image.state.lock();
        for (key, page) in keys.iter().zip(pages) {
            if key.0 + u64::from(key.1) <= first + got as u64 {
                let page = as_kernel(|| state.pages.entry(*key).or_insert(page));
                if *key == wanted {
                    found = Some(page.clone());
                }
            }
        }
        Ok(found)
    }
}

/// Half of these pages, with page `number` among them.
fn half(pages: Range<u64>, number: u64) -> Range<u64> {
    let middle = pages.start + (pages.end - pages.start).div_ceil(2);
    if number < middle { pages.start..middle } else { middle..pages.end }
}

/// Some pages to be read into.
fn new_image_pages(up: &Arc<Proc>, count: usize) -> Result<Vec<Page>> {
    (0..count).map(|_| new_image_page(up)).collect()
}
