//! An interface whose other end is a program (`bind pkt`): it reads what the machine sends by it, a packet of IP each,
//! and writes what is to come. What is sent while no program has the file open, or does not read, is lost, as on any
//! wire. Checksums are made here, and what is too long for the interface is cut.

use alloc::sync::Arc;

use machine::heap;
use machine::ledger::as_kernel;

use crate::copies::Copies;
use crate::cut;
use crate::ifc::chance;
use crate::pieces;
use crate::sums;
use crate::talk::Goes;

/// The largest packet of such an interface, unless it is said.
pub(crate) const MTU: usize = 4096;

/// See the module comment.
pub(crate) struct Program {
    /// What waits for the program.
    pub(crate) reads: Arc<Copies>,
    /// What tells the pieces of one packet from those of others.
    number: u32,
}

impl Program {
    pub(crate) fn new() -> Program {
        Program { reads: Copies::new(None), number: chance() as u32 }
    }

    /// Sends a packet whose checksum of UDP is not made; whether somebody may read it.
    pub(crate) fn send(&mut self, packet: &mut [u8], mtu: usize) -> bool {
        if let Some(place) = sums::place(packet) {
            sums::finish(packet, place);
        }
        if packet.len() <= mtu {
            return self.give(&[packet]);
        }
        self.number = self.number.wrapping_add(1);
        pieces::cut(packet, mtu, self.number, |head, data| self.give(&[head, data]))
    }

    /// Sends what a connection says, whose checksum is not made; whether somebody may read it.
    pub(crate) fn say(&self, said: &mut Goes<'_>) -> bool {
        let (start, data) = (said.head.start, said.data);
        if data.len() > said.mss {
            return cut::each(said.head.bytes(), start, &data, said.mss, |head, data| {
                self.give_behind(head, data.pieces())
            });
        }
        let sum = sums::of_pieces(said.head.bytes(), start, data.pieces());
        sums::put(said.head.bytes_mut(), start + sums::TCP_FIELD, sum);
        self.give_behind(said.head.bytes(), data.pieces())
    }

    fn give_behind(&self, head: &[u8], data: &[&[u8]]) -> bool {
        let len = head.len() + data.iter().map(|piece| piece.len()).sum::<usize>();
        let whole = as_kernel(|| {
            let mut whole = heap::try_vec(len)?;
            whole.extend_from_slice(head);
            data.iter().for_each(|piece| whole.extend_from_slice(piece));
            Ok::<_, machine::OutOfMemory>(whole)
        });
        whole.is_ok_and(|whole| self.give(&[&whole]))
    }

    fn give(&self, packet: &[&[u8]]) -> bool {
        if !self.reads.is_read() {
            return false;
        }
        match packet {
            [whole] => self.reads.put(whole),
            pieces => {
                let joined = as_kernel(|| {
                    let mut whole = heap::try_vec(pieces.iter().map(|piece| piece.len()).sum())?;
                    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
                    Ok::<_, machine::OutOfMemory>(whole)
                });
                // Without memory it is lost.
                joined.iter().for_each(|whole| self.reads.put(whole));
            }
        }
        true
    }
}
