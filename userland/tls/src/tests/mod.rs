//! The client against a server, and the server against a client, of rustls's whose cryptography is ring's, so that
//! nothing is tested against itself.

mod bad;
mod good;
mod prints;
mod server;
mod short;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::fs::File;
use std::io::{Read, Write};
use std::time::SystemTime;

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::{CryptoProvider, GetRandomFailed, ring};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, NamedGroup, ServerConfig, ServerConnection, SupportedProtocolVersion, version};

use crate::config;
use crate::end::End;
use crate::trust::{Thumbprints, Trust, Way, anchors};

pub const RSA: &str = include_str!("rsa.pem");
pub const NAME: &str = "server.example";

pub fn random(bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(bytes)).map_err(|_| GetRandomFailed)
}

pub fn now() -> Option<u64> {
    Some(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
}

/// An authority, and what it says of a server.
pub struct World {
    pub authority: Certificate,
    pub certificate: Certificate,
    pub key: KeyPair,
}

/// A server of that name with that key, whose certificate `change` may spoil.
pub fn world(key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> World {
    let authority_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, format!("authority {:x?}", authority_key.public_key_raw()));
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(params, authority_key);
    let mut params = CertificateParams::new([NAME.into()]).unwrap();
    change(&mut params);
    World { authority, certificate: params.signed_by(&key, &issuer).unwrap(), key }
}

pub fn p256() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

/// What a server can do, of all that ring can.
pub fn able(suite: Option<&str>, group: Option<NamedGroup>) -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.retain(|one| suite.is_none_or(|suite| format!("{:?}", one.suite()) == suite));
    provider.kx_groups.retain(|one| group.is_none_or(|group| one.name() == group));
    assert!(!provider.cipher_suites.is_empty() && !provider.kx_groups.is_empty());
    provider
}

pub const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

impl World {
    pub fn server(
        &self,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ServerConnection {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        // Whether they belong together is not looked at.
        let shown = CertifiedKey::new(
            Vec::from([self.certificate.der().clone()]),
            provider.key_provider.load_private_key(key).unwrap(),
        );
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
        let mut server = ServerConnection::new(Arc::new(config)).unwrap();
        server.set_buffer_limit(None);
        server
    }

    /// Somebody who trusts the authority.
    pub fn config(&self) -> Arc<ClientConfig> {
        let way = Way::Anchors(anchors(self.authority.pem().as_bytes()).unwrap());
        config::client(random, now, Trust { way, excluded: Thumbprints::default() }, None).unwrap()
    }

    pub fn client(&self) -> End {
        End::client(self.config(), NAME).unwrap()
    }
}

/// Carries bytes to and fro, in pieces of `step`, until nobody sends any more; what a server's program would send is
/// what it has got.
pub fn carry(client: &mut End, server: &mut ServerConnection, step: usize) -> Result<Vec<u8>, String> {
    let mut got = Vec::new();
    loop {
        let out = client.outgoing();
        let mut rest = &out[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            let state = server.process_new_packets();
            let mut bytes = std::vec![0; state.as_ref().map_or(0, |state| state.plaintext_bytes_to_read())];
            server.reader().read_exact(&mut bytes).unwrap();
            server.writer().write_all(&bytes).unwrap();
        }
        let mut back = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut back).unwrap();
        }
        if back.is_empty() && out.is_empty() {
            return Ok(got);
        }
        for piece in back.chunks(step) {
            client.take(piece)?;
            got.extend(client.said());
        }
    }
}
