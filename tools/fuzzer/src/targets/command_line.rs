//! Any command line gives words that can be variables' names, and a remark for each that cannot.

use port::dev::cons::cmdline;

/// Tries these bytes.
pub fn run(bytes: &[u8]) {
    let line = String::from_utf8_lossy(bytes);
    let (good, bad) = cmdline::parse(&line);
    assert!(good.len() + bad.len() <= bytes.len());
    let (whole, _) = cmdline::parse_cut(&line, bytes.len() + 1, bytes.len());
    assert!(good.starts_with(&whole) && good.len() <= whole.len() + 1);
    for (name, _) in &good {
        let odd = |b: u8| b <= b' ' || b == b'/' || b == 0x7f;
        assert!(!name.is_empty() && name != "." && name != ".." && !name.bytes().any(odd), "{name:?}");
    }
    let _ = cmdline::places(&good).count();
    if let Some(count) = cmdline::ncpu(&good) {
        assert!(count > 0 || good.iter().any(|(n, v)| n.ends_with("ncpu") && v.contains('0')));
    }
    // What is quoted comes back as it was.
    for (name, value) in &good {
        let again = format!("{}={}", abi::quote::quote(name), abi::quote::quote(value));
        let words = abi::quote::tokenize(&again);
        assert_eq!(words.first().map(String::as_str), Some(format!("{name}={value}").as_str()), "{again}");
    }
}
