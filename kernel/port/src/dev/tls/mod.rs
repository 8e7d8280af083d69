//! `#a`: the records of TLS, after Plan 9's tls(3).
//!
//! Opening `clone` begins a [conversation], a numbered directory, and gives its `ctl`, by which it is given a channel
//! and keys. What is written to `data` goes through the channel in records, and what comes is read there; `hand` is the
//! same for the messages by which programs agree on keys, of which the kernel knows nothing. It ends when none of its
//! files is open any more.
//!
//! Lock: `taken` guards which conversations there are, and is a leaf; what leaves it is dropped later.

mod alert;
mod control;
mod conversation;
mod records;
mod seal;
mod silence;
mod state;
mod suite;

use alloc::string::ToString;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::{Dir, Qid, error};
use machine::heap;
use machine::ledger::as_kernel;
use machine::lock::Lock;

use self::conversation::{Conversation, Shared};
use crate::dev::Dev;
use crate::dev::dirtab::{self, Entry, Put, Text};
use crate::error::Result;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::{Chan, OwnChan};
use crate::proc::process::Proc;

/// Conversations at most, and how many of them are left to the machine's owner.
const MOST: usize = 1024;
const OWNERS: usize = 256;

/// What a qid path has in its low bits; above is a conversation's number and 1.
const KIND: u32 = 4;
const TLS: u64 = 1;
const CLONE: u64 = 2;
const ENCALGS: u64 = 3;
const HASHALGS: u64 = 4;
/// The directory of a conversation.
const DIR: u64 = 5;
const CTL: u64 = 6;
const DATA: u64 = 7;
const HAND: u64 = 8;
const STATS: u64 = 9;
const STATUS: u64 = 10;

/// The files beside conversations.
const BESIDE: [(&str, u64, u32); 3] =
    [("clone", CLONE, 0o666), ("encalgs", ENCALGS, 0o444), ("hashalgs", HASHALGS, 0o444)];
/// The files of a conversation, and which bits of its permissions they have.
const INSIDE: [(&str, u64, u32); 5] = [
    ("ctl", CTL, 0o777),
    ("data", DATA, 0o777),
    ("hand", HAND, 0o777),
    ("stats", STATS, 0o444),
    ("status", STATUS, 0o444),
];

/// The device.
#[derive(Default)]
pub struct Tls {
    taken: Lock<Vec<Weak<Conversation>>>,
    shared: Arc<Shared>,
}

/// What an open file has.
struct Open {
    /// Of which it is one of the users.
    of: Option<Arc<Conversation>>,
    text: Text,
}

fn kind(qid: Qid) -> u64 {
    qid.path & ((1 << KIND) - 1)
}

/// The number of a file's conversation.
fn number(qid: Qid) -> Option<usize> {
    (qid.path >> KIND).checked_sub(1).and_then(|n| usize::try_from(n).ok())
}

fn path(number: usize, kind: u64) -> u64 {
    (number as u64 + 1) << KIND | kind
}

/// The conversation whose open file this is.
fn of(c: &Chan) -> Option<Arc<Conversation>> {
    c.aux::<Open>().ok()?.of.clone()
}

impl Tls {
    /// The device, with no conversations.
    pub fn new() -> Arc<Tls> {
        Arc::default()
    }

    fn get(&self, number: usize) -> Option<Arc<Conversation>> {
        self.taken.lock().get(number).and_then(Weak::upgrade)
    }

    /// Begins a conversation.
    ///
    /// # Errors
    /// `no free devices` when there are as many as can be.
    fn begin(&self, up: &Arc<Proc>) -> Result<Arc<Conversation>> {
        let most = if up.is_hostowner() { MOST } else { MOST - OWNERS };
        loop {
            let free = {
                let taken = self.taken.lock();
                let is_free = |c: &Weak<Conversation>| c.strong_count() == 0;
                taken.iter().position(is_free).unwrap_or(taken.len())
            };
            if free >= most {
                return Err(error::ENODEV.into());
            }
            let new = Conversation::new(free, up.user(), self.shared.clone());
            let mut taken = self.taken.lock();
            if free == taken.len() {
                as_kernel(|| heap::try_push(&mut taken, Weak::new()))?;
            }
            // Unless somebody else was faster.
            if let Some(place) = taken.get_mut(free)
                && place.strong_count() == 0
            {
                let old = core::mem::replace(place, Arc::downgrade(&new));
                drop(taken);
                drop(old);
                return Ok(new);
            }
        }
    }

    /// The first conversation from this number on.
    fn next(&self, from: usize) -> Option<Arc<Conversation>> {
        self.taken.lock().get(from..)?.iter().find_map(Weak::upgrade)
    }
}

/// The directory of a conversation.
fn directory(conversation: &Conversation) -> Entry {
    let (number, (owner, _)) = (conversation.number, conversation.owner());
    let named = Entry::named(number.to_string(), 0, 0o555 | abi::DMDIR);
    Entry { qid: Qid::dir(path(number, DIR)), owner: Some(owner), ..named }
}

/// The files of a conversation, by their places from 0.
fn inside(conversation: &Conversation, at: usize) -> Option<Entry> {
    let (name, kind, mask) = *INSIDE.get(at)?;
    let (owner, perm) = conversation.owner();
    let file = Entry::file(name, path(conversation.number, kind), perm & mask);
    Some(Entry { owner: Some(owner), ..file })
}

impl Dev for Tls {
    fn letter(&self) -> char {
        'a'
    }

    fn name(&self) -> &'static str {
        "tls"
    }

    fn each(&self, _up: &Arc<Proc>, _c: &Chan, dir: Qid, after: u64, put: Put<'_>) -> Result<()> {
        let mut at = usize::try_from(after).unwrap_or(usize::MAX);
        if let Some(number) = number(dir) {
            let conversation = self.get(number).ok_or(error::ENONEXIST)?;
            while let Some(entry) = inside(&conversation, at) {
                at += 1;
                if !put(at as u64, entry) {
                    break;
                }
            }
            return Ok(());
        }
        if dir.path == 0 {
            return dirtab::only(Entry::dir("tls", TLS, 0o555), after, put);
        }
        while let Some((name, kind, perm)) = BESIDE.get(at) {
            at += 1;
            if !put(at as u64, Entry::file(name, *kind, *perm)) {
                return Ok(());
            }
        }
        while let Some(conversation) = self.next(at.saturating_sub(BESIDE.len())) {
            at = conversation.number + BESIDE.len() + 1;
            if !put(at as u64, directory(&conversation)) {
                break;
            }
        }
        Ok(())
    }

    fn lookup(&self, up: &Arc<Proc>, c: &Chan, dir: Qid, name: &str) -> Result<Option<Qid>> {
        if dir.path == TLS
            && let Ok(number) = name.parse::<usize>()
        {
            let there = self.get(number).filter(|_| number.to_string() == name);
            return Ok(there.map(|_| Qid::dir(path(number, DIR))));
        }
        let mut found = None;
        self.each(up, c, dir, 0, &mut |_, entry| {
            found = (entry.name == name).then_some(entry.qid);
            // Numbers come last, and are not looked for here.
            found.is_none() && kind(entry.qid) != DIR
        })?;
        Ok(found)
    }

    fn parent(&self, _c: &Chan, file: Qid) -> Qid {
        match (number(file), kind(file)) {
            (None, TLS) => Qid::dir(0),
            (None, _) | (_, DIR) => Qid::dir(TLS),
            (Some(number), _) => Qid::dir(path(number, DIR)),
        }
    }

    fn entry(&self, up: &Arc<Proc>, c: &Chan) -> Result<Entry> {
        if c.qid.path == 0 {
            return Ok(self.root_entry());
        }
        if let (Some(number), DIR) = (number(c.qid), kind(c.qid)) {
            return self.get(number).map(|c| directory(&c)).ok_or(error::ENONEXIST.into());
        }
        let mut found = None;
        self.each(up, c, self.parent(c, c.qid), 0, &mut |_, entry| {
            found = (entry.qid.path == c.qid.path).then_some(entry);
            found.is_none()
        })?;
        found.ok_or(error::ENONEXIST.into())
    }

    fn open(&self, up: &Arc<Proc>, c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        let Some(number) = number(c.qid).filter(|_| !c.qid.is_dir()) else {
            let mut c = dirtab::open(self, up, c, mode)?;
            if !c.qid.is_dir() {
                let of = if kind(c.qid) == CLONE { Some(self.begin(up)?) } else { None };
                if let Some(new) = &of {
                    c.qid = Qid::file(path(new.number, CTL));
                }
                c.aux = Some(Arc::new(Open { of, text: Text::new() }));
            }
            return Ok(c.share());
        };
        // The number may be another's at any time: what is opened is what has been looked at here.
        let conversation = self.get(number).ok_or(error::ENONEXIST)?;
        let mut all = (0..INSIDE.len()).filter_map(|at| inside(&conversation, at));
        let entry = all.find(|e| e.qid.path == c.qid.path).ok_or(error::ENONEXIST)?;
        let owner = entry.owner.as_deref().unwrap_or("");
        up.check_perm(owner, entry.perm, dirtab::access(mode))?;
        let mut c = c;
        let open = Arc::new(Open { of: Some(conversation.clone()), text: Text::new() });
        conversation.join(kind(c.qid) == HAND)?;
        c.aux = Some(open);
        c.mode = Some(mode);
        c.offset.set(0);
        if matches!(kind(c.qid), DATA | HAND) {
            c.iounit = seal::PLAIN_MOST as u32;
        }
        Ok(c.share())
    }

    fn close(&self, c: &mut Chan) {
        if let Some(conversation) = of(c) {
            conversation.leave(kind(c.qid) == HAND);
        }
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        if c.qid.is_dir() {
            return dirtab::read_dir(self, up, c, dst, offset);
        }
        let open = c.aux::<Open>()?;
        let Some(of) = &open.of else {
            let list = if kind(c.qid) == ENCALGS { suite::ENCALGS } else { suite::HASHALGS };
            return dst.put_from(list.as_bytes(), offset);
        };
        match kind(c.qid) {
            DATA | HAND if dst.is_empty() => Ok(0),
            DATA | HAND => {
                let piece = of.receive(up, kind(c.qid) == HAND, dst.len())?;
                let bytes = piece.bytes.get(piece.at..).unwrap_or(&[]);
                dst.put(0, bytes)?;
                Ok(bytes.len())
            }
            CTL => dst.put_from(of.number.to_string().as_bytes(), offset),
            STATS => open.text.read(dst, offset, || Ok(of.stats())),
            _ => open.text.read(dst, offset, || of.status()),
        }
    }

    fn write(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>, _offset: u64) -> Result<usize> {
        let open = c.aux::<Open>()?;
        match (&open.of, kind(c.qid)) {
            (Some(of), DATA | HAND) => of.send(up, kind(c.qid) == HAND, src),
            (Some(of), CTL) => {
                let mut message = src.to_vec(control::MOST)?;
                let done = control::text(&message).and_then(|text| control::command(up, of, text));
                control::forget(&mut message);
                done.map(|()| src.len())
            }
            _ => Err(error::EPERM.into()),
        }
    }

    fn wstat(&self, up: &Arc<Proc>, c: &Chan, dir: &Dir) -> Result<()> {
        let of = number(c.qid).filter(|_| !c.qid.is_dir()).and_then(|number| self.get(number));
        let of = of.ok_or(error::EPERM)?;
        let is_owner = *of.owner().0 == *up.user() || up.is_hostowner();
        let names = crate::kernel::is_user_name(&dir.uid) || dir.uid.is_empty();
        if !is_owner || !dir.name.is_empty() || !names {
            return Err(error::EPERM.into());
        }
        let owner: Option<Arc<str>> = (!dir.uid.is_empty()).then(|| dir.uid.as_str().into());
        of.set_owner(owner, (dir.mode != !0).then_some(dir.mode));
        Ok(())
    }

    fn is_stream(&self, c: &Chan) -> bool {
        matches!(kind(c.qid), DATA | HAND) && !c.qid.is_dir()
    }

    fn pools(&self, show: &mut dyn FnMut(&str, u64)) {
        let count = self.taken.lock().iter().filter(|c| c.strong_count() != 0).count();
        show("tls", count as u64);
    }
}
