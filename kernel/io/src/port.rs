//! Ports: byte pipes to the host, each with connections that come and go.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;

use machine::dma::Dma;
use machine::page::Pinned;
use machine::sync::{Interrupted, QLock};

/// Most bytes that go to the host in one piece, between which notes are seen.
pub const PIECE: usize = 32 * 1024;

/// Bytes that are there, to be sent: copying them waits for nobody.
#[derive(Clone, Copy)]
pub enum Bytes<'a> {
    /// The kernel's own.
    Kernel(&'a [u8]),
    /// Pages that are pinned, one after the other.
    Pages(&'a [Pinned]),
}

/// Room for bytes: copying them there waits for nobody.
pub enum Room<'a> {
    /// The kernel's own.
    Kernel(&'a mut [u8]),
    /// Pages that are pinned, one after the other.
    Pages(&'a [Pinned]),
}

impl Bytes<'_> {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Bytes::Kernel(bytes) => bytes.len(),
            Bytes::Pages(pages) => pages.iter().map(Pinned::len).sum(),
        }
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies `len` of them from `at` on into `dma`, from `to` on, as far as there are so many.
    pub fn copy_to(&self, at: usize, dma: &Dma, to: usize, len: usize) {
        match self {
            Bytes::Kernel(bytes) => {
                let rest = bytes.get(at..).unwrap_or(&[]);
                dma.write(to, rest.get(..len).unwrap_or(rest));
            }
            Bytes::Pages(pages) => {
                let put = |done, page: &Pinned, from, n| dma.write_page(to + done, page.page(), from, n);
                along(pages, at, len, put);
            }
        }
    }
}

impl Room<'_> {
    /// Bytes that there is room for.
    pub fn len(&self) -> usize {
        match self {
            Room::Kernel(bytes) => bytes.len(),
            Room::Pages(pages) => pages.iter().map(Pinned::len).sum(),
        }
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies `len` bytes of `dma`, from `from` on, to `at`, as far as there is room.
    pub fn copy_from(&mut self, at: usize, dma: &Dma, from: usize, len: usize) {
        match self {
            Room::Kernel(bytes) => {
                let rest = bytes.get_mut(at..).unwrap_or(&mut []);
                let n = rest.len().min(len);
                dma.read(from, rest.get_mut(..n).unwrap_or(&mut []));
            }
            Room::Pages(pages) => {
                along(pages, at, len, |done, page, to, n| dma.read_page(from + done, page.page(), to, n))
            }
        }
    }
}

/// Goes along `len` bytes of pages from `at` on: how many were gone along before, a page, where in it, and how many.
fn along(pages: &[Pinned], at: usize, len: usize, mut go: impl FnMut(usize, &Pinned, usize, usize)) {
    let (mut skip, mut done) = (at, 0);
    for page in pages {
        if done == len {
            return;
        }
        if skip >= page.len() {
            skip -= page.len();
            continue;
        }
        let n = (len - done).min(page.len() - skip);
        go(done, page, page.offset() + skip, n);
        (skip, done) = (0, done + n);
    }
}

/// Hands over the ports that are there now, ascending by id, until it is told that no more are wanted. There may be
/// hundreds, of which no list is made.
pub type Finder = Arc<dyn Fn(&mut dyn FnMut(&Arc<dyn Port>) -> bool) + Send + Sync>;

/// The first port that `is` what is wanted.
pub fn find(ports: &Finder, mut is: impl FnMut(&dyn Port) -> bool) -> Option<Arc<dyn Port>> {
    let mut found = None;
    ports(&mut |port| {
        found = is(&**port).then(|| port.clone());
        found.is_none()
    });
    found
}

/// A port.
pub trait Port: Send + Sync {
    /// What tells it from all other ports: fits 32 bits, and stays.
    fn id(&self) -> u32;
    /// Its name, as `virtio-console-2.1`.
    fn name(&self) -> String;
    /// Where it sits, as `pci-0.4.0.1` (port 1 of the device there): fit to be a file's name.
    fn place(&self) -> String;
    /// The name that the host gave it.
    fn label(&self) -> Option<String>;
    /// Whether it was made for a person, to be the machine's console.
    fn is_console(&self) -> bool;
    /// Whether it is there.
    fn present(&self) -> bool;
    /// Whether the host is there.
    fn connected(&self) -> bool;
    /// The connection that there is, or that the next host begins: what an open gives, without one.
    fn connection(&self) -> u64;
    /// Calls `watcher`, in any context, whenever the port or its host may have come or gone.
    fn watch(&self, watcher: Box<dyn Fn() + Send + Sync>);
    /// One more user; gives the connection that he belongs to.
    fn open(&self) -> u64;
    /// Waits for bytes: how many there are, at most as many as one may take at once. 0: the connection is over.
    ///
    /// # Errors
    /// When the caller is interrupted before something has come.
    fn wait(&self, connection: u64) -> Result<usize, Interrupted>;
    /// Takes what is there, as much as there is room for: how much, which is 0 when another one was faster.
    fn take(&self, connection: u64, room: &mut Room<'_>) -> usize;
    /// Sends all of `bytes`, in pieces of up to [`PIECE`], and waits while as many are under way as may be. Gives how
    /// many were sent: fewer than all when a note came. `None`: the connection is over, and what was not handed over is
    /// lost, as it is when the host leaves later.
    ///
    /// # Errors
    /// When the caller is interrupted before anything is sent.
    fn send(&self, connection: u64, bytes: Bytes<'_>) -> Result<Option<usize>, Interrupted>;
    /// Waits until all that was sent on this connection is handed over, until `deadline_ns` at most. Whether it is;
    /// false, too, when the connection is over.
    ///
    /// # Errors
    /// When the caller is interrupted before.
    fn handed_over(&self, connection: u64, deadline_ns: u64) -> Result<bool, Interrupted>;
    /// Held over a write of several pieces, so that writes do not mix.
    fn writing(&self) -> &QLock<()>;

    /// Waits for bytes and fills the front of `buf`; how many were there. None when the connection is over.
    ///
    /// # Errors
    /// When the caller is interrupted before something has come.
    fn read(&self, connection: u64, buf: &mut [u8]) -> Result<usize, Interrupted> {
        loop {
            if self.wait(connection)? == 0 || buf.is_empty() {
                return Ok(0);
            }
            match self.take(connection, &mut Room::Kernel(buf)) {
                0 => {}
                n => return Ok(n),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use machine::page::Page;

    #[test]
    fn bytes_go_along_pages_from_any_place_to_any_place() {
        let pinned = |off, len| Pinned::new(Page::new_zeroed().unwrap(), off, len);
        let pages = [pinned(4090, 6), pinned(0, 0), pinned(0, 4096), pinned(0, 30)];
        let all: Vec<u8> = (0..4132usize).map(|n| (n % 251) as u8 + 1).collect();
        for (at, len) in [(0, 4132), (0, 6), (3, 2), (5, 4099), (6, 1), (4102, 30), (4100, 3), (4132, 0)] {
            let dma = Dma::new(8192).unwrap();
            dma.write(7, &all);
            let mut room = Room::Pages(&pages);
            assert_eq!(room.len(), all.len());
            room.copy_from(at, &dma, 7 + at, len);
            let back = Dma::new(8192).unwrap();
            Bytes::Pages(&pages).copy_to(at, &back, 0, len);
            let mut bytes = vec![0; len + 1];
            back.read(0, &mut bytes);
            assert_eq!(bytes, [&all[at..at + len], &[0]].concat(), "{len} at {at}");
            // No more than there is, in either way.
            let mut few = vec![0; 10];
            Room::Kernel(&mut few).copy_from(4, &dma, 7, 100);
            assert_eq!(few, [&[0; 4], &all[..6]].concat());
            Bytes::Kernel(&few).copy_to(8, &back, 0, 100);
            back.read(0, &mut bytes[..1]);
            assert_eq!(bytes[0], all[4]);
        }
    }
}
