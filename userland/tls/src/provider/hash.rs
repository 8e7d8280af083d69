//! SHA-2, and HMAC with it.

use alloc::boxed::Box;
use core::marker::PhantomData;

use hmac::digest::Digest;
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use rustls::crypto::hash::{Context, Hash, HashAlgorithm, Output};
use rustls::crypto::hmac::{Hmac as Macs, Key, Tag};
use sha2::{Sha256, Sha384};

/// A hash of the family, as rustls wants one.
pub struct Sha<D> {
    algorithm: HashAlgorithm,
    digest: PhantomData<fn() -> D>,
}

pub static SHA256: Sha<Sha256> = Sha { algorithm: HashAlgorithm::SHA256, digest: PhantomData };
pub static SHA384: Sha<Sha384> = Sha { algorithm: HashAlgorithm::SHA384, digest: PhantomData };

impl<D: Digest + Clone + Send + Sync + 'static> Hash for Sha<D> {
    fn start(&self) -> Box<dyn Context> {
        Box::new(Running(D::new()))
    }

    fn hash(&self, data: &[u8]) -> Output {
        Output::new(&D::digest(data))
    }

    fn output_len(&self) -> usize {
        <D as Digest>::output_size()
    }

    fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }
}

/// A hash of which more is to come.
struct Running<D>(D);

impl<D: Digest + Clone + Send + Sync + 'static> Context for Running<D> {
    fn fork_finish(&self) -> Output {
        Output::new(&self.0.clone().finalize())
    }

    fn fork(&self) -> Box<dyn Context> {
        Box::new(Running(self.0.clone()))
    }

    fn finish(self: Box<Self>) -> Output {
        Output::new(&self.0.finalize())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

impl<D> Macs for Sha<D>
where
    D: EagerHash + Digest + Send + Sync + 'static,
    Hmac<D>: Mac + KeyInit + Clone + Send + Sync,
{
    fn with_key(&self, key: &[u8]) -> Box<dyn Key> {
        let keyed = <Hmac<D> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
        Box::new(Keyed(keyed))
    }

    fn hash_output_len(&self) -> usize {
        <D as Digest>::output_size()
    }
}

/// An HMAC with its key.
struct Keyed<M>(M);

impl<M: Mac + Clone + Send + Sync> Key for Keyed<M> {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> Tag {
        let mut mac = self.0.clone();
        mac.update(first);
        middle.iter().for_each(|piece| mac.update(piece));
        mac.update(last);
        Tag::new(&mac.finalize().into_bytes())
    }

    fn tag_len(&self) -> usize {
        <M as hmac::digest::OutputSizeUser>::output_size()
    }
}
