//! Whom one trusts: authorities, whose certificates a file has in PEM, or single certificates, which a file lists by
//! their thumbprints, as thumbprint(6) says.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use abi::quote::tokenize;
use base64ct::{Base64, Base64Unpadded, Encoding};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::provider::{ALGORITHMS, short_key};

/// Files of thumbprints that one names by way of others.
const DEEPEST: u32 = 8;

/// Whom one trusts.
#[derive(Debug)]
pub struct Trust {
    /// Who may have signed.
    pub way: Way,
    /// Certificates that are refused, whoever has signed them.
    pub excluded: Thumbprints,
}

/// Why one trusts.
#[derive(Debug)]
pub enum Way {
    /// An authority says who it is.
    Anchors(RootCertStore),
    /// The certificate is known.
    Known(Thumbprints),
}

/// The authorities of a file in PEM. What is none that can be understood is left out.
///
/// # Errors
/// There is none.
pub fn anchors(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
    let (known, _) = store.add_parsable_certificates(certificates);
    if known == 0 { Err("no certificates of authorities are in it".into()) } else { Ok(store) }
}

/// What certificates, or the keys in them, are known by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thumbprints {
    sums: Vec<Sum>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Sum {
    Sha1([u8; 20]),
    Sha256([u8; 32]),
}

impl Thumbprints {
    /// Those of a text; `read` reads the files that it includes.
    ///
    /// # Errors
    /// A line is not what it should be; what `read` says.
    pub fn parse(
        text: &str,
        read: &mut dyn FnMut(&str) -> Result<String, String>,
    ) -> Result<Thumbprints, String> {
        let mut all = Thumbprints::default();
        all.add(text, 0, read)?;
        Ok(all)
    }

    fn add(
        &mut self,
        text: &str,
        depth: u32,
        read: &mut dyn FnMut(&str) -> Result<String, String>,
    ) -> Result<(), String> {
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("#include") {
                if depth == DEEPEST {
                    return Err(format!("{}: included too deep", name.trim()));
                }
                let included = read(name.trim())?;
                self.add(&included, depth + 1, read)?;
                continue;
            }
            let words = tokenize(line);
            // The prints of other protocols may be in the same file.
            if words.first().map(String::as_str) != Some("x509") {
                continue;
            }
            let sum = words.get(1).and_then(|word| sum(word));
            self.sums.push(sum.ok_or_else(|| format!("no thumbprint: {line}"))?);
        }
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// Whether a certificate is among them, or the key that it has.
    pub fn has(&self, certificate: &CertificateDer<'_>) -> bool {
        let key =
            ParsedCertificate::try_from(certificate).map(|parsed| parsed.subject_public_key_info()).ok();
        let is = |sum: &Sum, bytes: &[u8]| match sum {
            Sum::Sha1(sum) => Sha1::digest(bytes)[..] == sum[..],
            Sum::Sha256(sum) => Sha256::digest(bytes)[..] == sum[..],
        };
        self.sums.iter().any(|sum| is(sum, certificate) || key.as_ref().is_some_and(|key| is(sum, key)))
    }
}

/// `sha1=` or `sha256=`, and the sum in hexadecimal or in base 64.
fn sum(word: &str) -> Option<Sum> {
    let (name, value) = word.split_once('=')?;
    match name {
        "sha1" => Some(Sum::Sha1(bytes(value, 20)?.try_into().ok()?)),
        "sha256" => Some(Sum::Sha256(bytes(value, 32)?.try_into().ok()?)),
        _ => None,
    }
}

fn bytes(text: &str, len: usize) -> Option<Vec<u8>> {
    if text.len() == 2 * len {
        return (0..len).map(|i| u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()).collect();
    }
    Base64::decode_vec(text).or_else(|_| Base64Unpadded::decode_vec(text)).ok()
}

/// The line that a file of thumbprints has for a certificate.
pub fn line(certificate: &CertificateDer<'_>) -> String {
    let mut line = String::from("x509 sha256=");
    Sha256::digest(certificate).iter().for_each(|byte| line.push_str(&format!("{byte:02x}")));
    line
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.excluded.has(certificate) {
            return Err(Error::General("its certificate is one of the excluded".to_owned()));
        }
        // Else it would be a signature that is told to be wrong.
        if let Some(bits) = key_of(certificate).and_then(|key| short_key(&key)) {
            return Err(Error::General(format!("its key is too short: {}", short(bits))));
        }
        match &self.way {
            Way::Known(prints) if prints.has(certificate) => {}
            Way::Known(_) => {
                return Err(Error::General(format!("its certificate is not known: {}", line(certificate))));
            }
            Way::Anchors(anchors) => {
                let parsed = ParsedCertificate::try_from(certificate)?;
                verify_server_cert_signed_by_trust_anchor(&parsed, anchors, between, now, ALGORITHMS.all)
                    .map_err(|e| signed_by_short_key(&e, anchors, certificate, between).unwrap_or(e))?;
                verify_server_name(&parsed, name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &ALGORITHMS)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &ALGORITHMS)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ALGORITHMS.supported_schemes()
    }
}

/// The key that a certificate is for.
fn key_of(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    Some(ParsedCertificate::try_from(certificate).ok()?.subject_public_key_info().to_vec())
}

fn short(bits: usize) -> String {
    format!("RSA with {bits} bits, and 2048 are wanted")
}

/// What is to be said in place of a signature that is wrong, if who has signed has a key that is too short for any: one
/// of the certificates between, or an authority whose name a certificate says that it is signed by.
fn signed_by_short_key(
    error: &Error,
    anchors: &RootCertStore,
    certificate: &CertificateDer<'_>,
    between: &[CertificateDer<'_>],
) -> Option<Error> {
    if *error != Error::InvalidCertificate(CertificateError::BadSignature) {
        return None;
    }
    let names = |name: &[u8]| {
        !name.is_empty()
            && [certificate].into_iter().chain(between).any(|c| c.windows(name.len()).any(|w| w == name))
    };
    let authorities = anchors.roots.iter().filter(|anchor| names(&anchor.subject));
    let keys = authorities.map(|anchor| sequence(&anchor.subject_public_key_info));
    let bits = between.iter().filter_map(key_of).chain(keys).find_map(|key| short_key(&key))?;
    Some(Error::General(format!("its certificate is signed with a key that is too short: {}", short(bits))))
}

/// An ASN.1 sequence of what an anchor has without its head.
fn sequence(content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from([0x30]);
    match (u8::try_from(content.len()), u16::try_from(content.len())) {
        (Ok(len @ ..0x80), _) => bytes.push(len),
        (Ok(len), _) => bytes.extend([0x81, len]),
        (_, Ok(len)) => {
            bytes.push(0x82);
            bytes.extend(len.to_be_bytes());
        }
        // No key is so long.
        _ => return Vec::new(),
    }
    bytes.extend_from_slice(content);
    bytes
}
