//! The arguments of dd, its conversions and its counts.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::number;

/// What dd was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // They are options of the command.
pub struct Job {
    /// -if
    pub input: Option<String>,
    /// -of
    pub output: Option<String>,
    /// Bytes of an input block, at least 1.
    pub ibs: usize,
    /// Bytes of an output block, at least 1.
    pub obs: usize,
    /// -bs: each block is written as it was read.
    pub same_blocks: bool,
    /// Input blocks to read and drop.
    pub skip: u64,
    /// Input blocks to seek over.
    pub iseek: u64,
    /// Output blocks to seek over.
    pub oseek: u64,
    /// Input blocks to copy at most.
    pub count: Option<u64>,
    /// -trunc 0 is false.
    pub truncate: bool,
    /// -quiet 1
    pub quiet: bool,
    /// -conv noerror
    pub skip_errors: bool,
    /// -conv sync: short blocks are filled with zeros.
    pub pad: bool,
    /// The others of -conv.
    pub conversions: Vec<Conversion>,
}

/// What is done to the bytes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// To lower case.
    Lower,
    /// To upper case.
    Upper,
    /// Pairs of bytes are swapped.
    Swap,
}

impl Job {
    /// Reads `-name value` and `name=value`; `None` when something is wrong.
    pub fn parse(words: &[String]) -> Option<Job> {
        let mut job = Job {
            input: None,
            output: None,
            ibs: 512,
            obs: 512,
            same_blocks: false,
            skip: 0,
            iseek: 0,
            oseek: 0,
            count: None,
            truncate: true,
            quiet: false,
            skip_errors: false,
            pad: false,
            conversions: Vec::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (name, value) = match word.strip_prefix('-') {
                Some(name) => (name, words.next()?.as_str()),
                None => word.split_once('=')?,
            };
            let n = || number::size(value);
            let block = || n().and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=1 << 30).contains(n));
            match name {
                "if" => job.input = Some(value.into()),
                "of" => job.output = Some(value.into()),
                "ibs" => job.ibs = block()?,
                "obs" => job.obs = block()?,
                "bs" => {
                    job.ibs = block()?;
                    job.obs = job.ibs;
                    job.same_blocks = true;
                }
                "skip" => job.skip = n()?,
                "iseek" => job.iseek = n()?,
                "oseek" | "seek" => job.oseek = n()?,
                "count" => job.count = Some(n()?),
                "trunc" => job.truncate = n()? != 0,
                "quiet" => job.quiet = n()? != 0,
                "conv" => {
                    for c in value.split(',') {
                        match c {
                            "lcase" => job.conversions.push(Conversion::Lower),
                            "ucase" => job.conversions.push(Conversion::Upper),
                            "swab" => job.conversions.push(Conversion::Swap),
                            "noerror" => job.skip_errors = true,
                            "sync" => job.pad = true,
                            _ => return None,
                        }
                    }
                }
                _ => return None,
            }
        }
        Some(job)
    }
}

/// Converts a block in place.
pub fn convert(conversions: &[Conversion], block: &mut [u8]) {
    for conversion in conversions {
        match conversion {
            Conversion::Lower => block.make_ascii_lowercase(),
            Conversion::Upper => block.make_ascii_uppercase(),
            Conversion::Swap => block.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1)),
        }
    }
}

/// Whole and partial blocks in and out.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    whole_in: u64,
    part_in: u64,
    whole_out: u64,
    part_out: u64,
}

impl Tally {
    /// A block of `n` bytes came in.
    pub fn read(&mut self, n: usize, size: usize) {
        *(if n == size { &mut self.whole_in } else { &mut self.part_in }) += 1;
    }

    /// A block of `n` bytes went out.
    pub fn wrote(&mut self, n: usize, size: usize) {
        *(if n == size { &mut self.whole_out } else { &mut self.part_out }) += 1;
    }

    /// Input blocks so far.
    pub fn blocks_in(&self) -> u64 {
        self.whole_in + self.part_in
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}+{} records in", self.whole_in, self.part_in)?;
        write!(f, "{}+{} records out", self.whole_out, self.part_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(line: &str) -> Option<Job> {
        Job::parse(&lib9::tokenize(line))
    }

    #[test]
    fn arguments() {
        let j = job("-if a -of b -bs 128k -count 10").unwrap();
        assert_eq!((j.input.as_deref(), j.output.as_deref()), (Some("a"), Some("b")));
        assert_eq!((j.ibs, j.obs, j.count, j.same_blocks), (131_072, 131_072, Some(10), true));
        let j = job("if=a trunc=0 conv=ucase,sync").unwrap();
        assert!(!j.truncate && j.pad && j.conversions == [Conversion::Upper]);
        for bad in ["-if", "x", "-bs 0", "-conv x", "-what 1"] {
            assert_eq!(job(bad), None, "{bad}");
        }
    }

    #[test]
    fn conversions() {
        let mut b = *b"abc";
        convert(&[Conversion::Upper, Conversion::Swap], &mut b);
        assert_eq!(&b, b"BAC");
    }

    #[test]
    fn counts() {
        let mut t = Tally::default();
        t.read(512, 512);
        t.read(10, 512);
        t.wrote(522, 512);
        assert_eq!(alloc::format!("{t}"), "1+1 records in\n0+1 records out");
    }
}
