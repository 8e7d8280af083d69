//! What several commands share, and the parts of commands that are functions of their arguments, tested on the host.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod condition;
pub mod copy;
pub mod dd;
pub mod export;
pub mod ls;
pub mod mode;
pub mod namespace;
pub mod number;
pub mod paging;
pub mod pci;
pub mod processes;
pub mod regexp;
pub mod sed;
pub mod sort;
pub mod stacks;
pub mod status;
pub mod sum;
pub mod tail;
pub mod times;
pub mod virtio;
pub mod wc;
pub mod xd;
