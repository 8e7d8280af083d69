//! The server, and clients that show who they are.

use rcgen::SanType;
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConnection, RootCertStore};

use super::*;
use crate::config::{Identity, Wrong};

/// The identity of a world's server.
fn identity(world: &World) -> Identity {
    let pem = world.certificate.pem() + &world.authority.pem();
    Identity::new(random, pem.as_bytes(), world.key.serialize_pem().as_bytes()).unwrap()
}

fn server(world: &World) -> End {
    End::server(config::server(random, now, identity(world)).unwrap()).unwrap()
}

/// A client of ring's that trusts the world's authority.
fn ring_client(
    world: &World,
    provider: CryptoProvider,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(world.authority.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(config), ServerName::try_from(NAME).unwrap()).unwrap();
    client.set_buffer_limit(None);
    client
}

/// Carries bytes to and fro until nobody sends any more; what the server is told it says again.
fn serve(client: &mut ClientConnection, server: &mut End, step: usize) -> Result<Vec<u8>, String> {
    let mut got = Vec::new();
    loop {
        let mut out = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut out).unwrap();
        }
        for piece in out.chunks(step) {
            server.take(piece)?;
            let said = server.said();
            if !said.is_empty() {
                server.put(&said)?;
            }
        }
        let back = server.outgoing();
        if back.is_empty() && out.is_empty() {
            return Ok(got);
        }
        let mut rest = &back[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            let state = client.process_new_packets().map_err(|e| e.to_string())?;
            let mut bytes = std::vec![0; state.plaintext_bytes_to_read()];
            client.reader().read_exact(&mut bytes).unwrap();
            got.extend(bytes);
        }
    }
}

#[test]
fn every_suite_group_and_key_of_the_server() {
    let rsa = |algorithm| KeyPair::from_pkcs8_pem_and_sign_algo(RSA, algorithm).unwrap();
    let keys = [
        p256(),
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
        rsa(&rcgen::PKCS_RSA_SHA256),
    ];
    let much: Vec<u8> = (0..60_000_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    for key in keys {
        let is_rsa = key.algorithm() == &rcgen::PKCS_RSA_SHA256;
        let world = world(key, |_| {});
        for suite in crate::provider::provider(random).cipher_suites {
            let name = format!("{:?}", suite.suite());
            if !name.starts_with("TLS13") && name.contains("_RSA_") != is_rsa {
                continue;
            }
            let group = match name.contains("128") {
                true => NamedGroup::secp256r1,
                false => NamedGroup::X25519,
            };
            let mut client = ring_client(&world, able(Some(&name), Some(group)), BOTH);
            let mut server = server(&world);
            assert!(server.put(b"too soon").is_err());
            client.writer().write_all(&much).unwrap();
            assert!(serve(&mut client, &mut server, 777) == Ok(much.clone()), "{name}");
            assert!(server.is_ready() && server.kind().ends_with(&name), "{}", server.kind());
            // Who has said goodbye may still be answered.
            client.send_close_notify();
            serve(&mut client, &mut server, 777).unwrap();
            assert!(server.has_ended());
            server.put(b"an afterthought").unwrap();
            server.close();
            assert!(server.put(b"too late").is_err());
            server.close();
            assert_eq!(serve(&mut client, &mut server, 777), Ok(b"an afterthought".to_vec()));
            assert!(server.outgoing().is_empty());
        }
    }
}

#[test]
fn what_is_no_call_is_refused() {
    let world = world(p256(), |_| {});
    for nonsense in [&b"GET / HTTP/1.0\r\n\r\n"[..], &[0; 100], &[0xff; 100]] {
        let why = server(&world).take(nonsense).unwrap_err();
        assert!(why.starts_with("what comes is no TLS"), "{why}");
    }
    // TLS 1.0, without any extensions.
    let hello = [&[3, 1][..], &[7; 32], &[0, 0, 2, 0xc0, 0x13, 1, 0]].concat();
    let len = hello.len() as u8;
    let why = server(&world).take(&[&[22, 3, 1, 0, len + 4, 1, 0, 0, len], &hello[..]].concat()).unwrap_err();
    assert_eq!(why, "it has no TLS that is new enough: 1.2 or 1.3");
    // Somebody who does not know our authority says so.
    let other = super::world(p256(), |_| {});
    let mut client = ring_client(&other, able(None, None), BOTH);
    let mut server = server(&world);
    let _ = serve(&mut client, &mut server, 4096);
    let mut alert = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut alert).unwrap();
    }
    let why = server.take(&alert).unwrap_err();
    assert_eq!(why, "it is refused there: our certificate is of no authority that it trusts");
}

/// A bit of a client's words that is changed is found out, or means nothing.
#[test]
fn a_client_that_is_changed_on_its_way_is_not_believed() {
    let world = world(p256(), |_| {});
    for versions in [&[&version::TLS13][..], &[&version::TLS12]] {
        for at in (0..500).step_by(3) {
            let mut client = ring_client(&world, able(None, None), versions);
            client.writer().write_all(b"pay ten").unwrap();
            let (mut server, mut sent) = (server(&world), 0);
            loop {
                let mut out = Vec::new();
                while client.wants_write() {
                    client.write_tls(&mut out).unwrap();
                }
                let changed = at >= sent && out.get(at - sent).is_some();
                if changed {
                    out[at - sent] ^= 0x40;
                }
                sent += out.len();
                if out.is_empty() || server.take(&out).is_err() || changed {
                    break;
                }
                let back = server.outgoing();
                if client.read_tls(&mut &back[..]).is_err() || client.process_new_packets().is_err() {
                    break;
                }
            }
            let said = server.said();
            assert!(said.is_empty() || said == b"pay ten", "byte {at}");
        }
    }
}

#[test]
fn a_key_and_a_certificate_belong_together() {
    let (one, other) = (world(p256(), |_| {}), world(p256(), |_| {}));
    let new = |certificate: &str, key: &str| Identity::new(random, certificate.as_bytes(), key.as_bytes());
    let (pem, key) = (one.certificate.pem(), one.key.serialize_pem());
    // One file with both, in either order.
    assert!(new(&(pem.clone() + &key), &(pem.clone() + &key)).is_ok());
    assert!(new(&(key.clone() + &pem), &(key.clone() + &pem)).is_ok());
    for (certificate, key, wrong) in [
        ("", &key[..], Wrong::Certificate("no certificate is in it".into())),
        (&pem[..], "", Wrong::Key("no key is in it, or one with a password".into())),
        (&pem, &pem, Wrong::Key("no key is in it, or one with a password".into())),
        (&pem, &other.key.serialize_pem(), Wrong::Key("it is the key of another certificate".into())),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &key,
            Wrong::Certificate("its first certificate cannot be read".into()),
        ),
        (
            &pem,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            Wrong::Key("it is no key of RSA, P-256 or P-384".into()),
        ),
    ] {
        assert_eq!(new(certificate, key).unwrap_err(), wrong);
    }
    assert_eq!(Wrong::Key("x".into()).of_files("a", "b"), "b: x");
}

/// Keys as OpenSSL writes them, in all forms.
#[test]
fn keys_of_every_form() {
    for (key, certificate) in [
        (include_str!("sec1.pem"), include_str!("sec1-cert.pem")),
        (include_str!("pkcs1.pem"), include_str!("pkcs1-cert.pem")),
    ] {
        assert!(Identity::new(random, certificate.as_bytes(), key.as_bytes()).is_ok(), "{key}");
    }
}

/// A server that asks who calls.
fn asking(world: &World, who: &World, versions: &[&'static SupportedProtocolVersion]) -> ServerConnection {
    let provider = Arc::new(able(None, None));
    let mut roots = RootCertStore::empty();
    roots.add(who.authority.der().clone()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let key = PrivateKeyDer::try_from(world.key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(Vec::from([world.certificate.der().clone()]), key)
        .unwrap();
    ServerConnection::new(Arc::new(config)).unwrap()
}

#[test]
fn a_client_shows_who_it_is_when_it_is_asked() {
    let world = world(p256(), |_| {});
    let rsa = KeyPair::from_pem(RSA).unwrap();
    for key in [p256(), KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(), rsa] {
        let who = super::world(key, |params| {
            params.subject_alt_names =
                Vec::from([SanType::Rfc822Name("glenda@example.org".try_into().unwrap())]);
        });
        for versions in [&[&version::TLS13][..], &[&version::TLS12]] {
            let client = |identity| {
                let way = Way::Anchors(anchors(world.authority.pem().as_bytes()).unwrap());
                let trust = Trust { way, excluded: Thumbprints::default() };
                End::client(config::client(random, now, trust, identity).unwrap(), NAME).unwrap()
            };
            let mut known = client(Some(identity(&who)));
            let mut server = asking(&world, &who, versions);
            carry(&mut known, &mut server, 4096).unwrap();
            assert_eq!(server.peer_certificates().unwrap()[0], *who.certificate.der());
            known.put(b"hello").unwrap();
            assert_eq!(carry(&mut known, &mut server, 4096), Ok(b"hello".to_vec()));

            // With none it is told what is wanted; with one that the server does not know, that.
            for (identity, why) in [
                (None, "it is refused there: it wants a certificate of ours"),
                (
                    Some(identity(&world)),
                    "it is refused there: our certificate is of no authority that it trusts",
                ),
            ] {
                let mut client = client(identity);
                let mut server = asking(&world, &who, versions);
                let mut told = Ok(());
                for _ in 0..4 {
                    let out = client.outgoing();
                    let mut rest = &out[..];
                    while !rest.is_empty() {
                        server.read_tls(&mut rest).unwrap();
                        let _ = server.process_new_packets();
                    }
                    let mut back = Vec::new();
                    while server.wants_write() {
                        server.write_tls(&mut back).unwrap();
                    }
                    told = told.and_then(|()| client.take(&back));
                }
                let old = "it is refused there: there is no cipher, version or kind of key that both know";
                let told = told.unwrap_err();
                assert!(told == why || versions == [&version::TLS12] && told == old, "{told}");
            }
        }
    }
}
