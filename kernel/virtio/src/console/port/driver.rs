//! What the driver of the device does with a port: it comes and goes, and so does its host.

use super::state::{BUFFERS, Memory, Sent};
use super::{Port, State, queues};
use crate::Failure;
use crate::console::inbox::Inbox;
use crate::ring::RuleBroken;
use alloc::string::String;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use machine::OutOfMemory;
use machine::heap;

/// Bytes have come.
const ARRIVED: u8 = 1;
/// Pieces have come back.
const SENT: u8 = 2;
/// The port or its host has come or gone.
const CHANGED: u8 = 4;

impl Port {
    /// Bytes received and sent.
    pub(in crate::console) fn moved(&self) -> (u64, u64) {
        (self.bytes_in.load(Relaxed), self.bytes_out.load(Relaxed))
    }

    /// Takes back what the device has filled and what it has sent; whether it had filled anything. Nobody has that
    /// before [`Port::settle`].
    pub(in crate::console) fn collect(&self) -> bool {
        if !self.live.load(Relaxed) {
            return false;
        }
        let mut state = self.state.lock();
        self.take_sent(&mut state);
        let mut any = false;
        loop {
            match state.receive.pop() {
                Ok(Some((buffer, 0))) => state.idle.push(buffer),
                Ok(Some((buffer, len))) => {
                    self.bytes_in.fetch_add(u64::from(len), Relaxed);
                    let connection = state.connection;
                    state.inbox.push(buffer, len as usize, connection);
                }
                Ok(None) => return any,
                Err(RuleBroken(how)) => {
                    self.alarm.raise(how);
                    return any;
                }
            }
            any = true;
        }
    }

    /// Takes back what the device has sent, and what it has lost.
    fn take_sent(&self, state: &mut State) {
        loop {
            match state.transmit.pop() {
                Ok(Some((buffer, _))) => {
                    let lost = state.sent.take(buffer);
                    while state.transmit.give_up(|n| lost & (1 << n) != 0).is_some() {}
                    self.news.fetch_or(SENT, SeqCst);
                }
                Ok(None) => return,
                Err(RuleBroken(how)) => return self.alarm.raise(how),
            }
        }
    }

    /// Lets the readers have what was collected, and the device what was gathered if it has room again: not before it
    /// is known whether its host has left.
    pub(in crate::console) fn settle(&self) {
        if !self.live.load(Relaxed) {
            return;
        }
        let mut state = self.state.lock();
        state.give_filling_if_idle();
        if state.inbox.settle() {
            self.news.fetch_or(ARRIVED, SeqCst);
        }
    }

    /// Wakes those whom it concerns that something was taken from the device. May be called from an interrupt handler.
    pub(in crate::console) fn wake_concerned(&self) {
        if self.news.load(Relaxed) == 0 {
            return;
        }
        let news = self.news.swap(0, SeqCst);
        if news & CHANGED != 0 {
            return self.wake();
        }
        if news & ARRIVED != 0 {
            self.arrived.wakeup();
        }
        if news & SENT != 0 {
            self.tell();
            self.sent.wakeup();
        }
    }

    /// Wakes whoever waits here, to look again.
    fn wake(&self) {
        self.arrived.wakeup();
        self.sent.wakeup();
        let watcher = self.watcher.lock().clone();
        if let Some(told) = watcher {
            told();
        }
    }

    /// The port is there: gives the device its buffers. With `connected`, the host is there for ever; only a console is
    /// like that.
    pub(in crate::console) fn appear(&self, connected: bool) -> Result<(), OutOfMemory> {
        self.live.store(true, Relaxed);
        let fresh = if self.state.lock().memory.is_none() { Some(Memory::new()?) } else { None };
        let inbox = Inbox::new(BUFFERS)?;
        let idle = heap::try_collect(0..BUFFERS)?;
        {
            let mut state = self.state.lock();
            if let Some(memory) = fresh {
                state.memory = Some(memory);
                state.inbox = inbox;
                state.idle = idle;
            }
            state.present = true;
            // The host may have come before.
            state.connected |= connected;
            state.console |= connected;
            state.post();
        }
        self.transport.notify(queues(self.number).0);
        self.wake();
        Ok(())
    }

    /// The port has gone.
    pub(in crate::console) fn vanish(&self) {
        {
            let mut state = self.state.lock();
            state.end();
            state.present = false;
            state.label = None;
            state.told = false;
            state.doubted = false;
        }
        self.wake();
    }

    /// The host has connected, or left. Who waits is woken by [`Port::wake_concerned`]. The device says it once each
    /// time, and when it is asked: of one that comes and was there already, it has forgotten to say that the last one
    /// left.
    pub(in crate::console) fn host_is(&self, connected: bool) {
        self.news.fetch_or(CHANGED, SeqCst);
        let mut state = self.state.lock();
        if connected {
            if state.asked.is_some() {
                state.asked = Some(true);
            } else if state.connected {
                state.end();
            }
            state.connected = true;
            let connection = state.connection;
            state.inbox.begin(connection);
        } else {
            state.end();
        }
    }

    /// What is known of the host may be wrong.
    pub(in crate::console) fn doubt(&self) {
        let mut state = self.state.lock();
        state.doubted = state.present;
    }

    /// Whether the device has to be asked for the host. It counts as asked.
    pub(in crate::console) fn to_ask(&self) -> bool {
        core::mem::take(&mut self.state.lock().doubted)
    }

    /// The device is about to be asked for the host.
    pub(in crate::console) fn ask(&self) {
        self.state.lock().asked = Some(false);
    }

    /// All that it answers has been heard. If that is `is_sure`, a host of which it said nothing has left.
    pub(in crate::console) fn answered(&self, is_sure: bool) {
        let mut state = self.state.lock();
        if state.asked.take() == Some(false) && is_sure && state.connected {
            self.news.fetch_or(CHANGED, SeqCst);
            state.end();
        }
    }

    /// It is for a console.
    pub(in crate::console) fn be_console(&self) {
        self.state.lock().console = true;
    }

    /// The host calls it `label`.
    pub(in crate::console) fn name_it(&self, label: String) {
        let label = if label.is_empty() { None } else { Some(label) };
        let old = core::mem::replace(&mut self.state.lock().label, label);
        drop(old);
    }

    /// Whether the device has to be told that the port is open. It counts as told.
    pub(in crate::console) fn to_tell(&self) -> bool {
        let mut state = self.state.lock();
        let tell = state.opened && state.present && !state.told;
        state.told |= tell;
        tell
    }

    /// The device has been reset and has no buffer any more.
    pub(in crate::console) fn forget(&self) {
        {
            let mut state = self.state.lock();
            state.end();
            state.present = false;
            state.told = false;
            state.doubted = false;
            let State { inbox, idle, receive, .. } = &mut *state;
            idle.extend(inbox.drain());
            while let Some(buffer) = receive.abandon() {
                idle.push(buffer);
            }
            state.receive.clear();
            state.transmit.clear();
            state.sent = Sent::default();
            state.filling = None;
            state.untold = false;
        }
        self.wake();
    }

    /// Gives the device the rings, which are empty.
    pub(in crate::console) fn start(&self) -> Result<(), Failure> {
        let (receive, transmit) = {
            let state = self.state.lock();
            (state.receive.address(), state.transmit.address())
        };
        let (r, t) = queues(self.number);
        self.transport.queue_start(r, &receive)?;
        self.transport.queue_start(t, &transmit)
    }
}
