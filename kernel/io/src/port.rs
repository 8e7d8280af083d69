//! Ports: byte pipes to the host, each with connections that come and go.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use machine::sync::{Interrupted, QLock};

/// Most bytes that [`Port::write`] sends at once.
pub const PIECE: usize = 32 * 1024;

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
    /// Calls `watcher`, in any context, whenever the port or its host may have come or gone.
    fn watch(&self, watcher: Box<dyn Fn() + Send + Sync>);
    /// One more user; gives the connection that he belongs to.
    fn open(&self) -> u64;
    /// Waits for bytes and gives up to `max`, not 0, of them. None are given when the connection is over.
    ///
    /// # Errors
    /// When the caller is interrupted before something has come.
    fn read(&self, connection: u64, max: usize) -> Result<Vec<u8>, Interrupted>;
    /// Sends up to [`PIECE`] bytes, and waits until they are handed over. False: the connection is over.
    ///
    /// # Errors
    /// When the caller is interrupted before anything is sent.
    fn write(&self, connection: u64, bytes: &[u8]) -> Result<bool, Interrupted>;
    /// Held over a write of several pieces, so that writes do not mix.
    fn writing(&self) -> &QLock<()>;
}
