//! Long names, large unions and large name spaces: where they end, and how they are let go.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use abi::{MAFTER, MREPL, OREAD, error};
use port::call::sysfile;
use port::name::namespace::{MAXMOUNTS, MAXUNION};
use port::testkit::Hosted;

use super::{mkdir, with_ram};

fn bind_err(t: &Hosted, new: &str, old: &str, flag: u32) -> String {
    sysfile::bind(&t.up, new, old, flag).unwrap_err().text().to_string()
}

/// Lets go of it on a stack that is twice the kernel's.
fn drop_on_a_small_stack<T: Send + 'static>(what: T) {
    std::thread::Builder::new().stack_size(64 << 10).spawn(move || drop(what)).unwrap().join().unwrap();
}

#[test]
fn a_union_that_doubles_ends_with_an_error() {
    let (t, _) = with_ram();
    mkdir(&t, "/n/a");
    let mut binds = 0;
    let error = loop {
        match sysfile::bind(&t.up, "/n/a", "/n/a", MAFTER) {
            Ok(_) => binds += 1,
            Err(e) => break e,
        }
    };
    assert!(error.is(error::ENODEV), "{error}");
    assert!(1 << (binds - 1) <= MAXUNION && binds > 5, "{binds}");
    // Nothing has changed by that: what is left is a union as before, and it can be read.
    let lines = t.up.pgrp().text("/").unwrap().lines().count();
    assert_eq!(bind_err(&t, "/n/a", "/n/a", MAFTER), error::ENODEV);
    assert_eq!(t.up.pgrp().text("/").unwrap().lines().count(), lines);
    assert!(lines > MAXUNION / 2 && lines <= MAXUNION + 2, "{lines}");
    mkdir(&t, "/n/b");
    assert!(t.ls("/n/a").unwrap().is_empty());
    sysfile::unmount(&t.up, None, "/n/a").unwrap();
}

#[test]
fn a_name_space_has_so_many_mounts_and_is_copied_with_them() {
    let (t, ram) = with_ram();
    let begin = Instant::now();
    // As many as can be on a hundred directories, one above the other.
    for d in 0..20 {
        mkdir(&t, &format!("/n/{d}"));
        for _ in 0..MAXUNION - 1 {
            if let Err(e) = sysfile::bind(&t.up, "#c", &format!("/n/{d}"), MAFTER) {
                assert!(e.is(error::ENODEV), "{e}");
                break;
            }
        }
    }
    let lines = || t.up.pgrp().text("/").unwrap().lines().count();
    assert!(lines() < MAXMOUNTS && lines() > MAXMOUNTS - 40, "{}", lines());
    let copy = t.up.pgrp().copy().unwrap();
    assert_eq!(copy.text("/").unwrap(), t.up.pgrp().text("/").unwrap());
    // What is taken away may be put back.
    sysfile::unmount(&t.up, None, "/n/3").unwrap();
    sysfile::bind(&t.up, "#c", "/n/3", MAFTER).unwrap();
    assert!(lines() < MAXMOUNTS - MAXUNION / 2);
    drop_on_a_small_stack(copy);
    drop(t);
    assert_eq!(ram.opens.load(Ordering::Relaxed), 0);
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}

#[test]
fn ten_thousand_directories_are_mounted_upon() {
    let ram = port::dev::ram::RamDev::new(64 << 20);
    let t = Hosted::with(vec![ram as Arc<dyn port::Dev>], vec![], &[]);
    sysfile::bind(&t.up, "#R", "/n", MREPL | abi::MCREATE).unwrap();
    let begin = Instant::now();
    for d in 0..10_000 {
        mkdir(&t, &format!("/n/{d}"));
        sysfile::bind(&t.up, "#e", &format!("/n/{d}"), MREPL).unwrap();
    }
    let copy = t.up.pgrp().copy().unwrap();
    assert_eq!(copy.text("/").unwrap().lines().count(), 10_002);
    assert_eq!(t.ls("/n").unwrap().len(), 10_000);
    sysfile::unmount(&t.up, None, "/n/77").unwrap();
    assert_eq!(copy.text("/").unwrap().lines().count(), 10_002);
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}

#[test]
fn a_path_crosses_so_many_mounts() {
    let (t, _) = with_ram();
    mkdir(&t, "/n/one");
    sysfile::bind(&t.up, "/n", "/n/one", MREPL).unwrap();
    sysfile::chdir(&t.up, &format!("/n{}", "/one".repeat(900))).unwrap();
    let long = format!("/n{}", "/one".repeat(2048));
    let e = sysfile::chdir(&t.up, &long).unwrap_err();
    assert!(e.is(error::ETOOLONG), "{e}");
    // Step by step it is no farther.
    let steps = (0..200).take_while(|_| sysfile::chdir(&t.up, "one").is_ok()).count();
    assert!(steps > 90 && steps < 110, "{steps}");
    sysfile::chdir(&t.up, "..").unwrap();
    assert!(sysfile::open(&t.up, ".", OREAD).is_ok());
    let dot = t.up.dot();
    sysfile::chdir(&t.up, "/").unwrap();
    drop_on_a_small_stack(dot);
}

#[test]
fn a_path_has_so_many_bytes() {
    let (t, _) = with_ram();
    let name = "x".repeat(1000);
    sysfile::chdir(&t.up, "/n").unwrap();
    let mut deep = 0;
    let error = loop {
        mkdir(&t, &name);
        match sysfile::chdir(&t.up, &name) {
            Ok(()) => deep += 1,
            Err(e) => break e,
        }
        if deep == 65 {
            break sysfile::open(&t.up, &"y".repeat(600), OREAD).unwrap_err();
        }
    };
    assert_eq!(deep, 65);
    assert!(error.is(error::ENONEXIST), "{error}");
    mkdir(&t, &name[..460]);
    sysfile::chdir(&t.up, &name[..460]).unwrap();
    let e = sysfile::create(&t.up, "0123456789", OREAD, 0o666).unwrap_err();
    assert!(e.is(error::ETOOLONG), "{e}");
    sysfile::chdir(&t.up, "..").unwrap();
    assert!(sysfile::open(&t.up, &"/".repeat(65_536), OREAD).unwrap_err().is(error::ETOOLONG));
    // Many elements are no trouble when they lead nowhere far.
    let back = "x/../".repeat(13_000);
    assert!(sysfile::open(&t.up, &format!("/n/{back}"), OREAD).unwrap_err().is(error::ENONEXIST));
}

/// Two directories, each mounted upon by a name that leads through the other: what is mounted upon was named through a
/// mount, which was named through a mount, and so on.
#[test]
fn mounts_within_mounts_go_so_deep() {
    let (t, ram) = with_ram();
    mkdir(&t, "/n/x");
    mkdir(&t, "/n/y");
    sysfile::bind(&t.up, "/n", "/n/x", MREPL).unwrap();
    let mut deep = 0;
    let error = loop {
        let (from, to) = if deep % 2 == 0 { ("x", "y") } else { ("y", "x") };
        if let Err(e) = sysfile::bind(&t.up, "/n", &format!("/n/{from}/{to}"), MREPL) {
            break e;
        }
        sysfile::unmount(&t.up, None, &format!("/n/{from}")).unwrap();
        deep += 1;
        assert!(deep < 1000);
    };
    assert!(error.is(error::ETOOLONG), "{error}");
    assert!(deep > 200, "{deep}");
    drop_on_a_small_stack(t.up.pgrp().copy().unwrap());
    drop(t);
    assert_eq!(ram.opens.load(Ordering::Relaxed), 0);
}
