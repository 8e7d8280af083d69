//! con [-Cnrv] address: what is typed goes to somebody of the network, and what comes is printed. See con(1).
//!
//! A process of its own reads what is typed. When it ends the other side may still say something.

use alloc::vec;

use lib9::{Args, Result, Rfork, eprintln, error, fd, net, proc, usage};

pub fn main(args: &Args) -> Result<()> {
    let synopsis = "[-Cnrv] address";
    let (mut tells, mut no_returns) = (false, false);
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            // Lines are edited here, and the end of what is typed does not hang up.
            'C' | 'n' => {}
            'r' => no_returns = true,
            'v' => tells = true,
            _ => usage(args, synopsis),
        }
    }
    let [address] = flags.rest() else { usage(args, synopsis) };
    let called = net::make_addr(address, "", "telnet");
    let conn = net::dial(&called).map_err(|e| error!("can't dial {address}: {e}"))?;
    if tells {
        eprintln!("connected to {called} on {}", conn.dir);
    }
    conn.keep_alive();
    let data = conn.data.fd();
    let typist = proc::spawn(Rfork::empty(), move || copy(0, data, false))?;
    let ended = copy(data, 1, no_returns);
    let _ = proc::postnote(typist, "kill");
    // It uses memory of ours.
    let _ = proc::await_();
    ended
}

/// Copies until there is no more, as soon as it is there; perhaps without the carriage returns that end lines.
fn copy(from: i32, to: i32, no_returns: bool) -> Result<()> {
    let mut bytes = vec![0; 16 << 10];
    // A carriage return that came last: what is behind it tells.
    let mut held = 0;
    loop {
        let n = fd::read(from, bytes.get_mut(held..).unwrap_or_default())?;
        if n == 0 {
            return if held == 0 { Ok(()) } else { fd::write_all(to, b"\r") };
        }
        let mut end = held + n;
        held = 0;
        if no_returns {
            let mut kept = 0;
            for at in 0..end {
                let ends_line = bytes[at] == b'\r' && bytes.get(at + 1).filter(|_| at + 1 < end) == Some(&b'\n');
                if !ends_line {
                    bytes[kept] = bytes[at];
                    kept += 1;
                }
            }
            end = kept;
            held = usize::from(end > 0 && bytes[end - 1] == b'\r');
        }
        let out = end - held;
        if out > 0 {
            fd::write_all(to, bytes.get(..out).unwrap_or_default())?;
        }
        bytes[0] = if held == 1 { b'\r' } else { bytes[0] };
    }
}
