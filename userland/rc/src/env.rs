//! The environment: a file for each variable, its words ended by NUL bytes, and for each function one named `fn#name`
//! that holds its definition.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use abi::env::{contents, words};
use abi::{OREAD, OWRITE};

use crate::os::Os;
use crate::print;
use crate::shell::{Run, Shell};

/// What the files of functions are called.
const FUNCTION: &str = "fn#";

impl<O: Os> Shell<O> {
    /// Reads all variables of the environment. Functions wait for `finit`.
    pub(crate) fn import(&mut self) {
        for name in self.env_names() {
            if !name.starts_with(FUNCTION)
                && let Some(bytes) = self.env_read(&name)
            {
                self.vars.import(&name, words(&bytes));
            }
        }
    }

    /// Defines the functions of the environment.
    pub(crate) fn import_functions(&mut self) -> Run {
        for file in self.env_names() {
            if let Some(name) = file.strip_prefix(FUNCTION)
                && let Some(bytes) = self.env_read(&file)
            {
                self.run_string(&String::from_utf8_lossy(&bytes))?;
                self.vars.function_imported(name);
            }
        }
        Ok(())
    }

    pub(crate) fn export_variable(&mut self, name: &str) {
        let path = format!("{}/{name}", O::ENV);
        if !self.vars.is_set(name) {
            let _ = self.os.remove(&path);
            return;
        }
        let bytes = contents(self.vars.get(name));
        self.env_write(&path, &bytes);
    }

    pub(crate) fn export_function(&mut self, name: &str) {
        let path = format!("{}/{FUNCTION}{name}", O::ENV);
        match self.vars.function(name) {
            Some(body) => {
                let text = print::function(name, body);
                self.env_write(&path, text.as_bytes());
            }
            None => {
                let _ = self.os.remove(&path);
            }
        }
    }

    fn env_names(&mut self) -> Vec<String> {
        let mut names: Vec<String> = match self.os.list(O::ENV) {
            Ok(entries) => entries.into_iter().map(|e| e.name).collect(),
            Err(_) => Vec::new(),
        };
        names.sort();
        names
    }

    fn env_read(&mut self, name: &str) -> Option<Vec<u8>> {
        let fd = self.os.open(&format!("{}/{name}", O::ENV), OREAD).ok()?;
        let mut bytes = Vec::new();
        let mut buf = [0; 2048];
        let result = loop {
            match self.os.read(fd, &mut buf) {
                Ok(0) => break Some(bytes),
                Ok(n) => bytes.extend_from_slice(buf.get(..n).unwrap_or(&[])),
                Err(_) => break None,
            }
        };
        self.os.close(fd);
        result
    }

    fn env_write(&mut self, path: &str, bytes: &[u8]) {
        // What cannot be exported (no room, an odd name) is still a variable of the shell.
        if let Ok(fd) = self.os.create(path, OWRITE, 0o666) {
            if !bytes.is_empty() {
                let _ = self.os.write(fd, bytes);
            }
            self.os.close(fd);
        }
    }
}
