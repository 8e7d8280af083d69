//! A card behind which nobody answers, and a stack without a service thread.

use std::sync::{Arc, Mutex};

use net::address::{parse, parse_local};
use net::error::NO_ROUTE;
use net::{Bearer, Came, Card, Conversation, Open, Proto, Stack, text};
use smoltcp::wire::{Ipv6Address, UdpPacket};

#[derive(Default)]
struct Silent(Mutex<Vec<Vec<u8>>>);

impl Card for Silent {
    fn mac(&self) -> [u8; 6] {
        [2, 0, 0, 0, 0, 1]
    }

    fn mtu(&self) -> usize {
        1500
    }

    fn receive(&self) -> Option<Came> {
        self.0.lock().unwrap().pop().map(|bytes| Came { bytes, is_summed: false })
    }

    fn dropped(&self) -> u64 {
        0
    }

    fn send(&self, _frame: &[&[u8]], _open: Open) -> bool {
        true
    }
}

/// A stack with such a card, addresses, and gateways to everywhere.
fn stack() -> (Arc<Stack>, Arc<Silent>) {
    let (stack, card) = (Stack::new().unwrap(), Arc::<Silent>::default());
    let ifc = stack.new_interface().unwrap();
    stack.bind_card(ifc, card.clone(), "/net/ether0").unwrap();
    for (addr, bits, via, all) in [("10.0.0.2", 24, "10.0.0.1", "0.0.0.0"), ("fd00::2", 64, "fd00::1", "::")]
    {
        stack.add_address(ifc, parse(addr).unwrap(), Some(bits)).unwrap();
        stack.add_route(parse(all).unwrap(), 0, parse(via).unwrap(), *b"test").unwrap();
    }
    (stack, card)
}

fn open(stack: &Stack, proto: Proto) -> Arc<Conversation> {
    stack.open(proto, Bearer { owner: "glenda".into(), account: None, is_hosts: true }).unwrap()
}

#[test]
fn a_read_of_an_echo_is_no_longer_than_asked_for() {
    let (stack, _card) = stack();
    let c = open(&stack, Proto::Icmp);
    stack.connect(&c, (parse("127.0.0.1").unwrap(), 9).into(), None).unwrap();
    let mut message = [0; 40];
    message[20] = 8;
    for max in [10, 30, 40, 100] {
        stack.write(&c, &message).unwrap();
        assert_eq!(stack.read(&c, max).unwrap().len(), max.min(40));
    }
}

#[test]
fn nobody_is_at_no_address() {
    let (stack, _card) = stack();
    for to in ["0.0.0.0", "::"] {
        for proto in [Proto::Tcp, Proto::Udp, Proto::Icmp, Proto::Icmpv6] {
            let c = open(&stack, proto);
            assert_eq!(
                stack.connect(&c, (parse(to).unwrap(), 9).into(), None),
                Err(NO_ROUTE),
                "{proto:?} {to}"
            );
        }
    }
}

#[test]
fn datagrams_from_what_is_nobodys_address_are_no_calls() {
    let (stack, card) = stack();
    let c = open(&stack, Proto::Udp);
    stack.announce(&c, parse_local("*!54").unwrap()).unwrap();
    let to_all = Ipv6Address::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let us = Ipv6Address::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
    let mapped = Ipv6Address::new(0, 0, 0, 0, 0, 0xffff, 0x0a00, 1);
    let somebody = Ipv6Address::new(0xfd00, 0, 0, 0, 0, 0, 0, 3);
    let others = [Ipv6Address::UNSPECIFIED, mapped];
    let pairs = others.iter().flat_map(|from| [(*from, to_all), (*from, us)]);
    for (from, to) in pairs.chain([(somebody, mapped), (somebody, us)]) {
        let mut datagram = vec![0, 9, 0, 54, 0, 12, 0, 0, 1, 2, 3, 4];
        UdpPacket::new_unchecked(&mut datagram[..]).fill_checksum(&from.into(), &to.into());
        let head = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 12, 17, 64];
        card.0.lock().unwrap().push([&head[..], &from.octets(), &to.octets(), &datagram].concat());
        stack.round();
    }
    assert!(text::ip_stats(&stack).unwrap().contains("InReceives: 6\n"));
    let call = stack.listen(&c).unwrap();
    assert_eq!(text::remote(&stack, &call).unwrap(), "fd00::3!9\n");
    assert!(text::stats(&stack, Proto::Udp).unwrap().contains("Conversations: 2\n"));
}
