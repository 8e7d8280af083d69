//! Calls: who takes them, and many of them.

use super::*;

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
