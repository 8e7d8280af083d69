//! What the kernel counts, and whether it grows.
//!
//! Memory in use after a round may be more than before it: the first time a thing is done something is kept for the
//! next time, and a block of the heap that lives on keeps the chunk that it is in. So growth is suspect when it was
//! seen at the end of each of several rounds of a machine, and a failure when the same rounds bring it again and again.

/// Programs whose files are kept, when none of them runs, and those that run here.
const IMAGES: u64 = 64 + 8;

/// What there is of something, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(Vec<(String, u64)>);

impl Counts {
    /// Reads lines `NUMBER NAME` and `USED/ALL NAME`, as `/dev/swap` and `/dev/pools` have them, of things that come
    /// back when nobody has them any more.
    pub fn parse(text: &str) -> Counts {
        let line = |line: &str| {
            let (number, name) = line.trim().split_once(' ')?;
            let used = number.split('/').next()?.parse().ok()?;
            Some((name.trim().to_owned(), used))
        };
        // What else tells of these: pages that are only kept, and the kernel's in bytes.
        let constant = |name: &str| matches!(name, "memory" | "pagesize" | "reclaim" | "kernel malloc");
        Counts(text.lines().filter_map(line).filter(|(name, _)| !constant(name)).collect())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are of something.
    fn has(&self, name: &str) -> u64 {
        self.0.iter().find(|(n, _)| n == name).map_or(0, |(_, n)| *n)
    }

    /// What there is more of than in `before`.
    pub fn grown_since(&self, before: &Counts) -> Vec<(String, u64)> {
        let had = |name: &str| before.has(name);
        // Pages of programs' files are kept until others want the memory.
        let cached = |name: &str| match name {
            "frame" | "user" | "image.page" => self.has("image.page").saturating_sub(had("image.page")),
            "image" => self.has("image").min(IMAGES).saturating_sub(had("image")),
            _ => 0,
        };
        let grown = |name: &str, n: u64| n.saturating_sub(had(name)).saturating_sub(cached(name));
        let more = self.0.iter().map(|(name, n)| (name.clone(), grown(name, *n)));
        more.filter(|(_, more)| *more > 0).collect()
    }
}

/// What grew at the end of each of these, which come one after the other, in all of them but the first two.
pub fn growing(series: &[Counts]) -> Vec<String> {
    let steps: Vec<_> = series.windows(2).map(|pair| pair[1].grown_since(&pair[0])).collect();
    let Some((last, earlier)) = steps.get(2..).and_then(<[_]>::split_last) else { return Vec::new() };
    // Two steps may be chance.
    if earlier.len() < 2 {
        return Vec::new();
    }
    let always = |name: &str| earlier.iter().all(|step| step.iter().any(|(n, _)| n == name));
    last.iter()
        .filter(|(name, _)| always(name))
        .map(|(name, n)| format!("{name}: {n} more each time"))
        .collect()
}

/// Pages that the same rounds may bring each time: some chunks of the heap, in which there is little or nothing, are
/// now here and now there.
const CHUNKS: u64 = 48;
/// Bytes of a bill: each thread that lives keeps some pages' worth to itself before it tells.
const UNTOLD: u64 = 16 << 10;

/// What grew each time that the same was done. The first of these is what there was when it had been done once.
pub fn again_and_again(series: &[Counts]) -> Vec<String> {
    let steps: Vec<_> = series.windows(2).map(|pair| pair[1].grown_since(&pair[0])).collect();
    let Some((last, earlier)) = steps.split_last() else { return Vec::new() };
    let least = |name: &str| match name {
        "kernel" | "frame" | "frame.kernel" | "frame.heap" | "frame.map" | "frame.table" => CHUNKS,
        name if name.starts_with("bill ") => UNTOLD,
        _ => 0,
    };
    let grew =
        |step: &[(String, u64)], name: &str| step.iter().any(|(n, more)| n == name && *more > least(name));
    let always = |name: &str| grew(last, name) && earlier.iter().all(|step| grew(step, name));
    last.iter()
        .filter(|(name, _)| always(name))
        .map(|(name, n)| format!("{name}: {n} more each time that the same is done"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(kernel: u64, user: u64) -> Counts {
        Counts::parse(&format!(
            "268435456 memory\n4096 pagesize\n{kernel} kernel\n{user}/60000 user\n0/0 swap\n"
        ))
    }

    #[test]
    fn what_is_more_than_before() {
        assert_eq!(counts(12, 5).grown_since(&counts(10, 6)), [("kernel".into(), 2)]);
        assert!(Counts::parse("no such file\n").is_empty());
    }

    #[test]
    fn once_is_a_cache_and_always_is_a_leak() {
        let series = |kernel: &[u64]| kernel.iter().map(|&k| counts(k, 5)).collect::<Vec<_>>();
        assert!(growing(&series(&[10, 20, 30, 30, 30, 30])).is_empty());
        assert!(growing(&series(&[10, 20, 30, 40])).is_empty());
        assert_eq!(growing(&series(&[10, 11, 12, 13, 14, 16])), ["kernel: 2 more each time"]);
    }

    #[test]
    fn the_same_again_shows_what_a_leak_is() {
        let series = |numbers: &[(u64, u64)]| {
            numbers.iter().map(|&(kernel, user)| counts(kernel, user)).collect::<Vec<_>>()
        };
        assert!(again_and_again(&series(&[(10, 5)])).is_empty());
        // Chunks are no leak, and what comes once is none.
        assert!(again_and_again(&series(&[(10, 5), (26, 6), (58, 6), (90, 7)])).is_empty());
        let more = again_and_again(&series(&[(100, 5), (200, 6), (300, 7), (350, 9)]));
        assert_eq!(more.len(), 2, "{more:?}");
        assert!(more[0].starts_with("kernel: 50 more") && more[1].starts_with("user: 2 more"), "{more:?}");
    }

    #[test]
    fn what_is_only_kept_is_no_growth() {
        let counts =
            |frames: u64, cached: u64| Counts::parse(&format!("{frames} frame\n{cached} image.page\n"));
        assert_eq!(counts(150, 80).grown_since(&counts(100, 30)), []);
        assert_eq!(counts(157, 80).grown_since(&counts(100, 30)), [("frame".to_owned(), 7)]);
        let images = |n: u64| Counts::parse(&format!("{n} image\n"));
        assert_eq!(images(58).grown_since(&images(43)), []);
        assert_eq!(images(87).grown_since(&images(58)), [("image".to_owned(), 15)]);
    }
}
