//! Honest work for a long time, whose results are compared: trees copied to a share and back, sums, searches, pipes.

use alloc::format;
use alloc::string::String;

use alloc::vec::Vec;

use lib9::{fd, file, proc};
use ninep::testserver::hostile::Random;

use crate::watch::{self, Before, FOLDER, Said};

/// Works for so many seconds, in `folder` of a share and in memory.
pub fn run(seed: u64, seconds: u64, folder: &str) -> Said {
    let before = Before::now()?;
    let mut random = Random(seed);
    let until = watch::now_ms() + seconds * 1000;
    let mut rounds = 0;
    while watch::now_ms() < until {
        let name = format!("{folder}/soak{rounds}");
        let worked = round(&mut random, &name);
        watch::remove_below(&name);
        let _ = fd::remove(&name);
        worked.map_err(|why| format!("round {rounds}: {why}"))?;
        watch::remove_below(FOLDER);
        rounds += 1;
    }
    before.clean()?;
    Ok(format!("{rounds} rounds"))
}

/// The folders of a round's tree.
const FOLDERS: &[&str] = &["", "/a", "/a/b", "/c"];

/// One round: a tree is made on the share, read by several at a time, copied with the programs that people use,
/// compared, packed and searched.
fn round(random: &mut Random, there: &str) -> Result<(), String> {
    let here = format!("{FOLDER}/here");
    let mut sums = Vec::new();
    for top in [there, here.as_str()] {
        for folder in FOLDERS {
            make_folder(&format!("{top}{folder}"))?;
        }
    }
    for n in 0..12 {
        // One in each: a pattern that fits to nothing stays what it is, and nothing has that name.
        let folder = *FOLDERS.get(n).or_else(|| random.of(FOLDERS)).unwrap_or(&"");
        let len = if random.once_in(4) { random.below(300_000) } else { random.below(5000) };
        let bytes: Vec<u8> = contents(random, len as usize);
        let name = format!("{folder}/f{n}");
        write(&format!("{there}{name}"), &bytes, random)?;
        sums.push((name, bytes));
    }
    // What is there is what was written, whoever copies it.
    command(&format!(
        "cd {there} && for(f in f* a/f* a/b/f* c/f*) test -f $f && cp $f {here}/$f >[2]/dev/null; status=''"
    ))?;
    for (name, bytes) in &sums {
        for top in [there, here.as_str()] {
            let have = file::read(&format!("{top}{name}")).map_err(|e| format!("{top}{name}: {e}"))?;
            if have != *bytes {
                return Err(format!(
                    "{top}{name} has {} bytes, and is not the {} written",
                    have.len(),
                    bytes.len()
                ));
            }
        }
    }
    // Pipes of programs, side by side, whose results must agree.
    let count = |top: &str| {
        output(&format!("cat {top}/f* {top}/*/f* {top}/*/*/f* >[2]/dev/null | grep -c the | cat"))
    };
    let both = (count(there)?, count(&here)?);
    if both.0 != both.1 {
        return Err(format!("grep counts {:?} there and {:?} here", both.0, both.1));
    }
    let sum = |top: &str| {
        output(&format!("cat {top}/f* {top}/*/f* {top}/*/*/f* >[2]/dev/null | sha1sum | tee /dev/null"))
    };
    let both = (sum(there)?, sum(&here)?);
    if both.0 != both.1 {
        return Err(format!("sums {:?} there and {:?} here", both.0, both.1));
    }
    command(&format!("ramfs -m /n/other && cp {there}/f* /n/other >[2]/dev/null; unmount /n/other"))?;
    command("for(i in 1 2 3 4 5) { echo $i | sed s/x/y/ & }; wait; status=''")
}

fn make_folder(name: &str) -> Result<(), String> {
    let made = fd::create(name, abi::OREAD, abi::DMDIR | 0o777).and_then(fd::close);
    made.map_err(|e| format!("{name}: {e}"))
}

fn contents(random: &mut Random, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 16);
    while bytes.len() < len {
        let word = *random.of(&["the ", "cat ", "sat\n", "on ", "a ", "mat\n", "\0", "x\n"]).unwrap_or(&"");
        bytes.extend_from_slice(word.as_bytes());
    }
    bytes
}

/// Writes a file in pieces, in any order.
fn write(name: &str, bytes: &[u8], random: &mut Random) -> Result<(), String> {
    let mut written = || {
        let fd = fd::create(name, abi::OWRITE, 0o666)?;
        let size = 1 + random.below(20_000) as usize;
        let mut pieces: Vec<(usize, &[u8])> = bytes.chunks(size).enumerate().collect();
        if random.once_in(2) {
            pieces.reverse();
        }
        for (n, piece) in pieces {
            let wrote = fd::pwrite(fd, piece, (n * size) as u64)?;
            if wrote != piece.len() {
                return Err(lib9::error!("{wrote} bytes of {}", piece.len()));
            }
        }
        fd::close(fd)
    };
    written().map_err(|e| format!("{name}: {e}"))
}

/// Has rc do a line.
fn command(line: &str) -> Result<(), String> {
    match proc::rfork(lib9::Rfork::PROC | lib9::Rfork::FDG | lib9::Rfork::NAMEG)
        .map_err(|e| format!("rfork: {e}"))?
    {
        proc::Fork::Child => {
            let failed = proc::exec("/bin/rc", &["rc", "-c", line]);
            proc::exits_now(&format!("{:?}", failed.err()))
        }
        proc::Fork::Parent(pid) => loop {
            let end = proc::await_().map_err(|e| format!("await: {e}"))?;
            if end.pid == pid {
                return if end.msg.is_empty() { Ok(()) } else { Err(format!("{line}: {}", end.msg)) };
            }
        },
    }
}

/// What a line prints.
fn output(line: &str) -> Result<String, String> {
    let name = format!("{FOLDER}/out");
    command(&format!("{{{line}}} >{name}"))?;
    let text = file::read_string(&name).map_err(|e| format!("{name}: {e}"))?;
    Ok(text)
}
