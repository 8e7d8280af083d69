//! netstat [-in] [-p proto] [netdir]: list the conversations of the network, or its interfaces. See netstat(8).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use cmd::ndb::Ndb;
use lib9::{Args, Result, error, fd, file, print, usage};

/// Those that are listed, in this order; what is not there is left out.
const PROTOS: [&str; 4] = ["tcp", "udp", "icmp", "icmpv6"];

pub fn main(args: &Args) -> Result<()> {
    let synopsis = || -> ! { usage(args, "[-in] [-p proto] [netdir]") };
    let (mut interfaces, mut numbers, mut proto) = (false, false, None);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'i' => interfaces = true,
            'n' => numbers = true,
            'p' => proto = Some(flags.value().unwrap_or_else(|_| synopsis())),
            _ => synopsis(),
        }
    }
    let dir = match flags.rest() {
        [] => "/net",
        [dir] => dir.as_str(),
        _ => synopsis(),
    };
    if interfaces {
        return list_interfaces(dir);
    }
    let ndb = if numbers { Ndb::default() } else { Ndb::open("/lib/ndb/local") };
    match proto {
        Some(proto) => list(dir, proto, &ndb),
        None => {
            let there = |proto: &&&str| fd::stat(&format!("{dir}/{proto}")).is_ok();
            PROTOS.iter().filter(there).try_for_each(|proto| list(dir, proto, &ndb))
        }
    }
}

/// The numbers of the directories in a directory, in their order.
fn directories(dir: &str) -> Result<Vec<u32>> {
    let mut numbers = Vec::new();
    fd::each_in(dir, |entry| {
        numbers.extend(entry.name.parse::<u32>().ok());
        Ok(true)
    })
    .map_err(|e| error!("can't open {dir}: {e}"))?;
    numbers.sort_unstable();
    Ok(numbers)
}

/// A line for each conversation of a protocol.
fn list(dir: &str, proto: &str, ndb: &Ndb) -> Result<()> {
    for number in directories(&format!("{dir}/{proto}"))? {
        let text = |name: &str| file::read_string(&format!("{dir}/{proto}/{number}/{name}"));
        // One that ends while one looks is not there.
        let (Ok(status), Ok(local), Ok(remote)) = (text("status"), text("local"), text("remote")) else { continue };
        let owner = fd::stat(&format!("{dir}/{proto}/{number}/ctl")).map(|d| d.uid).unwrap_or_default();
        let state = status.split_ascii_whitespace().next().unwrap_or("-");
        let [(_, here), (addr, there)] = [end(&local), end(&remote)].map(|(a, p)| (a, port(ndb, proto, p)));
        print!("{proto:<6} {number:<4} {owner:<10} {state:<12} {here:<10} {there:<10} {addr}\n");
    }
    Ok(())
}

/// The two parts of `ADDRESS!PORT`.
fn end(text: &str) -> (&str, &str) {
    text.trim_end().rsplit_once('!').unwrap_or((text.trim_end(), "0"))
}

/// The name of a port, if it has one.
fn port(ndb: &Ndb, proto: &str, port: &str) -> String {
    let named = ndb.having("port", port).flatten().find(|(name, _)| name == proto);
    named.map_or_else(|| port.to_string(), |(_, service)| service.clone())
}

/// A line for each address of each interface.
fn list_interfaces(dir: &str) -> Result<()> {
    for number in directories(&format!("{dir}/ipifc"))? {
        let Ok(status) = file::read_string(&format!("{dir}/ipifc/{number}/status")) else { continue };
        let mut lines = status.lines();
        let words: Vec<&str> = lines.next().unwrap_or_default().split_ascii_whitespace().collect();
        let of = |name: &str| words.iter().skip_while(|word| **word != name).nth(1).copied().unwrap_or("-");
        let counts = ["pktin", "pktout", "errin", "errout"].map(of);
        let [came, went, bad, lost] = counts;
        let head = format!("{:<16} {:>6}", of("device"), of("maxtu"));
        let mut addresses = lines.filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            Some((words.next()?, words.next()?))
        });
        let mut rest = addresses.next().or(Some(("-", "-")));
        while let Some((addr, mask)) = rest {
            print!("{head} {addr:<26} {mask:<5} {came:>8} {went:>8} {bad:>6} {lost:>6}\n");
            rest = addresses.next();
        }
    }
    Ok(())
}
