//! What is wrong, in plain words: of a certificate, of what has come, of what the other side says of us.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Debug;

use rustls::{AlertDescription as Alert, CertificateError, Error, PeerIncompatible};

/// Why a connection does not come about, or breaks.
pub fn why(error: &Error) -> String {
    let text = match error {
        Error::InvalidCertificate(bad) => return of_certificate(bad),
        Error::General(text) => return text.clone(),
        Error::InvalidMessage(bad) => return format!("what comes is no TLS: {}", spelled(bad)),
        Error::AlertReceived(alert) => return of_alert(*alert),
        Error::PeerIncompatible(bad) => return of_incompatible(bad),
        Error::PeerMisbehaved(bad) => return format!("it breaks the rules of TLS: {}", spelled(bad)),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "it says something that is not its turn"
        }
        Error::NoCertificatesPresented => "it shows no certificate",
        Error::FailedToGetCurrentTime => "the date is not known",
        Error::FailedToGetRandomBytes => "/dev/random gives nothing",
        Error::DecryptError => "a record was changed on its way",
        Error::PeerSentOversizedRecord => "what comes is no TLS: a record is too long",
        _ => return error.to_string(),
    };
    text.into()
}

fn of_certificate(bad: &CertificateError) -> String {
    use CertificateError as Bad;
    let text = match bad {
        Bad::BadEncoding => "its certificate cannot be read",
        Bad::Expired | Bad::ExpiredContext { .. } => "its certificate has expired",
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            "its certificate is not valid yet: is the date right?"
        }
        Bad::Revoked => "its certificate was revoked",
        Bad::UnhandledCriticalExtension => "its certificate has a condition that is not known here",
        Bad::UnknownIssuer => "its certificate is of no authority that is trusted",
        Bad::BadSignature => "a signature is wrong, of its certificate or its own",
        Bad::UnsupportedSignatureAlgorithmContext { .. }
        | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "its certificate is signed in a way that is not known here"
        }
        Bad::NotValidForName => "its certificate is for another name",
        Bad::NotValidForNameContext { presented, .. } => {
            // As webpki writes them, DnsName("example.org") or IpAddress(10.0.0.1), without what is around.
            let bare =
                |name: &str| name.trim_end_matches([')', '"']).rsplit(['(', '"']).next().map(String::from);
            let names: Vec<String> = presented.iter().filter_map(|name| bare(name)).collect();
            return format!("its certificate is for another name: {}", names.join(", "));
        }
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => "its certificate is for another purpose",
        // What exactly is not told to programs without a system.
        _ => "its certificate is not right, or is one of an authority",
    };
    text.into()
}

fn of_incompatible(bad: &PeerIncompatible) -> String {
    use PeerIncompatible as Bad;
    let text = match bad {
        Bad::ServerDoesNotSupportTls12Or13
        | Bad::ServerTlsVersionIsDisabledByOurConfig
        | Bad::SupportedVersionsExtensionRequired
        | Bad::SignatureAlgorithmsExtensionRequired
        | Bad::Tls12NotOffered
        | Bad::Tls12NotOfferedOrEnabled => "it has no TLS that is new enough: 1.2 or 1.3",
        Bad::NoCipherSuitesInCommon => "it has no cipher that is known here",
        Bad::NoKxGroupsInCommon | Bad::NamedGroupsExtensionRequired | Bad::KeyShareExtensionRequired => {
            "it has no way to agree upon a key that is known here"
        }
        Bad::NoSignatureSchemesInCommon | Bad::NoCertificateRequestSignatureSchemesInCommon => {
            "it knows no signature that the key can make"
        }
        _ => return format!("it cannot do what is wanted here: {}", spelled(bad)),
    };
    text.into()
}

/// What the other side says is wrong with us.
fn of_alert(alert: Alert) -> String {
    let text = match alert {
        Alert::UnexpectedMessage => "something was said that was not our turn",
        Alert::BadRecordMac | Alert::DecryptionFailed => "a record was changed on its way",
        Alert::RecordOverflow => "a record is too long",
        Alert::HandshakeFailure => "there is no cipher, version or kind of key that both know",
        Alert::NoCertificate | Alert::CertificateRequired => "it wants a certificate of ours",
        Alert::BadCertificate => "our certificate is not right for it",
        Alert::UnsupportedCertificate => {
            "our certificate is of a kind that it does not know, or for something else"
        }
        Alert::CertificateRevoked => "our certificate was revoked",
        Alert::CertificateExpired => "our certificate is not of this date",
        Alert::CertificateUnknown => "our certificate is not believed",
        Alert::UnknownCA => "our certificate is of no authority that it trusts",
        Alert::AccessDenied => "we may not",
        Alert::IllegalParameter | Alert::DecodeError => "it does not understand what we say",
        Alert::DecryptError => "a signature of ours is wrong, or it takes no such key",
        Alert::ProtocolVersion => "it wants another version of TLS",
        Alert::InsufficientSecurity => "it wants stronger ciphers",
        Alert::InternalError => "something is wrong there",
        Alert::InappropriateFallback => "it wants a newer version of TLS",
        Alert::UserCanceled => "somebody there does not want to go on",
        Alert::MissingExtension | Alert::UnsupportedExtension => "it wants something else of TLS",
        Alert::UnrecognisedName => "it has no such name",
        Alert::NoApplicationProtocol => "it does not speak what was asked for",
        Alert::Unknown(number) => return format!("it is refused there: alert {number}"),
        other => return format!("it is refused there: {}", spelled(&other)),
    };
    format!("it is refused there: {text}")
}

/// The names of Rust's as words: `NoSuchThing(3)` as `no such thing 3`.
fn spelled(what: &impl Debug) -> String {
    let mut words = String::new();
    let mut before = ' ';
    for c in format!("{what:?}").chars() {
        // A row of capitals is one word.
        let begins = c.is_ascii_uppercase() && !before.is_ascii_uppercase();
        let ends = begins || !c.is_ascii_alphanumeric();
        if ends && !words.is_empty() && !words.ends_with(' ') {
            words.push(' ');
        }
        if c.is_ascii_alphanumeric() {
            words.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    words.trim_end().into()
}

#[cfg(test)]
mod tests {
    use rustls::{InvalidMessage, PeerMisbehaved};

    use super::*;

    #[test]
    fn names_are_spelled_as_words() {
        assert_eq!(spelled(&InvalidMessage::MissingData("ServerName")), "missing data server name");
        assert_eq!(spelled(&PeerMisbehaved::UnsolicitedEchExtension), "unsolicited ech extension");
        assert_eq!(spelled(&InvalidMessage::DuplicateExtension(7)), "duplicate extension 7");
    }

    /// Two capitals in a row or small letters next to capitals are names of Rust's, but for those of the trade.
    #[test]
    fn every_alert_is_told_in_words() {
        for number in 0..=255 {
            let text = why(&Error::AlertReceived(Alert::from(number)));
            let said = text.strip_prefix("it is refused there: ").unwrap_or_default();
            assert!(said.contains(' '), "{number}: {text}");
            let plain = said.replace("TLS", "tls");
            assert!(plain.chars().all(|c| !c.is_ascii_uppercase() && c != '_'), "{number}: {text}");
        }
    }
}
