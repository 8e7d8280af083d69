//! tlsclient [-D] [-c certificate] [-k key] [-n name] [-t trusted] [-x excluded] address [command [arg ...]]: talk
//! with a server by TLS. See tlsclient(8).

use lib9::{Args, Result, eprintln, error, file, net, usage};
use tls::config;
use tls::end::End;
use tls::trust::{Thumbprints, Trust, Way, anchors, line};

use crate::talk::{Ends, Wire, greet, run, talk};
use crate::{identity, now, random};

/// Whose certificates are trusted, unless `-t` says otherwise.
const ANCHORS: &str = "/sys/lib/tls/ca.pem";

pub fn main(args: &Args) -> Result<()> {
    let synopsis = || -> ! {
        usage(
            args,
            "[-D] [-c certificate] [-k key] [-n name] [-t trusted] [-x excluded] address [command [arg ...]]",
        )
    };
    let (mut tells, mut name, mut trusted, mut excluded) = (false, None, None, None);
    let (mut certificate, mut key) = (None, None);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        let mut value = || Some(flags.value().unwrap_or_else(|_| synopsis()));
        match letter {
            'D' => tells = true,
            'c' => certificate = value(),
            'k' => key = value(),
            'n' => name = value(),
            't' => trusted = value(),
            'x' => excluded = value(),
            _ => synopsis(),
        }
    }
    let [address, command @ ..] = flags.rest() else { synopsis() };
    if certificate.is_none() && key.is_some() {
        synopsis();
    }
    let identity = certificate.map(|name| identity(name, key.unwrap_or(name))).transpose()?;
    let config = config::client(random, now, trust(trusted, excluded)?, identity)?;
    let address = net::make_addr(address, "tcp", "https");
    let host = address.split('!').nth(1).unwrap_or_default();
    let conn = net::dial(&address).map_err(|e| error!("can't dial {address}: {e}"))?;
    conn.keep_alive();
    let mut end = End::client(config, name.unwrap_or(host))?;
    let wire = Wire { input: conn.data.fd(), output: conn.data.fd() };
    greet(&mut end, wire)?;
    if tells {
        let known = end.certificate().map(line).unwrap_or_default();
        eprintln!("{}: {}: {}", args.name(), end.kind(), known);
    }
    let ends = match command.is_empty() {
        true => Ends { input: 0, output: 1, command: false },
        false => run(command, &[conn.data.fd(), conn.ctl.fd()])?,
    };
    let status = talk(end, wire, ends)?;
    lib9::exits(&status)
}

/// Whom the files say that one trusts.
fn trust(trusted: Option<&str>, excluded: Option<&str>) -> Result<Trust> {
    let way = match trusted {
        Some(name) => Way::Known(prints(name)?),
        None => {
            let pem = file::read(ANCHORS).map_err(|e| error!("{ANCHORS}: {e}"))?;
            Way::Anchors(anchors(&pem).map_err(|e| error!("{ANCHORS}: {e}"))?)
        }
    };
    let excluded = match excluded {
        Some(name) => Some(prints(name)?)
            .filter(|prints| !prints.is_empty())
            .ok_or_else(|| error!("{name}: no thumbprint is in it"))?,
        None => Thumbprints::default(),
    };
    Ok(Trust { way, excluded })
}

fn prints(name: &str) -> Result<Thumbprints> {
    let mut read = |name: &str| file::read_string(name).map_err(|e| alloc::format!("{name}: {e}"));
    let text = read(name)?;
    Thumbprints::parse(&text, &mut read).map_err(|e| error!("{name}: {e}"))
}
