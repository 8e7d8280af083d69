//! hget [-v] [-o file] url: copy what is at a URL of http to a file, or to the standard output. See hget(1).

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use abi::{OTRUNC, OWRITE};
use cmd::http::{Body, HEAD, Head, Reader, Url, head_end};
use lib9::{Args, Error, File, Result, eprintln, error, fd, net, usage};

/// Replies that send one on.
const MOST: usize = 10;

pub fn main(args: &Args) -> Result<()> {
    let synopsis = || -> ! { usage(args, "[-v] [-o file] url") };
    let (mut tells, mut name) = (false, None);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'v' => tells = true,
            'o' => name = Some(flags.value().unwrap_or_else(|_| synopsis())),
            _ => synopsis(),
        }
    }
    let [text] = flags.rest() else { synopsis() };
    let mut url = Url::parse(text)?;
    for _ in 0..MOST {
        if tells {
            eprintln!("http://{}:{}{}", url.host, url.port, url.path);
        }
        match get(&url, name)? {
            Some(location) => url = url.join(&location)?,
            None => return Ok(()),
        }
    }
    Err("it is sent on and on".into())
}

/// Copies what is at the URL; where it is instead, if it is not there.
fn get(url: &Url, name: Option<&str>) -> Result<Option<String>> {
    let address = alloc::format!("tcp!{}!{}", url.host, url.port);
    let conn = net::dial(&address).map_err(|e| error!("{}: {e}", url.host))?;
    conn.keep_alive();
    conn.data.write_all(url.request().as_bytes())?;
    let (mut bytes, mut piece) = (Vec::new(), vec![0; fd::PIECE]);
    let (head, behind) = loop {
        if let Some((end, behind)) = head_end(&bytes) {
            let head = Head::parse(bytes.get(..end).unwrap_or_default())?;
            // What is said on the way, before the reply.
            if !(100..200).contains(&head.code) {
                break (head, behind);
            }
            bytes.drain(..behind);
            continue;
        }
        if bytes.len() > HEAD {
            return Err("the reply's head is too long".into());
        }
        match conn.data.read(&mut piece)? {
            0 => return Err("no reply of HTTP/1".into()),
            n => bytes.extend_from_slice(piece.get(..n).unwrap_or_default()),
        }
    };
    match (head.code, head.location) {
        (301 | 302 | 303 | 307 | 308, Some(location)) => return Ok(Some(location)),
        (200, _) => {}
        (code, _) => return Err(error!("{code} {}", head.reason)),
    }
    // Nothing is made of a reply that is none.
    let out = match name {
        Some(name) => File::create(name, OWRITE | OTRUNC, 0o666).map_err(|e| error!("create {name}: {e}"))?,
        None => File::from_fd(fd::dup(1, -1)?),
    };
    let mut put = |bytes: &[u8]| fd::write_all(out.fd(), bytes).map_err(String::from);
    let mut reader = Reader::new(head.body);
    reader.take(bytes.get(behind..).unwrap_or_default(), &mut put)?;
    while !reader.is_whole() {
        let n = conn.data.read(&mut piece)?;
        if n == 0 {
            return if head.body == Body::Open { Ok(None) } else { Err(Error::from("the reply ends early")) };
        }
        reader.take(piece.get(..n).unwrap_or_default(), &mut put)?;
    }
    Ok(None)
}
