//! `#¤`: capabilities, by which a process becomes another user (section 3, `cap`).
//!
//! Who runs as the machine's owner writes the hash of a capability to `caphash`; a process that writes the capability
//! itself to `capuse` is the user that it names from then on, and the hash is gone. There are at most [`MOST`] hashes,
//! of which the oldest gives way, and none is good for longer than [`LIFE_NS`]. Their memory is the kernel's and
//! bounded.
//!
//! Locks: `hashes`, a leaf.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::{Qid, error};
use hmac::{Hmac, KeyInit, Mac};
use machine::clock;
use machine::heap;
use machine::ledger::as_kernel;
use machine::lock::Lock;
use sha1::Sha1;

use crate::dev::Dev;
use crate::dev::dirtab::{self, Entry};
use crate::error::Result;
use crate::kernel::is_user_name;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::{Chan, OwnChan};
use crate::proc::bill;
use crate::proc::process::Proc;

const HASH: u64 = 1;
const USE: u64 = 2;
/// Bytes of a hash.
const LEN: usize = 20;
/// Hashes at once.
const MOST: usize = 256;
/// How long one is kept.
const LIFE_NS: u64 = 60_000_000_000;
/// Longest capability, in bytes.
const LONGEST: usize = 1023;

/// A hash, and when it was written, `clock::now_ns`.
type Hash = ([u8; LEN], u64);

/// The device.
pub struct Cap {
    /// Oldest first.
    hashes: Lock<VecDeque<Hash>>,
    /// The owner has removed `caphash`: no more capabilities. Set under the lock of the hashes.
    sealed: AtomicBool,
}

impl Cap {
    /// The device, without any hashes.
    pub fn new() -> Arc<Self> {
        Arc::new(Cap { hashes: Lock::new(VecDeque::new()), sealed: AtomicBool::new(false) })
    }

    fn add(&self, hash: [u8; LEN]) -> Result<()> {
        let now = clock::now_ns();
        let mut hashes = self.hashes.lock();
        if self.sealed.load(Ordering::Relaxed) {
            return Err(error::EPERM.into());
        }
        forget_old(&mut hashes, now);
        if hashes.len() == MOST {
            hashes.pop_front();
        }
        // All of them have room from the first on, and nobody has to pay for what is everybody's.
        let room = MOST - hashes.len();
        as_kernel(|| heap::try_reserve_exact(&mut *hashes, room))?;
        hashes.push_back((hash, now));
        Ok(())
    }

    /// Whether this was there. It is not any more.
    fn take(&self, hash: &[u8; LEN]) -> bool {
        let mut hashes = self.hashes.lock();
        forget_old(&mut hashes, clock::now_ns());
        // All are looked at, whole, so that time tells nobody how much of one was right.
        let differs = |other: &[u8; LEN]| hash.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b));
        let found = hashes.iter().enumerate().fold(None, |found, (n, (other, _))| match differs(other) {
            0 => Some(n),
            _ => found,
        });
        found.and_then(|n| hashes.remove(n)).is_some()
    }

    /// `capuse`: the capability is `OLD@NEW@KEY`, or `NEW@KEY` for whoever writes it.
    fn apply(&self, up: &Arc<Proc>, capability: &[u8]) -> Result<()> {
        let text = core::str::from_utf8(capability).map_err(|_| error::EBADARG)?;
        let (users, key) = text.rsplit_once('@').ok_or(error::ESHORT)?;
        let (old, new) = match users.split_once('@') {
            Some((old, new)) => (Some(old), new),
            None => (None, users),
        };
        if old.is_some_and(|old| *old != *up.user()) {
            return Err("capability must match user".into());
        }
        if !is_user_name(new) {
            return Err(error::EBADARG.into());
        }
        if !self.take(&hash_of(key.as_bytes(), users.as_bytes())?) {
            return Err("invalid capability".into());
        }
        *up.user.lock() = new.into();
        bill::user_changed(up);
        Ok(())
    }
}

/// The hash of a capability: of its users, by its key. (On the bare machine the library takes no vector registers.)
fn hash_of(key: &[u8], users: &[u8]) -> Result<[u8; LEN]> {
    // A key may have any length.
    let mac = Hmac::<Sha1>::new_from_slice(key).map_err(|_| error::EBADARG)?;
    Ok(mac.chain_update(users).finalize().into_bytes().into())
}

fn forget_old(hashes: &mut VecDeque<Hash>, now: u64) {
    while hashes.front().is_some_and(|(_, at)| now.saturating_sub(*at) >= LIFE_NS) {
        hashes.pop_front();
    }
}

impl Dev for Cap {
    fn letter(&self) -> char {
        '¤'
    }

    fn name(&self) -> &'static str {
        "cap"
    }

    fn root_entry(&self) -> Entry {
        Entry::dir("", 0, 0o500)
    }

    fn list(&self, _up: &Arc<Proc>, _c: &Chan, _dir: Qid) -> Result<Vec<Entry>> {
        let mut list = alloc::vec![Entry::file("capuse", USE, 0o222)];
        if !self.sealed.load(Ordering::Relaxed) {
            list.push(Entry::file("caphash", HASH, 0o200));
        }
        Ok(list)
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        if c.qid.is_dir() { dirtab::read_dir(self, up, c, dst, offset) } else { Err(error::EPERM.into()) }
    }

    fn write(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>, _offset: u64) -> Result<usize> {
        let bytes = src.to_vec(LONGEST)?;
        match c.qid.path {
            // Who has it open may be somebody else by now.
            HASH if !up.is_hostowner() => Err(error::EPERM.into()),
            HASH => {
                let hash = bytes.first_chunk().ok_or(error::ESHORT)?;
                self.add(*hash).map(|()| bytes.len())
            }
            USE => self.apply(up, bytes.strip_suffix(b"\0").unwrap_or(&bytes)).map(|()| bytes.len()),
            _ => Err(error::EPERM.into()),
        }
    }

    /// The owner removes `caphash` when the machine needs no capabilities any more.
    fn remove(&self, up: &Arc<Proc>, c: OwnChan) -> Result<()> {
        if c.qid.path != HASH || !up.is_hostowner() {
            return Err(error::EPERM.into());
        }
        let mut hashes = self.hashes.lock();
        self.sealed.store(true, Ordering::Relaxed);
        let old = core::mem::take(&mut *hashes);
        drop(hashes);
        drop(old);
        Ok(())
    }
}
