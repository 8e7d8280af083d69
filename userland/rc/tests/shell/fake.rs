//! A Plan 9 in memory: files, pipes, environment, processes that are threads. Programs are in `programs`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use abi::Rfork;
use rcshell::Shell;
use rcshell::os::{Entry, Error, Note, Os};

use crate::programs;

/// Stack of a process. Debug builds need much more than the real ones.
const STACK: usize = 64 << 20;

type Data = Arc<Mutex<Vec<u8>>>;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What happens when somebody reads the console.
#[derive(Clone, Debug)]
pub enum Typed {
    Text(&'static str),
    Interrupt,
    /// An interrupt when the prompt has been printed, and nobody reads yet.
    EarlyInterrupt,
    Error(&'static str),
}

/// What all processes share.
#[derive(Default)]
pub struct World {
    pub files: Mutex<BTreeMap<String, (Data, bool)>>,
    pub dirs: Mutex<BTreeSet<String>>,
    pub console: Mutex<Vec<u8>>,
    pub typed: Mutex<VecDeque<Typed>>,
    pub notes: Mutex<VecDeque<Note>>,
    /// A file that cannot be opened once more, because a note comes.
    pub interrupts: Mutex<Option<String>>,
    /// Bytes of memory that are left, if there is an end of them.
    pub room: Mutex<Option<u64>>,
    pids: AtomicI32,
}

#[derive(Default)]
struct Stream {
    state: Mutex<(VecDeque<Vec<u8>>, bool)>,
    changed: Condvar,
}

enum Kind {
    File { data: Data, at: Mutex<usize> },
    Pipe { read: Arc<Stream>, write: Arc<Stream> },
    Console,
    Null,
}

/// An open file, shared by all descriptors that are copies of one another.
struct Open(Kind);

impl Drop for Open {
    fn drop(&mut self) {
        if let Kind::Pipe { read, write } = &self.0 {
            for stream in [read, write] {
                lock(&stream.state).1 = true;
                stream.changed.notify_all();
            }
        }
    }
}

/// Statuses of children that have ended, and how many are still to come.
#[derive(Default)]
struct Children {
    state: Mutex<(VecDeque<(i32, String)>, usize)>,
    changed: Condvar,
}

/// One process.
#[derive(Clone)]
pub struct Fake {
    pub world: Arc<World>,
    pub pid: i32,
    pub cwd: String,
    pub name: String,
    pub groups: Vec<Rfork>,
    main: bool,
    fds: BTreeMap<i32, Arc<Open>>,
    env: Arc<Mutex<BTreeMap<String, Data>>>,
    children: Arc<Children>,
}

impl Fake {
    pub fn new(world: World) -> Fake {
        let console = Arc::new(Open(Kind::Console));
        Fake {
            world: Arc::new(world),
            pid: 1,
            cwd: "/".into(),
            name: "rc".into(),
            groups: Vec::new(),
            main: true,
            fds: (0..3).map(|fd| (fd, console.clone())).collect(),
            env: Arc::default(),
            children: Arc::default(),
        }
    }

    pub fn setenv(&mut self, name: &str, bytes: &[u8]) {
        lock(&self.env).insert(name.into(), Arc::new(Mutex::new(bytes.to_vec())));
    }

    /// A variable's file with a `,` for every NUL.
    pub fn getenv(&self, name: &str) -> Option<String> {
        let data = lock(&self.env).get(name)?.clone();
        let text = String::from_utf8(lock(&data).clone()).unwrap();
        Some(text.replace('\0', ","))
    }

    pub fn descriptors(&self) -> Vec<i32> {
        self.fds.keys().copied().collect()
    }

    pub fn path(&self, name: &str) -> String {
        let full = if name.starts_with(['/', '#']) { name.into() } else { format!("{}/{name}", self.cwd) };
        let mut parts: Vec<&str> = Vec::new();
        for part in full.split('/').filter(|p| !p.is_empty() && *p != ".") {
            if part == ".." {
                parts.pop();
            } else {
                parts.push(part);
            }
        }
        format!("/{}", parts.join("/"))
    }

    fn missing<T>(&self, path: &str) -> Result<T, Error> {
        Err(format!("'{path}' file does not exist"))
    }

    fn place(&mut self, open: Arc<Open>) -> i32 {
        let fd = (0..).find(|fd| !self.fds.contains_key(fd)).unwrap();
        self.fds.insert(fd, open);
        fd
    }

    fn file(&mut self, data: Data) -> i32 {
        self.place(Arc::new(Open(Kind::File { data, at: Mutex::new(0) })))
    }

    fn get(&self, fd: i32) -> Result<Arc<Open>, Error> {
        self.fds.get(&fd).cloned().ok_or_else(|| "fd out of range or not open".into())
    }

    fn data(&self, path: &str) -> Option<Data> {
        match path.strip_prefix("/env/") {
            Some(name) => lock(&self.env).get(name).cloned(),
            None => lock(&self.world.files).get(path).map(|f| f.0.clone()),
        }
    }
}

impl Os for Fake {
    const ENV: &'static str = "/env";

    fn fork<F>(shell: &mut Shell<Self>, group: bool, f: F) -> Result<i32, Error>
    where
        F: FnOnce(&mut Shell<Self>) -> String + Send + 'static,
    {
        let mut child = shell.clone();
        let pid = shell.os.world.pids.fetch_add(1, Ordering::Relaxed) + 2;
        child.os.pid = pid;
        child.os.main = false;
        child.os.children = Arc::default();
        if group {
            child.os.groups.push(Rfork::NOTEG);
        }
        let children = shell.os.children.clone();
        lock(&children.state).1 += 1;
        std::thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || {
                let status = f(&mut child);
                let name = child.os.name.clone();
                drop(child);
                let message = if status.is_empty() { status } else { format!("{name} {pid}: {status}") };
                lock(&children.state).0.push_back((pid, message));
                children.changed.notify_all();
            })
            .unwrap();
        Ok(pid)
    }

    fn rfork(&mut self, flags: Rfork) -> Result<(), Error> {
        self.groups.push(flags);
        if flags.contains(Rfork::ENVG) {
            let copy = lock(&self.env)
                .iter()
                .map(|(name, data)| (name.clone(), Arc::new(Mutex::new(lock(data).clone()))))
                .collect();
            self.env = Arc::new(Mutex::new(copy));
        }
        if flags.contains(Rfork::CENVG) {
            self.env = Arc::default();
        }
        Ok(())
    }

    fn exec(&mut self, path: &str, argv: &[String]) -> Result<String, Error> {
        let path = self.path(path);
        if lock(&self.world.dirs).contains(&path) {
            return Err("cannot exec directory".into());
        }
        let Some((data, executable)) = lock(&self.world.files).get(&path).cloned() else {
            return self.missing(&path);
        };
        if !executable {
            return Err(format!("'{path}' permission denied"));
        }
        self.name = path.rsplit('/').next().unwrap().into();
        self.main = false;
        let text = String::from_utf8(lock(&data).clone()).unwrap();
        if let Some(line) = text.strip_prefix("#!") {
            assert!(line.starts_with("/bin/rc\n"), "{line}");
            let mut args = vec![self.name.clone(), path];
            args.extend_from_slice(&argv[1..]);
            return Ok(rcshell::main(self.clone(), &args));
        }
        programs::run(self, argv).ok_or_else(|| "exec header invalid".into())
    }

    fn wait(&mut self) -> Result<(i32, String), Error> {
        let mut state = lock(&self.children.state);
        loop {
            if let Some(ended) = state.0.pop_front() {
                state.1 -= 1;
                return Ok(ended);
            }
            if state.1 == 0 {
                return Err("no living children".into());
            }
            state = self.children.changed.wait(state).unwrap();
        }
    }

    fn room(&mut self) -> u64 {
        lock(&self.world.room).unwrap_or(u64::MAX)
    }

    fn pid(&self) -> i32 {
        self.pid
    }

    fn note(&mut self) -> Option<Note> {
        if self.main { lock(&self.world.notes).pop_front() } else { None }
    }

    fn is_noted(&self) -> bool {
        self.main && !lock(&self.world.notes).is_empty()
    }

    fn open(&mut self, name: &str, mode: u32) -> Result<i32, Error> {
        let path = self.path(name);
        if let Some(fd) = path.strip_prefix("/fd/") {
            let open = self.get(fd.parse().map_err(|_| "bad fd")?)?;
            return Ok(self.place(open));
        }
        if mode & abi::OTRUNC == 0 && lock(&self.world.interrupts).take_if(|name| *name == path).is_some() {
            return Err("interrupted".into());
        }
        let kind = match path.as_str() {
            "/dev/null" => Kind::Null,
            "/dev/cons" => Kind::Console,
            _ if lock(&self.world.dirs).contains(&path) => return Err("file is a directory".into()),
            _ => {
                let Some(data) = self.data(&path) else { return self.missing(&path) };
                if mode & abi::OTRUNC != 0 {
                    lock(&data).clear();
                }
                return Ok(self.file(data));
            }
        };
        Ok(self.place(Arc::new(Open(kind))))
    }

    fn create(&mut self, name: &str, mode: u32, _perm: u32) -> Result<i32, Error> {
        let path = self.path(name);
        if mode & abi::OEXCL != 0 && self.data(&path).is_some() {
            return Err("file already exists".into());
        }
        if let Ok(fd) = self.open(name, mode | abi::OTRUNC) {
            return Ok(fd);
        }
        let data = Data::default();
        if let Some(name) = path.strip_prefix("/env/") {
            lock(&self.env).insert(name.into(), data.clone());
            return Ok(self.file(data));
        }
        let (dir, _) = path.rsplit_once('/').unwrap();
        if !dir.is_empty() && !lock(&self.world.dirs).contains(dir) {
            return self.missing(&path);
        }
        lock(&self.world.files).insert(path, (data.clone(), false));
        Ok(self.file(data))
    }

    fn remove(&mut self, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        let gone = match path.strip_prefix("/env/") {
            Some(name) => lock(&self.env).remove(name).is_some(),
            None => lock(&self.world.files).remove(&path).is_some(),
        };
        if gone { Ok(()) } else { self.missing(&path) }
    }

    fn close(&mut self, fd: i32) {
        self.fds.remove(&fd);
    }

    fn dup(&mut self, old: i32, new: i32) -> Result<i32, Error> {
        let open = self.get(old)?;
        if new < 0 {
            return Ok(self.place(open));
        }
        self.fds.insert(new, open);
        Ok(new)
    }

    fn pipe(&mut self) -> Result<[i32; 2], Error> {
        let (one, other) = (Arc::<Stream>::default(), Arc::<Stream>::default());
        let a = Kind::Pipe { read: one.clone(), write: other.clone() };
        let b = Kind::Pipe { read: other, write: one };
        Ok([self.place(Arc::new(Open(a))), self.place(Arc::new(Open(b)))])
    }

    fn read(&mut self, fd: i32, buf: &mut [u8]) -> Result<usize, Error> {
        match &self.get(fd)?.0 {
            Kind::Null => Ok(0),
            Kind::File { data, at } => {
                let (data, mut at) = (lock(data), lock(at));
                let n = data.len().saturating_sub(*at).min(buf.len());
                buf[..n].copy_from_slice(&data[*at..*at + n]);
                *at += n;
                Ok(n)
            }
            Kind::Pipe { read, .. } => {
                let mut state = lock(&read.state);
                loop {
                    if let Some(mut bytes) = state.0.pop_front() {
                        let n = bytes.len().min(buf.len());
                        let rest = bytes.split_off(n);
                        buf[..n].copy_from_slice(&bytes);
                        if !rest.is_empty() {
                            state.0.push_front(rest);
                        }
                        return Ok(n);
                    }
                    if state.1 {
                        return Ok(0);
                    }
                    state = read.changed.wait(state).unwrap();
                }
            }
            Kind::Console => match lock(&self.world.typed).pop_front() {
                None => Ok(0),
                Some(Typed::Text(text)) => {
                    buf[..text.len()].copy_from_slice(text.as_bytes());
                    Ok(text.len())
                }
                Some(Typed::Interrupt) => {
                    lock(&self.world.notes).push_back(Note::Interrupt);
                    Err("interrupted".into())
                }
                Some(Typed::Error(text)) => Err(text.into()),
                Some(Typed::EarlyInterrupt) => Err("there was no prompt".into()),
            },
        }
    }

    fn write(&mut self, fd: i32, bytes: &[u8]) -> Result<(), Error> {
        match &self.get(fd)?.0 {
            Kind::Null => {}
            Kind::File { data, at } => {
                let (mut data, mut at) = (lock(data), lock(at));
                let end = *at + bytes.len();
                if data.len() < end {
                    data.resize(end, 0);
                }
                data[*at..end].copy_from_slice(bytes);
                *at = end;
            }
            Kind::Pipe { write, .. } => {
                let mut state = lock(&write.state);
                if state.1 {
                    return Err("i/o on hungup channel".into());
                }
                state.0.push_back(bytes.to_vec());
                write.changed.notify_all();
            }
            Kind::Console => {
                lock(&self.world.console).extend_from_slice(bytes);
                let mut typed = lock(&self.world.typed);
                if bytes == b"% " && matches!(typed.front(), Some(Typed::EarlyInterrupt)) {
                    typed.pop_front();
                    lock(&self.world.notes).push_back(Note::Interrupt);
                }
            }
        }
        Ok(())
    }

    fn seek_end(&mut self, fd: i32) -> Result<(), Error> {
        match &self.get(fd)?.0 {
            Kind::File { data, at } => {
                *lock(at) = lock(data).len();
                Ok(())
            }
            _ => Err("seek on a stream".into()),
        }
    }

    fn chdir(&mut self, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        if path != "/" && !lock(&self.world.dirs).contains(&path) {
            return self.missing(&path);
        }
        self.cwd = path;
        Ok(())
    }

    fn list(&mut self, dir: &str) -> Result<Vec<Entry>, Error> {
        let path = self.path(dir);
        if path == "/env" {
            return Ok(lock(&self.env).keys().map(|n| Entry { name: n.clone(), dir: false }).collect());
        }
        let prefix = if path == "/" { path } else { path + "/" };
        let below = |name: &String| {
            let rest = name.strip_prefix(&prefix)?;
            (!rest.is_empty() && !rest.contains('/')).then(|| rest.to_string())
        };
        let mut out: Vec<Entry> = Vec::new();
        // In no order, as a real directory.
        out.extend(
            lock(&self.world.files).keys().rev().filter_map(below).map(|name| Entry { name, dir: false }),
        );
        out.extend(lock(&self.world.dirs).iter().filter_map(below).map(|name| Entry { name, dir: true }));
        Ok(out)
    }

    fn exists(&mut self, name: &str) -> bool {
        let path = self.path(name);
        path == "/" || lock(&self.world.dirs).contains(&path) || self.data(&path).is_some()
    }

    fn executable(&mut self, name: &str) -> bool {
        let path = self.path(name);
        lock(&self.world.files).get(&path).is_some_and(|f| f.1)
    }

    fn is_console(&mut self, fd: i32) -> bool {
        self.get(fd).is_ok_and(|open| matches!(open.0, Kind::Console))
    }
}
