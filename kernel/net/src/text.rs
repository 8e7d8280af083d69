//! The texts of the files, as `ip(3)` of Plan 9 has them.

use alloc::string::String;
use core::fmt::{Display, Write};

use machine::heap::Text;
use smoltcp::socket::{icmp, udp};
use smoltcp::wire::{IpAddress, IpCidr, Ipv4Address, Ipv6Address};

use crate::address::{Mask, Shown};
use crate::error::{DOES_NOT_EXIST, NO_MEMORY, Result};
use crate::groups;
use crate::ifc::Ifc;
use crate::link::solicited;
use crate::near::State;
use crate::stack::{Stack, id};
use crate::table::{Conversation, Entry, Proto, Role, Table};
use crate::tcp;
use crate::wire::Wire;
use crate::work::Inner;

fn made(f: impl FnOnce(&mut Text) -> core::fmt::Result) -> Result<String> {
    let mut out = Text::new();
    f(&mut out).map_err(|_| NO_MEMORY)?;
    Ok(out.finish()?)
}

fn entry_text(
    stack: &Stack,
    c: &Conversation,
    f: impl FnOnce(&Entry, &mut Text) -> core::fmt::Result,
) -> Result<String> {
    stack.look(|inner| {
        let entry = inner.entry(id(c)).ok_or(DOES_NOT_EXIST)?;
        made(|out| f(entry, out))
    })
}

/// `local`: our end.
///
/// # Errors
/// It is over; no memory.
pub fn local(stack: &Stack, c: &Conversation) -> Result<String> {
    entry_text(stack, c, |e, out| writeln!(out, "{}!{}", Shown(e.local.addr), e.local.port))
}

/// `remote`: the other end.
///
/// # Errors
/// It is over; no memory.
pub fn remote(stack: &Stack, c: &Conversation) -> Result<String> {
    entry_text(stack, c, |e, out| {
        writeln!(out, "{}!{}", Shown(e.remote.map(|r| r.addr)), e.remote.map_or(0, |r| r.port))
    })
}

/// `status`: the state, and what waits in both directions.
///
/// # Errors
/// It is over; no memory.
pub fn status(stack: &Stack, c: &Conversation) -> Result<String> {
    entry_text(stack, c, |e, out| match c.proto {
        Proto::Tcp => {
            let (unread, unsent) = tcp::queues(e);
            writeln!(out, "{} qin {unread} qout {unsent}", tcp::state_name(e))
        }
        Proto::Udp => {
            let queues = e.peek::<udp::Socket>().map(|s| (s.recv_queue(), s.send_queue()));
            // Who has all ports has no socket.
            let is_open = queues.is_some() || matches!(e.role, Role::Announced { .. });
            let name = if is_open { "Open" } else { "Closed" };
            let (unread, unsent) = queues.unwrap_or_default();
            writeln!(out, "{name} qin {unread} qout {unsent}")
        }
        Proto::Icmp | Proto::Icmpv6 => {
            let queues = e.peek::<icmp::Socket>().map(|s| (s.recv_queue(), s.send_queue()));
            let (unread, unsent) = queues.unwrap_or_default();
            writeln!(out, "Datagram qin {unread} qout {unsent}")
        }
    })
}

/// `err`: why it ended, if it has.
///
/// # Errors
/// It is over; no memory.
pub fn error(stack: &Stack, c: &Conversation) -> Result<String> {
    entry_text(stack, c, |e, out| e.error.map_or(Ok(()), |e| writeln!(out, "{}", e.0)))
}

/// `ipifc/N/local`: its addresses.
///
/// # Errors
/// There is no such interface; no memory.
pub fn ifc_local(stack: &Stack, number: usize) -> Result<String> {
    stack.look(|inner| {
        let ifc = inner.ifcs.get(number).and_then(Option::as_ref).ok_or(DOES_NOT_EXIST)?;
        made(|out| {
            ifc.iface.ip_addrs().iter().try_for_each(|c| writeln!(out, "{}", Shown(Some(c.address()))))
        })
    })
}

/// Lines of a name and a number.
fn figures(out: &mut Text, all: &[(&str, u64)]) -> core::fmt::Result {
    all.iter().try_for_each(|(name, figure)| writeln!(out, "{name}: {figure}"))
}

/// `PROTO/stats`: what is counted, by the names that Plan 9 has for it, then what is counted here alone.
///
/// # Errors
/// No memory.
pub fn stats(stack: &Stack, proto: Proto) -> Result<String> {
    stack.look(|inner| {
        let counts = inner.counts;
        let of = |all: [u64; 4]| all.get(proto as usize).copied().unwrap_or(0);
        let (came, went, bad) = (of(counts.received), of(counts.sent), of(counts.bad_sums));
        let open = inner.table(proto).len() as u64;
        let most = crate::table::MOST as u64;
        made(|out| {
            match proto {
                Proto::Tcp => figures(
                    out,
                    &[
                        ("MaxConn", most),
                        ("ActiveOpens", counts.calls),
                        ("PassiveOpens", counts.called),
                        ("EstabResets", counts.resets),
                        (
                            "CurrEstab",
                            inner.table(proto).from(0).filter(|e| tcp::is_established(e)).count() as u64,
                        ),
                        ("InSegs", came),
                        ("OutSegs", went),
                        ("RetransSegs", counts.said_again),
                        ("InErrs", bad),
                        ("OutRsts", counts.refused),
                        ("CsumErrs", bad),
                    ],
                )?,
                Proto::Udp => figures(
                    out,
                    &[
                        ("InDatagrams", came),
                        ("NoPorts", counts.no_ports),
                        ("InErrors", bad),
                        ("OutDatagrams", went),
                    ],
                )?,
                Proto::Icmp | Proto::Icmpv6 => {
                    figures(
                        out,
                        &[("InMsgs", came), ("InErrors", bad), ("OutMsgs", went), ("CsumErrs", bad)],
                    )?;
                }
            }
            figures(out, &[("Conversations", open)])?;
            if proto == Proto::Tcp {
                let (dropped, pushed) = (counts.calls_dropped, counts.calls_pushed_out);
                figures(out, &[("CallsDropped", dropped), ("CallsPushedOut", pushed)])?;
            }
            Ok(())
        })
    })
}

/// `ipifc/stats`: packets of all interfaces, by Plan 9's names.
///
/// # Errors
/// No memory.
pub fn ip_stats(stack: &Stack) -> Result<String> {
    stack.look(|inner| {
        let wires = || inner.ifcs.iter().flatten().map(|i| &i.wire);
        let sum = |of: &dyn Fn(&Wire) -> u64| wires().map(of).sum::<u64>();
        let counts = inner.counts;
        let delivered = counts.received.iter().sum();
        made(|out| {
            figures(
                out,
                &[
                    ("Forwarding", 2),
                    ("DefaultTTL", 64),
                    ("InReceives", sum(&|w| w.came)),
                    ("InHdrErrors", sum(&|w| w.bad)),
                    ("InAddrErrors", counts.nobody),
                    ("ForwDatagrams", 0),
                    ("InDiscards", sum(&|w| w.input_errors() - w.bad)),
                    ("InDelivers", delivered),
                    ("OutRequests", sum(&|w| w.went)),
                    ("OutDiscards", sum(&Wire::output_errors)),
                    ("ReasmOKs", counts.put_together),
                    ("ReasmFails", counts.fragments),
                ],
            )
        })
    })
}

/// `ipifc/N/status`.
///
/// # Errors
/// There is no such interface; no memory.
pub fn ifc_status(stack: &Stack, number: usize) -> Result<String> {
    stack.look(|inner| {
        let ifc = inner.ifcs.get(number).and_then(Option::as_ref).ok_or(DOES_NOT_EXIST)?;
        let wire = &ifc.wire;
        made(|out| {
            let recvra = u8::from(ifc.routers.is_some());
            write!(out, "device {} maxtu {} sendra 0 recvra {recvra} mflag 0 oflag 0", ifc.device, wire.mtu)?;
            write!(
                out,
                " maxraint 600000 minraint 200000 linkmtu 0 reachtime 0 rxmitra 0 ttl 64 routerlt 0"
            )?;
            write!(
                out,
                " pktin {} pktout {} errin {} errout {}",
                wire.came,
                wire.went,
                wire.input_errors(),
                wire.output_errors()
            )?;
            writeln!(out, " speed 0 delay 0")?;
            let tried = || ifc.tried.iter().map(|t| &t.cidr);
            let now_ns = machine::clock::now_ns();
            for cidr in ifc.iface.ip_addrs().iter().chain(tried()) {
                let addr = Shown(Some(cidr.address()));
                let net = Shown(network(cidr));
                let [valid, preferred] = ifc.life(&cidr.address(), now_ns);
                writeln!(out, "\t{addr:<40} {:<10} {net:<40} {valid:<12} {preferred:<12}", Mask(*cidr))?;
            }
            if ifc.iface.ip_addrs().is_empty() && tried().next().is_none() { writeln!(out) } else { Ok(()) }
        })
    })
}

/// The address of a network.
fn network(cidr: &IpCidr) -> Option<IpAddress> {
    Some(prefix(*cidr).address())
}

/// A network, without what is behind its prefix.
pub(crate) fn prefix(cidr: IpCidr) -> IpCidr {
    match cidr {
        IpCidr::Ipv4(c) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(c.prefix_len())).unwrap_or(0);
            IpCidr::new(Ipv4Address::from_bits(c.address().to_bits() & mask).into(), c.prefix_len())
        }
        IpCidr::Ipv6(c) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(c.prefix_len())).unwrap_or(0);
            IpCidr::new(Ipv6Address::from_bits(c.address().to_bits() & mask).into(), c.prefix_len())
        }
    }
}

/// `iproute`: the networks of interfaces, their addresses, and the routes through gateways.
///
/// # Errors
/// No memory.
pub fn routes(stack: &Stack) -> Result<String> {
    stack.look(|inner| made(|out| write_routes(inner, out)))
}

fn write_routes(inner: &Inner, out: &mut Text) -> core::fmt::Result {
    let mut line = |to: IpCidr, via: Option<IpAddress>, kind: &str, tag: &str, ifc: &dyn Display| {
        let version = if matches!(to, IpCidr::Ipv4(_)) { '4' } else { '6' };
        let addr = Shown(Some(to.address()));
        writeln!(out, "{addr:<15} {:<4} {:<15} {version}{kind:<3} {tag:>4} {ifc:>3}", Mask(to), Shown(via))
    };
    for g in inner.routes.iter() {
        let tag = core::str::from_utf8(&g.tag).unwrap_or("none");
        let ifc: &dyn Display = g.ifc.as_ref().map_or(&"-", |at| at);
        line(g.to, Some(g.via), "", tag, ifc)?;
    }
    for (number, ifc) in inner.ifcs.iter().enumerate() {
        for cidr in ifc.iter().flat_map(|i| i.iface.ip_addrs()) {
            let whole = IpCidr::new(cidr.address(), if matches!(cidr, IpCidr::Ipv4(_)) { 32 } else { 128 });
            let net = prefix(*cidr);
            if net != whole {
                line(net, Some(net.address()), "i", "ifc", &number)?;
            }
            line(whole, Some(cidr.address()), "u", "ifc", &number)?;
        }
    }
    Ok(())
}

/// `arp`: the neighbours of all interfaces, and the address that the machine has there.
///
/// # Errors
/// No memory.
pub fn neighbours(stack: &Stack) -> Result<String> {
    stack.look(|inner| {
        made(|out| {
            for link in inner.ifcs.iter().flatten().filter_map(|i| i.wire.link()) {
                for n in link.near.iter() {
                    let state = if n.state == State::Asked { "WAIT" } else { "OK" };
                    let addr = Shown(Some(n.addr));
                    write!(out, "{:<6} {state:<8} {addr:<40} ", "ether")?;
                    if n.state != State::Asked {
                        n.mac.iter().try_for_each(|b| write!(out, "{b:02x}"))?;
                    }
                    writeln!(out)?;
                }
            }
            Ok(())
        })
    })
}

/// `ipselftab`: the machine's own addresses, and those of all and of groups that it hears, each with the number of the
/// interfaces that have it.
///
/// # Errors
/// No memory.
pub fn own_addresses(stack: &Stack) -> Result<String> {
    stack.look(|inner| {
        let all = || inner.ifcs.iter().flatten();
        made(|out| {
            for (at, ifc) in all().enumerate() {
                for (n, (addr, kind)) in heard(ifc).enumerate() {
                    // It stands where it is met first.
                    let is_same = |other: &(IpAddress, char)| other.0 == addr;
                    if all().take(at).any(|ifc| heard(ifc).any(|h| is_same(&h)))
                        || heard(ifc).take(n).any(|h| is_same(&h))
                    {
                        continue;
                    }
                    let count = all().filter(|ifc| heard(ifc).any(|h| is_same(&h))).count();
                    let version = if matches!(addr, IpAddress::Ipv4(_)) { '4' } else { '6' };
                    writeln!(out, "{:<44} {count:02} {version}{kind:<3}", Shown(Some(addr)))?;
                }
            }
            Ok(())
        })
    })
}

/// What an interface hears, and whether that is one address, of all, or of a group.
fn heard(ifc: &Ifc) -> impl Iterator<Item = (IpAddress, char)> {
    let nets = ifc.iface.ip_addrs();
    let own = nets.iter().map(|cidr| (cidr.address(), 'u'));
    let is_wire = !ifc.wire.is_loop();
    let of_net = nets.iter().filter_map(|cidr| match cidr {
        IpCidr::Ipv4(net) if net.prefix_len() < 31 => Some((*cidr, net.broadcast()?)),
        _ => None,
    });
    let all = of_net.flat_map(|(cidr, all)| [(prefix(cidr).address(), 'b'), (all.into(), 'b')]);
    let has_v4 = nets.iter().any(|cidr| matches!(cidr, IpCidr::Ipv4(_)));
    let has_v6 = nets.iter().any(|cidr| matches!(cidr, IpCidr::Ipv6(_)));
    let everybody = [(IpAddress::v4(255, 255, 255, 255), 'b'), (groups::ALL_V4.into(), 'm')];
    let asked = nets.iter().filter_map(|cidr| match cidr.address() {
        IpAddress::Ipv6(addr) => Some((solicited(&addr).into(), 'm')),
        IpAddress::Ipv4(_) => None,
    });
    let groups = ifc.wire.groups.iter().map(|group| (*group, 'm'));
    own.chain(all.filter(move |_| is_wire))
        .chain(everybody.into_iter().filter(move |_| is_wire && has_v4))
        .chain([(groups::ALL_V6.into(), 'm')].into_iter().filter(move |_| is_wire && has_v6))
        .chain(asked.filter(move |_| is_wire))
        .chain(groups)
}

/// Tells of what there is, by name and number.
pub fn pools(stack: &Stack, show: &mut dyn FnMut(&str, u64)) {
    let counts = stack.look(|inner| inner.tables.each_ref().map(Table::len));
    for (proto, count) in Proto::ALL.iter().zip(counts) {
        show(proto.name(), count as u64);
    }
}
