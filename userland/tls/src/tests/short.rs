//! Keys of RSA that are too short: a server's, an authority's, our own. They are told as that.

use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};
use rsa::PrivateKey;
use rsa::pkcs1::EncodeRsaPublicKey;
use rsa::pkcs1v15;
use rsa::pkcs8::DecodePrivateKey;
use rsa::signature::SignatureEncoding;
use rsa::signature::hazmat::PrehashSigner;
use sha2::{Digest, Sha256};

use super::*;
use crate::config::{Identity, Wrong};

const SHORT: &str = include_str!("rsa1024.pem");

/// A key that ring would not take.
struct Short {
    key: PrivateKey,
    public: Vec<u8>,
}

impl Short {
    fn new() -> Short {
        let key = PrivateKey::from_pkcs8_pem(SHORT).unwrap();
        let public = key.to_public_key().to_pkcs1_der().unwrap().as_bytes().to_vec();
        Short { key, public }
    }
}

impl PublicKeyData for Short {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

impl SigningKey for Short {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let key = pkcs1v15::SigningKey::<Sha256>::new(self.key.clone());
        Ok(key.sign_prehash(&Sha256::digest(message)).unwrap().to_vec())
    }
}

fn authority(key: &impl SigningKey) -> (Certificate, CertificateParams) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "somebody with a short key");
    (params.self_signed(key).unwrap(), params)
}

fn refused(world: &World) -> String {
    let mut client = world.client();
    carry(&mut client, &mut world.server(able(None, None), BOTH), 4096).unwrap_err()
}

#[test]
fn a_servers_key_that_is_too_short() {
    let key = p256();
    let (authority, params) = authority(&key);
    let issuer = Issuer::new(params, key);
    let certificate =
        CertificateParams::new([NAME.into()]).unwrap().signed_by(&Short::new(), &issuer).unwrap();
    let why = refused(&World { authority, certificate, key: p256() });
    assert_eq!(why, "its key is too short: RSA with 1024 bits, and 2048 are wanted");
}

#[test]
fn an_authoritys_key_that_is_too_short() {
    let (authority, params) = authority(&Short::new());
    let issuer = Issuer::new(params, Short::new());
    let key = p256();
    let certificate = CertificateParams::new([NAME.into()]).unwrap().signed_by(&key, &issuer).unwrap();
    let why = refused(&World { authority, certificate, key });
    assert_eq!(
        why,
        "its certificate is signed with a key that is too short: RSA with 1024 bits, and 2048 are wanted"
    );
}

#[test]
fn a_key_of_ours_that_is_too_short() {
    let (certificate, _) = authority(&Short::new());
    let refused = Identity::new(random, certificate.pem().as_bytes(), SHORT.as_bytes());
    assert_eq!(refused.unwrap_err(), Wrong::Key("it is too short: RSA wants 2048 bits".into()));
}
