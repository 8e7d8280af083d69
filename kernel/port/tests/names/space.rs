//! Name spaces as a whole, and what they hold.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use abi::{Dir, MAFTER, MBEFORE, MCREATE, MREPL, ORDWR, OREAD, OTRUNC, OWRITE, error};
use port::call::sysfile;
use port::mem::iobuf::{Dst, Src};
use port::testkit::{Hosted, Ram};

use super::{mkdir, open_err, with_ram};

#[test]
fn name_spaces_are_copied_and_closed() {
    let (t, _) = with_ram();
    mkdir(&t, "/n/a");
    sysfile::bind(&t.up, "#c", "/dev", MREPL).unwrap();
    let other = t.process();
    *other.pgrp.lock() = t.up.pgrp().copy().unwrap();
    sysfile::bind(&other, "/n/a", "/dev", MREPL).unwrap();
    assert!(t.read("/dev/osversion").is_ok());
    assert!(sysfile::open(&other, "/dev/osversion", OREAD).is_err());
    sysfile::unmount(&t.up, None, "/dev").unwrap();
    assert_eq!(sysfile::unmount(&other, None, "/dev"), Ok(()));

    other.pgrp().forbid_mounts();
    let copy = other.pgrp().copy().unwrap();
    assert!(copy.no_mount() && !t.up.pgrp().no_mount());
    assert_eq!(sysfile::open(&other, "#R", OREAD).unwrap_err().text(), error::ENOATTACH);
    let fd = sysfile::open(&other, "#c/null", ORDWR).unwrap();
    let e = sysfile::mount(&other, fd, -1, "/dev", MREPL, "", 'M').unwrap_err();
    assert_eq!(e.text(), error::ENOATTACH);
    assert!(sysfile::bind(&other, "/n/a", "/dev", MREPL).is_ok(), "bind stays allowed");
}

#[test]
fn ns_tells_how_to_do_it_again() {
    let (t, _) = with_ram();
    mkdir(&t, "/n/a");
    sysfile::bind(&t.up, "#c", "/dev", MREPL).unwrap();
    sysfile::bind(&t.up, "/n/a", "/dev", MBEFORE | MCREATE).unwrap();
    sysfile::bind(&t.up, "#e", "/env", MAFTER).unwrap();
    sysfile::chdir(&t.up, "/n/a").unwrap();
    let text = t.up.pgrp().text(t.up.dot().path.as_str()).unwrap();
    assert_eq!(text, "bind -c #R /n\nbind #c /dev\nbind -bc /n/a /dev\nbind -a #e /env\ncd /n/a\n");
}

#[test]
fn a_closed_name_space_lets_its_channels_go() {
    let (t, ram) = with_ram();
    mkdir(&t, "/n/a");
    let fd = sysfile::create(&t.up, "/n/a/f", OWRITE | abi::ORCLOSE, 0o666).unwrap();
    assert_eq!(ram.opens.load(Ordering::Relaxed), 1);
    sysfile::close(&t.up, fd).unwrap();
    assert_eq!(ram.opens.load(Ordering::Relaxed), 0);
    assert_eq!(t.ls("/n/a").unwrap().len(), 0);
    assert!(open_err(&t, "/n/a", OREAD | OTRUNC).ends_with(error::EISDIR));
}

/// A mount driver whose servers are trees of `#R`.
struct Driver(Arc<Ram>);

impl port::Dev for Driver {
    fn letter(&self) -> char {
        'M'
    }
    fn name(&self) -> &'static str {
        "mnt"
    }
    fn attach(&self, _: &Arc<port::Proc>, _: &str) -> port::Result<port::dev::Root> {
        Err(error::ENOATTACH.into())
    }
    fn walk(&self, _: &Arc<port::Proc>, _: &port::Chan, _: &[&str]) -> port::Result<port::Walk> {
        Err(error::EPERM.into())
    }
    fn stat(&self, _: &Arc<port::Proc>, _: &port::Chan) -> port::Result<Dir> {
        Err(error::EPERM.into())
    }
    fn open(&self, _: &Arc<port::Proc>, _: port::OwnChan, _: u32) -> port::Result<Arc<port::Chan>> {
        Err(error::EPERM.into())
    }
    fn read(&self, _: &Arc<port::Proc>, _: &port::Chan, _: &mut Dst<'_>, _: u64) -> port::Result<usize> {
        Err(error::EPERM.into())
    }
    fn as_mount_driver(self: Arc<Self>) -> Option<Arc<dyn port::MountDriver>> {
        Some(self)
    }
}

impl port::MountDriver for Driver {
    fn attach_server(
        &self,
        up: &Arc<port::Proc>,
        _server: Arc<port::Chan>,
        _auth: Option<Arc<port::Chan>>,
        spec: &str,
        _keeps: bool,
    ) -> port::Result<port::OwnChan> {
        if spec == "wrong" {
            return Err(error::EBADSPEC.into());
        }
        port::Chan::attach(up, self.0.clone(), spec)
    }
    fn version(
        &self,
        _: &Arc<port::Proc>,
        _: &Arc<port::Chan>,
        _: u32,
        version: &str,
    ) -> port::Result<String> {
        Ok(version.into())
    }
}

#[test]
fn mount_closes_the_descriptor_and_is_undone_by_it() {
    let ram = Ram::new();
    let t = Hosted::with(vec![ram.clone(), Arc::new(Driver(ram))], vec![], &[]);
    let up = &t.up;
    let [server, _other] = sysfile::pipe(up).unwrap();
    let post = sysfile::create(up, "#s/fs", OWRITE, 0o666).unwrap();
    sysfile::pwrite(up, post, &Src::Kernel(server.to_string().as_bytes()), -1).unwrap();
    sysfile::close(up, post).unwrap();
    sysfile::bind(up, "#s", "/srv", MREPL).unwrap();

    let fail = |fd, afd, old: &str, flag, spec: &str, letter| {
        sysfile::mount(up, fd, afd, old, flag, spec, letter).unwrap_err().text().to_string()
    };
    assert_eq!(fail(server, -1, "/n", 3, "", 'M'), error::EBADARG);
    assert_eq!(fail(server, -1, "/n", MREPL, "", 'x'), error::EBADARG);
    assert_eq!(fail(server, -1, "/n", MREPL, "", 'c'), error::EBADARG);
    assert_eq!(fail(99, -1, "/n", MREPL, "", 'M'), error::EBADFD);
    assert_eq!(fail(server, 99, "/n", MREPL, "", 'M'), error::EBADFD);
    assert_eq!(fail(server, -1, "/none", MREPL, "", 'M'), "'/none' file does not exist");
    assert_eq!(fail(server, -1, "/n", MREPL, "wrong", 'M'), error::EBADSPEC);
    let readonly = sysfile::open(up, "#c/null", OREAD).unwrap();
    assert_eq!(fail(readonly, -1, "/n", MREPL, "", 'M'), error::EBADUSEFD);

    assert!(sysfile::mount(up, server, -1, "/n", MREPL | MCREATE, "a b", 'M').unwrap() > 0);
    assert_eq!(sysfile::close(up, server).unwrap_err().text(), error::EBADFD, "mount has closed it");
    t.create("/n/file", b"x").unwrap();
    assert_eq!(t.ls("/n").unwrap(), ["file"]);
    let text = up.pgrp().text("/").unwrap();
    assert!(text.contains("mount -c -d #R /srv/fs /n 'a b'\n"), "{text}");
    assert_eq!(sysfile::unmount(up, Some("#c/null"), "/n").unwrap_err().text(), error::EUNION);
    sysfile::unmount(up, Some("/srv/fs"), "/n").unwrap();
    assert_eq!(t.ls("/n").unwrap().len(), 0);
}
