//! Who has had how much of a processor lately, as arithmetic: three groups, each of which is sure of a third. Tested on
//! the host, with `ready`.
//!
//! A group that has used less than its share goes ahead of one that has used more, however many threads either has. So
//! a thousand processes of one user are not in the way of another's few, and what runs in the background is not in the
//! way of what somebody at the console waits for. Nobody is shut out: who is ahead comes to its share and is not ahead
//! any more. The kernel's own threads belong to no group: they use little, and others wait for them.

use super::usage::Usage;
use crate::ledger::Group;

/// What the groups have used.
pub struct Shares([Usage; 3]);

impl Shares {
    /// Nobody has used anything.
    pub const fn new() -> Shares {
        Shares([Usage::new(); 3])
    }

    fn of(&mut self, group: Group) -> Option<&mut Usage> {
        let [console, owner, others] = &mut self.0;
        match group {
            Group::Kernel => None,
            Group::Console => Some(console),
            Group::Owner => Some(owner),
            Group::Others => Some(others),
        }
    }

    /// Adds a run of `ns` that ended at `now`.
    pub fn add(&mut self, group: Group, ns: u64, now: u64) {
        if let Some(usage) = self.of(group) {
            usage.add(ns, now);
        }
    }

    /// What the group has used, as it was when it was last asked for.
    pub fn used(&self, group: Group) -> Usage {
        let [console, owner, others] = self.0;
        match group {
            Group::Kernel => Usage::new(),
            Group::Console => console,
            Group::Owner => owner,
            Group::Others => others,
        }
    }

    /// Whether the group has used less than its share.
    pub fn is_below(&mut self, group: Group, now: u64) -> bool {
        self.of(group).is_none_or(|usage| usage.is_below_share(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn what_was_used_fades_and_the_kernel_s_does_not_count() {
        let mut shares = Shares::new();
        shares.add(Group::Kernel, 1000 * MS, 1000 * MS);
        assert!(shares.is_below(Group::Kernel, 1000 * MS));
        shares.add(Group::Others, 1000 * MS, 1000 * MS);
        assert!(!shares.is_below(Group::Others, 1000 * MS));
        assert!(shares.used(Group::Others) > shares.used(Group::Owner));
        assert!(shares.is_below(Group::Owner, 1000 * MS));
        assert!(shares.is_below(Group::Others, 1200 * MS));
    }
}
