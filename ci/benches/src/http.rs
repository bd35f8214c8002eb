//! Just enough of HTTP/1.1 over TLS to count every byte that a page costs.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The most bytes of one answer.
const MAX_ANSWER: usize = 16 << 20;

/// One answer, as it came over the wire.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, up to and with the empty line.
    pub head: String,
    /// The body, encoded as it came.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// All that came for it, in bytes.
    pub const fn wire_bytes(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

/// A client of TLS 1.3 that takes any certificate: for measuring times and bytes only, never for trust.
pub fn dangerous_client() -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone());
    let builder = match builder.with_protocol_versions(&[&rustls::version::TLS13]) {
        Ok(builder) => builder,
        Err(e) => unreachable!("the provider has the suites of TLS 1.3: {e}"),
    };
    Arc::new(
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth(),
    )
}

/// Connects to a server whom nothing is entrusted to.
///
/// # Errors
/// When TCP or TLS refuses.
pub async fn connect(address: SocketAddr, tls: &Arc<rustls::ClientConfig>) -> Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::from(address.ip());
    Ok(Box::pin(TlsConnector::from(tls.clone()).connect(name, tcp)).await?)
}

/// Asks for `path` as a browser does, encoded, and reads the whole answer.
///
/// # Errors
/// When the connection breaks, or the answer is not HTTP/1.1 with a known length.
pub async fn get(stream: &mut TlsStream<TcpStream>, host: &str, path: &str) -> Result<Answer> {
    ask(stream, host, path, "gzip, deflate, br, zstd").await
}

/// As [`get`], not encoded.
///
/// # Errors
/// As [`get`].
pub async fn get_plain(stream: &mut TlsStream<TcpStream>, host: &str, path: &str) -> Result<Answer> {
    ask(stream, host, path, "identity").await
}

async fn ask(stream: &mut TlsStream<TcpStream>, host: &str, path: &str, encoding: &str) -> Result<Answer> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nAccept-Encoding: {encoding}\r\nUser-Agent: bench\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    let head_len = loop {
        ensure!(stream.read_buf(&mut bytes).await? != 0, "the connection ended within the head");
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        ensure!(bytes.len() < 65_536, "the head does not end");
    };
    let body = bytes.split_off(head_len);
    let head = String::from_utf8(bytes).context("the head is not text")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    let mut answer = Answer { status, head, body };
    let Some(length) = answer.header("content-length").and_then(|length| length.parse::<usize>().ok()) else {
        bail!("{path}: an answer without a length");
    };
    ensure!(length <= MAX_ANSWER, "{path}: an answer of {length} bytes");
    while answer.body.len() < length {
        ensure!(stream.read_buf(&mut answer.body).await? != 0, "the connection ended within the body");
    }
    Ok(answer)
}

#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        unreachable!("TLS 1.2 is not offered")
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
