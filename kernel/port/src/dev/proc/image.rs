//! A process as a debugger sees it: its memory at its own addresses, and, while it is stopped, its registers.

use abi::error;
use abi::ureg::{UREG_SIZE, Ureg};
use machine::types::{FPU_SIZE, FpuState};

use crate::error::Result;
use crate::mem::iobuf::{Dst, Src};
use crate::proc::procctl;
use crate::proc::process::Proc;

/// Memory of another process, at its addresses; as much as is there.
pub(super) fn read_mem(up: &Proc, p: &Proc, dst: &mut Dst<'_>, va: u64) -> Result<usize> {
    let len = dst.len().min(1 << 20);
    let mut done = 0;
    while done < len && up.may_go_on(done) {
        let at = va.checked_add(done as u64).ok_or(error::EBADARG)?;
        let mut piece = [0u8; 4096];
        let n = (len - done).min(4096 - (at % 4096) as usize);
        let piece = piece.get_mut(..n).unwrap_or(&mut []);
        match p.mem.copy_in(at, piece) {
            Ok(()) => dst.put(done, piece)?,
            Err(_) if done > 0 => break,
            // A page of it may be at a server, and the note is the reader's.
            Err(e) if e.is(error::EINTR) => return Err(e),
            Err(_) => return Err(error::EBADARG.into()),
        }
        done += n;
    }
    Ok(done)
}

/// Writes into another process's memory; into its text, which gets it a copy of its own, only while it is stopped.
pub(super) fn write_mem(p: &Proc, src: &Src<'_>, va: u64) -> Result<usize> {
    let bytes = src.to_vec(1 << 20)?;
    if p.mem.is_text(va) {
        if !p.ctl.lock().is_stopped() {
            return Err(error::EBADCTL.into());
        }
        return p.mem.patch(va, &bytes);
    }
    p.mem.copy_out(va, &bytes).map_err(|e| if e.is(error::EINTR) { e } else { error::EBADARG.into() })?;
    Ok(bytes.len())
}

/// The registers that it has now if it runs, else those with which it left user mode last.
pub(super) fn read_regs(up: &Proc, p: &Proc, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
    dst.put_from(&procctl::registers(up, p)?.to_bytes(), offset)
}

/// Where a process goes on in the kernel, if it sleeps there; the other registers are not kept.
pub(super) fn read_kregs(p: &Proc, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
    let (pc, sp) = p.thread.get().and_then(|t| t.kernel_place()).unwrap_or_default();
    dst.put_from(&Ureg { pc, sp, ..Ureg::default() }.to_bytes(), offset)
}

/// Changes registers of a process that is stopped; its segments stay the program's.
pub(super) fn write_regs(p: &Proc, src: &Src<'_>, offset: u64) -> Result<()> {
    let new = src.to_vec(UREG_SIZE)?;
    let mut regs = p.regs.lock();
    let old = (*regs).filter(|_| p.ctl.lock().is_stopped()).ok_or(error::ENOREG)?;
    let mut bytes: [u8; UREG_SIZE] = old.to_bytes();
    patch(&mut bytes, &new, offset)?;
    let new = Ureg::from_bytes(&bytes);
    *regs = Some(Ureg { cs: old.cs, ss: old.ss, ..new });
    Ok(())
}

pub(super) fn read_fpregs(p: &Proc, dst: &mut Dst<'_>, offset: u64) -> Result<usize> {
    let state = *p.fpregs.lock().as_deref().ok_or(error::ENOREG)?;
    dst.put_from(state.as_bytes(), offset)
}

/// Changes the floating-point state of a process that is stopped.
pub(super) fn write_fpregs(p: &Proc, src: &Src<'_>, offset: u64) -> Result<()> {
    let new = src.to_vec(FPU_SIZE)?;
    let mut state = p.fpregs.lock();
    let old = state.as_mut().filter(|_| p.ctl.lock().is_stopped()).ok_or(error::ENOREG)?;
    let mut bytes = *old.as_bytes();
    patch(&mut bytes, &new, offset)?;
    **old = FpuState::from_bytes(&bytes);
    Ok(())
}

/// Puts what was written at `offset` into `bytes`.
fn patch(bytes: &mut [u8], new: &[u8], offset: u64) -> Result<()> {
    let at = usize::try_from(offset).map_err(|_| error::EBADARG)?;
    let end = at.checked_add(new.len()).ok_or(error::EBADARG)?;
    bytes.get_mut(at..end).ok_or(error::EBADARG)?.copy_from_slice(new);
    Ok(())
}
