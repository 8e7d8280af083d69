//! dossrv [-rs] [-f device] [srvname]: serve file systems of FAT. See dossrv(4).

use alloc::format;
use alloc::string::String;

use abi::{OREAD, ORDWR};
use cmd::fat::Dos;
use cmd::fat::disk::Device;
use lib9::{Args, File, Result, eprintln, fd, file, proc, serve, usage};

pub fn main(args: &Args) -> Result<()> {
    let synopsis = || -> ! { usage(args, "[-rs] [-f device] [srvname]") };
    let (mut readonly, mut stdio, mut device) = (false, false, None);
    let mut flags = args.flags();
    while let Some(letter) = flags.next() {
        match letter {
            'r' => readonly = true,
            's' => stdio = true,
            'f' => device = Some(flags.value().unwrap_or_else(|_| synopsis())),
            _ => synopsis(),
        }
    }
    let name = match flags.rest() {
        [] => "dos",
        [name] if !stdio => name.as_str(),
        _ => synopsis(),
    };
    if stdio {
        return server(0, 1, readonly, device);
    }
    let ours = serve::start(|end| {
        // Nobody shall wait for us to close what we do not use.
        for unused in [0, 1] {
            let _ = fd::close(unused);
        }
        if let Err(e) = server(end, end, readonly, device) {
            eprintln!("dossrv: {e}");
            proc::exits(e.text());
        }
    })?;
    serve::post(name, ours, 0o600)
}

fn server(input: i32, output: i32, readonly: bool, device: Option<&str>) -> Result<()> {
    let owner = file::read_string("#c/user").unwrap_or_else(|_| String::from("none"));
    let open = if readonly { open_readonly } else { open };
    serve::serve(&Dos::new(open, proc::seconds, device, owner.as_bytes()), input, output)
}

/// A partition, or an image in a file.
struct Disk {
    file: File,
    len: u64,
    readonly: bool,
}

/// To write if that may be, else to read.
fn open(name: &str) -> core::result::Result<Disk, String> {
    match File::open(name, ORDWR) {
        Ok(file) => disk(file, false),
        Err(_) => open_readonly(name),
    }
}

fn open_readonly(name: &str) -> core::result::Result<Disk, String> {
    let file = File::open(name, OREAD).map_err(|e| alloc::format!("{name}: {e}"))?;
    disk(file, true)
}

fn disk(file: File, readonly: bool) -> core::result::Result<Disk, String> {
    let len = file.stat().map_err(String::from)?.length;
    Ok(Disk { file, len, readonly })
}

impl Device for Disk {
    fn size(&self) -> u64 {
        self.len
    }

    fn is_readonly(&self) -> bool {
        self.readonly
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> core::result::Result<(), String> {
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.pread(rest, offset + done as u64).map_err(String::from)? {
                0 => return Err("the device has become shorter".into()),
                n => done += n,
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> core::result::Result<(), String> {
        match self.file.pwrite(bytes, offset).map_err(String::from)? {
            n if n == bytes.len() => Ok(()),
            n => Err(format!("{n} bytes of {} written", bytes.len())),
        }
    }
}
