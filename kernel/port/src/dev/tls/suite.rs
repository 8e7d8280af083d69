//! The algorithms, by Plan 9's names, and what of a secret each takes.
//!
//! No state, no locks.

use alloc::vec::Vec;

use crate::error::Result;

/// How records are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enc {
    Clear,
    Rc4,
    Des3,
    Aes128,
    Aes256,
    ChaChaPoly,
    Aes128Gcm,
    Aes256Gcm,
}

/// What keeps records from being changed on their way, where encryption does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Clear,
    Md5,
    Sha1,
    Sha256,
}

const ENCS: [(&str, Enc); 8] = [
    ("clear", Enc::Clear),
    ("rc4_128", Enc::Rc4),
    ("3des_ede_cbc", Enc::Des3),
    ("aes_128_cbc", Enc::Aes128),
    ("aes_256_cbc", Enc::Aes256),
    ("ccpoly96_aead", Enc::ChaChaPoly),
    ("aes_128_gcm_aead", Enc::Aes128Gcm),
    ("aes_256_gcm_aead", Enc::Aes256Gcm),
];

const HASHES: [(&str, Hash); 4] =
    [("clear", Hash::Clear), ("md5", Hash::Md5), ("sha1", Hash::Sha1), ("sha256", Hash::Sha256)];

/// What `encalgs` says.
pub(super) const ENCALGS: &str = "clear rc4_128 3des_ede_cbc aes_128_cbc aes_256_cbc ccpoly96_aead aes_128_gcm_aead \
    aes_256_gcm_aead";
/// What `hashalgs` says.
pub(super) const HASHALGS: &str = "clear md5 sha1 sha256";

/// Both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suite {
    pub(super) enc: Enc,
    pub(super) hash: Hash,
}

/// What one direction has of a secret.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    pub(super) mac: &'a [u8],
    pub(super) key: &'a [u8],
    pub(super) iv: &'a [u8],
}

impl Enc {
    /// Bytes of a key, and of what records begin with.
    fn lengths(self) -> (usize, usize) {
        match self {
            Enc::Clear => (0, 0),
            Enc::Rc4 => (16, 0),
            Enc::Des3 => (24, 8),
            Enc::Aes128 => (16, 16),
            Enc::Aes256 => (32, 16),
            Enc::ChaChaPoly => (32, 12),
            Enc::Aes128Gcm => (16, 4),
            Enc::Aes256Gcm => (32, 4),
        }
    }

    pub(super) fn name(self) -> &'static str {
        ENCS.iter().find(|(_, enc)| *enc == self).map_or("", |(name, _)| name)
    }
}

impl Hash {
    fn len(self) -> usize {
        match self {
            Hash::Clear => 0,
            Hash::Md5 => 16,
            Hash::Sha1 => 20,
            Hash::Sha256 => 32,
        }
    }

    pub(super) fn name(self) -> &'static str {
        HASHES.iter().find(|(_, hash)| *hash == self).map_or("", |(name, _)| name)
    }
}

impl Suite {
    /// The one with these names.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn of(hash: &str, enc: &str) -> Result<Suite> {
        let hash = HASHES.iter().find(|(name, _)| *name == hash).ok_or("unsupported hash algorithm")?.1;
        let enc = ENCS.iter().find(|(name, _)| *name == enc).ok_or("unsupported encryption algorithm")?.1;
        Ok(Suite { enc, hash })
    }

    /// What of a secret is the client's to send with, and what the server's: first both keys of the hash, then both of
    /// the encryption, then what records begin with.
    ///
    /// # Errors
    /// When it is too short.
    pub(super) fn split(self, secret: &[u8]) -> Result<[Keys<'_>; 2]> {
        let (mac, (key, iv)) = (self.hash.len(), self.enc.lengths());
        let mut rest = secret;
        let mut take = |n: usize| -> Result<&[u8]> {
            let (now, later) = rest.split_at_checked(n).ok_or("not enough secret data provided")?;
            rest = later;
            Ok(now)
        };
        let (macs, keys, ivs) = ([take(mac)?, take(mac)?], [take(key)?, take(key)?], [take(iv)?, take(iv)?]);
        let [client, server] = [0, 1].map(|n| Keys { mac: macs[n], key: keys[n], iv: ivs[n] });
        Ok([client, server])
    }
}

/// The bytes of base-64 text, with or without what fills it up at its end.
///
/// # Errors
/// When it is not that.
pub(super) fn base64(text: &str) -> Result<Vec<u8>> {
    let digits = text.trim_end_matches('=').bytes();
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut held, mut bits) = (0u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err("bad secret data".into()),
        };
        (held, bits) = (held << 6 & 0xffff | u32::from(value), bits + 6);
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_those_of_the_tables() {
        assert_eq!(ENCALGS, ENCS.map(|(name, _)| name).join(" "));
        assert_eq!(HASHALGS, HASHES.map(|(name, _)| name).join(" "));
    }

    #[test]
    fn secrets_are_texts_of_base_64() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")]
        {
            assert_eq!(base64(text).unwrap(), bytes.as_bytes(), "{text}");
        }
        assert_eq!(base64("+/+/").unwrap(), [0xfb, 0xff, 0xbf]);
        assert!(base64("Zm 9v").is_err());
    }

    #[test]
    fn a_secret_is_split_as_tls_has_it() {
        let secret: Vec<u8> = (0..=255).collect();
        let [client, server] = Suite::of("sha1", "aes_128_cbc").unwrap().split(&secret).unwrap();
        assert_eq!((client.mac[0], server.mac[0], server.mac.len()), (0, 20, 20));
        assert_eq!((client.key[0], server.key[0], server.key.len()), (40, 56, 16));
        assert_eq!((client.iv[0], server.iv[0], server.iv.len()), (72, 88, 16));
        assert!(Suite::of("sha1", "aes_128_cbc").unwrap().split(&secret[..103]).is_err());
        assert!(Suite::of("sha1", "aes_128_cbc").unwrap().split(&secret[..104]).is_ok());
    }
}
