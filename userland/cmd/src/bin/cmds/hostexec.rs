//! hostexec: the first process of a machine that `elwood exec` has started. Runs the job that lies in [`job::FILE`].
//!
//! It makes the usual name space, cs(8) in /net, /tmp, and the job's folders of the host; runs the program with the
//! ports of the host as its standard files; tells the host how it ended; and switches the machine off, which its own
//! end does as well. Three processes share this one's memory and descriptors: this one waits for the program, one
//! passes standard input on, one listens for notes. The program is in a note group, a name space and an environment of
//! its own. See hostexec(8).

use alloc::format;
use alloc::string::String;
use alloc::vec;

use abi::job::{self, Job, Message, PIECE_MAX};
use lib9::{Args, File, Fork, Result, Rfork, eprintln, error, fd, file, ns, proc};

/// What a program finds in its environment unless the job says otherwise; several words are a list.
const USUAL: [(&str, &[u8]); 5] = [
    ("path", b"/bin\0.\0"),
    ("home", b"/usr/glenda\0"),
    ("cputype", b"amd64\0"),
    ("objtype", b"amd64\0"),
    ("service", b"terminal\0"),
];

pub fn main(_: &Args) -> Result<()> {
    // Typed at a prompt it would change the name space and the network, and look for a host that asks for nothing.
    if proc::getpid() != 1 {
        return Err("only the first process of a machine is hostexec".into());
    }
    // Without the name space there is no port to tell the host; then the console hears of it.
    namespace()?;
    // Without names in the network a program may do all the same.
    if let Err(e) = crate::cs::start("/net".into(), "/lib/ndb/local", None, crate::cs::KINDS) {
        eprintln!("hostexec: cs: {e}");
    }
    if let Err(e) = network() {
        eprintln!("hostexec: {e}");
    }
    let control = port(job::CONTROL)?;
    let end = match prepare().and_then(|job| run(&job, control)) {
        Ok(end) => end,
        Err(e) => Message::NotReady(e.text().into()),
    };
    fd::write_all(control, &end.to_bytes())?;
    off()
}

/// Switches the machine off.
fn off() -> Result<()> {
    file::control("#c/reboot", "halt")
}

/// The name space of /lib/namespace.
fn namespace() -> Result<()> {
    for line in file::read_string("/lib/namespace")?.lines() {
        if let Some((new, old, flag)) = cmd::namespace::bind(line) {
            ns::bind(&new, &old, flag).map_err(|e| error!("bind {new} {old}: {e}"))?;
        }
    }
    Ok(())
}

/// Gives the network card, if there is one, its address. What is run finds it there.
fn network() -> Result<()> {
    if fd::stat("/net/ether0/addr").is_err() {
        return Ok(());
    }
    match proc::rfork(Rfork::PROC | Rfork::FDG)? {
        Fork::Child => {
            let failed = proc::exec("/bin/ip/ipconfig", &["ipconfig"]).err();
            proc::exits(failed.as_ref().map_or("ipconfig", |e| e.text()))
        }
        Fork::Parent(pid) => match wait(pid)? {
            msg if msg.is_empty() => Ok(()),
            msg => Err(error!("no network: {msg}")),
        },
    }
}

/// Opens a port of the host by its name.
fn port(name: &str) -> Result<i32> {
    fd::open(&format!("/dev/virtcon/by-name/{name}"), abi::ORDWR).map_err(|e| error!("the host's port: {e}"))
}

/// Makes /tmp and mounts the folders of the job.
fn prepare() -> Result<Job> {
    ns::bind("#R", "/tmp", abi::MREPL | abi::MCREATE).map_err(|e| error!("bind #R /tmp: {e}"))?;
    let job = Job::parse(&file::read(job::FILE)?).ok_or("this is no job")?;
    for mount in &job.mounts {
        make_dir(&mount.place)?;
        let server = fd::open("#c/null", abi::ORDWR)?;
        let flag = match (&*mount.place, mount.writable) {
            // What is made in /tmp stays in memory.
            ("/tmp", _) => abi::MAFTER,
            (_, true) => abi::MREPL | abi::MCREATE,
            (_, false) => abi::MREPL,
        };
        ns::mountdev(server, -1, &mount.place, flag, &mount.tag, '9')
            .map_err(|e| error!("mount {}: {e}", mount.place))?;
    }
    Ok(job)
}

/// The exit message of a child.
fn wait(child: i32) -> Result<String> {
    loop {
        match proc::await_() {
            Ok(w) if w.pid == child => return Ok(w.msg),
            Err(e) if !e.is(abi::error::EINTR) => return Err(e),
            _ => {}
        }
    }
}

/// Makes what is missing of the directory `path`. The root has what lies in it; this is for /tmp.
fn make_dir(path: &str) -> Result<()> {
    if fd::stat(path).is_ok() {
        return Ok(());
    }
    let ends = path.match_indices('/').map(|(at, _)| at).filter(|&at| at > 0).chain([path.len()]);
    for part in ends.filter_map(|end| path.get(..end)) {
        if fd::stat(part).is_err() {
            let made = fd::create(part, abi::OREAD, abi::DMDIR | 0o777);
            fd::close(made.map_err(|e| error!("{part}: {e}"))?)?;
        }
    }
    Ok(())
}

/// Runs the program, and says how it ended.
fn run(job: &Job, control: i32) -> Result<Message> {
    let output = port(job::OUTPUT)?;
    let error = if job.one_output { fd::dup(output, -1)? } else { port(job::ERROR)? };
    let host = port(job::INPUT)?;
    let [input, typed] = fd::pipe()?;
    // Where the child writes why it could not become the program; its success closes the descriptor.
    let [told, open] = fd::pipe()?;
    let tell = fd::open(&format!("#d/{open}"), abi::OWRITE | abi::OCEXEC)?;
    fd::close(open)?;
    let group = Rfork::PROC | Rfork::FDG | Rfork::NOTEG | Rfork::NAMEG | Rfork::CENVG;
    let child = match proc::rfork(group)? {
        Fork::Child => {
            // The standard files have numbers above 2, since the console has 0 to 2.
            for (new, old) in (0..).zip([input, output, error]) {
                let _ = fd::dup(old, new);
            }
            for old in [control, host, typed, told, input, output, error] {
                let _ = fd::close(old);
            }
            let e = become_program(job);
            let _ = fd::write_all(tell, e.text().as_bytes());
            proc::exits_now("");
        }
        Fork::Parent(pid) => pid,
    };
    for theirs in [input, output, error, tell] {
        fd::close(theirs)?;
    }
    let mut why = [0; abi::ERRMAX];
    let n = fd::readn(told, &mut why)?;
    if n > 0 {
        return Ok(Message::NotRun(String::from_utf8_lossy(why.get(..n).unwrap_or_default()).into_owned()));
    }
    proc::spawn(Rfork::NOWAIT, move || pass_input(host, typed))?;
    proc::spawn(Rfork::NOWAIT, move || listen(control, child))?;
    let msg = wait(child)?;
    // "hello 12: reason": the reason is what the program said.
    Ok(Message::Ended(msg.split_once(": ").map_or(msg.as_str(), |(_, reason)| reason).into()))
}

/// In the child: environment, folder, program. Returns why it did not work.
fn become_program(job: &Job) -> lib9::Error {
    let program = match job.program.contains('/') {
        true => job.program.clone(),
        false => format!("/bin/{}", job.program),
    };
    let attempt = || -> Result<core::convert::Infallible> {
        let user = file::read("#c/user")?;
        let sysname = file::read("#c/sysname")?;
        for (name, value) in USUAL.into_iter().chain([("user", &*user), ("sysname", &*sysname)]) {
            set(name, value)?;
        }
        for (name, value) in &job.env {
            set(name, &[value, &b"\0"[..]].concat())?;
        }
        fd::chdir(&job.dir)?;
        proc::exec(&program, &job.args).map_err(|e| match format!("{e}") {
            // As `exec header invalid`; errors of finding the file begin with its name.
            text if !text.starts_with('\'') => error!("'{program}' {text}"),
            _ => e,
        })
    };
    let Err(e) = attempt();
    e
}

/// Sets a variable to these bytes.
fn set(name: &str, value: &[u8]) -> Result<()> {
    let made = File::create(&format!("/env/{name}"), abi::OWRITE, 0o666);
    made.and_then(|f| f.write_all(value)).map_err(|e| error!("$'{name}': {e}"))
}

/// Passes the host's standard input on to the program, until either of them has enough.
fn pass_input(host: i32, program: i32) -> Result<()> {
    let mut buffer = vec![0; PIECE_MAX];
    loop {
        let mut head = [0; 2];
        if fd::readn(host, &mut head)? < head.len() {
            break;
        }
        let len = usize::from(u16::from_le_bytes(head));
        let piece = buffer.get_mut(..len).ok_or("the host's piece is too long")?;
        if piece.is_empty() || fd::readn(host, piece)? < len || fd::write_all(program, piece).is_err() {
            break;
        }
    }
    fd::close(program)
}

/// Posts what notes the host wants posted. When the host has gone, nobody waits for this machine any more.
fn listen(control: i32, child: i32) -> Result<()> {
    let mut have = vec![];
    let mut buffer = vec![0; 4096];
    loop {
        while let Some((message, used)) = Message::parse(&have)? {
            have.drain(..used);
            let (file, note) = match message {
                Message::Note(note) => ("notepg", note),
                Message::NoteOne(note) => ("note", note),
                _ => continue,
            };
            // The program may just have ended.
            let _ = file::control(&format!("#p/{child}/{file}"), &note);
        }
        match fd::read(control, &mut buffer)? {
            0 => return off(),
            n => have.extend_from_slice(buffer.get(..n).unwrap_or_default()),
        }
    }
}
