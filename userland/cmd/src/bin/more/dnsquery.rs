//! ndb/dnsquery [-x netdir] [name [type]]: ask dns(8) about a name, of the arguments or of the input's lines.

use alloc::format;
use alloc::string::String;

use cmd::dns::message::Kind;
use cmd::queries;
use lib9::{Args, Result, usage};

pub fn main(args: &Args) -> Result<()> {
    let synopsis = || -> ! { usage(args, "[-x netdir] [name [kind]]") };
    let mut dir = String::from("/net");
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'x' => dir = flags.value().map(String::from).unwrap_or_else(|_| synopsis()),
            _ => synopsis(),
        }
    }
    let words = flags.rest();
    if words.len() > 2 {
        synopsis();
    }
    let question = words.join(" ");
    let questions = if words.is_empty() { &[][..] } else { core::slice::from_ref(&question) };
    queries::run(&format!("{dir}/dns"), questions, true, question_of)
}

/// A line as a question: an address alone is asked for its name, a name for its address.
fn question_of(line: &str) -> Option<String> {
    let mut words = line.split_ascii_whitespace();
    let name = words.next()?;
    let usual = if name.parse::<core::net::IpAddr>().is_ok() { Kind::Ptr } else { Kind::Ip };
    Some(format!("{name} {}", words.next().unwrap_or(usual.word())))
}
