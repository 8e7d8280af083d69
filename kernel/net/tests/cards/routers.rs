//! What routers of IPv6 advertise.

use super::*;
use smoltcp::wire::{
    Icmpv6Packet, Icmpv6Repr, Ipv6Address, NdiscPrefixInfoFlags, NdiscPrefixInformation, NdiscRepr,
    NdiscRouterFlags,
};

const ROUTER: Ipv6Address = Ipv6Address::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const ALL: Ipv6Address = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// An advertisement of 2001:db8:: by a router, for so many seconds each.
pub(super) fn advert(from: Ipv6Address, router: u64, prefix: u64) -> Vec<u8> {
    let seconds = smoltcp::time::Duration::from_secs;
    let repr = Icmpv6Repr::Ndisc(NdiscRepr::RouterAdvert {
        hop_limit: 64,
        flags: NdiscRouterFlags::empty(),
        router_lifetime: seconds(router),
        reachable_time: seconds(0),
        retrans_time: seconds(0),
        lladdr: Some(EthernetAddress(THEIRS).into()),
        mtu: None,
        prefix_info: Some(NdiscPrefixInformation {
            prefix_len: 64,
            flags: NdiscPrefixInfoFlags::ON_LINK | NdiscPrefixInfoFlags::ADDRCONF,
            valid_lifetime: seconds(prefix),
            preferred_lifetime: seconds(prefix),
            prefix: parse_v6("2001:db8::"),
        }),
    });
    let mut icmp = vec![0; repr.buffer_len()];
    repr.emit(&from, &ALL, &mut Icmpv6Packet::new_unchecked(&mut icmp[..]), &ChecksumCapabilities::default());
    let [high, low] = (icmp.len() as u16).to_be_bytes();
    let head = [0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60, 0, 0, 0, high, low, 58, 255];
    [&head[..], &from.octets(), &ALL.octets(), &icmp].concat()
}

/// The same with a prefix more behind it, of these flags, preferred for so many seconds.
fn with_prefix(mut advert: Vec<u8>, flags: NdiscPrefixInfoFlags, preferred: u32, prefix: &str) -> Vec<u8> {
    advert.extend([3, 4, 64, flags.bits()]);
    advert.extend(7200u32.to_be_bytes().into_iter().chain(preferred.to_be_bytes()).chain([0; 4]));
    advert.extend(parse_v6(prefix).octets());
    let len = (advert.len() - 54) as u16;
    advert[18..20].copy_from_slice(&len.to_be_bytes());
    let (_, icmp) = advert.split_at_mut(54);
    Icmpv6Packet::new_unchecked(icmp).fill_checksum(&ROUTER, &ALL);
    advert
}

fn parse_v6(text: &str) -> Ipv6Address {
    text.parse().unwrap()
}

/// What our card has in 2001:db8::.
const LEARNED: &str = "2001:db8::ff:fe00:1";

fn has(w: &World, addr: &str) -> bool {
    text::own_addresses(&w.stack).unwrap().lines().any(|l| l.split_ascii_whitespace().next() == Some(addr))
}

fn gateways(w: &World) -> usize {
    text::routes(&w.stack).unwrap().lines().filter(|l| l.starts_with(":: ") && l.contains("fe80::1")).count()
}

#[test]
fn nobody_is_believed_before_the_owner_says_so() {
    let w = World::new();
    w.comes(advert(ROUTER, 1800, 86_400));
    assert!(!has(&w, LEARNED) && gateways(&w) == 0);
    w.stack.listen_to_routers(1, true).unwrap();
    assert!(!has(&w, "fe80::ff:fe00:1"));
    w.passes(SECOND);
    assert!(has(&w, "fe80::ff:fe00:1"));
    assert!(text::ifc_status(&w.stack, 1).unwrap().contains(" recvra 1 "));
    // It asks for routers, some times.
    let solicits =
        |w: &World| w.sent().iter().filter(|(f, _)| f[12..14] == [0x86, 0xdd] && f[54] == 133).count();
    assert_eq!(solicits(&w), 1);
    for n in [1, 1, 0, 0] {
        w.passes(3 * SECOND);
        w.passes(SECOND);
        assert_eq!(solicits(&w), n);
    }
    // From elsewhere, or broken.
    w.comes(advert(parse_v6("fd00::9"), 1800, 86_400));
    let mut far = advert(ROUTER, 1800, 86_400);
    far[21] = 254;
    w.comes(far);
    let mut broken = advert(ROUTER, 1800, 86_400);
    broken[70] ^= 1;
    w.comes(broken);
    assert!(!has(&w, LEARNED) && gateways(&w) == 0);
    w.comes(advert(ROUTER, 1800, 86_400));
    assert!(!has(&w, LEARNED) && gateways(&w) == 1);
    w.passes(SECOND);
    assert!(has(&w, LEARNED) && gateways(&w) == 1);
    assert_eq!(refused(w.stack.listen_to_routers(0, true)), "connection in use");
}

#[test]
fn what_is_learned_has_an_end() {
    let w = World::new();
    w.stack.listen_to_routers(1, true).unwrap();
    w.comes(advert(ROUTER, 1800, 86_400));
    w.passes(SECOND);
    // Nobody ends an address at once; a router that goes is no gateway any more.
    w.comes(advert(ROUTER, 0, 0));
    assert!(has(&w, LEARNED) && gateways(&w) == 0);
    w.passes(7100 * SECOND);
    assert!(has(&w, LEARNED));
    w.passes(200 * SECOND);
    assert!(!has(&w, LEARNED));
    w.comes(advert(ROUTER, 10, 86_400));
    w.passes(SECOND);
    assert!(has(&w, LEARNED) && gateways(&w) == 1);
    w.passes(11 * SECOND);
    assert!(has(&w, LEARNED) && gateways(&w) == 0);
    w.comes(advert(ROUTER, 1800, 86_400));
    assert!(text::ifc_status(&w.stack, 1).unwrap().contains(" 86400 "));
    w.stack.listen_to_routers(1, false).unwrap();
    assert!(!has(&w, LEARNED) && gateways(&w) == 0);
    // Datagrams to the world go by the router whose card it has told.
    w.stack.listen_to_routers(1, true).unwrap();
    w.comes(advert(ROUTER, 1800, 86_400));
    w.passes(SECOND);
    w.sent();
    let c = w.udp("2600::1!53");
    w.stack.write(&c, b"far").unwrap();
    assert!(w.sent()[0].0.starts_with(&THEIRS));
}

#[test]
fn each_prefix_of_an_advertisement_counts() {
    let w = World::new();
    w.stack.listen_to_routers(1, true).unwrap();
    let (link, conf) = (NdiscPrefixInfoFlags::ON_LINK, NdiscPrefixInfoFlags::ADDRCONF);
    let advert = with_prefix(advert(ROUTER, 1800, 86_400), link | conf, 7200, "fd00:a::");
    let advert = with_prefix(advert, conf, 3600, "fd00:b::");
    // One for others' eyes, and one that would be preferred when it is gone.
    let advert = with_prefix(advert, link, 3600, "fd00:c::");
    let advert = with_prefix(advert, link | conf, 7201, "fd00:d::");
    w.comes(advert);
    w.passes(SECOND);
    for net in ["2001:db8", "fd00:a", "fd00:b"] {
        assert!(has(&w, &format!("{net}::ff:fe00:1")), "{net}");
    }
    for net in ["fd00:c", "fd00:d"] {
        assert!(!has(&w, &format!("{net}::ff:fe00:1")), "{net}");
    }
    // Neighbours are asked for where the prefix is on the link; where it is not, all goes by the router.
    w.sent();
    for (net, is_asked) in [("fd00:a", true), ("fd00:b", false)] {
        let c = w.udp(&format!("{net}::77!53"));
        w.stack.write(&c, b"near").unwrap();
        let (frame, _) = &w.sent()[0];
        assert_eq!((frame[54] == 135, frame.starts_with(&THEIRS)), (is_asked, !is_asked), "{net}");
    }
}
