//! ping [-n count] [-i ms] [-s size] host: ask a machine for echoes, and tell how long they take.
//!
//! A process of its own asks, since who reads waits; when it has waited long enough for the last one it hangs up.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::sync::atomic::{AtomicI64, Ordering::Relaxed};

use cmd::ping::{Times, reply, request};
use lib9::{Args, Result, Rfork, error, exits, fd, net, out, print, proc, usage};

/// Milliseconds that the last echo may take.
const LAST: u32 = 2000;
/// Most echoes, and bytes in each.
const COUNT_MOST: u16 = 30000;
const SIZE_MOST: usize = 1400;

pub fn main(args: &Args) -> Result<()> {
    let synopsis = || -> ! { usage(args, "[-n count] [-i ms] [-s size] host") };
    let (mut count, mut pause, mut size) = (4u16, 1000u32, 56usize);
    let mut flags = args.flags();
    while let Some(flag) = flags.next() {
        let mut value = || flags.value().unwrap_or_else(|_| synopsis());
        match flag {
            'n' => count = number(value()).filter(|n| (1..=COUNT_MOST).contains(n)).unwrap_or_else(|| synopsis()),
            'i' => pause = number(value()).unwrap_or_else(|| synopsis()),
            's' => size = number(value()).filter(|n| *n <= SIZE_MOST).unwrap_or_else(|| synopsis()),
            _ => synopsis(),
        }
    }
    let [host] = flags.rest() else { synopsis() };
    let address = address(host)?;
    let v6 = address.is_ipv6();
    let proto = if v6 { "icmpv6" } else { "icmp" };
    let net::Conn { ctl, data, .. } =
        net::dial(&format!("{proto}!{address}!1")).map_err(|e| error!("{host}: {e}"))?;
    let sent: Arc<Vec<AtomicI64>> = Arc::new((0..count).map(|_| AtomicI64::new(0)).collect());
    let (asks, to, ends) = (sent.clone(), data.fd(), ctl.fd());
    let asker = proc::spawn(Rfork::empty(), move || {
        for (seq, at) in (0u16..).zip(asks.iter()) {
            if seq != 0 {
                proc::sleep(pause)?;
            }
            at.store(proc::nsec(), Relaxed);
            fd::write_all(to, &request(v6, seq, size))?;
        }
        proc::sleep(LAST)?;
        fd::write_all(ends, b"hangup")
    })?;
    let mut times = Times::default();
    let mut bytes = vec![0; 2 * SIZE_MOST];
    let mut failed = None;
    while times.count < u64::from(count) {
        let n = match data.read(&mut bytes) {
            Ok(n) => n,
            // The one that asks has waited long enough.
            Err(e) if e.is(abi::error::EHUNGUP) => break,
            Err(e) => {
                failed = Some(e);
                break;
            }
        };
        let now = proc::nsec();
        let Some((seq, size)) = reply(v6, bytes.get(..n).unwrap_or(&[])) else { continue };
        // Each counts once.
        let begun = sent.get(usize::from(seq)).map_or(0, |at| at.swap(0, Relaxed));
        if begun != 0 {
            let us = u64::try_from(now - begun).unwrap_or(0) / 1000;
            times.add(us);
            print!("{seq}: {size} bytes from {address} {us} µs\n");
            out::flush()?;
        }
    }
    let _ = proc::postnote(asker, "kill");
    let _ = proc::await_();
    let (least, mean, most) = times.all();
    print!("{} of {count} came back, least {least} mean {mean} most {most} µs\n", times.count);
    out::flush()?;
    match failed {
        Some(e) => Err(error!("{host}: {e}")),
        None if times.count == 0 => exits("nobody answers"),
        None => Ok(()),
    }
}

fn number<T: core::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// The address of a host: as it is written, or as cs(8) says.
fn address(host: &str) -> Result<IpAddr> {
    if let Ok(address) = host.parse() {
        return Ok(address);
    }
    let ways = net::translate(&net::make_addr(host, "icmp", "1"))?;
    let address = ways.iter().find_map(|(_, to)| to.split('!').next()?.parse().ok());
    address.ok_or_else(|| error!("{host}: cs has no address for it"))
}
