//! TLS 1.2 and 1.3 for programs: who is at the other end, and that nobody else reads or changes what is said.
//!
//! The protocol is rustls's, in its form without any input or output, and certificates are looked at by its webpki.
//! What is here joins that to cryptography which needs no system ([`provider`]), says whom one trusts ([`trust`]) and
//! who one is ([`config`]), makes of it something that is handed bytes and hands out bytes ([`end`]), and says what is
//! wrong ([`words`]). The programs read and write.
//!
//! Nobody is trusted unsaid: either a chain of certificates leads to one of the anchors, is of this date and is the
//! server's by name, or the server's certificate is one that its user has listed by its thumbprint.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod config;
pub mod end;
pub mod provider;
pub mod trust;
pub mod words;

#[cfg(test)]
mod tests;
