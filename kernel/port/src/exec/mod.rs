//! Executables: what is in the file ([`header`]), what it is called with ([`argv`]), and putting it into a process
//! ([`load`]).

pub mod argv;
pub mod header;
pub mod load;
mod script;
mod stack;
