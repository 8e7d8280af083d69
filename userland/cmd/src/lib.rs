//! What several commands share, and the parts of commands that are functions of their arguments, tested on the host.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod asked;
pub mod bootroot;
pub mod cal;
pub mod checksum;
pub mod cleanname;
pub mod comm;
pub mod condition;
pub mod copy;
pub mod cs;
pub mod dates;
pub mod dd;
pub mod dhcp;
pub mod diff;
pub mod dns;
pub mod ed;
pub mod export;
pub mod floats;
pub mod fmt;
pub mod freq;
pub mod fstype;
pub mod gzip;
pub mod hoc;
pub mod http;
pub mod join;
pub mod lines;
pub mod listen;
pub mod look;
pub mod ls;
pub mod mc;
pub mod mntgen;
pub mod mode;
pub mod namespace;
pub mod ndb;
pub mod nsbuild;
pub mod nsfile;
pub mod number;
pub mod paging;
pub mod pci;
pub mod ping;
pub mod pr;
pub mod processes;
pub mod queries;
pub mod regexp;
pub mod sed;
pub mod seq;
pub mod snoop;
pub mod sort;
pub mod split;
pub mod stacks;
pub mod status;
pub mod strings;
pub mod sum;
pub mod tail;
pub mod tar;
pub mod times;
pub mod tr;
pub mod uniq;
pub mod virtio;
pub mod wc;
pub mod xd;
