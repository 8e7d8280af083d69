//! Names and files: what a channel is ([`chan`]) and what it is called ([`path`]), name spaces ([`namespace`]) and the
//! way through them ([`namec`], `walk`), descriptors ([`fgrp`]), and reading and writing what they stand for
//! ([`transfer`], [`dirread`]).

pub mod chan;
pub(crate) mod dirread;
pub mod fgrp;
mod leftovers;
pub mod namec;
pub mod namespace;
pub(crate) mod path;
pub(crate) mod transfer;
pub(crate) mod walk;
