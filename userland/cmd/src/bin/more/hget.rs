//! hget [-lvP] [-o file] [-p body] [-r header] [-m method] [-b baseurl] url: copy what is at a URL of http or https to
//! a file, or to the standard output; or give something to it. See hget(1).

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use abi::{ORDWR, OTRUNC, OWRITE, Rfork};
use cmd::http::{Body, HEAD, Head, Reader, Request, Url, head_end};
use lib9::proc::Noted;
use lib9::{Args, Error, File, Fork, Result, eprintln, error, fd, net, out, println, proc, usage};

/// Replies that send one on.
const MOST: usize = 10;
/// What talks TLS.
const TLS: &str = "/bin/tlsclient";

pub fn main(args: &Args) -> Result<()> {
    let synopsis =
        || -> ! { usage(args, "[-lvP] [-o file] [-p body] [-r header] [-m method] [-b baseurl] url") };
    let (mut tells, mut locates, mut name, mut body) = (false, false, None, None);
    let (mut method, mut base, mut headers) = (None, None, Vec::new());
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        let mut value = || flags.value().unwrap_or_else(|_| synopsis());
        match letter {
            'v' => tells = true,
            'l' => locates = true,
            'o' => name = Some(value()),
            'p' => body = Some(value().as_bytes().to_vec()),
            'P' => body = Some(fd::read_all(0)?),
            'r' => headers.push(value()),
            'm' => method = Some(value()),
            'b' => base = Some(value()),
            _ => synopsis(),
        }
    }
    let [text] = flags.rest() else { synopsis() };
    if locates && name.is_some() {
        synopsis();
    }
    let url = match base {
        Some(base) => Url::parse(base)?.joined(text)?,
        None => Url::parse(text)?,
    };
    let request = Request::new(method, &headers, body)?;
    let mut hget = Hget { url, request, tells, locates };
    if locates {
        // For what is given it is enough to know where it can be had.
        drop(hget.ask()?);
        println!("{}", hget.url.text());
        return out::flush();
    }
    match name {
        None => match hget.ask()? {
            Some(mut reply) => reply.copy(1),
            None => Ok(()),
        },
        Some(name) => hget.keep(name),
    }
}

/// What is wanted, and from where.
struct Hget {
    url: Url,
    request: Request,
    tells: bool,
    locates: bool,
}

impl Hget {
    /// Asks, also where one is sent on to; nothing when it is only wanted to know where what was given can be had.
    fn ask(&mut self) -> Result<Option<Reply>> {
        for _ in 0..MOST {
            if self.tells {
                eprintln!("{}", self.url.text());
            }
            let reply = Reply::to(&self.request, &self.url)?;
            match (reply.head.code, &reply.head.location) {
                (code @ (301 | 302 | 303 | 307 | 308), Some(location)) => {
                    let to = self.url.join(location)?;
                    let gave = self.request.gives();
                    self.request = self.request.clone().sent_on(code, !to.is_at(&self.url));
                    self.url = to;
                    if self.locates && gave && !self.request.gives() {
                        return Ok(None);
                    }
                }
                (200..=299, _) => return Ok(Some(reply)),
                (code, _) => return Err(error!("{code} {}", reply.head.reason)),
            }
        }
        Err("it is sent on and on".into())
    }

    /// Brings a file up to the page: nothing is done if it is as long and not older, and only what lacks is fetched if
    /// it is shorter.
    fn keep(&mut self, name: &str) -> Result<()> {
        let there = fd::stat(name).ok().filter(|dir| dir.length > 0 && self.request.is_get());
        let mut from = 0;
        if let Some(dir) = there {
            let request = self.request.clone();
            self.request = request.head_only();
            let head = self.ask().ok().flatten().map(|reply| reply.head.clone());
            self.request = request;
            // What does not say when it has changed may have.
            let is_old = |head: &Head| head.modified.is_none_or(|at| at > i64::from(dir.mtime));
            match head.filter(|head| !is_old(head)).and_then(|head| head.length) {
                Some(length) if length == dir.length => return Ok(()),
                Some(length) if length > dir.length => from = dir.length,
                _ => {}
            }
        }
        if from > 0 {
            let request = self.request.clone();
            self.request = request.behind(from);
            let reply = self.ask();
            self.request = request;
            if let Ok(Some(mut reply)) = reply
                && reply.head.code == 206
                && reply.head.from == Some(from)
            {
                let file = File::open(name, OWRITE)?;
                file.seek(0, 2)?;
                return reply.copy(file.fd());
            }
        }
        // Nothing is made of a reply that is none.
        let Some(mut reply) = self.ask()? else { return Ok(()) };
        let file = File::create(name, OWRITE | OTRUNC, 0o666).map_err(|e| error!("create {name}: {e}"))?;
        reply.copy(file.fd())
    }
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

/// A reply whose body is still to come.
struct Reply {
    talk: Talk,
    head: Head,
    /// What has come of the body already.
    begun: Vec<u8>,
}

impl Reply {
    /// That of the server to a request.
    fn to(request: &Request, url: &Url) -> Result<Reply> {
        let mut talk = Talk::begin(url)?;
        let (mut bytes, mut piece) = (Vec::new(), vec![0; fd::PIECE]);
        // What is between may be gone already: reading tells why.
        proc::notify(Some(|note| match note.starts_with("sys: write on closed pipe") {
            true => Noted::Continue,
            false => Noted::Default,
        }))?;
        let asked = talk.data.write_all(&request.bytes(url));
        proc::notify(None)?;
        loop {
            if let Some((end, behind)) = head_end(&bytes) {
                let mut head = Head::parse(bytes.get(..end).unwrap_or_default())?;
                bytes.drain(..behind);
                // What is said on the way, before the reply.
                if (100..200).contains(&head.code) {
                    continue;
                }
                if request.is_head() {
                    head.body = Body::Length(0);
                }
                return Ok(Reply { talk, head, begun: bytes });
            }
            if bytes.len() > HEAD {
                return Err("the reply's head is too long".into());
            }
            match talk.read(&mut piece)? {
                0 => return asked.and_then(|()| Err("no reply of HTTP/1".into())),
                n => bytes.extend_from_slice(piece.get(..n).unwrap_or_default()),
            }
        }
    }

    /// Copies the body.
    fn copy(&mut self, to: i32) -> Result<()> {
        let mut put = |bytes: &[u8]| fd::write_all(to, bytes).map_err(String::from);
        let mut reader = Reader::new(self.head.body);
        reader.take(&core::mem::take(&mut self.begun), &mut put)?;
        let mut piece = vec![0; fd::PIECE];
        while !reader.is_whole() {
            let n = self.talk.read(&mut piece)?;
            if n == 0 {
                return if self.head.body == Body::Open { Ok(()) } else { Err("the reply ends early".into()) };
            }
            reader.take(piece.get(..n).unwrap_or_default(), &mut put)?;
        }
        Ok(())
    }
}
