//! What is asked of a server.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Result, Url};

/// Headers that are for one server.
const PRIVATE: [&str; 4] = ["Authorization", "Proxy-Authorization", "Cookie", "Host"];

/// A request, but for the place that it goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST` and the like.
    method: String,
    /// Lines of the head that somebody wants.
    headers: Vec<String>,
    /// What goes with it.
    body: Option<Vec<u8>>,
}

impl Request {
    /// One by this method; unless it is said, that is `POST` where a body goes with it and `GET` where none does.
    ///
    /// # Errors
    /// The method is no word, or a header no `NAME: VALUE`.
    pub fn new(method: Option<&str>, headers: &[&str], body: Option<Vec<u8>>) -> Result<Request> {
        let method = method.unwrap_or(if body.is_some() { "POST" } else { "GET" });
        if !is_token(method) {
            return Err(format!("{method}: no method"));
        }
        let is_header = |h: &&&str| {
            let (name, value) = h.split_once(':').unwrap_or_default();
            is_token(name) && !value.bytes().any(|b| b < b' ' && b != b'\t')
        };
        if let Some(bad) = headers.iter().find(|h| !is_header(h)) {
            return Err(format!("{bad}: no header"));
        }
        let headers = headers.iter().map(|h| String::from(*h)).collect();
        Ok(Request { method: method.into(), headers, body })
    }

    /// The same by `HEAD`: only the reply's head is wanted.
    #[must_use]
    pub fn head_only(&self) -> Request {
        Request { method: "HEAD".into(), ..self.clone() }
    }

    /// The same, for what is behind so many bytes.
    #[must_use]
    pub fn behind(&self, bytes: u64) -> Request {
        let mut request = self.clone();
        request.headers.push(format!("Range: bytes={bytes}-"));
        request
    }

    /// What is asked when a reply with this code sends one on: elsewhere nothing is given once more, unless the server
    /// says that it has to be (RFC 9110, section 15.4). To another server goes nothing that is for this one alone.
    #[must_use]
    pub fn sent_on(mut self, code: u16, elsewhere: bool) -> Request {
        if elsewhere {
            self.headers.retain(|h| {
                let name = h.split_once(':').map_or("", |(name, _)| name);
                !PRIVATE.iter().any(|private| private.eq_ignore_ascii_case(name))
            });
        }
        let again = match code {
            301 | 302 => self.method != "POST",
            303 => self.method == "HEAD",
            _ => true,
        };
        if again { self } else { Request { method: "GET".into(), body: None, ..self } }
    }

    /// Is it a plain question, which changes nothing?
    pub fn is_get(&self) -> bool {
        self.method == "GET" && self.body.is_none()
    }

    /// Does the reply have a head and no more?
    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// Is something handed over?
    pub fn gives(&self) -> bool {
        self.body.is_some()
    }

    /// The bytes for the server at this place. What somebody has a header for is not said twice.
    pub fn bytes(&self, url: &Url) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, url.path);
        let length = self.body.as_ref().map(|body| format!("{}", body.len()));
        let kind = self.body.as_ref().map(|_| String::from("application/x-www-form-urlencoded"));
        let ours = [
            ("Host", Some(url.place())),
            ("User-Agent", Some("hget".into())),
            ("Connection", Some("close".into())),
            ("Content-Type", kind),
            ("Content-Length", length),
        ];
        for (name, value) in ours {
            let is_said = self
                .headers
                .iter()
                .any(|h| h.split_once(':').is_some_and(|(said, _)| said.eq_ignore_ascii_case(name)));
            if let Some(value) = value.filter(|_| !is_said) {
                text += &format!("{name}: {value}\r\n");
            }
        }
        for header in &self.headers {
            text += header;
            text += "\r\n";
        }
        text += "\r\n";
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// Is it a word of HTTP?
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
