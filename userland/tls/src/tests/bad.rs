//! What is refused, and that it is told why.

use rcgen::date_time_ymd;

use super::*;

/// Why a conversation does not come about.
fn refused(client: &mut End, server: &mut ServerConnection) -> String {
    let why = carry(client, server, 4096).unwrap_err();
    assert!(!client.is_ready() || client.put(b"secret").is_err() || client.outgoing().is_empty());
    why
}

#[test]
fn who_is_somebody_else() {
    let other = world(p256(), |_| {});
    let worlds: [(World, &str); 4] = [
        (
            world(p256(), |params| params.subject_alt_names.truncate(0)),
            "its certificate is for another name: ",
        ),
        (world(p256(), |params| params.not_after = date_time_ymd(2021, 1, 1)), "its certificate has expired"),
        (
            world(p256(), |params| params.not_before = date_time_ymd(2999, 1, 1)),
            "its certificate is not valid yet: is the date right?",
        ),
        // It has another's certificate, and not the key.
        (
            World { key: p256(), ..world(p256(), |_| {}) },
            "a signature is wrong, of its certificate or its own",
        ),
    ];
    for versions in [&[&version::TLS13][..], &[&version::TLS12]] {
        for (world, why) in &worlds {
            let mut client = world.client();
            assert_eq!(refused(&mut client, &mut world.server(able(None, None), versions)), *why);
            // The other side is told.
            let mut server = world.server(able(None, None), versions);
            let mut client = world.client();
            let _ = carry(&mut client, &mut server, 4096);
            let alert = client.outgoing();
            assert!(!alert.is_empty());
            let _ = server.read_tls(&mut &alert[..]);
            assert!(server.process_new_packets().is_err());
        }
        // An authority that nobody knows.
        let world = world(p256(), |_| {});
        let mut client = other.client();
        let why = refused(&mut client, &mut world.server(able(None, None), versions));
        assert_eq!(why, "its certificate is of no authority that is trusted");
    }
    let mut named = End::client(other.config(), "other.example").unwrap();
    let why = refused(&mut named, &mut other.server(able(None, None), BOTH));
    assert_eq!(why, format!("its certificate is for another name: {NAME}"));
    for name in ["", "no name", "$auth", "a!b"] {
        assert!(End::client(other.config(), name).is_err(), "{name}");
    }
}

/// A server's bytes, as far as its first answer.
fn answer(world: &World, client: &mut End, versions: &[&'static SupportedProtocolVersion]) -> Vec<u8> {
    let mut server = world.server(able(None, None), versions);
    server.read_tls(&mut &client.outgoing()[..]).unwrap();
    server.process_new_packets().unwrap();
    let mut bytes = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut bytes).unwrap();
    }
    bytes
}

#[test]
fn who_does_not_have_the_key_or_changes_a_bit_is_found_out() {
    let world = world(p256(), |_| {});
    for versions in [&[&version::TLS13][..], &[&version::TLS12]] {
        let len = answer(&world, &mut world.client(), versions).len();
        for at in (0..len).step_by(7) {
            let mut client = world.client();
            let mut bytes = answer(&world, &mut client, versions);
            let Some(byte) = bytes.get_mut(at) else { continue };
            *byte ^= 1 << (at % 8);
            let taken = client.take(&bytes);
            // What is longer than it says is waited for; nothing of it is believed.
            assert!(taken.is_err() || !client.is_ready(), "bit of byte {at} is believed");
            assert_eq!(client.said(), b"");
        }
    }
}

#[test]
fn a_record_that_was_changed_is_not_handed_on() {
    let world = world(p256(), |_| {});
    for versions in [&[&version::TLS13][..], &[&version::TLS12]] {
        for at in 0..30 {
            let (mut client, mut server) = (world.client(), world.server(able(None, None), versions));
            carry(&mut client, &mut server, 4096).unwrap();
            server.writer().write_all(b"pay ten").unwrap();
            let mut bytes = Vec::new();
            server.write_tls(&mut bytes).unwrap();
            let n = at % bytes.len();
            if versions == [&version::TLS13] && (1..3).contains(&n) {
                // A number that is without meaning (RFC 8446, 5.1).
                continue;
            }
            bytes[n] ^= 0x10;
            let taken = client.take(&bytes);
            assert!(taken.is_err() || !client.said().starts_with(b"pay"), "byte {n}");
        }
    }
}

#[test]
fn nonsense_is_no_tls_and_too_much_is_too_much() {
    let world = world(p256(), |_| {});
    for nonsense in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0; 100], &[0xff; 100]] {
        let mut client = world.client();
        client.outgoing();
        let why = client.take(nonsense).unwrap_err();
        assert!(why.starts_with("what comes is no TLS"), "{why}");
    }
    // A message that is announced to be long, in records that are right.
    let mut client = world.client();
    let record = [&[22, 3, 3, 0x40, 0, 2, 0xff, 0xff, 0xff][..], &[0; 16380]].concat();
    let failed = (0..20).find_map(|_| client.take(&record).err());
    assert!(failed.is_some());
}
