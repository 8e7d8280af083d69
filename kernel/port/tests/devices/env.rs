//! `#e`: the environment.

use abi::{MREPL, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, error};
use port::call::sysfile::{bind, close, create, open, pwrite, remove};
use port::mem::iobuf::Src;
use port::testkit::{Hosted, read_file};

use super::put;

#[test]
fn the_environment_starts_with_the_command_line() {
    let words = [("init", "echo hi"), ("mount", "a:/n/a"), ("debug", ""), ("mount", "b:/n/b")];
    let t = Hosted::with(vec![], vec![], &words);
    bind(&t.up, "#e", "/env", MREPL | abi::MCREATE).unwrap();
    assert_eq!(t.ls("/env").unwrap(), ["init", "mount", "debug"]);
    assert_eq!(t.read("/env/mount").unwrap(), b"a:/n/a\0b:/n/b");
    assert_eq!(t.read("/env/debug").unwrap(), b"");
    assert_eq!(t.read("#ec/init").unwrap(), b"echo hi");
    // The boot group is another one.
    t.write("/env/init", b"X").unwrap();
    assert_eq!(t.read("/env/init").unwrap(), b"Xcho hi");
    assert_eq!(t.read("#ec/init").unwrap(), b"echo hi");
    assert_eq!(open(&t.up, "#ex/init", OREAD).unwrap_err().text(), error::EBADSPEC);
    assert_eq!(
        String::from_utf8(t.read("#c/config").unwrap()).unwrap(),
        "init='echo hi'\nmount=a:/n/a\ndebug=''\nmount=b:/n/b\n"
    );
}

#[test]
fn variables_are_files() {
    let t = Hosted::new();
    t.create("#e/path", b"/bin\0.").unwrap();
    let v0 = t.stat("#e/path").unwrap();
    assert_eq!((v0.length, v0.mode, v0.name.as_str()), (6, 0o666, "path"));
    t.write("#e/path", b"X").unwrap();
    assert_eq!(t.read("#e/path").unwrap(), b"Xbin\0.");
    let v1 = t.stat("#e/path").unwrap();
    assert!(v1.qid.vers > v0.qid.vers && v1.qid.path == v0.qid.path);
    let fd = open(&t.up, "#e/path", OWRITE | OTRUNC).unwrap();
    assert_eq!(pwrite(&t.up, fd, &Src::Kernel(b"ab"), 3).unwrap(), 2);
    assert_eq!(t.read("#e/path").unwrap(), b"\0\0\0ab");
    assert!(pwrite(&t.up, fd, &Src::Kernel(b"x"), 600_000).unwrap_err().is(error::ETOOBIG));
    assert!(put(&t.up, fd, &vec![0; 600_000]).unwrap_err().is(error::ETOOBIG));
    remove(&t.up, "#e/path").unwrap();
    assert!(put(&t.up, fd, b"x").unwrap_err().is(error::ENONEXIST));
    assert!(open(&t.up, "#e/path", OREAD).unwrap_err().is(error::ENONEXIST));
    assert!(create(&t.up, "#e/dir", OREAD, abi::DMDIR | 0o777).unwrap_err().is(error::EPERM));
    // The group has a limit, too, and removing makes room.
    for name in ["#e/a", "#e/b"] {
        t.create(name, &vec![b'x'; 500_000]).unwrap();
    }
    assert!(t.create("#e/c", &vec![b'x'; 500_000]).unwrap_err().is(error::ETOOBIG));
    remove(&t.up, "#e/a").unwrap();
    t.create("#e/c", &vec![b'x'; 500_000]).unwrap();
    let fd = create(&t.up, "#e/tmp", OWRITE | ORCLOSE, 0o666).unwrap();
    close(&t.up, fd).unwrap();
    assert_eq!(t.ls("#e").unwrap(), ["b", "c"]);
}

#[test]
fn each_process_sees_its_own_group_through_a_shared_bind() {
    let t = Hosted::new();
    bind(&t.up, "#e", "/env", MREPL | abi::MCREATE).unwrap();
    t.create("/env/x", b"1").unwrap();
    let other = t.process();
    *other.egrp.lock() = t.up.egrp().copy().unwrap();
    let fd = open(&other, "/env/x", ORDWR).unwrap();
    put(&other, fd, b"2").unwrap();
    assert_eq!(read_file(&other, "/env/x").unwrap(), b"2");
    assert_eq!(t.read("/env/x").unwrap(), b"1");
    remove(&other, "/env/x").unwrap();
    assert_eq!(t.read("/env/x").unwrap(), b"1");
}
