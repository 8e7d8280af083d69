//! What becomes of conversations whose interface, or whose address, is taken away: nothing could come to them any more
//! or go from them, so they end, and who waits is told. Nothing of them stays that a later interface with the same
//! number could carry on.

use machine::clock;
use smoltcp::wire::{IpAddress, IpCidr};

use crate::datagrams::empty;
use crate::error::HUNG_UP;
use crate::ifc::LOOPBACK;
use crate::table::{Entry, Proto, Role};
use crate::tcp;
use crate::work::{Id, Inner};

impl Inner {
    /// Ends the conversations that are by this interface, or from one of its addresses, while it is still there.
    pub(crate) fn end_interface(&mut self, number: usize) {
        let Some(ifc) = self.ifcs.get(number).and_then(Option::as_ref) else { return };
        let mut addrs = [None; smoltcp::config::IFACE_MAX_ADDR_COUNT];
        addrs
            .iter_mut()
            .zip(ifc.iface.ip_addrs().iter().map(IpCidr::address))
            .for_each(|(to, a)| *to = Some(a));
        self.end_all(|e| e.ifc == number || e.local.addr.is_some() && addrs.contains(&e.local.addr));
        self.leave(number);
        self.forget_joined(number);
        self.routes.forget_all_of(number);
    }

    /// Ends the conversations from an address.
    pub(crate) fn end_address(&mut self, addr: IpAddress) {
        self.end_all(|e| e.local.addr == Some(addr));
    }

    /// Ends those that talk, or begin to, or end, and are as it is said.
    fn end_all(&mut self, is: impl Fn(&Entry) -> bool) {
        for proto in Proto::ALL {
            let mut from = 0;
            loop {
                let mut all = self.table(proto).from(from).filter(|e| e.remote.is_some());
                let Some(number) = all.find(|e| is(e)).map(|e| e.shared.number) else { break };
                drop(all);
                from = number + 1;
                self.end_one(Id { proto, number });
            }
        }
    }

    fn end_one(&mut self, id: Id) {
        let Some(entry) = self.entry(id) else { return };
        let is_anybodys =
            !matches!(entry.role, Role::Coming { .. } | Role::Waiting { .. } | Role::Ending { .. });
        if id.proto == Proto::Tcp {
            // The other side is told, if its card is known.
            tcp::abort(entry);
            if is_anybodys {
                entry.error.get_or_insert(HUNG_UP);
                entry.role = Role::Talking;
            }
            self.send(id, clock::now_ns());
        }
        if !is_anybodys {
            self.forget(id);
        } else if let Some(entry) = self.entry(id) {
            entry.error.get_or_insert(HUNG_UP);
            entry.drop_socket();
            (entry.ifc, entry.deadline_ns) = (LOOPBACK, u64::MAX);
            entry.raise();
        }
    }

    /// Who is announced for datagrams goes on without this interface; what he wanted to send by it is lost.
    fn leave(&mut self, number: usize) {
        let (proto, mut from) = (Proto::Udp, 0);
        loop {
            let found = self.table(proto).from(from).find(|e| e.ifc == number).map(|e| e.shared.number);
            let Some(at) = found else { break };
            from = at + 1;
            let Some(entry) = self.entry(Id { proto, number: at }) else { break };
            empty(entry);
            (entry.ifc, entry.deadline_ns) = (LOOPBACK, u64::MAX);
            entry.raise();
        }
    }
}
