//! Servers of names that routers of IPv6 advertise: a process stays that asks for them, as long as the interface
//! listens to routers, and tells of them in `/net/ndb`.

use alloc::format;
use alloc::vec;

use cmd::dhcp::{Told, others};
use cmd::routers::{Advertised, Servers, advertised, solicitation};
use lib9::{Error, File, Result, Rfork, file, out, proc};

use super::{FRAME, Job, card, interface, listening, near_address, tell};

/// How often it is asked, and how many seconds between.
const TIMES: u32 = 3;
const AGAIN: u32 = 4;
/// The group of cards to which routers speak: that of all machines, ff02::1.
const GROUP: &str = "333300000001";

/// Stays as a process of its own and keeps `/net/ndb` up to what routers say. Who calls goes on.
///
/// # Errors
/// There is no process for it.
pub(super) fn begin(job: &Job) -> Result<()> {
    out::flush()?;
    match proc::rfork(Rfork::PROC | Rfork::FDG | Rfork::NOTEG | Rfork::NOWAIT)? {
        lib9::Fork::Parent(_) => Ok(()),
        lib9::Fork::Child => keep(job),
    }
}

fn keep(job: &Job) -> Result<()> {
    let (mac, mut servers) = (card(job)?, Servers::default());
    while listens(job)? {
        let question = solicitation(mac, near_address(mac));
        if let Ok(said) = listening(job, Some(GROUP), |heard, data| ask(&question, heard, data)) {
            servers.hear(&said, proc::seconds());
        }
        write(job, &mut servers)?;
        proc::sleep(servers.wait(proc::seconds()) * 1000)?;
    }
    write(job, &mut Servers::default())
}

/// Whether the interface of the card listens to routers.
fn listens(job: &Job) -> Result<bool> {
    let Some(ctl) = interface(job)? else { return Ok(false) };
    let status = file::read_string(&ctl.replace("/ctl", "/status")).unwrap_or_default();
    Ok(status.contains(" recvra 1 "))
}

/// Asks, and waits for what a router says.
fn ask(question: &[u8], heard: &File, data: &File) -> Result<Advertised> {
    let mut frame = vec![0; FRAME];
    for second in 0..TIMES * AGAIN {
        if second % AGAIN == 0 {
            data.write_all(question)?;
        }
        loop {
            let n = heard.read(&mut frame)?;
            if n == 1 {
                break;
            }
            if let Some(said) = advertised(frame.get(..n).unwrap_or(&[])) {
                return Ok(said);
            }
        }
    }
    Err(Error::from("nobody answers"))
}

/// Writes what is known, if that is something else than is written.
fn write(job: &Job, servers: &mut Servers) -> Result<()> {
    servers.forget(proc::seconds());
    let own = servers.ndb(&job.device);
    let told = file::read_string(&format!("{}/ndb", job.net))?;
    let all = |others: &str| if own.is_empty() { format!("{others}\n") } else { format!("{others}{own}") };
    if all(&others(&told, &job.device, Told::ByRouter)).trim_end() == told.trim_end() {
        return Ok(());
    }
    tell(job, Told::ByRouter, all)
}
