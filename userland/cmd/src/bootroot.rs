//! What bootroot(8) decides, as functions of what it is told.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use lib9::tokenize;

/// The server of a file that says by its contents what it is.
pub const LOCAL: &str = "local";
/// Kinds of processors whose programs may be in a tree.
pub const CPUS: [&str; 8] = ["386", "amd64", "arm", "arm64", "mips", "power", "riscv64", "sparc"];
/// Bytes of a program that are looked at.
pub const HEAD: usize = 64;

/// Bytes of a reason that an exit status surely holds.
pub const REASON: usize = abi::ERRMAX - 32;

/// What a word `root=` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    /// A share of the host, as a mount of `#9` takes it.
    Share {
        /// The tag, perhaps with a version and a size.
        spec: String,
    },
    /// A file, and the program that serves what is in it.
    File {
        /// The name of the program, or [`LOCAL`].
        server: String,
        /// The file, or the directory of a disk.
        file: String,
        /// Further arguments of the server.
        options: Vec<String>,
    },
}

/// Reads the value of a word `root=`: `TAG`, `FILE` or `SERVER!FILE`, the latter two with arguments for the server.
pub fn parse(value: &str) -> Option<Where> {
    let words = tokenize(value);
    let (first, options) = words.split_first()?;
    let options = options.to_vec();
    if first.starts_with('/') {
        return Some(Where::File { server: LOCAL.into(), file: first.clone(), options });
    }
    match first.split_once('!') {
        Some((server, file)) if !server.is_empty() && !server.contains('/') && file.starts_with('/') => {
            Some(Where::File { server: server.into(), file: file.into(), options })
        }
        Some(_) => None,
        // A tag may have blanks.
        None => Some(Where::Share { spec: value.into() }),
    }
}

/// What is told, behind the word `root=`, of a child that ended like this: its own reason if it never became another
/// program.
pub fn outcome(ended: &str) -> String {
    let own = ended.strip_prefix("bootroot ").and_then(|rest| rest.split_once(": "));
    match own {
        Some((pid, why)) if pid.bytes().all(|b| b.is_ascii_digit()) => format!(": {why}"),
        _ => format!(" has ended: {ended}"),
    }
}

/// What may be the tag in a spec of `#9`: all of it, or what is before one of its last colons.
pub fn tags(spec: &str) -> impl Iterator<Item = &str> {
    let cuts = spec.rmatch_indices(':').filter_map(|(at, _)| spec.get(..at));
    core::iter::once(spec).chain(cuts.take(2))
}

/// The program that serves a [kind](crate::fstype::kind) of file system.
pub fn server(kind: &'static str) -> &'static str {
    match kind {
        "9660" => "9660srv",
        "dos" => "dossrv",
        kind => kind,
    }
}

/// The partition of the disk `dir` that is meant: the first of its `files` that `serves` knows a server for. A file
/// system of DOS is often there beside the real one, for the firmware.
pub fn partition(
    dir: &str,
    files: &[String],
    serves: impl Fn(&str) -> Option<&'static str>,
) -> Option<String> {
    let mut dos = None;
    for name in files {
        if matches!(name.as_str(), "ctl" | "raw" | "plan9" | "nvram" | "swap") {
            continue;
        }
        let file = format!("{dir}/{name}");
        match serves(&file) {
            Some("dossrv") => dos = dos.or(Some(file)),
            Some(_) => return Some(file),
            None => {}
        }
    }
    dos
}

/// Can the kernel run what begins like this?
///
/// # Errors
/// Why not.
pub fn program(front: &[u8]) -> Result<(), String> {
    let big = front.first_chunk::<4>().map(|b| u32::from_be_bytes(*b));
    let little = front.get(18..20).map(|b| u16::from_le_bytes([b[0], b[1]]));
    match (big, little) {
        // Plan 9's own header. What it is for is in the number.
        (Some(0x8a97), _) => Ok(()),
        (Some(0x1eb), _) => Err("it is a program for 386".into()),
        (Some(0x647), _) => Err("it is a program for arm".into()),
        (Some(0x8c47), _) => Err("it is a program for arm64".into()),
        // ELF, for 64 bits and amd64.
        (Some(0x7f45_4c46), Some(62)) if front.get(4) == Some(&2) => Ok(()),
        (Some(0x7f45_4c46), _) => Err("it is an ELF program for another processor".into()),
        _ if front.starts_with(b"#!") => Ok(()),
        (None, _) => Err("it is empty, or nearly".into()),
        _ => Err("it is no program".into()),
    }
}

/// A command for the init of Plan 9, which goes on with a shell when that has ended, where the machine is to end.
pub fn command(command: &str) -> String {
    let quoted = command.replace('\'', "''");
    format!(
        "@{{eval '{quoted}'}}\nwhy=$status\nif(~ $\"why '') echo -n halt >'#c/reboot'\nif not {{\n\
         \techo init: exit status: $why >[1=2]\n\techo -n halt fail >'#c/reboot'\n}}\n"
    )
}

/// Is this a word of the kernel's command line that is done with when the tree begins? Others stay, as in Plan 9.
pub fn is_ours(name: &str) -> bool {
    matches!(name, "boot" | "init" | "mount" | "net" | "root")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let share = |spec: &str| Some(Where::Share { spec: spec.into() });
        assert_eq!(parse("root"), share("root"));
        assert_eq!(parse("a b:9P2000.L"), share("a b:9P2000.L"));
        let file = |server: &str, file: &str, options: &[&str]| {
            let options = options.iter().map(|&o| o.into()).collect();
            Some(Where::File { server: server.into(), file: file.into(), options })
        };
        assert_eq!(parse("/dev/sdF0"), file("local", "/dev/sdF0", &[]));
        assert_eq!(parse("hjfs!/dev/sdF0/fs -m 64"), file("hjfs", "/dev/sdF0/fs", &["-m", "64"]));
        for bad in ["", " ", "!/x", "hjfs!", "a/b!/x", "hjfs!fs"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(
            tags("a:b:9P2000.L:8192").collect::<Vec<_>>(),
            ["a:b:9P2000.L:8192", "a:b:9P2000.L", "a:b"]
        );
    }

    #[test]
    fn a_reason_is_told_once() {
        assert_eq!(outcome("bootroot 2: no Plan 9: nothing"), ": no Plan 9: nothing");
        assert_eq!(outcome("init 2: oops"), " has ended: init 2: oops");
        assert_eq!(outcome(""), " has ended: ");
    }

    #[test]
    fn partitions() {
        let files = ["ctl", "data", "9fat", "fs", "other"].map(String::from);
        let kind = |known: &'static [(&'static str, &'static str)]| {
            move |file: &str| {
                known.iter().find(|(name, _)| file == format!("/d/{name}")).map(|(_, kind)| *kind)
            }
        };
        let chosen = |known| partition("/d", &files, kind(known));
        assert_eq!(chosen(&[("9fat", "dossrv"), ("fs", "hjfs")]).as_deref(), Some("/d/fs"));
        assert_eq!(chosen(&[("9fat", "dossrv")]).as_deref(), Some("/d/9fat"));
        assert_eq!(chosen(&[("data", "9660srv"), ("fs", "hjfs")]).as_deref(), Some("/d/data"));
        assert_eq!(chosen(&[("ctl", "hjfs")]), None);
    }

    #[test]
    fn programs() {
        assert_eq!(program(&[0, 0, 0x8a, 0x97]), Ok(()));
        assert_eq!(program(b"#!/bin/rc"), Ok(()));
        let mut elf = [0; HEAD];
        elf[..5].copy_from_slice(b"\x7fELF\x02");
        elf[18] = 62;
        assert_eq!(program(&elf), Ok(()));
        elf[18] = 183;
        assert!(program(&elf).unwrap_err().contains("another processor"));
        assert!(program(&[0, 0, 1, 0xeb]).unwrap_err().contains("386"));
        assert!(program(b"").unwrap_err().contains("empty"));
        assert!(program(b"hello").unwrap_err().contains("no program"));
    }

    #[test]
    fn commands_end_the_machine() {
        assert!(command("echo it's").starts_with("@{eval 'echo it''s'}\n"));
        assert!(
            is_ours("init") && is_ours("root") && is_ours("net") && !is_ours("user") && !is_ours("rootspec")
        );
    }
}
