//! Conversations of the machine with itself.

use std::sync::Arc;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use machine::ledger::{Account, Terms, User};
use net::address::{Local, parse, parse_local};
use net::error::*;
use net::{Bearer, Conversation, Proto, Stack, text};
use smoltcp::wire::IpEndpoint;

struct World(Arc<Stack>);

impl World {
    fn new() -> World {
        let stack = Stack::new().unwrap();
        stack.start().unwrap();
        World(stack)
    }

    fn open(&self, proto: Proto) -> Arc<Conversation> {
        self.0.open(proto, Bearer { owner: "glenda".into(), account: None, is_hosts: true }).unwrap()
    }

    fn announce(&self, proto: Proto, at: &str) -> Arc<Conversation> {
        let c = self.open(proto);
        self.0.announce(&c, parse_local(at).unwrap()).unwrap();
        c
    }

    fn dial(&self, proto: Proto, to: &str) -> Result<Arc<Conversation>> {
        let c = self.open(proto);
        match self.0.connect(&c, end(to), None) {
            Ok(()) => Ok(c),
            Err(e) => {
                self.0.close(&c);
                Err(e)
            }
        }
    }

    /// Two ends of a connection, and who took the call.
    fn pair(&self, at: &str) -> [Arc<Conversation>; 3] {
        let l = self.announce(Proto::Tcp, at);
        let a = self.dial(Proto::Tcp, at).unwrap();
        let b = self.0.listen(&l).unwrap();
        [a, b, l]
    }

    fn read_all(&self, c: &Conversation) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let bytes = self.0.read(c, 10_000)?;
            if bytes.is_empty() {
                return Ok(all);
            }
            all.extend(bytes);
        }
    }

    fn status(&self, c: &Conversation) -> String {
        text::status(&self.0, c).unwrap()
    }

    /// How many conversations of TCP there are, when it is as many as expected or a second has passed.
    fn settles_at(&self, want: usize) -> usize {
        let begun = Instant::now();
        loop {
            let mut count = 0;
            let mut from = 0;
            while let Some(files) = self.0.next(Proto::Tcp, from) {
                from = files.shared.number + 1;
                count += 1;
            }
            if count == want || begun.elapsed() > Duration::from_secs(1) {
                return count;
            }
            sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.0.end();
    }
}

type Result<T> = std::result::Result<T, net::Error>;

fn end(text: &str) -> IpEndpoint {
    let Local { addr, port } = parse_local(text).unwrap();
    IpEndpoint::new(addr.unwrap(), port)
}

#[test]
fn a_connection_carries_bytes_both_ways_and_ends() {
    let w = World::new();
    for at in ["127.0.0.1!80", "::1!81"] {
        let [a, b, l] = w.pair(at);
        assert_eq!(w.0.write(&a, b"hello").unwrap(), 5);
        assert_eq!(w.0.read(&b, 3).unwrap(), b"hel");
        assert_eq!(w.0.read(&b, 30).unwrap(), b"lo");
        w.0.write(&b, b"back").unwrap();
        assert_eq!(w.0.read(&a, 30).unwrap(), b"back");
        assert_eq!(text::remote(&w.0, &a).unwrap(), format!("{at}\n"));
        assert_eq!(text::local(&w.0, &a), text::remote(&w.0, &b));
        assert_eq!(w.status(&a), "Established qin 0 qout 0\n");
        assert_eq!(w.status(&l), "Listen qin 0 qout 0\n");
        // What was written before the end is read, and then the end, as often as one likes.
        w.0.write(&a, b"last words").unwrap();
        w.0.close(&a);
        assert_eq!(w.read_all(&b).unwrap(), b"last words");
        assert_eq!(w.0.read(&b, 1).unwrap(), b"");
        assert_eq!(w.status(&b), "Close_wait qin 0 qout 0\n");
        w.0.close(&b);
        w.0.close(&l);
        assert_eq!(w.settles_at(0), 0);
    }
}

#[test]
fn nobody_there_is_refused_at_once() {
    let w = World::new();
    let begun = Instant::now();
    for at in ["127.0.0.1!80", "::1!80", "127.0.0.2!80"] {
        assert_eq!(w.dial(Proto::Tcp, at).map(drop), Err(REFUSED));
    }
    assert!(begun.elapsed() < Duration::from_millis(900));
    assert_eq!(w.dial(Proto::Tcp, "10.1.2.3!80").map(drop), Err(NO_ROUTE));
    assert_eq!(w.settles_at(0), 0);
}

#[test]
fn places_are_taken_once_and_found_by_address() {
    let w = World::new();
    let all = w.announce(Proto::Tcp, "*!80");
    let again = w.open(Proto::Tcp);
    assert_eq!(w.0.announce(&again, parse_local("*!80").unwrap()), Err(ADDRESS_IN_USE));
    // One with an address goes before the one for all.
    w.0.announce(&again, parse_local("127.0.0.1!80").unwrap()).unwrap();
    let third = w.open(Proto::Tcp);
    assert_eq!(w.0.announce(&third, parse_local("127.0.0.1!80").unwrap()), Err(ADDRESS_IN_USE));
    assert_eq!(w.0.announce(&third, parse_local("1.2.3.4!80").unwrap()), Err(NOT_LOCAL));
    assert_eq!(w.0.announce(&again, parse_local("*!81").unwrap()), Err(IN_USE));
    let v4 = w.dial(Proto::Tcp, "127.0.0.1!80").unwrap();
    let v6 = w.dial(Proto::Tcp, "::1!80").unwrap();
    let taken = w.0.listen(&again).unwrap();
    assert_eq!(text::remote(&w.0, &taken), text::local(&w.0, &v4));
    let taken = w.0.listen(&all).unwrap();
    assert_eq!(text::remote(&w.0, &taken), text::local(&w.0, &v6));
    // Port 0 is one that is free.
    w.0.announce(&third, parse_local("*!0").unwrap()).unwrap();
    let local = text::local(&w.0, &third).unwrap();
    let port: u16 = local.trim().strip_prefix("::!").unwrap().parse().unwrap();
    assert!(port >= 32768);
    w.dial(Proto::Tcp, &format!("127.0.0.1!{port}")).unwrap();
    // When it is closed, the place is free, and who calls is refused.
    w.0.close(&third);
    assert_eq!(w.dial(Proto::Tcp, &format!("127.0.0.1!{port}")).map(drop), Err(REFUSED));
}

#[test]
fn much_data_goes_through_small_reads_while_the_writer_waits() {
    let w = World::new();
    let [a, b, _] = w.pair("127.0.0.1!80");
    let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n ^ n >> 9) as u8).collect();
    let got = scope(|s| {
        s.spawn(|| {
            assert_eq!(w.0.write(&a, &sent).unwrap(), sent.len());
            w.0.close(&a);
        });
        w.read_all(&b).unwrap()
    });
    assert!(got == sent);
}

#[test]
fn what_comes_after_the_end_is_thrown_away_and_has_an_end() {
    let w = World::new();
    let [a, b, _] = w.pair("127.0.0.1!80");
    w.0.write(&b, b"never read").unwrap();
    w.0.write(&a, b"last words").unwrap();
    w.0.close(&a);
    // They are not lost for the other side, which may go on for a while.
    w.0.write(&b, &[7; 100_000]).unwrap();
    assert_eq!(w.0.read(&b, 100).unwrap(), b"last words");
    assert_eq!(w.0.read(&b, 100).unwrap(), b"");
    let all: Result<usize> = (0..20).map(|_| w.0.write(&b, &[7; 100_000])).sum();
    assert_eq!(all, Err(HUNG_UP));
    // The other side had ended before it was too much for it.
    assert_eq!(w.0.read(&b, 10).unwrap(), b"");
    assert_eq!(text::error(&w.0, &b).unwrap(), "connection reset by peer\n");
    w.0.close(&b);
    // Who ends too gives it all up.
    let [a, b, _] = w.pair("127.0.0.1!81");
    w.0.write(&a, b"first").unwrap();
    w.0.close(&a);
    w.0.write(&b, b"too late").unwrap();
    assert_eq!(w.0.read(&b, 10).unwrap(), b"first");
    assert_eq!(w.0.read(&b, 10).unwrap(), b"");
    w.0.close(&b);
    assert_eq!(w.settles_at(2), 2);
}

#[test]
fn one_half_ends_and_the_other_goes_on() {
    let w = World::new();
    let [a, b, _] = w.pair("127.0.0.1!80");
    w.0.write(&b, b"question").unwrap();
    assert_eq!(w.0.read(&a, 10).unwrap(), b"question");
    // `close` in the control file ends our half, and reads of ours, also those that wait.
    scope(|s| {
        let reader = s.spawn(|| w.0.read(&a, 10));
        sleep(Duration::from_millis(20));
        w.0.hang_up(&a, false).unwrap();
        assert_eq!(reader.join().unwrap(), Err(HUNG_UP));
    });
    assert_eq!(w.0.read(&b, 10).unwrap(), b"");
    assert_eq!(w.status(&b), "Close_wait qin 0 qout 0\n");
    assert_eq!(w.status(&a), "Finwait2 qin 0 qout 0\n");
    assert_eq!(w.0.write(&b, b"still").unwrap(), 5);
    w.0.close(&b);
    w.0.close(&a);
    assert!(w.settles_at(1) == 1);
}

#[test]
fn hanging_up_ends_everything_at_once() {
    let w = World::new();
    let [a, b, l] = w.pair("127.0.0.1!80");
    scope(|s| {
        let reader = s.spawn(|| w.0.read(&a, 10));
        let listener = s.spawn(|| w.0.listen(&l).map(drop));
        sleep(Duration::from_millis(20));
        w.0.hang_up(&a, true).unwrap();
        assert_eq!(reader.join().unwrap(), Err(HUNG_UP));
        w.0.hang_up(&l, true).unwrap();
        assert_eq!(listener.join().unwrap(), Err(LISTEN_HUNG_UP));
    });
    assert_eq!(w.0.read(&b, 10), Err(RESET));
    assert_eq!(w.dial(Proto::Tcp, "127.0.0.1!80").map(drop), Err(REFUSED));
}

#[test]
fn calls_wait_in_a_queue_that_has_an_end() {
    let w = World::new();
    let l = w.announce(Proto::Tcp, "127.0.0.1!80");
    let calls: Vec<_> = (0..net::tcp::BACKLOG).map(|_| w.dial(Proto::Tcp, "127.0.0.1!80").unwrap()).collect();
    scope(|s| {
        let late = s.spawn(|| w.dial(Proto::Tcp, "127.0.0.1!80").map(drop));
        sleep(Duration::from_millis(100));
        assert!(!late.is_finished(), "there was no place for it");
        assert!(text::stats(&w.0, Proto::Tcp).unwrap().contains("CallsDropped: 1\n"));
        // In their order; when one is taken there is a place, and who called calls again.
        for c in &calls {
            let taken = w.0.listen(&l).unwrap();
            assert_eq!(text::remote(&w.0, &taken), text::local(&w.0, c));
        }
        assert_eq!(late.join().unwrap(), Ok(()));
    });
    // Those that nobody takes are reset when nobody can.
    let waiting = w.dial(Proto::Tcp, "127.0.0.1!80").unwrap();
    w.0.close(&l);
    assert_eq!(w.0.read(&waiting, 1), Err(RESET));
}

#[test]
fn a_thousand_connections_at_once() {
    let w = World::new();
    let l = w.announce(Proto::Tcp, "127.0.0.1!80");
    let mut all = Vec::new();
    for _ in 0..1000 {
        let a = w.dial(Proto::Tcp, "127.0.0.1!80").unwrap();
        all.push((a, w.0.listen(&l).unwrap()));
    }
    for (n, (a, _)) in all.iter().enumerate() {
        w.0.write(a, &(n as u32).to_le_bytes()).unwrap();
    }
    for (n, (a, b)) in all.iter().enumerate() {
        assert_eq!(w.0.read(b, 10).unwrap(), (n as u32).to_le_bytes());
        w.0.write(b, b"ok").unwrap();
        assert_eq!(w.0.read(a, 10).unwrap(), b"ok");
    }
    for (a, b) in all {
        w.0.close(&a);
        w.0.close(&b);
    }
    assert_eq!(w.settles_at(1), 1);
}

#[test]
fn thousands_of_connections_one_after_another_leave_nothing() {
    let w = World::new();
    let l = w.announce(Proto::Tcp, "127.0.0.1!80");
    for _ in 0..2000 {
        let a = w.dial(Proto::Tcp, "127.0.0.1!80").unwrap();
        let b = w.0.listen(&l).unwrap();
        w.0.write(&a, b"x").unwrap();
        assert_eq!(w.0.read(&b, 1).unwrap(), b"x");
        w.0.close(&a);
        w.0.close(&b);
    }
    assert_eq!(w.settles_at(1), 1);
    // Ports and first numbers are not in a row.
    let ports: Vec<u16> = (0..8)
        .map(|_| {
            let a = w.dial(Proto::Tcp, "127.0.0.1!80").unwrap();
            text::local(&w.0, &a).unwrap().trim().rsplit_once('!').unwrap().1.parse().unwrap()
        })
        .collect();
    assert!(ports.windows(2).any(|p| p[0].abs_diff(p[1]) > 100), "{ports:?}");
}

#[test]
fn datagrams_are_whole_and_have_addresses_before_them() {
    let w = World::new();
    let server = w.announce(Proto::Udp, "127.0.0.1!53");
    w.0.set_headers(&server, true).unwrap();
    let client = w.dial(Proto::Udp, "127.0.0.1!53").unwrap();
    for message in [&b"one"[..], b"", &[7; 16000]] {
        assert_eq!(w.0.write(&client, message).unwrap(), message.len());
        let got = w.0.read(&server, 20_000).unwrap();
        let (head, data) = got.split_at(net::udp::HEADER);
        assert_eq!(data, message);
        let one = net::address::to_bytes(Some(parse("127.0.0.1").unwrap()));
        assert_eq!(head[..16], one);
        assert_eq!(head[16..32], one);
        assert_eq!(head[50..52], 53u16.to_be_bytes());
        // It goes back by the same header.
        assert_eq!(w.0.write(&server, &[head, b"answer"].concat()).unwrap(), 58);
        assert_eq!(w.0.read(&client, 100).unwrap(), b"answer");
    }
    assert_eq!(w.0.write(&client, &[0; 17000]), Err(TOO_LONG));
    assert_eq!(w.0.write(&server, &[0; 51]), Err(TOO_SHORT));
    assert_eq!(w.0.write(&server, &[0; 60]), Err(BAD_ADDRESS));
    // A short read cuts the datagram; the rest is gone.
    w.0.write(&client, b"longer").unwrap();
    w.0.write(&client, b"next").unwrap();
    assert_eq!(w.0.read(&server, 54).unwrap()[52..], *b"lo");
    assert_eq!(w.0.read(&server, 100).unwrap()[52..], *b"next");
    assert_eq!(w.status(&client), "Open qin 0 qout 0\n");
}

#[test]
fn a_datagram_without_headers_is_a_call() {
    let w = World::new();
    let server = w.announce(Proto::Udp, "*!7");
    let a = w.dial(Proto::Udp, "127.0.0.1!7").unwrap();
    let b = w.dial(Proto::Udp, "::1!7").unwrap();
    w.0.write(&a, b"from a").unwrap();
    w.0.write(&b, b"from b").unwrap();
    w.0.write(&a, b"more of a").unwrap();
    let (from_a, from_b) = (w.0.listen(&server).unwrap(), w.0.listen(&server).unwrap());
    assert_eq!(w.0.read(&from_a, 100).unwrap(), b"from a");
    assert_eq!(w.0.read(&from_a, 100).unwrap(), b"more of a");
    assert_eq!(w.0.read(&from_b, 100).unwrap(), b"from b");
    w.0.write(&from_b, b"to b").unwrap();
    assert_eq!(w.0.read(&b, 100).unwrap(), b"to b");
}

#[test]
fn datagrams_that_nobody_reads_are_dropped() {
    let w = World::new();
    let server = w.announce(Proto::Udp, "127.0.0.1!53");
    w.0.set_headers(&server, true).unwrap();
    let client = w.dial(Proto::Udp, "127.0.0.1!53").unwrap();
    for n in 0..1000u32 {
        w.0.write(&client, &n.to_le_bytes()).unwrap();
    }
    assert_eq!(w.0.read(&server, 100).unwrap()[52..], [0; 4]);
    assert!(w.status(&server).starts_with("Open qin "));
}

#[test]
fn an_echo_is_answered() {
    let w = World::new();
    for (proto, at, header, request, answer) in
        [(Proto::Icmp, "127.0.0.1!1", 20, 8, 0), (Proto::Icmpv6, "::1!1", 40, 128, 129)]
    {
        let c = w.dial(proto, at).unwrap();
        let mut message = vec![0; header];
        message.extend([request, 0, 0, 0, 0, 0, 0, 5]);
        message.extend(b"payload");
        assert_eq!(w.0.write(&c, &message).unwrap(), message.len());
        let got = w.0.read(&c, 1000).unwrap();
        assert_eq!(got[header], answer);
        assert_eq!(got[header + 6..], message[header + 6..]);
        message[header] = 5;
        assert_eq!(w.0.write(&c, &message), Err(BAD_CONTROL));
    }
}

#[test]
fn an_address_of_a_card_answers_who_is_here() {
    let w = World::new();
    // Without a card it is as good as one.
    for (proto, addr) in [(Proto::Icmp, "10.0.0.2"), (Proto::Icmpv6, "fd00::2")] {
        let ifc = w.0.new_interface().unwrap();
        w.0.add_address(ifc, parse(addr).unwrap(), None).unwrap();
        let c = w.open(proto);
        w.0.connect(&c, IpEndpoint::new(parse(addr).unwrap(), 0), None).unwrap();
        let (head, kind) = if proto == Proto::Icmp { (20, 8) } else { (40, 128) };
        let mut echo = vec![0; head + 16];
        echo[head] = kind;
        w.0.write(&c, &echo).unwrap();
        assert_eq!(w.0.read(&c, 100).unwrap().len(), head + 16);
    }
}

#[test]
fn the_texts_are_plan_9s() {
    let w = World::new();
    let status = text::ifc_status(&w.0, 0).unwrap();
    let lines: Vec<_> = status.lines().collect();
    assert!(lines[0].starts_with("device /dev/null maxtu 16384 sendra 0 recvra 0 mflag 0 "), "{status}");
    let fields: Vec<_> = lines[1].split_whitespace().collect();
    assert_eq!(fields, ["127.0.0.1", "/104", "127.0.0.0", "4294967295", "4294967295"]);
    assert!(lines[2].starts_with("\t::1                                      /128       ::1 "));
    assert_eq!(text::ifc_status(&w.0, 1), Err(DOES_NOT_EXIST));
    assert_eq!(
        text::routes(&w.0).unwrap(),
        "127.0.0.0       /104 127.0.0.0       4i    ifc   0\n\
         127.0.0.1       /128 127.0.0.1       4u    ifc   0\n\
         ::1             /128 ::1             6u    ifc   0\n"
    );
    let own = text::own_addresses(&w.0).unwrap();
    assert_eq!(own.lines().next().unwrap(), format!("{:<44} 01 4u  ", "127.0.0.1"));
}

#[test]
fn what_waits_is_on_the_bill_of_who_has_begun_it_and_has_an_end() {
    let w = World::new();
    let user = User::new(Terms { bytes: 1 << 20, accounts: 10, held: 10, trusted: false }).unwrap();
    let rich = User::new(Terms::OWNER).unwrap();
    let (caller, server) = (Account::new(&user).unwrap(), Account::new(&rich).unwrap());
    let open = |account: &Arc<Account>| {
        w.0.open(Proto::Tcp, Bearer { owner: "bob".into(), account: Some(account.clone()), is_hosts: false })
    };
    let l = open(&server).unwrap();
    w.0.announce(&l, parse_local("127.0.0.1!80").unwrap()).unwrap();
    let small = server.bytes();
    let begin = || {
        let c = open(&caller).unwrap();
        w.0.connect(&c, end("127.0.0.1!80"), None).unwrap();
        let taken = w.0.listen(&l).unwrap();
        [c, taken]
    };
    let [c, taken] = begin();
    // Who says nothing pays for little.
    assert!(caller.bytes() < 4 << 10 && server.bytes() < small + (4 << 10));
    // What the other side does not read waits here, and there; there it may be as it came, at nobody's expense.
    let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let writer = |c: Arc<Conversation>| {
        let (stack, sent) = (w.0.clone(), sent.clone());
        std::thread::spawn(move || {
            while stack.write(&c, &[7; 1000]).is_ok() {
                sent.fetch_add(1000, std::sync::atomic::Ordering::SeqCst);
            }
        })
    };
    let mut writers = vec![writer(c.clone())];
    let rests = || {
        // Until as much waits as may.
        let mut before = usize::MAX;
        while before != sent.load(std::sync::atomic::Ordering::SeqCst) {
            before = sent.load(std::sync::atomic::Ordering::SeqCst);
            sleep(Duration::from_millis(50));
        }
    };
    rests();
    let waits = 64 << 10;
    assert!((waits..waits + (24 << 10)).contains(&caller.bytes()), "{}", caller.bytes());
    assert!(w.status(&c).ends_with("qout 65536\n") && w.status(&taken).contains("qin 65"));
    // When a user has all that he may, no more waits for him, and he still talks where little waits.
    let mut more = Vec::new();
    for _ in 0..20 {
        let pair = begin();
        writers.push(writer(pair[0].clone()));
        more.extend(pair);
    }
    rests();
    assert!(caller.bytes() <= 1 << 20, "{}", caller.bytes());
    for one in more.iter().chain([&c, &taken]) {
        w.0.hang_up(one, true).unwrap();
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    for one in more.into_iter().chain([c, taken]) {
        w.0.close(&one);
    }
    assert_eq!(w.settles_at(1), 1);
    assert_eq!((caller.bytes(), server.bytes()), (0, small));
    w.0.close(&l);
    drop(l);
    assert_eq!(server.bytes(), 0);
}

#[test]
fn what_was_looked_at_is_opened_and_not_another_with_its_number() {
    let w = World::new();
    let mine = w.open(Proto::Tcp);
    let seen = w.0.get(Proto::Tcp, mine.number).unwrap();
    w.0.open_again(&seen).unwrap();
    w.0.close(&mine);
    w.0.close(&mine);
    let bob = || Bearer { owner: "bob".into(), account: None, is_hosts: false };
    let other = w.0.open(Proto::Tcp, bob()).unwrap();
    assert_eq!(other.number, mine.number);
    assert_eq!(w.0.open_again(&seen).map(drop), Err(DOES_NOT_EXIST));
    assert_eq!(w.0.set_owner(&seen, Some("glenda".into()), None), Err(DOES_NOT_EXIST));
    // The same owner's is another, too.
    w.0.close(&other);
    let _third = w.open(Proto::Tcp);
    assert_eq!(w.0.open_again(&seen).map(drop), Err(DOES_NOT_EXIST));
    // What has been given away, or closed to others, since then is not opened either.
    let seen = w.0.get(Proto::Tcp, mine.number).unwrap();
    w.0.set_owner(&seen, None, Some(0o600)).unwrap();
    assert_eq!(w.0.open_again(&seen).map(drop), Err(DOES_NOT_EXIST));
    let seen = w.0.get(Proto::Tcp, mine.number).unwrap();
    w.0.set_owner(&seen, Some("bob".into()), None).unwrap();
    assert_eq!(w.0.open_again(&seen).map(drop), Err(DOES_NOT_EXIST));
    assert_eq!(w.0.set_owner(&seen, Some("glenda".into()), None), Err(DOES_NOT_EXIST));
    assert_eq!(&*w.0.get(Proto::Tcp, mine.number).unwrap().owner, "bob");
}

#[test]
fn others_leave_half_of_the_conversations() {
    let w = World::new();
    let bob = || w.0.open(Proto::Udp, Bearer { owner: "bob".into(), account: None, is_hosts: false });
    let mut his: Vec<_> = std::iter::from_fn(|| bob().ok()).collect();
    assert_eq!(his.len(), 2048);
    let mine = w.open(Proto::Udp);
    w.0.close(&his.pop().unwrap());
    his.push(bob().unwrap());
    assert!(bob().is_err());
    his.iter().chain([&mine]).for_each(|c| w.0.close(c));
}
