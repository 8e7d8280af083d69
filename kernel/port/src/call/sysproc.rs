//! The calls that make processes and change what they share: `rfork`. (Ending and `await` are in
//! [`exit`](crate::proc::exit).)
//!
//! Lock order: `Proc::children` of the parent is taken alone.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use abi::{Rfork, error};
use machine::ledger::{Account, as_kernel};
use machine::user::UserContext;

use crate::call::life;
use crate::error::Result;
use crate::name::fgrp::Fgrp;
use crate::proc::egrp::Egrp;
use crate::proc::exit::replace;
use crate::proc::process::Proc;
use crate::proc::rendezvous::Rgrp;
use crate::proc::{bill, create, notegroup};

/// `rfork`. In the parent: the child's pid, or 0 when no process was asked for.
///
/// # Errors
/// `bad arg in system call` for contradicting flags, `no procs`, no memory.
pub(crate) fn rfork(up: &Arc<Proc>, ctx: &mut UserContext, flags: u32) -> Result<u32> {
    let flags = Rfork::from_bits(flags).ok_or(error::EBADARG)?;
    for pair in [Rfork::FDG | Rfork::CFDG, Rfork::NAMEG | Rfork::CNAMEG, Rfork::ENVG | Rfork::CENVG] {
        if flags.contains(pair) {
            return Err(error::EBADARG.into());
        }
    }
    if !flags.contains(Rfork::PROC) {
        if flags.intersects(Rfork::MEM | Rfork::NOWAIT) {
            return Err(error::EBADARG.into());
        }
        regroup(up, up, flags)?;
        return Ok(0);
    }
    if up.kernel.procs.lock().len() >= bill::PROC_MAX as usize {
        return Err(error::ENOPROC.into());
    }
    // What the child is made of is on its own bill.
    let account = bill::child_account(up, !flags.contains(Rfork::NOTEG))?;
    bill::pays(account.as_ref(), || make_child(up, ctx, flags, account.clone()))
}

fn make_child(
    up: &Arc<Proc>,
    ctx: &mut UserContext,
    flags: Rfork,
    account: Option<Arc<Account>>,
) -> Result<u32> {
    let mem = up.mem.fork(up, flags.contains(Rfork::MEM))?;
    let child = create::child(up, account, mem, flags);
    regroup(up, &child, flags)?;
    let mut child_ctx = UserContext::new();
    child_ctx.regs.put(&ctx.regs.get());
    child_ctx.regs.set_ax(0);
    child_ctx.fpu_load(&ctx.fpu_save());
    write_tos_pid(&child);
    if !flags.contains(Rfork::NOWAIT) {
        up.children.lock().live += 1;
    }
    as_kernel(|| up.kernel.procs.lock().insert(child.pid, child.clone()));
    if !flags.contains(Rfork::NOTEG) {
        notegroup::pass_on(up, &child);
    }
    let begun = life::start(&child, move |_, ctx| {
        *ctx = child_ctx;
        Ok(())
    });
    if let Err(e) = begun {
        up.kernel.procs.lock().remove(&child.pid);
        if !flags.contains(Rfork::NOWAIT) {
            up.children.lock().live -= 1;
        }
        child.mem.clear();
        return Err(e);
    }
    Ok(child.pid)
}

/// Gives `to` (the child, or the caller itself) the groups that `flags` ask for, made from `up`'s.
fn regroup(up: &Arc<Proc>, to: &Arc<Proc>, flags: Rfork) -> Result<()> {
    // All that memory may be missing for is made before anything changes.
    let pgrp = match flags {
        f if f.contains(Rfork::NAMEG) => Some(up.pgrp().copy()?),
        f if f.contains(Rfork::CNAMEG) => Some(up.pgrp().emptied()),
        _ => None,
    };
    let egrp = match flags {
        f if f.contains(Rfork::ENVG) => Some(up.egrp().copy()?),
        f if f.contains(Rfork::CENVG) => Some(Egrp::new()),
        _ => None,
    };
    let fgrp = match flags {
        f if f.contains(Rfork::FDG) => Some(up.fgrp().copy()?),
        f if f.contains(Rfork::CFDG) => Some(Fgrp::new()),
        _ => None,
    };
    // Replaced groups are dropped outside the locks: that closes files.
    if let Some(fgrp) = fgrp {
        replace(&to.fgrp, fgrp);
    }
    if let Some(pgrp) = pgrp {
        replace(&to.pgrp, pgrp);
    }
    if flags.contains(Rfork::NOMNT) {
        to.pgrp().forbid_mounts();
    }
    if let Some(egrp) = egrp {
        replace(&to.egrp, egrp);
    }
    if flags.contains(Rfork::REND) {
        replace(&to.rgrp, Arc::new(Rgrp::default()));
    }
    if flags.contains(Rfork::NOTEG) {
        to.noteid.store(up.kernel.new_noteid(), Ordering::Relaxed);
        if Arc::ptr_eq(up, to) {
            up.prefer(false);
        }
    }
    Ok(())
}

/// Puts the pid where programs look for it, at the top of their stack.
pub(crate) fn write_tos_pid(proc: &Arc<Proc>) {
    let at = abi::layout::TOS + abi::layout::TOS_PID;
    // A program that unmapped its stack's top has no pid there; that is its affair.
    let _ = proc.mem.copy_out(at, &proc.pid.to_le_bytes());
}
