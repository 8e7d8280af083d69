//! ICMP: echoes. A conversation writes whole messages of ICMP behind a header of IP that is filled in here, and reads
//! what answers them, as `ping` of Plan 9 has it.
//!
//! The number of an echo is the conversation's local port. What else a program writes than echoes is refused.

use alloc::vec::Vec;

use machine::heap;
use smoltcp::socket::icmp::{Endpoint, PacketBuffer, PacketMetadata, SendError, Socket};
use smoltcp::wire::IpAddress;

use crate::address::to_bytes;
use crate::error::{BAD_ADDRESS, BAD_CONTROL, BAD_PORT, Error, NOT_CONNECTED, Result, TOO_LONG, TOO_SHORT};
use crate::table::{Entry, Proto};

/// Messages that wait.
const DEEP: usize = 16;
/// Bytes of them.
const BYTES: usize = 16 << 10;
/// Bytes of a header of IPv4.
const V4: usize = 20;
/// Bytes of a header of IPv6.
const V6: usize = 40;

/// A socket with buffers, for echoes with this number.
///
/// # Errors
/// No memory.
pub(crate) fn socket(number: u16) -> Result<Socket<'static>> {
    let buffer = || {
        let mut places = heap::try_vec(DEEP)?;
        places.resize_with(DEEP, || PacketMetadata::EMPTY);
        Ok::<_, Error>(PacketBuffer::new(places, heap::try_bytes(BYTES)?))
    };
    let mut socket = Socket::new(buffer()?, buffer()?);
    socket.bind(Endpoint::Ident(number)).map_err(|_| BAD_PORT)?;
    Ok(socket)
}

fn header(proto: Proto) -> usize {
    if proto == Proto::Icmp { V4 } else { V6 }
}

/// Takes a message that has come, with a header of IP; none when there is none.
///
/// # Errors
/// No memory; it is not connected.
pub(crate) fn read(entry: &mut Entry, max: usize) -> Result<Option<Vec<u8>>> {
    let (local, proto, error) = (entry.local.addr, entry.shared.proto, entry.error);
    let socket = entry.socket::<Socket>().ok_or(error.unwrap_or(NOT_CONNECTED))?;
    // What came before it ended is read first.
    if !socket.can_recv() {
        return error.map_or(Ok(None), Err);
    }
    let mut out = heap::try_vec(BYTES.min(max.max(V6)))?;
    let Ok((message, from)) = socket.recv() else { return Ok(None) };
    let len = message.len();
    match (proto, from) {
        (Proto::Icmp, IpAddress::Ipv4(from)) => {
            let [high, low] = u16::try_from(V4 + len).unwrap_or(u16::MAX).to_be_bytes();
            out.extend_from_slice(&[0x45, 0, high, low, 0, 0, 0, 0, 64, 1, 0, 0]);
            out.extend_from_slice(&from.octets());
            let mine = to_bytes(local);
            out.extend_from_slice(mine.get(12..).unwrap_or(&[0; 4]));
        }
        _ => {
            let [high, low] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
            out.extend_from_slice(&[0x60, 0, 0, 0, high, low, 58, 64]);
            out.extend_from_slice(&to_bytes(Some(from)));
            out.extend_from_slice(&to_bytes(local));
        }
    }
    let room = max.saturating_sub(out.len());
    let end = len.min(room).min(out.capacity() - out.len());
    out.extend_from_slice(message.get(..end).unwrap_or(message));
    out.truncate(max);
    Ok(Some(out))
}

/// Puts a message in, which with its header has at most `most` bytes; false when there is no room.
///
/// # Errors
/// It is no echo; it is not connected; it is too long, or can never be sent there.
pub(crate) fn write(entry: &mut Entry, bytes: &[u8], most: usize) -> Result<bool> {
    let (local, proto) = (entry.local, entry.shared.proto);
    let to = entry.remote.ok_or(NOT_CONNECTED)?.addr;
    let message = bytes.get(header(proto)..).filter(|m| m.len() >= 8).ok_or(TOO_SHORT)?;
    let request = if proto == Proto::Icmp { 8 } else { 128 };
    if message.first() != Some(&request) {
        return Err(BAD_CONTROL);
    }
    if bytes.len() > most || message.len() > BYTES {
        return Err(TOO_LONG);
    }
    let socket = entry.socket::<Socket>().ok_or(NOT_CONNECTED)?;
    let out = match socket.send(message.len(), to) {
        Ok(out) => out,
        Err(SendError::BufferFull) => return Ok(false),
        Err(SendError::Unaddressable) => return Err(BAD_ADDRESS),
    };
    out.copy_from_slice(message);
    let [high, low] = local.port.to_be_bytes();
    if let Some(place) = out.get_mut(2..6) {
        // The checksum is smoltcp's to make, the number is ours.
        place.copy_from_slice(&[0, 0, high, low]);
    }
    Ok(true)
}
