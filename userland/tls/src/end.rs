//! One end of a connection, the client's or the server's, without any input or output: what has come is given to it,
//! what is to be sent and what was said is taken from it.
//!
//! Records that have not come whole wait in `incoming`, to a limit. After the first error it is of no more use, but for
//! the alert that tells the other side why.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem::take;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, CommonState, Error, ServerConfig};

use crate::words::why;

/// Most bytes that have come and are not understood: a message of the handshake with its records.
const MOST: usize = 128 << 10;

type Result<T> = core::result::Result<T, String>;

/// One end of a connection.
pub struct End {
    side: Side,
    incoming: Vec<u8>,
    done: Done,
    /// Nothing more is said here.
    closed: bool,
    failed: bool,
}

enum Side {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What has come of it.
#[derive(Default)]
struct Done {
    outgoing: Vec<u8>,
    said: Vec<u8>,
    goodbye: bool,
}

/// What is to be sent when that is possible.
enum Send<'a> {
    Nothing,
    Data(&'a [u8]),
    Goodbye,
}

impl End {
    /// Begins a connection with the server of that name, or address.
    ///
    /// # Errors
    /// No certificate can be of such a name; there are no random bytes.
    pub fn client(config: Arc<ClientConfig>, name: &str) -> Result<End> {
        let Ok(name) = ServerName::try_from(String::from(name)) else {
            return Err(alloc::format!("{name}: no certificate is for such a name"));
        };
        let tls = UnbufferedClientConnection::new(config, name).map_err(|e| why(&e))?;
        End::begin(Side::Client(tls))
    }

    /// Begins a connection with whoever has called.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn server(config: Arc<ServerConfig>) -> Result<End> {
        let tls = UnbufferedServerConnection::new(config).map_err(|e| why(&e))?;
        End::begin(Side::Server(tls))
    }

    fn begin(side: Side) -> Result<End> {
        let mut end = End { side, incoming: Vec::new(), done: Done::default(), closed: false, failed: false };
        end.turn(Send::Nothing).map_err(|e| why(&e))?;
        Ok(end)
    }

    fn common(&self) -> &CommonState {
        match &self.side {
            Side::Client(tls) => tls,
            Side::Server(tls) => tls,
        }
    }

    /// Whether both sides have agreed, and data can be sent.
    pub fn is_ready(&self) -> bool {
        !self.common().is_handshaking()
    }

    /// Whether the other side has said that it says no more.
    pub fn has_ended(&self) -> bool {
        self.done.goodbye
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
        } else if self.closed {
            Err("nothing more is said here".into())
        } else {
            self.turn(Send::Data(data)).map_err(|e| why(&e))
        }
    }

    /// Says that nothing more is said.
    pub fn close(&mut self) {
        if !self.failed && !self.closed {
            self.closed = true;
            let _ = self.turn(Send::Goodbye);
        }
    }

    /// What the other side has said.
    pub fn said(&mut self) -> Vec<u8> {
        take(&mut self.done.said)
    }

    /// What is to be sent.
    pub fn outgoing(&mut self) -> Vec<u8> {
        take(&mut self.done.outgoing)
    }

    /// The version and the cipher suite.
    pub fn kind(&self) -> String {
        let version = self.common().protocol_version().map(|version| alloc::format!("{version:?}"));
        let suite =
            self.common().negotiated_cipher_suite().map(|suite| alloc::format!("{:?}", suite.suite()));
        alloc::format!("{} {}", version.unwrap_or_default(), suite.unwrap_or_default())
    }

    /// The other side's certificate.
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.common().peer_certificates()?.first()
    }

    /// Has what is to be told to the other side ready to be sent. When it is, what was wrong would come again.
    fn last_words(&mut self) {
        while self.common().wants_write() {
            let Ok(true) = (match &mut self.side {
                Side::Client(tls) => encoded(tls.process_tls_records(&mut self.incoming), &mut self.done),
                Side::Server(tls) => encoded(tls.process_tls_records(&mut self.incoming), &mut self.done),
            }) else {
                return;
            };
        }
    }

    /// Does what can be done.
    fn turn(&mut self, mut send: Send<'_>) -> core::result::Result<(), Error> {
        loop {
            let (used, goes_on) = match &mut self.side {
                Side::Client(tls) => {
                    act(tls.process_tls_records(&mut self.incoming), &mut send, &mut self.done)
                }
                Side::Server(tls) => {
                    act(tls.process_tls_records(&mut self.incoming), &mut send, &mut self.done)
                }
            };
            self.incoming.drain(..used.min(self.incoming.len()));
            if !goes_on? {
                return Ok(());
            }
        }
    }
}

/// Does one thing that can be done: the bytes that are used up by that, and whether there may be more to do.
fn act<D>(
    status: UnbufferedStatus<'_, '_, D>,
    send: &mut Send<'_>,
    done: &mut Done,
) -> (usize, core::result::Result<bool, Error>) {
    let mut used = status.discard;
    let goes_on = match status.state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    used += record.discard;
                    done.said.extend_from_slice(record.payload);
                }
                Some(Err(e)) => break Err(e),
                None => break Ok(true),
            }
        },
        Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut done.outgoing).map(|()| true),
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(true)
        }
        Ok(ConnectionState::PeerClosed) => {
            done.goodbye = true;
            Ok(true)
        }
        Ok(ConnectionState::WriteTraffic(traffic)) => {
            write(traffic, take_send(send), &mut done.outgoing).map(|()| false)
        }
        Ok(_) => match send {
            Send::Data(_) => Err(Error::HandshakeNotComplete),
            _ => Ok(false),
        },
        Err(e) => Err(e),
    };
    (used, goes_on)
}

/// Encodes what is to be sent, if that is what there is to do.
fn encoded<D>(status: UnbufferedStatus<'_, '_, D>, done: &mut Done) -> core::result::Result<bool, Error> {
    match status.state? {
        ConnectionState::EncodeTlsData(data) => encode(data, &mut done.outgoing).map(|()| true),
        _ => Ok(false),
    }
}

fn take_send<'a>(send: &mut Send<'a>) -> Send<'a> {
    core::mem::replace(send, Send::Nothing)
}

fn encode<D>(mut data: EncodeTlsData<'_, D>, out: &mut Vec<u8>) -> core::result::Result<(), Error> {
    fit(out, |room| match data.encode(room) {
        Ok(n) => Ok(Ok(n)),
        Err(EncodeError::InsufficientSize(e)) => Ok(Err(e.required_size)),
        Err(EncodeError::AlreadyEncoded) => Ok(Ok(0)),
    })
}

fn write<D>(
    mut traffic: WriteTraffic<'_, D>,
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
