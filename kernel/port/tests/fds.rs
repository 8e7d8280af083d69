//! Descriptors: numbers, sharing, offsets, close on exec, `#d`.

use abi::{OCEXEC, ORDWR, OREAD, OWRITE, error};
use port::call::sysfile::{close, dup, fd2path, fstat, open, pread, pwrite, seek};
use port::mem::iobuf::{Dst, Src};
use port::name::fgrp::MAXFD;
use port::testkit::{Hosted, Ram};

fn null(t: &Hosted) -> i32 {
    open(&t.up, "#c/null", ORDWR).unwrap()
}

#[test]
fn the_lowest_free_number_is_next() {
    let t = Hosted::new();
    assert_eq!((null(&t), null(&t), null(&t)), (0, 1, 2));
    close(&t.up, 1).unwrap();
    close(&t.up, 0).unwrap();
    assert_eq!((null(&t), null(&t), null(&t)), (0, 1, 3));
    assert_eq!(dup(&t.up, 2, -1).unwrap(), 4);
    assert_eq!(dup(&t.up, 2, 18).unwrap(), 18);
    assert_eq!(null(&t), 5);
    assert_eq!(dup(&t.up, 5, 5).unwrap(), 5);
    for fd in [-1, 19, 5000, i32::MAX, i32::MIN] {
        assert_eq!(close(&t.up, fd).unwrap_err().text(), error::EBADFD, "{fd}");
        assert_eq!(dup(&t.up, fd, -1).unwrap_err().text(), error::EBADFD, "{fd}");
    }
    for new in [-2, 5000, 100_000] {
        assert_eq!(dup(&t.up, 0, new).unwrap_err().text(), error::EBADFD, "{new}");
    }
}

#[test]
fn the_table_has_an_end() {
    let t = Hosted::new();
    for want in 0..MAXFD as i32 {
        assert_eq!(null(&t), want);
    }
    assert_eq!(open(&t.up, "#c/null", OREAD).unwrap_err().text(), error::ENOFD);
    assert_eq!(dup(&t.up, 0, -1).unwrap_err().text(), error::ENOFD);
    assert!(port::call::sysfile::pipe(&t.up).unwrap_err().is(error::ENOFD));
    close(&t.up, 4999).unwrap();
    // One free number is not enough for a pipe, and none is used up by the attempt.
    assert!(port::call::sysfile::pipe(&t.up).unwrap_err().is(error::ENOFD));
    assert_eq!(null(&t), 4999);
}

#[test]
fn exec_closes_what_is_to_be_closed() {
    let t = Hosted::new();
    null(&t);
    let fd = open(&t.up, "#c/null", OREAD | OCEXEC).unwrap();
    let copy = dup(&t.up, fd, -1).unwrap();
    t.up.fgrp().close_on_exec();
    assert_eq!(close(&t.up, fd).unwrap_err().text(), error::EBADFD);
    close(&t.up, copy).unwrap();
}

#[test]
fn copies_share_channels_and_not_numbers() {
    let ram = Ram::new();
    let t = Hosted::with(vec![ram], vec![], &[]);
    t.create("#R/f", b"abcdef").unwrap();
    let fd = open(&t.up, "#R/f", OREAD).unwrap();
    let other = t.process();
    *other.fgrp.lock() = t.up.fgrp().copy().unwrap();
    let mut buf = [0; 2];
    assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut buf), -1).unwrap(), 2);
    assert_eq!(pread(&other, fd, &mut Dst::Kernel(&mut buf), -1).unwrap(), 2);
    assert_eq!(&buf, b"cd", "the offset is shared");
    assert_eq!(pread(&other, fd, &mut Dst::Kernel(&mut buf), 0).unwrap(), 2);
    assert_eq!(&buf, b"ab");
    close(&other, fd).unwrap();
    assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut buf), -1).unwrap(), 2);
    assert_eq!(&buf, b"ef", "a given offset does not move the descriptor's");
    assert_eq!(pread(&t.up, fd, &mut Dst::Kernel(&mut buf), -1).unwrap(), 0);
}

#[test]
fn wrong_uses_say_so() {
    let t = Hosted::new();
    let r = open(&t.up, "#c/null", OREAD).unwrap();
    let w = open(&t.up, "#c/null", OWRITE).unwrap();
    let mut buf = [0; 2];
    let e = pwrite(&t.up, r, &Src::Kernel(b"x"), -1).unwrap_err();
    assert_eq!(e.text(), error::EBADUSEFD);
    assert_eq!(pread(&t.up, w, &mut Dst::Kernel(&mut buf), -1).unwrap_err().text(), error::EBADUSEFD);
    assert_eq!(pread(&t.up, 99, &mut Dst::Kernel(&mut buf), -1).unwrap_err().text(), error::EBADFD);
    assert_eq!(pread(&t.up, r, &mut Dst::Kernel(&mut buf), -2).unwrap_err().text(), error::ENEGOFF);
    assert_eq!(fstat(&t.up, 99).unwrap_err().text(), error::EBADFD);
    assert_eq!(fd2path(&t.up, r).unwrap(), "#c/null");
}

#[test]
fn seek_counts_from_three_places() {
    let ram = Ram::new();
    let t = Hosted::with(vec![ram], vec![], &[]);
    t.create("#R/f", b"0123456789").unwrap();
    let fd = open(&t.up, "#R/f", ORDWR).unwrap();
    assert_eq!(seek(&t.up, fd, 4, 0).unwrap(), 4);
    assert_eq!(seek(&t.up, fd, 2, 1).unwrap(), 6);
    assert_eq!(seek(&t.up, fd, -3, 2).unwrap(), 7);
    assert_eq!(pwrite(&t.up, fd, &Src::Kernel(b"xy"), -1).unwrap(), 2);
    assert_eq!(seek(&t.up, fd, 0, 1).unwrap(), 9);
    assert_eq!(pwrite(&t.up, fd, &Src::Kernel(b"A"), 0).unwrap(), 1);
    assert_eq!(seek(&t.up, fd, 0, 1).unwrap(), 9);
    assert_eq!(t.read("#R/f").unwrap(), b"A123456xy9");
    assert_eq!(seek(&t.up, fd, -1, 0).unwrap_err().text(), error::ENEGOFF);
    assert_eq!(seek(&t.up, fd, -100, 1).unwrap_err().text(), error::ENEGOFF);
    assert_eq!(seek(&t.up, fd, i64::MAX, 1).unwrap_err().text(), error::ENEGOFF);
    assert_eq!(seek(&t.up, fd, 0, 3).unwrap_err().text(), error::EBADARG);
    assert_eq!(seek(&t.up, fd, 0, 1).unwrap(), 9, "failures leave it where it was");
    let [p, _] = port::call::sysfile::pipe(&t.up).unwrap();
    assert_eq!(seek(&t.up, p, 0, 0).unwrap_err().text(), error::EISSTREAM);
}

#[test]
fn writers_through_one_descriptor_do_not_overwrite_each_other() {
    let ram = Ram::new();
    let t = Hosted::with(vec![ram], vec![], &[]);
    t.create("#R/f", b"").unwrap();
    let fd = open(&t.up, "#R/f", OWRITE).unwrap();
    let starts: Vec<_> = (0..4u8)
        .map(|i| {
            t.start(move |up| {
                for _ in 0..100 {
                    pwrite(up, fd, &Src::Kernel(&[b'a' + i; 7]), -1).unwrap();
                }
            })
        })
        .collect();
    starts.into_iter().for_each(|(_, done)| done.wait());
    let text = t.read("#R/f").unwrap();
    assert_eq!(text.len(), 2800);
    assert!(text.chunks(7).all(|c| c.iter().all(|b| *b == c[0])));
}

#[test]
fn dup_files_are_the_descriptors() {
    let ram = Ram::new();
    let t = Hosted::with(vec![ram], vec![], &[]);
    t.create("#R/f", b"abcdef").unwrap();
    let fd = open(&t.up, "#R/f", OREAD).unwrap();
    let again = open(&t.up, &format!("#d/{fd}"), OREAD | OCEXEC).unwrap();
    assert_ne!(again, fd);
    assert_eq!(fd2path(&t.up, again).unwrap(), "#R/f");
    let mut buf = [0; 3];
    pread(&t.up, fd, &mut Dst::Kernel(&mut buf), -1).unwrap();
    pread(&t.up, again, &mut Dst::Kernel(&mut buf), -1).unwrap();
    assert_eq!(&buf, b"def", "it is the same channel");
    t.up.fgrp().close_on_exec();
    assert!(close(&t.up, again).is_err() && close(&t.up, fd).is_ok());

    let w = open(&t.up, "#R/f", OWRITE).unwrap();
    assert_eq!(
        open(&t.up, &format!("#d/{w}"), OREAD).unwrap_err().text(),
        format!("'#d/{w}' {}", error::EBADUSEFD)
    );
    for name in ["#d/7", "#d/00", "#d/-1", "#d/+0", "#d/0x", "#d/ctl", "#d/7ctl"] {
        assert!(open(&t.up, name, OREAD).unwrap_err().is(error::ENONEXIST), "{name}");
    }
    assert_eq!(t.ls("#d").unwrap(), ["0", "0ctl", "1", "1ctl"], "with the one that reads the directory");
    assert_eq!(t.stat("#d/0").unwrap().mode, 0o200);
    let line = String::from_utf8(t.read("#d/0ctl").unwrap()).unwrap();
    let path = t.stat("#R/f").unwrap().qid.path;
    assert_eq!(line, format!("  0 w  R    0 ({path:016x} 1 00)     0        0 #R/f\n"));
    let all = t.up.fgrp().text("/").unwrap();
    assert_eq!(all, format!("/\n{line}"));
}
