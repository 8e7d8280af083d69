//! What `hget` says and hears: URLs, requests and replies of HTTP/1.1 (RFC 9112), as functions of bytes.
//!
//! A reply's head has a limit; its body is handed on as it comes. A body that ends before its length says so is an
//! error, so that a part is never taken for the whole.

mod body;
mod date;
mod head;
mod request;
#[cfg(test)]
mod tests;
mod url;

use alloc::string::String;

pub use body::{Body, Reader};
pub use date::seconds;
pub use head::{HEAD, Head, head_end};
pub use request::Request;
pub use url::Url;

type Result<T> = core::result::Result<T, String>;
