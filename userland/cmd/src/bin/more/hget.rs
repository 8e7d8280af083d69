//! hget [-v] [-o file] url: copy what is at a URL of http or https to a file, or to the standard output. See hget(1).

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use abi::{ORDWR, OTRUNC, OWRITE, Rfork};
use cmd::http::{Body, HEAD, Head, Reader, Url, head_end};
use lib9::proc::Noted;
use lib9::{Args, Error, File, Fork, Result, eprintln, error, fd, net, proc, usage};

/// Replies that send one on.
const MOST: usize = 10;
/// What talks TLS.
const TLS: &str = "/bin/tlsclient";

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
            eprintln!("{}://{}:{}{}", url.scheme(), url.host, url.port, url.path);
        }
        match get(&url, name)? {
            Some(location) => url = url.join(&location)?,
            None => return Ok(()),
        }
    }
    Err("it is sent on and on".into())
}

/// A conversation with a server, which ends with it.
struct Talk {
    data: File,
    /// The process between us and the network, if it is to be secret.
    between: Option<i32>,
}

impl Talk {
    fn begin(url: &Url) -> Result<Talk> {
        let address = alloc::format!("tcp!{}!{}", url.host, url.port);
        if !url.secure {
            let conn = net::dial(&address).map_err(|e| error!("{}: {e}", url.host))?;
            conn.keep_alive();
            return Ok(Talk { data: conn.data, between: None });
        }
        let [ours, theirs] = fd::pipe()?;
        match proc::rfork(Rfork::PROC | Rfork::FDG)? {
            Fork::Child => {
                let quiet = fd::open("/dev/null", ORDWR).and_then(|null| fd::dup(null, 2));
                let ready = quiet.and_then(|_| fd::dup(theirs, 0)).and_then(|_| fd::dup(theirs, 1));
                let _ = fd::close(ours).and_then(|()| fd::close(theirs));
                let failed = ready.and_then(|_| proc::exec(TLS, &["tlsclient", "-n", &url.host, &address]));
                proc::exits_now(&failed.err().map(|e| error!("{TLS}: {e}")).map(String::from).unwrap_or_default());
            }
            Fork::Parent(pid) => {
                fd::close(theirs)?;
                Ok(Talk { data: File::from_fd(ours), between: Some(pid) })
            }
        }
    }

    /// Reads more; nothing is the end that the server has made, and nobody on the way.
    fn read(&mut self, piece: &mut [u8]) -> Result<usize> {
        let n = self.data.read(piece)?;
        if n == 0 && self.between.take().is_some() {
            let ended = proc::await_()?;
            if !ended.msg.is_empty() {
                // What is before the colon is who says it.
                let why = ended.msg.split_once(": ").map_or(ended.msg.as_str(), |(_, why)| why);
                return Err(Error::from(String::from(why)));
            }
        }
        Ok(n)
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        if let Some(pid) = self.between {
            let _ = proc::postnote(pid, "kill");
            let _ = proc::await_();
        }
    }
}

/// Copies what is at the URL; where it is instead, if it is not there.
fn get(url: &Url, name: Option<&str>) -> Result<Option<String>> {
    let mut talk = Talk::begin(url)?;
    let (mut bytes, mut piece) = (Vec::new(), vec![0; fd::PIECE]);
    // What is between may be gone already: reading tells why.
    proc::notify(Some(|note| match note.starts_with("sys: write on closed pipe") {
        true => Noted::Continue,
        false => Noted::Default,
    }))?;
    let asked = talk.data.write_all(url.request().as_bytes());
    proc::notify(None)?;
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
        match talk.read(&mut piece)? {
            0 => return asked.and_then(|()| Err("no reply of HTTP/1".into())),
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
        let n = talk.read(&mut piece)?;
        if n == 0 {
            return if head.body == Body::Open { Ok(None) } else { Err(Error::from("the reply ends early")) };
        }
        reader.take(piece.get(..n).unwrap_or_default(), &mut put)?;
    }
    Ok(None)
}
