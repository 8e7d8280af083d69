//! Records as they come and go: what each kind of them does to a conversation.
//!
//! Whoever is here has a turn and holds no lock. See [`conversation`](super::conversation).

use alloc::boxed::Box;
use alloc::sync::Arc;

use abi::error;
use machine::heap::{self, Call};
use machine::sync::Patience;
use machine::{clock, thread};

use super::alert;
use super::conversation::{Conversation, kind};
use super::seal::{ADDED_MOST, HEAD, Head, PLAIN_MOST, SEALED_MOST, plain};
use super::state::{Input, Output, Phase, Piece};
use crate::error::{Error, Result};
use crate::mem::iobuf::{Dst, Src};
use crate::proc::process::Proc;

/// Versions that records may have before both sides have agreed on one: clients begin with an old one.
const VERSIONS: core::ops::RangeInclusive<u16> = 0x0300..=0x03ff;
/// How long who closes a conversation waits for the goodbye to be sent, and how long when the other side of another
/// one of that user has just not taken it.
const GOODBYE_NS: u64 = 1_000_000_000;
const SHORT_GOODBYE_NS: u64 = 10_000_000;
/// How long an alert waits for its turn.
const ALERT_NS: u64 = 1_000_000_000;
/// How long a keeper waits for memory before it asks again.
const AGAIN_NS: u64 = 20_000_000;

impl Conversation {
    /// Brings the conversation a step on: reads more of the channel, or takes a record that is there whole.
    ///
    /// # Errors
    /// `interrupted` and `kernel allocate failed`, after which it goes on as if nothing had been; anything else is the
    /// end of the conversation.
    pub(super) fn step(self: &Arc<Self>, up: &Arc<Proc>, input: &mut Input) -> Result<()> {
        let have = input.bytes.get(input.at..input.end).unwrap_or(&[]);
        let Some((head, _)) = have.split_first_chunk::<HEAD>() else {
            return self.read_more(up, input);
        };
        let [kind, a, b, c, d] = *head;
        let head = Head { kind, version: u16::from_be_bytes([a, b]) };
        let len = usize::from(u16::from_be_bytes([c, d]));
        let (version, is_agreed) = {
            let state = self.state.lock();
            (state.version, state.is_agreed)
        };
        if head.version != version && (is_agreed || !VERSIONS.contains(&head.version)) {
            return Err(self.fail(up, alert::PROTOCOL_VERSION, "record of another version"));
        }
        let most = if input.opener.is_some() { SEALED_MOST } else { PLAIN_MOST };
        if len == 0 || len > most {
            return Err(self.fail(up, alert::RECORD_OVERFLOW, "bad record message length"));
        }
        if have.len() < HEAD + len {
            return self.read_more(up, input);
        }
        self.take_record(up, input, head, len)
    }

    fn read_more(&self, up: &Arc<Proc>, input: &mut Input) -> Result<()> {
        if input.at != 0 {
            input.bytes.copy_within(input.at..input.end, 0);
            (input.at, input.end) = (0, input.end - input.at);
        }
        let chan = self.channel()?;
        let room = input.bytes.get_mut(input.end..).unwrap_or(&mut []);
        let most = room.len();
        match chan.dev.read(up, &chan, &mut Dst::Kernel(room), input.offset) {
            Ok(n) if n > 0 => {
                input.end += n.min(most);
                input.offset += n as u64;
                Ok(())
            }
            Ok(_) => Err(self.lose_channel(error::EHUNGUP.into())),
            Err(e) if is_for_now(&e) => Err(e),
            Err(e) => Err(self.lose_channel(e)),
        }
    }

    /// The channel has failed, and so has the conversation.
    fn lose_channel(&self, e: Error) -> Error {
        self.state.lock().fail("channel error");
        self.changed.wakeup();
        e
    }

    fn take_record(
        self: &Arc<Self>,
        up: &Arc<Proc>,
        input: &mut Input,
        head: Head,
        len: usize,
    ) -> Result<()> {
        // Before anything has changed.
        let mut kept = heap::try_vec(len)?;
        let from = input.at + HEAD;
        let body = input.bytes.get_mut(from..from + len).unwrap_or(&mut []);
        let opened = match &mut input.opener {
            Some(opener) => opener.open(head, body),
            None => Ok(0..len),
        };
        input.at = from + len;
        let Ok(range) = opened else {
            return Err(self.fail(up, alert::BAD_RECORD_MAC, "record mac mismatch"));
        };
        let bytes = body.get(range).unwrap_or(&[]);
        if bytes.len() > PLAIN_MOST {
            return Err(self.fail(up, alert::RECORD_OVERFLOW, "bad record message length"));
        }
        match head.kind {
            kind::CHANGE_CIPHER => {
                if *bytes != [1] {
                    return Err(self.fail(up, alert::DECODE_ERROR, "invalid change cipher spec"));
                }
                let old = {
                    let mut state = self.state.lock();
                    match state.next_in.take() {
                        Some(next) => {
                            state.suite_in = Some(next.suite);
                            Some(input.opener.replace(next))
                        }
                        None => None,
                    }
                };
                match old {
                    Some(_) => Ok(()),
                    None => Err(self.fail(up, alert::UNEXPECTED_MESSAGE, "unexpected change cipher spec")),
                }
            }
            kind::ALERT => match *bytes {
                [level, number] => self.take_alert(up, level, number),
                _ => Err(self.fail(up, alert::DECODE_ERROR, "invalid alert")),
            },
            kind::HANDSHAKE => {
                kept.extend_from_slice(bytes);
                let added = {
                    let mut state = self.state.lock();
                    state.add_hand(kept).map(|added| added || !state.is_agreed)
                };
                match added {
                    Ok(true) => {
                        self.changed.wakeup();
                        Ok(())
                    }
                    // Nobody handshakes here any more.
                    Ok(false) => self.send_alert(up, alert::NO_RENEGOTIATION),
                    Err(_) => Err(self.fail(up, alert::INTERNAL_ERROR, "too many handshake messages")),
                }
            }
            kind::DATA => {
                kept.extend_from_slice(bytes);
                let is_opened = {
                    let mut state = self.state.lock();
                    if state.is_opened && !kept.is_empty() {
                        state.data = Some(Piece { bytes: core::mem::take(&mut kept), at: 0 });
                    }
                    state.is_opened
                };
                if !is_opened {
                    let why = "application message received before handshake completed";
                    return Err(self.fail(up, alert::UNEXPECTED_MESSAGE, why));
                }
                self.changed.wakeup();
                Ok(())
            }
            _ => Err(self.fail(up, alert::ILLEGAL_PARAMETER, "invalid record message")),
        }
    }

    fn take_alert(self: &Arc<Self>, up: &Arc<Proc>, level: u8, number: u8) -> Result<()> {
        {
            let mut state = self.state.lock();
            match (level, number) {
                (2, number) => {
                    let says = alert::text(number).unwrap_or("unknown error");
                    let is_opened = state.fail(says);
                    drop(state);
                    self.changed.wakeup();
                    return Err(if is_opened { "tls error".into() } else { says.into() });
                }
                (1, alert::CLOSE_NOTIFY) => state.close_side(Phase::RemoteClosed),
                (1, alert::NO_RENEGOTIATION) => state.tell_hand("no renegotiation"),
                (1, alert::USER_CANCELED) => state.tell_hand("handshake canceled by user"),
                (1, alert::UNRECOGNIZED_NAME) => {}
                _ => {
                    drop(state);
                    return Err(self.fail(up, alert::ILLEGAL_PARAMETER, "invalid alert"));
                }
            }
        }
        self.changed.wakeup();
        Ok(())
    }

    /// What has come is wrong: that is the end, and the other side is told so if it listens. Gives what the call that
    /// has found it says.
    fn fail(self: &Arc<Self>, up: &Arc<Proc>, number: u8, why: &'static str) -> Error {
        let is_opened = self.state.lock().fail(alert::text(number).unwrap_or(why));
        self.changed.wakeup();
        let _ = self.send_alert(up, number);
        if is_opened { "tls error".into() } else { why.into() }
    }

    /// Sends an alert, whatever the conversation is at; not if somebody else's record does not get out.
    ///
    /// # Errors
    /// `interrupted`; what the channel says.
    pub(super) fn send_alert(self: &Arc<Self>, up: &Arc<Proc>, number: u8) -> Result<()> {
        let mut output = None;
        let deadline = clock::now_ns().saturating_add(ALERT_NS);
        let turn = self.changed.sleep_until(deadline, || {
            output = self.state.lock().output.take();
            output.is_some()
        });
        match output {
            Some(output) => self.put(up, output, kind::ALERT, &alert::message(number)),
            None if turn == Err(machine::Wake::Interrupted) => Err(error::EINTR.into()),
            None => Ok(()),
        }
    }

    /// Sends a record of a kind that is allowed now.
    ///
    /// # Errors
    /// `interrupted`, when it was not sent; `tls hungup` and its like; what the channel says.
    pub(super) fn send_record(self: &Arc<Self>, up: &Arc<Proc>, kind: u8, body: &[u8]) -> Result<()> {
        let (mut output, mut refused) = (None, None);
        self.changed.sleep_intr(|| {
            let mut state = self.state.lock();
            let may = match kind {
                kind::DATA => state.phase == Phase::Open,
                _ => state.phase.may_send(),
            };
            if may {
                output = state.output.take();
            } else {
                refused = Some(state.refusal(kind != kind::DATA));
            }
            output.is_some() || refused.is_some()
        })?;
        match (output, refused) {
            (Some(output), _) => self.put(up, output, kind, body),
            (None, refused) => Err(refused.unwrap_or(error::EHUNGUP.into())),
        }
    }

    /// Seals a record and sends it. The turn goes back when it is out.
    fn put(self: &Arc<Self>, up: &Arc<Proc>, mut output: Box<Output>, kind: u8, body: &[u8]) -> Result<()> {
        let sealed = self.seal(&mut output, kind, body);
        let sent = sealed.and_then(|()| self.write_out(up, &mut output));
        match sent {
            // Nobody can send a part of it again, so it counts as sent.
            Err(e) if is_for_now(&e) && output.at < output.record.len() => {
                if !self.keep(output) {
                    return Err(self.lose_channel(e));
                }
                Ok(())
            }
            sent => {
                self.give_back(output);
                sent
            }
        }
    }

    fn give_back(&self, mut output: Box<Output>) {
        output.record.clear();
        output.at = 0;
        self.state.lock().output = Some(output);
        self.changed.wakeup();
    }

    fn seal(&self, output: &mut Output, kind: u8, body: &[u8]) -> Result<()> {
        heap::try_reserve(&mut output.record, HEAD + body.len() + ADDED_MOST)?;
        let (head, next) = {
            let mut state = self.state.lock();
            let next = if kind == kind::CHANGE_CIPHER { state.next_out.take() } else { None };
            state.suite_out = next.as_ref().map_or(state.suite_out, |next| Some(next.suite));
            (Head { kind, version: state.version }, next)
        };
        if kind == kind::CHANGE_CIPHER && next.is_none() {
            return Err("change cipher without a new cipher".into());
        }
        match &mut output.sealer {
            Some(sealer) => {
                sealer.seal(head, body, &mut output.record).map_err(|_| Error::from("tls error"))?;
            }
            None => plain(head, body, &mut output.record),
        }
        if next.is_some() {
            output.sealer = next;
        }
        Ok(())
    }

    /// Writes what is left of a record.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    fn write_out(&self, up: &Arc<Proc>, output: &mut Output) -> Result<()> {
        let chan = self.channel()?;
        while let Some(rest) = output.record.get(output.at..).filter(|rest| !rest.is_empty()) {
            match chan.dev.write(up, &chan, &Src::Kernel(rest), output.offset) {
                Ok(n) if n > 0 => {
                    output.at += n;
                    output.offset += n as u64;
                }
                Ok(_) => return Err(self.lose_channel(error::EHUNGUP.into())),
                Err(e) if is_for_now(&e) => return Err(e),
                Err(e) => return Err(self.lose_channel(e)),
            }
        }
        Ok(())
    }

    /// Has a thread send what is left of a record. False when there is no memory for one; the turn is lost then.
    fn keep(self: &Arc<Self>, output: Box<Output>) -> bool {
        let Some(sender) = self.shared.sender.get().cloned() else { return false };
        let me = self.clone();
        let body = move || {
            let _call = Call::enter("keeper of a tls conversation");
            let mut output = output;
            loop {
                match me.write_out(&sender, &mut output) {
                    Err(e) if is_for_now(&e) && !thread::current().interrupted() => {
                        thread::park_until(clock::now_ns().saturating_add(AGAIN_NS));
                    }
                    Err(e) if is_for_now(&e) => break drop(me.lose_channel(e)),
                    _ => break,
                }
            }
            me.give_back(output);
        };
        let Ok(keeper) = thread::spawn("tls-write", 0, Box::new(body)) else { return false };
        let mut state = self.state.lock();
        // Unless it is done already.
        let old = if state.output.is_none() { state.keeper.replace(keeper) } else { None };
        drop(state);
        drop(old);
        true
    }

    /// Tells the other side that nothing more will come. Whoever closes the last file waits for that a moment, and not
    /// for an other side that takes nothing.
    pub(super) fn say_goodbye(self: &Arc<Self>) {
        let just = self.shared.silence.is_just(&self.user, clock::now_ns());
        let mut patience = Patience::new(if just { SHORT_GOODBYE_NS } else { GOODBYE_NS });
        let mut output = None;
        if self.waits(&mut patience, || {
            output = self.state.lock().output.take();
            output.is_some()
        }) && let Some(mut output) = output
            && self.seal(&mut output, kind::ALERT, &alert::message(alert::CLOSE_NOTIFY)).is_ok()
            && self.keep(output)
            && self.waits(&mut patience, || self.state.lock().output.is_some())
        {
            return;
        }
        self.shared.silence.note(&self.user, clock::now_ns());
        let keeper = self.state.lock().keeper.take();
        if let Some(keeper) = keeper {
            keeper.interrupt();
        }
    }

    /// Waits until `cond` or as long as patience lasts, whatever notes come.
    fn waits(&self, patience: &mut Patience, mut cond: impl FnMut() -> bool) -> bool {
        loop {
            if self.changed.sleep_surely_until(patience.nap(u64::MAX), &mut cond) {
                return true;
            }
            if patience.is_over() {
                return false;
            }
        }
    }
}

/// Whether the same may succeed later: a note came, or there was no memory.
fn is_for_now(e: &Error) -> bool {
    e.is_note() || e.is(error::ENOMEM) || e.is(error::ENOVMEM)
}
