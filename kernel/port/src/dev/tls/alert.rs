//! Alerts: their numbers, which are RFC 5246's, what Plan 9 calls them, and which end a conversation.

/// The other side will send nothing more.
pub(super) const CLOSE_NOTIFY: u8 = 0;
pub(super) const UNEXPECTED_MESSAGE: u8 = 10;
pub(super) const BAD_RECORD_MAC: u8 = 20;
pub(super) const RECORD_OVERFLOW: u8 = 22;
pub(super) const ILLEGAL_PARAMETER: u8 = 47;
pub(super) const DECODE_ERROR: u8 = 50;
pub(super) const PROTOCOL_VERSION: u8 = 70;
pub(super) const INTERNAL_ERROR: u8 = 80;
pub(super) const USER_CANCELED: u8 = 90;
pub(super) const NO_RENEGOTIATION: u8 = 100;
/// The name that a client asked for is not the server's; the handshake goes on.
pub(super) const UNRECOGNIZED_NAME: u8 = 112;

/// What is sent for an alert that only SSL 3.0 has.
const NO_CERTIFICATE: u8 = 41;
const CERTIFICATE_UNKNOWN: u8 = 46;

/// What is said of an alert with this number; none of one that has no name.
pub(super) fn text(number: u8) -> Option<&'static str> {
    Some(match number {
        CLOSE_NOTIFY => "close notify",
        UNEXPECTED_MESSAGE => "unexpected message",
        BAD_RECORD_MAC => "bad record mac",
        21 => "decryption failed",
        RECORD_OVERFLOW => "record too long",
        30 => "decompression failed",
        40 => "could not negotiate acceptable security parameters",
        NO_CERTIFICATE => "no appropriate certificate available",
        42 => "corrupted or invalid certificate",
        43 => "unsupported certificate type",
        44 => "revoked certificate",
        45 => "expired certificate",
        CERTIFICATE_UNKNOWN => "unacceptable certificate",
        ILLEGAL_PARAMETER => "illegal parameter",
        48 => "unknown certificate authority",
        49 => "access denied",
        DECODE_ERROR => "error decoding message",
        51 => "error decrypting message",
        60 => "export restriction violated",
        PROTOCOL_VERSION => "protocol version not supported",
        71 => "stronger security routines required",
        INTERNAL_ERROR => "internal error",
        USER_CANCELED => "handshake canceled by user",
        NO_RENEGOTIATION => "no renegotiation",
        _ => return None,
    })
}

/// Whether a conversation is over when this one is sent. What has no name is taken for the worst.
pub(super) fn is_fatal(number: u8) -> bool {
    !matches!(number, CLOSE_NOTIFY | USER_CANCELED | NO_RENEGOTIATION)
}

/// The two bytes of an alert as TLS sends it.
pub(super) fn message(number: u8) -> [u8; 2] {
    let sent = if number == NO_CERTIFICATE { CERTIFICATE_UNKNOWN } else { number };
    [1 + u8::from(is_fatal(number)), sent]
}
