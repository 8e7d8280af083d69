//! The messages that a conversation takes by its `ctl`.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::hint::black_box;

use abi::error;

use super::alert;
use super::conversation::{Conversation, kind};
use super::seal::{Bad, Opener, Sealer};
use super::state::Phase;
use super::suite::{Suite, base64};
use crate::error::{Error, Result};
use crate::name::chan::Chan;
use crate::name::fgrp;
use crate::proc::create;
use crate::proc::process::Proc;

/// Longest message: the longest secret is much shorter.
pub(super) const MOST: usize = 1024;
/// Conversations below one another, at most.
const DEPTH: usize = 4;
/// Who sends what nobody waits for.
const NOBODY: &str = "none";
/// Versions that both sides may agree on: TLS 1.0 to 1.2.
const VERSIONS: core::ops::RangeInclusive<u64> = 0x0301..=0x0303;

/// Does what a message says.
///
/// # Errors
/// `bad arg in system call` for one that there is not, and what is wrong with it.
pub(super) fn command(up: &Arc<Proc>, conversation: &Arc<Conversation>, text: &str) -> Result<()> {
    let mut words = [""; 6];
    let mut count = 0;
    for word in text.split_ascii_whitespace() {
        *words.get_mut(count).ok_or(error::EBADARG)? = word;
        count += 1;
    }
    match (words[0], count) {
        ("", _) => Err("short control request".into()),
        ("fd", 3) => begin(up, conversation, words[1], words[2]),
        ("fd", _) => Err("usage: fd open-fd version".into()),
        ("version", 2) => agree(conversation, words[1]),
        ("version", _) => Err("usage: version vers".into()),
        ("secret", 5) => {
            let is_client = number(words[3])? != 0;
            secret(conversation, Suite::of(words[1], words[2])?, is_client, words[4])
        }
        ("secret", _) => Err("usage: secret hashalg encalg isclient secretdata".into()),
        ("changecipher", 1) => {
            if conversation.state.lock().next_out.is_none() {
                return Err("cannot change cipher spec without setting secret".into());
            }
            conversation.send_record(up, kind::CHANGE_CIPHER, &[1])
        }
        ("changecipher", _) => Err("usage: changecipher".into()),
        ("opened", 1) => open(conversation),
        ("opened", _) => Err("usage: opened".into()),
        ("alert", 2) => {
            let number = u8::try_from(number(words[1])?).map_err(|_| error::EBADARG)?;
            tell(up, conversation, number)
        }
        ("alert", _) => Err("usage: alert n".into()),
        ("hangup", 1) => tell(up, conversation, alert::CLOSE_NOTIFY),
        // What happens is told nowhere.
        ("debug", 1 | 2) => Ok(()),
        _ => Err(error::EBADARG.into()),
    }
}

/// A number as C writes it.
fn number(word: &str) -> Result<u64> {
    let parsed = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => word.parse(),
    };
    parsed.map_err(|_| error::EBADARG.into())
}

fn version(word: &str) -> Result<u16> {
    let version = number(word)?;
    if VERSIONS.contains(&version) { Ok(version as u16) } else { Err("unsupported version".into()) }
}

fn begin(up: &Arc<Proc>, conversation: &Arc<Conversation>, fd: &str, vers: &str) -> Result<()> {
    let version = version(vers)?;
    let fd = fd.parse::<i32>().map_err(|_| error::EBADARG)?;
    if conversation.depth().is_some() {
        return Err(error::EINUSE.into());
    }
    let chan = fgrp::fd_to_chan(up, fd, None)?;
    fgrp::check_transfer(&chan, abi::ORDWR)?;
    if chan.qid.is_dir() || chan.qid.kind & abi::QTAUTH != 0 {
        return Err(error::EBADUSEFD.into());
    }
    let depth = depth_of(&chan)?;
    if conversation.shared.sender.get().is_none() {
        let sender = create::kernel_process(&up.kernel, "tls")?;
        *sender.user.lock() = NOBODY.into();
        conversation.shared.sender.call_once(|| sender);
    }
    conversation.begin(chan, depth, version)
}

/// How many conversations a channel goes through. Each has its own channel before it can be another one's, so that none
/// goes through itself, and there are not many.
fn depth_of(chan: &Chan) -> Result<usize> {
    match super::of(chan) {
        None => Ok(0),
        Some(below) => match below.depth() {
            Some(depth) if depth + 1 < DEPTH => Ok(depth + 1),
            Some(_) => Err(error::EINUSE.into()),
            None => Err("tls improperly configured".into()),
        },
    }
}

fn agree(conversation: &Conversation, vers: &str) -> Result<()> {
    let version = version(vers)?;
    if conversation.depth().is_none() {
        return Err("must set fd before version".into());
    }
    let mut state = conversation.state.lock();
    if state.is_agreed {
        drop(state);
        return Err("version already set".into());
    }
    (state.version, state.is_agreed) = (version, true);
    Ok(())
}

fn secret(conversation: &Conversation, suite: Suite, is_client: bool, text: &str) -> Result<()> {
    if !conversation.state.lock().is_agreed {
        return Err("must set fd and version before secrets".into());
    }
    let mut bytes = base64(text)?;
    let made = suite.split(&bytes).and_then(|[client, server]| {
        let (out, from) = if is_client { (client, server) } else { (server, client) };
        let wrong = |_: Bad| Error::from(error::EBADARG);
        Ok((Sealer::new(suite, out).map_err(wrong)?, Opener::new(suite, from).map_err(wrong)?))
    });
    forget(&mut bytes);
    let (sealer, opener) = made?;
    let (out, from) = (Box::new(sealer), Box::new(opener));
    let mut state = conversation.state.lock();
    let old = (state.next_out.replace(out), state.next_in.replace(from));
    drop(state);
    drop(old);
    Ok(())
}

/// Overwrites what nobody is to find in memory later.
pub(super) fn forget(bytes: &mut [u8]) {
    bytes.fill(0);
    black_box(bytes);
}

fn open(conversation: &Conversation) -> Result<()> {
    let done = {
        let mut state = conversation.state.lock();
        if state.suite_in.is_none() || state.suite_out.is_none() {
            Err("cipher must be configured before enabling data messages".into())
        } else if matches!(state.phase, Phase::Handshake | Phase::Open) {
            (state.phase, state.is_opened) = (Phase::Open, true);
            Ok(())
        } else {
            Err("cannot enable data messages".into())
        }
    };
    conversation.changed.wakeup();
    done
}

fn tell(up: &Arc<Proc>, conversation: &Arc<Conversation>, number: u8) -> Result<()> {
    let phase = {
        let state = conversation.state.lock();
        state.phase
    };
    if conversation.depth().is_none() {
        return Err("must set fd before sending alerts".into());
    }
    if phase.may_send() {
        conversation.send_record(up, kind::ALERT, &alert::message(number))?;
    }
    {
        let mut state = conversation.state.lock();
        if alert::is_fatal(number) {
            state.fail(alert::text(number).unwrap_or("tls unknown alert"));
        } else if number == alert::CLOSE_NOTIFY {
            state.close_side(Phase::LocalClosed);
        }
    }
    conversation.changed.wakeup();
    Ok(())
}

/// The text of a message.
///
/// # Errors
/// `bad arg in system call` when it is none.
pub(super) fn text(bytes: &[u8]) -> Result<&str> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    core::str::from_utf8(bytes).map_err(|_| error::EBADARG.into())
}
