//! What is written to files of `#I`, as it goes to the stack, and the texts that are read from them.

use alloc::string::{String, ToString};
use alloc::sync::Arc;

use abi::error;
use machine::heap;
use net::{Conversation, Proto, Stack, text};

use super::files::{Place, kind};
use super::tree::Open;
use crate::error::Result;
use crate::mem::iobuf::Src;
use crate::proc::process::Proc;
use crate::proc::scarce;

/// Longest control message.
const MAXCTL: usize = 256;
/// Bytes that are brought in at a time.
const PAGE: usize = 4096;

/// A control message.
pub(super) fn message(src: &Src<'_>) -> Result<String> {
    let bytes = src.to_vec(MAXCTL)?;
    let text = String::from_utf8(bytes).map_err(|_| error::EBADARG)?;
    Ok(text.trim_end_matches('\0').into())
}

/// Sends what is written: a datagram whole, a stream in pieces.
pub(super) fn send(up: &Arc<Proc>, stack: &Stack, c: &Conversation, src: &Src<'_>) -> Result<usize> {
    if c.proto != Proto::Tcp {
        let bytes = src.to_vec(net::stack::PIECE)?;
        return Ok(stack.write(c, &bytes)?);
    }
    let mut done = 0;
    loop {
        let n = (src.len() - done).min(net::stack::PIECE);
        match scarce::patiently(up, || put(stack, c, src, done, n)) {
            Ok(put) => done += put,
            Err(e) if done == 0 || !scarce::is_want_of_memory(&e) => return Err(e),
            Err(_) => return Ok(done),
        }
        if done == src.len() {
            return Ok(done);
        }
        up.pause()?;
    }
}

/// Puts up to `n` bytes of what is written, from `at` on, into a stream: some at least.
fn put(stack: &Stack, c: &Conversation, src: &Src<'_>, at: usize, n: usize) -> Result<usize> {
    let put = stack.write_from(c, n, &mut |more, room| src.get_now(at + more, room))?;
    if put != 0 || n == 0 {
        return Ok(put);
    }
    // Memory that is not there is brought in without the stack.
    let mut page = heap::try_bytes(n.min(PAGE))?;
    src.get(at, &mut page)?;
    Ok(stack.write(c, &page)?)
}

/// What a file says that is text.
pub(super) fn text_of(open: &Open, place: Place) -> Result<String> {
    let stack = &open.tree.stack;
    let number = place.number as usize;
    Ok(match (place.kind, &open.conversation) {
        (kind::CTL, _) => place.number.to_string(),
        (kind::LOCAL, Some(c)) => text::local(stack, c)?,
        (kind::REMOTE, Some(c)) => text::remote(stack, c)?,
        (kind::STATUS, Some(c)) => text::status(stack, c)?,
        (kind::ERR, Some(c)) => text::error(stack, c)?,
        (kind::STATUS, None) => text::ifc_status(stack, number)?,
        (kind::LOCAL, None) => text::ifc_local(stack, number)?,
        (kind::STATS, _) => match place.protocol() {
            Some(proto) => text::stats(stack, proto)?,
            None => text::ip_stats(stack)?,
        },
        (kind::ROUTES, _) => text::routes(stack)?,
        (kind::ARP, _) => text::neighbours(stack)?,
        (kind::OWN, _) => text::own_addresses(stack)?,
        (kind::NDB, _) => heap::try_string(&open.tree.ndb.text())?,
        _ => return Err(error::EPERM.into()),
    })
}
