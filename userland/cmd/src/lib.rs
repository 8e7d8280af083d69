//! What several commands share. Everything here is a function of its arguments and tested on the host.
#![no_std]
#![forbid(unsafe_code)]
