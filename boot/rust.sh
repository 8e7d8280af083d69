# boot/rust.sh: which Rust is used. boot/cargo, boot/kcargo and boot/deps read this file; they run in the top folder.
#
# A Rust is named by the folder of its cargo and rustc. That is /usr/bin for Debian's packages and for its cargo-web and
# rustc-web, and /usr/lib/rust-1.N/bin for Ubuntu's packages of one version, cargo-1.N and rustc-1.N.
target=x86_64-unknown-none
# What Cargo.toml asks for: the N of 1.N.
oldest=$(sed -n 's/^rust-version = "1\.\([0-9]*\).*/\1/p' Cargo.toml)

# The N of the version 1.N that a program says it has, or nothing.
minor() {
	"$@" --version 2>/dev/null | sed -n 's/^[a-z]* 1\.\([0-9]*\).*/\1/p'
}

# Whether cargo and rustc of this folder are both there and new enough.
new_enough() {
	[ -x "$1/cargo" ] && [ -x "$1/rustc" ] || return 1
	cargo_minor=$(minor "$1/cargo")
	rustc_minor=$(minor "$1/rustc")
	[ "${cargo_minor:-0}" -ge "$oldest" ] && [ "${rustc_minor:-0}" -ge "$oldest" ]
}

# The folders where the system's packages put a Rust; of Ubuntu's the newest comes first.
system_rusts() {
	echo /usr/bin
	for folder in /usr/lib/rust-1.*/bin; do
		echo "$folder"
	done | sort -t . -k 2,2nr
}

# Prints the folder of the Rust for the host: the one in PATH if it is new enough, else the system's. (rustup's cargo
# says its version only when it has fetched what rust-toolchain.toml asks for.)
host_rust() {
	found=$(command -v cargo) || found=
	for folder in "${found%/cargo}" $(system_rusts); do
		if [ -n "$folder" ] && new_enough "$folder"; then
			echo "$folder"
			return
		fi
	done
	return 1
}

# Whether the Rust for the host, in this folder, comes with the bare target's own core and alloc, as rustup's does.
has_target() {
	sysroot=$("$1/rustc" --print sysroot 2>/dev/null) && [ -d "$sysroot/lib/rustlib/$target" ]
}

# Prints the folder of a system's Rust that can build core and alloc for the bare target from their source.
source_rust() {
	command -v ld.lld >/dev/null 2>&1 || return 1
	for folder in $(system_rusts); do
		if new_enough "$folder" && [ -d "$("$folder/rustc" --print sysroot)/lib/rustlib/src/rust/library/core" ]; then
			echo "$folder"
			return
		fi
	done
	return 1
}
