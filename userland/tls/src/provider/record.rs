//! What encrypts and authenticates records: three ways to use a cipher of one kind (RFC 8446, 5.2; RFC 5288; RFC 7905).
//!
//! The ciphers are alike: a nonce of twelve bytes, a tag of sixteen. The ways differ in where the nonce comes from,
//! what else is authenticated, and where the type of a record is.

use alloc::boxed::Box;
use core::marker::PhantomData;

use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::{AeadInOut, KeyInit, KeySizeUser, Nonce, Tag};
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, KeyBlockShape, MessageDecrypter,
    MessageEncrypter, NONCE_LEN, Nonce as Counted, OutboundOpaqueMessage, OutboundPlainMessage,
    PrefixedPayload, Tls12AeadAlgorithm, Tls13AeadAlgorithm, UnsupportedOperationError, make_tls12_aad,
    make_tls13_aad,
};
use rustls::{ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion};

const TAG: usize = 16;
/// Bytes of a nonce that a record of GCM in TLS 1.2 brings with it, behind those that both sides know.
const EXPLICIT: usize = 8;
const SALT: usize = NONCE_LEN - EXPLICIT;
/// Most bytes in a record.
const LONGEST: usize = 16384;

/// A cipher that can be used so.
pub trait Cipher: AeadInOut<NonceSize = U12, TagSize = U16> + KeyInit + Send + Sync + 'static {}
impl<C: AeadInOut<NonceSize = U12, TagSize = U16> + KeyInit + Send + Sync + 'static> Cipher for C {}

/// How records are made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// TLS 1.3: the nonce is counted; the type is encrypted behind the data.
    New,
    /// TLS 1.2: the nonce is counted.
    Counted,
    /// TLS 1.2: part of the nonce comes before the data.
    Explicit,
}

impl Way {
    /// Bytes before the data.
    fn before(self) -> usize {
        if self == Way::Explicit { EXPLICIT } else { 0 }
    }

    /// Bytes behind the data.
    fn behind(self) -> usize {
        if self == Way::New { 1 + TAG } else { TAG }
    }
}

/// A cipher, and whether TLS 1.2 has part of its nonces in the records.
pub struct Algorithm<C> {
    explicit: bool,
    cipher: PhantomData<fn() -> C>,
}

impl<C: Cipher> Algorithm<C> {
    pub const fn new(explicit: bool) -> Self {
        Algorithm { explicit, cipher: PhantomData }
    }

    fn half(&self, key: &AeadKey, iv: Iv, way: Way) -> Box<Half<C>> {
        let cipher = C::new_from_slice(key.as_ref()).expect("rustls gives as many bytes as were asked for");
        Box::new(Half { cipher, iv, way })
    }

    fn way(&self) -> Way {
        if self.explicit { Way::Explicit } else { Way::Counted }
    }

    fn key_bytes() -> usize {
        <C as KeySizeUser>::key_size()
    }
}

impl<C: Cipher> Tls13AeadAlgorithm for Algorithm<C> {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        self.half(&key, iv, Way::New)
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        self.half(&key, iv, Way::New)
    }

    fn key_len(&self) -> usize {
        Self::key_bytes()
    }

    fn extract_keys(&self, _: AeadKey, _: Iv) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

impl<C: Cipher> Tls12AeadAlgorithm for Algorithm<C> {
    fn encrypter(&self, key: AeadKey, iv: &[u8], extra: &[u8]) -> Box<dyn MessageEncrypter> {
        self.half(&key, joined(iv, extra), self.way())
    }

    fn decrypter(&self, key: AeadKey, iv: &[u8]) -> Box<dyn MessageDecrypter> {
        self.half(&key, joined(iv, &[]), self.way())
    }

    fn key_block_shape(&self) -> KeyBlockShape {
        let explicit_nonce_len = self.way().before();
        let fixed_iv_len = NONCE_LEN - explicit_nonce_len;
        KeyBlockShape { enc_key_len: Self::key_bytes(), fixed_iv_len, explicit_nonce_len }
    }

    fn extract_keys(
        &self,
        _: AeadKey,
        _: &[u8],
        _: &[u8],
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

/// One nonce of two pieces; what is missing is zero.
fn joined(first: &[u8], second: &[u8]) -> Iv {
    let mut bytes = [0; NONCE_LEN];
    bytes.iter_mut().zip(first.iter().chain(second)).for_each(|(to, from)| *to = *from);
    Iv::new(bytes)
}

/// One direction of a connection.
struct Half<C> {
    cipher: C,
    iv: Iv,
    way: Way,
}

/// What is authenticated beside the data of a record.
struct Beside {
    bytes: [u8; 13],
    len: usize,
}

impl Beside {
    /// `plain` is how many bytes of data there are, `whole` how many the record has.
    fn new(
        way: Way,
        seq: u64,
        typ: ContentType,
        version: ProtocolVersion,
        plain: usize,
        whole: usize,
    ) -> Beside {
        if way != Way::New {
            return Beside { bytes: make_tls12_aad(seq, typ, version, plain), len: 13 };
        }
        let mut bytes = [0; 13];
        let head = make_tls13_aad(whole);
        bytes.iter_mut().zip(head).for_each(|(to, from)| *to = from);
        Beside { bytes, len: head.len() }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl<C: Cipher> MessageEncrypter for Half<C> {
    fn encrypt(
        &mut self,
        message: OutboundPlainMessage<'_>,
        seq: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let (way, plain) = (self.way, message.payload.len());
        let whole = self.encrypted_payload_len(plain);
        let nonce = Counted::new(&self.iv, seq).0;
        let beside = Beside::new(way, seq, message.typ, message.version, plain, whole);
        let mut payload = PrefixedPayload::with_capacity(whole);
        if way == Way::Explicit {
            payload.extend_from_slice(nonce.get(SALT..).unwrap_or_default());
        }
        payload.extend_from_chunks(&message.payload);
        if way == Way::New {
            payload.extend_from_slice(&[u8::from(message.typ)]);
        }
        let data = payload.as_mut().get_mut(way.before()..).unwrap_or_default();
        let tag = self.cipher.encrypt_inout_detached(&Nonce::<C>::from(nonce), beside.bytes(), data.into());
        payload.extend_from_slice(&tag.map_err(|_| Error::EncryptError)?);
        let (typ, version) = match way {
            Way::New => (ContentType::ApplicationData, ProtocolVersion::TLSv1_2),
            _ => (message.typ, message.version),
        };
        Ok(OutboundOpaqueMessage::new(typ, version, payload))
    }

    fn encrypted_payload_len(&self, plain: usize) -> usize {
        plain + self.way.before() + self.way.behind()
    }
}

impl<C: Cipher> MessageDecrypter for Half<C> {
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let (way, whole) = (self.way, message.payload.len());
        let begin = way.before();
        // Of TLS 1.3 with the type, and with what fills it up.
        let plain = whole.checked_sub(begin + TAG).ok_or(Error::DecryptError)?;
        let beside = Beside::new(way, seq, message.typ, message.version, plain, whole);
        let (said, rest) = message.payload.split_at_mut(begin);
        let nonce = match way {
            Way::Explicit => {
                let mut nonce = Counted::new(&self.iv, 0).0;
                nonce.iter_mut().skip(SALT).zip(said).for_each(|(to, from)| *to = *from);
                nonce
            }
            _ => Counted::new(&self.iv, seq).0,
        };
        let (data, tag) = rest.split_at_mut(plain);
        let tag = Tag::<C>::try_from(&*tag).map_err(|_| Error::DecryptError)?;
        self.cipher
            .decrypt_inout_detached(&Nonce::<C>::from(nonce), beside.bytes(), data.into(), &tag)
            .map_err(|_| Error::DecryptError)?;
        if way == Way::New {
            message.payload.truncate(plain);
            return message.into_tls13_unpadded_message();
        }
        if plain > LONGEST {
            return Err(Error::PeerSentOversizedRecord);
        }
        Ok(message.into_plain_message_range(begin..begin + plain))
    }
}
