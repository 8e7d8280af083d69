//! `#I`: the IP stack as files; see ip(3). What happens in it is `kernel/net`'s.
//!
//! `#I` is the first stack, `#I1` another, which is made when it is first attached. An open file of a conversation
//! counts as one of its users; with the last one it ends. A conversation is paid for by the process that has opened
//! `clone`, or announced what it is a call to.
//!
//! Locks: `stacks` is a leaf. Nothing is held while a stack is called: its own lock comes first and last.

mod card;
mod control;
mod files;
mod ndb;
mod said;
mod tree;

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::{Dir, Qid, error};
use machine::lock::Lock;
use net::tcp::Got;
use net::{Bearer, Stack, text};

use self::files::{INSIDE, IPIFC, Place, inside, kind, numbered};
use self::ndb::Ndb;
use self::said::{message, send, text_of};
use self::tree::{Open, Tree, files, tree};
use crate::dev::dirtab::{self, Entry};
use crate::dev::ether::card::Card;
use crate::dev::{Dev, Root};
use crate::error::Result;
use crate::mem::iobuf::{Dst, Src};
use crate::name::chan::{Chan, OwnChan};
use crate::proc::process::Proc;

/// Stacks at most.
const STACKS: usize = 4;

/// The device.
pub struct Ip {
    stacks: Lock<[Option<Arc<Tree>>; STACKS]>,
    /// What interfaces can be bound to, by their numbers.
    cards: Vec<Arc<Card>>,
}

impl Ip {
    /// The device, with its first stack, and the cards that its interfaces can be bound to.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    pub fn new(cards: Vec<Arc<Card>>) -> Result<Arc<Ip>> {
        let ip = Ip { stacks: Lock::new([const { None }; STACKS]), cards };
        ip.make(0)?;
        Ok(Arc::new(ip))
    }

    fn make(&self, at: usize) -> Result<Arc<Tree>> {
        let stack = machine::ledger::as_kernel(Stack::new)?;
        stack.start()?;
        let tree = Arc::new(Tree { stack, ndb: Ndb::new() });
        let mut stacks = self.stacks.lock();
        let place = stacks.get_mut(at).ok_or(error::EBADSPEC)?;
        let kept = place.get_or_insert_with(|| tree.clone()).clone();
        drop(stacks);
        if !Arc::ptr_eq(&kept, &tree) {
            // Somebody else was faster.
            tree.stack.end();
        }
        Ok(kept)
    }

    /// The stack with this number, if there is one.
    pub fn stack(&self, at: usize) -> Option<Arc<Stack>> {
        self.stacks.lock().get(at)?.as_ref().map(|tree| tree.stack.clone())
    }
}

impl Drop for Ip {
    fn drop(&mut self) {
        self.stacks.get_mut().iter().flatten().for_each(|tree| tree.stack.end());
    }
}

impl Ip {
    /// Opens a file of a conversation, as one more user of it.
    fn open_conversation(&self, up: &Arc<Proc>, c: OwnChan, mode: u32) -> Result<OwnChan> {
        let place = Place::of(c.qid);
        let (tree, proto) = (tree(&c)?, place.protocol().ok_or(error::ENONEXIST)?);
        let (mut c, mut conversation) = if place.kind == kind::CLONE {
            let mut c = dirtab::open(self, up, c, mode)?;
            // Closing it ends nothing before it has a user.
            c.mode = None;
            let is_hosts = up.is_hostowner();
            let bearer = Bearer { owner: up.user(), account: up.account.clone(), is_hosts };
            (c, tree.stack.open(proto, bearer)?)
        } else {
            // The number may be another's at any time: what is opened is what has been looked at here.
            let files = tree.stack.get(proto, place.number).ok_or(error::ENONEXIST)?;
            let mut all = (0..INSIDE).filter_map(|at| inside(place, Some(&files), at));
            let entry = all.find(|e| e.qid.path == c.qid.path).ok_or(error::ENONEXIST)?;
            up.check_perm(&files.owner, entry.perm, dirtab::access(mode))?;
            (c, tree.stack.open_again(&files)?)
        };
        if place.kind == kind::LISTEN {
            let call = tree.stack.listen(&conversation);
            tree.stack.close(&conversation);
            conversation = call?;
        }
        if matches!(place.kind, kind::CLONE | kind::LISTEN) {
            let ctl = Place { kind: kind::CTL, number: conversation.number, ..place };
            c.qid = Qid::file(ctl.path());
        }
        if place.kind == kind::SNOOP {
            match tree.stack.snoop(&conversation, up.account.clone()) {
                Ok(copies) => c.aux = Some(Open::showing(tree, Some(conversation), copies)),
                Err(e) => {
                    tree.stack.close(&conversation);
                    return Err(e.into());
                }
            }
        } else {
            c.aux = Some(Open::new(tree, Some(conversation)));
        }
        c.mode = Some(mode);
        c.offset.set(0);
        Ok(c)
    }
}

impl Dev for Ip {
    fn letter(&self) -> char {
        'I'
    }

    fn name(&self) -> &'static str {
        "ip"
    }

    fn attach(&self, up: &Arc<Proc>, spec: &str) -> Result<Root> {
        let at = if spec.is_empty() { 0 } else { spec.parse().map_err(|_| error::EBADSPEC)? };
        let there = self.stacks.lock().get(at).ok_or(error::EBADSPEC)?.clone();
        let tree = match there {
            Some(tree) => tree,
            None if !up.is_hostowner() => return Err(error::EPERM.into()),
            None => self.make(at)?,
        };
        Ok(Root { devno: at as u32, qid: Qid::dir(0), aux: Some(tree) })
    }

    fn each(
        &self,
        _up: &Arc<Proc>,
        c: &Chan,
        dir: Qid,
        after: u64,
        put: &mut dyn FnMut(u64, Entry) -> bool,
    ) -> Result<()> {
        let tree = tree(c)?;
        let mut at = after;
        while let Some((key, entry)) = tree.next(dir, at)? {
            at = key;
            if !put(key, entry) {
                break;
            }
        }
        Ok(())
    }

    fn lookup(&self, _up: &Arc<Proc>, c: &Chan, dir: Qid, name: &str) -> Result<Option<Qid>> {
        let (tree, place) = (tree(c)?, Place::of(dir));
        if dir.path != 0
            && place.kind == kind::PROTO
            && let Ok(number) = name.parse::<u32>()
        {
            let place = Place { kind: kind::NUMBER, number, ..place };
            let there = files(&tree, place).is_ok() && number.to_string() == name;
            return Ok(there.then(|| Qid::dir(place.path())));
        }
        let mut at = 0;
        while let Some((key, entry)) = tree.next(dir, at)? {
            at = key;
            if entry.name == name {
                return Ok(Some(entry.qid));
            }
            // Numbers come last, and are not looked for here.
            if Place::of(entry.qid).kind == kind::NUMBER {
                break;
            }
        }
        Ok(None)
    }

    fn parent(&self, _c: &Chan, file: Qid) -> Qid {
        Place::of(file).parent()
    }

    fn entry(&self, _up: &Arc<Proc>, c: &Chan) -> Result<Entry> {
        let (tree, place) = (tree(c)?, Place::of(c.qid));
        if c.qid.path == 0 {
            return Ok(self.root_entry());
        }
        if place.kind == kind::NUMBER {
            let owner = files(&tree, place)?.map(|f| f.owner);
            return Ok(numbered(place.proto, place.number, owner));
        }
        let (dir, mut at) = (place.parent(), 0);
        while let Some((key, entry)) = tree.next(dir, at)? {
            at = key;
            if entry.qid.path == c.qid.path {
                return Ok(entry);
            }
        }
        Err(error::ENONEXIST.into())
    }

    fn open(&self, up: &Arc<Proc>, c: OwnChan, mode: u32) -> Result<Arc<Chan>> {
        let place = Place::of(c.qid);
        let c = match place.kind {
            kind::CLONE | kind::CTL..=kind::SNOOP if place.proto != IPIFC && !c.qid.is_dir() => {
                self.open_conversation(up, c, mode)?
            }
            _ => {
                let tree = tree(&c)?;
                let mut c = dirtab::open(self, up, c, mode)?;
                if place.kind == kind::CLONE {
                    let open = tree.stack.open_new_interface()?;
                    c.qid = Qid::file(Place { kind: kind::CTL, number: open.number, ..place }.path());
                    c.aux = Some(Open::of_interface(tree, open));
                } else if (place.kind, place.proto) == (kind::CTL, IPIFC) && !c.qid.is_dir() {
                    let open = tree.stack.open_interface(place.number)?;
                    c.aux = Some(Open::of_interface(tree, open));
                } else if matches!(place.kind, kind::SNOOP | kind::DATA) {
                    let copies = match place.kind {
                        kind::SNOOP => tree.stack.snoop_interface(place.number)?,
                        _ => tree.stack.packets(place.number)?,
                    };
                    c.aux = Some(Open::showing(tree, None, copies));
                } else if !c.qid.is_dir() {
                    if place.kind == kind::LOG {
                        tree.stack.log().open()?;
                    }
                    if place.kind == kind::NDB && mode & abi::OTRUNC != 0 {
                        tree.ndb.clear();
                    }
                    c.aux = Some(match (place.kind, mode & 3) {
                        (kind::NDB, abi::ORDWR) => {
                            let seen = tree.ndb.version();
                            Open::changing(tree, seen)
                        }
                        _ => Open::new(tree, None),
                    });
                }
                c
            }
        };
        Ok(c.share())
    }

    fn close(&self, c: &mut Chan) {
        let Ok(open) = c.aux::<Open>() else { return };
        let place = Place::of(c.qid);
        if let Some(copies) = &open.copies {
            copies.close();
        }
        match (&open.conversation, &open.interface) {
            (Some(conversation), _) => open.tree.stack.close(conversation),
            (None, Some(interface)) => open.tree.stack.close_interface(interface),
            (None, None) if place.kind == kind::LOG => open.tree.stack.log().close(),
            (None, None) => {}
        }
    }

    fn read(&self, up: &Arc<Proc>, c: &Chan, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
        if c.qid.is_dir() {
            return dirtab::read_dir(self, up, c, dst, offset);
        }
        let (open, place) = (c.aux::<Open>()?, Place::of(c.qid));
        let stack = &open.tree.stack;
        if let (kind::DATA, Some(conversation)) = (place.kind, &open.conversation) {
            let len = dst.len();
            return match stack.read_to(conversation, len, &mut |at, bytes| dst.put_now(at, bytes))? {
                Got::Put(n) => Ok(n),
                Got::Bytes(bytes) => {
                    dst.put(0, &bytes)?;
                    Ok(bytes.len())
                }
            };
        }
        let stream = match (&open.copies, place.kind) {
            (Some(copies), _) => Some(copies.read(dst.len())?),
            (None, kind::LOG) => Some(stack.log().read(dst.len())?),
            _ => None,
        };
        if let Some(bytes) = stream {
            dst.put(0, &bytes)?;
            return Ok(bytes.len());
        }
        open.text.read(dst, offset, || text_of(open, place))
    }

    fn write(&self, up: &Arc<Proc>, c: &Chan, src: &Src<'_>, offset: u64) -> Result<usize> {
        let (open, place) = (c.aux::<Open>()?, Place::of(c.qid));
        let stack = &open.tree.stack;
        match (place.kind, &open.conversation) {
            (kind::DATA, Some(conversation)) => send(up, stack, conversation, src),
            (kind::DATA, None) => {
                let packet = machine::ledger::as_kernel(|| src.to_vec(net::stack::PIECE))?;
                stack.bring(place.number, packet)?;
                Ok(src.len())
            }
            (kind::CTL, Some(conversation)) => {
                control::conversation(stack, conversation, &message(src)?)?;
                Ok(src.len())
            }
            (kind::CTL, None) => {
                let text = message(src)?;
                control::interface(stack, place.number, &text, &self.cards)?;
                Ok(src.len())
            }
            (kind::ROUTES, _) => {
                let text = message(src)?;
                let mut tag = *open.tag.lock();
                control::routes(stack, &text, &mut tag)?;
                *open.tag.lock() = tag;
                Ok(src.len())
            }
            (kind::ARP, _) => {
                control::neighbours(stack, &message(src)?)?;
                Ok(src.len())
            }
            (kind::LOG, _) => {
                stack.log().control(&message(src)?)?;
                Ok(src.len())
            }
            (kind::NDB, _) => {
                let bytes = src.to_vec(ndb::MOST)?;
                let seen = open.seen.as_ref().map(|seen| *seen.lock());
                let version = open.tree.ndb.write(&bytes, offset, seen)?;
                if let Some(seen) = &open.seen {
                    *seen.lock() = version;
                }
                Ok(bytes.len())
            }
            _ => Err(error::EPERM.into()),
        }
    }

    fn wstat(&self, up: &Arc<Proc>, c: &Chan, dir: &Dir) -> Result<()> {
        let place = Place::of(c.qid);
        let (true, Some(_)) = ((kind::CTL..=kind::SNOOP).contains(&place.kind), place.protocol()) else {
            return Err(error::EPERM.into());
        };
        let tree = tree(c)?;
        let files = files(&tree, place)?.ok_or(error::EPERM)?;
        let is_owner = *files.owner == *up.user() || up.is_hostowner();
        if !is_owner || !dir.name.is_empty() || !crate::kernel::is_user_name(&dir.uid) && !dir.uid.is_empty()
        {
            return Err(error::EPERM.into());
        }
        let owner = (!dir.uid.is_empty()).then(|| dir.uid.as_str().into());
        Ok(tree.stack.set_owner(&files, owner, (dir.mode != !0).then_some(dir.mode))?)
    }

    fn is_stream(&self, c: &Chan) -> bool {
        matches!(Place::of(c.qid).kind, kind::DATA | kind::SNOOP | kind::LOG) && !c.qid.is_dir()
    }

    fn pools(&self, show: &mut dyn FnMut(&str, u64)) {
        if let Some(stack) = self.stack(0) {
            text::pools(&stack, show);
        }
    }
}
