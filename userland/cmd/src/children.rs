//! The children of a process that runs many at a time, and wants to know how many of them there still are.
//!
//! The kernel keeps [`KEPT`] records of children that have ended for who does not ask, and no more: of those that
//! end then nothing is heard. So records alone cannot be counted. When one is lost, as many as are kept are there; so
//! for that many times from when it was known who lives, waiting does not last if any has been lost since, and if none
//! has, it lasts only while all of them live. After as many times it is looked again who lives.

use alloc::vec::Vec;

use lib9::{Result, fd, proc};

/// Records that the kernel keeps of children that nobody has waited for.
const KEPT: usize = 128;

/// What is asked of the kernel; another one in tests.
pub trait Asked {
    /// Whether there is such a process, as far as it can be known.
    fn lives(&mut self, pid: i32) -> bool;

    /// Waits until a child has ended that was not waited for, and says which.
    ///
    /// # Errors
    /// There are none; a note.
    fn wait(&mut self) -> Result<i32>;
}

/// The kernel itself.
pub struct Kernel;

impl Asked for Kernel {
    fn lives(&mut self, pid: i32) -> bool {
        match fd::stat(&alloc::format!("#p/{pid}/status")) {
            Err(e) => !e.is(abi::error::ENONEXIST) && !e.is(abi::error::EPROCDIED),
            Ok(_) => true,
        }
    }

    fn wait(&mut self) -> Result<i32> {
        Ok(proc::await_()?.pid)
    }
}

/// See the module comment.
pub struct Children<A> {
    kernel: A,
    /// Those that have not been seen to end.
    pids: Vec<i32>,
    /// How many can be waited for before it has to be looked who lives.
    sure: usize,
}

impl<A: Asked> Children<A> {
    /// No children.
    pub fn new(kernel: A) -> Children<A> {
        Children { kernel, pids: Vec::new(), sure: KEPT }
    }

    /// One more.
    pub fn add(&mut self, pid: i32) {
        self.pids.push(pid);
    }

    /// Waits until there are fewer than `most`, which is at least 1; not at all if it is so already.
    ///
    /// # Errors
    /// A note.
    pub fn wait_below(&mut self, most: usize) -> Result<()> {
        while self.pids.len() >= most {
            if self.sure == 0 {
                self.pids.retain(|pid| self.kernel.lives(*pid));
                self.sure = KEPT;
                continue;
            }
            self.sure -= 1;
            self.wait()?;
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        match self.kernel.wait() {
            Ok(pid) => self.pids.retain(|other| *other != pid),
            Err(e) if e.is(abi::error::EINTR) => return Err(e),
            // There are none.
            Err(_) => self.pids.clear(),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;
    use std::collections::{BTreeSet, VecDeque};

    use super::*;

    /// A kernel in which children end by chance, and all at once now and then.
    struct Fake {
        living: BTreeSet<i32>,
        records: VecDeque<i32>,
        /// Who may wait: when there are fewer than these, nobody should have to.
        most: usize,
        looked: usize,
        seed: u64,
    }

    impl Fake {
        fn chance(&mut self, of: u64) -> u64 {
            self.seed =
                self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.seed >> 33) % of
        }

        fn end_some(&mut self, n: usize) {
            for _ in 0..n {
                let Some(pid) = self.living.pop_first() else { return };
                if self.records.len() < KEPT {
                    self.records.push_back(pid);
                }
            }
        }
    }

    impl Asked for &RefCell<Fake> {
        fn lives(&mut self, pid: i32) -> bool {
            let mut fake = self.borrow_mut();
            fake.looked += 1;
            fake.living.contains(&pid)
        }

        fn wait(&mut self) -> Result<i32> {
            let mut fake = self.borrow_mut();
            let (most, living) = (fake.most, fake.living.len());
            if fake.records.is_empty() {
                assert!(living >= most, "it waits for one of {living}, and {most} may be");
                fake.end_some(1);
            }
            let pid = fake.records.pop_front().unwrap();
            // Others end meanwhile.
            if fake.chance(50) == 0 {
                let n = fake.chance(2000) as usize;
                fake.end_some(n);
            }
            Ok(pid)
        }
    }

    #[test]
    fn nobody_is_waited_for_while_there_is_room() {
        for (most, seed) in [(1, 1), (100, 2), (128, 3), (129, 4), (328, 5), (1200, 6), (1200, 7)] {
            let (living, records) = (BTreeSet::new(), VecDeque::new());
            let fake = RefCell::new(Fake { living, records, most, looked: 0, seed });
            let mut children = Children::new(&fake);
            let calls = 20_000;
            for pid in 1..calls {
                children.wait_below(most).unwrap();
                let mut fake = fake.borrow_mut();
                assert!(fake.living.len() < most);
                fake.living.insert(pid);
                children.add(pid);
                let (often, many) = (fake.chance(3), fake.chance(400));
                if often == 0 {
                    let n = fake.chance(3) as usize;
                    fake.end_some(n);
                }
                if many == 0 {
                    fake.end_some(most);
                }
            }
            // Looking takes some twenty files for a call, not one for each child.
            let looked = fake.borrow().looked;
            assert!(looked < 40 * calls as usize, "{most}: {looked}");
        }
    }
}
