//! A session of any requests with the test server: it may fall silent, it may not panic, and every reply decodes.

use ninep::testserver::Server;
use ninep::{Dialect, Rmsg, Tmsg};

/// Tries these bytes.
pub fn run(bytes: &[u8]) {
    let Some((&first, mut rest)) = bytes.split_first() else { return };
    let dialect = Dialect::ALL[usize::from(first) % 3];
    let mut server = if dialect == Dialect::P9 { Server::plan9() } else { Server::new() };
    let _ = server.host.file("d/f", b"hello");
    let _ = server.host.link("l", b"d");
    server.readonly = first & 0x80 != 0;
    let hello = Tmsg::Version { msize: 8192, version: dialect.version().into() };
    for t in [hello, ninep::translate::attach(0, "", "")] {
        server.handle(&t.to_vec(dialect, 0).unwrap_or_default());
    }
    // Requests as length, type, body: the size and tag are filled in.
    while let [n, kind, tail @ ..] = rest {
        let (body, after) = tail.split_at(usize::from(*n).min(tail.len()));
        rest = after;
        let size = (body.len() as u32 + 7).to_le_bytes();
        let request = [&size[..], &[*kind, 1, 0], body].concat();
        let reply = server.handle(&request);
        let readable = Dialect::ALL.iter().any(|d| Rmsg::decode(*d, &reply).is_ok_and(|(tag, _)| tag == 1));
        assert_eq!(readable, server.broken().is_none());
    }
}
