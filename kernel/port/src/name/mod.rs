//! Names and files: what a channel is ([`chan`]) and what it is called ([`path`]); name spaces ([`namespace`]), what
//! stands where in one ([`mhead`]), its text (`ns`) and the way through it ([`namec`], [`walk`],
//! [`glance`]); descriptors
//! ([`fgrp`]), and reading and writing what they stand for ([`transfer`], [`dirread`]).

pub mod chan;
pub(crate) mod dirread;
pub mod fgrp;
pub(crate) mod glance;
mod leftovers;
pub(crate) mod mhead;
pub mod namec;
pub mod namespace;
mod ns;
pub(crate) mod path;
mod text;
pub(crate) mod transfer;
pub(crate) mod walk;
