//! Names and files: what a channel is ([`chan`]) and what it is called ([`path`]), name spaces ([`namespace`]) and the
//! way through them ([`namec`], [`walk`]), descriptors ([`fgrp`]), and what reads and writes give and take
//! ([`iobuf`], [`dirread`]).

pub mod chan;
pub mod dirread;
pub mod fgrp;
pub mod iobuf;
pub mod namec;
pub mod namespace;
pub mod path;
mod walk;
