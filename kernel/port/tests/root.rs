//! `#/` and the archives it is made of.

use abi::{Dir, OEXEC, OREAD, OWRITE, error};
use port::call::sysfile;
use port::dev::root::{packed, tar};
use port::mem::iobuf::Dst;
use port::testkit::{Hosted, tar as archive, tar_member};

#[test]
fn archives_lie_over_each_other() {
    let base = archive(&[("rc/bin/init", "first"), ("lib/namespace", "ns"), ("usr/glenda/", "")]);
    let more = archive(&[("./rc/bin/init", "second"), ("/rc/lib/rcmain", "main")]);
    let t = Hosted::with(vec![], vec![base, more], &[]);
    assert_eq!(t.screen.take(), "");
    assert_eq!(t.read("/rc/bin/init").unwrap(), b"second");
    assert_eq!(t.read("/rc/lib/rcmain").unwrap(), b"main");
    assert_eq!(t.read("/lib/namespace").unwrap(), b"ns");
    assert_eq!(t.ls("/usr").unwrap(), ["glenda"]);
    assert_eq!(t.ls("/rc").unwrap(), ["bin", "lib"]);
    let root = t.ls("/").unwrap();
    for dir in ["bin", "dev", "env", "fd", "mnt", "n", "proc", "srv", "tmp", "lib", "usr"] {
        assert!(root.iter().any(|n| n == dir), "{dir}");
    }
    let file = t.stat("/rc/bin/init").unwrap();
    assert_eq!((file.kind, file.dev, file.length), (u16::from(b'M'), 0, 6));
    assert_eq!((file.mode, file.uid.as_str(), file.name.as_str()), (0o444, "glenda", "init"));
    assert_eq!(t.stat("/rc").unwrap().mode, abi::DMDIR | 0o555);
    assert_eq!(t.stat("/").unwrap().name, "/");
    // The same file by another way is the same file.
    assert_eq!(t.stat("/rc/bin/../bin/init").unwrap().qid, file.qid);
}

#[test]
fn the_command_line_makes_places_to_mount_at() {
    let base = archive(&[("bin/ls", "x"), ("n/old/file", "kept")]);
    let mounts =
        ["a:/n/a", "b:9P2000.L:/srv2/deep/./b", "c:/n/old", "d:/bin/ls", "e:/bin/ls/under", "f:/n/../up"];
    let words = mounts.map(|m| ("mount", m));
    let t = Hosted::with(vec![], vec![base], &words);
    assert_eq!(t.ls("/n").unwrap(), ["a", "old"]);
    assert_eq!(t.ls("/srv2/deep/b").unwrap(), [""; 0]);
    assert_eq!(t.read("/n/old/file").unwrap(), b"kept");
    // What is in the way stays, and is told.
    assert_eq!(t.read("/bin/ls").unwrap(), b"x");
    let said = t.screen.take();
    assert_eq!(
        said.replace('\r', ""),
        "root: /bin/ls/under: a file is in the way\nroot: /n/../up: such a name cannot be\n"
    );
    assert_eq!(t.stat("/srv2").unwrap().mode, abi::DMDIR | 0o555);
}

#[test]
fn the_root_is_read_only() {
    let t = Hosted::with(vec![], vec![archive(&[("f", "x")])], &[]);
    assert!(sysfile::open(&t.up, "/f", OWRITE).unwrap_err().is(error::EPERM));
    assert!(sysfile::open(&t.up, "/f", OREAD | abi::OTRUNC).unwrap_err().is(error::EPERM));
    assert!(sysfile::open(&t.up, "/f", OREAD | abi::ORCLOSE).unwrap_err().is(error::EPERM));
    assert!(sysfile::open(&t.up, "/f", OEXEC).unwrap_err().is(error::EPERM), "0644 is no program");
    assert!(sysfile::create(&t.up, "/g", OWRITE, 0o666).unwrap_err().is(error::EPERM));
    assert!(sysfile::create(&t.up, "/f", OWRITE, 0o666).unwrap_err().is(error::EPERM));
    assert!(sysfile::remove(&t.up, "/f").unwrap_err().is(error::EPERM));
    let change = Dir { mode: 0o777, ..Dir::untouched() }.to_bytes();
    assert!(sysfile::wstat(&t.up, "/f", &change).unwrap_err().is(error::EPERM));
}

/// As an archive of a system has them in which /bin is elsewhere.
#[test]
fn a_link_that_is_left_out_leaves_what_was_there_and_what_comes() {
    let base = archive(&[("bin/ls", "list"), ("lib/a", "a"), ("etc", "file")]);
    let mut over = Vec::new();
    tar_member(&mut over, "bin", b'2', "usr/bin", b"");
    tar_member(&mut over, "lib", b'2', "usr/lib", b"");
    tar_member(&mut over, "lib", b'2', "usr/lib64", b"");
    tar_member(&mut over, "lib/b", b'0', "", b"b");
    tar_member(&mut over, "etc", b'2', "nowhere", b"");
    tar_member(&mut over, "new", b'2', "nowhere", b"");
    tar_member(&mut over, "new", b'0', "", b"file behind a link");
    tar_member(&mut over, "gone", b'2', "nowhere", b"");
    let t = Hosted::with(vec![], vec![base, over], &[]);
    assert_eq!(t.read("/bin/ls").unwrap(), b"list");
    assert_eq!(t.ls("/lib").unwrap(), ["a", "b"]);
    assert_eq!(t.read("/etc").unwrap(), b"file");
    assert_eq!(t.read("/new").unwrap(), b"file behind a link");
    assert!(t.stat("/gone").unwrap_err().is(error::ENONEXIST));
}

#[test]
fn links_are_resolved_or_reported() {
    let mut a = Vec::new();
    tar_member(&mut a, "bin/real", b'0', "", b"program");
    tar_member(&mut a, "bin/hard", b'1', "bin/real", b"");
    tar_member(&mut a, "bin/soft", b'2', "real", b"");
    tar_member(&mut a, "bin/twice", b'2', "../bin/soft", b"");
    tar_member(&mut a, "abs", b'2', "/bin/real", b"");
    tar_member(&mut a, "loop", b'2', "loop", b"");
    tar_member(&mut a, "dirlink", b'2', "bin", b"");
    tar_member(&mut a, "hardnone", b'1', "none", b"");
    tar_member(&mut a, "fifo", b'6', "", b"");
    tar_member(&mut a, "../escape", b'0', "", b"x");
    let t = Hosted::with(vec![], vec![a], &[]);
    for name in ["/bin/real", "/bin/hard", "/bin/soft", "/bin/twice", "/abs"] {
        assert_eq!(t.read(name).unwrap(), b"program", "{name}");
    }
    for name in ["/loop", "/dirlink", "/hardnone", "/fifo", "/escape"] {
        assert!(t.stat(name).unwrap_err().is(error::ENONEXIST), "{name}");
    }
    assert!(!t.ls("/").unwrap().iter().any(|n| n == "loop" || n == "dirlink"));
    let said = t.screen.take();
    for name in ["loop", "dirlink", "hardnone", "fifo", "../escape"] {
        assert!(said.contains(&format!("root: {name}: ")), "{name} in {said}");
    }
}

#[test]
fn long_names_come_from_headers_of_their_own() {
    let long = format!("deep/{}/file", "d".repeat(150));
    let pax = |key: &str, value: &str| {
        let body = format!(" {key}={value}\n");
        let mut n = body.len() + 1;
        while n.to_string().len() + body.len() != n {
            n = n.to_string().len() + body.len();
        }
        format!("{n}{body}")
    };
    let mut a = Vec::new();
    tar_member(&mut a, "././@LongLink", b'L', "", format!("{long}\0").as_bytes());
    tar_member(&mut a, "cut", b'0', "", b"gnu");
    tar_member(&mut a, "pax", b'g', "", pax("comment", "all").as_bytes());
    tar_member(&mut a, "pax", b'x', "", (pax("mtime", "7.5") + &pax("path", &format!("{long}2"))).as_bytes());
    tar_member(&mut a, "cut", b'0', "", b"pax");
    tar_member(&mut a, "short", b'0', "", b"own name again");
    let got: Vec<_> = tar::read(&a).map(|e| e.unwrap()).collect();
    assert_eq!(
        got.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(),
        [&long, &format!("{long}2"), "short"]
    );
    assert_eq!(&a[got[1].data.clone()], b"pax");
    assert_eq!((got[1].mtime, got[2].mtime), (7, 0o14000000000u64 as u32));
}

#[test]
fn real_tar_writes_what_is_read() {
    // Archives of the tar that builds the root, in the formats that people use.
    let dir = std::env::temp_dir().join(format!("elwood-tar-{}", std::process::id()));
    let deep = dir.join("x".repeat(90)).join("y".repeat(90));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("file"), vec![b'z'; 1000]).unwrap();
    std::fs::write(dir.join("é"), "utf-8").unwrap();
    for format in ["ustar", "gnu", "pax"] {
        let out = std::process::Command::new("tar")
            .args(["--format", format, "-cf", "-", "-C"])
            .arg(&dir)
            .arg(".")
            .output();
        let Ok(out) = out else { return };
        let t = Hosted::with(vec![], vec![out.stdout], &[]);
        let name = format!("/{}/{}/file", "x".repeat(90), "y".repeat(90));
        assert_eq!(t.read(&name).unwrap(), vec![b'z'; 1000], "{format}");
        assert_eq!(t.read("/é").unwrap(), b"utf-8", "{format}");
        assert_eq!(t.screen.take(), "", "{format}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn broken_archives_are_cut_off_and_never_harm() {
    let good = archive(&[("a/b", "contents"), ("c", &"x".repeat(1000)), ("d/", "")]);
    // Cut anywhere: what is whole is there, and the rest is reported or silently absent.
    for n in 0..good.len() {
        let entries: Vec<_> = tar::read(&good[..n]).collect();
        assert!(entries.iter().rev().skip(1).all(|e| e.is_ok()), "only the last may be an error");
        Hosted::with(vec![], vec![good[..n].to_vec()], &[]);
        let whole = [520, 2536, 3072].iter().filter(|&&end| n >= end).count();
        assert_eq!(entries.iter().flatten().count(), whole, "{n}");
    }
    // Any byte changed: no panic, and no entry outside of the archive.
    let mut seed = 1u32;
    for i in 0..2048 {
        let mut bad = good.clone();
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bad[i] = (seed >> 24) as u8;
        for e in tar::read(&bad).flatten() {
            assert!(bad.get(e.data).is_some());
        }
    }
    let t = Hosted::with(vec![], vec![b"not a tar archive, but long enough ".repeat(30)], &[]);
    assert!(t.screen.take().starts_with("root: archive 0: "));
    assert!(t.ls("/").unwrap().len() > 10, "the fixed directories are there all the same");
}

/// Where another tree is to be the root, `/` hides nothing of it, and what is ours is in `/boot`.
#[test]
fn another_root_has_ours_in_boot() {
    let mut base = archive(&[("rc/bin/init", "ours"), ("lib/namespace", "ns"), ("bin/ls", "x")]);
    base.truncate(base.len() - 1024);
    tar_member(&mut base, "abs", b'2', "/../bin/ls", b"");
    let t = Hosted::with(vec![], vec![base], &[("root", "host"), ("mount", "a:/n/a")]);
    assert_eq!(t.screen.take(), "");
    let bare =
        ["bin", "boot", "dev", "env", "fd", "mnt", "n", "net", "net.alt", "proc", "root", "shr", "srv"];
    assert_eq!(t.ls("/").unwrap(), bare);
    assert_eq!(t.ls("/boot/n").unwrap(), ["a"]);
    assert_eq!(t.ls("/n").unwrap(), [""; 0]);
    assert_eq!(t.read("/boot/rc/bin/init").unwrap(), b"ours");
    assert_eq!(t.read("/boot/abs").unwrap(), b"x");
    // The first process sees it as it is otherwise, a name space that begins anew does not.
    sysfile::boot_as_root(&t.up).unwrap();
    assert_eq!(t.read("/rc/bin/init").unwrap(), b"ours");
    assert_eq!(t.read("/rc/../bin/ls").unwrap(), b"x");
    assert_eq!(t.read("#//boot/bin/ls").unwrap(), b"x");
    // Its console has the name that programs know it by.
    let console = sysfile::console(&t.up);
    let fd = sysfile::open(&t.up, console, abi::OREAD).unwrap();
    assert_eq!(sysfile::fd2path(&t.up, fd).unwrap(), "/dev/cons");
    sysfile::unmount(&t.up, None, "/").unwrap();
    assert!(t.read("/rc/bin/init").unwrap_err().is(error::ENONEXIST));
}

/// Contents that deflate well, and are everywhere different.
fn text(seed: usize, len: usize) -> String {
    (0..).flat_map(|n| format!("{} {n}\n", n * seed).into_bytes()).take(len).map(char::from).collect()
}

/// An archive with small and large files, plain and compressed, and links to both.
fn files() -> Vec<(&'static str, String)> {
    vec![
        ("rc/bin/init", text(3, 5000)),
        ("bin/hot", text(5, packed::BLOCK + 77)),
        ("man/1/a", text(7, 900)),
        ("man/1/b", text(11, packed::BLOCK - 900)),
        ("man/1/none", String::new()),
        ("man/1/c", text(13, 2000)),
        ("bin/exact", text(17, 2 * packed::BLOCK)),
        ("bin/large", text(19, 3 * packed::BLOCK + 4097)),
    ]
}

fn packed_archive() -> (Vec<u8>, Vec<u8>) {
    let files = files();
    let mut whole = archive(&files.iter().map(|(name, text)| (*name, text.as_str())).collect::<Vec<_>>());
    whole.truncate(whole.len() - 1024);
    tar_member(&mut whole, "bin/link", b'1', "bin/large", b"");
    tar_member(&mut whole, "bin/warm", b'1', "bin/hot", b"");
    tar_member(&mut whole, "empty/", b'5', "", b"");
    whole.resize(whole.len() + 1024, 0);
    let packed = pack::pack(&whole, &["rc", "bin/warm"]).unwrap();
    (whole, packed)
}

#[test]
fn a_packed_archive_is_what_it_was_packed_from() {
    let (whole, packed) = packed_archive();
    assert!(packed.len() < whole.len() * 2 / 3, "{} of {}", packed.len(), whole.len());
    let find = |text: &str| packed.windows(100).any(|w| w == &text.as_bytes()[..100]);
    let files = files();
    assert_eq!([0, 1, 2, 6, 7].map(|n| find(&files[n].1)), [true, true, false, false, false]);
    let (t, u) = (Hosted::with(vec![], vec![whole], &[]), Hosted::with(vec![], vec![packed], &[]));
    assert_eq!(u.screen.take(), "");
    for dir in ["/", "/bin", "/man/1", "/empty"] {
        assert_eq!(t.ls(dir).unwrap(), u.ls(dir).unwrap());
    }
    for (name, text) in files.iter().chain([&("bin/link", files[7].1.clone()), &("empty", String::new())]) {
        let (one, other) = (t.stat(name).unwrap(), u.stat(name).unwrap());
        assert_eq!((one.length, one.mode, one.mtime), (other.length, other.mode, other.mtime), "{name}");
        if *name != "empty" {
            assert_eq!(u.read(name).unwrap(), text.as_bytes(), "{name}");
        }
    }
    // At any place, in pieces of any length, beyond the end as well.
    let fd = sysfile::open(&u.up, "/bin/large", OREAD).unwrap();
    let text = files[7].1.as_bytes();
    let block = packed::BLOCK;
    for at in
        [0, 1, block - 1, block, block + 1, 2 * block - 5, 3 * block, text.len() - 1, text.len(), 1 << 40]
    {
        for len in [1, 7, 512, block, block + 3, 2 * block, 1 << 20] {
            let mut got = vec![0; len];
            let n = sysfile::pread(&u.up, fd, &mut Dst::Kernel(&mut got), at as i64).unwrap();
            let want = &text[at.min(text.len())..at.saturating_add(len).min(text.len())];
            assert_eq!(&got[..n], want, "{len} at {at}");
        }
    }
}

/// What looks like calls, at every place, to near and far and at the ends of blocks, is what it was.
#[test]
fn packed_programs_keep_their_calls() {
    let mut seed = 1u32;
    let mut random = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed
    };
    let mut program = Vec::new();
    while program.len() < 5 * packed::BLOCK + 3 {
        let number = random();
        program.push(if number >> 31 == 0 { 0xe8 } else { 0xe9 });
        // As far as it can be, or as programs' are: forward and backward, a little and a lot.
        let far = random();
        let far = (far as i32) >> [0, 7, 8, 9, 12, 20][(number >> 16) as usize % 6];
        let len = [0, 1, 3, 4, 4, 4, 4, 4][number as usize >> 8 & 7];
        program.extend_from_slice(&far.to_le_bytes()[..len]);
    }
    let mut whole = archive(&[("small", "e8")]);
    whole.truncate(whole.len() - 1024);
    tar_member(&mut whole, "bin/program", b'0', "", &program);
    whole.resize(whole.len() + 1024, 0);
    let t = Hosted::with(vec![], vec![pack::pack(&whole, &[]).unwrap()], &[]);
    assert!(t.read("bin/program").unwrap() == program, "it is another");
    // The same call at two places is the same there: it compresses.
    let call = |at: i32| [&[0xe8][..], &(0x3000 - at).to_le_bytes()].concat();
    let calls: Vec<u8> = (0..20_000).flat_map(|n| call(n * 5)).collect();
    let mut whole = archive(&[]);
    whole.truncate(whole.len() - 1024);
    tar_member(&mut whole, "calls", b'0', "", &calls);
    whole.resize(whole.len() + 1024, 0);
    let packed = pack::pack(&whole, &[]).unwrap();
    assert!(packed.len() < 2000, "{} bytes", packed.len());
    assert!(Hosted::with(vec![], vec![packed], &[]).read("calls").unwrap() == calls, "they are others");
}

/// Several at once, who want different blocks.
#[test]
fn packed_files_are_read_by_many_at_once() {
    let t = Hosted::with(vec![], vec![packed_archive().1], &[]);
    let files = std::sync::Arc::new(files());
    let readers: Vec<_> = (0..4)
        .map(|n| {
            let files = files.clone();
            t.start(move |up| {
                for turn in 0..50 {
                    let (name, text) = &files[(n * 3 + turn) % files.len()];
                    let fd = sysfile::open(up, name, OREAD).unwrap();
                    let mut got = vec![0; text.len() + 1];
                    let read = sysfile::pread(up, fd, &mut Dst::Kernel(&mut got), 0).unwrap();
                    assert_eq!(&got[..read], text.as_bytes(), "{name}");
                    sysfile::close(up, fd).unwrap();
                }
            })
        })
        .collect();
    for (_, done) in readers {
        done.wait();
    }
}

/// Who reads in turns, each in another block, does not have a block made whole for each piece: for that memory would
/// be asked for.
#[test]
fn packed_files_that_are_read_in_turns_are_made_whole_once() {
    let t = Hosted::with(vec![], vec![packed_archive().1], &[]);
    let fd = sysfile::open(&t.up, "/bin/large", OREAD).unwrap();
    let turn = || {
        for at in [0, packed::BLOCK as i64] {
            sysfile::pread(&t.up, fd, &mut Dst::Kernel(&mut [0; 100]), at).unwrap();
        }
    };
    turn();
    machine::host::heap::fail_nth(0);
    (0..20).for_each(|_| turn());
    assert_eq!(machine::host::heap::steps().0, 0);
}

#[test]
fn broken_packed_archives_never_harm() {
    let (_, good) = packed_archive();
    let names = ["bin/large", "bin/link", "bin/hot", "bin/exact", "man/1/a", "man/1/c", "rc/bin/init"];
    let try_all = |bytes: Vec<u8>| {
        let t = Hosted::with(vec![], vec![bytes], &[]);
        for name in names {
            match t.read(name) {
                Ok(_) => {}
                Err(e) => assert!(
                    [error::EIO, error::ENONEXIST, error::ENOTDIR, error::EPERM].iter().any(|k| e.is(k)),
                    "{name}: {e}"
                ),
            }
        }
        t
    };
    let index = u32::from_le_bytes(good[8..12].try_into().unwrap()) as usize;
    let mut seed = 1u32;
    let mut random = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as usize
    };
    // Any byte of the head, the index and the table changed; some of the contents; cut anywhere.
    for i in (0..20 + index + 60).step_by(3).chain((0..60).map(|_| random() % good.len()).collect::<Vec<_>>())
    {
        let mut bad = good.clone();
        bad[i] ^= 1 << (random() % 8);
        try_all(bad);
    }
    for _ in 0..100 {
        try_all(good[..random() % good.len()].to_vec());
    }
    // What is broken is said: by the kernel, or to who reads it.
    let t = try_all(good[..30].to_vec());
    assert_eq!(t.screen.take().replace('\r', ""), "root: archive 0: its head makes no sense\n");
    let mut bad = good.clone();
    let end = bad.len();
    bad[end - 2000..].fill(0xff);
    let t = try_all(bad);
    assert!(t.read("bin/large").unwrap_err().is(error::EIO));
    assert_eq!(t.read("man/1/a").unwrap(), files()[2].1.as_bytes());
}
