//! Where something is.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Result;

/// A place of http or https.
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
        let secure = match scheme.to_ascii_lowercase().as_str() {
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

    /// Is it at the same server?
    pub fn is_at(&self, other: &Url) -> bool {
        (self.secure, &self.port) == (other.secure, &other.port)
            && self.host.eq_ignore_ascii_case(&other.host)
    }

    /// What a URL of this kind begins with.
    fn scheme(&self) -> &'static str {
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

    /// What a reference means that stands on the page at this URL (RFC 3986, section 5.2).
    ///
    /// # Errors
    /// As for [`Url::parse`].
    pub fn joined(&self, reference: &str) -> Result<Url> {
        let reference = reference.split('#').next().unwrap_or_default();
        if has_scheme(reference) {
            return Url::parse(reference);
        }
        let scheme = self.scheme();
        if let Some(place) = reference.strip_prefix("//") {
            return Url::parse(&format!("{scheme}://{place}"));
        }
        let page = self.path.split('?').next().unwrap_or_default();
        let (path, query) = reference.find('?').map_or((reference, ""), |at| reference.split_at(at));
        let path = match path {
            "" if query.is_empty() => self.path.clone(),
            "" => page.into(),
            path if path.starts_with('/') => without_dots(path),
            path => without_dots(&format!("{}/{path}", page.rsplit_once('/').map_or("", |(dir, _)| dir))),
        };
        Url::parse(&format!("{scheme}://{}{path}{query}", self.place()))
    }

    /// As it is written.
    pub fn text(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.place(), self.path)
    }

    /// The machine, and the port if it has to be said.
    pub fn place(&self) -> String {
        let Url { host, port, secure, .. } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        if port == usual(*secure) { host } else { format!("{host}:{port}") }
    }
}

/// Does it begin with the name of a protocol?
fn has_scheme(text: &str) -> bool {
    let (scheme, _) = text.split_once(':').unwrap_or_default();
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// A path with its `.` and `..` done; nothing is above the root.
fn without_dots(path: &str) -> String {
    let mut elements: Vec<&str> = Vec::new();
    let mut is_dir = false;
    for element in path.split('/').skip(1) {
        is_dir = matches!(element, "." | "..");
        match element {
            "." => {}
            ".." => drop(elements.pop()),
            element => elements.push(element),
        }
    }
    format!("/{}{}", elements.join("/"), if is_dir && !elements.is_empty() { "/" } else { "" })
}

/// The port that need not be said.
fn usual(secure: bool) -> &'static str {
    if secure { "443" } else { "80" }
}
