//! snoop [-x] [-n count] [-t type] [ether]: tell of each frame that a network card hears or sends.
//!
//! -n ends behind so many, -t wants one type of frames only, -x shows their bytes as well.

use alloc::format;

use cmd::snoop::describe;
use cmd::xd::{Dumper, Format};
use lib9::{Args, File, Result, error, out, print, proc, usage};

/// The card that is meant when none is named.
const CARD: &str = "/net/ether0";
/// Bytes of the longest frame.
const FRAME: usize = 65536;

pub fn main(args: &Args) -> Result<()> {
    let synopsis = "[-x] [-n count] [-t type] [ether]";
    let (mut count, mut kind, mut dump) = (None, "-1", false);
    let mut flags = args.flags();
    while let Some(flag) = flags.next() {
        match flag {
            'x' => dump = true,
            'n' => count = flags.value().ok().and_then(|n| n.parse::<u64>().ok()).or_else(|| usage(args, synopsis)),
            't' => kind = flags.value().unwrap_or_else(|_| usage(args, synopsis)),
            _ => usage(args, synopsis),
        }
    }
    let card = match flags.rest() {
        [] => CARD,
        [card] => card,
        _ => usage(args, synopsis),
    };
    let name = format!("{card}/clone");
    let ctl = File::open(&name, abi::ORDWR).map_err(|e| error!("can't open {name}: {e}"))?;
    let mut number = [0; 32];
    let n = ctl.read(&mut number)?;
    let number = core::str::from_utf8(number.get(..n).unwrap_or(&[])).unwrap_or("").trim();
    let name = format!("{card}/{number}/data");
    let data = File::open(&name, abi::OREAD).map_err(|e| error!("can't open {name}: {e}"))?;
    ctl.write_all(b"promiscuous")?;
    ctl.write_all(format!("connect {kind}").as_bytes()).map_err(|e| error!("type {kind}: {e}"))?;
    let dumper = Dumper { formats: Format::parse("1x").into_iter().collect(), address: 16, ..Dumper::default() };
    let begin = proc::nsec();
    let mut frame = alloc::vec![0; FRAME];
    let mut seen = 0;
    while count.is_none_or(|count| seen < count) {
        let n = data.read(&mut frame).map_err(|e| error!("{name}: {e}"))?;
        let bytes = frame.get(..n).unwrap_or(&[]);
        print!("{:>7} {}\n", (proc::nsec() - begin) / 1_000_000, describe(bytes));
        if dump {
            let mut run = dumper.start();
            bytes.chunks(16).for_each(|line| print!("{}", run.line(line)));
            print!("{}", run.end());
        }
        out::flush()?;
        seen += 1;
    }
    Ok(())
}
