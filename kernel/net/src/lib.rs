//! The IP stack behind `#I`: interfaces, routes, conversations of TCP, UDP and ICMP. Packets, datagrams and echoes are
//! `smoltcp`'s; TCP, whose a packet is, when somebody is looked at again, what is bounded and who pays are here.
//!
//! # How it works
//!
//! A [`Stack`] is one lock with everything under it: interfaces ([`ifc`]), a table of conversations for each protocol
//! ([`table`]), and what is to be done. A packet is looked at by its ports ([`demux`]) and given to smoltcp together
//! with the one socket that it is for, or to the connection, so that a packet costs the same however many conversations
//! there are. Whoever
//! writes or reads also carries packets on, so that nothing waits for another thread between two ends in this machine;
//! for timers, cards, and what was left over there is one service thread.
//!
//! Who waits sleeps at a conversation's [`signal`], without the lock, and can be interrupted.
//!
//! # Bounds
//!
//! A conversation's owner pays for its buffers: those of datagrams have a fixed size, a connection has what it needs,
//! up to a bound ([`tcp`]). There are at most [`table::MOST`] conversations of each protocol; a listener has at most
//! [`tcp::BACKLOG`] calls that nobody has taken. Packets on their way are bounded by the interface's queue. What does
//! not fit is dropped, as on any wire.
//!
//! # Limits of smoltcp
//!
//! An interface has 8 addresses. TCP is not smoltcp's ([`talk`]): its buffers could not grow, and it did not use what
//! others tell of what has come apart. Nor are frames of Ethernet, neighbours and routes ([`link`]), checksums of TCP
//! and UDP ([`sums`]), groups and what is told of them ([`groups`]), and what ICMP says of packets of ours ([`told`],
//! [`paths`]).
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
mod chances;
pub mod config;
pub mod copies;
mod cut;
mod datagrams;
mod demux;
pub mod error;
mod gone;
pub mod groups;
mod icmp;
pub mod ifc;
pub mod join;
pub mod link;
pub mod log;
mod near;
mod paths;
mod pieces;
mod program;
mod rate;
mod route;
mod routers;
mod signal;
pub mod stack;
mod streams;
mod sums;
pub mod table;
mod talk;
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
