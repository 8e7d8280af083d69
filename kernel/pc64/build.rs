//! Tells the linker where the kernel lives. Only the bare target has a place; a host build links nothing special.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../../boot/kernel.ld");
    println!("cargo:rerun-if-changed=../../boot/entry.S");
    println!("cargo:rerun-if-env-changed=ELWOOD_ROOT");
    if let Ok(root) = std::env::var("ELWOOD_ROOT") {
        println!("cargo:rerun-if-changed={root}");
    }
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo:rustc-link-arg-bins=-T{here}/../../boot/kernel.ld");
    for arg in ["--no-pie", "-zmax-page-size=4096", "-znorelro", "--build-id=none"] {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
}
