//! Names of the world: what dns(8) serves. A question is a name and what is wanted of it, `www.example ip`, and each
//! line of the answer is a record: the name, the kind, a tab and the value.
//!
//! It asks servers that ask others for it; those are named by the network's own file `ndb`, where ipconfig(8) puts
//! them, and by the database. [`message`] has the bytes, [`cache`] what is known for a while; the network itself is
//! behind a trait.
//!
//! Lock order: the cache's lock is a leaf, and not held while anybody is asked.

pub mod cache;
pub mod message;
#[cfg(test)]
mod tests;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use lib9::sys::Lock;

use crate::asked::Answers;
use crate::ndb::Ndb;
use cache::{Cache, Known};
use message::{Answer, Kind, Record};

/// Servers that are asked, and how often all of them.
const SERVERS: usize = 4;
const ROUNDS: u32 = 3;
/// Milliseconds that a server has at first; each round it has twice as many. All of it ends after so many seconds.
const PATIENCE_MS: u32 = 1000;
const LONGEST_SECONDS: i64 = 15;
/// Aliases that are followed from reply to reply.
const ALIASES: usize = 8;

const NO_NAME: &str = "dns: name does not exist";
const NO_RECORDS: &str = "dns: resource does not exist; negrcode 0";

/// What a reply to a question is made of; none if it is no reply to it.
pub type Read<'a> = &'a dyn Fn(&[u8]) -> Option<Answer>;

/// Who can be asked, and how.
pub trait Network {
    /// Servers' addresses, as dial(2) takes them: `udp!10.0.2.3!53`, without the network.
    fn servers(&self) -> Vec<String>;

    /// Sends a query, and waits until `read` understands a reply, or `ms` milliseconds are over.
    ///
    /// # Errors
    /// That there was none.
    fn exchange(&self, net: &str, server: &str, query: &[u8], ms: u32, read: Read) -> Result<Answer, String>;

    /// A number by chance.
    fn random(&self) -> u16;

    /// Seconds of a clock that goes on.
    fn now(&self) -> i64;
}

/// Who answers.
pub struct Resolver<N> {
    net: N,
    ndb: Ndb,
    cache: Lock<Cache>,
}

/// The name under which the server for a network's directory is in `/srv`: `dns`, or `dns_net.alt`.
pub fn posted_as(net: &str) -> String {
    match net.trim_start_matches('/') {
        "net" => "dns".into(),
        other => format!("dns_{}", other.replace('/', "_")),
    }
}

impl<N: Network> Resolver<N> {
    /// One that knows what is in the database, and asks by the network.
    pub fn new(net: N, ndb: Ndb) -> Resolver<N> {
        Resolver { net, ndb, cache: Lock::new(Cache::default()) }
    }

    /// What is known about a name, by itself or by others.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn resolve(&self, name: &str, kind: Kind) -> Result<Vec<Record>, String> {
        let ours: Vec<Record> = self.of_database(name, kind);
        if !ours.is_empty() {
            return Ok(ours);
        }
        let mut name = String::from(name);
        for _ in 0..ALIASES {
            let now = self.net.now();
            let known = self.cache.lock().get(&name, kind, now).cloned();
            let known = match known {
                Some(known) => known,
                None => match self.ask(&name, kind)? {
                    Answer::Alias(to, _) => {
                        name = to;
                        continue;
                    }
                    Answer::Records(records, seconds) => {
                        self.keep(&name, kind, Known::Records(records), seconds)
                    }
                    Answer::NoName(seconds) => self.keep(&name, kind, Known::NoName, seconds),
                    Answer::NoRecords(seconds) => self.keep(&name, kind, Known::NoRecords, seconds),
                    Answer::Cut | Answer::Failed => return Err("dns: dns failure".into()),
                },
            };
            return match known {
                Known::Records(records) => Ok(records),
                Known::NoName => Err(NO_NAME.into()),
                Known::NoRecords => Err(NO_RECORDS.into()),
            };
        }
        Err("dns: too many aliases: dns failure".into())
    }

    fn keep(&self, name: &str, kind: Kind, known: Known, seconds: u32) -> Known {
        self.cache.lock().put(name, kind, known.clone(), seconds, self.net.now());
        known
    }

    /// Addresses of what the database has by this name, and names of its addresses.
    fn of_database(&self, name: &str, kind: Kind) -> Vec<Record> {
        let record = |value: &str| Record { owner: name.into(), kind, value: value.into() };
        match kind {
            Kind::Ip | Kind::Ipv6 => {
                let all = self.ndb.values("dom", name, "ip");
                all.filter(|ip| ip.contains(':') == (kind == Kind::Ipv6)).map(record).collect()
            }
            Kind::Ptr => {
                let addresses = self
                    .ndb
                    .all("ip")
                    .filter(|(_, ip)| ip.parse().is_ok_and(|ip| message::name_of(ip) == name));
                let names = addresses.flat_map(|(entry, _)| entry.iter().filter(|(n, _)| n == "dom"));
                names.map(|(_, dom)| record(dom)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Asks the servers, one after the other, and all of them again.
    fn ask(&self, name: &str, kind: Kind) -> Result<Answer, String> {
        let mut servers = self.net.servers();
        servers.truncate(SERVERS);
        if servers.is_empty() {
            return Err("dns: there is nobody to ask: dns failure".into());
        }
        let (began, mut failed) = (self.net.now(), None);
        for round in 0..ROUNDS {
            for server in &servers {
                if self.net.now() - began > LONGEST_SECONDS {
                    break;
                }
                // Another number each time: a late answer is none.
                let id = self.net.random();
                let query = message::query(id, name, kind);
                let read = |bytes: &[u8]| message::read(id, name, kind, bytes);
                let ms = PATIENCE_MS << round;
                let mut answer = self.net.exchange("udp", server, &query, ms, &read);
                if answer == Ok(Answer::Cut) {
                    answer = self.net.exchange("tcp", server, &query, 2 * ms, &read);
                }
                match answer {
                    Ok(Answer::Failed | Answer::Cut) => failed = Some("dns: dns failure".to_string()),
                    Ok(answer) => return Ok(answer),
                    Err(e) if e == abi::error::EINTR => return Err(e),
                    Err(e) => drop(failed.get_or_insert_with(|| format!("dns: {e}: dns failure"))),
                }
            }
        }
        Err(failed.unwrap_or_else(|| "dns: nobody answers: dns failure".into()))
    }
}

impl<N: Network> Answers for Resolver<N> {
    fn answer(&self, question: &str) -> Result<Vec<String>, String> {
        let mut words = question.trim_matches('\0').split_ascii_whitespace();
        let name = words.next().ok_or("dns: bad query")?;
        let kind = Kind::parse(words.next().unwrap_or("ip")).ok_or("dns: unknown type")?;
        if words.next().is_some() {
            return Err("dns: bad query".into());
        }
        let name = match (kind, name.parse()) {
            (Kind::Ptr, Ok(address)) => message::name_of(address),
            _ => message::name(name).ok_or("dns: bad name")?,
        };
        let line = |r: &Record| format!("{} {}\t{}", r.owner, r.kind.word(), r.value);
        Ok(self.resolve(&name, kind)?.iter().map(line).collect())
    }
}
