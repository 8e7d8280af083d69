//! Blocks of the heap's window that were freed and are still mapped, frames and all, as a list of bounded length. No
//! hardware: tested on the host.
//!
//! A block that is asked for soon after one of its size was freed (the contents of a pipe, a message) is that one
//! again, and nothing has to be mapped. The others are unmapped together, so that the processors have to be told to
//! forget their addresses once for all of them.

/// Most blocks in the list.
const BLOCKS: usize = 32;

/// The list, the oldest first.
pub struct FreedBlocks {
    blocks: [(u64, u64); BLOCKS],
    len: usize,
    pages: u64,
    most: u64,
}

impl FreedBlocks {
    /// An empty list that takes nothing until it is told its [limit](FreedBlocks::limit).
    pub const fn new() -> FreedBlocks {
        FreedBlocks { blocks: [(0, 0); BLOCKS], len: 0, pages: 0, most: 0 }
    }

    /// Sets how many pages all blocks together may have.
    pub fn limit(&mut self, most: u64) {
        self.most = most;
    }

    /// Pages of all blocks in the list.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Whether a block of so many pages can be in the list at all.
    pub fn wants(&self, pages: u64) -> bool {
        pages <= self.most
    }

    /// Takes the newest block of exactly so many pages out; its first page.
    pub fn take(&mut self, pages: u64) -> Option<u64> {
        let at = self.blocks[..self.len].iter().rposition(|b| b.1 == pages)?;
        let page = self.blocks[at].0;
        self.blocks.copy_within(at + 1..self.len, at);
        self.len -= 1;
        self.pages -= pages;
        Some(page)
    }

    /// Adds a block. False when there is no room, and it is not added.
    pub fn put(&mut self, page: u64, pages: u64) -> bool {
        if self.len == BLOCKS || self.pages + pages > self.most {
            return false;
        }
        self.blocks[self.len] = (page, pages);
        self.len += 1;
        self.pages += pages;
        true
    }

    /// The blocks in the list: first page and number of pages.
    pub fn blocks(&self) -> &[(u64, u64)] {
        &self.blocks[..self.len]
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        self.len = 0;
        self.pages = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_the_same_size_comes_back_the_newest_first() {
        let mut k = FreedBlocks::new();
        k.limit(100);
        for (page, pages) in [(0, 4), (8, 5), (16, 4), (24, 5)] {
            assert!(k.put(page, pages));
        }
        assert_eq!((k.take(4), k.pages()), (Some(16), 14));
        assert_eq!((k.take(4), k.pages()), (Some(0), 10));
        assert_eq!(k.take(4), None);
        assert_eq!(k.blocks(), [(8, 5), (24, 5)]);
    }

    #[test]
    fn the_list_is_bounded_by_pages_and_by_blocks() {
        let mut k = FreedBlocks::new();
        assert!(!k.wants(1) && !k.put(0, 1));
        k.limit(40);
        assert!(k.wants(40) && !k.wants(41));
        assert!(k.put(0, 39) && !k.put(64, 2) && k.put(64, 1) && !k.put(65, 1));
        k.clear();
        assert_eq!((k.pages(), k.blocks().len()), (0, 0));
        let room = (0..).take_while(|i| k.put(*i, 1)).count();
        assert_eq!(room, BLOCKS);
    }
}
