//! `#m` as a program sees it.

use std::sync::Arc;

use abi::{OREAD, OWRITE, error};
use port::call::sysfile::{close, open, pread, pwrite};
use port::dev::mouse::{DEEP, Mouse};
use port::mem::iobuf::{Dst, Src};
use port::testkit::Hosted;
use port::{Proc, Result};

fn get(up: &Arc<Proc>, fd: i32) -> Result<String> {
    let mut buf = vec![0; 100];
    let n = pread(up, fd, &mut Dst::Kernel(&mut buf), -1)?;
    Ok(String::from_utf8_lossy(&buf[..n]).into_owned())
}

/// x, y and buttons of the next event, after a look at its form.
fn event(up: &Arc<Proc>, fd: i32) -> (i32, i32, u8) {
    let text = get(up, fd).unwrap();
    assert_eq!(text.len(), 49, "{text:?}");
    assert!(text.starts_with('m') && text.is_ascii());
    let field = |n: usize| {
        let field = &text[1 + 12 * n..13 + 12 * n];
        assert!(field.ends_with(' '), "{text:?}");
        field.trim().parse::<i32>().unwrap()
    };
    field(3);
    (field(0), field(1), field(2) as u8)
}

fn put(up: &Arc<Proc>, fd: i32, text: &str) -> Result<usize> {
    pwrite(up, fd, &Src::Kernel(text.as_bytes()), -1)
}

fn world(wheel: bool) -> (Hosted, Arc<Mouse>) {
    let mouse = Mouse::new(Some(wheel));
    (Hosted::with(vec![mouse.clone()], vec![], &[]), mouse)
}

/// The device says this.
fn says(mouse: &Mouse, bytes: &[u8]) {
    bytes.iter().for_each(|b| mouse.byte(*b));
}

#[test]
fn moves_are_one_and_buttons_are_each() {
    let (t, mouse) = world(false);
    let up = &t.up;
    says(&mouse, &[0x08, 9, 0]); // nobody listens, but the mouse has moved
    let fd = open(up, "#m/mouse", OREAD).unwrap();
    says(&mouse, &[0x08, 1, 0, 0x08, 2, 0, 0x09, 0, 0, 0x09, 0, 1, 0x08, 0, 0]);
    assert_eq!(event(up, fd), (332, 200, 0));
    assert_eq!(event(up, fd), (332, 199, 1));
    assert_eq!(event(up, fd), (332, 199, 0));
    // A reader waits for the device.
    let other = mouse.clone();
    let device = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(30));
        says(&other, &[0x0a, 0, 0]);
    });
    assert_eq!(event(up, fd), (332, 199, 4));
    device.join().unwrap();
    // The edges hold.
    (0..20).for_each(|_| says(&mouse, &[0x18, 0x00, 0xff]));
    assert_eq!(event(up, fd), (0, 0, 0));
}

#[test]
fn the_wheel_is_two_buttons() {
    let (t, mouse) = world(true);
    let fd = open(&t.up, "#m/mouse", OREAD).unwrap();
    says(&mouse, &[0x08, 0, 0, 0xff, 0x09, 0, 0, 2]);
    let got: Vec<u8> = (0..6).map(|_| event(&t.up, fd).2).collect();
    assert_eq!(got, [8, 0, 17, 1, 17, 1]);
}

#[test]
fn one_reader_and_a_bounded_queue() {
    let (t, mouse) = world(false);
    let up = &t.up;
    let fd = open(up, "#m/mouse", OREAD).unwrap();
    assert!(open(up, "#m/mouse", OREAD).unwrap_err().to_string().ends_with(error::EINUSE));
    assert!(open(up, "#m/mouse", OREAD).is_err(), "failing to open does not end the other's use");
    for n in 0..3 * DEEP {
        says(&mouse, &[0x08 | (n % 2) as u8, 0, 0]);
    }
    says(&mouse, &[0x0c, 0, 0]);
    let all: Vec<u8> = (0..DEEP).map(|_| event(up, fd).2).collect();
    assert_eq!(all.last(), Some(&2), "the newest state is always there");
    close(up, fd).unwrap();
    says(&mouse, &[0x08, 0, 0]);
    let fd = open(up, "#m/mouse", OREAD).unwrap();
    says(&mouse, &[0x08, 1, 0]);
    assert_eq!(event(up, fd), (321, 200, 0), "nothing from before");
}

#[test]
fn messages() {
    let (t, mouse) = world(false);
    let up = &t.up;
    let fd = open(up, "#m/mouse", OREAD).unwrap();
    let ctl = open(up, "#m/mousectl", OWRITE).unwrap();
    let pointer = open(up, "#m/mouse", OWRITE).unwrap();
    put(up, ctl, "swap\n").unwrap();
    says(&mouse, &[0x09, 0, 0]);
    assert_eq!(event(up, fd).2, 4);
    put(up, ctl, "buttonmap 213").unwrap();
    says(&mouse, &[0x09, 0, 0]);
    assert_eq!(event(up, fd).2, 2);
    put(up, ctl, "buttonmap").unwrap();
    put(up, pointer, "m 7 9999").unwrap();
    assert_eq!(event(up, fd), (7, 399, 2));
    put(up, ctl, "accelerated").unwrap();
    put(up, pointer, "m 7 9").unwrap();
    event(up, fd);
    says(&mouse, &[0x09, 4, 0]);
    assert_eq!(event(up, fd).0, 11, "for aiming");
    says(&mouse, &[0x09, 5, 0]);
    assert_eq!(event(up, fd).0, 21);
    put(up, ctl, "accelerated 10").unwrap();
    says(&mouse, &[0x09, 5, 0]);
    assert_eq!(event(up, fd).0, 71);
    for all in ["linear", "res 3", "hwaccel off", "ps2intellimouse", "reset"] {
        put(up, ctl, all).unwrap();
    }
    says(&mouse, &[0x09, 5, 0]);
    assert_eq!(event(up, fd).0, 76);
    for bad in ["accelerated 0", "accelerated 11", "accelerated x", "res 4", "hwaccel", "linear 1"] {
        assert!(put(up, ctl, bad).unwrap_err().to_string().ends_with(error::EBADCTL), "{bad}");
    }
    for bad in ["", "buttonmap 123 4", "buttonmap 112", "buttonmap 124", "fly", "swap 1"] {
        assert!(put(up, ctl, bad).unwrap_err().to_string().ends_with(error::EBADCTL), "{bad}");
    }
    for bad in ["7 9", "m", "m 7", "m x y"] {
        assert!(put(up, pointer, bad).is_err(), "{bad}");
    }
}

#[test]
fn no_mouse_no_files() {
    let t = Hosted::with(vec![Mouse::new(None)], vec![], &[]);
    assert!(open(&t.up, "#m/mouse", OREAD).unwrap_err().to_string().ends_with(error::ENONEXIST));
    let dir = open(&t.up, "#m", OREAD).unwrap();
    assert_eq!(get(&t.up, dir).unwrap(), "");
}
