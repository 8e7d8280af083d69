//! bootroot: make what the word root= of the kernel's command line names the root, and run what begins there: its own
//! init, or /boot/rc/lib/inroot.
//!
//! It is the first process of a machine that has this word, and all other files are in /boot then. All that cannot be
//! is told before anything of the other tree runs, in a child with groups of its own. When that ends, this one becomes
//! the kernel's own init: the machine is never lost with its root. See boot(8).


use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;

use abi::{MAFTER, MBEFORE, MCREATE, MREPL};
use cmd::bootroot::{self, Where};
use cmd::{fstype, nsbuild};
use lib9::proc::Noted;
use lib9::{Args, Dir, Fork, Result, Rfork, env, error, fd, file, ns, proc, serve, sys, usage};


/// The name space in which this works: what a file server may ask for, what the agent for authentication makes
/// capabilities with, and our own programs.
const NAMES: [(&str, &str, u32); 9] = [
    ("#c", "/dev", MREPL),
    ("#S", "/dev", MAFTER),
    ("#\u{a4}", "/dev", MAFTER),
    ("#e", "/env", MREPL | MCREATE),
    ("#d", "/fd", MREPL),
    ("#p", "/proc", MREPL),
    ("#s", "/srv", MREPL | MCREATE),
    ("/boot/bin", "/bin", MREPL),
    ("/boot/rc/bin", "/bin", MAFTER),
];

/// What directories to mount on are posted as, and where they are, as in the name space of a whole Plan 9.
const PLACES: [(&str, &str); 3] =
    [("slashn", "/n"), ("slashmnt", "/mnt"), ("mntexport", "/mnt/exportfs")];

/// The process that the kernel starts.
const FIRST: i32 = 1;
/// What the kernel runs otherwise.
const INIT: &str = "/rc/bin/init";

pub fn main(args: &Args) -> Result<()> {
    if !args.words().is_empty() {
        usage(args, "");
    }
    // Typed at a prompt it would end in a second init, and that in the end of the machine.
    if proc::getpid() != FIRST {
        return Err("only the first process of a machine is bootroot".into());
    }
    // Of several words the last counts, as everywhere.
    let root = words("root").pop().unwrap_or_default();
    let command = words("init").join(" ");
    let command = Some(command.as_str()).filter(|command| !command.is_empty());
    // What interrupts the programs of the tree, and what the power button sends to everybody, is not for us.
    proc::notify(Some(|note| {
        if matches!(note, "interrupt" | "hangup") { Noted::Continue } else { Noted::Default }
    }))?;
    let ended = match proc::rfork(Rfork::PROC | Rfork::FDG | Rfork::NOTEG | Rfork::ENVG | Rfork::CNAMEG)? {
        Fork::Child => {
            proc::notify(None)?;
            let Err(e) = boot(&root, command) else { proc::exits_now("") };
            if e.text().len() > bootroot::REASON {
                // The parent gets to know the beginning, and tells that.
                lib9::eprintln!("bootroot: root={root}: {e}");
            }
            proc::exits(e.text())
        }
        Fork::Parent(child) => wait(child),
    };
    lib9::eprintln!("bootroot: root={root}{}", bootroot::outcome(&ended));
    if command.is_none() {
        lib9::eprintln!("bootroot: the shell is that of the kernel's own root");
    }
    nsbuild::set("noroot", if ended.is_empty() { "ended" } else { &ended })?;
    proc::exec(INIT, &["init"]).map(drop).map_err(|e| error!("{INIT}: {e}"))
}

/// The words of a variable.
fn words(name: &str) -> Vec<String> {
    abi::env::words(&file::read(&format!("#e/{name}")).unwrap_or_default())
}

/// How the child ends.
fn wait(child: i32) -> String {
    loop {
        match proc::await_() {
            Ok(w) if w.pid == child => return w.msg,
            Err(e) if !e.is(abi::error::EINTR) => return e.text().into(),
            _ => {}
        }
    }
}

/// Makes the tree the root and becomes what begins in it.
fn boot(root: &str, command: Option<&str>) -> Result<()> {
    let root = bootroot::parse(root).ok_or("not TAG, FILE or SERVER!FILE")?;
    // Who has opened the console last is interrupted by ^C, should a server be silent.
    fd::close(fd::open("#c/cons", abi::OREAD)?)?;
    for (new, old, flag) in NAMES {
        ns::bind(new, old, flag).map_err(|e| error!("bind {new} {old}: {e}"))?;
    }
    post_shares();
    match &root {
        Where::Share { spec } => share(spec)?,
        Where::File { server, file, options } => served(server, file, options)?,
    }
    // A tree lives without a network, too.
    let _ = network();
    begin(command)
}

/// Gives the network card its addresses as the kernel's own root does, in a process that nobody waits for: the scripts
/// of a tree know other machines' cards, or have nothing to do where there is a loopback.
fn network() -> Result<()> {
    let net = words("net").join(" ");
    if net == "none" || fd::stat("#l/ether0/addr").is_err() {
        return Ok(());
    }
    let apart = Rfork::PROC | Rfork::FDG | Rfork::NAMEG | Rfork::NOTEG | Rfork::ENVG | Rfork::NOWAIT;
    if let Fork::Child = proc::rfork(apart)? {
        let Err(_) = ipconfig(&net);
        proc::exits_now("ipconfig");
    }
    Ok(())
}

/// Becomes ipconfig(8), which says nothing here.
fn ipconfig(net: &str) -> Result<Infallible> {
    let null = fd::open("#c/null", abi::ORDWR)?;
    for fd in 0..3 {
        fd::dup(null, fd)?;
    }
    for device in ["#l", "#I"] {
        ns::bind(device, "/net", MAFTER)?;
    }
    let argv: Vec<&str> = ["ipconfig"].into_iter().chain(net.split_whitespace()).collect();
    proc::exec("/boot/bin/ip/ipconfig", &argv)
}

/// Posts the shares of the host: a name space that begins anew has no mounts of ours.
fn post_shares() {
    for dir in fd::readdir("#9").unwrap_or_default() {
        // The name may be taken.
        let _ = post_share(&dir.name, &dir.name);
    }
}

fn post_share(tag: &str, name: &str) -> Result<()> {
    let server = fd::open(&format!("#9/{tag}"), abi::ORDWR)?;
    let posted = serve::post(name, server, 0o666);
    fd::close(server)?;
    posted
}

/// Mounts a share on /root, and posts it as what the root is made of.
fn share(spec: &str) -> Result<()> {
    let dev = fd::open("#c/null", abi::ORDWR)?;
    ns::mountdev(dev, -1, "/root", MREPL | MCREATE, spec, '9').map_err(|e| error!("no such share: {e}"))?;
    let tag = bootroot::tags(spec).find(|tag| fd::stat(&format!("#9/{tag}")).is_ok());
    post_share(tag.unwrap_or(spec), "boot")
}

/// Starts the file server for a file, posts it, and mounts it on /root.
fn served(server: &str, name: &str, options: &[String]) -> Result<()> {
    let found = fd::stat(name).map_err(|e| error!("{e}"))?;
    let choose = |file: &str| {
        let kind = file_kind(file)?;
        (server == bootroot::LOCAL || kind == server).then_some(kind)
    };
    let file =
        if found.is_dir() { bootroot::partition(name, &files(name)?, choose) } else { Some(name.into()) };
    let file =
        file.ok_or_else(|| error!("no partition of {name} has a known file system; say SERVER!FILE"))?;
    let program = match server {
        bootroot::LOCAL => {
            file_kind(&file).ok_or_else(|| error!("{file} has no known file system; say SERVER!{file}"))?
        }
        server => server,
    };
    let path = format!("/bin/{program}");
    fd::stat(&path).map_err(|e| error!("no file server {program}: {e}"))?;
    let mut argv: Vec<&str> = alloc::vec![program, "-s", "-f", &file];
    argv.extend(options.iter().map(String::as_str));
    let server = serve::start(|end| {
        // Both ends of its conversation are one descriptor, as Plan 9 starts these.
        let exec = || {
            fd::dup(end, 0)?;
            fd::dup(end, 1)?;
            fd::close(end)?;
            proc::exec(&path, &argv)
        };
        let Err(e) = exec();
        lib9::eprintln!("bootroot: {path}: {e}");
        proc::exits_now("exec")
    })?;
    serve::post("boot", server, 0o666)?;
    // One that wants nobody authenticated says so to this.
    let afd = sys::fauth(server, "").unwrap_or(-1);
    let spec = env::get("rootspec").unwrap_or_default();
    ns::mount(server, afd, "/root", MREPL | MCREATE, &spec)
        .map_err(|e| error!("{program} serves no root: {e}"))?;
    Ok(())
}

fn files(dir: &str) -> Result<Vec<String>> {
    Ok(fd::readdir(dir)?.into_iter().map(|dir| dir.name).collect())
}

/// The program that serves what is in a file, if it is known by how that begins.
fn file_kind(name: &str) -> Option<&'static str> {
    let file = lib9::File::open(name, abi::OREAD).ok()?;
    let mut front = alloc::vec![0; fstype::FRONT];
    let n = fd::readn(file.fd(), &mut front).ok()?;
    fstype::kind(front.get(..n)?).map(bootroot::server)
}

/// Becomes what begins in the tree on /root.
fn begin(command: Option<&str>) -> Result<()> {
    let root = env::get("rootdir").unwrap_or_else(|| "/root".into());
    let cpu = env::get("cputype").unwrap_or_else(|| "amd64".into());
    let there = |path: &str| fd::stat(&format!("{root}{path}")).is_ok();
    let (bin, shell, init) = (format!("/{cpu}/bin"), format!("/{cpu}/bin/rc"), format!("/{cpu}/init"));
    if !fd::stat(&root).map_err(|e| error!("{e}"))?.is_dir() {
        return Err(error!("{root} is no directory"));
    }
    if ![&bin, "/rc/bin", "/lib/namespace"].into_iter().any(there) {
        let others: Vec<&str> =
            bootroot::CPUS.into_iter().filter(|cpu| there(&format!("/{cpu}/bin"))).collect();
        return Err(match others.as_slice() {
            [] => error!("no Plan 9: it has neither {bin} nor /rc/bin nor /lib/namespace"),
            others => error!("no programs for {cpu}, but for {}", others.join(" ")),
        });
    }
    for program in [&init, &shell].into_iter().filter(|program| there(program)) {
        let bytes = front(&format!("{root}{program}")).map_err(|e| error!("{program}: {e}"))?;
        bootroot::program(&bytes).map_err(|why| error!("{program} cannot run: {why}"))?;
    }
    if there(&init) && !there(&shell) {
        return Err(error!("it has {init} and no {shell}"));
    }
    // A name server of the tree gives the machine another name, if it finds none: that of the loopback.
    let sysname = env::get("sysname").map_or_else(|| file::read_string("#c/sysname"), Ok)?;
    for (name, value) in [("rootdir", root.as_str()), ("cputype", &cpu), ("sysname", &sysname)] {
        env::putenv(name, &[value])?;
    }
    tidy();
    ns::bind(&root, "/", MAFTER).map_err(|e| error!("bind -a {root} /: {e}"))?;
    if there(&bin) {
        // For an init without a namespace file. Others begin anew.
        ns::bind(&format!("{root}{bin}"), "/bin", MBEFORE)?;
    }
    fd::chdir("/")?;
    if there(&init) {
        let agent = format!("{bin}/auth/factotum");
        if there(&agent) {
            run(&format!("{root}{agent}"), &["factotum", "-n", "-s", "factotum"]);
        }
        let places = format!("{root}{bin}/mntgen");
        if command.is_some() && fd::stat(&places).is_ok() {
            begin_places(&places);
        }
        let kind = if env::get("service").as_deref() == Some("cpu") { "-c" } else { "-t" };
        let script = command.map(bootroot::command);
        let argv = ["init", kind].into_iter().chain(script.as_deref());
        let argv: Vec<&str> = argv.collect();
        return proc::exec(&format!("{root}{init}"), &argv).map(drop).map_err(|e| error!("{init}: {e}"));
    }
    let namespace = format!("{root}/lib/namespace");
    if let Ok(text) = file::read(&namespace) {
        let user = file::read_string("#c/user")?;
        nsbuild::set("user", &user)?;
        nsbuild::set("home", &format!("/usr/{user}"))?;
        proc::rfork(Rfork::CNAMEG)?;
        nsbuild::build(&String::from_utf8_lossy(&text), false);
    }
    let script = ["rc", "-m", "/boot/rc/lib/rcmain", "/boot/rc/lib/inroot"];
    let argv: Vec<&str> = script.into_iter().chain(command).collect();
    proc::exec("/boot/bin/rc", &argv).map(drop).map_err(|e| error!("/boot/bin/rc: {e}"))
}

/// Starts what makes directories to mount on, where nobody else does: the scripts of the tree that begin a machine are
/// not run for a command, and its name space wants these.
fn begin_places(mntgen: &str) {
    for (name, place) in PLACES {
        run(mntgen, &["mntgen", "-s", name, place]);
        let _ = fd::wstat(&format!("#s/{name}"), &Dir { mode: 0o666, ..Dir::untouched() });
    }
}

/// Runs a program of the tree that goes into the background once it has posted itself in /srv: its agent for
/// authentication, for one, as its own boot would have done. A machine without it is good for who does not need it.
fn run(path: &str, argv: &[&str]) {
    let ended = match proc::rfork(Rfork::PROC | Rfork::FDG) {
        Ok(Fork::Child) => {
            let Err(e) = proc::exec(path, argv);
            proc::exits(e.text())
        }
        Ok(Fork::Parent(child)) => wait(child),
        Err(e) => String::from(e.text()),
    };
    if !ended.is_empty() {
        lib9::eprintln!("bootroot: {path}: {ended}");
    }
}

fn front(name: &str) -> Result<Vec<u8>> {
    let file = lib9::File::open(name, abi::OREAD)?;
    let mut bytes = alloc::vec![0; bootroot::HEAD];
    let n = fd::readn(file.fd(), &mut bytes)?;
    bytes.truncate(n);
    Ok(bytes)
}

/// Removes the words of the kernel's command line that are done with.
fn tidy() {
    for dir in fd::readdir("#e").unwrap_or_default() {
        if bootroot::is_ours(&dir.name) {
            let _ = fd::remove(&format!("#e/{}", dir.name));
        }
    }
}
