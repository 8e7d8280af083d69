//! Row: the host's user and group numbers, and names for them.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};

use crate::{NONUM, Str};

/// Names for numbers. A number without a name is written in decimal; `none` stands for no number.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

impl Ids {
    /// Without names.
    pub const fn new() -> Self {
        Ids { users: BTreeMap::new(), groups: BTreeMap::new() }
    }

    /// Gives a user a name.
    pub fn add_user(&mut self, number: u32, name: &str) {
        self.users.insert(number, name.to_string());
    }

    /// Gives a group a name.
    pub fn add_group(&mut self, number: u32, name: &str) {
        self.groups.insert(number, name.to_string());
    }

    /// The user in a stat: what the server calls it, if it does, else what the number is called.
    pub fn user(&self, name: Str<'_>, number: u32) -> String {
        called(&self.users, name, number)
    }

    /// The group in a stat.
    pub fn group(&self, name: Str<'_>, number: u32) -> String {
        called(&self.groups, name, number)
    }

    /// The number of a group that a program names, by name or in decimal.
    pub fn group_number(&self, name: &str) -> Option<u32> {
        let named = self.groups.iter().find(|(_, n)| *n == name).map(|(number, _)| *number);
        named.or_else(|| name.parse().ok().filter(|n| *n != NONUM))
    }
}

fn called(table: &BTreeMap<u32, String>, name: Str<'_>, number: u32) -> String {
    if !name.is_empty() {
        name.text().into_owned()
    } else if let Some(known) = table.get(&number) {
        known.clone()
    } else if number == NONUM {
        String::from("none")
    } else {
        number.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_both_ways() {
        let mut ids = Ids::new();
        ids.add_user(1000, "glenda");
        ids.add_group(100, "sys");
        assert_eq!(ids.user("".into(), 1000), "glenda");
        assert_eq!(ids.user("".into(), 100), "100");
        assert_eq!(ids.group("".into(), 100), "sys");
        assert_eq!(ids.user("bootes".into(), 1000), "bootes");
        assert_eq!(ids.user("".into(), NONUM), "none");
        assert_eq!(ids.group_number("sys"), Some(100));
        assert_eq!(ids.group_number("7"), Some(7));
        assert_eq!(ids.group_number("4294967295"), None, "it would mean: leave it");
        assert_eq!(ids.group_number("glenda"), None);
    }
}
