//! tar key [file ...]: c makes an archive, t lists one, x takes files out of one, r puts files behind those of one.
//! Modifiers: f the archive's name, v tell, z compressed, k keep what is there, m or T times, R absolute names, p and P
//! the format, u and g numbers of owner and group, i errors of reading do not count, s look for the next head.

mod create;
mod extract;

use alloc::format;
use alloc::string::String;

use lib9::{Args, Fork, Result, Rfork, eprintln, error, exits, fd, out, proc, usage};

/// What the key says.
#[derive(Default)]
struct Key {
    verb: char,
    archive: Option<String>,
    told: bool,
    compressed: bool,
    keep: bool,
    time: bool,
    absolute: bool,
    ignore: bool,
    resynchronise: bool,
    old: bool,
    numbers: [u32; 2],
}

/// Errors that are told and leave the rest to be done.
#[derive(Default)]
struct Errors(bool);

impl Errors {
    fn tell(&mut self, e: &lib9::Error) {
        let _ = out::flush();
        eprintln!("tar: {e}");
        self.0 = true;
    }
}

pub fn main(args: &Args) -> Result<()> {
    let Some((key, files)) = parse(args.words()) else {
        usage(args, "{crtx}[PRTfgikmpsuvz] [archive] [number ...] [file ...]")
    };
    let mut errors = Errors::default();
    match key.verb {
        'c' | 'r' => create::create(&key, files, &mut errors)?,
        _ => extract::read(&key, files, &mut errors)?,
    }
    if errors.0 { exits("errors") } else { Ok(()) }
}

fn parse(words: &[String]) -> Option<(Key, &[String])> {
    let (letters, mut words) = words.split_first()?;
    let mut key = Key::default();
    for letter in letters.trim_start_matches('-').chars() {
        let mut value = || {
            let (first, rest) = words.split_first()?;
            words = rest;
            Some(first)
        };
        match letter {
            'c' | 'r' | 't' | 'x' if key.verb == '\0' => key.verb = letter,
            'f' => key.archive = Some(value()?.clone()),
            'u' => key.numbers[0] = value()?.parse().ok()?,
            'g' => key.numbers[1] = value()?.parse().ok()?,
            'v' => key.told = true,
            'z' => key.compressed = true,
            'k' => key.keep = true,
            'm' => key.time = false,
            'T' => key.time = true,
            'R' => key.absolute = true,
            'i' => key.ignore = true,
            's' => key.resynchronise = true,
            'p' => key.old = false,
            'P' => key.old = true,
            _ => return None,
        }
    }
    let named = key.archive.as_deref().is_some_and(|name| name.ends_with(".gz") || name.ends_with(".tgz"));
    key.compressed |= named;
    (key.verb != '\0').then_some((key, words))
}

/// A program between the archive and us: gzip, or gunzip. The pipe's end that is ours, and the process.
fn filter(program: &str, archive: i32, writes: bool) -> Result<(i32, i32)> {
    let [ours, its] = fd::pipe()?;
    let child = match proc::rfork(Rfork::PROC | Rfork::FDG)? {
        Fork::Parent(child) => child,
        Fork::Child => {
            let (input, output) = if writes { (its, archive) } else { (archive, its) };
            let wired = fd::dup(input, 0).and_then(|_| fd::dup(output, 1));
            let _ = [fd::close(ours), fd::close(its)];
            if wired.is_ok() {
                let Err(e) = proc::exec(&format!("/bin/{program}"), &[program, "-c"]);
                eprintln!("tar: can't exec {program}: {e}");
            }
            proc::exits_now("exec")
        }
    };
    fd::close(its)?;
    Ok((ours, child))
}

/// Waits for the program; it has told what was wrong.
fn wait(child: i32) -> Result<()> {
    loop {
        let done = proc::await_()?;
        if done.pid == child {
            return if done.msg.is_empty() { Ok(()) } else { Err(error!("{}", done.msg)) };
        }
    }
}
