//! Frames of a network through what reads them in programs: snoop's line, and the machine that asks for its address.
//!
//! Each frame stands behind its length in two bytes, the high one first. So that inputs get behind the sums, that of
//! IP's head is made right, and UDP's is left out.

use cmd::dhcp::{Client, Heard};
use cmd::snoop::describe;

/// Who asks, and by which number its answers are known: as in the corpus.
const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const NUMBER: u32 = 7;

/// Tries these bytes.
pub fn run(bytes: &[u8]) {
    let mut client = Client::new(MAC, NUMBER, Some("fuzz"));
    let mut rest = bytes;
    while let Some((len, behind)) = rest.split_first_chunk() {
        let (frame, next) = behind.split_at(usize::from(u16::from_be_bytes(*len)).min(behind.len()));
        rest = next;
        let line = describe(frame);
        assert!(!line.contains('\n'), "{line:?}");
        let heard = client.hear(&summed(frame));
        assert_eq!(heard == Heard::Lease, client.lease().is_some() && heard != Heard::Nothing, "{heard:?}");
        if let Some(lease) = client.lease() {
            assert!(lease.bits <= 32 && !lease.address.is_unspecified(), "{lease:?}");
            assert!(lease.renew.is_none_or(|renew| Some(renew) < lease.seconds), "{lease:?}");
            assert!(lease.ndb("/net/ether0", None).ends_with('\n'));
        }
        // What is sent next is a frame that others read as it was meant.
        let line = describe(&client.message(1));
        assert!(line.contains(" udp 68 > 67 len ") && !line.contains("cut short"), "{line}");
    }
}

/// The frame with a sum in IP's head that is right, and none in UDP.
fn summed(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let words = usize::from(frame.get(14).map_or(0, |first| first & 15)) * 2;
    let head = 14..14 + 2 * words;
    if let (true, Some(sum)) = (words >= 10 && frame.len() >= head.end, frame.get_mut(24..26)) {
        sum.fill(0);
        let total: u32 = frame[head.clone()].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
        let folded = (total & 0xffff) + (total >> 16);
        let folded = (folded & 0xffff) + (folded >> 16);
        frame[24..26].copy_from_slice(&(!folded as u16).to_be_bytes());
        if let Some(sum) = frame.get_mut(head.end + 6..head.end + 8) {
            sum.fill(0);
        }
    }
    frame
}
