//! telnet [-Cnr] address: a terminal at another machine. See con(1).
//!
//! A process of its own reads what is typed. Who echoes, and takes characters one by one, is the other side's choice
//! (`cmd::telnet`): then the console is raw, and ^\ hangs up.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::OWRITE;
use cmd::telnet::Telnet;
use lib9::{Args, File, Result, Rfork, env, error, fd, net, proc, usage};

/// What hangs up while the console is raw.
const QUIT: u8 = 0x1c;
/// How long after one note that hangs up there is another, in milliseconds.
const AGAIN_MS: u32 = 100;

/// Somebody has hung up.
static LEAVES: AtomicBool = AtomicBool::new(false);

pub fn main(args: &Args) -> Result<()> {
    let synopsis = "[-Cnr] address";
    let (mut cooked, mut stays, mut no_returns) = (false, false, false);
    let mut flags = args.flags();
    for letter in flags.by_ref() {
        match letter {
            'C' => cooked = true,
            'n' => stays = true,
            'r' => no_returns = true,
            _ => usage(args, synopsis),
        }
    }
    let [address] = flags.rest() else { usage(args, synopsis) };
    let conn = net::dial(&net::make_addr(address, "tcp", "telnet"));
    let conn = conn.map_err(|e| error!("can't dial {address}: {e}"))?;
    conn.keep_alive();
    let (data, us) = (conn.data.fd(), proc::getpid());
    // Before there is anybody who may hang up. A note between two reads ends neither: so there are more of them.
    proc::notify(Some(|note| match note {
        "hangup" | "alarm" => {
            LEAVES.store(true, Ordering::Release);
            proc::alarm(AGAIN_MS);
            proc::Noted::Continue
        }
        _ => proc::Noted::Default,
    }))?;
    let typist = proc::spawn(Rfork::empty(), move || {
        let ended = typed(data);
        if !stays || ended.as_ref().map_or(true, |quits| *quits) {
            let _ = proc::postnote(us, "hangup");
        }
        ended.map(drop)
    })?;
    let terminal = env::get("TERM").unwrap_or_else(|| String::from("dumb")).into_bytes();
    let telnet = Telnet::new(terminal, no_returns);
    let ended = converse(telnet, data, cooked);
    let _ = proc::postnote(typist, "kill");
    // It uses memory of ours.
    let _ = proc::await_();
    match ended {
        Err(e) if e.is(abi::error::EINTR) => Ok(()),
        ended => ended,
    }
}

/// Shows what comes, and answers what is asked, until there is no more.
fn converse(mut telnet: Telnet, data: i32, cooked: bool) -> Result<()> {
    // As long as it is open the console may be raw.
    let mut control: Option<File> = None;
    let mut bytes = vec![0; 16 << 10];
    let (mut shown, mut answer) = (Vec::new(), Vec::new());
    while !LEAVES.load(Ordering::Acquire) {
        let n = fd::read(data, &mut bytes)?;
        if n == 0 {
            break;
        }
        telnet.hear(bytes.get(..n).unwrap_or_default(), &mut shown, &mut answer);
        if !answer.is_empty() {
            fd::write_all(data, &answer)?;
        }
        if !shown.is_empty() {
            fd::write_all(1, &shown)?;
        }
        shown.clear();
        answer.clear();
        if telnet.echoed && !cooked && control.is_none() && fd::is_console(0) {
            let raw = File::open("/dev/consctl", OWRITE)?;
            raw.write_all(b"rawon")?;
            control = Some(raw);
        } else if !telnet.echoed {
            control = None;
        }
    }
    Ok(())
}

/// Sends what is typed until that ends, or somebody wants to hang up: then true.
fn typed(data: i32) -> Result<bool> {
    let mut bytes = vec![0; 4096];
    loop {
        let n = fd::read(0, &mut bytes)?;
        let typed = bytes.get(..n).unwrap_or_default();
        let quits = typed.contains(&QUIT) && fd::is_console(0);
        if n == 0 || quits {
            return Ok(quits);
        }
        fd::write_all(data, &Telnet::say(typed))?;
    }
}
