//! Variables and functions.
//!
//! A local assignment (`x=1 cmd`, the variable of `for`, the arguments of a function) hides the one below it as long as
//! its command runs, and functions called meanwhile see it: scope follows the calls. Names that changed are remembered
//! until they are exported.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::ast::Body;

/// Variables that belong to one shell and are not exported.
const PRIVATE: [&str; 6] = ["*", "0", "status", "pid", "cflag", "rcname"];

/// All variables and functions of a shell.
#[derive(Clone, Debug, Default)]
pub struct Vars {
    globals: BTreeMap<String, Vec<String>>,
    locals: Vec<(String, Vec<String>)>,
    functions: BTreeMap<String, Body>,
    changed: BTreeSet<String>,
    changed_functions: BTreeSet<String>,
}

impl Vars {
    /// The value of a variable; `1` and so on are words of `$*`. The empty list if it is not set.
    pub fn get(&self, name: &str) -> &[String] {
        if let Ok(n @ 1..) = name.parse::<usize>() {
            return self.get("*").get(n - 1..n).unwrap_or(&[]);
        }
        match self.locals.iter().rev().find(|(local, _)| local == name) {
            Some((_, value)) => value,
            None => self.globals.get(name).map_or(&[], |value| value),
        }
    }

    /// Is it set, be it to the empty list?
    pub fn is_set(&self, name: &str) -> bool {
        self.locals.iter().any(|(local, _)| local == name) || self.globals.contains_key(name)
    }

    /// Assigns to the innermost variable of this name.
    pub fn set(&mut self, name: &str, value: Vec<String>) {
        match self.locals.iter_mut().rev().find(|(local, _)| local == name) {
            Some(local) => local.1 = value,
            None => {
                self.globals.insert(name.into(), value);
            }
        }
        self.touch(name);
    }

    /// Sets a variable that is in the environment already.
    pub fn import(&mut self, name: &str, value: Vec<String>) {
        self.globals.insert(name.into(), value);
    }

    /// [`Vars::set`] with one word.
    pub fn set_one(&mut self, name: &str, value: impl Into<String>) {
        self.set(name, vec![value.into()]);
    }

    /// How many locals there are, for [`Vars::leave`].
    pub fn depth(&self) -> usize {
        self.locals.len()
    }

    /// Adds a local that hides others of its name.
    pub fn enter(&mut self, name: &str, value: Vec<String>) {
        self.locals.push((name.into(), value));
        self.touch(name);
    }

    /// Drops locals down to `depth`.
    pub fn leave(&mut self, depth: usize) {
        while self.locals.len() > depth {
            if let Some((name, _)) = self.locals.pop() {
                self.touch(&name);
            }
        }
    }

    fn touch(&mut self, name: &str) {
        if !PRIVATE.contains(&name) && is_file_name(name) && !self.changed.contains(name) {
            self.changed.insert(name.into());
        }
    }

    /// The body of a function.
    pub fn function(&self, name: &str) -> Option<&Body> {
        self.functions.get(name)
    }

    /// Defines a function, or removes it.
    pub fn set_function(&mut self, name: &str, body: Option<Body>) {
        match body {
            Some(body) => {
                self.functions.insert(name.into(), body);
            }
            None => {
                self.functions.remove(name);
            }
        }
        if is_file_name(name) {
            self.changed_functions.insert(name.into());
        }
    }

    /// Forgets that a function changed: it came from the environment.
    pub fn function_imported(&mut self, name: &str) {
        self.changed_functions.remove(name);
    }

    /// Names of variables and functions changed since the last call.
    pub fn take_changed(&mut self) -> (BTreeSet<String>, BTreeSet<String>) {
        (core::mem::take(&mut self.changed), core::mem::take(&mut self.changed_functions))
    }

    /// Did anything change that is exported?
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty() || !self.changed_functions.is_empty()
    }

    /// The names of all variables, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: BTreeSet<&String> = self.globals.keys().collect();
        names.extend(self.locals.iter().map(|(name, _)| name));
        names.into_iter().cloned().collect()
    }

    /// The names of all functions, sorted.
    pub fn function_names(&self) -> Vec<String> {
        self.functions.keys().cloned().collect()
    }
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && name != ".."
        && name.bytes().all(|b| b > b' ' && b != b'/' && b != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locals_hide_and_leave() {
        let mut v = Vars::default();
        v.set_one("x", "1");
        v.take_changed();
        let depth = v.depth();
        v.enter("x", vec!["2".into()]);
        assert_eq!(v.get("x"), ["2"]);
        v.set_one("x", "3");
        assert_eq!(v.get("x"), ["3"]);
        v.leave(depth);
        assert_eq!(v.get("x"), ["1"]);
        assert!(v.take_changed().0.contains("x"), "what was hidden must be exported again");
    }

    #[test]
    fn positions_are_words_of_star() {
        let mut v = Vars::default();
        v.set("*", vec!["a".into(), "b".into()]);
        assert_eq!((v.get("1"), v.get("2")), (&["a".into()][..], &["b".into()][..]));
        assert!(v.get("3").is_empty() && v.get("99999999999999999999").is_empty());
        assert!(v.get("0").is_empty());
        assert!(!v.has_changed(), "$* is not exported");
    }
}
