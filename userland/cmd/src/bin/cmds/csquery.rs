//! ndb/csquery [/net/cs [name ...]]: ask cs(8) what names mean, those of the arguments or of the lines of the input.

use cmd::queries;
use lib9::{Args, Result, usage};

pub fn main(args: &Args) -> Result<()> {
    let words = args.words();
    if words.first().is_some_and(|word| word.starts_with('-')) {
        usage(args, "[/net/cs [name ...]]");
    }
    let (file, names) = words.split_first().map_or(("/net/cs", words), |(file, names)| (file.as_str(), names));
    queries::run(file, names, |name| Some(name.into()))
}
