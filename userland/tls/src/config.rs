//! What the connections of a program have in common: who is trusted, who we are, where randomness and the date come
//! from.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, Error, ServerConfig};

use crate::provider::{Fill, Keys, provider};
use crate::trust::Trust;
use crate::words::why;

/// The seconds since 1970, if they are known.
pub type Now = fn() -> Option<u64>;

#[derive(Debug)]
struct Clock(Now);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        (self.0)().map(|seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// Who we say that we are: a certificate, those that lead from it to an authority, and the key to the first.
#[derive(Debug)]
pub struct Identity(CertifiedKey);

impl Identity {
    /// That of two texts in PEM, which may be the same. `fill` is what signatures take their randomness from.
    ///
    /// # Errors
    /// What is wrong with one of them, and which.
    pub fn new(fill: Fill, certificates: &[u8], key: &[u8]) -> Result<Identity, Wrong> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates).filter_map(Result::ok).collect();
        if chain.is_empty() {
            return Err(Wrong::Certificate("no certificate is in it".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| Wrong::Key("no key is in it, or one with a password".into()))?;
        let key = rustls::crypto::KeyProvider::load_private_key(&Keys(fill), key)
            .map_err(|e| Wrong::Key(why(&e)))?;
        let both = CertifiedKey::new(chain, key);
        match both.keys_match() {
            Ok(()) => Ok(Identity(both)),
            Err(Error::InconsistentKeys(_)) => Err(Wrong::Key("it is the key of another certificate".into())),
            Err(_) => Err(Wrong::Certificate("its first certificate cannot be read".into())),
        }
    }
}

/// Which of the texts of an [`Identity`] is wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// That of the certificates.
    Certificate(String),
    /// That of the key.
    Key(String),
}

impl Wrong {
    /// What is to be told, with the name of the file that is meant.
    pub fn of_files(&self, certificates: &str, key: &str) -> String {
        match self {
            Wrong::Certificate(why) => format!("{certificates}: {why}"),
            Wrong::Key(why) => format!("{key}: {why}"),
        }
    }
}

/// That of clients; with an identity they show it to servers that ask for one.
///
/// # Errors
/// None that is known.
pub fn client(
    fill: Fill,
    now: Now,
    trust: Trust,
    identity: Option<Identity>,
) -> Result<Arc<ClientConfig>, String> {
    let builder = ClientConfig::builder_with_details(Arc::new(provider(fill)), Arc::new(Clock(now)));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| why(&e))?;
    let verified = builder.dangerous().with_custom_certificate_verifier(Arc::new(trust));
    let mut config = match identity {
        Some(Identity(both)) => verified.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(both))),
        None => verified.with_no_client_auth(),
    };
    // A program has one connection.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// That of servers. They do not ask who calls.
///
/// # Errors
/// None that is known.
pub fn server(fill: Fill, now: Now, Identity(both): Identity) -> Result<Arc<ServerConfig>, String> {
    let builder = ServerConfig::builder_with_details(Arc::new(provider(fill)), Arc::new(Clock(now)));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| why(&e))?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(both)));
    // A program has one connection.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
