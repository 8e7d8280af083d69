//! `elwood exec`'s options with one dash, as Go's tools have them: `-env X` for `--env X`.

use std::ffi::OsString;

/// The long options of `elwood exec`, and whether a value follows.
const OPTIONS: &[(&str, bool)] = &[
    ("accel", true),
    ("append", true),
    ("env", true),
    ("forward", true),
    ("initrd", true),
    ("kernel", true),
    ("machine", true),
    ("machine-option", true),
    ("memory", true),
    ("net", true),
    ("print", false),
    ("root", true),
    ("share", true),
    ("smp", true),
    ("timeout", true),
    ("verbose", false),
];

/// The command line with a second dash where `elwood exec` has one in front of a long option. Nothing from the
/// program's name on is touched.
pub fn two_dashes(line: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut out: Vec<OsString> = line.collect();
    if out.get(1).is_none_or(|w| w != "exec") {
        return out;
    }
    let mut value_follows = false;
    for word in out.iter_mut().skip(2) {
        if std::mem::take(&mut value_follows) {
            continue;
        }
        let Some(text) = word.to_str().filter(|t| t.len() > 1 && t.starts_with('-') && *t != "--") else {
            break;
        };
        let name = text.trim_start_matches('-');
        let (name, joined) = name.split_once('=').map_or((name, false), |(n, _)| (n, true));
        match OPTIONS.iter().find(|(option, _)| *option == name) {
            Some((_, takes)) => {
                value_follows = *takes && !joined;
                if !text.starts_with("--") {
                    *word = format!("-{text}").into();
                }
            }
            // -m and -M take a value, too, behind a blank or not.
            None => value_follows = matches!(text, "-m" | "-M"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    fn said(line: &str) -> String {
        let words = two_dashes(line.split(' ').map(OsString::from));
        words.iter().map(|w| w.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn one_dash_is_as_good_as_two() {
        assert_eq!(
            said("elwood exec -env -x -timeout=3s -m 64 -v ./p -env y"),
            "elwood exec --env -x --timeout=3s -m 64 -v ./p -env y"
        );
        assert_eq!(said("elwood exec --env A -smp 2 -- -p -env"), "elwood exec --env A --smp 2 -- -p -env");
        assert_eq!(said("elwood exec -M pc prog -smp"), "elwood exec -M pc prog -smp");
        assert_eq!(said("elwood run -smp 2"), "elwood run -smp 2");
    }

    #[test]
    fn the_options_are_those_that_there_are() {
        let command = super::super::Options::augment_args(clap::Command::new("exec"));
        let there: Vec<_> = command
            .get_arguments()
            .filter_map(|a| Some((a.get_long()?, a.get_action().takes_values())))
            .collect();
        for option in &there {
            assert!(OPTIONS.contains(option), "{option:?}");
        }
        assert_eq!(there.len(), OPTIONS.len());
    }
}
