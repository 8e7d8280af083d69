//! The devices of the portable kernel, one module each. `pc64/config.rs` lists those that a machine has.

pub mod arch;
pub mod cons;
pub mod dup;
pub mod env;
pub mod mouse;
pub mod pipe;
pub mod pnp;
pub mod portcons;
pub mod proc;
pub mod ram;
pub mod root;
pub mod sd;
pub mod srv;
pub mod uart;
pub mod virtcon;
