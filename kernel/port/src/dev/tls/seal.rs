//! What records are protected by on their way: sealed when they are sent, opened when they have come.
//!
//! A record is a head of five bytes (kind, version, length) and a body. Sealed, its body is, of a stream cipher, the
//! encrypted bytes and their MAC; of a block cipher the same and padding, with a block in front that is thrown away
//! (since TLS 1.1); of a cipher that authenticates (AEAD) the encrypted bytes and a tag, for GCM with its part of the
//! nonce in front. What is wrong with a record makes no difference to who sends it.
//!
//! A [`Sealer`] or [`Opener`] is used by whoever has the turn to send or to receive.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hint::black_box;
use core::ops::Range;

use aes::{Aes128, Aes256};
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use cbc::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit, StreamCipher};
use chacha20poly1305::ChaCha20Poly1305;
use des::TdesEde3;
use hmac::{Hmac, Mac as _};
use machine::random;
use md5::Md5;
use rc4::Rc4;
use sha1::Sha1;
use sha2::Sha256;

use super::suite::{Enc, Hash, Keys, Suite};

/// Bytes of a record's head.
pub(super) const HEAD: usize = 5;
/// Longest body as it is before it is sealed.
pub(super) const PLAIN_MOST: usize = 1 << 14;
/// Longest body on its way.
pub(super) const SEALED_MOST: usize = PLAIN_MOST + 2048;
/// Most that sealing makes a record longer by: a block in front, a MAC, and padding.
pub(super) const ADDED_MOST: usize = 16 + 32 + 16;

const TLS11: u16 = 0x0302;
const TAG: usize = 16;
/// Bytes of a nonce that GCM sends with each record.
const GCM_SENT: usize = 8;
const NONCE: usize = 12;

/// A record that is not what was sent, or was sealed with something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bad;

/// What is known of a record beside its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: u8,
    pub(super) version: u16,
}

impl Head {
    fn bytes(self, len: usize) -> [u8; HEAD] {
        let ([a, b], [c, d]) = (self.version.to_be_bytes(), (len as u16).to_be_bytes());
        [self.kind, a, b, c, d]
    }

    /// What a MAC begins with, or an AEAD authenticates too: the record's number and its head as it would be without
    /// protection.
    fn numbered(self, number: u64, len: usize) -> [u8; 8 + HEAD] {
        let mut bytes = [0; 8 + HEAD];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        bytes[8..].copy_from_slice(&self.bytes(len));
        bytes
    }
}

/// A key that is ready to authenticate.
enum Mac {
    Clear,
    Md5(Hmac<Md5>),
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
}

impl Mac {
    fn new(hash: Hash, key: &[u8]) -> Result<Mac, Bad> {
        Ok(match hash {
            Hash::Clear => Mac::Clear,
            Hash::Md5 => Mac::Md5(<Hmac<Md5> as KeyInit>::new_from_slice(key).map_err(|_| Bad)?),
            Hash::Sha1 => Mac::Sha1(<Hmac<Sha1> as KeyInit>::new_from_slice(key).map_err(|_| Bad)?),
            Hash::Sha256 => Mac::Sha256(<Hmac<Sha256> as KeyInit>::new_from_slice(key).map_err(|_| Bad)?),
        })
    }

    fn len(&self) -> usize {
        match self {
            Mac::Clear => 0,
            Mac::Md5(_) => 16,
            Mac::Sha1(_) => 20,
            Mac::Sha256(_) => 32,
        }
    }

    /// Appends the MAC of these two.
    fn append(&self, head: &[u8], body: Range<usize>, record: &mut Vec<u8>) {
        let bytes = record.get(body).unwrap_or(&[]);
        match self {
            Mac::Clear => {}
            Mac::Md5(mac) => {
                let tag = mac.clone().chain_update(head).chain_update(bytes).finalize().into_bytes();
                record.extend_from_slice(&tag);
            }
            Mac::Sha1(mac) => {
                let tag = mac.clone().chain_update(head).chain_update(bytes).finalize().into_bytes();
                record.extend_from_slice(&tag);
            }
            Mac::Sha256(mac) => {
                let tag = mac.clone().chain_update(head).chain_update(bytes).finalize().into_bytes();
                record.extend_from_slice(&tag);
            }
        }
    }

    /// Whether this is the MAC of these two, in a time that does not tell where they differ.
    fn is(&self, head: &[u8], body: &[u8], tag: &[u8]) -> bool {
        match self {
            Mac::Clear => tag.is_empty(),
            Mac::Md5(mac) => mac.clone().chain_update(head).chain_update(body).verify_slice(tag).is_ok(),
            Mac::Sha1(mac) => mac.clone().chain_update(head).chain_update(body).verify_slice(tag).is_ok(),
            Mac::Sha256(mac) => mac.clone().chain_update(head).chain_update(body).verify_slice(tag).is_ok(),
        }
    }
}

/// An AEAD with its key.
enum Aead {
    /// With the nonce's part that is not sent.
    Gcm128(Aes128Gcm, [u8; 4]),
    Gcm256(Aes256Gcm, [u8; 4]),
    /// With what the record's number is added to.
    ChaCha(ChaCha20Poly1305, [u8; NONCE]),
}

impl Aead {
    fn new(enc: Enc, keys: Keys<'_>) -> Result<Aead, Bad> {
        Ok(match enc {
            Enc::Aes128Gcm => Aead::Gcm128(key(keys)?, keys.iv.try_into().map_err(|_| Bad)?),
            Enc::Aes256Gcm => Aead::Gcm256(key(keys)?, keys.iv.try_into().map_err(|_| Bad)?),
            _ => Aead::ChaCha(key(keys)?, keys.iv.try_into().map_err(|_| Bad)?),
        })
    }

    /// Bytes that a record begins with.
    fn sent(&self) -> usize {
        if matches!(self, Aead::ChaCha(..)) { 0 } else { GCM_SENT }
    }

    /// The nonce of a record with this number, or of one that begins with these bytes.
    fn nonce(&self, number: u64, sent: [u8; GCM_SENT]) -> [u8; NONCE] {
        let mut nonce = [0; NONCE];
        match self {
            Aead::Gcm128(_, kept) | Aead::Gcm256(_, kept) => {
                nonce[..4].copy_from_slice(kept);
                nonce[4..].copy_from_slice(&sent);
            }
            Aead::ChaCha(_, kept) => {
                nonce = *kept;
                let places = nonce[4..].iter_mut();
                places.zip(number.to_be_bytes()).for_each(|(place, byte)| *place ^= byte);
            }
        }
        nonce
    }

    fn encrypt(&self, nonce: &[u8; NONCE], head: &[u8], body: &mut [u8]) -> Result<[u8; TAG], Bad> {
        let (nonce, body) = (nonce.into(), InOutBuf::from(body));
        let tag = match self {
            Aead::Gcm128(key, _) => key.encrypt_inout_detached(nonce, head, body),
            Aead::Gcm256(key, _) => key.encrypt_inout_detached(nonce, head, body),
            Aead::ChaCha(key, _) => key.encrypt_inout_detached(nonce, head, body),
        };
        tag.map(Into::into).map_err(|_| Bad)
    }

    fn decrypt(&self, nonce: &[u8; NONCE], head: &[u8], body: &mut [u8], tag: &[u8; TAG]) -> Result<(), Bad> {
        let (nonce, body, tag) = (nonce.into(), InOutBuf::from(body), tag.into());
        let done = match self {
            Aead::Gcm128(key, _) => key.decrypt_inout_detached(nonce, head, body, tag),
            Aead::Gcm256(key, _) => key.decrypt_inout_detached(nonce, head, body, tag),
            Aead::ChaCha(key, _) => key.decrypt_inout_detached(nonce, head, body, tag),
        };
        done.map_err(|_| Bad)
    }
}

fn key<C: KeyInit>(keys: Keys<'_>) -> Result<C, Bad> {
    C::new_from_slice(keys.key).map_err(|_| Bad)
}

fn chain<C: KeyIvInit>(keys: Keys<'_>) -> Result<C, Bad> {
    C::new_from_slices(keys.key, keys.iv).map_err(|_| Bad)
}

fn encrypt_blocks<C: BlockModeEncrypt>(chain: &mut C, bytes: &mut [u8]) {
    chain.encrypt_blocks(Array::slice_as_chunks_mut(bytes).0);
}

fn decrypt_blocks<C: BlockModeDecrypt>(chain: &mut C, bytes: &mut [u8]) {
    chain.decrypt_blocks(Array::slice_as_chunks_mut(bytes).0);
}

enum Sealing {
    Clear,
    Rc4(Box<Rc4>),
    Des3(Box<cbc::Encryptor<TdesEde3>>),
    Aes128(Box<cbc::Encryptor<Aes128>>),
    Aes256(Box<cbc::Encryptor<Aes256>>),
    Aead(Box<Aead>),
}

/// What seals records, and counts them.
pub(super) struct Sealer {
    pub(super) suite: Suite,
    number: u64,
    mac: Mac,
    sealing: Sealing,
}

impl Sealer {
    /// With these keys.
    ///
    /// # Errors
    /// When they are not keys of this suite.
    pub(super) fn new(suite: Suite, keys: Keys<'_>) -> Result<Sealer, Bad> {
        let sealing = match suite.enc {
            Enc::Clear => Sealing::Clear,
            Enc::Rc4 => Sealing::Rc4(Box::new(key(keys)?)),
            Enc::Des3 => Sealing::Des3(Box::new(chain(keys)?)),
            Enc::Aes128 => Sealing::Aes128(Box::new(chain(keys)?)),
            Enc::Aes256 => Sealing::Aes256(Box::new(chain(keys)?)),
            enc => Sealing::Aead(Box::new(Aead::new(enc, keys)?)),
        };
        Ok(Sealer { suite, number: 0, mac: Mac::new(suite.hash, keys.mac)?, sealing })
    }

    /// Appends a record with this body to `record`, which has room for [`HEAD`] and [`ADDED_MOST`] more.
    ///
    /// # Errors
    /// When as many records were sealed as one key is good for.
    pub(super) fn seal(&mut self, head: Head, body: &[u8], record: &mut Vec<u8>) -> Result<(), Bad> {
        let number = self.number;
        self.number = number.checked_add(1).ok_or(Bad)?;
        let numbered = head.numbered(number, body.len());
        let at = record.len();
        record.extend_from_slice(&head.bytes(0));
        let from = record.len();
        match &mut self.sealing {
            Sealing::Aead(aead) => {
                let sent = number.to_be_bytes();
                record.extend_from_slice(sent.get(..aead.sent()).unwrap_or(&[]));
                let plain = record.len();
                record.extend_from_slice(body);
                let nonce = aead.nonce(number, sent);
                let tag = aead.encrypt(&nonce, &numbered, record.get_mut(plain..).unwrap_or(&mut []))?;
                record.extend_from_slice(&tag);
            }
            sealing => {
                let block = sealing.block();
                if block != 0 && head.version >= TLS11 {
                    // What is encrypted first makes the rest differ from time to time.
                    let mut first = [0; 16];
                    let first = first.get_mut(..block).unwrap_or(&mut []);
                    random::fill(first);
                    record.extend_from_slice(first);
                }
                let plain = record.len();
                record.extend_from_slice(body);
                self.mac.append(&numbered, plain..record.len(), record);
                if block != 0 {
                    let pad = block - (record.len() - from) % block;
                    record.resize(record.len() + pad, (pad - 1) as u8);
                }
                sealing.encrypt(record.get_mut(from..).unwrap_or(&mut []));
            }
        }
        let len = record.len() - from;
        if let Some(place) = record.get_mut(at..from) {
            place.copy_from_slice(&head.bytes(len));
        }
        Ok(())
    }
}

impl Sealing {
    fn block(&self) -> usize {
        match self {
            Sealing::Des3(_) => 8,
            Sealing::Aes128(_) | Sealing::Aes256(_) => 16,
            _ => 0,
        }
    }

    fn encrypt(&mut self, bytes: &mut [u8]) {
        match self {
            Sealing::Clear | Sealing::Aead(_) => {}
            Sealing::Rc4(key) => key.apply_keystream(bytes),
            Sealing::Des3(chain) => encrypt_blocks(&mut **chain, bytes),
            Sealing::Aes128(chain) => encrypt_blocks(&mut **chain, bytes),
            Sealing::Aes256(chain) => encrypt_blocks(&mut **chain, bytes),
        }
    }
}

/// Appends a record without protection.
pub(super) fn plain(head: Head, body: &[u8], record: &mut Vec<u8>) {
    record.extend_from_slice(&head.bytes(body.len()));
    record.extend_from_slice(body);
}

enum Opening {
    Clear,
    Rc4(Box<Rc4>),
    Des3(Box<cbc::Decryptor<TdesEde3>>),
    Aes128(Box<cbc::Decryptor<Aes128>>),
    Aes256(Box<cbc::Decryptor<Aes256>>),
    Aead(Box<Aead>),
}

/// What opens records, and counts them.
pub(super) struct Opener {
    pub(super) suite: Suite,
    number: u64,
    mac: Mac,
    opening: Opening,
}

impl Opener {
    /// With these keys.
    ///
    /// # Errors
    /// When they are not keys of this suite.
    pub(super) fn new(suite: Suite, keys: Keys<'_>) -> Result<Opener, Bad> {
        let opening = match suite.enc {
            Enc::Clear => Opening::Clear,
            Enc::Rc4 => Opening::Rc4(Box::new(key(keys)?)),
            Enc::Des3 => Opening::Des3(Box::new(chain(keys)?)),
            Enc::Aes128 => Opening::Aes128(Box::new(chain(keys)?)),
            Enc::Aes256 => Opening::Aes256(Box::new(chain(keys)?)),
            enc => Opening::Aead(Box::new(Aead::new(enc, keys)?)),
        };
        Ok(Opener { suite, number: 0, mac: Mac::new(suite.hash, keys.mac)?, opening })
    }

    /// Opens a record's body where it is, and says where in it the bytes are that were sealed.
    ///
    /// # Errors
    /// When it is not what was sealed.
    pub(super) fn open(&mut self, head: Head, body: &mut [u8]) -> Result<Range<usize>, Bad> {
        let number = self.number;
        self.number = number.checked_add(1).ok_or(Bad)?;
        let (len, mac) = (body.len(), self.mac.len());
        if let Opening::Aead(aead) = &self.opening {
            let sent = aead.sent();
            let plain = len.checked_sub(sent + TAG).ok_or(Bad)?;
            let (first, rest) = body.split_at_mut(sent);
            let (bytes, tag) = rest.split_at_mut(plain);
            let nonce = aead.nonce(number, first.first_chunk().copied().unwrap_or_default());
            let tag = tag.first_chunk().ok_or(Bad)?;
            aead.decrypt(&nonce, &head.numbered(number, plain), bytes, tag)?;
            return Ok(sent..sent + plain);
        }
        let block = self.opening.block();
        let from = if head.version >= TLS11 { block } else { 0 };
        // Its length is no secret.
        let whole = block == 0 || len % block == 0 && len > from + mac;
        if !whole || len < from + mac {
            return Err(Bad);
        }
        self.opening.decrypt(body);
        let room = len - from - mac;
        let (pad, is_padded) = if block == 0 { (0, true) } else { padding(body, room) };
        // The MAC is computed in any case, so that a wrong padding takes as long as a wrong MAC.
        let end = from + room - pad;
        let (bytes, behind) = body.split_at(end);
        let (bytes, tag) = (bytes.get(from..).unwrap_or(&[]), behind.get(..mac).unwrap_or(&[]));
        let is_whole = self.mac.is(&head.numbered(number, bytes.len()), bytes, tag);
        if black_box(is_padded) & black_box(is_whole) { Ok(from..end) } else { Err(Bad) }
    }
}

impl Opening {
    fn block(&self) -> usize {
        match self {
            Opening::Des3(_) => 8,
            Opening::Aes128(_) | Opening::Aes256(_) => 16,
            _ => 0,
        }
    }

    fn decrypt(&mut self, bytes: &mut [u8]) {
        match self {
            Opening::Clear | Opening::Aead(_) => {}
            Opening::Rc4(key) => key.apply_keystream(bytes),
            Opening::Des3(chain) => decrypt_blocks(&mut **chain, bytes),
            Opening::Aes128(chain) => decrypt_blocks(&mut **chain, bytes),
            Opening::Aes256(chain) => decrypt_blocks(&mut **chain, bytes),
        }
    }
}

/// How many bytes at the end of a body are padding, of which there may be `room`, and whether they are as they should
/// be; 0 when not. All that may be padding is looked at, whatever it says.
fn padding(body: &[u8], room: usize) -> (usize, bool) {
    let says = body.last().copied().unwrap_or(0);
    let pad = usize::from(says) + 1;
    let mut wrong = u8::from(pad > room);
    for (at, byte) in body.iter().rev().take(256).enumerate() {
        let counts = 0u8.wrapping_sub(u8::from(black_box(at < pad)));
        wrong |= (byte ^ says) & counts;
    }
    let is_right = black_box(wrong) == 0;
    (pad * usize::from(is_right), is_right)
}

#[cfg(test)]
mod tests;
