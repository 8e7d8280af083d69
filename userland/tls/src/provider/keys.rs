//! How we show that a certificate is ours: by signing with the key that belongs to it. ECDSA on P-256 and P-384, whose
//! signatures need no randomness, and RSA, whose signatures are made with it, so that the time that they take says
//! nothing of the key.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Debug, Formatter};

use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::pkcs8::DecodePrivateKey;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::signature::{RandomizedSigner, SignatureEncoding};
use rsa::traits::PublicKeyParts;
use rsa::{PrivateKey, pkcs1v15, pss};
use rustls::crypto::{GetRandomFailed, KeyProvider};
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer, alg_id};
use rustls::sign::{Signer, SigningKey, public_key_to_spki};
use rustls::{Error, SignatureAlgorithm, SignatureScheme as Scheme};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::Fill;
use super::signature::SHORTEST;

/// Understands keys: those of PKCS #8, and the older forms of RSA and of the curves.
pub struct Keys(pub Fill);

impl Debug for Keys {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl KeyProvider for Keys {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        let kind = Kind::parse(&key).ok_or_else(|| said("it is no key of RSA, P-256 or P-384"))?;
        if let Kind::Rsa(key) = &kind
            && key.size() < SHORTEST
        {
            return Err(said("it is too short: RSA wants 2048 bits"));
        }
        let public = kind.public().ok_or_else(|| said("it has no public half"))?;
        Ok(Arc::new(Key { kind: Arc::new(kind), fill: self.0, public }))
    }
}

fn said(why: &str) -> Error {
    Error::General(why.to_string())
}

/// A key of ours.
struct Key {
    kind: Arc<Kind>,
    fill: Fill,
    public: SubjectPublicKeyInfoDer<'static>,
}

impl Debug for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

enum Kind {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Rsa(Box<PrivateKey>),
}

impl Kind {
    fn parse(key: &PrivateKeyDer<'_>) -> Option<Kind> {
        let p256 = |key: p256::SecretKey| Kind::P256(key.into());
        let p384 = |key: p384::SecretKey| Kind::P384(key.into());
        let rsa = |key: PrivateKey| Kind::Rsa(Box::new(key));
        match key {
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                let curves = p256::SecretKey::from_pkcs8_der(der)
                    .map(p256)
                    .or_else(|_| p384::SecretKey::from_pkcs8_der(der).map(p384));
                curves.ok().or_else(|| PrivateKey::from_pkcs8_der(der).map(rsa).ok())
            }
            PrivateKeyDer::Sec1(der) => {
                let der = der.secret_sec1_der();
                let p256 = p256::SecretKey::from_sec1_der(der).map(p256);
                p256.or_else(|_| p384::SecretKey::from_sec1_der(der).map(p384)).ok()
            }
            PrivateKeyDer::Pkcs1(der) => PrivateKey::from_pkcs1_der(der.secret_pkcs1_der()).map(rsa).ok(),
            _ => None,
        }
    }

    /// The half that everybody may know, as certificates have it.
    fn public(&self) -> Option<SubjectPublicKeyInfoDer<'static>> {
        Some(match self {
            Kind::P256(key) => {
                public_key_to_spki(&alg_id::ECDSA_P256, key.verifying_key().to_sec1_point(false))
            }
            Kind::P384(key) => {
                public_key_to_spki(&alg_id::ECDSA_P384, key.verifying_key().to_sec1_point(false))
            }
            Kind::Rsa(key) => {
                public_key_to_spki(&alg_id::RSA_ENCRYPTION, key.to_public_key().to_pkcs1_der().ok()?)
            }
        })
    }

    /// How it can sign, the best first.
    fn schemes(&self) -> &'static [Scheme] {
        match self {
            Kind::P256(_) => &[Scheme::ECDSA_NISTP256_SHA256],
            Kind::P384(_) => &[Scheme::ECDSA_NISTP384_SHA384],
            Kind::Rsa(_) => &[
                Scheme::RSA_PSS_SHA256,
                Scheme::RSA_PSS_SHA384,
                Scheme::RSA_PSS_SHA512,
                Scheme::RSA_PKCS1_SHA256,
                Scheme::RSA_PKCS1_SHA384,
                Scheme::RSA_PKCS1_SHA512,
            ],
        }
    }
}

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[Scheme]) -> Option<Box<dyn Signer>> {
        let scheme = *self.kind.schemes().iter().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(Chosen { kind: self.kind.clone(), fill: self.fill, scheme }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.public.clone())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match &*self.kind {
            Kind::Rsa(_) => SignatureAlgorithm::RSA,
            _ => SignatureAlgorithm::ECDSA,
        }
    }
}

/// A key, and the way in which it is to sign.
struct Chosen {
    kind: Arc<Kind>,
    fill: Fill,
    scheme: Scheme,
}

impl Debug for Chosen {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.scheme.fmt(f)
    }
}

impl Signer for Chosen {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let key = match &*self.kind {
            Kind::P256(key) => {
                let signature: Option<p256::ecdsa::Signature> =
                    key.sign_prehash(&Sha256::digest(message)).ok();
                return Ok(signature.ok_or_else(failed)?.to_der().as_bytes().to_vec());
            }
            Kind::P384(key) => {
                let signature: Option<p384::ecdsa::Signature> =
                    key.sign_prehash(&Sha384::digest(message)).ok();
                return Ok(signature.ok_or_else(failed)?.to_der().as_bytes().to_vec());
            }
            Kind::Rsa(key) => PrivateKey::clone(key),
        };
        let random = &mut Random(self.fill);
        let signature = match self.scheme {
            Scheme::RSA_PSS_SHA256 => by(&pss::SigningKey::<Sha256>::new(key), random, message),
            Scheme::RSA_PSS_SHA384 => by(&pss::SigningKey::<Sha384>::new(key), random, message),
            Scheme::RSA_PSS_SHA512 => by(&pss::SigningKey::<Sha512>::new(key), random, message),
            Scheme::RSA_PKCS1_SHA256 => by(&pkcs1v15::SigningKey::<Sha256>::new(key), random, message),
            Scheme::RSA_PKCS1_SHA384 => by(&pkcs1v15::SigningKey::<Sha384>::new(key), random, message),
            Scheme::RSA_PKCS1_SHA512 => by(&pkcs1v15::SigningKey::<Sha512>::new(key), random, message),
            _ => None,
        };
        signature.ok_or_else(failed)
    }

    fn scheme(&self) -> Scheme {
        self.scheme
    }
}

fn by<S: SignatureEncoding>(
    key: &impl RandomizedSigner<S>,
    random: &mut Random,
    message: &[u8],
) -> Option<Vec<u8>> {
    Some(key.try_sign_with_rng(random, message).ok()?.to_vec())
}

fn failed() -> Error {
    said("the key cannot sign")
}

/// The source of randomness in the form that RSA takes it.
struct Random(Fill);

/// There is none.
#[derive(Debug)]
struct NoRandom;

impl fmt::Display for NoRandom {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("/dev/random gives nothing")
    }
}

impl core::error::Error for NoRandom {}

impl From<GetRandomFailed> for NoRandom {
    fn from(_: GetRandomFailed) -> Self {
        NoRandom
    }
}

impl TryRng for Random {
    type Error = NoRandom;

    fn try_next_u32(&mut self) -> Result<u32, NoRandom> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, NoRandom> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        Ok((self.0)(bytes)?)
    }
}

impl TryCryptoRng for Random {}
