//! How signatures are checked: those of certificates, and the one by which a server proves that a certificate is its
//! own. ECDSA on P-256 and P-384, and RSA of 2048 to 8192 bits with both kinds of padding.

use alloc::fmt::Debug;
use core::marker::PhantomData;

use p256::ecdsa::signature::Verifier;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use rsa::pkcs1::{DecodeRsaPublicKey, RsaPublicKeyRef};
use rsa::pkcs8::spki::SubjectPublicKeyInfoRef;
use rsa::traits::PublicKeyParts;
use rsa::{PublicKey, pkcs1v15, pss};
use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Bytes of the shortest RSA key that is taken.
pub const SHORTEST: usize = 256;

type Verdict = Result<(), InvalidSignature>;

/// A kind of key with a kind of signature.
#[derive(Debug)]
struct Algorithm<K> {
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
    kind: PhantomData<fn() -> K>,
}

/// How the signatures of a kind are checked.
trait Kind: 'static {
    fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Verdict;
}

impl<K: Kind> SignatureVerificationAlgorithm for Algorithm<K>
where
    Algorithm<K>: Debug,
{
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Verdict {
        K::verify(key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}

/// ECDSA on P-256 or P-384, with the hash `D`.
#[derive(Debug)]
struct OnP256<D>(PhantomData<D>);
#[derive(Debug)]
struct OnP384<D>(PhantomData<D>);

impl<D: Digest + Debug + 'static> Kind for OnP256<D> {
    fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Verdict {
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_| InvalidSignature)?;
        let signature = p256::ecdsa::Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        key.verify_prehash(&D::digest(message), &signature).map_err(|_| InvalidSignature)
    }
}

impl<D: Digest + Debug + 'static> Kind for OnP384<D> {
    fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Verdict {
        let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_| InvalidSignature)?;
        let signature = p384::ecdsa::Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        key.verify_prehash(&D::digest(message), &signature).map_err(|_| InvalidSignature)
    }
}

/// RSA, by one of the types of `rsa` that do it.
#[derive(Debug)]
struct Pkcs1<D>(PhantomData<D>);
#[derive(Debug)]
struct Pss<D>(PhantomData<D>);

/// A key that is long enough.
fn rsa_key(bytes: &[u8]) -> Result<PublicKey, InvalidSignature> {
    let key = PublicKey::from_pkcs1_der(bytes).map_err(|_| InvalidSignature)?;
    if key.size() < SHORTEST { Err(InvalidSignature) } else { Ok(key) }
}

/// The bits of a key, as certificates have it, if it is RSA's and too short for anything that it signs to be believed.
pub fn short_key(key: &[u8]) -> Option<usize> {
    let key = SubjectPublicKeyInfoRef::try_from(key).ok()?;
    // No other kind of key begins as one of RSA does.
    let key = RsaPublicKeyRef::try_from(key.subject_public_key.raw_bytes()).ok()?;
    let modulus = key.modulus.as_bytes();
    let unused = modulus.first()?.leading_zeros() as usize;
    (modulus.len() < SHORTEST).then(|| modulus.len() * 8 - unused)
}

macro_rules! rsa {
    ($kind:ident, $padding:ident, $($hash:ident)*) => {$(
        impl Kind for $kind<$hash> {
            fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Verdict {
                let key = $padding::VerifyingKey::<$hash>::new(rsa_key(key)?);
                let signature = $padding::Signature::try_from(signature).map_err(|_| InvalidSignature)?;
                key.verify(message, &signature).map_err(|_| InvalidSignature)
            }
        }
    )*};
}

rsa!(Pkcs1, pkcs1v15, Sha256 Sha384 Sha512);
rsa!(Pss, pss, Sha256 Sha384 Sha512);

type One = &'static dyn SignatureVerificationAlgorithm;

const fn of<K>(key: AlgorithmIdentifier, signature: AlgorithmIdentifier) -> Algorithm<K> {
    Algorithm { key, signature, kind: PhantomData }
}

static P256_SHA256: One = &of::<OnP256<Sha256>>(alg_id::ECDSA_P256, alg_id::ECDSA_SHA256);
static P256_SHA384: One = &of::<OnP256<Sha384>>(alg_id::ECDSA_P256, alg_id::ECDSA_SHA384);
static P384_SHA256: One = &of::<OnP384<Sha256>>(alg_id::ECDSA_P384, alg_id::ECDSA_SHA256);
static P384_SHA384: One = &of::<OnP384<Sha384>>(alg_id::ECDSA_P384, alg_id::ECDSA_SHA384);
static PKCS1_SHA256: One = &of::<Pkcs1<Sha256>>(alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA256);
static PKCS1_SHA384: One = &of::<Pkcs1<Sha384>>(alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA384);
static PKCS1_SHA512: One = &of::<Pkcs1<Sha512>>(alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA512);
static PSS_SHA256: One = &of::<Pss<Sha256>>(alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA256);
static PSS_SHA384: One = &of::<Pss<Sha384>>(alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA384);
static PSS_SHA512: One = &of::<Pss<Sha512>>(alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA512);

/// All of them, and which of them a server may prove itself with.
pub const ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        P256_SHA256,
        P256_SHA384,
        P384_SHA256,
        P384_SHA384,
        PKCS1_SHA256,
        PKCS1_SHA384,
        PKCS1_SHA512,
        PSS_SHA256,
        PSS_SHA384,
        PSS_SHA512,
    ],
    // In TLS 1.2 the hash does not say which curve it is.
    mapping: &[
        (SignatureScheme::ECDSA_NISTP384_SHA384, &[P384_SHA384, P256_SHA384]),
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[P256_SHA256, P384_SHA256]),
        (SignatureScheme::RSA_PSS_SHA512, &[PSS_SHA512]),
        (SignatureScheme::RSA_PSS_SHA384, &[PSS_SHA384]),
        (SignatureScheme::RSA_PSS_SHA256, &[PSS_SHA256]),
        (SignatureScheme::RSA_PKCS1_SHA512, &[PKCS1_SHA512]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[PKCS1_SHA384]),
        (SignatureScheme::RSA_PKCS1_SHA256, &[PKCS1_SHA256]),
    ],
};
