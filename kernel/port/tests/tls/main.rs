//! `#a`: records of TLS between two ends, with a liar, and with OpenSSL.
#![allow(missing_docs, clippy::unwrap_used)]

mod ends;
mod lies;
mod openssl;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use abi::{MREPL, ORDWR};
use port::call::sysfile::{bind, open, pread, pwrite};
use port::dev::tls::Tls;
use port::mem::iobuf::{Dst, Src};
use port::mnt::MntDev;
use port::testkit::Hosted;
use port::{Proc, Result};

fn world() -> Hosted {
    let t = Hosted::with(vec![Tls::new(), MntDev::channels()], Vec::new(), &[]);
    bind(&t.up, "#a", "/net", MREPL).unwrap();
    t
}

fn get(up: &Arc<Proc>, fd: i32, max: usize) -> Result<Vec<u8>> {
    let mut buf = vec![0; max];
    let n = pread(up, fd, &mut Dst::Kernel(&mut buf), -1)?;
    buf.truncate(n);
    Ok(buf)
}

fn put(up: &Arc<Proc>, fd: i32, bytes: &[u8]) -> Result<usize> {
    pwrite(up, fd, &Src::Kernel(bytes), -1)
}

/// Long enough for another thread to go to sleep where it will.
fn settle() {
    std::thread::sleep(Duration::from_millis(30));
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let held =
            three.iter().fold(0u32, |held, byte| held << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for n in 0..4 {
            let digit = DIGITS[(held >> (18 - 6 * n) & 63) as usize];
            out.push(if n > three.len() { '=' } else { char::from(digit) });
        }
    }
    out
}

/// A conversation, by its open files.
#[derive(Clone)]
struct End {
    up: Arc<Proc>,
    dir: String,
    ctl: i32,
    hand: i32,
}

impl End {
    /// One whose records go through `fd`.
    fn new(up: &Arc<Proc>, fd: i32, version: u16) -> End {
        let end = End::bare(up);
        end.says(&format!("fd {fd} {version:#x}")).unwrap();
        end
    }

    /// One that has not begun.
    fn bare(up: &Arc<Proc>) -> End {
        let ctl = open(up, "/net/tls/clone", ORDWR).unwrap();
        let number = String::from_utf8(get(up, ctl, 20).unwrap()).unwrap();
        let dir = format!("/net/tls/{number}");
        let hand = open(up, &format!("{dir}/hand"), ORDWR).unwrap();
        End { up: up.clone(), dir, ctl, hand }
    }

    /// Writes a message to `ctl`.
    fn says(&self, message: &str) -> Result<usize> {
        put(&self.up, self.ctl, message.as_bytes())
    }

    /// The error that a message gives.
    fn wrong(&self, message: &str) -> String {
        self.says(message).unwrap_err().text().into()
    }

    fn data(&self) -> i32 {
        open(&self.up, &format!("{}/data", self.dir), ORDWR).unwrap()
    }

    fn text(&self, file: &str) -> String {
        let path = format!("{}/{file}", self.dir);
        String::from_utf8(port::testkit::read_file(&self.up, &path).unwrap()).unwrap()
    }

    /// The value of a line of `status`.
    fn status(&self, name: &str) -> Option<String> {
        let all = self.text("status");
        let line = all.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))?;
        Some(line.into())
    }
}

/// A secret that is long enough for all.
fn secret(seed: u8) -> String {
    base64(&(0..160u8).map(|n| n.wrapping_mul(7).wrapping_add(seed)).collect::<Vec<_>>())
}
