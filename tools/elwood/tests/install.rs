//! `make install`: what it puts where, that it works from there, and that `make uninstall` leaves nothing.

mod sample;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn install(words: &[&Path], top: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("install");
    Command::new(script).args(words).env("DESTDIR", top).env("PREFIX", "/opt/elwood").output().unwrap()
}

/// The files below a folder, as they are called from there.
fn files(top: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(top.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(name);
            } else {
                found.push(name.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn what_is_installed_works_and_goes_away() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let (_kept, kernel) = sample::file();
    let top = dir.join("top");
    let words = [Path::new(env!("CARGO_BIN_EXE_elwood")), &kernel];
    // A second time it replaces what is there.
    for _ in 0..2 {
        let out = install(&words, &top);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    assert_eq!(
        files(&top),
        [
            "opt/elwood/bin/elwood",
            "opt/elwood/share/bash-completion/completions/elwood",
            "opt/elwood/share/elwood/kernel.elf",
            "opt/elwood/share/fish/vendor_completions.d/elwood.fish",
            "opt/elwood/share/man/man1/elwood.1",
            "opt/elwood/share/zsh/site-functions/_elwood",
        ]
    );
    let share = top.join("opt/elwood/share");
    let read = |name: &str| fs::read_to_string(share.join(name)).unwrap();
    assert_eq!(fs::read(share.join("elwood/kernel.elf")).unwrap(), sample::bytes());
    for (shell, wanted) in [
        ("bash-completion/completions/elwood", "complete -F _elwood"),
        ("zsh/site-functions/_elwood", "#compdef elwood"),
        ("fish/vendor_completions.d/elwood.fish", "complete -c elwood"),
    ] {
        let text = read(shell);
        assert!(text.contains(wanted) && text.contains("mount-test"), "{shell}");
        assert!(!text.contains("bound"), "what is hidden is not completed: {shell}");
    }
    let page = read("man/man1/elwood.1");
    assert!(page.starts_with(".TH ELWOOD 1\n.fi\n.SH NAME\nelwood \\- run"), "{page}");
    let requests = page.lines().filter(|line| line.starts_with(['.', '\'']));
    for line in requests {
        assert!([".TH", ".SH", ".nf", ".fi", ".PP"].iter().any(|r| line.starts_with(r)), "{line}");
    }

    // It finds its kernel from anywhere.
    let elwood = top.join("opt/elwood/bin/elwood");
    let out =
        Command::new(&elwood).current_dir("/").args(["run", "--print", "--accel", "tcg"]).output().unwrap();
    let line = String::from_utf8(out.stdout).unwrap();
    assert!(line.contains(share.join("elwood/kernel.elf").to_str().unwrap()), "{line}");

    assert!(install(&[Path::new("-u")], &top).status.success());
    assert_eq!(files(&top), Vec::<String>::new());
    assert!(!share.join("elwood").exists());
    assert!(install(&[Path::new("-u")], &top).status.success(), "a second time there is nothing to do");
}

#[test]
fn nothing_is_installed_before_it_is_built() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent");
    let out = install(&[&absent, &absent], dir.path());
    assert!(!out.status.success());
    assert!(String::from_utf8_lossy(&out.stderr).contains("run 'make' first"));
    assert_eq!(files(dir.path()), Vec::<String>::new());
}
