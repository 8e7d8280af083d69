//! Network cards: frames of Ethernet that are sent and that arrive.
//!
//! A card may finish what the kernel leaves open in a frame ([`Unfinished`]): the checksum of TCP or UDP, and the
//! cutting of much TCP into frames. What it can do it says in [`Features`]; nobody asks it for more.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

/// The address of a card.
pub type Mac = [u8; 6];

/// The address of all cards.
pub const BROADCAST: Mac = [0xff; 6];
/// Bytes of a frame before what it carries: two addresses and the type.
pub const HEADER: usize = 14;
/// Most bytes of a frame that a card cuts into others, header and all.
pub const UNCUT_MOST: usize = 65535;
/// Most pieces in which a frame may be given to [`Ether::send`].
pub const PIECES: usize = 8;

/// Whether this is the address of several cards.
pub fn is_group(mac: &Mac) -> bool {
    mac[0] & 1 != 0
}

/// What a card can do besides sending frames as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// It fills in checksums.
    pub checksum: bool,
    /// It cuts TCP over IPv4 into frames.
    pub cuts_v4: bool,
    /// It cuts TCP over IPv6 into frames.
    pub cuts_v6: bool,
    /// What arrives may be as long as [`UNCUT_MOST`]: several frames' TCP in one.
    pub joins: bool,
}

/// A checksum that is still to be made, as TCP and UDP have it. The field has the sum over the pseudo header already,
/// folded and not inverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// Where in the frame that begins which is summed up; it goes on to the end.
    pub start: usize,
    /// Where in the frame the field is.
    pub field: usize,
}

/// Which IP a TCP is carried by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip {
    /// Version 4.
    V4,
    /// Version 6.
    V6,
}

/// How TCP in a long frame is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// What carries it.
    pub ip: Ip,
    /// Bytes of all headers, that of Ethernet included: each frame has them.
    pub headers: usize,
    /// Bytes behind the headers of each frame but the last.
    pub payload: usize,
}

/// What the card has to do to a frame before it is sent. Nothing, by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// The checksum to be filled in; a frame that is to be cut has it.
    pub checksum: Option<Checksum>,
    /// How it is to be cut.
    pub cut: Option<Cut>,
}

/// What is known of the checksum of TCP or UDP in a frame that has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sum {
    /// Nothing: who reads it computes it.
    #[default]
    Unknown,
    /// It is right.
    Right,
    /// It has never been on a wire and was not made; the data are right. [`finish`] makes it.
    Missing(Checksum),
}

/// A frame that has come, header and all, without the wire's own checksum.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The frame, of at least [`HEADER`] bytes.
    pub bytes: &'a [u8],
    /// What is known of its checksum.
    pub sum: Sum,
}

impl Frame<'_> {
    /// Whom it is for.
    pub fn to(&self) -> Mac {
        self.bytes.first_chunk().copied().unwrap_or_default()
    }

    /// Whom it is from.
    pub fn from(&self) -> Mac {
        self.bytes.get(6..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
    }

    /// What it carries.
    pub fn kind(&self) -> u16 {
        self.bytes.get(12..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u16::from_be_bytes(*b))
    }
}

/// Makes the checksum of a frame. A place that the frame does not have changes nothing.
pub fn finish(frame: &mut [u8], checksum: Checksum) {
    let Some(summed) = frame.get(checksum.start..) else { return };
    let (words, rest) = summed.as_chunks::<2>();
    let words: u64 = words.iter().map(|w| u64::from(u16::from_be_bytes(*w))).sum();
    let mut sum = words + rest.first().map_or(0, |b| u64::from(*b) << 8);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // 0 would say that there is none, to UDP; both are the same sum.
    let sum = match !(sum as u16) {
        0 => 0xffff,
        sum => sum,
    };
    if let Some(field) = frame.get_mut(checksum.field..).and_then(|rest| rest.first_chunk_mut()) {
        *field = sum.to_be_bytes();
    }
}

/// Why a frame was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// There is no room now; [`Receiver::changed`] is called when there is.
    Full,
    /// It is too long or too short, in too many pieces, or wants more than the card can do.
    Malformed,
    /// The card has gone or does not work.
    Gone,
}

impl SendError {
    /// What a program is told.
    pub fn text(self) -> &'static str {
        match self {
            SendError::Full => "network output queue full",
            SendError::Malformed => "bad frame",
            SendError::Gone => "i/o on hungup channel",
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for SendError {}

/// What a card has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Frames that came, and their bytes.
    pub received: u64,
    /// Bytes of them.
    pub received_bytes: u64,
    /// Frames that were handed to the card.
    pub sent: u64,
    /// Bytes of them.
    pub sent_bytes: u64,
    /// What came and was no frame.
    pub input_errors: u64,
    /// Frames that were refused because there was no room.
    pub full: u64,
    /// How often the card was started afresh.
    pub resets: u64,
}

/// Who is told what happens at a card, always on the same thread of the driver.
pub trait Receiver: Send + Sync {
    /// A frame has come. The thread may wait here for a moment, never for something outside: meanwhile the card has
    /// only so many buffers.
    fn receive(&self, frame: &Frame<'_>);
    /// No more frames for now: those before came together.
    fn rest(&self) {}
    /// There may be room again after [`SendError::Full`], or the link came or went, or the card has gone.
    fn changed(&self) {}
}

/// A network card.
pub trait Ether: Send + Sync {
    /// Its name among the machine's devices, as `virtio-net-1`.
    fn name(&self) -> String;
    /// Its address.
    fn mac(&self) -> Mac;
    /// Most bytes that a frame carries behind its header.
    fn mtu(&self) -> usize;
    /// Whether a cable is in it.
    fn link(&self) -> bool;
    /// Millions of bits a second, when somebody has said so.
    fn mbps(&self) -> Option<u32>;
    /// Whether it works: what has gone does not come back.
    fn works(&self) -> bool;
    /// What it can do.
    fn features(&self) -> Features;
    /// Sends a frame, which is given in up to [`PIECES`] pieces, header first, and is copied. Never waits; any context
    /// but interrupts.
    ///
    /// # Errors
    /// When it is not sent: nothing of it is then.
    fn send(&self, frame: &[&[u8]], unfinished: Unfinished) -> Result<(), SendError>;
    /// Who is to be told; only the first one is.
    fn connect(&self, receiver: Arc<dyn Receiver>);
    /// What it has done.
    fn statistics(&self) -> Statistics;
    /// Says what else there is to be told of it, `name: value` in each line.
    ///
    /// # Errors
    /// When `out` is full.
    fn details(&self, _out: &mut dyn fmt::Write) -> fmt::Result {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A UDP packet of one byte from 10.0.2.15 to 10.0.2.2, as it is with RFC 768's sum.
    const UDP: [u8; 9] = [0x13, 0x88, 0x00, 0x35, 0x00, 0x09, 0, 0, 0x41];

    #[test]
    fn a_checksum_is_over_everything_to_the_end_and_an_odd_byte() {
        // The pseudo header: addresses, protocol 17, length 9.
        let pseudo: u32 = 0x0a00 + 0x020f + 0x0a00 + 0x0202 + 17 + 9;
        let mut frame = [&[0xee; 34][..], &UDP].concat();
        frame[40..42].copy_from_slice(&(pseudo as u16).to_be_bytes());
        finish(&mut frame, Checksum { start: 34, field: 40 });
        // By hand: 1388+0035+0009+4100 and 182b of the pseudo header make 6cf1, whose complement is 930e.
        assert_eq!(frame[40..42], [0x93, 0x0e]);
        assert_eq!(frame[..34], [0xee; 34]);
    }

    #[test]
    fn a_sum_of_zero_is_told_as_all_ones_and_bad_places_change_nothing() {
        let mut frame = [0xff, 0xff, 0, 0];
        finish(&mut frame, Checksum { start: 0, field: 2 });
        assert_eq!(frame, [0xff; 4]);
        for (start, field) in [(5, 0), (0, 3), (usize::MAX, usize::MAX)] {
            let mut frame = [1, 2, 3, 4];
            finish(&mut frame, Checksum { start, field });
            assert_eq!(frame, [1, 2, 3, 4]);
        }
    }

    #[test]
    fn the_header_tells_whom_it_is_for_and_what_it_carries() {
        let bytes = [1, 2, 3, 4, 5, 6, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x08, 0x06];
        let frame = Frame { bytes: &bytes, sum: Sum::Unknown };
        assert_eq!((frame.to(), frame.from()), ([1, 2, 3, 4, 5, 6], [0x52, 0x54, 0, 0x12, 0x34, 0x56]));
        assert_eq!((frame.kind(), is_group(&frame.to()), is_group(&frame.from())), (0x806, true, false));
        let short = Frame { bytes: &bytes[..3], sum: Sum::Unknown };
        assert_eq!((short.to(), short.from(), short.kind()), ([0; 6], [0; 6], 0));
    }
}
