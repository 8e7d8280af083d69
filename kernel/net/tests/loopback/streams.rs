//! Connections: what they carry, and how they end.

use super::*;

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
