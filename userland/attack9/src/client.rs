//! Uses a mount whose server lies: everything that programs do with files, in any order.
//!
//! The users are children; when their time is over they are killed, wherever they wait, and that has to work.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use lib9::sys::probe;
use lib9::{Dir, fd, ns, proc};
use ninep::Dialect;
use ninep::testserver::hostile::Random;

use crate::watch::{self, Before, FOLDER, Said};

/// Children at a time.
const USERS: u64 = 3;
/// How long they may take, in ms.
const USE_MAX: u64 = 4000;
/// Where they mount it.
const WHERE: &str = "/n/other";

/// Attacks for so many seconds, through `file`.
pub fn run(file: &str, dialect: Dialect, seed: u64, seconds: u64) -> Said {
    let before = Before::now()?;
    let mut random = Random(seed);
    let until = watch::now_ms() + seconds * 1000;
    let mut rounds = 0;
    while watch::now_ms() < until {
        rounds += 1;
        let seed = random.number();
        watch::start(|| {
            // Without a server there is nothing to do.
            if let Ok(fd) = fd::open(file, abi::ORDWR) {
                users(fd, dialect, seed);
            }
        });
        watch::finish(&before, USE_MAX)?;
    }
    before.clean()?;
    Ok(format!("{rounds} rounds"))
}

/// Mounts what is behind a descriptor, and has several processes use it. For a child.
pub fn users(fd: i32, dialect: Dialect, seed: u64) {
    let flag = abi::MREPL | abi::MCREATE;
    let mounted = if dialect == Dialect::P9 {
        ns::mount(fd, -1, WHERE, flag, "")
    } else {
        ns::mountdev(fd, -1, WHERE, flag, &format!("attack:{dialect}"), '9')
    };
    if mounted.is_err() {
        return;
    }
    for n in 1..USERS {
        // All of them in one name space, so that what one does to it the others see.
        if let Ok(proc::Fork::Child) = proc::rfork(lib9::Rfork::PROC | lib9::Rfork::FDG | lib9::Rfork::NOWAIT)
        {
            user(seed.wrapping_add(n));
            proc::exits_now("");
        }
    }
    user(seed);
    let _ = ns::unmount(None, WHERE);
}

/// How long an answer to a `ping` may take, in ms.
const PONG_MAX: u32 = 10_000;

/// Says `ping` to a port and waits for `pong`.
pub fn ping(file: &str) -> Said {
    proc::alarm(PONG_MAX);
    let talk = || {
        let port = lib9::File::open(file, abi::ORDWR)?;
        port.write_all(b"ping\n")?;
        let (mut heard, mut piece) = (Vec::new(), [0; 64]);
        while !heard.ends_with(b"pong\n") {
            match port.read(&mut piece)? {
                0 => return Err("it ended".into()),
                n => heard.extend_from_slice(piece.get(..n).unwrap_or_default()),
            }
        }
        Ok::<_, lib9::Error>(())
    };
    talk().map_err(|e| format!("{file}: {e}"))?;
    proc::alarm(0);
    Ok(String::new())
}

const NAMES: &[&str] = &[
    "",
    "motd",
    "d",
    "d/e",
    "d/e/f",
    "big",
    "many",
    "many/a-file-with-a-name-7",
    "link",
    "loop",
    "out",
    "none",
    "new",
    "d/new",
    "d/..",
    "motd/x",
    "link/f",
];

fn user(seed: u64) {
    let mut r = Random(seed);
    let mut fds = [-1; 6];
    let mut buffer = vec![0; 20_000];
    for _ in 0..150 {
        let name = |r: &mut Random| format!("{WHERE}/{}", r.of(NAMES).copied().unwrap_or(""));
        let slot = r.below(fds.len() as u64) as usize;
        let open = fds.get(slot).copied().unwrap_or(-1);
        let len = if r.once_in(3) { r.below(20_000) } else { r.below(600) } as usize;
        let piece = buffer.get_mut(..len).unwrap_or_default();
        // What comes of each is the server's affair.
        match r.below(17) {
            0..3 => {
                let _ = fd::close(open);
                let mode = (r.below(4) | *r.of(&[0, 0, 0, 0x10, 0x40, 0x20]).unwrap_or(&0)) as u32;
                if let Some(place) = fds.get_mut(slot) {
                    *place = fd::open(&name(&mut r), mode).unwrap_or(-1);
                }
            }
            3 => {
                let perm = if r.once_in(2) { abi::DMDIR | 0o777 } else { 0o666 };
                if let Some(place) = fds.get_mut(slot) {
                    let _ = fd::close(*place);
                    *place = fd::create(&name(&mut r), r.below(4) as u32, perm).unwrap_or(-1);
                }
            }
            4..7 => drop(fd::read(open, piece)),
            7 => drop(fd::pread(open, piece, r.below(80_000))),
            8 => drop(fd::write(open, piece)),
            9 => drop(fd::pwrite(open, piece, r.below(80_000))),
            10 => drop(fd::stat(&name(&mut r))),
            11 => drop(fd::fstat(open)),
            12 => {
                let dir = Dir { name: String::from("renamed"), length: r.below(300), ..Dir::untouched() };
                let _ = fd::wstat(&name(&mut r), &dir);
            }
            13 => drop(list(&name(&mut r))),
            14 => match r.below(4) {
                0 => drop(fd::remove(&name(&mut r))),
                1 => drop(fd::chdir(&name(&mut r))),
                2 => drop(ns::bind(&name(&mut r), &name(&mut r), r.below(8) as u32)),
                _ => drop(ns::unmount(None, &name(&mut r))),
            },
            15 => drop(fd::seek(open, r.below(80_000) as i64, 0)),
            // A program from there, and memory that is its buffer.
            _ => match proc::rfork(lib9::Rfork::PROC | lib9::Rfork::FDG | lib9::Rfork::NOWAIT) {
                Ok(proc::Fork::Child) => {
                    let _ = proc::exec(&name(&mut r), &["x"]);
                    let _ = probe::constant();
                    proc::exits_now("")
                }
                _ => continue,
            },
        }
    }
    let _ = fd::chdir(FOLDER);
}

/// Reads a folder, a bounded number of times: some have no end.
fn list(name: &str) -> lib9::Result<()> {
    let folder = lib9::File::open(name, abi::OREAD)?;
    for _ in 0..30 {
        if folder.dirread()?.is_empty() {
            break;
        }
    }
    Ok(())
}
