//! Names of files without what is too much in them.

use alloc::string::String;
use alloc::vec::Vec;

/// The shortest name of the same file, found by looking at the name alone: without empty elements, without `.`, and
/// without `..` where something before it can go.
pub fn clean(name: &str) -> String {
    let rooted = name.starts_with('/');
    // A device's own root is left where it is: `#s/..` is `#s`.
    let fixed = usize::from(name.starts_with('#'));
    let mut elements: Vec<&str> = Vec::new();
    for element in name.split('/') {
        match element {
            "" | "." => {}
            ".." => match elements.last() {
                Some(&last) if last != ".." => {
                    if elements.len() > fixed {
                        elements.pop();
                    }
                }
                None if rooted => {}
                _ => elements.push(".."),
            },
            _ => elements.push(element),
        }
    }
    let joined = elements.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => alloc::format!("/{joined}"),
        (false, true) => ".".into(),
        _ => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, want) in [
            ("", "."),
            ("/", "/"),
            ("//a///b/", "/a/b"),
            ("a/./b/../c", "a/c"),
            ("../../a", "../../a"),
            ("/../a", "/a"),
            ("a/..", "."),
            ("a/../..", ".."),
            ("#s/../x", "#s/x"),
            ("./a", "a"),
        ] {
            assert_eq!(clean(name), want, "{name}");
        }
    }
}
