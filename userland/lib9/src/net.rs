//! Conversations of the network: dial(2).
//!
//! An address is `NET!HOST!SERVICE`, as `tcp!localhost!http`, perhaps with the directory of the network before it,
//! `/net.alt/tcp!...`; a host alone is of `net`, any network. What it means is asked of cs(8); where there is none, it
//! has to be what the network's own files take.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use abi::ORDWR;

use crate::{Error, File, Result, error, file};

/// Milliseconds after which a silent other side is asked whether it is there, by [`Conn::keep_alive`]. It has nine such
/// times, so that it is given up three quarters of a minute later.
const KEEPALIVE_MS: u32 = 5000;
/// Ways to one address that are tried, and bytes of one.
const WAYS: usize = 16;
const LONGEST: usize = 512;

/// A conversation: the directory of its files, as `/net/tcp/3`, its `ctl` and its `data`.
#[derive(Debug)]
pub struct Conn {
    /// Where its files are.
    pub dir: String,
    /// What messages of ip(3) are written to.
    pub ctl: File,
    /// What is said.
    pub data: File,
}

impl Conn {
    /// Has the other side asked from time to time whether it is still there, for what waits without end. Networks that
    /// do not know this are as they were.
    pub fn keep_alive(&self) {
        let _ = self.ctl.write_all(format!("keepalive {KEEPALIVE_MS}").as_bytes());
    }
}

/// A place at which calls come in.
#[derive(Debug)]
pub struct Announced {
    /// Where its files are.
    pub dir: String,
    /// As long as it is open, calls come.
    pub ctl: File,
}

/// A call that nobody has answered yet; dropped, it is hung up.
#[derive(Debug)]
pub struct Call {
    /// Where its files are.
    pub dir: String,
    ctl: File,
}

/// A conversation that is neither connected nor announced yet.
#[derive(Debug)]
pub struct Begun {
    /// Where its files are.
    pub dir: String,
    /// What messages of ip(3) are written to.
    pub ctl: File,
}

/// Begins a conversation of the protocol whose `clone` this is.
///
/// # Errors
/// The kernel's.
pub fn begin(clone: &str) -> Result<Begun> {
    let ctl = File::open(clone, ORDWR)?;
    let dir = format!("{}/{}", parent(clone), number(&ctl)?);
    Ok(Begun { dir, ctl })
}

impl Begun {
    /// Connects it to an address as ip(3) takes it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn connect(self, to: &str) -> Result<Conn> {
        self.ctl.write_all(format!("connect {to}").as_bytes())?;
        let data = File::open(&format!("{}/data", self.dir), ORDWR)?;
        Ok(Conn { dir: self.dir, ctl: self.ctl, data })
    }

    /// Announces it at an address as ip(3) takes it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn announce(self, at: &str) -> Result<Announced> {
        self.ctl.write_all(format!("announce {at}").as_bytes())?;
        Ok(Announced { dir: self.dir, ctl: self.ctl })
    }
}

/// Calls an address, and tries all ways to it that there are.
///
/// # Errors
/// What the last of them says; cs(8) does not know it.
pub fn dial(addr: &str) -> Result<Conn> {
    each_way(addr, |begun, to| begun.connect(to))
}

/// Takes an address, to be called at.
///
/// # Errors
/// As for [`dial`].
pub fn announce(addr: &str) -> Result<Announced> {
    each_way(addr, |begun, at| begun.announce(at))
}

impl Announced {
    /// Waits for the next call.
    ///
    /// # Errors
    /// The kernel's.
    pub fn listen(&self) -> Result<Call> {
        let ctl = File::open(&format!("{}/listen", self.dir), ORDWR)?;
        let dir = format!("{}/{}", parent(&self.dir), number(&ctl)?);
        Ok(Call { dir, ctl })
    }
}

impl Call {
    /// Takes the call.
    ///
    /// # Errors
    /// The kernel's.
    pub fn accept(self) -> Result<Conn> {
        let data = File::open(&format!("{}/data", self.dir), ORDWR)?;
        Ok(Conn { dir: self.dir, ctl: self.ctl, data })
    }

    /// Who calls, `ADDRESS!PORT`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remote(&self) -> Result<String> {
        Ok(file::read_string(&format!("{}/remote", self.dir))?.trim_end().to_string())
    }

    /// Hangs up.
    ///
    /// # Errors
    /// The kernel's.
    pub fn reject(self) -> Result<()> {
        self.ctl.write_all(b"hangup")
    }
}

/// The address with what it lacks of network and service; an empty one of these is left out.
pub fn make_addr<'a>(addr: &'a str, net: &str, service: &str) -> Cow<'a, str> {
    let net = if net.is_empty() { "net" } else { net };
    let end = if service.is_empty() { String::new() } else { format!("!{service}") };
    match addr.split('!').count() {
        1 => format!("{net}!{addr}{end}").into(),
        2 if !end.is_empty() => format!("{addr}{end}").into(),
        _ => addr.into(),
    }
}

/// What an address means: for each way the file to open, and what to write into it behind `connect` or `announce`.
///
/// # Errors
/// What cs(8) says.
pub fn translate(addr: &str) -> Result<Vec<(String, String)>> {
    let (dir, net, rest) = split(addr);
    let Ok(cs) = File::open(&format!("{dir}/cs"), ORDWR) else {
        let net = if net == "net" { "tcp" } else { net };
        return Ok(Vec::from([(format!("{dir}/{net}/clone"), rest.to_string())]));
    };
    cs.write_all(format!("{net}!{rest}").as_bytes()).map_err(|e| error!("{addr}: {e}"))?;
    cs.seek(0, 0)?;
    let mut ways = Vec::new();
    let mut line = [0; LONGEST];
    while ways.len() < WAYS {
        let n = cs.read(&mut line)?;
        let text = String::from_utf8_lossy(line.get(..n).unwrap_or_default());
        match text.trim().split_once(' ') {
            Some((clone, to)) => ways.push((clone.to_string(), to.trim().to_string())),
            None => break,
        }
    }
    if ways.is_empty() { Err(error!("{addr}: cs knows no way")) } else { Ok(ways) }
}

/// Where the network is, its name, and the rest of an address.
fn split(addr: &str) -> (&str, &str, &str) {
    let (net, rest) = addr.split_once('!').unwrap_or(("net", addr));
    let (dir, net) = net.rsplit_once('/').unwrap_or(("/net", net));
    (dir, net, rest)
}

/// Begins a conversation for each way in turn, until `f` is content with one.
fn each_way<T>(addr: &str, f: impl Fn(Begun, &str) -> Result<T>) -> Result<T> {
    let mut failed = None;
    for (clone, to) in translate(addr)? {
        match begin(&clone).and_then(|begun| f(begun, &to)) {
            Ok(conversation) => return Ok(conversation),
            Err(e) => failed = Some(e),
        }
    }
    Err(failed.unwrap_or_else(|| Error::from("no way")))
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// The number that a `ctl` has.
fn number(ctl: &File) -> Result<u32> {
    let mut text = [0; 32];
    let n = ctl.read(&mut text)?;
    let text = core::str::from_utf8(text.get(..n).unwrap_or_default()).unwrap_or_default();
    text.trim().parse().map_err(|_| error!("a conversation has no number: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_get_what_they_lack() {
        for (addr, net, service, made) in [
            ("host", "", "9fs", "net!host!9fs"),
            ("host", "tcp", "9fs", "tcp!host!9fs"),
            ("tcp!host", "", "9fs", "tcp!host!9fs"),
            ("tcp!host!1", "udp", "9fs", "tcp!host!1"),
            ("/net.alt/tcp!host", "", "80", "/net.alt/tcp!host!80"),
            ("host", "icmp", "", "icmp!host"),
            ("icmp!host", "", "", "icmp!host"),
        ] {
            assert_eq!(make_addr(addr, net, service), made, "{addr}");
        }
    }

    #[test]
    fn addresses_say_where_their_network_is() {
        assert_eq!(split("tcp!a!1"), ("/net", "tcp", "a!1"));
        assert_eq!(split("/net.alt/udp!a!1"), ("/net.alt", "udp", "a!1"));
        assert_eq!(split("a"), ("/net", "net", "a"));
        assert_eq!(parent("/net/tcp/clone"), "/net/tcp");
    }
}
