//! Datagrams and echoes on their way out. They wait for nobody: what cannot be sent is lost, but while the card has no
//! room some are kept.

use smoltcp::socket::{Socket, icmp as icmp_socket, udp as udp_socket};
use smoltcp::wire::IpAddress;

use crate::error::{HUNG_UP, Result, TOO_LONG};
use crate::table::{Entry, Proto};
use crate::work::{Id, Inner};
use crate::{icmp, udp};

impl Inner {
    /// Puts a datagram into a conversation, or drops it.
    pub(crate) fn put_datagram(&mut self, at: Id, bytes: &[u8]) -> Result<usize> {
        let entry = self.entry(at).ok_or(HUNG_UP)?;
        if let Some(error) = entry.error {
            return Err(error);
        }
        let is_in = match at.proto {
            Proto::Udp => self.put_udp(at, bytes)?,
            _ => {
                let ifc = entry.ifc;
                let longest = self.longest(ifc);
                crate::icmp::write(self.entry(at).ok_or(HUNG_UP)?, bytes, longest)?
            }
        };
        self.counts.datagrams_dropped += u64::from(!is_in);
        self.look_at(at);
        Ok(bytes.len())
    }

    fn put_udp(&mut self, at: Id, bytes: &[u8]) -> Result<bool> {
        let entry = self.entry(at).ok_or(HUNG_UP)?;
        let (to, from, data) = udp::destination(entry, bytes)?;
        let (data_len, had) = (data.len(), entry.ifc);
        let waits = Inner::unsent(entry) != 0;
        let ifc = match to.addr.is_multicast() {
            true => self.way_to_group(at, from, &to.addr)?,
            false => self.routes.find(&self.ifcs, &to.addr)?,
        };
        // Who turns round what came to all has no address of ours to say.
        let from = from.filter(|from| !self.ifcs.iter().flatten().any(|i| i.is_to_all(from)));
        let from = match from {
            Some(from) if from.version() == to.addr.version() => {
                self.is_local(&from)?;
                from
            }
            // Who asks for an address has none.
            _ if to.addr.is_broadcast() => self.source(ifc, &to.addr).unwrap_or(IpAddress::v4(0, 0, 0, 0)),
            _ => self.source(ifc, &to.addr)?,
        };
        let headers = if matches!(to.addr, IpAddress::Ipv4(_)) { 28 } else { 48 };
        let room =
            self.entry(at).and_then(|e| e.peek::<udp_socket::Socket>().map(|s| s.payload_send_capacity()));
        if data_len + headers > self.longest(ifc) || room.is_some_and(|room| data_len > room) {
            return Err(TOO_LONG);
        }
        // What waits goes by the interface that it was for.
        if waits && ifc != had {
            return Ok(false);
        }
        let entry = self.entry(at).ok_or(HUNG_UP)?;
        entry.ifc = ifc;
        udp::write(entry, to, from, data)
    }

    /// The longest packet that goes by an interface, and that in one piece.
    fn longest(&self, ifc: usize) -> usize {
        self.ifcs.get(ifc).and_then(Option::as_ref).map_or(0, |i| i.wire.longest())
    }

    pub(crate) fn mtu(&self, ifc: usize) -> usize {
        self.ifcs.get(ifc).and_then(Option::as_ref).map_or(0, |i| i.wire.mtu)
    }

    /// Bytes of datagrams that still wait to be sent.
    pub(crate) fn unsent(entry: &Entry) -> usize {
        match entry.shared.proto {
            Proto::Tcp => None,
            Proto::Udp => entry.peek::<udp_socket::Socket>().map(|s| s.send_queue()),
            Proto::Icmp | Proto::Icmpv6 => entry.peek::<icmp_socket::Socket>().map(|s| s.send_queue()),
        }
        .unwrap_or(0)
    }
}

/// Empties the queues of a conversation of datagrams. What waited to be read is lost, too: smoltcp has no other way.
pub(crate) fn empty(entry: &mut Entry) {
    let local = entry.local;
    if entry.shared.proto != Proto::Udp {
        // Without memory it goes on as it was.
        let _ = entry.put_socket(|| Ok(Socket::Icmp(icmp::socket(local.port)?)));
    } else if let Some(socket) = entry.socket::<udp_socket::Socket>() {
        let at = socket.endpoint();
        socket.close();
        // It was bound there before.
        let _ = socket.bind(at);
    }
}
