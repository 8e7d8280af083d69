//! What the kernel counts, and whether it grows.
//!
//! Memory in use after a round may be more than before it: the first time a thing is done something is kept for the
//! next time. So growth is a failure when it was seen at the end of each of several rounds of a machine.

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
        let constant = |name: &str| matches!(name, "memory" | "pagesize");
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
    fn what_is_only_kept_is_no_growth() {
        let counts =
            |frames: u64, cached: u64| Counts::parse(&format!("{frames} frame\n{cached} image.page\n"));
        assert_eq!(counts(150, 80).grown_since(&counts(100, 30)), []);
        assert_eq!(counts(157, 80).grown_since(&counts(100, 30)), [("frame".to_owned(), 7)]);
    }
}
