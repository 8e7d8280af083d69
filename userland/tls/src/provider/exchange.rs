//! How both sides come to one secret: Diffie-Hellman with X25519, P-256 and P-384, a new key for each connection.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt::{self, Debug, Formatter};
use core::marker::PhantomData;

use p256::elliptic_curve::ecdh::diffie_hellman;
use p256::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use p256::elliptic_curve::{
    AffinePoint, Curve, CurveArithmetic, FieldBytes, FieldBytesSize, PublicKey, SecretKey,
};
use rustls::crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::{Error, NamedGroup, PeerMisbehaved};
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

use super::Fill;

/// The groups, the best first.
pub fn groups(fill: Fill) -> Vec<&'static dyn SupportedKxGroup> {
    let p256 = OfCurve::<p256::NistP256> { name: NamedGroup::secp256r1, fill, curve: PhantomData };
    let p384 = OfCurve::<p384::NistP384> { name: NamedGroup::secp384r1, fill, curve: PhantomData };
    Vec::from([
        &*Box::leak(Box::new(X25519(fill))) as &dyn SupportedKxGroup,
        &*Box::leak(Box::new(p256)),
        &*Box::leak(Box::new(p384)),
    ])
}

/// What the other side has sent is no key.
fn misbehaved() -> Error {
    PeerMisbehaved::InvalidKeyShare.into()
}

#[derive(Debug)]
struct X25519(Fill);

impl SupportedKxGroup for X25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut secret = [0; 32];
        (self.0)(&mut secret)?;
        Ok(Box::new(ActiveX25519 { secret, public: x25519(secret, X25519_BASEPOINT_BYTES) }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct ActiveX25519 {
    secret: [u8; 32],
    public: [u8; 32],
}

impl ActiveKeyExchange for ActiveX25519 {
    fn complete(self: Box<Self>, theirs: &[u8]) -> Result<SharedSecret, Error> {
        let shared = x25519(self.secret, theirs.try_into().map_err(|_| misbehaved())?);
        // A point of small order makes the secret one that anybody knows (RFC 7748, 6.1).
        if shared.iter().fold(0, |all, byte| all | byte) == 0 {
            return Err(misbehaved());
        }
        Ok(SharedSecret::from(&shared[..]))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// A group of a curve of NIST's.
struct OfCurve<C> {
    name: NamedGroup,
    fill: Fill,
    curve: PhantomData<fn() -> C>,
}

impl<C> Debug for OfCurve<C> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

impl<C> SupportedKxGroup for OfCurve<C>
where
    C: CurveArithmetic,
    FieldBytesSize<C>: ModulusSize,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
{
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut bytes = FieldBytes::<C>::default();
        let secret = loop {
            (self.fill)(&mut bytes)?;
            // One of very many numbers of so many bits is none of the group.
            if let Ok(secret) = SecretKey::<C>::from_bytes(&bytes) {
                break secret;
            }
        };
        let public = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
        Ok(Box::new(ActiveCurve { name: self.name, secret, public }))
    }

    fn name(&self) -> NamedGroup {
        self.name
    }
}

struct ActiveCurve<C: Curve> {
    name: NamedGroup,
    secret: SecretKey<C>,
    public: Vec<u8>,
}

impl<C> ActiveKeyExchange for ActiveCurve<C>
where
    C: CurveArithmetic,
    FieldBytesSize<C>: ModulusSize,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
{
    fn complete(self: Box<Self>, theirs: &[u8]) -> Result<SharedSecret, Error> {
        // TLS has points whole, and not by one coordinate (RFC 8446, 4.2.8.2).
        if theirs.first() != Some(&4) {
            return Err(misbehaved());
        }
        let theirs = PublicKey::<C>::from_sec1_bytes(theirs).map_err(|_| misbehaved())?;
        let shared = diffie_hellman(self.secret.to_nonzero_scalar(), theirs.as_affine());
        Ok(SharedSecret::from(&shared.raw_secret_bytes()[..]))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        self.name
    }
}
