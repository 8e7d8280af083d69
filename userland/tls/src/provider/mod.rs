//! What rustls needs of cryptography, from the crates of RustCrypto and dalek: nothing here computes anything itself,
//! it only says which of their functions is which of TLS's.
//!
//! * `hash`: SHA-2 and HMAC, of which rustls makes the keys of both versions;
//! * `record`: what encrypts and authenticates records;
//! * `suites`: the cipher suites that these make;
//! * `exchange`: how both sides come to one secret;
//! * `signature`: how a certificate, and who has it, is checked;
//! * `keys`: how we show that a certificate is ours.
//!
//! There is nothing old: no TLS before 1.2, no key exchange by RSA, no CBC, no SHA-1.

mod exchange;
mod hash;
mod keys;
mod record;
mod signature;
mod suites;

use alloc::boxed::Box;

use rustls::crypto::{CryptoProvider, GetRandomFailed, SecureRandom};

pub use keys::Keys;
pub use signature::{ALGORITHMS, short_key};

/// Fills memory with bytes that nobody can guess, or says that it cannot.
pub type Fill = fn(&mut [u8]) -> Result<(), GetRandomFailed>;

/// All of it, with `fill` as the source of randomness. It is made once for a program, and never goes away.
pub fn provider(fill: Fill) -> CryptoProvider {
    CryptoProvider {
        cipher_suites: suites::ALL.to_vec(),
        kx_groups: exchange::groups(fill),
        signature_verification_algorithms: ALGORITHMS,
        secure_random: Box::leak(Box::new(Random(fill))),
        key_provider: Box::leak(Box::new(Keys(fill))),
    }
}

#[derive(Debug)]
struct Random(Fill);

impl SecureRandom for Random {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        (self.0)(bytes)
    }
}
