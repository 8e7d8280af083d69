//! `/proc/n/ns`: a name space as the rc commands that would make it again.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use abi::error;
use abi::quote::needs_quotes;
use machine::heap;

use crate::error::Result;
use crate::name::mhead::{Mhead, Mount};
use crate::name::namespace::Pgrp;

impl Pgrp {
    /// The mounts as rc commands in the order in which they were made, the last line being the current
    /// directory: `/proc/n/ns`.
    ///
    /// # Errors
    /// `kernel allocate failed`.
    pub fn text(&self, dot: &str) -> Result<String> {
        let mounts = self.change.lock();
        let mut lines: Vec<(Mount, usize, Arc<Mhead>)> = heap::try_vec(*mounts)?;
        self.each_head(|_, head| {
            for m in head.list().iter().filter(|m| m.id != 0) {
                let place = lines.len();
                heap::try_push(&mut lines, (m.clone(), place, head.clone()))?;
            }
            Ok(())
        })?;
        drop(mounts);
        lines.sort_unstable_by_key(|(m, place, _)| (m.id, *place));
        let mut out = heap::Text::new();
        for (m, _, head) in &lines {
            m.write_line(head.from.path.as_str(), &mut out)?;
        }
        writeln!(out, "cd {}", Quoted(dot)).map_err(|_| error::ENOMEM)?;
        Ok(out.finish()?)
    }
}

impl Mount {
    /// The command that would make this mount again.
    fn write_line(&self, old: &str, out: &mut heap::Text) -> Result<()> {
        let mut flags = String::new();
        match self.flags & abi::MORDER {
            abi::MBEFORE => flags.push('b'),
            abi::MAFTER => flags.push('a'),
            _ => {}
        }
        if self.flags & abi::MCREATE != 0 {
            flags.push('c');
        }
        if self.flags & abi::MCACHE != 0 {
            flags.push('C');
        }
        if !flags.is_empty() {
            flags = format!("-{flags} ");
        }
        let old = Quoted(old);
        let written = if self.server.is_none() {
            writeln!(out, "bind {flags}{} {old}", Quoted(self.to.path.as_str()))
        } else {
            let letter = self.to.dev.letter();
            // What stands for a share itself is mounted by any mount device.
            if letter != 'M' && self.server.as_ref().is_none_or(|server| server.dev.letter() != letter) {
                flags.push_str(&format!("-d #{letter} "));
            }
            let server = Quoted(&self.server_name);
            if self.spec.is_empty() {
                writeln!(out, "mount {flags}{server} {old}")
            } else {
                writeln!(out, "mount {flags}{server} {old} {}", Quoted(&self.spec))
            }
        };
        Ok(written.map_err(|_| error::ENOMEM)?)
    }
}

/// A word as rc reads it back.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !needs_quotes(self.0) {
            return f.write_str(self.0);
        }
        f.write_char('\'')?;
        for piece in self.0.split_inclusive('\'') {
            f.write_str(piece)?;
            if piece.ends_with('\'') {
                f.write_char('\'')?;
            }
        }
        f.write_char('\'')
    }
}
