//! The card: a queue of frames that come, and what is remembered of those that the stack sent, so that frames that
//! come next fit to them.

use std::collections::VecDeque;

use machine::host::heap::aside;
use net::join::{Growing, Piece};
use net::{Came, Open};
use parking_lot::Mutex;

use super::frame::{self, ACK, Flow, RST, SYN};

/// The stack's card.
pub const OURS: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
/// The card of everybody else.
pub const THEIRS: [u8; 6] = [0x52, 0x55, 0x0a, 0, 2, 2];
/// Frames that the stack may send for one thing that happens: more are without an end.
const MOST_SENT: usize = 20_000;
/// Flows that are remembered.
const MOST_FLOWS: usize = 32;

/// What the other side does when it is called.
#[derive(Clone, Copy, Default)]
pub struct Reaction {
    /// The flags of its answer; none is silence.
    pub flags: u8,
    /// How far what it acknowledges is off.
    pub off: u32,
    /// Bytes that come with the answer.
    pub bytes: usize,
}

/// What has become of a card.
#[derive(Default)]
pub struct State {
    pub come: VecDeque<Vec<u8>>,
    pub sent: usize,
    pub flows: Vec<Flow>,
    /// The last packet of IP that the stack sent, for messages about it.
    pub last: Vec<u8>,
    pub reaction: Reaction,
    /// Whoever is asked for its card answers.
    pub answers: bool,
    /// Bytes that are sent by this flow are kept.
    pub watched: Option<Flow>,
    pub heard: Vec<u8>,
}

/// See the module comment.
#[derive(Default)]
pub struct Card(pub Mutex<State>);

impl net::Card for Card {
    fn mac(&self) -> [u8; 6] {
        OURS
    }

    fn mtu(&self) -> usize {
        1500
    }

    fn receive(&self) -> Option<Came> {
        let mut state = self.0.lock();
        let bytes = state.come.pop_front()?;
        let copy = aside(|| bytes.clone());
        let piece = Piece::of(&bytes, false);
        let mut frame = Growing::new(copy, piece.is_some(), piece.as_ref());
        // As the kernel joins what comes together.
        while let Some(next) = state.come.front() {
            let Some(piece) = Piece::of(next, false) else { break };
            if frame.is_superseded_by(&piece) {
                frame.supersede(&piece);
            } else if !frame.is_followed_by(&piece) || frame.join(&piece).is_err() {
                break;
            }
            state.come.pop_front();
        }
        Some(frame.done())
    }

    fn dropped(&self) -> u64 {
        0
    }

    fn send(&self, frame: &[&[u8]], _open: Open) -> bool {
        aside(|| self.0.lock().sent(&frame.concat()));
        true
    }
}

impl State {
    fn sent(&mut self, sent: &[u8]) {
        self.sent += 1;
        assert!(self.sent < MOST_SENT, "the stack does not stop to send");
        assert!((14..=1514).contains(&sent.len()), "a frame of {} bytes", sent.len());
        let packet = &sent[14..];
        match sent[12..14] {
            [8, 6] if self.answers && packet.get(6..8) == Some(&[0, 1]) => {
                self.come.push_back(frame::arp(2, (THEIRS, &packet[24..28]), (OURS, &packet[14..18])));
            }
            [0x86, 0xdd] if self.answers && packet[6] == 58 && packet.get(40) == Some(&135) => {
                let (asked, asks) = (packet[48..64].to_vec(), packet[8..24].to_vec());
                let mut rest = vec![136, 0, 0, 0, 0x60, 0, 0, 0];
                rest.extend(&asked);
                rest.extend([2, 1]);
                rest.extend(THEIRS);
                frame::set_sum(58, &asked, &asks, &mut rest, 2);
                self.come.push_back(frame::ethernet(OURS, 255, 58, &asked, &asks, &rest));
            }
            [8, 0] | [0x86, 0xdd] => self.sent_packet(packet),
            _ => {}
        }
    }

    fn sent_packet(&mut self, packet: &[u8]) {
        self.last = packet.to_vec();
        let Some((flow, flags, data)) = Flow::of(packet) else { return };
        let same = |f: &Flow| f.is_same(&flow);
        match self.flows.iter().position(same) {
            Some(at) => self.flows[at] = flow.clone(),
            None if self.flows.len() < MOST_FLOWS => self.flows.push(flow.clone()),
            None => {}
        }
        if self.watched.as_ref().is_some_and(same) {
            self.heard.extend(data);
            self.watched = Some(flow.clone());
        }
        if flags & (SYN | ACK) == SYN && self.reaction.flags != 0 {
            let Reaction { flags, off, bytes } = self.reaction;
            let ack = if flags & (ACK | RST) == 0 { 0 } else { flow.theirs.wrapping_add(off) };
            let rest = frame::tcp(&flow, 1000, ack, flags, 8000, &[], &vec![b'r'; bytes]);
            self.come.push_back(frame::ethernet(OURS, 64, 6, &flow.to, &flow.from, &rest));
            if flags & (SYN | ACK) == SYN {
                // Both have called: what follows is the answer to theirs.
                let rest = frame::tcp(&flow, 1001, ack, ACK, 8000, &[], &[]);
                self.come.push_back(frame::ethernet(OURS, 64, 6, &flow.to, &flow.from, &rest));
            }
        }
    }
}
