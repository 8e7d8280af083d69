//! The QEMU that the environment names: what is none is told, with the variable's name.

mod sample;

use std::process::Command;

#[test]
fn what_is_no_qemu_is_refused_by_name() {
    let (_dir, kernel) = sample::file();
    for (qemu, why) in [
        ("/nonexistent/qemu", "cannot be started: No such file or directory"),
        ("/bin/true", "it is no QEMU: asked for its version it says"),
        ("/etc/passwd", "cannot be started: Permission denied"),
    ] {
        for words in [&["run"][..], &["exec", "true"]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_elwood"));
            let (first, rest) = words.split_first().unwrap();
            command.arg(first).args(["--accel", "tcg", "--kernel"]).arg(&kernel);
            command.args(rest).env("QEMU", qemu);
            let out = command.output().unwrap();
            let told = String::from_utf8_lossy(&out.stderr);
            assert!(told.starts_with(&format!("elwood: QEMU={qemu}: {why}")), "{words:?}: {told}");
            assert!(!out.status.success() && out.stdout.is_empty());
        }
    }
}

#[test]
fn what_is_no_kernel_is_refused_by_name() {
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for words in [&["run"][..], &["exec", "true"], &["run", "--print"]] {
        let (first, rest) = words.split_first().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_elwood"));
        let out = command.arg(first).args(["--accel", "tcg", "--kernel", text]).args(rest).output().unwrap();
        let told = String::from_utf8_lossy(&out.stderr);
        let why = format!("elwood: --kernel: {text} is no kernel: it is no 64-bit ELF file\n");
        assert_eq!(told, why, "{words:?}");
        assert!(!out.status.success() && out.stdout.is_empty());
    }
}
