//! The cipher suites: what has the best standing comes first, and what is fast without the processor's help.

use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaCha20Poly1305;
use rustls::SignatureScheme as Scheme;
use rustls::crypto::tls12::PrfUsingHmac;
use rustls::crypto::tls13::HkdfUsingHmac;
use rustls::crypto::{CipherSuiteCommon, KeyExchangeAlgorithm};
use rustls::{CipherSuite, SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite};

use super::hash::{SHA256, SHA384};
use super::record::Algorithm;

static CHACHA: Algorithm<ChaCha20Poly1305> = Algorithm::new(false);
static AES128: Algorithm<Aes128Gcm> = Algorithm::new(true);
static AES256: Algorithm<Aes256Gcm> = Algorithm::new(true);

/// Records that may be sent with one key (RFC 8446, 5.5).
const OF_GCM: u64 = 1 << 24;

static ECDSA: &[Scheme] = &[Scheme::ECDSA_NISTP384_SHA384, Scheme::ECDSA_NISTP256_SHA256];
static RSA: &[Scheme] = &[
    Scheme::RSA_PSS_SHA512,
    Scheme::RSA_PSS_SHA384,
    Scheme::RSA_PSS_SHA256,
    Scheme::RSA_PKCS1_SHA512,
    Scheme::RSA_PKCS1_SHA384,
    Scheme::RSA_PKCS1_SHA256,
];

macro_rules! suites {
    (tls13 { $($name:ident: $hash:ident, $cipher:ident, $limit:expr;)* }
     tls12 { $($old:ident: $oldhash:ident, $oldcipher:ident, $oldlimit:expr, $sign:ident;)* }) => {
        /// All of them.
        pub static ALL: &[SupportedCipherSuite] = &[
            $(SupportedCipherSuite::Tls13(&Tls13CipherSuite {
                common: CipherSuiteCommon {
                    suite: CipherSuite::$name,
                    hash_provider: &$hash,
                    confidentiality_limit: $limit,
                },
                hkdf_provider: &HkdfUsingHmac(&$hash),
                aead_alg: &$cipher,
                quic: None,
            }),)*
            $(SupportedCipherSuite::Tls12(&Tls12CipherSuite {
                common: CipherSuiteCommon {
                    suite: CipherSuite::$old,
                    hash_provider: &$oldhash,
                    confidentiality_limit: $oldlimit,
                },
                prf_provider: &PrfUsingHmac(&$oldhash),
                kx: KeyExchangeAlgorithm::ECDHE,
                sign: $sign,
                aead_alg: &$oldcipher,
            }),)*
        ];
    };
}

suites! {
    tls13 {
        TLS13_CHACHA20_POLY1305_SHA256: SHA256, CHACHA, u64::MAX;
        TLS13_AES_128_GCM_SHA256: SHA256, AES128, OF_GCM;
        TLS13_AES_256_GCM_SHA384: SHA384, AES256, OF_GCM;
    }
    tls12 {
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: SHA256, CHACHA, u64::MAX, ECDSA;
        TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: SHA256, CHACHA, u64::MAX, RSA;
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: SHA256, AES128, OF_GCM, ECDSA;
        TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: SHA256, AES128, OF_GCM, RSA;
        TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: SHA384, AES256, OF_GCM, ECDSA;
        TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: SHA384, AES256, OF_GCM, RSA;
    }
}
