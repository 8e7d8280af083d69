//! Servers of TLS for the machine to talk to, with authorities and certificates that are made for the case. Their
//! cryptography is not that of the guest's programs.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

/// A connection that has begun.
pub type Stream = StreamOwned<ServerConnection, TcpStream>;

/// Who says what is whose.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub pem: String,
}

impl Authority {
    /// One that nobody has known before.
    pub fn new(name: &str) -> Result<Authority> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key)?.pem();
        Ok(Authority { issuer: Issuer::new(params, key), pem })
    }

    /// A server with a certificate for these names, which `change` may spoil, and that certificate.
    pub fn server(
        &self,
        names: &[&str],
        versions: &[&'static SupportedProtocolVersion],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<(Arc<ServerConfig>, Vec<u8>)> {
        let key = KeyPair::generate()?;
        let mut params =
            CertificateParams::new(names.iter().map(|&name| name.into()).collect::<Vec<String>>())?;
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer)?;
        let der = certificate.der().to_vec();
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok((Arc::new(config), der))
    }
}

/// Begins a connection as the server's end.
pub fn accept(config: &Arc<ServerConfig>, stream: TcpStream) -> Result<Stream> {
    Ok(StreamOwned::new(ServerConnection::new(config.clone())?, stream))
}

/// Reads a request of HTTP, and answers it. Whoever is not content with the certificate asks for nothing.
pub fn answer(stream: &mut Stream, reply: &[u8]) {
    let (mut asked, mut byte) = (Vec::new(), [0]);
    while !asked.ends_with(b"\r\n\r\n") && !asked.ends_with(b"\n\n") {
        match stream.read(&mut byte) {
            Ok(1) => asked.push(byte[0]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            _ => return,
        }
    }
    let _ = stream.write_all(reply).and_then(|()| stream.flush());
}

/// Says goodbye, as a connection that is whole ends.
pub fn goodbye(mut stream: Stream) {
    stream.conn.send_close_notify();
    let _ = stream.flush();
    // The other end closes first, so that nothing on its way is lost.
    let _ = stream.sock.read(&mut [0; 1024]);
}
