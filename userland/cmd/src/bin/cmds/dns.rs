//! ndb/dns [-r] [-f ndbfile] [-s srvname] [-x netdir] [-N server]: says what the names of the world are. See dns(8).
//!
//! The files are [`cmd::dns`]'s. Its processes end when the last mount of it is gone.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::AtomicI32;

use abi::OREAD;
use cmd::asked::Asked;
use cmd::dns::message::Answer;
use cmd::dns::{Network, Read, Resolver, posted_as};
use cmd::ndb::Ndb;
use lib9::{Args, File, Result, Rfork, env, eprintln, fd, file, net, proc, serve, usage};

/// Bytes of the longest reply by UDP, and by TCP.
const DATAGRAM: usize = 4096;
const MESSAGE: usize = 65_535;

pub fn main(args: &Args) -> Result<()> {
    let (mut database, mut name, mut dir) = ("/lib/ndb/local".to_string(), None, "/net".to_string());
    let mut servers = Vec::new();
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        let mut value = || flags.value().map(String::from).unwrap_or_else(|_| synopsis(args));
        match letter {
            // It does nothing else.
            'r' => {}
            'f' => database = value(),
            's' => name = Some(value()),
            'x' => dir = value(),
            'N' => servers.push(value()),
            _ => synopsis(args),
        }
    }
    if !flags.rest().is_empty() {
        synopsis(args);
    }
    if servers.is_empty() {
        servers = env::getenv("DNSSERVER").iter().flat_map(|s| s.split_whitespace()).map(String::from).collect();
    }
    let (name, mountpoint) = (name.unwrap_or_else(|| posted_as(&dir)), dir.clone());
    let ours = serve::start(|end| {
        // Nobody shall wait for us to close what we do not use.
        for unused in [0, 1] {
            let _ = fd::close(unused);
        }
        let ndb = Ndb::open(&database);
        let owner = file::read("#c/user").unwrap_or_default();
        let dns = Asked { name: "dns", owner, who: Resolver::new(ByFiles { dir, servers }, ndb) };
        if let Err(e) = serve::workers::serve(dns, end, end) {
            eprintln!("dns: {e}");
            proc::exits(e.text());
        }
    })?;
    serve::post(&name, ours, 0o600)?;
    crate::cs::mount(ours, &mountpoint, "dns")
}

/// The network of a directory.
struct ByFiles {
    dir: String,
    /// Those that were named; else they are looked up.
    servers: Vec<String>,
}

impl Network for ByFiles {
    fn servers(&self) -> Vec<String> {
        if !self.servers.is_empty() {
            return self.servers.clone();
        }
        // They change with the lease.
        let mut ndb = Ndb::default();
        ndb.add(&file::read_string(&format!("{}/ndb", self.dir)).unwrap_or_default());
        let mut servers: Vec<String> = Vec::new();
        for (_, server) in ndb.all("dns") {
            if !servers.iter().any(|s| s == server) {
                servers.push(server.into());
            }
        }
        servers
    }

    fn exchange(&self, net: &str, server: &str, query: &[u8], ms: u32, read: Read) -> Result<Answer, String> {
        self.converse(net, server, query, ms, read).map_err(|e| {
            // Our own clock has done that.
            if e.is(abi::error::EHUNGUP) { "nobody answers".into() } else { String::from(e) }
        })
    }

    fn random(&self) -> u16 {
        let mut bytes = [0; 2];
        let got = File::open("#c/random", OREAD).and_then(|random| fd::readn(random.fd(), &mut bytes));
        // Without chance there is still the port, which is the kernel's choice.
        if got.is_ok() { u16::from_le_bytes(bytes) } else { proc::nsec() as u16 }
    }

    fn now(&self) -> i64 {
        proc::seconds()
    }
}

impl ByFiles {
    fn converse(&self, net: &str, server: &str, query: &[u8], ms: u32, read: Read) -> Result<Answer> {
        // A server is an address, perhaps with a port: nobody is to be asked what it means.
        let (host, port) = server.split_once('!').unwrap_or((server, "53"));
        // Without `cs`, which asks us.
        let begun = net::begin(&format!("{}/{net}/clone", self.dir))?;
        let answered = Arc::new(AtomicI32::new(0));
        let (theirs, ctl) = (answered.clone(), begun.ctl.fd());
        // A process with descriptors of its own has the clock, and hangs up when time is over.
        proc::spawn(Rfork::FDG | Rfork::NOWAIT, move || {
            if !proc::tsemacquire(&theirs, ms).unwrap_or(true) {
                fd::write_all(ctl, b"hangup")?;
            }
            Ok(())
        })?;
        let ask = |conn| if net == "tcp" { stream(&conn, query, read) } else { datagrams(&conn, query, read) };
        let reply = begun.connect(&format!("{host}!{port}")).and_then(ask);
        let _ = proc::semrelease(&answered, 1);
        reply
    }
}

/// Sends a query, and reads what comes until it is a reply.
fn datagrams(conn: &net::Conn, query: &[u8], read: Read) -> Result<Answer> {
    conn.data.write_all(query)?;
    let mut bytes = vec![0; DATAGRAM];
    loop {
        let n = conn.data.read(&mut bytes)?;
        if let Some(answer) = read(bytes.get(..n).unwrap_or_default()) {
            return Ok(answer);
        }
    }
}

/// Sends a query behind its length, and reads a reply behind its own.
fn stream(conn: &net::Conn, query: &[u8], read: Read) -> Result<Answer> {
    let mut message = Vec::from((query.len() as u16).to_be_bytes());
    message.extend_from_slice(query);
    conn.data.write_all(&message)?;
    let mut len = [0; 2];
    fd::readn(conn.data.fd(), &mut len)?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(len)).min(MESSAGE)];
    let n = fd::readn(conn.data.fd(), &mut bytes)?;
    bytes.get(..n).and_then(read).ok_or_else(|| "no answer to the question".into())
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-r] [-f ndbfile] [-s srvname] [-x netdir] [-N server]")
}
