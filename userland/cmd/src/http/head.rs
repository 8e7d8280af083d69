//! A reply's head.

use alloc::string::String;

use super::{Body, Result};

/// Bytes of the longest head of a reply.
pub const HEAD: usize = 64 << 10;

/// What a reply's head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// 200, if all is well.
    pub code: u16,
    /// What the server says of that.
    pub reason: String,
    /// Where it is to be had.
    pub location: Option<String>,
    /// How long it is, if that is told.
    pub length: Option<u64>,
    /// When it was changed, if that is told.
    pub modified: Option<i64>,
    /// The place in the whole of what comes, if it is a part.
    pub from: Option<u64>,
    /// How the body ends.
    pub body: Body,
}

impl Head {
    /// Reads a head, all of it, without the empty line at its end.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(bytes: &[u8]) -> Result<Head> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let first = lines.next().unwrap_or_default();
        let mut words = first.splitn(3, ' ');
        let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
        let code = words.next().and_then(|code| code.parse().ok()).filter(|_| is_http);
        let code = code.ok_or("no reply of HTTP/1")?;
        let printable = |text: &str| text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let reason = printable(words.next().unwrap_or_default());
        let mut head =
            Head { code, reason, location: None, length: None, modified: None, from: None, body: Body::Open };
        let mut chunks = false;
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "last-modified" => head.modified = super::seconds(value),
                "content-range" => {
                    let range = value.strip_prefix("bytes ").and_then(|range| range.split_once('-'));
                    head.from = range.and_then(|(from, _)| from.parse().ok());
                }
                "location" => head.location = Some(value.into()),
                "content-length" => {
                    let said = value.parse::<u64>().map_err(|_| "bad Content-Length")?;
                    if head.length.is_some_and(|before| before != said) {
                        return Err("two lengths".into());
                    }
                    head.length = Some(said);
                }
                "transfer-encoding" => match value.to_ascii_lowercase().as_str() {
                    "chunked" => chunks = true,
                    "identity" => {}
                    _ => return Err("a transfer encoding that is not known".into()),
                },
                _ => {}
            }
        }
        head.body = match (chunks, head.length) {
            // These have none, whatever else is said.
            _ if code < 200 || matches!(code, 204 | 304) => Body::Length(0),
            (true, _) => Body::Chunks,
            (false, Some(length)) => Body::Length(length),
            (false, None) => Body::Open,
        };
        Ok(head)
    }
}

/// Where the head of a reply ends and its body begins, if it has all come.
pub fn head_end(bytes: &[u8]) -> Option<(usize, usize)> {
    let at = |mark: &[u8]| bytes.windows(mark.len()).position(|w| w == mark).map(|at| (at, at + mark.len()));
    match (at(b"\r\n\r\n"), at(b"\n\n")) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
