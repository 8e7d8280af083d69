//! Executables: what is in the file ([`header`]), and putting it into a process ([`load`]).

pub mod header;
pub mod load;
mod script;
mod stack;
