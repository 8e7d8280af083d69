//! The host's end of the serial ports and of connections over the user network: takes, gives or echoes what the guest
//! asks for.
//!
//! The guest sends a head of 32 bytes, filled with blanks, whose last is a newline:
//!
//! * `W n`: it will send n bytes; this end takes them all, and answers `K`;
//! * `R n`: this end sends n bytes;
//! * `E n k`: n messages of k bytes, each of which is sent back when it is whole.
//!
//! What comes between and begins with none of these letters is passed over. A thread for each port lives as long as
//! the port's connection; there are no locks. Datagrams are sent back as they come.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;

/// The size of a head.
const HEAD: usize = 32;
/// How much is moved at once.
const PIECE: usize = 1 << 16;

/// Listens on the socket `path`, and serves who connects. Threads begun here use the processors of who calls.
pub fn listen(path: &Path) -> Result<()> {
    let listener = UnixListener::bind(path)?;
    std::thread::spawn(move || {
        if let Ok((stream, _)) = listener.accept() {
            // QEMU's end is the end.
            let _ = serve(stream);
        }
    });
    Ok(())
}

/// Listens at a port of the host's loopback, for TCP and UDP, and serves who calls: the port.
pub fn listen_tcp() -> Result<u16> {
    let (listener, datagrams) = loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        // Somebody may have the other one of the two.
        if let Ok(datagrams) = UdpSocket::bind(listener.local_addr()?) {
            break (listener, datagrams);
        }
    };
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = stream.set_nodelay(true);
            std::thread::spawn(move || serve(stream));
        }
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((n, from)) = datagrams.recv_from(&mut buffer) {
            let _ = datagrams.send_to(&buffer[..n], from);
        }
    });
    Ok(port)
}

/// What the guest asks for.
#[derive(Debug, PartialEq)]
enum Asked {
    Take(u64),
    Give(u64),
    Echo(u64, usize),
}

impl Asked {
    fn parse(head: &[u8]) -> Option<Asked> {
        let text = std::str::from_utf8(head).ok()?;
        let words: Vec<&str> = text.split_whitespace().collect();
        Some(match words[..] {
            ["W", n] => Asked::Take(n.parse().ok()?),
            ["R", n] => Asked::Give(n.parse().ok()?),
            ["E", n, k] => Asked::Echo(n.parse().ok()?, k.parse().ok().filter(|k| (1..=PIECE).contains(k))?),
            _ => return None,
        })
    }
}

fn serve(mut stream: impl Read + Write) -> Result<()> {
    let mut buffer = vec![b'x'; PIECE];
    loop {
        let mut head = [0; HEAD];
        while !b"WRE".contains(&head[0]) {
            stream.read_exact(&mut head[..1])?;
        }
        stream.read_exact(&mut head[1..])?;
        match Asked::parse(&head).ok_or(ErrorKind::InvalidData)? {
            Asked::Take(mut left) => {
                while left > 0 {
                    let piece = PIECE.min(usize::try_from(left).unwrap_or(PIECE));
                    match stream.read(&mut buffer[..piece])? {
                        0 => return Ok(()),
                        n => left -= n as u64,
                    }
                }
                stream.write_all(b"K")?;
            }
            Asked::Give(mut left) => {
                buffer.fill(b'x');
                while left > 0 {
                    let piece = PIECE.min(usize::try_from(left).unwrap_or(PIECE));
                    stream.write_all(&buffer[..piece])?;
                    left -= piece as u64;
                }
            }
            Asked::Echo(times, size) => {
                for _ in 0..times {
                    stream.read_exact(&mut buffer[..size])?;
                    stream.write_all(&buffer[..size])?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn it_takes_gives_and_echoes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("port");
        listen(&path).unwrap();
        let mut guest = UnixStream::connect(path).unwrap();
        let head = |text: &str| format!("{text:<31}\n");
        guest.write_all(b"..").unwrap();
        guest.write_all(head("W 100000").as_bytes()).unwrap();
        guest.write_all(&[7; 100000]).unwrap();
        let mut byte = [0];
        guest.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"K");
        guest.write_all(head("R 70000").as_bytes()).unwrap();
        let mut given = vec![0; 70000];
        guest.read_exact(&mut given).unwrap();
        assert!(given.iter().all(|b| *b == b'x'));
        guest.write_all(head("E 2 3").as_bytes()).unwrap();
        for message in [b"abc", b"def"] {
            guest.write_all(message).unwrap();
            let mut back = [0; 3];
            guest.read_exact(&mut back).unwrap();
            assert_eq!(&back, message);
        }
    }

    #[test]
    fn nonsense_is_asked_by_nobody() {
        for head in ["W", "W x", "R 1 2", "E 1", "E 1 0", "E 1 65537", "Q 1", ""] {
            assert_eq!(Asked::parse(head.as_bytes()), None, "{head}");
        }
        assert_eq!(Asked::parse(b"E 3 64   \n"), Some(Asked::Echo(3, 64)));
    }
}
