//! The shell on a system in memory: every construct of rc(1), from the command to what it prints.

mod boot;
mod builtins;
mod control;
mod fake;
mod io;
mod notes;
mod programs;
mod words;

use std::sync::mpsc;
use std::time::Duration;

use fake::{Fake, Typed, World};

/// The world every test begins with: the programs, the real rcmain, some files.
pub fn world() -> World {
    let world = World::default();
    for dir in ["/bin", "/env", "/dev", "/fd", "/tmp", "/tmp/d1", "/tmp/d2", "/lib", "/rc", "/rc/lib", "/usr"]
    {
        world.dirs.lock().unwrap().insert(dir.into());
    }
    for name in programs::NAMES {
        put(&world, &format!("/bin/{name}"), "program", true);
    }
    put(&world, "/rc/lib/rcmain", include_str!("../../../../boot/root/rc/lib/rcmain"), false);
    for name in
        ["/tmp/a.c", "/tmp/b.c", "/tmp/c.h", "/tmp/.hid", "/tmp/d1/x", "/tmp/d2/x", "/tmp/d2/y", "/tmp/k*"]
    {
        put(&world, name, &format!("this is {name}\n"), false);
    }
    world
}

/// Puts a file into the world.
pub fn put(world: &World, name: &str, text: &str, executable: bool) {
    let data = std::sync::Arc::new(std::sync::Mutex::new(text.as_bytes().to_vec()));
    world.files.lock().unwrap().insert(name.into(), (data, executable));
}

/// Runs rc with these arguments: what the console shows, and the exit status.
pub fn rc_in(mut os: Fake, args: &[&str]) -> (String, String) {
    os.setenv("path", b"/bin\0");
    let world = os.world.clone();
    let args: Vec<String> = std::iter::once("rc").chain(args.iter().copied()).map(String::from).collect();
    let (send, receive) = mpsc::channel();
    let run = move || {
        let _ = send.send(rcshell::main(os, &args));
    };
    std::thread::Builder::new().stack_size(64 << 20).spawn(run).unwrap();
    let status = receive.recv_timeout(Duration::from_secs(20));
    let shown = String::from_utf8_lossy(&world.console.lock().unwrap()).into_owned();
    let status = status.unwrap_or_else(|e| panic!("rc did not end well ({e}); so far: {shown}"));
    (shown, status)
}

/// Runs `rc -c script`: output and messages as they come, and the exit status.
pub fn run(script: &str) -> (String, String) {
    rc_in(Fake::new(world()), &["-c", script])
}

/// What `rc -c script` prints.
#[track_caller]
pub fn check(script: &str, want: &str) {
    let (shown, _) = run(script);
    assert_eq!(shown, want, "\n--- script\n{script}");
}

/// A session at the console: the keys typed, and all that is seen but the keys.
pub fn session(typed: &[Typed]) -> (String, String) {
    let world = world();
    world.typed.lock().unwrap().extend(typed.iter().cloned());
    let mut os = Fake::new(world);
    os.setenv("prompt", b"% \0> \0");
    rc_in(os, &[])
}
