//! What holds after every input: the machine can be called, and nothing is left of what was.

use net::address::parse;
use net::{Proto, text};

use super::card::{OURS, THEIRS};
use super::frame::{self, ACK, FIN, Flow, PSH, SYN};
use super::{MS, World};

impl World {
    /// Somebody calls, is heard and answered.
    pub fn is_answered(&mut self) {
        self.card.0.lock().answers = true;
        // Calls that were never complete give way, and those that wait are taken.
        self.time(3000 * MS, 100);
        while let Ok(call) = self.stack.listen(&self.listener) {
            self.stack.close(&call);
        }
        self.settle();
        let own = text::ifc_local(&self.stack, self.ifc as usize).unwrap();
        // The networks may be others, too, and a route may lead to the caller by who is nobody.
        self.stack.flush_routes(None);
        own.lines().for_each(|line| self.stack.remove_address(self.ifc, parse(line).unwrap()).unwrap());
        self.addresses();
        self.comes(frame::arp(2, (THEIRS, &[10, 0, 0, 1]), (OURS, &[10, 0, 0, 2])));
        let port = 61_000;
        let flow = flow(port);
        self.card.0.lock().watched = Some(flow.clone());
        self.comes(called(port, 0, SYN, &[]));
        self.settle();
        let answer = self.card.0.lock().watched.as_ref().map(|f| (f.ours, f.theirs));
        let Some((1, numbers)) = answer else {
            panic!("a call is not answered but by {answer:?}: {}", self.tells())
        };
        let says = |seq: u32, ack: u32, flags: u8, data: &[u8]| {
            let rest = frame::tcp(&flow, seq, ack, flags, 8000, &[], data);
            self.comes(frame::ethernet(OURS, 64, 6, &flow.to, &flow.from, &rest));
            self.settle();
        };
        says(1, numbers, ACK | PSH, b"question");
        let taken = self.stack.listen(&self.listener);
        let Ok(taken) = taken else { panic!("a call is not complete: {}", self.tells()) };
        assert_eq!(text::remote(&self.stack, &taken).unwrap(), format!("10.0.0.1!{port}\n"));
        assert_eq!(self.stack.read(&taken, 100).unwrap(), b"question");
        self.stack.write(&taken, b"answer").unwrap();
        self.settle();
        assert_eq!(self.card.0.lock().heard, b"answer", "what the caller hears");
        says(9, numbers.wrapping_add(6), ACK | FIN, b"");
        assert_eq!(self.stack.read(&taken, 100).unwrap(), b"");
        self.stack.close(&taken);
        self.settle();
        says(10, numbers.wrapping_add(7), ACK, b"");
        assert!(self.stack.get(Proto::Tcp, taken.number).is_none(), "it is over: {}", self.tells());
    }

    /// When all are closed, and nobody answers any more, nothing is left.
    pub fn is_over(&mut self) {
        self.open.drain(..).for_each(|c| self.stack.close(&c));
        self.stack.close(&self.listener);
        for _ in 0..10 {
            self.time(61_000 * MS, 500);
        }
        let mut left = 0;
        text::pools(&self.stack, &mut |_, count| left += count);
        assert_eq!(left, 0, "conversations are left: {}", self.tells());
    }

    /// What conversations there are.
    fn tells(&self) -> String {
        let mut all = String::new();
        for proto in Proto::ALL {
            let mut from = 0;
            // The first of them will do.
            while let Some(files) = self.stack.next(proto, from).filter(|_| all.len() < 4000) {
                from = files.shared.number + 1;
                let texts = [text::status, text::local, text::remote, text::error];
                let texts =
                    texts.map(|f| f(&self.stack, &files.shared).unwrap_or_default().replace('\n', " "));
                all += &format!("\n{} {} {}", proto.name(), from - 1, texts.concat());
            }
        }
        all
    }
}

/// The connection of a caller at this port to ours.
fn flow(port: u16) -> Flow {
    let (from, to) = (vec![10, 0, 0, 2], vec![10, 0, 0, 1]);
    Flow { from, to, from_port: 80, to_port: port, theirs: 0, ours: 0 }
}

/// A frame of this caller.
pub fn called(port: u16, seq: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    let flow = flow(port);
    let rest = frame::tcp(&flow, seq, 0, flags, 8000, &[], data);
    frame::ethernet(OURS, 64, 6, &flow.to, &flow.from, &rest)
}
