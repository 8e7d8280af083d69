//! `#σ`: shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use abi::{DMDIR, Dir, MAFTER, MBEFORE, MCREATE, MREPL, ORCLOSE, ORDWR, OREAD, OWRITE, error};
use port::call::sysfile::{self, bind, chdir, close, create, open, pipe, remove, wstat};
use port::dev::shr::Shr;
use port::mem::iobuf::Dst;
use port::testkit::{Hosted, Ram, read_file};
use port::{Chan, Dev, MountDriver, OwnChan, Proc, Result, Walk};

use super::{get, put};

/// A mount driver whose servers are trees of `#R`: the first that is attached to is `#R1`, the next `#R2`.
struct Driver {
    ram: Arc<Ram>,
    attached: AtomicU32,
}

impl Dev for Driver {
    fn letter(&self) -> char {
        'M'
    }
    fn name(&self) -> &'static str {
        "mnt"
    }
    fn walk(&self, _: &Arc<Proc>, _: &Chan, _: &[&str]) -> Result<Walk> {
        Err(error::EPERM.into())
    }
    fn read(&self, _: &Arc<Proc>, _: &Chan, _: &mut Dst<'_>, _: u64) -> Result<usize> {
        Err(error::EPERM.into())
    }
    fn as_mount_driver(self: Arc<Self>) -> Option<Arc<dyn MountDriver>> {
        Some(self)
    }
}

impl MountDriver for Driver {
    fn attach_server(
        &self,
        up: &Arc<Proc>,
        _: Arc<Chan>,
        _: Option<Arc<Chan>>,
        _: &str,
        _: bool,
    ) -> Result<OwnChan> {
        let number = self.attached.fetch_add(1, Ordering::Relaxed) + 1;
        Chan::attach(up, self.ram.clone(), &number.to_string())
    }
    fn version(&self, _: &Arc<Proc>, _: &Arc<Chan>, _: u32, version: &str) -> Result<String> {
        Ok(version.into())
    }
}

/// A machine where the first servers have a file `both` and one with their number, in a directory `dir` as well.
fn machine() -> Hosted {
    let ram = Ram::new();
    let driver = Driver { ram: ram.clone(), attached: AtomicU32::new(0) };
    let t = Hosted::with(vec![ram, Arc::new(driver), Shr::new()], vec![], &[]);
    for n in ["1", "2", "3"] {
        mkdir(&t.up, &format!("#R{n}/dir"), 0o755);
        for file in ["both", n, "dir/both", &format!("dir/{n}")] {
            t.create(&format!("#R{n}/{file}"), n.as_bytes()).unwrap();
        }
    }
    bind(&t.up, "#σ", "/shr", MREPL).unwrap();
    t
}

fn mkdir(up: &Arc<Proc>, name: &str, perm: u32) {
    close(up, create(up, name, OREAD, DMDIR | perm).unwrap()).unwrap();
}

/// Mounts the next server in a share.
fn mounted(up: &Arc<Proc>, service: &str, perm: u32) -> Result<()> {
    let [_, server] = pipe(up)?;
    let fd = create(up, service, OWRITE, perm)?;
    let written = put(up, fd, format!("{server}\n").as_bytes());
    close(up, fd)?;
    assert_eq!(written?, server.to_string().len() + 1);
    Ok(())
}

/// A process that has a name space, and a user, of its own.
fn stranger(t: &Hosted, user: &str) -> Arc<Proc> {
    let p = t.process();
    *p.pgrp.lock() = t.up.pgrp().copy().unwrap();
    *p.user.lock() = user.into();
    p
}

#[test]
fn everybody_sees_what_is_mounted_in_a_share_the_newest_first() {
    let t = machine();
    let before = stranger(&t, "bob");
    mkdir(&t.up, "#σc/work", 0o755);
    assert_eq!(t.ls("/shr").unwrap(), ["work"]);
    assert_eq!(t.ls("/shr/work").unwrap().len(), 0, "nothing is mounted");
    mounted(&t.up, "#σc/work/one", 0o600).unwrap();
    // Who looks at it now sees what comes later, too.
    bind(&before, "/shr/work", "/n", MREPL | MCREATE).unwrap();
    chdir(&before, "/shr/work/dir").unwrap();
    assert_eq!(read_file(&before, "/n/dir/both").unwrap(), b"1");
    mounted(&t.up, "#σc/work/two", 0o600).unwrap();
    assert_eq!(t.ls("#σc/work").unwrap(), ["one", "two"]);
    for share in ["/shr/work", "#σ/work", "/n"] {
        let read = |file: &str| read_file(&before, &format!("{share}/{file}"));
        assert_eq!(read("both").unwrap(), b"2", "{share}");
        assert_eq!(read("1").unwrap(), b"1");
        assert_eq!(read("dir/both").unwrap(), b"2");
        // As in any union, a directory is that of the first that has it.
        assert!(read("dir/1").unwrap_err().is(error::ENONEXIST));
        assert!(read("3").unwrap_err().is(error::ENONEXIST));
        assert!(read("both/x").unwrap_err().is(error::ENOTDIR));
    }
    assert_eq!(read_file(&before, "1").unwrap(), b"1", "where one stood before");
    assert_eq!(t.ls("/shr/work").unwrap(), ["dir", "both", "2", "dir", "both", "1"]);

    // What is made in it is the newest's.
    create(&before, "/n/new", OWRITE, 0o644).unwrap();
    assert_eq!(t.ls("#R2").unwrap(), ["dir", "both", "2", "new"]);
    // `..` at the top of a tree, from a directory in it, and from the share.
    assert_eq!(read_file(&before, "/shr/work/dir/../both").unwrap(), b"2");
    assert_eq!(t.ls("/shr/work/..").unwrap(), ["work"]);
    assert_eq!(t.ls("#σc/work/..").unwrap(), ["work"]);

    remove(&t.up, "#σc/work/two").unwrap();
    assert_eq!(read_file(&before, "/n/both").unwrap(), b"1");
    assert_eq!(t.ls("/shr/work").unwrap(), ["dir", "both", "1"]);
    remove(&t.up, "#σc/work/one").unwrap();
    assert!(read_file(&before, "/n/both").unwrap_err().is(error::ENONEXIST));
    remove(&t.up, "#σc/work").unwrap();
    assert_eq!(t.ls("/shr").unwrap().len(), 0);
    assert!(read_file(&before, "/n/both").is_err());
}

#[test]
fn a_share_in_a_union_is_read_with_all_that_is_in_it() {
    let t = machine();
    mkdir(&t.up, "#σc/work", 0o755);
    bind(&t.up, "#R3", "/n", MREPL).unwrap();
    for flag in [MAFTER, MBEFORE] {
        bind(&t.up, "#σ/work", "/n", flag).unwrap();
        assert_eq!(t.ls("/n").unwrap(), ["dir", "both", "3"], "it has nothing yet");
        sysfile::unmount(&t.up, Some("#σ/work"), "/n").unwrap();
    }
    mounted(&t.up, "#σc/work/one", 0o600).unwrap();
    mounted(&t.up, "#σc/work/two", 0o600).unwrap();
    let (three, work) = (["dir", "both", "3"], ["dir", "both", "2", "dir", "both", "1"]);
    bind(&t.up, "#σ/work", "/n", MAFTER).unwrap();
    assert_eq!(t.ls("/n").unwrap(), [&three[..], &work].concat());
    assert_eq!([t.read("/n/both").unwrap(), t.read("/n/1").unwrap()], [b"3", b"1"]);
    sysfile::unmount(&t.up, Some("#σ/work"), "/n").unwrap();
    bind(&t.up, "#σ/work", "/n", MBEFORE).unwrap();
    assert_eq!(t.ls("/n").unwrap(), [&work[..], &three].concat());
    assert_eq!([t.read("/n/both").unwrap(), t.read("/n/3").unwrap()], [b"2", b"3"]);
    // By pieces, the records are the same.
    let fd = open(&t.up, "/n", OREAD).unwrap();
    let mut names = Vec::new();
    loop {
        let bytes = get(&t.up, fd, 100).unwrap();
        let Ok((dir, len)) = Dir::parse(&bytes) else { break };
        assert_eq!(len, bytes.len(), "a record at a time");
        names.push(dir.name);
    }
    assert_eq!(names, [&work[..], &three].concat());
}

#[test]
fn what_is_mounted_below_a_share_is_seen_below_it() {
    let t = machine();
    mkdir(&t.up, "#σc/work", 0o755);
    mounted(&t.up, "#σc/work/one", 0o600).unwrap();
    bind(&t.up, "#R3", "/shr/work/dir", MREPL).unwrap();
    assert_eq!(t.read("/shr/work/dir/both").unwrap(), b"3");
    assert_eq!(t.read("/shr/work/dir/dir/both").unwrap(), b"3");
    assert_eq!(t.read("/shr/work/dir/../both").unwrap(), b"1");
    assert_eq!(t.read("#σ/work/dir/both").unwrap(), b"1", "names of devices look at no mounts");
    // A tree over the share itself.
    bind(&t.up, "#R2", "/shr/work", MREPL).unwrap();
    assert_eq!(t.read("/shr/work/both").unwrap(), b"2");
}

#[test]
fn a_service_is_its_channel() {
    let t = machine();
    mkdir(&t.up, "#σc/work", 0o755);
    let [a, b] = pipe(&t.up).unwrap();
    let fd = create(&t.up, "#σc/work/one", OWRITE | ORCLOSE, 0o600).unwrap();
    assert!(open(&t.up, "#σc/work/one", ORDWR).unwrap_err().text().ends_with(error::ESHUTDOWN));
    for bad in [&b"99"[..], b"-1", b"x", b""] {
        assert!(put(&t.up, fd, bad).is_err(), "{bad:?}");
    }
    assert!(put(&t.up, fd, fd.to_string().as_bytes()).unwrap_err().is(error::EBADUSEFD));
    put(&t.up, fd, b.to_string().as_bytes()).unwrap();
    assert!(put(&t.up, fd, b.to_string().as_bytes()).unwrap_err().is(error::EINUSE));
    close(&t.up, b).unwrap();
    let got = open(&t.up, "#σc/work/one", ORDWR).unwrap();
    put(&t.up, got, b"hello").unwrap();
    assert_eq!(get(&t.up, a, 10).unwrap(), b"hello");
    close(&t.up, got).unwrap();
    assert!(remove(&t.up, "#σc/work").unwrap_err().is(error::ENOTEMPTY));
    // It goes with the descriptor that it was made with, and so does the channel.
    close(&t.up, fd).unwrap();
    assert_eq!(t.ls("#σc/work").unwrap().len(), 0);
    assert_eq!(get(&t.up, a, 10).unwrap(), b"");
    remove(&t.up, "#σc/work").unwrap();
}

#[test]
fn shares_are_made_by_whom_the_page_says() {
    let t = machine();
    let [bob, eve, none] = ["bob", "eve", "none"].map(|user| stranger(&t, user));
    let no = |result: Result<i32>, text: &str| assert!(result.as_ref().unwrap_err().is(text), "{result:?}");
    no(create(&none, "#σc/x", OREAD, DMDIR | 0o777), error::EPERM);
    no(create(&t.up, "#σc/x", OWRITE, 0o777), error::EPERM);
    no(create(&t.up, "#σ/x", OREAD, DMDIR | 0o777), error::EPERM);
    no(create(&t.up, &format!("#σc/{}", "x".repeat(128)), OREAD, DMDIR | 0o777), error::ETOOLONG);
    mkdir(&t.up, "#σc/ours", 0o777);
    mkdir(&bob, "#σc/bobs", 0o770);
    mkdir(&bob, "#σc/all", 0o777);
    no(create(&t.up, "#σc/all", OREAD, DMDIR | 0o777), error::EEXIST);
    for (p, share, may) in [
        (&bob, "ours", false),
        (&bob, "bobs", true),
        (&eve, "bobs", false),
        (&eve, "all", true),
        (&none, "all", false),
        (&t.up, "bobs", true),
    ] {
        let service = format!("#σc/{share}/{}", p.user());
        let made = mounted(p, &service, 0o640);
        assert_eq!(made.is_ok(), may, "{service}: {made:?}");
    }
    assert!(remove(&bob, "#σc/ours").unwrap_err().is(error::EPERM));
    assert!(remove(&eve, "#σc/bobs/bob").unwrap_err().is(error::EPERM));
    no(open(&none, "#σc/all/eve", ORDWR), error::EPERM);
    // Who may use a share is said by its permissions; it is written to nowhere but in its services.
    no(open(&eve, "/shr/bobs", OREAD), error::EPERM);
    for (p, text) in [(&eve, error::EPERM), (&none, error::EPERM), (&bob, error::ENONEXIST)] {
        no(open(p, "/shr/bobs/x", OREAD), text);
        no(create(p, "/shr/bobs/y/x", OWRITE, 0o600), text);
    }
    no(create(&eve, "/shr/bobs/x", OWRITE, 0o600), error::EPERM);
    close(&bob, create(&bob, "/shr/bobs/x", OWRITE, 0o600).unwrap()).unwrap();
    no(open(&eve, "/shr/bobs/x", OREAD), error::EPERM);
    remove(&bob, "/shr/bobs/x").unwrap();
    let seen = ["/shr/all", "#σc/all", "#σc/all/eve"].map(|name| t.stat(name).unwrap());
    assert_eq!(seen.each_ref().map(|dir| dir.mode & 0o777), [0o555, 0o777, 0o640]);
    assert_eq!(seen.each_ref().map(|dir| dir.uid.as_str()), ["bob", "bob", "eve"]);
    let named = |name: &str| Dir { name: name.into(), mode: 0o700, ..Dir::untouched() }.to_bytes();
    assert!(wstat(&eve, "#σc/all", &named("none")).unwrap_err().is(error::EPERM));
    assert!(wstat(&bob, "#σc/all", &named("bobs")).unwrap_err().is(error::EEXIST));
    wstat(&bob, "#σc/all", &named("few")).unwrap();
    assert_eq!(t.ls("/shr").unwrap(), ["ours", "bobs", "few"]);
    no(open(&eve, "/shr/few", OREAD), error::EPERM);

    // Who may not mount cannot do so by this.
    let fd = create(&bob, "#σc/few/late", OWRITE, 0o600).unwrap();
    let [a, _] = pipe(&bob).unwrap();
    bob.pgrp().forbid_mounts();
    assert!(put(&bob, fd, a.to_string().as_bytes()).unwrap_err().is(error::ENOATTACH));
    no(create(&bob, "#σc/more", OREAD, DMDIR | 0o777), error::ENOATTACH);
    // Nothing is mounted in this one.
    no(create(&t.up, "/shr/ours/x", OWRITE, 0o600), error::ENOCREATE);
}

#[test]
fn others_cannot_fill_it() {
    let t = machine();
    let bob = stranger(&t, "bob");
    let made = |p: &Arc<Proc>, n: usize| {
        let made = create(p, &format!("#σc/of{n}"), OREAD, DMDIR | 0o777).and_then(|fd| close(p, fd));
        made.inspect_err(|e| assert!(e.is(error::ENODEV), "{e:?}"))
    };
    assert_eq!((0..2000).find(|n| made(&bob, *n).is_err()), Some(512));
    // Nor with services, in however many shares.
    let served = |p: &Arc<Proc>, n: usize| {
        let file = format!("#σc/of{}/s{n}", n % 7);
        let made = create(p, &file, OWRITE, 0o666).and_then(|fd| close(p, fd));
        made.inspect_err(|e| assert!(e.is(error::ENODEV), "{e:?}"))
    };
    assert_eq!((0..5000).find(|n| served(&bob, *n).is_err()), Some(1024));
    assert_eq!((5000..9000).find(|n| served(&t.up, *n).is_err()), Some(5000 + 1024));
    assert_eq!((1000..3000).find(|n| made(&t.up, *n).is_err()), Some(1512));
}
