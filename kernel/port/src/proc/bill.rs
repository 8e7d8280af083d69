//! Bills: who pays for the memory that a process uses, and what users may have.
//!
//! A process has an account of its own ([`machine::ledger`]), on which its thread allocates: pages, tables, and what
//! the kernel keeps on its behalf. What belongs to nobody in particular is the kernel's. The machine's owner may have
//! everything; all other users together may have half of memory, half of the processes, and half of the accounts, so
//! that the owner can always look around and kill.
//!
//! That holds against programs of the owner's own as well: some memory is set aside for *preferred* processes with
//! small bills. Preferred is what somebody at the console waits for: the process that has read the last line of
//! `/dev/cons`, all that share its memory, what they make from then on, and the first process with what it makes. What
//! leaves its parent's note group, as what a shell runs in the background does, is not, and whoever was preferred for
//! an earlier line is not any more; so no number of small processes is in the way of the next line typed.
//!
//! Ownership: a process holds its account, and so does its thread while it runs. A child of the owner's that finds no
//! free account shares its parent's.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::Write;
use core::sync::atomic::Ordering;

use abi::error;
use machine::ledger::{self, Account, Terms, User};
use machine::mem;

use crate::error::Result;
use crate::kernel::Kernel;
use crate::proc::exit::FIRST_PID;
use crate::proc::process::{Proc, each};

/// Live processes at once.
pub(crate) const PROC_MAX: u32 = 4000;

/// Those whose bills are added up. None where the machine has no room for another sum: then nobody pays, as for the
/// kernel.
pub(crate) struct Users {
    owner: Option<User>,
    others: Option<User>,
}

impl Users {
    /// For the machine as it is.
    pub(crate) fn new() -> Users {
        let others = Terms {
            bytes: mem::total_bytes() / 2,
            accounts: ledger::MOST / 2,
            held: PROC_MAX / 2,
            trusted: false,
        };
        Users { owner: User::new(Terms::OWNER), others: User::new(others) }
    }

    fn of(&self, is_owner: bool) -> Option<&User> {
        if is_owner { self.owner.as_ref() } else { self.others.as_ref() }
    }
}

/// The account of the first process.
pub(crate) fn first_account(kernel: &Kernel) -> Option<Arc<Account>> {
    let account = kernel.users.owner.as_ref().and_then(Account::new);
    account.inspect(|account| account.prefer(true))
}

/// An account for a child of `up`, which stays in its note group or does not.
///
/// # Errors
/// `no procs` when the user has as many as it may.
pub(crate) fn child_account(up: &Proc, stays: bool) -> Result<Option<Arc<Account>>> {
    let is_owner = up.is_hostowner();
    let Some(user) = up.kernel.users.of(is_owner) else { return Ok(None) };
    match Account::new(user) {
        Some(account) => {
            account.prefer(stays && up.is_preferred());
            Ok(Some(account))
        }
        None if is_owner => Ok(up.account.clone()),
        None => Err(error::ENOPROC.into()),
    }
}

/// The user of `p`, or who is the owner, has changed: its bill goes along.
pub(crate) fn user_changed(p: &Proc) {
    if let (Some(account), Some(user)) = (&p.account, p.kernel.users.of(p.is_hostowner())) {
        account.set_user(user);
    }
}

/// Bytes on the bills of all that count with the user of `up`, the dead among them.
pub(crate) fn of_user(up: &Proc) -> u64 {
    up.kernel.users.of(up.is_hostowner()).map_or(0, User::bytes)
}

/// `up` has read a line that was typed at the console: from now on it is preferred, with all that share its memory, and
/// nobody else.
pub(crate) fn has_a_line(up: &Arc<Proc>) {
    if up.is_hostowner() {
        up.from_a_line.store(true, Ordering::Relaxed);
        each(&up.kernel).for_each(|p| p.prefer(p.mem.shares_with(&up.mem)));
    }
}

/// What `/dev/swap` says of bills: bytes of the owner, bytes of all others, accounts in use and in all.
pub(crate) fn text(kernel: &Kernel) -> String {
    let bytes = |is_owner| kernel.users.of(is_owner).map_or(0, User::bytes);
    let mut out = String::new();
    let owner = kernel.hostowner.lock().clone();
    // A String takes everything.
    let _ = writeln!(out, "{} bill {owner}\n{} bill others", bytes(true), bytes(false));
    let _ = writeln!(out, "{}/{} bills", ledger::in_use(), ledger::MOST);
    out
}

impl Proc {
    /// Bytes on its bill.
    pub(crate) fn bill(&self) -> u64 {
        self.account.as_ref().map_or(0, |a| a.bytes())
    }

    /// Whether somebody at the console waits for it.
    pub(crate) fn is_preferred(&self) -> bool {
        self.account.as_ref().is_some_and(|a| a.is_preferred()) && self.is_hostowner()
    }

    /// Whether it began with the machine, as its servers of names do: neither it nor one that it comes from has read a
    /// line of the console.
    pub(crate) fn began_with_the_machine(&self) -> bool {
        !self.from_a_line.load(Ordering::Relaxed)
    }

    /// Says whether somebody at the console waits for it. The first process stays preferred.
    pub(crate) fn prefer(&self, preferred: bool) {
        if let Some(account) = &self.account {
            account.prefer(preferred || self.pid == FIRST_PID);
        }
    }

    /// Does something for which this process pays.
    pub(crate) fn pays<R>(&self, f: impl FnOnce() -> R) -> R {
        pays(self.account.as_ref(), f)
    }
}

/// Does something for which this account pays; the kernel, if there is none.
pub(crate) fn pays<R>(account: Option<&Arc<Account>>, f: impl FnOnce() -> R) -> R {
    match account {
        Some(account) => ledger::on(account, f),
        None => ledger::as_kernel(f),
    }
}
