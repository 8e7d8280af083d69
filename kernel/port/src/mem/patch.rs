//! Writing into a program's text, as debuggers do for breakpoints.
//!
//! Text is shared by everybody who runs the program, and by the cache of images. So the process gets a segment of its
//! own first, in which each page is the image's until it is written to, and only this process sees what is written.
//!
//! Lock order: as [`super`] says; the list of segments and a segment's `inner` are taken one after the other.

use alloc::sync::Arc;

use abi::layout::PAGE;
use machine::page::Pinned;

use super::memory::Memory;
use super::segment::{Kind, Segment};
use crate::error::Result;
use crate::proc::process::Proc;

impl Memory {
    /// Is there text at `va`, which no program may write?
    pub(crate) fn is_text(&self, va: u64) -> bool {
        self.find_whole(va).is_ok_and(|s| matches!(s.kind, Kind::Text | Kind::Patched))
    }

    /// Copies `bytes` to `va`, which is [text](Memory::is_text); at most to its end, which may be that of another
    /// segment of text behind it. Says how many; what was copied before something failed counts.
    ///
    /// # Errors
    /// `bad arg in system call` where there is no text; no memory; what the program's file says.
    pub(crate) fn patch(&self, va: u64, bytes: &[u8]) -> Result<usize> {
        let up = self.owner()?;
        let mut done = 0;
        while done < bytes.len() {
            let at = va.saturating_add(done as u64);
            if done != 0 && !self.is_text(at) {
                break;
            }
            match self.patch_one(&up, at, bytes.get(done..).unwrap_or_default()) {
                Ok(n) => done += n,
                Err(_) if done != 0 => break,
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    /// The same in one segment of text.
    fn patch_one(&self, up: &Arc<Proc>, va: u64, bytes: &[u8]) -> Result<usize> {
        let text = self.own_text(up, va)?;
        let len = bytes.len().min(usize::try_from(text.top().saturating_sub(va)).unwrap_or(usize::MAX));
        let mut at = va;
        let mut rest = bytes.get(..len).unwrap_or_default();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min((PAGE - at % PAGE) as usize));
            text.patch(up, at, now)?;
            at += now.len() as u64;
            rest = later;
        }
        Ok(len)
    }

    /// The text at `va`, made the process's own.
    fn own_text(&self, up: &Arc<Proc>, va: u64) -> Result<Arc<Segment>> {
        let shared = self.find_whole(va)?;
        if shared.kind != Kind::Text {
            return Ok(shared);
        }
        let own = shared.fork_as(up, Kind::Patched)?;
        *own.profile.lock() = shared.profile();
        own.attach(&self.space)?;
        // What the program maps between this and the end of the other's pages is found again by a fault.
        let replaced = self.exchange(&shared, own.clone());
        let gone = if replaced { &shared } else { &own };
        gone.detach(&self.space);
        if replaced { Ok(own) } else { Err(abi::error::EBADARG.into()) }
    }
}

impl Segment {
    /// Copies `bytes` into the page that holds all of them, whoever may write there.
    fn patch(&self, up: &Arc<Proc>, va: u64, bytes: &[u8]) -> Result<()> {
        let offset = (va % PAGE) as usize;
        let page = self.own_page(up, va - va % PAGE)?.ok_or(abi::error::EBADARG)?;
        Pinned::new(page, offset, bytes.len()).write(0, bytes);
        Ok(())
    }
}
