//! Servers and clients of TLS for the machine to talk to, with authorities and certificates that are made for the case.
//! Their cryptography is not that of the guest's programs.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use anyhow::Result;
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};

/// A connection that has begun.
pub type Stream = StreamOwned<ServerConnection, TcpStream>;
/// The same from the other end.
pub type Called = StreamOwned<ClientConnection, TcpStream>;

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

    /// A certificate for these names, which `change` may spoil, and its key.
    fn signed(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<(Certificate, KeyPair)> {
        let key = KeyPair::generate()?;
        let mut params =
            CertificateParams::new(names.iter().map(|&name| name.into()).collect::<Vec<String>>())?;
        change(&mut params);
        Ok((params.signed_by(&key, &self.issuer)?, key))
    }

    /// A certificate for these names, the authority's own and the key, in PEM and in one text.
    pub fn identity(&self, names: &[&str]) -> Result<String> {
        let (certificate, key) = self.signed(names, |_| {})?;
        Ok(certificate.pem() + &self.pem + &key.serialize_pem())
    }

    /// A server as [`Authority::server`] makes it, that asks who calls and wants the authority's word for that.
    pub fn asking(&self, names: &[&str]) -> Result<Arc<ServerConfig>> {
        let (certificate, key) = self.signed(names, |_| {})?;
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots(&self.pem)?), provider.clone())
                .build()?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(Arc::new(config))
    }

    /// A server with a certificate for these names, which `change` may spoil, and that certificate.
    pub fn server(
        &self,
        names: &[&str],
        versions: &[&'static SupportedProtocolVersion],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<(Arc<ServerConfig>, Vec<u8>)> {
        let (certificate, key) = self.signed(names, change)?;
        let der = certificate.der().to_vec();
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok((Arc::new(config), der))
    }
}

/// Those who trust that authority.
fn roots(pem: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes())?)?;
    Ok(roots)
}

/// Calls a server by that name, and trusts it if that authority has signed for it.
pub fn call(
    authority: &str,
    at: SocketAddr,
    name: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Called> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)?
        .with_root_certificates(roots(authority)?)
        .with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned())?)?;
    Ok(StreamOwned::new(client, TcpStream::connect(at)?))
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
