//! `#l`: network cards, after Plan 9's ether(3).
//!
//! `ether0` is the first card, `ether1` the next: `#l` has them all, `#l0` only the first. Opening a card's `clone`
//! begins a [conversation], a numbered directory, and gives its `ctl`; it ends when none of its files is
//! open any more. How cards are shared, with these and with the IP stack, is said in [`card`].
//!
//! Lock: `taken` of a card guards which conversations there are, and is a leaf; what leaves it is dropped later.

pub mod card;
mod command;
mod conversation;

use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt::Write;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::{Qid, error};
use machine::heap;
use machine::lock::Lock;

use crate::dev::dirtab::{self, Entry, Text};
use crate::dev::{Dev, Root};
use crate::error::Result;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::{Chan, OwnChan};
use crate::proc::process::Proc;
use card::{Card, Kind};
use conversation::Conversation;

/// Most conversations of a card.
const CONVERSATIONS: usize = 16;
/// Longest command, in bytes.
const COMMAND_MOST: usize = 128;

/// Qid paths: 0 is the root. A card's files have its number and 1 above [`CARD`]; below that, those of a conversation
/// have its number and 1 above [`CONVERSATION`], and the card's own have 0. Then comes which file it is.
const CARD: u32 = 24;
const CONVERSATION: u32 = 8;
/// The directory of a card, or of a conversation.
const DIR: u64 = 0;
const ADDR: u64 = 1;
const CLONE: u64 = 2;
const IFSTATS: u64 = 3;
const STATS: u64 = 4;
const CTL: u64 = 5;
const DATA: u64 = 6;
const TYPE: u64 = 7;
/// The root of `#lN`, in which there is one card.
const ONLY: u64 = 8;

/// A card and its conversations.
struct Port {
    card: Arc<Card>,
    taken: Lock<[Weak<Conversation>; CONVERSATIONS]>,
    /// Frames that conversations had no room for.
    lost: Arc<AtomicU64>,
}

/// The device.
pub struct EtherDev {
    ports: Vec<Port>,
}

/// What an open channel keeps.
enum Open {
    /// A text that is made at the first read.
    Text(Text),
    /// A file of a conversation.
    Of(Arc<Conversation>),
}

/// The number of the card that a file of `#l` belongs to.
pub fn card_of(c: &Chan) -> Option<usize> {
    if c.dev.letter() == 'l' { card_number(c.qid) } else { None }
}

fn card_number(qid: Qid) -> Option<usize> {
    (qid.path >> CARD).checked_sub(1).and_then(|n| usize::try_from(n).ok())
}

/// The number of a file's conversation.
fn number(qid: Qid) -> Option<usize> {
    let n = qid.path >> CONVERSATION & ((1 << (CARD - CONVERSATION)) - 1);
    n.checked_sub(1).and_then(|n| usize::try_from(n).ok())
}

fn file(qid: Qid) -> u64 {
    qid.path & ((1 << CONVERSATION) - 1)
}

fn path(card: usize, conversation: Option<usize>, file: u64) -> u64 {
    let part = |n: usize| n as u64 + 1;
    part(card) << CARD | conversation.map_or(0, part) << CONVERSATION | file
}

impl EtherDev {
    /// The device with these cards.
    pub fn new(cards: &[Arc<Card>]) -> Arc<Self> {
        let port = |card: &Arc<Card>| Port {
            card: card.clone(),
            taken: Lock::new([const { Weak::new() }; CONVERSATIONS]),
            lost: Arc::default(),
        };
        Arc::new(EtherDev { ports: cards.iter().map(port).collect() })
    }

    fn port(&self, qid: Qid) -> Result<&Port> {
        card_number(qid).and_then(|n| self.ports.get(n)).ok_or(error::ENONEXIST.into())
    }
}

impl Port {
    fn conversation(&self, n: usize) -> Option<Arc<Conversation>> {
        self.taken.lock().get(n).and_then(Weak::upgrade)
    }

    /// Begins a conversation.
    ///
    /// # Errors
    /// `no free devices` when there are as many as can be.
    fn begin(&self) -> Result<Arc<Conversation>> {
        // Nobody finds it before it has its place.
        for n in 0..CONVERSATIONS {
            if self.conversation(n).is_some() {
                continue;
            }
            let new = Conversation::begin(&self.card, n, &self.lost)?;
            let mut taken = self.taken.lock();
            if let Some(place) = taken.get_mut(n)
                && place.strong_count() == 0
            {
                let old = core::mem::replace(place, Arc::downgrade(&new));
                drop(taken);
                drop(old);
                return Ok(new);
            }
            drop(taken);
        }
        Err(error::ENODEV.into())
    }

    fn address(&self) -> String {
        self.card.ether().mac().map(|byte| format!("{byte:02x}")).concat()
    }

    /// What `stats` says, in the words of Plan 9's.
    fn stats(&self) -> Result<String> {
        let (ether, card) = (self.card.ether(), self.card.ether().statistics());
        let lines = [
            ("in", card.received),
            ("link", u64::from(ether.link())),
            ("out", card.sent),
            ("crc errs", 0),
            ("overflows", card.full),
            ("soft overflows", self.lost.load(Relaxed)),
            ("framing errs", card.input_errors),
            ("buffer errs", 0),
            ("output errs", 0),
            ("prom", self.card.promiscuous() as u64),
            ("mbps", ether.mbps().map_or(0, u64::from)),
        ];
        let mut text = heap::Text::new();
        // What is left out for want of memory is told at the end.
        lines.iter().for_each(|(name, n)| drop(writeln!(text, "{name}: {n}")));
        let _ = writeln!(text, "addr: {}", self.address());
        Ok(text.finish()?)
    }

    /// What `ifstats` says.
    fn ifstats(&self) -> Result<String> {
        let (ether, card) = (self.card.ether(), self.card.ether().statistics());
        let mut text = heap::Text::new();
        let _ = writeln!(text, "name: {}", ether.name());
        let _ = writeln!(text, "mtu: {}", ether.mtu());
        let lines = [
            ("in bytes", card.received_bytes),
            ("out bytes", card.sent_bytes),
            ("unheard", self.card.unheard()),
            ("resets", card.resets),
        ];
        lines.iter().for_each(|(name, n)| drop(writeln!(text, "{name}: {n}")));
        let _ = ether.details(&mut text);
        Ok(text.finish()?)
    }
}

impl Dev for EtherDev {
    fn letter(&self) -> char {
        'l'
    }

    fn name(&self) -> &'static str {
        "ether"
    }

    fn attach(&self, _up: &Arc<Proc>, spec: &str) -> Result<Root> {
        if spec.is_empty() {
            return Ok(Root::default());
        }
        let n = if spec.bytes().all(|b| b.is_ascii_digit()) { spec.parse::<usize>().ok() } else { None };
        match n {
            Some(n) if n < self.ports.len() => {
                Ok(Root { qid: Qid::dir(path(n, None, ONLY)), ..Root::default() })
            }
            Some(_) => Err(error::ENODEV.into()),
            None => Err(error::EBADSPEC.into()),
        }
    }

    fn list(&self, _up: &Arc<Proc>, _c: &Chan, dir: Qid) -> Result<Vec<Entry>> {
        let card = |n: usize| Entry {
            name: format!("ether{n}").into(),
            ..Entry::dir("", path(n, None, DIR), 0o555)
        };
        let Some(n) = card_number(dir) else {
            return Ok((0..self.ports.len()).map(card).collect());
        };
        let port = self.port(dir)?;
        if file(dir) == ONLY {
            return Ok([card(n)].into());
        }
        if let Some(of) = number(dir) {
            port.conversation(of).ok_or(error::ENONEXIST)?;
            let one = |name, file, perm| Entry::file(name, path(n, Some(of), file), perm);
            let read = [("ifstats", IFSTATS), ("stats", STATS), ("type", TYPE)];
            let both = [one("ctl", CTL, 0o660), one("data", DATA, 0o660)];
            return Ok(both.into_iter().chain(read.map(|(name, file)| one(name, file, 0o444))).collect());
        }
        let one = |name, file, perm| Entry::file(name, path(n, None, file), perm);
        let own = [
            one("addr", ADDR, 0o444),
            one("clone", CLONE, 0o660),
            one("ifstats", IFSTATS, 0o444),
            one("stats", STATS, 0o444),
        ];
        let there = (0..CONVERSATIONS).filter(|of| port.conversation(*of).is_some());
        let dirs = there.map(|of| Entry {
            name: format!("{of}").into(),
            ..Entry::dir("", path(n, Some(of), DIR), 0o555)
        });
        Ok(own.into_iter().chain(dirs).collect())
    }

    fn parent(&self, _c: &Chan, of: Qid) -> Qid {
        match (card_number(of), number(of), file(of)) {
            (Some(n), Some(_), DIR) => Qid::dir(path(n, None, DIR)),
            (Some(n), Some(conversation), _) => Qid::dir(path(n, Some(conversation), DIR)),
            (_, _, DIR | ONLY) | (None, ..) => Qid::dir(0),
            (Some(n), None, _) => Qid::dir(path(n, None, DIR)),
        }
    }

    fn entry(&self, up: &Arc<Proc>, c: &Chan) -> Result<Entry> {
        if matches!((c.qid.path, file(c.qid)), (0, _) | (_, ONLY)) {
            return Ok(Entry { qid: c.qid, ..self.root_entry() });
        }
        let all = self.list(up, c, self.parent(c, c.qid))?;
        all.into_iter().find(|entry| entry.qid.path == c.qid.path).ok_or(error::ENONEXIST.into())
    }

    fn open(&self, up: &Arc<Proc>, c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        let mut c = dirtab::open(self, up, c, mode)?;
        if c.qid.is_dir() {
            return Ok(c.share());
        }
        let port = self.port(c.qid)?;
        let conversation = match (number(c.qid), file(c.qid)) {
            (None, CLONE) => {
                let new = port.begin()?;
                let card = card_number(c.qid).unwrap_or_default();
                c.qid = Qid::file(path(card, Some(new.number()), CTL));
                Some(new)
            }
            (Some(n), CTL | DATA | TYPE) => Some(port.conversation(n).ok_or(error::ENONEXIST)?),
            _ => None,
        };
        c.aux = Some(Arc::new(conversation.map_or_else(|| Open::Text(Text::new()), Open::Of)));
        Ok(c.share())
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        if c.qid.is_dir() {
            return dirtab::read_dir(self, up, c, dst, offset);
        }
        let port = self.port(c.qid)?;
        let of = match c.aux::<Open>()? {
            Open::Of(conversation) => conversation,
            Open::Text(text) => {
                return text.read(dst, offset, || match file(c.qid) {
                    ADDR => Ok(port.address()),
                    STATS => port.stats(),
                    _ => port.ifstats(),
                });
            }
        };
        match file(c.qid) {
            DATA => of.read(dst),
            TYPE => dst.put_from(format!("{:>11} ", of.wants().kind.number()).as_bytes(), offset),
            _ => dst.put_from(format!("{:>11} ", of.number()).as_bytes(), offset),
        }
    }

    fn write(&self, _up: &Arc<Proc>, c: &Chan, src: &Src<'_>, _offset: u64) -> Result<usize> {
        let of = match c.aux::<Open>()? {
            Open::Of(conversation) => conversation,
            Open::Text(_) => return Err(error::EPERM.into()),
        };
        if file(c.qid) == DATA {
            return of.write(src);
        }
        let bytes = src.to_vec(COMMAND_MOST)?;
        of.command(core::str::from_utf8(&bytes).map_err(|_| error::EBADCTL)?)?;
        Ok(bytes.len())
    }

    fn is_stream(&self, c: &Chan) -> bool {
        file(c.qid) == DATA
    }
}

impl Kind {
    /// As Plan 9 writes it: -1 is all.
    fn number(self) -> i32 {
        match self {
            Kind::Nothing => 0,
            Kind::Only(kind) => i32::from(kind),
            Kind::All => -1,
        }
    }
}
