//! UDP: datagrams, alone or with [`HEADER`] bytes of addresses before each.
//!
//! An announced conversation with headers reads and writes datagrams of anybody. Without them one of somebody new
//! is a call: it gets a conversation of its own, which is taken by `listen`.

use alloc::vec::Vec;

use machine::heap;
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, SendError, Socket, UdpMetadata};
use smoltcp::wire::{IpAddress, IpEndpoint, IpListenEndpoint};

use crate::address::{from_bytes, to_bytes};
use crate::error::{BAD_ADDRESS, BAD_PORT, Error, NOT_CONNECTED, Result, TOO_SHORT};
use crate::table::Entry;

/// Bytes before a datagram with headers: the other's address, ours, the interface's, and two ports.
pub const HEADER: usize = 16 * 3 + 4;
/// Datagrams that wait to be read, at most.
const DEEP: usize = 64;
/// Bytes of those.
const BYTES: usize = 64 << 10;
/// Bytes that wait to be sent.
const SEND_BYTES: usize = 32 << 10;
/// Datagrams of a call that wait to be read: the caller mostly waits for an answer.
const CALL_DEEP: usize = 16;

/// How much a conversation has room for.
#[derive(Clone, Copy)]
pub(crate) enum Size {
    /// As much as any.
    Whole,
    /// What somebody who calls by packets of this length needs.
    Call(usize),
}

/// A socket with buffers, at its port.
///
/// # Errors
/// No memory.
pub(crate) fn socket(local: crate::address::Local, size: Size) -> Result<Socket<'static>> {
    let buffer = |deep: usize, bytes: usize| {
        let mut places = heap::try_vec(deep)?;
        places.resize_with(deep, || PacketMetadata::EMPTY);
        Ok::<_, Error>(PacketBuffer::new(places, heap::try_bytes(bytes)?))
    };
    let (deep, bytes, sends, send_bytes) = match size {
        Size::Whole => (DEEP, BYTES, 8, SEND_BYTES),
        // An answer may be longer than a packet.
        Size::Call(mtu) => (CALL_DEEP, (2 * mtu).max(8 << 10), 2, mtu.max(8 << 10)),
    };
    let mut socket = Socket::new(buffer(deep, bytes)?, buffer(sends, send_bytes)?);
    let at = IpListenEndpoint { addr: local.addr, port: local.port };
    socket.bind(at).map_err(|_| BAD_PORT)?;
    Ok(socket)
}

/// Takes a datagram that has come, at most `max` bytes of it; none when there is none.
///
/// # Errors
/// No memory; it is not connected.
pub(crate) fn read(entry: &mut Entry, max: usize) -> Result<Option<Vec<u8>>> {
    let (headers, error) = (entry.headers, entry.error);
    let socket = entry.socket::<Socket>().ok_or(error.unwrap_or(NOT_CONNECTED))?;
    let local_port = socket.endpoint().port;
    // What came before it ended is read first.
    let Ok((data, _)) = socket.peek() else { return error.map_or(Ok(None), Err) };
    let front = if headers { HEADER } else { 0 };
    let mut out = heap::try_vec(data.len() + front)?;
    // It is there, and is taken now.
    let Ok((data, from)) = socket.recv() else { return Ok(None) };
    if headers {
        out.extend_from_slice(&to_bytes(Some(from.endpoint.addr)));
        out.extend_from_slice(&to_bytes(from.local_address));
        out.extend_from_slice(&to_bytes(from.local_address));
        out.extend_from_slice(&from.endpoint.port.to_be_bytes());
        out.extend_from_slice(&local_port.to_be_bytes());
    }
    out.extend_from_slice(data);
    out.truncate(max);
    Ok(Some(out))
}

/// Where a datagram goes, from which address, and which of its bytes are data.
///
/// # Errors
/// It says nowhere.
pub(crate) fn destination<'a>(
    entry: &Entry,
    bytes: &'a [u8],
) -> Result<(IpEndpoint, Option<IpAddress>, &'a [u8])> {
    if !entry.headers {
        let to = entry.remote.ok_or(NOT_CONNECTED)?;
        return Ok((to, entry.local.addr, bytes));
    }
    let (head, data) = bytes.split_at_checked(HEADER).ok_or(TOO_SHORT)?;
    let addr = |at: usize| {
        let bytes: Option<[u8; 16]> = head.get(at..at + 16).and_then(|b| b.try_into().ok());
        bytes.and_then(from_bytes)
    };
    let port = match head.get(48..50) {
        Some([high, low]) => u16::from_be_bytes([*high, *low]),
        _ => 0,
    };
    let to = match (addr(0), entry.remote) {
        (Some(to), _) if port != 0 => IpEndpoint::new(to, port),
        (Some(_), _) => return Err(BAD_PORT),
        (None, Some(remote)) => remote,
        (None, None) => return Err(BAD_ADDRESS),
    };
    Ok((to, addr(16).or(entry.local.addr), data))
}

/// Puts a datagram in; false when there is no room.
///
/// # Errors
/// It cannot be sent there at all.
pub(crate) fn write(entry: &mut Entry, to: IpEndpoint, from: IpAddress, data: &[u8]) -> Result<bool> {
    let socket = entry.socket::<Socket>().ok_or(NOT_CONNECTED)?;
    let meta = UdpMetadata { local_address: Some(from), ..to.into() };
    match socket.send_slice(data, meta) {
        Ok(()) => Ok(true),
        Err(SendError::BufferFull) => Ok(false),
        Err(SendError::Unaddressable) => Err(BAD_ADDRESS),
    }
}
