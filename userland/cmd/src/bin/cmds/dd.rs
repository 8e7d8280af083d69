//! dd [-option value ...]: copy a file in blocks.
//!
//! -if and -of name the files, -ibs, -obs and -bs the sizes of blocks, -skip and -iseek pass over input blocks (by
//! reading, by seeking), -oseek over output blocks, -count is how many to copy, -trunc 0 leaves the output's length,
//! -quiet 1 prints no counts, -conv is a list of lcase, ucase, swab, noerror, sync. `name=value` does as well.

use alloc::vec::Vec;

use cmd::dd::{Job, Tally, convert};
use lib9::{Args, File, Result, eprintln, error, fd, usage};

pub fn main(args: &Args) -> Result<()> {
    let Some(job) = Job::parse(args.words()) else {
        usage(args, "[-option value ...]")
    };
    let input = match &job.input {
        Some(name) => File::open(name, abi::OREAD).map_err(|e| error!("open {name}: {e}"))?,
        None => File::from_fd(0),
    };
    let output = match &job.output {
        None => File::from_fd(1),
        Some(name) => {
            let made = || File::create(name, abi::OWRITE, 0o664).map_err(|e| error!("create {name}: {e}"));
            let ours = |dir: lib9::Dir| {
                dir.length > 0 && fd::stat(name).is_ok_and(|there| cmd::copy::same(&there, &dir))
            };
            match job.truncate {
                true if input.stat().is_ok_and(ours) => {
                    return Err(error!("{name} is the input, and would be cut before it is read"));
                }
                true => made()?,
                // Only what is not there is made: no file is cut because it cannot be opened.
                false => match File::open(name, abi::OWRITE) {
                    Err(e) if e.is(abi::error::ENONEXIST) => made()?,
                    file => file.map_err(|e| error!("open {name}: {e}"))?,
                },
            }
        }
    };
    let mut tally = Tally::default();
    let done = run(&job, &input, &output, &mut tally);
    if !job.quiet {
        eprintln!("{tally}");
    }
    done
}

fn run(job: &Job, input: &File, output: &File, tally: &mut Tally) -> Result<()> {
    let mut buf = alloc::vec![0; job.ibs];
    if job.iseek > 0 {
        let at = (job.ibs as u64).saturating_mul(job.iseek).min(i64::MAX as u64);
        input.seek(at as i64, 1).map_err(|e| error!("iseek: {e}"))?;
    }
    for _ in 0..job.skip {
        if fd::readn(input.fd(), &mut buf).map_err(|e| error!("skip: {e}"))? == 0 {
            break;
        }
    }
    if job.oseek > 0 {
        let at = (job.obs as u64).saturating_mul(job.oseek).min(i64::MAX as u64);
        output.seek(at as i64, 1).map_err(|e| error!("oseek: {e}"))?;
    }
    // What is read but not yet a whole output block.
    let mut pending: Vec<u8> = Vec::new();
    while job.count.is_none_or(|count| tally.blocks_in() < count) {
        let n = match input.read(&mut buf) {
            Ok(n) => n,
            Err(e) if job.skip_errors => {
                eprintln!("dd: read: {e}");
                input.seek(job.ibs as i64, 1).map_err(|e| error!("seek: {e}"))?;
                buf.fill(0);
                if job.pad { job.ibs } else { continue }
            }
            Err(e) => return Err(error!("read: {e}")),
        };
        if n == 0 {
            break;
        }
        tally.read(n, job.ibs);
        let mut used = n;
        if job.pad && n < job.ibs {
            buf.get_mut(n..).unwrap_or(&mut []).fill(0);
            used = job.ibs;
        }
        let block = buf.get_mut(..used).unwrap_or(&mut []);
        convert(&job.conversions, block);
        if job.same_blocks {
            write(output, block, job, tally)?;
            continue;
        }
        pending.extend_from_slice(block);
        let whole = pending.len() - pending.len() % job.obs;
        for out in pending.get(..whole).unwrap_or(&[]).chunks(job.obs) {
            write(output, out, job, tally)?;
        }
        pending.drain(..whole);
    }
    if pending.is_empty() { Ok(()) } else { write(output, &pending, job, tally) }
}

fn write(output: &File, block: &[u8], job: &Job, tally: &mut Tally) -> Result<()> {
    output.write_all(block).map_err(|e| error!("write: {e}"))?;
    tally.wrote(block.len(), job.obs);
    Ok(())
}
