//! What `hget` says and hears: URLs, and replies of HTTP/1.1 (RFC 9112), as functions of bytes.
//!
//! A reply's head has a limit; its body is handed on as it comes. A body that ends before its length says so is an
//! error, so that a part is never taken for the whole.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Bytes of the longest head of a reply.
pub const HEAD: usize = 64 << 10;
/// Bytes of the longest line that begins a chunk.
const LINE: usize = 1024;

type Result<T> = core::result::Result<T, String>;

/// Where something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether nobody else is to read it: https.
    pub secure: bool,
    /// The machine.
    pub host: String,
    /// Its port, 80 unless said, and of https 443.
    pub port: String,
    /// What is asked of it.
    pub path: String,
}

impl Url {
    /// Reads `http://host[:port][/path]`, or https; what is behind `#` is the reader's own business.
    ///
    /// # Errors
    /// It is none, or of another protocol.
    pub fn parse(text: &str) -> Result<Url> {
        let (scheme, rest) = text.split_once("://").ok_or("not http://HOST/...")?;
        let secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(format!("{scheme}: not http")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (place, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        if place.contains('@') {
            return Err("a name and a password: no".into());
        }
        // An address of IPv6 stands in brackets.
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or("bad host")?,
            None => place.find(':').map_or((place, ""), |at| place.split_at(at)),
        };
        let port = match port.strip_prefix(':') {
            Some(port) if port.parse::<u16>().is_ok() => port,
            None if port.is_empty() => usual(secure),
            _ => return Err("bad port".into()),
        };
        let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        if host.is_empty() || host.contains('!') || !is_plain(host) || !is_plain(path) {
            return Err("bad URL".into());
        }
        let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
        Ok(Url { secure, host: host.into(), port: port.into(), path })
    }

    /// What a URL of this kind begins with.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Where a reply sends one on to.
    ///
    /// # Errors
    /// As for [`Url::parse`]; it is where anybody could read it, or put something else in its place, and this is not.
    pub fn join(&self, location: &str) -> Result<Url> {
        let url = self.joined(location)?;
        if self.secure && !url.secure { Err("it is sent on from https to http".into()) } else { Ok(url) }
    }

    fn joined(&self, location: &str) -> Result<Url> {
        if location.contains("://") {
            return Url::parse(location);
        }
        let base = match location.starts_with('/') {
            true => "",
            false => {
                self.path.split('?').next().unwrap_or_default().rsplit_once('/').map_or("", |(dir, _)| dir)
            }
        };
        let slash = if location.starts_with('/') { "" } else { "/" };
        let (Url { host, port, .. }, scheme) = (self, self.scheme());
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        match location.strip_prefix("//") {
            Some(place) => Url::parse(&format!("{scheme}://{place}")),
            None => Url::parse(&format!("{scheme}://{host}:{port}{base}{slash}{location}")),
        }
    }

    /// The request.
    pub fn request(&self) -> String {
        let Url { host, port, path, secure } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let place = if port == usual(*secure) { host } else { format!("{host}:{port}") };
        format!("GET {path} HTTP/1.1\r\nHost: {place}\r\nUser-Agent: hget\r\nConnection: close\r\n\r\n")
    }
}

/// The port that need not be said.
fn usual(secure: bool) -> &'static str {
    if secure { "443" } else { "80" }
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Behind so many bytes.
    Length(u64),
    /// Behind the last chunk.
    Chunks,
    /// With the connection.
    Open,
}

/// What a reply's head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// 200, if all is well.
    pub code: u16,
    /// What the server says of that.
    pub reason: String,
    /// Where it is to be had.
    pub location: Option<String>,
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
        let mut head = Head { code, reason, location: None, body: Body::Open };
        let (mut length, mut chunks) = (None, false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "location" => head.location = Some(value.into()),
                "content-length" => {
                    let said = value.parse::<u64>().map_err(|_| "bad Content-Length")?;
                    if length.is_some_and(|before| before != said) {
                        return Err("two lengths".into());
                    }
                    length = Some(said);
                }
                "transfer-encoding" => match value.to_ascii_lowercase().as_str() {
                    "chunked" => chunks = true,
                    "identity" => {}
                    _ => return Err("a transfer encoding that is not known".into()),
                },
                _ => {}
            }
        }
        head.body = match (chunks, length) {
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

/// A body that comes in pieces.
pub struct Reader {
    left: Body,
    /// Of chunks: bytes of the one that is coming, and the line that begins the next.
    chunk: u64,
    line: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Line,
    Data,
    Behind,
    Trailer,
    End,
}

impl Reader {
    /// One for a body that ends so.
    pub fn new(body: Body) -> Reader {
        let state = if body == Body::Length(0) { State::End } else { State::Line };
        Reader { left: body, chunk: 0, line: Vec::new(), state }
    }

    /// Whether all has come.
    pub fn is_whole(&self) -> bool {
        self.state == State::End
    }

    /// Takes what has come, and hands on what of it is the body's own: never nothing, which in a pipe would be the end.
    ///
    /// # Errors
    /// It is not formed as it should be; what `put` says.
    pub fn take(&mut self, mut bytes: &[u8], put: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        match &mut self.left {
            _ if bytes.is_empty() => return Ok(()),
            Body::Open => return put(bytes),
            Body::Length(left) => {
                let n = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= n as u64;
                if *left == 0 {
                    self.state = State::End;
                }
                return if n == 0 { Ok(()) } else { put(bytes.get(..n).unwrap_or(bytes)) };
            }
            Body::Chunks => {}
        }
        while !bytes.is_empty() && self.state != State::End {
            if self.state == State::Data {
                let n = bytes.len().min(usize::try_from(self.chunk).unwrap_or(usize::MAX));
                let (data, rest) = bytes.split_at(n);
                put(data)?;
                bytes = rest;
                self.chunk -= n as u64;
                if self.chunk == 0 {
                    self.state = State::Behind;
                }
                continue;
            }
            let end = bytes.iter().position(|b| *b == b'\n');
            let (part, rest) = bytes.split_at(end.map_or(bytes.len(), |at| at + 1));
            if self.line.len() + part.len() > LINE {
                return Err("a chunk's line is too long".into());
            }
            self.line.extend_from_slice(part);
            bytes = rest;
            if end.is_none() {
                return Ok(());
            }
            self.next_line()?;
        }
        Ok(())
    }

    /// What a line between chunks means.
    fn next_line(&mut self) -> Result<()> {
        let line = core::mem::take(&mut self.line);
        let text = core::str::from_utf8(&line).unwrap_or("?").trim();
        self.state = match self.state {
            State::Line => {
                let digits = text.split(';').next().unwrap_or_default().trim();
                let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
                let number = u64::from_str_radix(digits, 16).ok().filter(|_| is_number);
                self.chunk = number.ok_or("a chunk has no length")?;
                if self.chunk == 0 { State::Trailer } else { State::Data }
            }
            State::Behind if text.is_empty() => State::Line,
            State::Behind => return Err("a chunk is longer than it says".into()),
            State::Trailer if text.is_empty() => State::End,
            other => other,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: &str, port: &str, path: &str) -> Url {
        Url { secure: false, host: host.into(), port: port.into(), path: path.into() }
    }

    fn secure(host: &str, port: &str, path: &str) -> Url {
        Url { secure: true, ..url(host, port, path) }
    }

    #[test]
    fn urls_are_taken_apart_and_joined() {
        for (text, is) in [
            ("http://a", url("a", "80", "/")),
            ("http://a.example:8080/x/y?q#z", url("a.example", "8080", "/x/y?q")),
            ("http://[::1]:81/", url("::1", "81", "/")),
            ("http://[fd00::2]", url("fd00::2", "80", "/")),
            ("http://a?q", url("a", "80", "/?q")),
            ("https://a", secure("a", "443", "/")),
            ("https://[::1]:80/x", secure("::1", "80", "/x")),
        ] {
            assert_eq!(Url::parse(text).as_ref(), Ok(&is), "{text}");
        }
        for bad in [
            "a",
            "ftp://a",
            "http://",
            "http://a:x/",
            "http://u@a/",
            "http://a!1/",
            "http://a/b c",
            "http://[::1/",
        ] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
        let base = url("a", "81", "/x/y?q");
        assert_eq!(base.join("z"), Ok(url("a", "81", "/x/z")));
        assert_eq!(base.join("/z"), Ok(url("a", "81", "/z")));
        assert_eq!(base.join("//b/z"), Ok(url("b", "80", "/z")));
        assert_eq!(base.join("http://b:1/z"), Ok(url("b", "1", "/z")));
        assert!(base.request().contains("GET /x/y?q HTTP/1.1\r\nHost: a:81\r\n"));
        assert!(base.request().ends_with("\r\n\r\n"));
        // What is secret stays so.
        let base = secure("a", "443", "/x/y");
        assert_eq!(base.join("z"), Ok(secure("a", "443", "/x/z")));
        assert_eq!(base.join("//b/z"), Ok(secure("b", "443", "/z")));
        assert!(base.join("http://a/z").unwrap_err().contains("from https"));
        assert!(base.request().contains("\r\nHost: a\r\n"));
        assert!(secure("a", "80", "/").request().contains("\r\nHost: a:80\r\n"));
    }

    #[test]
    fn heads_say_how_bodies_end() {
        let head = |text: &str| Head::parse(text.as_bytes());
        let ok = head("HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX: y").unwrap();
        assert_eq!((ok.code, ok.reason.as_str(), ok.body), (200, "OK", Body::Length(12)));
        assert_eq!(head("HTTP/1.0 200\n\r\n").unwrap().body, Body::Open);
        let chunks = head("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\ncontent-length: 1").unwrap();
        assert_eq!(chunks.body, Body::Chunks);
        assert_eq!(head("HTTP/1.1 302 x\r\nLocation: /y").unwrap().location.as_deref(), Some("/y"));
        for bad in ["", "SSH-2.0", "HTTP/1.1", "HTTP/2 200 OK", "HTTP/1.1 200 OK\r\nContent-Length: -1"] {
            assert!(head(bad).is_err(), "{bad}");
        }
        assert!(head("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2").is_err());
        assert_eq!(head_end(b"a\r\n\r\nb"), Some((1, 5)));
        assert_eq!(head_end(b"a\n\nb\r\n\r\n"), Some((1, 3)));
        assert_eq!(head_end(b"a\r\n"), None);
    }

    /// What of a body comes out, in pieces of `step` bytes, and whether it is whole.
    fn body(kind: Body, text: &[u8], step: usize) -> Result<(Vec<u8>, bool)> {
        let (mut reader, mut out) = (Reader::new(kind), Vec::new());
        for piece in text.chunks(step) {
            reader.take(&[], &mut |_| panic!("nothing is handed on"))?;
            reader.take(piece, &mut |bytes| {
                assert!(!bytes.is_empty(), "in a pipe this is the end");
                out.extend_from_slice(bytes);
                Ok(())
            })?;
        }
        Ok((out, reader.is_whole()))
    }

    #[test]
    fn bodies_come_in_any_pieces() {
        let chunks = b"5;x=y\r\nhello\r\n1\r\n \r\n00\r\nT: x\r\n\r\nbehind";
        for step in 1..40 {
            assert_eq!(body(Body::Chunks, chunks, step), Ok((b"hello ".to_vec(), true)), "{step}");
            assert!(!body(Body::Chunks, &chunks[..14], step).unwrap().1);
            assert_eq!(body(Body::Length(5), b"hello and more", step), Ok((b"hello".to_vec(), true)));
            assert_eq!(body(Body::Open, b"hello", step), Ok((b"hello".to_vec(), false)));
        }
        for bad in [&b"x\r\n"[..], b"\r\n", b"1\r\nab\r\n", b"-1\r\n", b"11111111111111111\r\n"] {
            assert!(body(Body::Chunks, bad, 1).is_err(), "{bad:?}");
        }
        assert!(body(Body::Chunks, &[b'1'; 3000], 7).is_err());
    }
}
