//! Segments that are neighbours in memory, made one: fewer descriptors for the same bytes.

use super::Segment;

/// Leaves out empty segments, and joins those that follow each other in memory and go the same way, up to `most`
/// bytes.
pub fn merge<I>(segments: I, most: u32) -> impl Iterator<Item = Segment> + Clone
where
    I: Iterator<Item = Segment> + Clone,
{
    Merged { segments, next: None, most }
}

#[derive(Clone)]
struct Merged<I> {
    segments: I,
    /// What has come and did not follow.
    next: Option<Segment>,
    most: u32,
}

impl<I: Iterator<Item = Segment>> Iterator for Merged<I> {
    type Item = Segment;

    #[inline]
    fn next(&mut self) -> Option<Segment> {
        let mut whole = match self.next.take() {
            Some(next) => next,
            None => self.segments.find(|segment| segment.len != 0)?,
        };
        for next in self.segments.by_ref() {
            if next.len == 0 {
                continue;
            }
            let follows = next.write == whole.write
                && whole.phys.checked_add(u64::from(whole.len)) == Some(next.phys)
                && whole.len.checked_add(next.len).is_some_and(|len| len <= self.most);
            if !follows {
                self.next = Some(next);
                break;
            }
            whole.len += next.len;
        }
        Some(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn neighbours_become_one_up_to_the_limit() {
        let segment = |(phys, len, write)| Segment { phys, len, write };
        let all = [
            (100, 50, false),
            (0, 0, true),
            (150, 50, false),
            (200, 50, true),
            (250, 60, true),
            (400, 10, true),
        ];
        let merged = |most| -> Vec<(u64, u32, bool)> {
            merge(all.into_iter().map(segment), most).map(|s| (s.phys, s.len, s.write)).collect()
        };
        assert_eq!(merged(u32::MAX), [(100, 100, false), (200, 110, true), (400, 10, true)]);
        assert_eq!(merged(100), [(100, 100, false), (200, 50, true), (250, 60, true), (400, 10, true)]);
        let end = [(u64::MAX - 9, 10, true), (0, 10, true)].map(segment);
        assert_eq!(merge(end.into_iter(), u32::MAX).count(), 2, "memory does not go round");
    }
}
