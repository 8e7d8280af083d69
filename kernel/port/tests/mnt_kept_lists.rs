//! `mount -C`: the list of a directory that was read is told again for a moment, as long as its names are the same.

mod wire;

use abi::{Dir, MCACHE, MCREATE, MREPL, OREAD, OWRITE};
use ninep::kind;
use port::call::sysfile;
use port::mem::iobuf::Src;
use port::mnt::Patience;
use wire::Share;

const FILES: usize = 100;

fn share() -> Share {
    let s = Share::unmounted(Patience::DEVICE, |host| {
        for i in 0..FILES {
            host.file(format!("d/f{i:02}"), "x".repeat(i).as_bytes()).unwrap();
        }
    });
    s.mount_as("host", "/n", MREPL | MCREATE | MCACHE).unwrap();
    s
}

/// The entries of the directory by their names, and whether the server was asked for them.
fn list(s: &Share) -> (Vec<Dir>, bool) {
    let reads = || s.wire.count(kind::TREAD) + s.wire.count(kind::TREADDIR);
    let before = reads();
    let mut dirs = s.t.dirs("/n/d").unwrap();
    dirs.sort_by(|a, b| a.name.cmp(&b.name));
    (dirs, reads() != before)
}

fn length(dirs: &[Dir], name: &str) -> Option<u64> {
    dirs.iter().find(|dir| dir.name == name).map(|dir| dir.length)
}

/// Lists it until nobody is asked: a slow machine may need more than the two seconds for one.
fn kept(s: &Share) -> Vec<Dir> {
    (0..20)
        .map(|_| list(s))
        .find_map(|(dirs, asked)| (!asked).then_some(dirs))
        .expect("a list that was read just now is read again")
}

#[test]
fn a_list_is_told_again_as_it_was() {
    let s = share();
    let (first, asked) = list(&s);
    assert!(asked && first.len() == FILES);
    assert_eq!(kept(&s), first);
    // As stat says it, and in pieces of any size.
    for dir in &first {
        assert_eq!(s.t.stat(&format!("/n/d/{}", dir.name)).unwrap(), *dir);
    }
    // It is not told for ever.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let (last, asked) = list(&s);
    assert!(asked);
    assert_eq!(last, first);
    s.end();
}

#[test]
fn what_this_machine_does_is_in_a_list_that_was_kept() {
    let s = share();
    let up = &s.t.up;
    kept(&s);
    let fd = sysfile::open(up, "/n/d/f04", OWRITE).unwrap();
    sysfile::pwrite(up, fd, &Src::Kernel(b"123456"), 0).unwrap();
    assert_eq!(length(&list(&s).0, "f04"), Some(6));
    sysfile::close(up, fd).unwrap();
    kept(&s);
    sysfile::remove(up, "/n/d/f05").unwrap();
    let (dirs, asked) = list(&s);
    assert!(asked);
    assert_eq!((length(&dirs, "f05"), dirs.len()), (None, FILES - 1));
    kept(&s);
    s.t.create("/n/d/new", b"12").unwrap();
    assert_eq!(length(&list(&s).0, "new"), Some(2));
    kept(&s);
    let rename = Dir { name: "other".into(), ..Dir::untouched() };
    sysfile::wstat(up, "/n/d/new", &rename.to_bytes()).unwrap();
    let (dirs, _) = list(&s);
    assert_eq!((length(&dirs, "new"), length(&dirs, "other")), (None, Some(2)));
    s.end();
}

#[test]
fn names_that_the_host_makes_or_removes_are_seen_at_once() {
    let s = share();
    kept(&s);
    s.wire.state().server.host.file("d/new", b"12").unwrap();
    let (dirs, asked) = list(&s);
    assert!(asked);
    assert_eq!(length(&dirs, "new"), Some(2));
    kept(&s);
    s.wire.state().server.host.remove("d/f07").unwrap();
    let (dirs, asked) = list(&s);
    assert!(asked);
    assert_eq!((length(&dirs, "f07"), dirs.len()), (None, FILES));
    s.end();
}

#[test]
fn a_file_that_was_opened_is_as_it_is_in_a_list_that_was_kept() {
    let s = share();
    let up = &s.t.up;
    let open = |name: &str| {
        let fd = sysfile::open(up, name, OREAD).unwrap();
        sysfile::close(up, fd).unwrap();
    };
    kept(&s);
    s.wire.state().server.host.file("d/f03", b"changed").unwrap();
    open("/n/d/f03");
    let stats = s.wire.count(kind::TSTAT) + s.wire.count(kind::TGETATTR);
    let (dirs, asked) = list(&s);
    assert!(!asked, "the directory is what it was");
    assert_eq!((length(&dirs, "f03"), dirs.len()), (Some(7), FILES));
    // The directory, and that file.
    assert!(s.wire.count(kind::TSTAT) + s.wire.count(kind::TGETATTR) - stats <= 4);
    // When nothing is known of many, all is asked for.
    kept(&s);
    (0..30).for_each(|i| open(&format!("/n/d/f{i:02}")));
    assert!(list(&s).1);
    s.end();
}

#[test]
fn a_list_that_is_kept_comes_in_pieces_and_begins_again() {
    let s = share();
    let all = kept(&s);
    let fd = sysfile::open(&s.t.up, "/n/d", OREAD).unwrap();
    for _ in 0..2 {
        let mut bytes = Vec::new();
        let mut at = 0;
        loop {
            let mut piece = vec![0; 200];
            let mut dst = port::mem::iobuf::Dst::Kernel(&mut piece);
            let n = sysfile::pread(&s.t.up, fd, &mut dst, at).unwrap();
            if n == 0 {
                break;
            }
            at += n as i64;
            bytes.extend_from_slice(&piece[..n]);
        }
        let mut dirs = Dir::parse_all(&bytes).unwrap();
        dirs.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(dirs, all);
    }
    sysfile::close(&s.t.up, fd).unwrap();
    s.end();
}
