//! Whom somebody works for. No state, no locks.

/// Whom a thread works for, when processors are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// The kernel.
    Kernel,
    /// Somebody at the console, who waits for it.
    Console,
    /// The owner of the machine.
    Owner,
    /// All other users.
    Others,
}

impl Group {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Group; 4] = [Group::Kernel, Group::Console, Group::Owner, Group::Others];
}
