//! What names of the network mean: what cs(8) serves. `tcp!localhost!http` is answered with a line for each way to get
//! there, `/net/tcp/clone 127.0.0.1!80`: the file to open, and what to write into it behind `connect` or `announce`.
//!
//! Names are those of the database, ndb(6); others are asked of whoever serves `dns` in the same directory.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::asked::Answers;
use crate::ndb::Ndb;

/// Networks that `net` stands for, in the order in which they are tried.
const NETS: [&str; 2] = ["tcp", "udp"];
/// Networks there are.
const KNOWN: [&str; 4] = ["tcp", "udp", "icmp", "icmpv6"];

/// Asks somebody else for the addresses of a name, those of these kinds of records.
pub type Ask = fn(net: &str, name: &str, kinds: &[&str]) -> Result<Vec<String>, String>;

/// What can be translated.
pub struct Cs {
    /// The directory that it is mounted on.
    pub net: String,
    /// What is known by itself.
    pub ndb: Ndb,
    /// The machine's name, which is the machine itself where the database does not know better.
    pub sysname: String,
    /// Who knows other names.
    pub ask: Ask,
    /// Which addresses he is asked for: `ip`, `ipv6`.
    pub kinds: &'static [&'static str],
}

impl Answers for Cs {
    fn answer(&self, question: &str) -> Result<Vec<String>, String> {
        self.translate(question)
    }
}

impl Cs {
    /// The lines that answer a question.
    ///
    /// # Errors
    /// What of it is not known.
    pub fn translate(&self, question: &str) -> Result<Vec<String>, String> {
        let question = question.trim_end_matches(['\n', '\0']);
        if let Some(pairs) = question.strip_prefix('!') {
            return self.search(pairs);
        }
        let (net, rest) = question.split_once('!').ok_or("bad address")?;
        let (host, service) =
            rest.rsplit_once('!').map_or((rest, None), |(host, service)| (host, Some(service)));
        // A name of two words would be another question.
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err("bad address".into());
        }
        // What is before the network's name is where it is.
        let (dir, net) = net.rsplit_once('/').unwrap_or((self.net.as_str(), net));
        let nets: &[&str] = match KNOWN.iter().position(|known| *known == net) {
            Some(at) => KNOWN.get(at..=at).unwrap_or(&[]),
            None if net == "net" => &NETS,
            None => return Err("unknown network".into()),
        };
        let ports: Vec<(&str, String)> = nets
            .iter()
            .filter_map(|net| Some((*net, service.map_or(Some(String::new()), |s| self.port(net, s))?)))
            .collect();
        if ports.is_empty() {
            return Err("cs: can't translate service".into());
        }
        let addresses = self.addresses(host)?;
        let mut lines = Vec::new();
        for (net, port) in ports {
            let line = |addr| match port.as_str() {
                "" => format!("{dir}/{net}/clone {addr}"),
                port => format!("{dir}/{net}/clone {addr}!{port}"),
            };
            lines.extend(addresses.iter().map(line));
        }
        Ok(lines)
    }

    /// The first entry that has the first pair, and those that follow.
    fn search(&self, pairs: &str) -> Result<Vec<String>, String> {
        let mut wanted = pairs.split_whitespace().filter_map(|word| word.split_once('='));
        let (name, value) = wanted.next().ok_or("bad query")?;
        let rest: Vec<_> = wanted.collect();
        let has_rest =
            |e: &&[(String, String)]| rest.iter().all(|(n, v)| e.iter().any(|p| p.0 == *n && p.1 == *v));
        let entry = self.ndb.having(name, value).find(has_rest).ok_or("no match")?;
        let shown: Vec<String> = entry.iter().map(|(n, v)| format!("{n}={v}")).collect();
        Ok(Vec::from([shown.join(" ")]))
    }

    fn port(&self, net: &str, service: &str) -> Option<String> {
        if let Ok(port) = service.parse::<u16>() {
            return Some(port.to_string());
        }
        if service == "*" {
            return Some("0".into());
        }
        self.ndb.values(net, service, "port").next().map(String::from)
    }

    fn addresses(&self, host: &str) -> Result<Vec<String>, String> {
        if host == "*" || host.parse::<IpAddr>().is_ok() || is_short(host) {
            return Ok(Vec::from([host.into()]));
        }
        let known = ["sys", "dom"].iter().flat_map(|name| self.ndb.values(name, host, "ip"));
        let mut found: Vec<String> = Vec::new();
        for addr in known {
            if !found.iter().any(|f| f == addr) {
                found.push(addr.into());
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
        if host == self.sysname {
            return Ok(Vec::from(["127.0.0.1".into()]));
        }
        (self.ask)(&self.net, host, self.kinds)
    }
}

/// Whether it is an address of IPv4 with less than four numbers, as `127.1`.
fn is_short(host: &str) -> bool {
    host.contains('.')
        && host.split('.').count() < 4
        && host.split('.').all(|part| part.parse::<u8>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cs() -> Cs {
        let mut ndb = Ndb::default();
        ndb.add("sys=localhost ip=127.0.0.1\nsys=both dom=both.example\n\tip=10.0.0.1\n\tip=fd00::1\n");
        ndb.add("tcp=http port=80\nudp=domain port=53\ntcp=domain port=53\nprotocol=udp proto=17\n");
        let ask: Ask = |_, name, kinds| match name {
            "far.example" => Ok(kinds.iter().map(|kind| format!("192.0.2.1/{kind}")).collect()),
            _ => Err("dns: name does not exist".into()),
        };
        Cs { net: "/net".into(), ndb, sysname: "here".into(), ask, kinds: &["ipv6"] }
    }

    #[test]
    fn names_are_translated() {
        let cs = cs();
        for (question, answers) in [
            ("tcp!127.0.0.1!80", &["/net/tcp/clone 127.0.0.1!80"][..]),
            ("tcp!localhost!http\n", &["/net/tcp/clone 127.0.0.1!80"]),
            ("tcp!*!0", &["/net/tcp/clone *!0"]),
            ("udp!::1!domain", &["/net/udp/clone ::1!53"]),
            ("/net.alt/tcp!127.1!http", &["/net.alt/tcp/clone 127.1!80"]),
            ("tcp!both!1", &["/net/tcp/clone 10.0.0.1!1", "/net/tcp/clone fd00::1!1"]),
            ("tcp!both.example!1", &["/net/tcp/clone 10.0.0.1!1", "/net/tcp/clone fd00::1!1"]),
            ("net!localhost!domain", &["/net/tcp/clone 127.0.0.1!53", "/net/udp/clone 127.0.0.1!53"]),
            ("net!localhost!http", &["/net/tcp/clone 127.0.0.1!80"]),
            ("icmp!10.0.0.1", &["/net/icmp/clone 10.0.0.1"]),
            ("tcp!here!9", &["/net/tcp/clone 127.0.0.1!9"]),
            ("tcp!far.example!9", &["/net/tcp/clone 192.0.2.1/ipv6!9"]),
            ("!protocol=udp", &["protocol=udp proto=17"]),
        ] {
            assert_eq!(cs.translate(question).unwrap(), answers, "{question}");
        }
        for (question, why) in [
            ("", "bad address"),
            ("tcp", "bad address"),
            ("tcp!!80", "bad address"),
            ("tcp!a b!80", "bad address"),
            ("tcp!a!b!1", "dns: name does not exist"),
            ("il!localhost!1", "unknown network"),
            ("tcp!localhost!none", "cs: can't translate service"),
            ("tcp!localhost!65536", "cs: can't translate service"),
            ("udp!localhost!http", "cs: can't translate service"),
            ("tcp!nowhere!1", "dns: name does not exist"),
            ("!protocol=none", "no match"),
            ("!", "bad query"),
        ] {
            assert_eq!(cs.translate(question).unwrap_err(), why, "{question}");
        }
    }
}
