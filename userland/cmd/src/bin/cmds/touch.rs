//! touch [-c] [-t time] file ...: set the modification time to now, or to `time` seconds since 1970. A missing file
//! is created, unless -c.

use lib9::{Args, Dir, Result, eprintln, error, exits, fd, proc, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut create = true;
    let mut time = None;
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'c' => create = false,
            't' => {
                let text = flags.value().unwrap_or_else(|_| synopsis(args));
                let seconds = cmd::number::integer(text).unwrap_or_else(|| synopsis(args));
                // One more is what says that a time stays as it is.
                let kept = u32::try_from(seconds).ok().filter(|s| *s < u32::MAX);
                time = Some(kept.ok_or_else(|| error!("{text}: files have times from 1970 to February 2106"))?);
            }
            _ => synopsis(args),
        }
    }
    if flags.rest().is_empty() {
        synopsis(args);
    }
    let now = time.unwrap_or_else(|| proc::seconds() as u32);
    let mut failed = false;
    for name in flags.rest() {
        let change = Dir { mtime: now, ..Dir::untouched() };
        let mut done = fd::wstat(name, &change);
        if done.is_err() && create && fd::stat(name).is_err() {
            done = fd::create(name, abi::OREAD | abi::OEXCL, 0o666).and_then(|f| {
                let set = if time.is_some() { fd::fwstat(f, &change) } else { Ok(()) };
                fd::close(f).and(set)
            });
        }
        if let Err(e) = done {
            eprintln!("touch: {name}: {e}");
            failed = true;
        }
    }
    if failed { exits("touch") } else { Ok(()) }
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-c] [-t time] file ...")
}
