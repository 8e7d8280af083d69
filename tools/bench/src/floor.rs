//! The floor: what QEMU itself costs, found with machines that have no operating system.

use std::path::{Path, PathBuf};

use anyhow::Result;
use vm::Board;

use crate::compile;
use crate::guest::{Machine, run_to_end};

/// The floor's kernels.
pub struct Floor {
    requests: PathBuf,
    /// One that only says that it is there.
    pub first: PathBuf,
}

impl Floor {
    /// Compiles them.
    pub fn new(folder: &Path) -> Result<Floor> {
        Ok(Floor { requests: compile::floor(folder, false)?, first: compile::floor(folder, true)? })
    }

    /// Whether it can make requests on a board: it drives the registers that devices on PCI have.
    pub fn is_on(board: Board) -> bool {
        board != Board::Microvm
    }

    /// Makes its requests. What it printed.
    pub fn run(&self, machine: &Machine, share: &Path, folder: &Path) -> Result<String> {
        run_to_end(machine.with_devices("9pmeta", share, folder)?.kernel(&self.requests), "FLOOR-END")
    }
}
