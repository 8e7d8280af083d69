//! ipconfig [-6dGnpPruX] [-c ctl] [-g gateway] [-h sys] [-s dnsserver] [-x net] [ether [device]]
//! [add|del|remove|unbind] [address [mask]]: give an interface its addresses. With add6 or ra6 and more words: say that
//! to it.
//!
//! Without an address it is asked for by DHCP, in frames of the card (see [`cmd::dhcp`]); a process stays that asks
//! again before the lease ends. Another stays for what routers say, where they are listened to (`ra6 recvra 1`). -n
//! only tells what a server offers; -P does not tell other programs by `/net/ndb`. One of IPv6 is tried before it is
//! taken: somebody may have it.

mod routers;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cmd::dhcp::{Became, Client, Heard, Lease, Pace, Told, Turn, leads_out, others, ways_out};
use lib9::{Args, Error, File, Result, Rfork, env, error, fd, file, out, print, proc, usage};

/// Seconds until it is asked again after nobody has answered.
const AGAIN: u32 = 16;
/// Milliseconds in which somebody answers who has an address of IPv6.
const TRIED_MS: u32 = 1500;
/// Bytes of the longest frame.
const FRAME: usize = 64 << 10;

/// What is to be done.
struct Job {
    net: String,
    device: String,
    sys: Option<String>,
    gateway: Option<Ipv4Addr>,
    tells: bool,
    /// Servers of names that are told besides.
    servers: Vec<IpAddr>,
    /// A process stays that asks again, also when nobody has answered yet.
    keeps: bool,
    insists: bool,
    /// An address of IPv6 is tried before it is taken.
    tries: bool,
}

impl Job {
    /// What other programs are told of a lease.
    fn record(&self, lease: &Lease) -> String {
        let mut record = lease.ndb(&self.device, self.sys.as_deref());
        self.servers.iter().for_each(|server| record += &format!("\tdns={server}\n"));
        record
    }
}

pub fn main(args: &Args) -> Result<()> {
    let synopsis = || -> ! {
        usage(
            args,
            "[-6dGnpPruX] [-c ctl] [-g gateway] [-h sys] [-s dnsserver] [-x net] \
             [ether [device]] [add|del|remove|unbind] [address [mask]]\n\t\
             ipconfig [-x net] [ether [device]] add6|ra6 word ...",
        )
    };
    let (mut job, mut only_ask, mut near, mut controls) = (
        Job {
            net: String::from("/net"),
            device: String::new(),
            sys: env::get("sysname"),
            gateway: None,
            tells: true,
            servers: Vec::new(),
            keeps: true,
            insists: false,
            tries: true,
        },
        false,
        false,
        Vec::new(),
    );
    let mut flags = args.flags();
    while let Some(flag) = flags.next() {
        match flag {
            '6' => near = true,
            'n' => only_ask = true,
            // So it is always: asked of anybody's server where no address is said, and written to /net/ndb.
            'd' | 'G' | 'p' => {}
            'P' => job.tells = false,
            'r' => job.insists = true,
            'u' => job.tries = false,
            'X' => job.keeps = false,
            'c' => controls.push(flags.value()?.to_string()),
            's' => job.servers.push(flags.value()?.parse().map_err(|_| error!("-s: no address"))?),
            'g' => job.gateway = Some(flags.value()?.parse().map_err(|_| error!("-g: no address of IPv4"))?),
            'h' => job.sys = Some(flags.value()?.to_string()),
            'x' => job.net = flags.value()?.to_string(),
            _ => synopsis(),
        }
    }
    let mut words = flags.rest().iter().map(String::as_str).peekable();
    if words.next_if_eq(&"ether").is_some() {
        job.device = words.next_if(|word| word.starts_with(['/', '#'])).unwrap_or("").to_string();
    }
    if job.device.is_empty() {
        job.device = format!("{}/ether0", job.net);
    }
    for control in controls {
        let name = format!("{}/clone", job.device);
        file::control(&name, &control).map_err(|e| error!("{control}: {e}"))?;
    }
    if words.next_if_eq(&"unbind").is_some() {
        if words.next().is_some() {
            synopsis();
        }
        let ctl = interface(&job)?.ok_or_else(|| error!("{}: no interface has it", job.device))?;
        return file::control(&ctl, "unbind").map_err(|e| error!("unbind: {e}"));
    }
    if let Some(verb) = words.next_if(|word| matches!(*word, "add6" | "ra6")) {
        let words: Vec<&str> = words.collect();
        if words.is_empty() || near || only_ask {
            synopsis();
        }
        change(&job, &format!("{verb} {}", words.join(" ")))?;
        let listens = verb == "ra6" && words.windows(2).any(|pair| pair == ["recvra", "1"]);
        return if listens && job.tells && job.keeps { routers::begin(&job) } else { Ok(()) };
    }
    let remove = words.next_if(|word| matches!(*word, "remove" | "del")).is_some();
    if !remove {
        words.next_if_eq(&"add");
    }
    let address = words.next().map(|word| word.parse::<IpAddr>().map_err(|_| error!("{word}: no address")));
    let mask = words.next().map(String::from);
    if words.next().is_some() || only_ask && (near || address.is_some()) || near && address.is_some() {
        synopsis();
    }
    let address = if near { Some(IpAddr::V6(near_address(card(&job)?))) } else { address.transpose()? };
    match address {
        None if remove => Err("remove: which address?".into()),
        None => ask(&job, only_ask),
        Some(_) if !remove && mask.as_deref().is_some_and(|m| matches!(m, "0.0.0.0" | "/0" | "::" | "0")) => {
            Err("a mask of nothing: everything would be on this network".into())
        }
        Some(address) => {
            let usual = if address.is_ipv4() { "255.255.255.0" } else { "/64" };
            let mask = mask.unwrap_or_else(|| usual.to_string());
            if remove {
                return change(&job, &format!("remove {address} {mask}"));
            }
            if let (IpAddr::V6(address), true) = (address, job.tries) {
                attempt(&job, address, &mask)?;
            } else {
                change(&job, &format!("add {address} {mask}"))?;
            }
            job.gateway.map_or(Ok(()), |gateway| route(&job, gateway))
        }
    }
}

/// Asks for an address, and takes it.
fn ask(job: &Job, only_ask: bool) -> Result<()> {
    let mac = card(job)?;
    let mut client = Client::new(mac, random()?, job.sys.as_deref());
    let answered = exchange(job, &mut client, None);
    if answered.is_err() && (only_ask || !job.insists) {
        return answered;
    }
    match client.lease().filter(|_| answered.is_ok()) {
        Some(lease) if only_ask => {
            print!("{}", job.record(lease));
            return Ok(());
        }
        Some(lease) => {
            take(job, lease)?;
            if lease.renew.is_none() || !job.keeps {
                return Ok(());
            }
        }
        None => {}
    }
    out::flush()?;
    // Who called goes on; what is left to do is nobody's child.
    let flags = Rfork::PROC | Rfork::FDG | Rfork::NOTEG | Rfork::NOWAIT;
    match proc::rfork(flags)? {
        lib9::Fork::Parent(_) => Ok(()),
        lib9::Fork::Child => keep(job, client),
    }
}

/// The address of the card.
fn card(job: &Job) -> Result<[u8; 6]> {
    let mac = file::read_string(&format!("{}/addr", job.device))?;
    parse_mac(mac.trim()).ok_or_else(|| error!("{}: no address of a card", job.device))
}

/// That of IPv6 which the card has on its own network.
fn near_address([a, b, c, d, e, f]: [u8; 6]) -> Ipv6Addr {
    let word = |high, low| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0xfe80, 0, 0, 0, word(a ^ 2, b), word(c, 0xff), word(0xfe, d), word(e, f))
}

/// Has the machine take an address of IPv6, if nobody says meanwhile that he has it.
fn attempt(job: &Job, address: Ipv6Addr, mask: &str) -> Result<()> {
    change(job, &format!("try {address} {mask}"))?;
    // A note ends the waiting, and the trying.
    let waited = proc::sleep(TRIED_MS);
    let arp = file::read_string(&format!("{}/arp", job.net))?;
    let shown = format!("{address}");
    let is_had = arp.lines().any(|line| line.split_ascii_whitespace().nth(2) == Some(shown.as_str()));
    if is_had || waited.is_err() {
        change(job, &format!("remove {address} {mask}"))?;
        waited?;
        return Err(error!("{address}: somebody has it"));
    }
    change(job, &format!("add {address} {mask}"))
}

/// Gives back what a lease has given, as far as it is still there: nobody may use it any more.
fn lose(job: &Job, lease: &Lease) -> Result<()> {
    // Somebody may have taken it away.
    let _ = change(job, &add(lease).replacen("add", "remove", 1));
    if let Some(gateway) = job.gateway.or(lease.router) {
        let name = format!("{}/iproute", job.net);
        let routes = file::read_string(&name)?;
        if routes.lines().any(|line| leads_out(line, gateway)) {
            file::control(&name, "remove 0.0.0.0 0.0.0.0")?;
            // What another card has heard of leads out now, if it still does.
            if let Some(gateway) = ways_out(&told_of_others(job)?).first() {
                let _ = route(job, *gateway);
            }
        }
    }
    if job.tells {
        tell(job, Told::ByServer, |others| format!("{others}\n"))?;
    }
    Ok(())
}

/// Takes what a lease gives.
fn take(job: &Job, lease: &Lease) -> Result<()> {
    change(job, &add(lease))?;
    let told = told_of_others(job)?;
    let routes = file::read_string(&format!("{}/iproute", job.net))?;
    // The card that had a way out first keeps it, unless it is said.
    let is_led = || ways_out(&told).iter().any(|via| routes.lines().any(|line| leads_out(line, *via)));
    match (job.gateway, lease.router) {
        (Some(gateway), _) => route(job, gateway)?,
        (None, Some(gateway)) if !is_led() => route(job, gateway)?,
        _ => {}
    }
    if job.tells {
        let own = job.record(lease);
        tell(job, Told::ByServer, |others| format!("{others}{own}"))?;
    }
    Ok(())
}

/// What `/net/ndb` says of other cards.
fn told_of_others(job: &Job) -> Result<String> {
    Ok(others(&file::read_string(&format!("{}/ndb", job.net))?, &job.device, Told::ByServer))
}

/// Writes `/net/ndb` anew, of what it says of other cards, and by others. Who has written it meanwhile loses nothing
/// by it: all begins anew then, from what he has written.
fn tell(job: &Job, by: Told, all: impl Fn(&str) -> String) -> Result<()> {
    loop {
        let ndb = File::open(&format!("{}/ndb", job.net), abi::ORDWR)?;
        let told = String::from_utf8(ndb.read_all()?).map_err(|_| error!("/net/ndb is no text"))?;
        match ndb.pwrite(all(&others(&told, &job.device, by)).as_bytes(), 0).map(drop) {
            Err(e) if e.is(abi::error::EINUSE) => {}
            done => return done,
        }
    }
}

fn add(lease: &Lease) -> String {
    let mask = u32::MAX.checked_shl(32 - u32::from(lease.bits)).unwrap_or(0);
    format!("add {} {}", lease.address, Ipv4Addr::from(mask))
}

/// Asks again before the lease ends, for ever.
fn keep(job: &Job, mut client: Client) -> Result<()> {
    let mut until = None;
    loop {
        let lease = client.lease().cloned();
        let now = proc::seconds();
        match &lease {
            Some(Lease { seconds: None, .. }) => return Ok(()),
            Some(lease) => {
                let end = *until.get_or_insert(now + i64::from(lease.seconds.unwrap_or(0)));
                // Half of what is left, as long as nobody answers.
                let wait = i64::from(lease.renew.unwrap_or(0)).min((end - now) / 2).max(1);
                proc::sleep(u32::try_from(wait * 1000).unwrap_or(u32::MAX))?;
                let answered = exchange(job, &mut client, Some(end)).is_ok();
                match client.became(lease, answered, proc::seconds() >= end) {
                    Became::Same => {}
                    Became::Longer => until = None,
                    Became::Other => {
                        until = None;
                        lose(job, lease)?;
                        take(job, client.lease().ok_or("no lease")?)?;
                    }
                    Became::Nothing => {
                        lose(job, lease)?;
                        client.begin(random()?);
                    }
                }
            }
            None => {
                until = None;
                if exchange(job, &mut client, None).is_ok()
                    && let Some(lease) = client.lease()
                {
                    take(job, lease)?;
                } else {
                    proc::sleep(AGAIN * 1000)?;
                }
            }
        }
    }
}

/// Asks until there is a lease, or until the end of the one that there is.
///
/// # Errors
/// When nobody answers, or the one that there is is refused.
fn exchange(job: &Job, client: &mut Client, end: Option<i64>) -> Result<()> {
    listening(job, None, |heard, data| answer(client, heard, data, end))
}

/// Does something while frames of the card are heard, those for a group of cards as well, a read each, and seconds,
/// each a byte. What is written to the other file is sent.
///
/// # Errors
/// There is no such card; what becomes of it.
fn listening<T>(
    job: &Job,
    group: Option<&str>,
    does: impl FnOnce(&File, &File) -> Result<T>,
) -> Result<T> {
    let name = format!("{}/clone", job.device);
    let ctl = File::open(&name, abi::ORDWR).map_err(|e| error!("can't open {name}: {e}"))?;
    let mut number = [0; 32];
    let n = ctl.read(&mut number)?;
    let number = core::str::from_utf8(number.get(..n).unwrap_or(&[])).unwrap_or("").trim();
    let name = format!("{}/{number}/data", job.device);
    let data = File::open(&name, abi::ORDWR).map_err(|e| error!("can't open {name}: {e}"))?;
    // Of all, as another may have those of IP.
    ctl.write_all(b"connect -1")?;
    if let Some(group) = group {
        ctl.write_all(format!("addmulti {group}").as_bytes())?;
    }
    let [heard, told] = fd::pipe()?.map(File::from_fd);
    let (from, to) = (data.fd(), told.fd());
    // A frame is a write into the pipe, and so is a second: a byte.
    let reader = proc::spawn(Rfork::empty(), move || {
        let mut frame = vec![0; FRAME];
        loop {
            let n = fd::read(from, &mut frame)?;
            fd::write_all(to, frame.get(..n).unwrap_or(&[]))?;
        }
    })?;
    let clock = proc::spawn(Rfork::empty(), move || {
        loop {
            proc::sleep(1000)?;
            fd::write_all(to, &[0])?;
        }
    });
    let answered = match &clock {
        Ok(_) => does(&heard, &data),
        Err(e) => Err(error!("{e}")),
    };
    for pid in clock.into_iter().chain([reader]) {
        let _ = proc::postnote(pid, "kill");
        // They use memory of ours.
        let _ = proc::await_();
    }
    answered
}

/// Asks, and listens for frames and seconds.
fn answer(client: &mut Client, heard: &File, data: &File, end: Option<i64>) -> Result<()> {
    let mut frame = vec![0; FRAME];
    let (mut seconds, mut pace) = (0u32, Pace::default());
    loop {
        if end.is_some_and(|end| proc::seconds() >= end) {
            return Err(Error::from("it is over"));
        }
        match pace.turn(seconds) {
            Turn::Ask => data.write_all(&client.message(u16::try_from(seconds).unwrap_or(u16::MAX)))?,
            Turn::Wait => {}
            Turn::GiveUp => return Err(Error::from("nobody answers")),
        }
        let n = heard.read(&mut frame)?;
        if n == 1 {
            seconds += 1;
            continue;
        }
        match client.hear(frame.get(..n).unwrap_or(&[])) {
            Heard::Nothing => {}
            Heard::Lease => return Ok(()),
            Heard::Offer => pace.offered(seconds),
            Heard::Refusal => {
                client.begin(random()?);
                if end.is_some() {
                    return Err(Error::from("it is refused"));
                }
                pace.refused(seconds);
            }
        }
    }
}

/// The `ctl` of the interface that has the card, if there is one.
fn interface(job: &Job) -> Result<Option<String>> {
    let ipifc = format!("{}/ipifc", job.net);
    for dir in fd::readdir(&ipifc)? {
        let status = file::read_string(&format!("{ipifc}/{}/status", dir.name)).unwrap_or_default();
        let mut words = status.split_ascii_whitespace();
        if (words.next(), words.next()) == (Some("device"), Some(job.device.as_str())) {
            return Ok(Some(format!("{ipifc}/{}/ctl", dir.name)));
        }
    }
    Ok(None)
}

/// Says something to the interface of the card, which is made if there is none.
fn change(job: &Job, message: &str) -> Result<()> {
    if let Some(name) = interface(job)? {
        return file::control(&name, message).map_err(|e| error!("{message}: {e}"));
    }
    let name = format!("{}/ipifc/clone", job.net);
    let ctl = File::open(&name, abi::ORDWR).map_err(|e| error!("can't open {name}: {e}"))?;
    let bind = format!("bind ether {}", job.device);
    for message in [bind.as_str(), message] {
        ctl.write_all(message.as_bytes()).map_err(|e| error!("{message}: {e}"))?;
    }
    Ok(())
}

/// Has everything that is elsewhere go by `gateway`.
fn route(job: &Job, gateway: Ipv4Addr) -> Result<()> {
    let message = format!("add 0.0.0.0 0.0.0.0 {gateway}");
    file::control(&format!("{}/iproute", job.net), &message).map_err(|e| error!("{message}: {e}"))
}

/// A number by chance.
fn random() -> Result<u32> {
    let mut bytes = [0; 4];
    fd::readn(File::open("/dev/random", abi::OREAD)?.fd(), &mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// Twelve digits.
fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let number = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 12)?;
    let [_, _, mac @ ..] = number.to_be_bytes();
    Some(mac)
}
