//! TLS over one of our connections.
//!
//! rustls' own stream wraps its errors into `io::Error`, which ties the text of every one of them into the library. Here a
//! refusal is put into our words at once and noted in the call.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, KeyProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::SigningKey;
use rustls::{AlertDescription, CertificateError, ClientConfig, ClientConnection, Connection, RootCertStore};
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

use super::ongoing;
use crate::error::{Error, Result, Status};

const MAX_CA_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// What all TLS connections of a client share, their sessions included. Roots from a PEM file, `None` for the bundled ones.
///
/// # Errors
/// `InvalidArgument` for a file that cannot be used.
pub(super) fn config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>> {
    let roots = match ca_file {
        Some(path) => read_roots(path)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let config = ClientConfig::builder_with_provider(Arc::new(provider())).with_safe_default_protocol_versions();
    let config = config.map_err(|_| Error::new(Status::Tls, "this build of TLS has no version that is safe"))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// ring without the keys of clients, whose signing is 50 KB that nobody calls. It stays away only where the compiler sees both
/// at once, and it looks closely only at the beginning of a function.
#[inline(never)]
fn provider() -> CryptoProvider {
    CryptoProvider { key_provider: &NoKeys, ..ring::default_provider() }
}

fn read_roots(path: &Path) -> Result<RootCertStore> {
    let unreadable = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => Error::invalid("ca_file cannot be read: there is no such file"),
        kind => Error::invalid(format!("ca_file cannot be read: {kind}")),
    };
    let mut pem = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_CA_FILE_BYTES).read_to_end(&mut pem))
        .map_err(unreadable)?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| Error::invalid("ca_file is not a valid PEM file"))?;
        // A system's bundle may hold a few that rustls does not take.
        let _ = store.add(certificate);
    }
    if store.is_empty() {
        return Err(Error::invalid("ca_file holds no certificate that can be used as a root"));
    }
    Ok(store)
}

#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("no client certificates".into()))
    }
}

/// A secured connection.
pub(super) struct Secured {
    // Not a `ClientConnection`: that one's code would be built here and for speed, 6 KB more.
    tls: Connection,
    inner: Box<dyn Transport>,
    buffers: LazyBuffers,
}

impl Secured {
    /// Shakes hands with the host of this name.
    pub(super) fn new(
        config: Arc<ClientConfig>,
        host: &str,
        inner: Box<dyn Transport>,
        buffers: LazyBuffers,
        timeout: NextTimeout,
    ) -> Result<Secured, ureq::Error> {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(host).map_err(|_| ureq::Error::ConnectionFailed)?.to_owned();
        let tls = ClientConnection::new(config, name).map_err(|_| ureq::Error::ConnectionFailed)?;
        let mut secured = Secured { tls: tls.into(), inner, buffers };
        while secured.tls.is_handshaking() {
            secured.send(timeout)?;
            if secured.tls.is_handshaking() && !secured.receive(timeout)? {
                return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
            }
        }
        secured.send(timeout)?;
        Ok(secured)
    }

    /// Sends the records that are ready.
    fn send(&mut self, timeout: NextTimeout) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut Wire { inner: &mut *self.inner, timeout })?;
        }
        Ok(())
    }

    /// Takes in what came. False at the end of the connection.
    fn receive(&mut self, timeout: NextTimeout) -> io::Result<bool> {
        let mut wire = Wire { inner: &mut *self.inner, timeout };
        let more = self.tls.read_tls(&mut wire)? > 0;
        if let Err(error) = self.tls.process_new_packets() {
            // The peer learns why, where it still listens.
            let _ = self.tls.write_tls(&mut wire);
            ongoing::with(|call| call.refused = Some(reason(&error)));
            return Err(ErrorKind::InvalidData.into());
        }
        Ok(more)
    }
}

impl Transport for Secured {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        // What waits must be gone first: rustls holds four of our buffers and no more.
        self.send(timeout)?;
        self.tls.writer().write_all(self.buffers.output().get(..amount).unwrap_or_default())?;
        Ok(self.send(timeout)?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        loop {
            let read = self.tls.reader().read(self.buffers.input_append_buf());
            match read {
                Ok(n) => {
                    self.buffers.input_appended(n);
                    return Ok(n > 0);
                }
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
                Err(_) => {}
            }
            self.send(timeout)?;
            self.receive(timeout)?;
        }
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secured")
    }
}

/// The connection below, as rustls reads and writes it.
struct Wire<'a> {
    inner: &'a mut dyn Transport,
    timeout: NextTimeout,
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.maybe_await_input(self.timeout).map_err(ureq::Error::into_io)?;
        let buffers = self.inner.buffers();
        let n = buffers.input().read(buffer)?;
        buffers.input_consume(n);
        Ok(n)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.buffers().output().write(bytes)?;
        self.inner.transmit_output(n, self.timeout).map_err(ureq::Error::into_io)?;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn reason(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(reason) => match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet (or the clock of this machine is wrong)"
            }
            CertificateError::Revoked => "its certificate was revoked",
            CertificateError::UnknownIssuer => "its certificate comes from an authority that is not trusted",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another host"
            }
            _ => "its certificate is not valid",
        },
        rustls::Error::InvalidMessage(_) => "it does not speak TLS",
        rustls::Error::PeerIncompatible(_) => "it speaks no version of TLS that is safe",
        rustls::Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion) => {
            "it speaks no version of TLS that is safe"
        }
        rustls::Error::AlertReceived(_) => "it refused",
        _ => "it does not keep to the protocol",
    }
}
