//! The build script of every package of programs: it tells the linker where the parts of a program go. On the build
//! host nothing is linked this way.

fn main() {
    let script = "../lib9/program.ld";
    println!("cargo::rerun-if-changed={script}");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-T{here}/{script}");
        println!("cargo::rustc-link-arg-bins=--strip-debug");
    }
}
