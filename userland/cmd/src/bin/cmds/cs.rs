//! ndb/cs [-46n] [-f ndbfile] [-s srvname] [-x netdir]: says where the names of the network are. See cs(8).
//!
//! The files are [`cmd::cs`]'s. Its processes end when the last mount of it is gone.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use abi::{MAFTER, MBEFORE, ORDWR};
use cmd::asked::Asked;
use cmd::cs::Cs;
use cmd::ndb::Ndb;
use cmd::{dns, namespace};
use lib9::sys::Lock;
use lib9::{Args, File, Result, eprintln, fd, file, ns, proc, serve, usage};

/// The addresses that dns(8) is asked for, unless said.
pub const KINDS: &[&str] = &["ip", "ipv6"];

/// Whose turn it is to mount what is posted and to take it away.
static MOUNTING: Lock<()> = Lock::new(());

pub fn main(args: &Args) -> Result<()> {
    let (mut database, mut name, mut net) = ("/lib/ndb/local".to_string(), None, "/net".to_string());
    let (mut kinds, mut only_names) = (KINDS, false);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        let mut value = || flags.value().map(String::from).unwrap_or_else(|_| synopsis(args));
        match letter {
            '4' => kinds = &["ip"],
            '6' => kinds = &["ipv6"],
            'n' => only_names = true,
            'f' => database = value(),
            's' => name = Some(value()),
            'x' => net = value(),
            _ => synopsis(args),
        }
    }
    if !flags.rest().is_empty() {
        synopsis(args);
    }
    if only_names { call_itself(&net, &database) } else { start(net, &database, name.as_deref(), kinds) }
}

/// Gives the machine the name that the database has for it, by its card or an address of its own.
fn call_itself(net: &str, database: &str) -> Result<()> {
    let ndb = Ndb::open(database);
    let card = file::read_string(&format!("{net}/ether0/addr")).unwrap_or_default();
    let table = file::read_string(&format!("{net}/ipselftab")).unwrap_or_default();
    // Every machine has some of its own that are no other's business.
    let is_told = |addr: &&str| addr.parse::<core::net::IpAddr>().is_ok_and(|addr| !addr.is_loopback());
    let ours = table.lines().filter_map(|line| line.split_ascii_whitespace().next()).filter(is_told);
    let ours = ours.map(|addr| ("ip", addr));
    let mut names = [("ether", card.trim())].into_iter().chain(ours).filter(|(_, value)| !value.is_empty());
    let name = names.find_map(|(attr, value)| ndb.values(attr, value, "sys").next().map(String::from));
    match name {
        Some(name) => file::control("#c/sysname", &name),
        None => Err("the database has no name for this machine".into()),
    }
}

/// Starts the server, and mounts it on `net`.
///
/// # Errors
/// When there is no process, or it cannot be mounted.
pub fn start(
    net: String,
    database: &str,
    name: Option<&str>,
    kinds: &'static [&'static str],
) -> Result<()> {
    let mountpoint = net.clone();
    let ours = serve::start(|end| {
        // Nobody shall wait for us to close what we do not use.
        for unused in [0, 1] {
            let _ = fd::close(unused);
        }
        let text = |name: &str| file::read_string(name).unwrap_or_default();
        let who = Cs { net, ndb: Ndb::open(database), sysname: text("#c/sysname"), ask, kinds };
        let cs = Asked { name: "cs", owner: text("#c/user").into_bytes(), who };
        if let Err(e) = serve::workers::serve(cs, end, end) {
            eprintln!("cs: {e}");
            proc::exits(e.text());
        }
    })?;
    if let Some(name) = name {
        serve::post(name, ours, 0o600)?;
    }
    mount(ours, &mountpoint, "cs")
}

/// Mounts a server of one file on the directory of a network: behind all else there, so that nobody asks it for other
/// names; only where there is such a file already, of one before, in front of it.
pub fn mount(server: i32, net: &str, file: &str) -> Result<()> {
    let is_there = fd::stat(&format!("{net}/{file}")).is_ok();
    namespace::mount(server, net, if is_there { MBEFORE } else { MAFTER })
}

/// Asks dns(8) in the directory of the network for the addresses of a name.
fn ask(net: &str, host: &str, kinds: &[&str]) -> core::result::Result<Vec<String>, String> {
    let nobody = |_| String::from("dns: name does not exist");
    let dns = open(net).map_err(nobody)?;
    let mut found = Vec::new();
    let mut why = None;
    for kind in kinds {
        if let Err(e) = dns.pwrite(format!("{host} {kind}").as_bytes(), 0) {
            why.get_or_insert_with(|| e.to_string());
            continue;
        }
        let _ = dns.seek(0, 0);
        let mut line = [0; 512];
        while let Ok(n @ 1..) = dns.read(&mut line) {
            // NAME KIND ADDRESS
            let text = core::str::from_utf8(line.get(..n).unwrap_or_default()).unwrap_or_default();
            found.extend(text.split_whitespace().nth(2).map(String::from));
        }
    }
    match why {
        Some(why) if found.is_empty() => Err(why),
        _ if found.is_empty() => Err("dns: name does not exist".into()),
        _ => Ok(found),
    }
}

/// The file of dns(8). Our name space is a copy of the one that we were started in, where there was none yet, perhaps;
/// then it is the one that is posted now, which is mounted no longer than it takes to open it, so that it is not we who
/// keep it.
fn open(net: &str) -> Result<File> {
    let (name, posted) = (format!("{net}/dns"), format!("#s/{}", dns::posted_as(net)));
    let open = || File::open(&name, ORDWR);
    open().or_else(|_| {
        let _alone = MOUNTING.lock();
        namespace::mount(fd::open(&posted, ORDWR)?, net, MAFTER)?;
        let opened = open();
        ns::unmount(Some(&posted), net)?;
        opened
    })
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-46n] [-f ndbfile] [-s srvname] [-x netdir]")
}
