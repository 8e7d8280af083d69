//! split [-n lines] [-e expression] [-f stem] [-s suffix] [-x] [-i] [file]: write a file in pieces, of so many lines or
//! from each line on that matches.

use alloc::string::String;
use alloc::vec::Vec;

use cmd::regexp::parse;
use cmd::split::Split;
use lib9::{Args, Dir, File, Out, Reader, Result, error, fd, usage};

pub fn main(args: &Args) -> Result<()> {
    let mut split = Split::new();
    let mut patterns: Vec<String> = Vec::new();
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        let mut value = || flags.value().unwrap_or_else(|_| synopsis(args));
        match letter {
            'n' | 'l' => {
                split.lines = value().parse().ok().filter(|n| *n > 0).unwrap_or_else(|| synopsis(args));
            }
            'e' => patterns.push(value().into()),
            'f' => split.stem = value().into(),
            's' => split.suffix = value().into(),
            'x' => split.exclude = true,
            'i' => split.lower = true,
            _ => synopsis(args),
        }
    }
    if !patterns.is_empty() {
        let re = parse(&patterns.join("\n"), split.lower).map_err(|e| error!("bad expression: {e}"))?;
        split.at = Some(re);
    }
    let input = match flags.rest() {
        [] => File::from_fd(0),
        [name] => cmd::lines::open(name)?,
        _ => synopsis(args),
    };
    let source = input.stat().ok();
    let mut reader = Reader::new(input.fd());
    let mut output: Option<Piece> = None;
    // What was read before something is wrong is in its file all the same.
    let done = pieces(&mut split, &mut reader, source.as_ref(), &mut output);
    done.and(finish(output))
}

/// A file that is being written, with its name.
type Piece = (String, File, Out);

fn pieces(
    split: &mut Split,
    reader: &mut Reader,
    source: Option<&Dir>,
    output: &mut Option<Piece>,
) -> Result<()> {
    let mut line = Vec::new();
    while reader.line_into(&mut line).map_err(|e| error!("read error: {e}"))? {
        let place = split.place(line.strip_suffix(b"\n").unwrap_or(&line))?;
        if let Some(name) = place.begins {
            finish(output.take())?;
            let is_source = |there: Dir| source.is_some_and(|s| cmd::copy::same(s, &there));
            if fd::stat(&name).is_ok_and(is_source) {
                return Err(error!("{name} is what is split"));
            }
            let file =
                File::create(&name, abi::OWRITE, 0o666).map_err(|e| error!("can't create {name}: {e}"))?;
            let out = Out::new(file.fd());
            *output = Some((name, file, out));
        }
        if place.written
            && let Some((_, _, out)) = output
        {
            out.write(&line);
        }
    }
    Ok(())
}

fn finish(output: Option<(String, File, Out)>) -> Result<()> {
    match output {
        Some((name, _file, mut out)) => out.flush().map_err(|e| error!("can't write {name}: {e}")),
        None => Ok(()),
    }
}

fn synopsis(args: &Args) -> ! {
    usage(args, "[-n lines] [-e expression] [-f stem] [-s suffix] [-x] [-i] [file]")
}
