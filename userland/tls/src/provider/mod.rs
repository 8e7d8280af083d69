//! What rustls needs of cryptography, from the crates of RustCrypto and dalek: nothing here computes anything itself,
//! it only says which of their functions is which of TLS's.
//!
//! * `hash`: SHA-2 and HMAC, of which rustls makes the keys of both versions;
//! * `record`: what encrypts and authenticates records;
//! * `suites`: the cipher suites that these make;
//! * `exchange`: how both sides come to one secret;
//! * `signature`: how a certificate, and who has it, is checked.
//!
//! There is nothing old: no TLS before 1.2, no key exchange by RSA, no CBC, no SHA-1. There are no keys of ours, since
//! clients do not prove who they are.

mod exchange;
mod hash;
mod record;
mod signature;
mod suites;

use alloc::boxed::Box;
use alloc::sync::Arc;

use rustls::Error;
use rustls::crypto::{CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;

pub use signature::ALGORITHMS;

/// Fills memory with bytes that nobody can guess, or says that it cannot.
pub type Fill = fn(&mut [u8]) -> Result<(), GetRandomFailed>;

/// All of it, with `fill` as the source of randomness. It is made once for a program, and never goes away.
pub fn provider(fill: Fill) -> CryptoProvider {
    CryptoProvider {
        cipher_suites: suites::ALL.to_vec(),
        kx_groups: exchange::groups(fill),
        signature_verification_algorithms: ALGORITHMS,
        secure_random: Box::leak(Box::new(Random(fill))),
        key_provider: &NoKeys,
    }
}

#[derive(Debug)]
struct Random(Fill);

impl SecureRandom for Random {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        (self.0)(bytes)
    }
}

#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General("there are no keys here".into()))
    }
}
