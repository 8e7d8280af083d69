//! Reading a port: what has come, from as many of the device's buffers as there are and the reader has room for.

use super::state::State;
use super::{Port, queues};
use io::port::Room;
use machine::sync::Interrupted;

impl Port {
    /// Waits for bytes: how many have come. None when the connection is over.
    ///
    /// # Errors
    /// When the caller is interrupted before something has come.
    pub fn wait(&self, connection: u64) -> Result<usize, Interrupted> {
        let mut there = 0;
        self.arrived.sleep_intr(|| {
            let (over, notify) = {
                let mut state = self.state.lock();
                let mut notify = false;
                while state.inbox.front().is_some_and(|r| r.connection < connection) {
                    notify |= state.drop_front();
                }
                there = state.inbox.bytes(connection);
                (!state.present || state.connection != connection, notify)
            };
            self.told_of_room(notify);
            over || there != 0
        })?;
        Ok(there)
    }

    /// Takes what is there, as much as there is room for.
    pub fn take(&self, connection: u64, room: &mut Room<'_>) -> usize {
        let _whole = self.taking.lock();
        let most = room.len();
        let (mut done, mut notify) = (0, false);
        // The Lock is held for one buffer at a time: interrupts wait that long.
        while done < most {
            let mut state = self.state.lock();
            let State { inbox, memory: Some(memory), .. } = &mut *state else { break };
            let Some(front) = inbox.front().filter(|r| r.connection == connection) else { break };
            let n = (front.len - front.at).min(most - done);
            if let Some(buffer) = memory.receive.get(front.buffer) {
                room.copy_from(done, buffer, front.at, n);
            }
            front.at += n;
            done += n;
            if front.at == front.len {
                notify |= state.drop_front();
            }
        }
        self.told_of_room(notify);
        done
    }

    /// Tells the device that it has buffers back, when it wants to hear of it.
    fn told_of_room(&self, wanted: bool) {
        if wanted {
            self.transport.notify(queues(self.number).0);
        }
    }
}
