//! What is fuzzed: a function for each kind of bytes that come from outside. It panics when something is wrong.

pub mod command_line;
pub mod disk_tables;
pub mod dns_replies;
pub mod firmware;
pub mod frames;
pub mod headers;
pub mod ip_stack;
pub mod lying;
pub mod lying_proxy;
pub mod lying_server;
pub mod lying_together;
pub mod names;
pub mod ninep_engine;
pub mod ninep_framer;
pub mod ninep_messages;
pub mod ninep_proxy;
pub mod ninep_server;
pub mod ninep_translate;
pub mod shell;
