//! The IP stack behind `#I`: interfaces, routes, conversations of TCP, UDP and ICMP. Packets and the states of TCP are
//! `smoltcp`'s; whose a packet is, when somebody is looked at again, what is bounded and who pays are decided here.
//!
//! # How it works
//!
//! A [`Stack`] is one lock with everything under it: interfaces ([`ifc`]), a table of conversations for each protocol
//! ([`table`]), and what is to be done. A packet is looked at by its ports ([`demux`]) and given to smoltcp together
//! with the one socket that it is for, so that a packet costs the same however many conversations there are. Whoever
//! writes or reads also carries packets on, so that nothing waits for another thread between two ends in this machine;
//! for timers, cards, and what was left over there is one service thread.
//!
//! Who waits sleeps at a conversation's [`signal`], without the lock, and can be interrupted.
//!
//! # Bounds
//!
//! A conversation has buffers of a fixed size, which its owner pays for; there are at most [`table::MOST`] of each
//! protocol; a listener has at most [`tcp::BACKLOG`] calls that nobody has taken. Packets on their way are
//! bounded by the interface's queue. What does not fit is dropped, as on any wire.
//!
//! # Limits of smoltcp
//!
//! Of SACK only its receiver's half is there; windows do not grow beyond the buffer; an interface has 8 addresses.
//! Sequence numbers are not smoltcp's, see [`tcp`]; nor are frames of Ethernet, neighbours and routes ([`link`]),
//! checksums of TCP and UDP ([`sums`]), what ICMP says of packets of ours ([`told`]), and ends that come with data
//! ([`last`]).
//!
//! # Locks
//!
//! `Stack::inner` is a `QLock`, before which no other lock is held by its callers. Under it only leaves are taken:
//! those of signals, of the heap, and a card's own.
#![no_std]
#![forbid(unsafe_code)]
#![allow(rustdoc::private_intra_doc_links)]

extern crate alloc;
#[cfg(test)]
extern crate std;

// The rooms, from the bottom to the top.
pub mod address;
pub mod arp;
mod called;
mod calls;
pub mod config;
pub mod copies;
mod cut;
mod datagrams;
mod demux;
pub mod error;
mod gone;
mod half;
mod icmp;
pub mod ifc;
pub mod join;
mod last;
pub mod link;
pub mod log;
mod near;
mod pieces;
mod route;
mod routers;
mod signal;
pub mod stack;
mod sums;
pub mod table;
pub mod tcp;
pub mod text;
mod told;
pub mod tried;
pub mod udp;
mod wire;
mod work;

pub use error::Error;
pub use link::{Came, Card, Offers, Open};
pub use stack::{Files, Stack};
pub use table::{Bearer, Conversation, Proto};
