//! ndb/dnsquery [-x [netdir]] [file] [name [kind]]: ask dns(8) about a name, of the arguments or of the input's lines.

use alloc::format;
use alloc::string::String;

use cmd::dns::message::Kind;
use cmd::queries;
use lib9::{Args, Result, usage};

pub fn main(args: &Args) -> Result<()> {
    let synopsis = || -> ! { usage(args, "[-x [netdir]] [/net/dns] [name [kind]]") };
    let mut dir = String::from("/net");
    let mut words = args.words();
    while let Some((word, rest)) = words.split_first().filter(|(word, _)| word.len() > 1 && word.starts_with('-')) {
        words = rest;
        match word.as_str() {
            "--" => break,
            // Another network's; without its folder, the one that is always the other.
            "-x" => match words.split_first() {
                Some((named, rest)) if named.starts_with('/') && !named.ends_with("/dns") => {
                    (dir, words) = (named.clone(), rest);
                }
                _ => dir = "/net.alt".into(),
            },
            _ => match word.strip_prefix("-x") {
                Some(named) => dir = named.into(),
                None => synopsis(),
            },
        }
    }
    let mut file = format!("{dir}/dns");
    if let Some((named, rest)) = words.split_first().filter(|(word, _)| word.starts_with('/')) {
        (file, words) = (named.clone(), rest);
    }
    if words.len() > 2 {
        synopsis();
    }
    let question = words.join(" ");
    let questions = if words.is_empty() { &[][..] } else { core::slice::from_ref(&question) };
    queries::run(&file, questions, true, question_of)
}

/// A line as a question: an address alone is asked for its name, a name for its address.
fn question_of(line: &str) -> Option<String> {
    let mut words = line.split_ascii_whitespace();
    let name = words.next()?;
    let usual = if name.parse::<core::net::IpAddr>().is_ok() { Kind::Ptr } else { Kind::Ip };
    Some(format!("{name} {}", words.next().unwrap_or(usual.word())))
}
