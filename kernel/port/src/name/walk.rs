//! Walking a name, element by element in principle and sixteen at a time in fact.
//!
//! A name starts at the process's root (`/x`), at a device (`#c/pid`) or at the current directory (`x`). The
//! walk goes forward up to sixteen elements in one [`Dev::walk`](crate::Dev::walk) and checks afterwards
//! whether one of the directories passed is mounted upon; if so it goes on from what is mounted there. `..`
//! is walked alone and undoes mounts by means of the [path](crate::name::path). In a union the elements are tried in
//! order, once per step.
//!
//! The last element is not crossed: whether it is to be is `namec`'s to say. Names that begin with `#` never
//! look at the mount table.
//!
//! No lock is held here; lists of unions are immutable (see `namespace`).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Deref;

use abi::{Qid, error};
use machine::heap;

use crate::error::{Error, Result};
use crate::name::chan::{Aim, Chan, OwnChan};
use crate::name::glance;
use crate::name::mhead::{Key, Mhead};
use crate::name::namespace::Pgrp;
use crate::name::path::{MAXPATH, PathBuf};
use crate::proc::process::Proc;

/// Longest name, in bytes. The path that it leads to is not longer either.
pub(crate) const MAXNAME: usize = MAXPATH;
/// Longest element of a name, in bytes: devices copy them.
pub(crate) const MAXELEMENT: usize = 1024;
/// Elements of most names, at most.
pub(super) const FEW: usize = 8;
/// Elements that are walked without a look at notes.
const FAR: usize = 256;
/// Most elements in one walk message (9P2000, `walk`).
const MAXWELEM: usize = 16;

/// A channel that the walk may use but does not own, or one that it made.
pub(crate) enum At {
    /// Somebody's: the root, the current directory, an element of a union.
    Shared(Arc<Chan>),
    /// The walk's own.
    Own(OwnChan),
}

impl At {
    pub(crate) fn chan(&self) -> &Chan {
        match self {
            At::Shared(c) => c,
            At::Own(c) => c,
        }
    }
}

/// Where a name starts.
pub(crate) enum Start<'a> {
    Root,
    Dot,
    Device(char, &'a str),
}

/// The elements of a name. Few of them need no memory.
pub(crate) struct Elements<'a> {
    few: [&'a str; FEW],
    len: usize,
    /// All of them, when there are more than `FEW`.
    many: Vec<&'a str>,
}

impl<'a> Elements<'a> {
    /// Adds one; `.` and nothing are none.
    #[inline]
    fn add(&mut self, element: &'a str) -> Result<()> {
        if element.is_empty() || element == "." {
            return Ok(());
        }
        if let Some(place) = self.few.get_mut(self.len) {
            *place = element;
            self.len += 1;
            return Ok(());
        }
        if self.many.is_empty() {
            heap::try_extend(&mut self.many, &self.few)?;
        }
        Ok(heap::try_push(&mut self.many, element)?)
    }
}

impl<'a> Deref for Elements<'a> {
    type Target = [&'a str];

    fn deref(&self) -> &[&'a str] {
        if self.many.is_empty() { self.few.get(..self.len).unwrap_or(&[]) } else { &self.many }
    }
}

/// A name, cut into elements.
pub(crate) struct Name<'a> {
    text: &'a str,
    pub(super) start: Start<'a>,
    pub(crate) elements: Elements<'a>,
    /// A slash or `/.` at the end, or nothing but dots: it has to be a directory.
    pub(crate) must_be_dir: bool,
}

/// Bytes that are in no name.
const fn is_bad(b: u8) -> bool {
    b < b' ' || b == 0x7f
}

/// What a byte of a name is: one look for most of them, which are neither.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Slash,
    Bad,
}

static KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Plain; 256];
    let mut b = 0;
    while b < kinds.len() {
        if is_bad(b as u8) {
            kinds[b] = Kind::Bad;
        }
        b += 1;
    }
    kinds[b'/' as usize] = Kind::Slash;
    kinds
};

impl<'a> Name<'a> {
    #[inline]
    pub(crate) fn parse(text: &'a str) -> Result<Self> {
        if text.is_empty() {
            return Err(error::ENONAME.into());
        }
        if text.len() > MAXNAME {
            return Err(error::ETOOLONG.into());
        }
        let (start, rest) = match text.strip_prefix('#') {
            Some(device) => {
                if device.bytes().any(is_bad) {
                    return Err(error::EBADCHAR.into());
                }
                let letter = device.chars().next().ok_or(error::EBADSHARP)?;
                // The letter may be a slash itself.
                let after = device.get(letter.len_utf8()..).unwrap_or("");
                let end = after.find('/').unwrap_or(after.len());
                let (spec, rest) = after.split_at(end);
                (Start::Device(letter, spec), rest)
            }
            None if text.starts_with('/') => (Start::Root, text),
            None => (Start::Dot, text),
        };
        let mut elements = Elements { few: [""; FEW], len: 0, many: Vec::new() };
        let (mut from, mut added) = (0, Ok(()));
        for (at, b) in rest.bytes().enumerate() {
            match KINDS.get(usize::from(b)) {
                Some(Kind::Plain) => continue,
                Some(Kind::Slash) => {}
                _ => return Err(error::EBADCHAR.into()),
            }
            if added.is_ok() {
                added = elements.add(rest.get(from..at).unwrap_or(""));
            }
            from = at + 1;
        }
        let last = rest.get(from..).unwrap_or("");
        added.and_then(|()| elements.add(last))?;
        // Short names have none.
        if rest.len() > MAXELEMENT && elements.iter().any(|e| e.len() > MAXELEMENT) {
            return Err(error::ETOOLONG.into());
        }
        let must_be_dir = !rest.is_empty() && (last.is_empty() || last == ".");
        Ok(Name { text, start, elements, must_be_dir })
    }

    /// The failure with the name up to element `n` (exclusive) in front; without when nothing was walked.
    pub(crate) fn error(&self, n: usize, e: Error) -> Error {
        if n >= self.elements.len() {
            return e.with_name(self.text);
        }
        let Some(last) = n.checked_sub(1).and_then(|i| self.elements.get(i)) else {
            return e;
        };
        // Elements are parts of the text: the end of one is an offset in it.
        let end = last.as_ptr() as usize - self.text.as_ptr() as usize + last.len();
        e.with_name(self.text.get(..end).unwrap_or(self.text))
    }
}

/// A walk under way.
pub(crate) struct Walker<'u> {
    up: &'u Arc<Proc>,
    pgrp: Arc<Pgrp>,
    pub(crate) at: At,
    pub(crate) path: PathBuf,
    /// The union crossed to get to `at`; further steps may try its other elements.
    pub(crate) union: Option<Arc<Mhead>>,
    /// `at` has been crossed, or must not be.
    crossed: bool,
    /// Names beginning with `#` ignore mounts.
    no_mounts: bool,
    /// Elements that were walked.
    pub(crate) walked: usize,
    /// Nobody reads what is wrong: errors are without the name.
    pub(crate) quiet: bool,
    /// What the whole name is walked for.
    pub(crate) aim: Aim,
}

impl<'u> Walker<'u> {
    /// The beginning of a walk. (It is made where its caller has it, for it is long.)
    #[inline(always)]
    pub(crate) fn start(up: &'u Arc<Proc>, name: &Name<'_>) -> Result<Self> {
        let pgrp = up.pgrp();
        let (at, path) = match name.start {
            Start::Root => {
                let slash = up.slash();
                let path = slash.path.to_buf()?;
                (At::Shared(slash), path)
            }
            Start::Dot => {
                let dot = up.dot();
                let path = dot.path.to_buf()?;
                (At::Shared(dot), path)
            }
            Start::Device(letter, spec) => {
                if pgrp.no_mount() && !"|decp".contains(letter) {
                    return Err(error::ENOATTACH.into());
                }
                let c = Chan::attach(up, up.kernel.dev(letter)?, spec)?;
                let path = c.path.to_buf()?;
                (At::Own(c), path)
            }
        };
        let no_mounts = matches!(name.start, Start::Device(..));
        let aim = Aim::Any;
        Ok(Walker {
            up,
            pgrp,
            at,
            path,
            union: None,
            crossed: false,
            no_mounts,
            walked: 0,
            quiet: false,
            aim,
        })
    }

    /// What is mounted on this file: the union and its first element.
    pub(crate) fn find_mount(&self, key: Key) -> Option<(Arc<Mhead>, Arc<Chan>)> {
        if self.no_mounts {
            return None;
        }
        let head = self.pgrp.find(key)?;
        // It may have been unmounted this moment.
        let first = head.first()?;
        Some((head, first))
    }

    /// Goes over to what is mounted here, if anything is.
    ///
    /// # Errors
    /// `name too long` when too many mounts have been crossed; `kernel allocate failed`.
    pub(crate) fn cross(&mut self) -> Result<()> {
        if !self.crossed
            && let Some(mounted) = self.find_mount(self.at.chan().key())
        {
            self.enter(mounted)?;
        }
        self.crossed = true;
        Ok(())
    }

    fn enter(&mut self, (head, first): (Arc<Mhead>, Arc<Chan>)) -> Result<()> {
        self.path.cross(&head.from, &head.crossed)?;
        self.at = At::Shared(first);
        self.union = Some(head);
        self.crossed = true;
        Ok(())
    }

    fn stand(&mut self, at: At) {
        self.at = at;
        self.union = None;
        self.crossed = false;
    }

    /// Walks the first `upto` elements of `name`. Afterwards `at` is not crossed; on failure `walked` says
    /// how many elements there are.
    pub(crate) fn forward(&mut self, name: &Name<'_>, upto: usize) -> Result<()> {
        let mut far = FAR;
        while self.walked < upto {
            // A name may go up and down thousands of times in a union of a thousand directories.
            if self.walked >= far {
                far = self.walked + FAR;
                self.up.pause()?;
            }
            if !self.at.chan().qid.is_dir() {
                return Err(self.error(name, self.walked, error::ENOTDIR.into()));
            }
            let rest = name.elements.get(self.walked..upto).unwrap_or(&[]);
            if rest.first() == Some(&"..") {
                let up = self.dotdot();
                up.map_err(|e| self.error(name, self.walked + 1, e))?;
                self.walked += 1;
                continue;
            }
            // A long way, over links for one, leaves something of each step.
            if self.walked != 0 && !heap::is_granted() {
                return Err(error::ENOMEM.into());
            }
            let n = rest.iter().take(MAXWELEM).take_while(|e| **e != "..").count();
            self.step(name, rest.get(..n).unwrap_or(&[]))?;
        }
        Ok(())
    }

    fn dotdot(&mut self) -> Result<()> {
        let c = self.at.chan();
        let up_one = c.dev.walk(self.up, c, &[".."])?.chan.ok_or(error::ENONEXIST)?;
        let at = match self.path.pop()? {
            Some(mounted_upon) => At::Shared(mounted_upon),
            None => At::Own(up_one),
        };
        self.stand(at);
        Ok(())
    }

    /// Walks some elements, none of them `..`, as far as the first that is mounted upon.
    fn step(&mut self, name: &Name<'_>, names: &[&str]) -> Result<()> {
        let crossed = self.cross();
        crossed.map_err(|e| self.error(name, self.walked, e))?;
        // Where that is soon said, it is known at once whether something is mounted on one of the directories passed.
        // When more is to be walked from the last one, as by who creates a file there, that is passed, too.
        let next = name.elements.get(self.walked + names.len());
        let passed = match next {
            Some(next) if *next != ".." => names,
            _ => names.split_last().map_or(names, |(_, passed)| passed),
        };
        // What a server has told a while ago is for those who only look.
        let is_known = matches!(self.aim, Aim::Look) || !self.at.chan().dev.asks();
        if is_known && !passed.is_empty() {
            let find = |key| self.find_mount(key);
            let (walked, mounted, _) = glance::look(self.up, self.at.chan(), passed, find, &mut |_| Ok(()));
            if let Some(mounted) = mounted {
                self.push(name, names.get(..walked).unwrap_or(names))?;
                let entered = self.enter(mounted);
                return entered.map_err(|e| self.error(name, self.walked, e));
            }
        }
        let c = self.at.chan();
        let to_end = self.walked + names.len() == name.elements.len();
        let mut result = match self.aim {
            Aim::Any => c.dev.walk(self.up, c, names),
            aim if to_end => c.dev.walk_for(self.up, c, names, aim),
            _ => c.dev.walk(self.up, c, names),
        };
        let (mut letter, mut devno) = (c.dev.letter(), c.devno);
        if let (Err(first), Some(union)) = (&result, &self.union)
            && !first.is_note()
        {
            // Not in the first element of the union: try the others. The most telling failure is reported.
            let mut telling = first.clone();
            for m in union.list().iter().skip(1) {
                let to = &m.to;
                match to.dev.walk(self.up, to, names) {
                    Ok(w) => {
                        (letter, devno) = (to.dev.letter(), to.devno);
                        result = Ok(w);
                        break;
                    }
                    Err(e) if e.is_note() => {
                        telling = e;
                        break;
                    }
                    Err(e) if telling.is(error::ENONEXIST) => telling = e,
                    Err(_) => {}
                }
            }
            if result.is_err() {
                result = Err(telling);
            }
        }
        let walk = result.map_err(|e| self.error(name, self.walked + 1, e))?;

        // Is something mounted on one of the directories passed? The last one has not been, if the walk stands there.
        let passed = walk.qids.len().saturating_sub(usize::from(walk.chan.is_some()));
        for (i, qid) in walk.qids.iter().take(passed).enumerate() {
            if let Some(mounted) = self.find_mount((letter, devno, qid.path)) {
                self.push(name, names.get(..=i).unwrap_or(names))?;
                drop(walk.chan);
                let entered = self.enter(mounted);
                return entered.map_err(|e| self.error(name, self.walked, e));
            }
        }
        let Some(chan) = walk.chan else {
            return Err(self.missing(name, &walk.qids, walk.why));
        };
        self.push(name, names.get(..walk.qids.len()).unwrap_or(names))?;
        self.stand(At::Own(chan));
        Ok(())
    }

    /// As [`Name::error`], if somebody is to read it.
    fn error(&self, name: &Name<'_>, n: usize, e: Error) -> Error {
        if self.quiet { e } else { name.error(n, e) }
    }

    /// These elements were walked.
    fn push(&mut self, name: &Name<'_>, elements: &[&str]) -> Result<()> {
        for e in elements {
            self.walked += 1;
            let pushed = self.path.push(e);
            pushed.map_err(|e| self.error(name, self.walked, e))?;
        }
        Ok(())
    }

    /// The walk ended after these: the next element is missing, or the last one is a file.
    fn missing(&mut self, name: &Name<'_>, qids: &[Qid], why: Option<Error>) -> Error {
        self.walked += qids.len();
        let beyond_file = qids.last().is_some_and(|q| !q.is_dir());
        match why {
            Some(why) if !(beyond_file && why.is(error::ENOTDIR)) => self.error(name, self.walked + 1, why),
            _ if beyond_file => self.error(name, self.walked, error::ENOTDIR.into()),
            _ => self.error(name, self.walked + 1, error::ENONEXIST.into()),
        }
    }
}
