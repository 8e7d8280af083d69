//! The messages of control files.

use alloc::sync::Arc;

use abi::error;
use net::address::{IpAddress, IpCidr, Local, parse, parse_any, parse_local, parse_mask, parse_remote};
use net::arp::parse_mac;
use net::config::{Tag, tag};
use net::error::{BAD_ADDRESS, BAD_REMOTE_PORT};
use net::tried::FOREVER;
use net::{Conversation, Proto, Stack};

use super::card::Wire;
use crate::dev::ether::card::Card;
use crate::error::Result;

/// Does what a message to a conversation says.
///
/// # Errors
/// What became of it; a message that is not known.
pub(super) fn conversation(stack: &Stack, c: &Conversation, text: &str) -> Result<()> {
    let mut words = text.split_ascii_whitespace();
    let mut word = || words.next();
    match word() {
        Some("connect") => {
            // With `!r` our port is to be one below 1024, which is not kept for anybody here.
            let to = word().ok_or(error::ECMDARGS)?;
            let to = parse_remote(to.strip_suffix("!r").unwrap_or(to))?;
            let from = match word() {
                Some(from) => Some(parse_local(from)?),
                None => None,
            };
            let remote = to.addr.ok_or(BAD_ADDRESS)?;
            if to.port == 0 {
                return Err(BAD_REMOTE_PORT.into());
            }
            Ok(stack.connect(c, (remote, to.port).into(), from)?)
        }
        Some("announce") => {
            let at = word().ok_or(error::ECMDARGS)?;
            match at.strip_suffix("!*").or(at.strip_prefix('*').filter(|rest| rest.is_empty()).map(|_| at)) {
                Some(addr) => Ok(stack.announce_all(c, parse_any(addr)?)?),
                None => Ok(stack.announce(c, parse_local(at)?)?),
            }
        }
        Some("bind") => Ok(stack.bind(c, ours(word())?)?),
        Some("hangup") => Ok(stack.hang_up(c, true)?),
        Some("close") => Ok(stack.hang_up(c, false)?),
        Some("headers") => Ok(stack.set_headers(c, true)?),
        Some("keepalive") => {
            let ms = match word() {
                // As Go's library says it where its user has said nothing.
                Some("0") | None => KEEPALIVE_MS,
                Some(ms) => ms.parse().map_err(|_| error::EBADARG)?,
            };
            Ok(stack.set_keepalive(c, u64::clamp(ms, KEEPALIVE_LEAST_MS, KEEPALIVE_MOST_MS))?)
        }
        Some("ttl") => {
            let hops = word().and_then(|n| n.parse().ok()).filter(|n| *n != 0).ok_or(error::EBADARG)?;
            Ok(stack.set_hops(c, hops)?)
        }
        Some("tos") => {
            let tos = word().map_or(Ok(0), number_of).map_err(|()| error::EBADARG)?;
            Ok(stack.set_service(c, u8::try_from(tos).map_err(|_| error::EBADARG)?)?)
        }
        Some("ignoreadvice") => Ok(stack.ignore_advice(c)?),
        Some(verb @ ("addmulti" | "remmulti")) => {
            let via = parse(word().ok_or(error::ECMDARGS)?)?;
            let group = word().map(parse).transpose()?;
            let joins = verb == "addmulti";
            Ok(if joins { stack.join(c, via, group) } else { stack.leave(c, via, group) }?)
        }
        // Whatever is said of these, the cards make checksums, and calls that are not complete are pushed out.
        Some("checksum") if c.proto == Proto::Tcp => {
            word()
                .ok_or(error::ECMDARGS)
                .and_then(|n| number_of(n).map(drop).map_err(|()| error::EBADARG))?;
            Ok(())
        }
        Some("tcpporthogdefense") if c.proto == Proto::Tcp => match word() {
            Some("on" | "off") => Ok(()),
            Some(_) => Err(error::EBADARG.into()),
            None => Err(error::ECMDARGS.into()),
        },
        _ => Err(error::EBADCTL.into()),
    }
}

/// A number as C has it.
fn number_of(word: &str) -> core::result::Result<u32, ()> {
    match word.strip_prefix("0x").or(word.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => word.parse(),
    }
    .map_err(drop)
}

/// Quiet milliseconds after which the other side is asked, where a program does not say how many.
const KEEPALIVE_MS: u64 = 10_000;
/// What is less than a second, or more than a day, is taken as that.
const KEEPALIVE_LEAST_MS: u64 = 1000;
const KEEPALIVE_MOST_MS: u64 = 86_400_000;

/// What has no card or loopback has no use of addresses.
const NOT_BOUND: &str = "ipifc not yet bound to device";

fn ours(word: Option<&str>) -> Result<Local> {
    Ok(parse_local(word.ok_or(error::ECMDARGS)?)?)
}

/// Does what a message to an interface says. `cards` are those of the machine.
///
/// # Errors
/// What became of it; a message that is not known.
pub(super) fn interface(stack: &Arc<Stack>, number: u32, text: &str, cards: &[Arc<Card>]) -> Result<()> {
    let mut words = text.split_ascii_whitespace();
    let mut word = || words.next();
    match word() {
        Some("bind") => match (word(), word()) {
            (Some("ether"), Some(device)) => {
                let (name, card) = card_of(cards, device).ok_or(error::ENONEXIST)?;
                let wire = Wire::new(card, stack)?;
                Ok(stack.bind_card(number, wire, name)?)
            }
            // What stands behind says nothing here, as on Plan 9.
            (Some("loopback"), _) => Ok(stack.bind_here(number, false)?),
            (Some("pkt"), _) => Ok(stack.bind_here(number, true)?),
            (Some(_), _) => Err(error::EBADARG.into()),
            (None, _) => Err(error::ECMDARGS.into()),
        },
        Some("unbind") => Ok(stack.unbind(number)?),
        Some("add" | "try" | "add6" | "addpref6" | "ra6" | "mtu" | "addmulti" | "remmulti")
            if !stack.is_bound(number) =>
        {
            Err(NOT_BOUND.into())
        }
        Some(verb @ ("add" | "try")) => {
            let addr = parse(word().ok_or(error::ECMDARGS)?)?;
            let bits = word().map(|mask| parse_mask(mask, &addr)).transpose()?;
            // The other end of a line of two is in the network, or is that itself.
            let remote = word().map(parse).transpose()?;
            let is_near = |remote: &IpAddress| IpCidr::new(addr, bits.unwrap_or(0)).contains_addr(remote);
            if remote.is_some_and(|remote| remote.version() != addr.version() || !is_near(&remote)) {
                return Err(BAD_ADDRESS.into());
            }
            // As on Plan 9, whose ipconfig writes 0 here for what it was not told: what cannot be is passed over.
            let mtu = word().and_then(|mtu| size(Some(mtu)).ok());
            if verb == "try" {
                stack.try_address(number, addr, bits)?;
            } else {
                stack.add_address(number, addr, bits)?;
            }
            // Where the address is refused nothing of it is done.
            if let Some(mtu) = mtu {
                let _ = stack.set_mtu(number, mtu);
            }
            Ok(())
        }
        Some("mtu") => Ok(stack.set_mtu(number, size(word())?)?),
        Some(verb @ ("addmulti" | "remmulti")) => {
            let group = parse(word().ok_or(error::ECMDARGS)?)?;
            Ok(stack.listen_to_group(number, group, verb == "addmulti")?)
        }
        // Packets of others are not passed on, and how fast a wire is is not looked at; pieces are put together always.
        Some("iprouting") => match word() {
            Some("0") => Ok(()),
            _ => Err(error::EBADARG.into()),
        },
        Some("speed" | "delay" | "reassemble") => {
            word().map_or(Ok(()), |n| number_of(n).map(drop).map_err(|()| error::EBADARG.into()))
        }
        Some("add6" | "addpref6") => {
            let net = parse(word().ok_or(error::ECMDARGS)?)?;
            let mut number_or =
                |usual: u32| word().map_or(Ok(usual), |n| n.parse().map_err(|_| error::EBADARG));
            let (bits, on_link) = (number_or(64)?, number_or(1)?);
            // That others may make themselves addresses in it is not told anybody here.
            let _auto: u32 = number_or(1)?;
            let lives = [number_or(FOREVER)?, number_or(FOREVER)?];
            let bits = u8::try_from(bits).map_err(|_| error::EBADARG)?;
            Ok(stack.add_of_card(number, net, bits, on_link != 0, lives)?)
        }
        Some("remove") => Ok(stack.remove_address(number, parse(word().ok_or(error::ECMDARGS)?)?)?),
        // Of what can be said here of routers' advertisements: whether they are listened to.
        Some("ra6") => match (word(), word(), word()) {
            (Some("recvra"), Some("0"), None) => Ok(stack.listen_to_routers(number, false)?),
            (Some("recvra"), Some("1"), None) => Ok(stack.listen_to_routers(number, true)?),
            (None, ..) => Err(error::ECMDARGS.into()),
            _ => Err(error::EBADARG.into()),
        },
        _ => Err(error::EBADCTL.into()),
    }
}

/// Bytes of a packet.
fn size(word: Option<&str>) -> Result<usize> {
    Ok(word.ok_or(error::ECMDARGS)?.parse().map_err(|_| error::EBADARG)?)
}

/// The card whose directory is called so, by its number, and the name that programs look for.
fn card_of<'a>(cards: &'a [Arc<Card>], device: &'a str) -> Option<(&'a str, &'a Arc<Card>)> {
    let name = device.rsplit('/').next()?;
    let number: usize = name.strip_prefix("ether").or(name.strip_prefix("#l"))?.parse().ok()?;
    Some((device, cards.get(number)?))
}

/// Does what a message to `iproute` says: `add`, `remove`, `flush`, `tag`. The tag is that of who has the file open.
///
/// # Errors
/// What became of it; a message that is not known.
pub(super) fn routes(stack: &Stack, text: &str, kept: &mut Tag) -> Result<()> {
    let mut words = text.split_ascii_whitespace();
    let mut word = || words.next();
    let network = |name: Option<&str>, mask: Option<&str>| -> Result<_> {
        let addr = parse(name.ok_or(error::ECMDARGS)?)?;
        Ok((addr, parse_mask(mask.ok_or(error::ECMDARGS)?, &addr)?))
    };
    match word() {
        Some("add") => {
            let (to, bits) = network(word(), word())?;
            let via = parse(word().ok_or(error::ECMDARGS)?)?;
            Ok(stack.add_route(to, bits, via, *kept)?)
        }
        Some("remove") => {
            let (to, bits) = network(word(), word())?;
            Ok(stack.remove_route(to, bits)?)
        }
        Some("flush") => {
            stack.flush_routes(word().map(tag));
            Ok(())
        }
        Some("tag") => {
            *kept = tag(word().ok_or(error::ECMDARGS)?);
            Ok(())
        }
        _ => Err(error::EBADCTL.into()),
    }
}

/// Does what a message to `arp` says: `flush`, `add [ether] ADDRESS CARD`, `del ADDRESS`.
///
/// # Errors
/// What became of it; a message that is not known.
pub(super) fn neighbours(stack: &Stack, text: &str) -> Result<()> {
    let mut words = text.split_ascii_whitespace().peekable();
    match words.next() {
        Some("flush") => {
            stack.flush_neighbours();
            Ok(())
        }
        Some("add") => {
            words.next_if_eq(&"ether");
            let (Some(addr), Some(mac)) = (words.next(), words.next()) else {
                return Err(error::ECMDARGS.into());
            };
            Ok(stack.add_neighbour(parse(addr)?, parse_mac(mac)?)?)
        }
        Some("del") => Ok(stack.forget_neighbour(parse(words.next().ok_or(error::ECMDARGS)?)?)?),
        _ => Err(error::EBADCTL.into()),
    }
}
