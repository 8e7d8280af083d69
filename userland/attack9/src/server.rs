//! A server that lies, at the other end of a pipe, and who uses it.

use alloc::format;
use alloc::vec;

use lib9::{fd, proc};
use ninep::testserver::hostile::{Act, Hostile, Random};
use ninep::{Dialect, Framer};

use crate::client;
use crate::watch::{self, Before, Said};

/// How long one server is used, in ms.
const USE_MAX: u64 = 4000;
/// The largest request that it reads.
const MSIZE: u32 = 1 << 21;

/// Attacks for so many seconds.
pub fn run(dialect: Dialect, seed: u64, seconds: u64) -> Said {
    let before = Before::now()?;
    let mut random = Random(seed);
    let until = watch::now_ms() + seconds * 1000;
    let mut servers = 0;
    while watch::now_ms() < until {
        let seed = random.number();
        servers += 1;
        watch::start(|| {
            let Ok([ours, theirs]) = fd::pipe() else { return };
            match proc::rfork(lib9::Rfork::PROC | lib9::Rfork::FDG | lib9::Rfork::NOWAIT) {
                Ok(proc::Fork::Child) => {
                    let _ = fd::close(ours);
                    serve(theirs, dialect, seed);
                }
                Ok(proc::Fork::Parent(_)) => {
                    let _ = fd::close(theirs);
                    client::users(ours, dialect, seed);
                }
                Err(_) => {}
            }
        });
        watch::finish(&before, USE_MAX)?;
    }
    before.clean()?;
    Ok(format!("{servers} servers"))
}

/// Serves until the client has gone, or it is enough.
fn serve(fd: i32, dialect: Dialect, seed: u64) {
    let mut hostile = Hostile::new(dialect, seed);
    let mut framer = Framer::new(MSIZE);
    let mut buffer = vec![0; 8192];
    loop {
        let Ok(n @ 1..) = fd::read(fd, &mut buffer) else { return };
        framer.push(buffer.get(..n).unwrap_or_default());
        while let Ok(Some(request)) = framer.next_message() {
            for act in hostile.answer(request) {
                match act {
                    Act::Send(bytes) if fd::write_all(fd, &bytes).is_err() => return,
                    Act::Send(_) => {}
                    Act::Wait(ms) => drop(proc::sleep(ms)),
                    Act::Close => return,
                }
            }
        }
    }
}
