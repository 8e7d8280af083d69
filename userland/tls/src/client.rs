//! The client's end of a connection, without any input or output: what has come is given to it, what is to be sent and
//! what was said is taken from it.
//!
//! Records that have not come whole wait in `incoming`, to a limit. After the first error it is of no more use, but for
//! the alert that tells the other side why.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem::take;
use core::time::Duration;

use rustls::client::{ClientConnectionData, Resumption, UnbufferedClientConnection};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, WriteTraffic};
use rustls::{ClientConfig, Error};

use crate::provider::{Fill, provider};
use crate::trust::{Trust, why};

/// Most bytes that have come and are not understood: a message of the handshake with its records.
const MOST: usize = 128 << 10;

type Result<T> = core::result::Result<T, String>;

/// The seconds since 1970, if they are known.
pub type Now = fn() -> Option<u64>;

#[derive(Debug)]
struct Clock(Now);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        (self.0)().map(|seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// What a program's connections have in common.
///
/// # Errors
/// None that is known.
pub fn config(fill: Fill, now: Now, trust: Trust) -> Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_details(Arc::new(provider(fill)), Arc::new(Clock(now)));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| why(&e))?;
    let verified = builder.dangerous().with_custom_certificate_verifier(Arc::new(trust));
    let mut config = verified.with_no_client_auth();
    // A program has one connection.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// One end of a connection.
pub struct Client {
    tls: UnbufferedClientConnection,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    said: Vec<u8>,
    goodbye: bool,
    failed: bool,
}

/// What is to be sent when that is possible.
enum Send<'a> {
    Nothing,
    Data(&'a [u8]),
    Goodbye,
}

impl Client {
    /// Begins a connection with the server of that name, or address.
    ///
    /// # Errors
    /// No certificate can be of such a name; there are no random bytes.
    pub fn new(config: Arc<ClientConfig>, name: &str) -> Result<Client> {
        let Ok(name) = ServerName::try_from(String::from(name)) else {
            return Err(alloc::format!("{name}: no certificate is for such a name"));
        };
        let tls = UnbufferedClientConnection::new(config, name).map_err(|e| why(&e))?;
        let [incoming, outgoing, said] = [const { Vec::new() }; 3];
        let mut client = Client { tls, incoming, outgoing, said, goodbye: false, failed: false };
        client.turn(Send::Nothing).map_err(|e| why(&e))?;
        Ok(client)
    }

    /// Whether both sides have agreed, and data can be sent.
    pub fn is_ready(&self) -> bool {
        !self.tls.is_handshaking()
    }

    /// Whether the other side has said that it says no more.
    pub fn has_ended(&self) -> bool {
        self.goodbye
    }

    /// Takes what has come.
    ///
    /// # Errors
    /// What is wrong with it, or with who sent it; there may be something to be sent then, too.
    pub fn take(&mut self, bytes: &[u8]) -> Result<()> {
        if self.failed {
            return Err("it has failed".into());
        }
        self.incoming.extend_from_slice(bytes);
        if let Err(e) = self.turn(Send::Nothing) {
            self.failed = true;
            self.last_words();
            return Err(why(&e));
        }
        self.failed = self.incoming.len() > MOST;
        if self.failed { Err("a message that comes is too long".into()) } else { Ok(()) }
    }

    /// Makes records of data.
    ///
    /// # Errors
    /// Both sides have not agreed yet, or it has ended.
    pub fn put(&mut self, data: &[u8]) -> Result<()> {
        if self.failed {
            Err("it has failed".into())
        } else {
            self.turn(Send::Data(data)).map_err(|e| why(&e))
        }
    }

    /// Says that nothing more is said.
    pub fn close(&mut self) {
        if !self.failed {
            let _ = self.turn(Send::Goodbye);
        }
    }

    /// What the other side has said.
    pub fn said(&mut self) -> Vec<u8> {
        take(&mut self.said)
    }

    /// What is to be sent.
    pub fn outgoing(&mut self) -> Vec<u8> {
        take(&mut self.outgoing)
    }

    /// The version and the cipher suite.
    pub fn kind(&self) -> String {
        let version = self.tls.protocol_version().map(|version| alloc::format!("{version:?}"));
        let suite = self.tls.negotiated_cipher_suite().map(|suite| alloc::format!("{:?}", suite.suite()));
        alloc::format!("{} {}", version.unwrap_or_default(), suite.unwrap_or_default())
    }

    /// The server's certificate.
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.tls.peer_certificates()?.first()
    }

    /// Has what is to be told to the other side ready to be sent. When it is, what was wrong would come again.
    fn last_words(&mut self) {
        while self.tls.wants_write() {
            let status = self.tls.process_tls_records(&mut self.incoming);
            let Ok(ConnectionState::EncodeTlsData(data)) = status.state else { return };
            let _ = encode(data, &mut self.outgoing);
        }
    }

    /// Does what can be done.
    fn turn(&mut self, mut send: Send<'_>) -> core::result::Result<(), Error> {
        loop {
            let status = self.tls.process_tls_records(&mut self.incoming);
            let mut used = status.discard;
            let goes_on = match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        used += record.discard;
                        self.said.extend_from_slice(record.payload);
                    }
                    Ok(true)
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.outgoing).map(|()| true),
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    Ok(true)
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.goodbye = true;
                    Ok(true)
                }
                Ok(ConnectionState::WriteTraffic(traffic)) => {
                    write(traffic, take_send(&mut send), &mut self.outgoing).map(|()| false)
                }
                Ok(_) => match send {
                    Send::Data(_) => Err(Error::HandshakeNotComplete),
                    _ => Ok(false),
                },
                Err(e) => Err(e),
            };
            self.incoming.drain(..used.min(self.incoming.len()));
            if !goes_on? {
                return Ok(());
            }
        }
    }
}

fn take_send<'a>(send: &mut Send<'a>) -> Send<'a> {
    core::mem::replace(send, Send::Nothing)
}

fn encode(
    mut data: EncodeTlsData<'_, ClientConnectionData>,
    out: &mut Vec<u8>,
) -> core::result::Result<(), Error> {
    fit(out, |room| match data.encode(room) {
        Ok(n) => Ok(Ok(n)),
        Err(EncodeError::InsufficientSize(e)) => Ok(Err(e.required_size)),
        Err(EncodeError::AlreadyEncoded) => Ok(Ok(0)),
    })
}

fn write(
    mut traffic: WriteTraffic<'_, ClientConnectionData>,
    send: Send<'_>,
    out: &mut Vec<u8>,
) -> core::result::Result<(), Error> {
    fit(out, |room| {
        let written = match send {
            Send::Nothing => return Ok(Ok(0)),
            Send::Data(data) => traffic.encrypt(data, room),
            Send::Goodbye => traffic.queue_close_notify(room),
        };
        match written {
            Ok(n) => Ok(Ok(n)),
            Err(EncryptError::InsufficientSize(e)) => Ok(Err(e.required_size)),
            Err(EncryptError::EncryptExhausted) => Err(Error::EncryptError),
        }
    })
}

/// Has `put` write behind what is in `out`: it says how much it has written, or how much room it wants.
fn fit(
    out: &mut Vec<u8>,
    mut put: impl FnMut(&mut [u8]) -> core::result::Result<core::result::Result<usize, usize>, Error>,
) -> core::result::Result<(), Error> {
    let end = out.len();
    // The first time there is none, the second there is enough.
    let mut written = put(&mut [])?;
    if let Err(wanted) = written {
        out.resize(end + wanted, 0);
        written = put(out.get_mut(end..).unwrap_or_default())?;
    }
    out.truncate(end + written.unwrap_or(0));
    Ok(())
}
