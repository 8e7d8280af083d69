//! What only a host has: special files, links that lead nowhere, names that are no text, folders of twenty thousand
//! files. And hosts that take a folder away, or give it for reading only.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use vm::Share;

use super::{Dialect, MOTD, motd, q35};
use crate::case::{Case, World, re};

/// How many files are in the large folder.
const MANY: usize = 20_000;

/// A mount tag of 31 bytes, as long as QEMU takes one.
const LONG_TAG: &str = "a-tag-of-31-bytes-and-not-more.";

/// A user name of 27 letters: the longest that a Plan 9 file server takes.
const LONG_USER: &str = "elwoodpdowdandharveytherabb";

pub fn cases(d: Dialect) -> Vec<Case> {
    vec![
        d.case("odd/files", q35())
            .share("host", odd)
            .line(d.mount())
            .is("")
            .line("ls /n/host | wc -l; ls -l /n/host")
            .check(|w| all_there(w, w.folder("host")?))
            .line("cat /n/host/sock")
            .gives("'/n/host/sock' permission denied")
            .line("cat /n/host/fifo")
            .gives("'/n/host/fifo' permission denied")
            .line("if(test -e /n/host/null) cat /n/host/null; echo done")
            .gives(re("('/n/host/null' permission denied\n)?done\n"))
            .line("for(f in dangling absolute) cat /n/host/$f")
            .gives("'/n/host/dangling' file does not exist")
            .gives("'/n/host/absolute' file does not exist")
            .line("cat /n/host/loop1")
            .gives("'/n/host/loop1' too many symbolic links")
            .line("cat /n/host/bad*; cat /n/host/nn*; cp /n/host/bad* /n/host/not*s")
            .is("odd name\nlong name\n")
            .line("rm /n/host/bad* /n/host/nn* /n/host/sock /n/host/fifo /n/host/loop1 /n/host/dangling; ls /n/host")
            .gives("/n/host/absolute\n")
            .check(removed)
            // As the ancestor's bug would have it: names of owners that have to fit into what the server sent.
            .line(format!("echo -n {LONG_USER} >/dev/hostowner; cat /dev/user"))
            .is(LONG_USER)
            .line("ls -l /n/host; echo $status")
            .gives(re("^s?--?rw.* /n/host/plain$"))
            .gives(re("\n\n$")),
        d.case("odd/many", q35())
            .share("host", |folder| {
                fs::create_dir(folder.join("many"))?;
                (0..MANY).try_for_each(|i| Ok(fs::write(folder.join(format!("many/entry-{i:05}")), "")?))
            })
            .line(d.mount())
            .is("")
            .line("ls /n/host/many >/n/host/listing; echo $status")
            .is("\n")
            .check(|w| {
                let listing = fs::read_to_string(w.folder("host")?.join("listing"))?;
                ensure!(listing.lines().count() == MANY, "{} lines", listing.lines().count());
                let names: BTreeSet<&str> = listing.lines().collect();
                let all = (0..MANY).all(|i| names.contains(&*format!("/n/host/many/entry-{i:05}")));
                ensure!(all && names.len() == MANY, "something is missing, or twice there");
                Ok(())
            })
            .budget(180)
            .pinned(),
        d.case("odd/removed", q35())
            .share(LONG_TAG, |folder| {
                fs::create_dir(folder.join("dir"))?;
                motd(folder)
            })
            .line("cat /dev/mtags")
            .is(format!("{LONG_TAG}:-\n"))
            .line(d.mount_at(LONG_TAG, "/n/host"))
            .is("")
            .line("cat /dev/mtags; cat /n/host/motd; cd /n/host/dir")
            .is(format!("{LONG_TAG}:{}:2:2\n{MOTD}", d.version))
            .check(|w| Ok(fs::remove_dir_all(w.folder(LONG_TAG)?)?))
            .line("cat /n/host/motd")
            .gives("'/n/host/motd' file does not exist")
            .line("ls /n/host/dir")
            .gives("'/n/host/dir' file does not exist")
            .line("echo new >/n/host/new; echo new >here")
            .gives("file does not exist")
            .line("cd /; unmount /n/host; cat /dev/mtags")
            .is(format!("{LONG_TAG}:-\n"))
            .line("echo still here")
            .is("still here\n"),
        d.case("odd/read-only", q35())
            .share_as(Share::new("host", "").readonly(), |folder| {
                fs::create_dir(folder.join("dir"))?;
                motd(folder)
            })
            .line(d.mount())
            .is("")
            .line("cat /n/host/motd")
            .is(MOTD)
            .line("echo x >/n/host/motd")
            .gives("permission denied")
            .line("echo x >/n/host/new; echo x >>/n/host/motd; cp /lib/namespace /n/host/motd; mkdir /n/host/d2")
            .gives("permission denied")
            .line("rm /n/host/motd; rm -r /n/host/dir; mv /n/host/motd /n/host/other; chmod 0 /n/host/motd")
            .gives("motd")
            .check(|w| {
                let folder = w.folder("host")?;
                let text = fs::read_to_string(folder.join("motd"))?;
                ensure!(text == MOTD, "the file has changed: {text:?}");
                ensure!(fs::read_dir(folder)?.count() == 2, "something has been made or removed");
                Ok(())
            }),
    ]
}

/// One of each. Making a device needs a right that not every host gives.
fn odd(folder: &Path) -> Result<()> {
    drop(std::os::unix::net::UnixListener::bind(folder.join("sock"))?);
    mknodat(CWD, folder.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o666), 0)?;
    let _ = mknodat(
        CWD,
        folder.join("null"),
        FileType::CharacterDevice,
        Mode::from_raw_mode(0o666),
        makedev(1, 3),
    );
    symlink("nowhere", folder.join("dangling"))?;
    symlink("/etc/hosts", folder.join("absolute"))?;
    symlink("loop2", folder.join("loop1"))?;
    symlink("loop1", folder.join("loop2"))?;
    fs::write(folder.join("n".repeat(255)), "long name\n")?;
    fs::write(folder.join(OsStr::from_bytes(b"bad\xff\xfename")), "odd name\n")?;
    fs::write(folder.join(OsStr::from_bytes(b"not\xe9s")), "")?;
    fs::write(folder.join("plain"), "")?;
    Ok(())
}

/// `ls | wc -l; ls -l` has counted and named all that is in the folder.
fn all_there(world: &World, folder: &Path) -> Result<()> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        count += 1;
        // The bytes that are no text are shown as characters of the private use area.
        let name: String = entry?.file_name().as_bytes().utf8_chunks().fold(String::new(), |name, chunk| {
            let bytes = chunk.invalid().iter().filter_map(|&b| char::from_u32(0xef00 + u32::from(b)));
            name + chunk.valid() + &bytes.collect::<String>()
        });
        let line = world.output.lines().find(|l| l.ends_with(&format!(" /n/host/{name}")));
        line.with_context(|| format!("{name:?} is not listed"))?;
    }
    let first = world.output.lines().next().unwrap_or_default().trim();
    ensure!(first == count.to_string(), "{first} lines for {count} files");
    Ok(())
}

/// What `rm` was told to remove is gone, and what links pointed to is not.
fn removed(world: &World) -> Result<()> {
    let folder = world.folder("host")?;
    let mut names: Vec<_> = fs::read_dir(folder)?.map(|e| Ok(e?.file_name())).collect::<Result<_>>()?;
    names.retain(|name| name != "null");
    names.sort();
    let left: [&[u8]; 4] = [b"absolute", b"loop2", b"not\xe9s", b"plain"];
    ensure!(names.iter().map(|n| n.as_bytes()).eq(left), "left are {names:?}");
    let copied = fs::read(folder.join(OsStr::from_bytes(b"not\xe9s")))?;
    ensure!(copied == b"odd name\n", "a name that is no text was not written to");
    Ok(())
}
