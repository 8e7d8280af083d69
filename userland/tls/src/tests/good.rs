//! What works: every suite, group and kind of key, pieces of every size, much of both, keys that change.

use rcgen::KeyPair;

use super::*;

/// A conversation with that server: what was agreed upon.
fn talk(world: &World, mut server: ServerConnection, step: usize) -> String {
    let mut client = world.client();
    assert!(client.put(b"too soon").is_err());
    assert_eq!(carry(&mut client, &mut server, step), Ok(Vec::new()));
    assert!(client.is_ready() && !server.is_handshaking());
    assert_eq!(client.certificate(), Some(world.certificate.der()));
    let much: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    for data in [&b"hello"[..], &much] {
        client.put(data).unwrap();
        assert!(carry(&mut client, &mut server, step) == Ok(data.to_vec()), "other bytes have come back");
    }
    assert!(!client.has_ended());
    server.send_close_notify();
    carry(&mut client, &mut server, step).unwrap();
    assert!(client.has_ended());
    // It may still say something.
    client.close();
    let out = client.outgoing();
    server.read_tls(&mut &out[..]).unwrap();
    assert!(server.process_new_packets().unwrap().peer_has_closed());
    client.kind()
}

#[test]
fn every_suite_of_both_versions() {
    let ecdsa = world(p256(), |_| {});
    let rsa = world(KeyPair::from_pem(RSA).unwrap(), |_| {});
    for suite in crate::provider::provider(random).cipher_suites {
        let name = format!("{:?}", suite.suite());
        let world = if name.contains("RSA") { &rsa } else { &ecdsa };
        let kind = talk(world, world.server(able(Some(&name), None), BOTH), 16384);
        let version = if name.starts_with("TLS13") { "TLSv1_3" } else { "TLSv1_2" };
        assert_eq!(kind, format!("{version} {name}"));
    }
}

#[test]
fn every_group() {
    let world = world(p256(), |_| {});
    for group in [NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1] {
        for versions in [&[&version::TLS13][..], &[&version::TLS12]] {
            talk(&world, world.server(able(None, Some(group)), versions), 1000);
        }
    }
}

#[test]
fn every_kind_of_key_and_of_signature() {
    let rsa = |algorithm| KeyPair::from_pkcs8_pem_and_sign_algo(RSA, algorithm).unwrap();
    let keys = [
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
        rsa(&rcgen::PKCS_RSA_SHA256),
        rsa(&rcgen::PKCS_RSA_SHA384),
        rsa(&rcgen::PKCS_RSA_SHA512),
    ];
    for key in keys {
        // What signs itself shows that of its own kind as well.
        let signs = {
            let mut params = CertificateParams::new([NAME.into()]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, "signs with its own kind");
            let authority = params.self_signed(&key).unwrap();
            let issuer = Issuer::new(params, &key);
            let own = p256();
            let certificate =
                CertificateParams::new([NAME.into()]).unwrap().signed_by(&own, &issuer).unwrap();
            World { authority, certificate, key: own }
        };
        let proves = world(key, |_| {});
        for world in [&signs, &proves] {
            for versions in [&[&version::TLS13][..], &[&version::TLS12]] {
                talk(world, world.server(able(None, None), versions), 5000);
            }
        }
    }
}

#[test]
fn pieces_of_every_size() {
    let world = world(p256(), |_| {});
    for step in [1, 2, 3, 5, 64, 1 << 20] {
        for versions in [&[&version::TLS13][..], &[&version::TLS12]] {
            talk(&world, world.server(able(None, None), versions), step);
        }
    }
}

#[test]
fn keys_may_be_changed_under_way() {
    let world = world(p256(), |_| {});
    let mut server = world.server(able(None, None), BOTH);
    let mut client = world.client();
    carry(&mut client, &mut server, 999).unwrap();
    for _ in 0..3 {
        server.refresh_traffic_keys().unwrap();
        client.put(b"hello").unwrap();
        assert_eq!(carry(&mut client, &mut server, 999), Ok(b"hello".to_vec()));
        client.put(b"again").unwrap();
        assert_eq!(carry(&mut client, &mut server, 999), Ok(b"again".to_vec()));
    }
}

#[test]
fn addresses_have_certificates_too() {
    let world = world(p256(), |params| {
        params.subject_alt_names.push(rcgen::SanType::IpAddress("10.0.2.2".parse().unwrap()));
    });
    for (name, is_right) in [("10.0.2.2", true), ("10.0.2.3", false), ("SERVER.example", true)] {
        let mut client = End::client(world.config(), name).unwrap();
        let mut server = world.server(able(None, None), BOTH);
        assert_eq!(carry(&mut client, &mut server, 4096).is_ok(), is_right, "{name}");
    }
}
