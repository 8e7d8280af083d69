//! With OpenSSL's server, where there is one: a client that shakes hands here, with a key that both know, and has its
//! records made and read by `#a`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use port::call::sysfile::{close, pipe};
use port::testkit::Hosted;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384};

use super::{End, base64, get, put, world};

const KEY: &[u8] = b"a key that both sides know";

macro_rules! expand {
    ($hash:ty, $secret:expr, $seed:expr, $len:expr) => {{
        let mac = |parts: &[&[u8]]| {
            let mut mac = <Hmac<$hash> as KeyInit>::new_from_slice($secret).unwrap();
            parts.iter().for_each(|part| mac.update(part));
            mac.finalize().into_bytes().to_vec()
        };
        let (mut a, mut out) = (mac(&[$seed]), Vec::new());
        while out.len() < $len {
            out.extend(mac(&[&a, $seed]));
            a = mac(&[&a]);
        }
        out.truncate($len);
        out
    }};
}

/// The hash that a suite of TLS 1.2 makes its keys with; of both hashes that others do.
#[derive(Clone, Copy, PartialEq)]
enum Prf {
    Old,
    Sha256,
    Sha384,
}

impl Prf {
    /// RFC 2246 and RFC 5246, section 5.
    fn expand(self, secret: &[u8], label: &str, seed: &[u8], len: usize) -> Vec<u8> {
        let seed = [label.as_bytes(), seed].concat();
        match self {
            Prf::Sha256 => expand!(Sha256, secret, &seed, len),
            Prf::Sha384 => expand!(Sha384, secret, &seed, len),
            Prf::Old => {
                let half = secret.len().div_ceil(2);
                let md5 = expand!(Md5, &secret[..half], &seed, len);
                let sha1 = expand!(Sha1, &secret[secret.len() - half..], &seed, len);
                md5.iter().zip(sha1).map(|(a, b)| a ^ b).collect()
            }
        }
    }

    fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Prf::Sha256 => Sha256::digest(bytes).to_vec(),
            Prf::Sha384 => Sha384::digest(bytes).to_vec(),
            Prf::Old => [Md5::digest(bytes).to_vec(), Sha1::digest(bytes).to_vec()].concat(),
        }
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_be_bytes();
    [&[kind], &len[1..], body].concat()
}

fn counted(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// The client's half of the handshake with a key that both know (RFC 4279).
struct Client<'a> {
    end: &'a End,
    /// All messages up to here.
    said: Vec<u8>,
    /// What came and was not taken yet.
    came: Vec<u8>,
}

impl Client<'_> {
    fn say(&mut self, message: &[u8]) {
        self.said.extend(message);
        put(&self.end.up, self.end.hand, message).unwrap();
    }

    fn hear(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let [kind, a, b, c, ..] = self.came[..] {
                let len = u32::from_be_bytes([0, a, b, c]) as usize;
                if self.came.len() >= 4 + len {
                    let rest = self.came.split_off(4 + len);
                    let message = std::mem::replace(&mut self.came, rest);
                    self.said.extend(&message);
                    return (kind, message[4..].to_vec());
                }
            }
            self.came.extend(get(&self.end.up, self.end.hand, 20_000).unwrap());
        }
    }

    fn shake(&mut self, case: &Case) {
        let client = [0x5a; 32];
        let [a, b] = case.number.to_be_bytes();
        let version = case.version.to_be_bytes();
        self.say(&message(1, &[&version[..], &client, &[0, 0, 2, a, b, 1, 0]].concat()));
        let (kind, hello) = self.hear();
        assert_eq!((kind, &hello[..2]), (2, &version[..]), "{}", case.cipher);
        let server: Vec<u8> = hello[2..34].to_vec();
        while self.hear().0 != 14 {}
        let end = self.end;
        end.says(&format!("version {:#x}", case.version)).unwrap();
        self.say(&message(16, &counted(b"Client_identity")));
        let premaster = [counted(&[0; KEY.len()]), counted(KEY)].concat();
        let prf = case.prf;
        let master = prf.expand(&premaster, "master secret", &[&client[..], &server].concat(), 48);
        let block = prf.expand(&master, "key expansion", &[&server[..], &client].concat(), 200);
        end.says(&format!("secret {} {} 1 {}", case.hash, case.enc, base64(&block))).unwrap();
        end.says("changecipher").unwrap();
        let finished = prf.expand(&master, "client finished", &prf.hash(&self.said), 12);
        self.say(&message(20, &finished));
        let wanted = prf.expand(&master, "server finished", &prf.hash(&self.said), 12);
        assert_eq!(self.hear(), (20, wanted), "{}", case.cipher);
        end.says("opened").unwrap();
    }
}

struct Case {
    cipher: &'static str,
    number: u16,
    option: &'static str,
    version: u16,
    hash: &'static str,
    enc: &'static str,
    prf: Prf,
}

const fn case(
    (cipher, number): (&'static str, u16),
    (option, version): (&'static str, u16),
    (hash, enc): (&'static str, &'static str),
    prf: Prf,
) -> Case {
    Case { cipher, number, option, version, hash, enc, prf }
}

const CASES: [Case; 9] = [
    case(("PSK-AES128-CBC-SHA", 0x8c), ("-tls1", 0x301), ("sha1", "aes_128_cbc"), Prf::Old),
    case(("PSK-AES256-CBC-SHA", 0x8d), ("-tls1_1", 0x302), ("sha1", "aes_256_cbc"), Prf::Old),
    case(("PSK-AES128-CBC-SHA", 0x8c), ("-tls1_2", 0x303), ("sha1", "aes_128_cbc"), Prf::Sha256),
    case(("PSK-AES128-CBC-SHA256", 0xae), ("-tls1_2", 0x303), ("sha256", "aes_128_cbc"), Prf::Sha256),
    case(("PSK-NULL-SHA", 0x2c), ("-tls1", 0x301), ("sha1", "clear"), Prf::Old),
    case(("PSK-NULL-SHA256", 0xb0), ("-tls1_2", 0x303), ("sha256", "clear"), Prf::Sha256),
    case(("PSK-AES128-GCM-SHA256", 0xa8), ("-tls1_2", 0x303), ("clear", "aes_128_gcm_aead"), Prf::Sha256),
    case(("PSK-AES256-GCM-SHA384", 0xa9), ("-tls1_2", 0x303), ("clear", "aes_256_gcm_aead"), Prf::Sha384),
    case(("PSK-CHACHA20-POLY1305", 0xccab), ("-tls1_2", 0x303), ("clear", "ccpoly96_aead"), Prf::Sha256),
];

/// A server that gives every line back from its end to its beginning, and the port it is at.
fn server(case: &Case) -> (Child, u16) {
    let key: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut child = Command::new("openssl")
        .args(["s_server", "-accept", "127.0.0.1:0", "-nocert", "-rev", "-naccept", "1", "-psk", &key])
        .args([case.option, "-cipher", &format!("{}:@SECLEVEL=0", case.cipher)])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let at =
        lines.by_ref().map_while(Result::ok).find_map(|line| line.strip_prefix("ACCEPT ").map(str::to_owned));
    let port = at.as_deref().and_then(|at| at.rsplit(':').next()?.parse().ok());
    // So that it is not stopped by a pipe that nobody reads.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    let Some(port) = port else {
        let _ = child.kill();
        panic!("openssl does not serve {}: {at:?}", case.cipher);
    };
    (child, port)
}

/// The descriptor of a pipe whose other end is the connection.
fn connect(t: &Hosted, port: u16) -> i32 {
    let [x, y] = pipe(&t.up).unwrap();
    let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut from, mut to) = (tcp.try_clone().unwrap(), tcp);
    t.start(move |up| {
        let mut buf = vec![0; 20_000];
        while let Ok(n) = from.read(&mut buf) {
            if n == 0 || put(up, y, &buf[..n]).is_err() {
                break;
            }
        }
        let _ = close(up, y);
    });
    t.start(move |up| {
        while let Ok(bytes) = get(up, y, 20_000) {
            if bytes.is_empty() || to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    x
}

#[test]
fn openssl_understands_our_records_and_we_its() {
    if !Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_ok_and(|s| s.success()) {
        eprintln!("there is no openssl here: nothing was tried");
        return;
    }
    for case in &CASES {
        let t = world();
        let (mut child, port) = server(case);
        let fd = connect(&t, port);
        let end = End::new(&t.up, fd, case.version);
        Client { end: &end, said: Vec::new(), came: Vec::new() }.shake(case);
        let data = end.data();
        for line in ["hello\n", "0123456789abcdef\n", "a longer line, of more than one block\n"] {
            put(&t.up, data, line.as_bytes()).unwrap();
            let mut back = Vec::new();
            while back.len() < line.len() {
                back.extend(get(&t.up, data, 100).unwrap());
            }
            let turned: String = line.trim_end().chars().rev().chain(['\n']).collect();
            assert_eq!(String::from_utf8(back).unwrap(), turned, "{} {}", case.cipher, case.option);
        }
        // It says goodbye when told to, and ours is what ends it.
        put(&t.up, data, b"CLOSE\n").unwrap();
        assert_eq!(get(&t.up, data, 100).unwrap_err().text(), "tls hungup");
        for fd in [end.ctl, end.hand, data, fd] {
            close(&t.up, fd).unwrap();
        }
        assert!(child.wait().unwrap().success(), "{}", case.cipher);
    }
}
