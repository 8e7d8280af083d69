//! The host's files through `#9`, looked at from both sides.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{Dialect, MOTD, motd, q35};
use crate::case::{Case, World, re};

/// The host has the times that were set.
fn times(w: &World) -> Result<()> {
    for time in [1, 2_147_483_647, 2_147_483_648, 4_294_967_294] {
        let found = fs::metadata(w.folder("host")?.join(format!("motd{time}")))?.mtime();
        ensure!(found == time, "{time} became {found}");
    }
    Ok(())
}

pub fn cases(d: Dialect) -> Vec<Case> {
    vec![
        d.case("files/changes", q35())
            .share("host", motd)
            .line(d.mount())
            .is("")
            .line(
                "cd /n/host; echo new >made; echo more >>made; mkdir dir; cp made dir/copy; mv made renamed",
            )
            .is("")
            .line("chmod 600 renamed; rm motd; ls -p; ls dir")
            .is("dir\nrenamed\ndir/copy\n")
            .check(changes),
        d.case("files/host-side", q35())
            .share("host", odd_files)
            .line(d.mount())
            .is("")
            .line("cat /n/host/link /n/host/away")
            .is(format!("{MOTD}{MOTD}"))
            .line("cat '/n/host/two words' /n/host/κόσμος")
            .is("a\nb\n")
            .line("ls /n/host/empty")
            .is("")
            .line("cat /n/host/socket")
            .gives("/n/host/socket")
            .line("cat /n/host/dangling")
            .gives("file does not exist")
            .line("cat /n/host/absent")
            .gives("file does not exist")
            .line("cat /n/host/motd/x")
            .gives("/n/host/motd/x"),
        d.case("files/times", q35())
            .share("host", motd)
            .line(d.mount())
            .is("")
            .line("cd /n/host; for(t in 1 2147483647 2147483648 4294967294) touch -t $t motd$t")
            .is("")
            .is("")
            .check(times),
        d.case("files/host-changes", q35())
            .share("host", motd)
            .line(d.mount())
            .is("")
            .line("cat /n/host/motd")
            .is(MOTD)
            .check(|w| Ok(fs::write(w.folder("host")?.join("motd"), "changed on the host\n")?))
            .line("cat /n/host/motd")
            .is("changed on the host\n")
            .check(|w| Ok(fs::remove_file(w.folder("host")?.join("motd"))?))
            .line("cat /n/host/motd")
            .gives("file does not exist"),
        d.case("files/script", q35())
            .share("host", |folder| {
                let script = folder.join("script");
                fs::write(&script, "#!/bin/rc\nfor(i) echo arg $i\nexit done\n")?;
                Ok(fs::set_permissions(script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?)
            })
            .line(d.mount())
            .is("")
            .line("/n/host/script one 'two three'; echo $status")
            .gives(re("^arg one\narg two three\nscript [0-9]+: done\n$")),
    ]
}

/// What `files/changes` has to leave behind.
fn changes(world: &World) -> Result<()> {
    let folder = world.folder("host")?;
    for name in ["renamed", "dir/copy"] {
        let text = fs::read_to_string(folder.join(name)).with_context(|| name.to_owned())?;
        ensure!(text == "new\nmore\n", "{name} is {text:?}");
    }
    let mode = fs::metadata(folder.join("renamed"))?.mode() & 0o777;
    ensure!(mode == 0o600, "the mode is {mode:o}");
    ensure!(!folder.join("motd").exists() && !folder.join("made").exists(), "something is left");
    Ok(())
}

/// Links, a socket, names with blanks and letters of other scripts, an empty folder.
fn odd_files(folder: &Path) -> Result<()> {
    motd(folder)?;
    symlink("motd", folder.join("link"))?;
    fs::create_dir(folder.join("empty"))?;
    symlink("../motd", folder.join("empty/up"))?;
    fs::remove_file(folder.join("empty/up"))?;
    symlink("empty/../link", folder.join("away"))?;
    symlink("nowhere", folder.join("dangling"))?;
    fs::write(folder.join("two words"), "a\n")?;
    fs::write(folder.join("κόσμος"), "b\n")?;
    drop(std::os::unix::net::UnixListener::bind(folder.join("socket"))?);
    Ok(())
}
