//! ndb/csquery [-s] [/net/cs [name ...]]: ask cs(8) what names mean, those of the arguments or of the lines of the
//! input; with -s only the status tells.

use cmd::queries;
use lib9::{Args, Result};

pub fn main(args: &Args) -> Result<()> {
    let (silent, words) = args.one_flag('s', "[-s] [/net/cs [name ...]]");
    let (file, names) = words.split_first().map_or(("/net/cs", words), |(file, names)| (file.as_str(), names));
    queries::run(file, names, !silent, |name| Some(name.into()))
}
