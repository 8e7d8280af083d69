//! ping [-6aflqr] [-n count] [-i ms] [-s size] [-w ms] host: ask a machine for echoes, and tell how long they take.
//!
//! -6 asks by IPv6, -a tells both addresses, -f does not pause, -l tells only what is lost, -q nothing, -r pauses at
//! random up to twice as long.
//!
//! A process of its own asks, since who reads waits; when it has waited long enough for the last one it hangs up.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::sync::atomic::{AtomicI64, Ordering::Relaxed};

use cmd::ping::{Times, reply, request};
use lib9::{Args, Result, Rfork, error, exits, fd, file, net, out, print, proc, usage};

/// Milliseconds that the last echo may take.
const LAST: u32 = 2000;
/// Most echoes, and bytes in each.
const COUNT_MOST: u16 = 30000;
const SIZE_MOST: usize = 1400;

pub fn main(args: &Args) -> Result<()> {
    let synopsis = || -> ! { usage(args, "[-6aflqr] [-n count] [-i ms] [-s size] [-w ms] host") };
    let (mut count, mut pause, mut size, mut last) = (4u16, 1000u32, 56usize, LAST);
    let (mut only_v6, mut both, mut only_lost, mut quiet, mut random) = (false, false, false, false, false);
    let mut flags = args.flags();
    while let Some(flag) = flags.next() {
        let mut value = || flags.value().unwrap_or_else(|_| synopsis());
        match flag {
            'n' => count = number(value()).filter(|n| (1..=COUNT_MOST).contains(n)).unwrap_or_else(|| synopsis()),
            'i' => pause = number(value()).unwrap_or_else(|| synopsis()),
            's' => size = number(value()).filter(|n| *n <= SIZE_MOST).unwrap_or_else(|| synopsis()),
            'w' => last = number(value()).unwrap_or_else(|| synopsis()),
            '6' => only_v6 = true,
            'a' => both = true,
            'f' => pause = 0,
            'l' => only_lost = true,
            'q' => quiet = true,
            'r' => random = true,
            _ => synopsis(),
        }
    }
    let [host] = flags.rest() else { synopsis() };
    let address = address(host, only_v6)?;
    let v6 = address.is_ipv6();
    let proto = if v6 { "icmpv6" } else { "icmp" };
    let net::Conn { ctl, data, dir, .. } =
        net::dial(&format!("{proto}!{address}!1")).map_err(|e| error!("{host}: {e}"))?;
    let sent: Arc<Vec<AtomicI64>> = Arc::new((0..count).map(|_| AtomicI64::new(0)).collect());
    let (asks, to, ends) = (sent.clone(), data.fd(), ctl.fd());
    let asker = proc::spawn(Rfork::empty(), move || {
        for (seq, at) in (0u16..).zip(asks.iter()) {
            if seq != 0 {
                let more = if random { proc::nsec().unsigned_abs() % (u64::from(pause) + 1) } else { 0 };
                proc::sleep(pause.saturating_add(more as u32))?;
            }
            at.store(proc::nsec(), Relaxed);
            fd::write_all(to, &request(v6, seq, size))?;
        }
        proc::sleep(last)?;
        fd::write_all(ends, b"hangup")
    })?;
    let here = if both { file::read_string(&format!("{dir}/local"))? } else { String::new() };
    let here = match here.split('!').next() {
        Some(here) if both => format!(" to {here}"),
        _ => here,
    };
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
            if !quiet && !only_lost {
                print!("{seq}: {size} bytes from {address}{here} {us} µs\n");
                out::flush()?;
            }
        }
    }
    let _ = proc::postnote(asker, "kill");
    let _ = proc::await_();
    if !quiet {
        for (seq, _) in sent.iter().enumerate().filter(|(_, at)| at.load(Relaxed) != 0) {
            print!("{seq}: lost\n");
        }
        let (least, mean, most) = times.all();
        print!("{} of {count} came back, least {least} mean {mean} most {most} µs\n", times.count);
        out::flush()?;
    }
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
fn address(host: &str, only_v6: bool) -> Result<IpAddr> {
    let fits = |address: &IpAddr| address.is_ipv6() || !only_v6;
    if let Ok(address) = host.parse() {
        return if fits(&address) { Ok(address) } else { Err(error!("{host}: no address of IPv6")) };
    }
    let ways = net::translate(&net::make_addr(host, "icmp", "1"))?;
    let address = ways.iter().find_map(|(_, to)| to.split('!').next()?.parse().ok().filter(fits));
    address.ok_or_else(|| error!("{host}: cs has no address for it"))
}
