//! `--certs`: whose certificates the guest's programs trust, in the machine's own copy of a file of this one.
//!
//! Unless said it is the file that this machine's programs use, when the guest has a network: so `hget https://...`
//! works at once. The file is laid over the guest's root, where tlsclient(8) looks for it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

/// Where the guest has it.
pub const PLACE: &str = "sys/lib/tls/ca.pem";

/// Most bytes of it: it is in the guest's memory as long as that runs. What Debian has is a fifth of that.
const MOST: u64 = 1 << 20;

/// Where systems have theirs: Debian, Fedora, openSUSE, Alpine and the BSDs.
const USUAL: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The option.
#[derive(Args)]
pub struct Certs {
    /// The authorities that the guest's programs trust, a file of certificates in PEM; unless said, those of this
    /// machine ($SSL_CERT_FILE, or where the system has them) when there is a network. none: nobody
    #[arg(long, value_name = "FILE|none")]
    certs: Option<PathBuf>,
}

impl Certs {
    /// What the file has; without the option what the usual file has, if `usual` says so and there is one.
    ///
    /// # Errors
    /// The file that was named cannot be used.
    pub fn read(&self, usual: bool) -> Result<Option<Vec<u8>>> {
        match &self.certs {
            Some(name) if name.as_os_str() == "none" => Ok(None),
            Some(name) => read(name).with_context(|| format!("--certs {}", name.display())).map(Some),
            None if usual => Ok(usual_places().iter().find_map(|name| read(name).ok())),
            None => Ok(None),
        }
    }
}

fn usual_places() -> Vec<PathBuf> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    named.into_iter().chain(USUAL.map(PathBuf::from)).collect()
}

fn read(name: &Path) -> Result<Vec<u8>> {
    let file = File::open(name)?;
    ensure!(file.metadata()?.is_file(), "it is no file");
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= MOST, "it is longer than {} KiB", MOST >> 10);
    let mark = b"-----BEGIN CERTIFICATE-----";
    ensure!(bytes.windows(mark.len()).any(|w| w == mark), "no certificate in PEM is in it");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_file_is_looked_at_before_a_machine_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let certs = |path: &Path| Certs { certs: Some(path.into()) }.read(false);
        assert_eq!(certs(&file("good", PEM.as_bytes())).unwrap().unwrap(), PEM.as_bytes());
        assert!(certs(Path::new("none")).unwrap().is_none());
        let long = PEM.repeat((MOST as usize).div_ceil(PEM.len()));
        for (path, why) in [
            (file("other", b"a key\n"), "no certificate in PEM is in it"),
            (file("long", long.as_bytes()), "it is longer than 1024 KiB"),
            (dir.path().into(), "it is no file"),
            ("/no/such/file".into(), "No such file"),
        ] {
            let said = format!("{:#}", certs(&path).unwrap_err());
            assert!(said.starts_with("--certs /") && said.contains(why), "{said}");
        }
        assert!(certs(&file("whole", &long.as_bytes()[..MOST as usize])).is_ok());
        assert!(Certs { certs: None }.read(false).unwrap().is_none());
    }
}
