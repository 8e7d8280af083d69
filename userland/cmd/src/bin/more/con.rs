//! con address: what is typed goes to somebody of the network, and what comes is printed. See con(1).
//!
//! A process of its own reads what is typed. When it ends the other side may still say something.

use alloc::vec;

use lib9::{Args, Result, Rfork, error, fd, net, proc, usage};

pub fn main(args: &Args) -> Result<()> {
    let [address] = args.no_flags("address") else { usage(args, "address") };
    let conn = net::dial(&net::make_addr(address, "", "telnet")).map_err(|e| error!("can't dial {address}: {e}"))?;
    conn.keep_alive();
    let data = conn.data.fd();
    let typist = proc::spawn(Rfork::empty(), move || copy(0, data))?;
    let ended = copy(data, 1);
    let _ = proc::postnote(typist, "kill");
    // It uses memory of ours.
    let _ = proc::await_();
    ended
}

/// Copies until there is no more, as soon as it is there.
fn copy(from: i32, to: i32) -> Result<()> {
    let mut bytes = vec![0; 16 << 10];
    loop {
        match fd::read(from, &mut bytes)? {
            0 => return Ok(()),
            n => fd::write_all(to, bytes.get(..n).unwrap_or_default())?,
        }
    }
}
