//! Console ports of which the test is the host: their files in `#C`, and the machine's console on one of them.

mod console;
mod files;
mod port;
