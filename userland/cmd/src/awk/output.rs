//! print and printf.

use alloc::vec::Vec;

use super::printf;
use super::run::{Done, Machine};
use super::tree::{Expr, Redirection};

impl<'a> Machine<'a> {
    pub(super) fn print(&mut self, list: &'a [Expr], to: Option<&'a Redirection>) -> Done<()> {
        let mut out = self.buffer();
        for (n, expr) in list.iter().enumerate() {
            if n > 0 {
                out.extend_from_slice(&self.settings.ofs);
            }
            self.append_printed(expr, &mut out)?;
        }
        if list.is_empty() {
            self.append_field(0, &mut out)?;
        }
        out.extend_from_slice(&self.settings.ors);
        self.put(&out, to)?;
        self.spare.push(out);
        Ok(())
    }

    pub(super) fn printf(&mut self, list: &'a [Expr], to: Option<&'a Redirection>) -> Done<()> {
        let out = self.formatted(list)?;
        self.put(&out, to)?;
        self.spare.push(out);
        Ok(())
    }

    /// What a format and its arguments make.
    pub(super) fn formatted(&mut self, list: &'a [Expr]) -> Done<Vec<u8>> {
        let mut values = Vec::with_capacity(list.len());
        for expr in list {
            values.push(self.value(expr)?);
        }
        let mut out = self.buffer();
        let Some((format, arguments)) = values.split_first() else { return Ok(out) };
        let format = format.text(&self.settings.convfmt);
        printf::print(&format, arguments, &self.settings.convfmt, &mut out)?;
        Ok(out)
    }

    fn put(&mut self, bytes: &[u8], to: Option<&'a Redirection>) -> Done<()> {
        match to {
            None => self.streams.print(bytes, self.world)?,
            Some(to) => {
                let name = self.text(&to.to)?;
                if name.is_empty() {
                    return Err("print to a file with no name".into());
                }
                self.streams.print_to(to.way, &name, bytes, self.world)?;
            }
        }
        Ok(())
    }
}
