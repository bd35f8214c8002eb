//! The carrier of a session with the node: one WebSocket over TLS, or plain requests, with the node's own CA as the
//! only root.

mod requests;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue};

/// Opening takes at most so long; the client counts on it.
const OPEN_LIMIT: Duration = Duration::from_secs(5);

/// Frames that wait to be written; a carrier that is further behind is given up.
const MAX_UNWRITTEN: usize = 1024;

/// How a session is carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// By a WebSocket.
    #[default]
    WebSocket,
    /// By plain requests.
    Poll,
}

/// Where the node is, and how to know it.
#[derive(Clone, Debug)]
pub struct Node {
    address: SocketAddr,
    name: ServerName<'static>,
    authority: String,
    transport: Transport,
    tls: Arc<rustls::ClientConfig>,
}

/// A carrier that is open.
pub type Carrier = WebSocketStream<TlsStream<TcpStream>>;

impl Node {
    /// The node at `url` (`https://host:port`), trusted by the CA in the PEM file `ca`; reached at `connect`, or
    /// where its host's name leads.
    ///
    /// # Errors
    /// When the address is none, its host is not found, or the file holds no certificate.
    pub async fn new(url: &str, ca: &Path, connect: Option<SocketAddr>) -> Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(ca)
            .with_context(|| format!("{}: cannot be read; --ca wants the node's CA in PEM", ca.display()))?;
        for certificate in certificates {
            roots.add(certificate.with_context(|| format!("{}: holds no certificate", ca.display()))?)?;
        }
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
        let authority = url
            .trim_end_matches('/')
            .strip_prefix("https://")
            .ok_or_else(|| anyhow!("--url must begin with https://, as in https://127.0.0.1:8443"))?
            .to_owned();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => {
                (host, port.parse().context("--url: the part after the last : is no port")?)
            }
            None => (authority.as_str(), 443),
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        let address = match connect {
            Some(address) => address,
            None => tokio::net::lookup_host((host.as_str(), port))
                .await
                .with_context(|| format!("{host}: not found; --url names the node's host"))?
                .next()
                .with_context(|| format!("{host}: has no address"))?,
        };
        let name = ServerName::try_from(host.clone()).with_context(|| format!("{host}: is no host name"))?;
        Ok(Self { address, name, authority, transport: Transport::default(), tls: Arc::new(tls) })
    }

    /// Carries sessions that way.
    #[must_use]
    pub fn by(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// The node's host, and the port of its pages.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A TLS connection to the node.
    ///
    /// # Errors
    /// When TCP or TLS refuses.
    pub async fn connect(&self) -> Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.address).await.context("TCP")?;
        tcp.set_nodelay(true)?;
        Box::pin(TlsConnector::from(self.tls.clone()).connect(self.name.clone(), tcp)).await.context("TLS")
    }

    /// The host and port as they stand in the address of the page.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Opens a carrier.
    ///
    /// # Errors
    /// When the node refuses, speaks another protocol, or takes longer than five seconds.
    pub async fn open(&self) -> Result<Carrier> {
        tokio::time::timeout(OPEN_LIMIT, Box::pin(self.upgrade()))
            .await
            .context("opening took longer than 5 s")?
    }

    async fn upgrade(&self) -> Result<Carrier> {
        let tls = self.connect().await?;
        let mut request = format!("wss://{}/session", self.authority).into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("origin", HeaderValue::from_str(&format!("https://{}", self.authority))?);
        headers.insert("sec-websocket-protocol", HeaderValue::from_static(wire::SUBPROTOCOL));
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_message_size(Some(wire::MAX_FRAME))
            .max_frame_size(Some(wire::MAX_FRAME));
        let (carrier, response) = tokio_tungstenite::client_async_with_config(request, tls, Some(config))
            .await
            .context("WebSocket")?;
        if response.headers().get("sec-websocket-protocol").is_none_or(|name| name != wire::SUBPROTOCOL) {
            bail!("the node does not speak {}", wire::SUBPROTOCOL);
        }
        Ok(carrier)
    }
}

/// What an open carrier says.
#[derive(Debug)]
pub enum CarrierEvent {
    /// It is open; frames may be put into the sender.
    Up(mpsc::Sender<Vec<u8>>),
    /// One frame from the node.
    Frame(Vec<u8>),
    /// It is closed, or never opened; says why.
    Down(String),
}

/// Opens a carrier and moves frames both ways until it closes, or until nobody holds the sender or hears `say`.
///
/// The first event is `Up` or `Down`, and `Down` is the last.
pub async fn run<F, W>(node: Node, say: F)
where
    F: Fn(CarrierEvent) -> W,
    W: Future<Output = bool>,
{
    let ended = match node.transport {
        Transport::WebSocket => match node.open().await {
            Ok(carrier) => carry(carrier, &say).await,
            Err(e) => Err(e),
        },
        Transport::Poll => requests::carry(&node, &say).await,
    };
    say(CarrierEvent::Down(ended.map_or_else(|e| format!("{e:#}"), |()| "closed".to_owned()))).await;
}

async fn carry<F, W>(carrier: Carrier, say: &F) -> Result<()>
where
    F: Fn(CarrierEvent) -> W,
    W: Future<Output = bool>,
{
    let (mut sink, mut stream) = carrier.split();
    let (sender, mut frames) = mpsc::channel::<Vec<u8>>(MAX_UNWRITTEN);
    if !say(CarrierEvent::Up(sender)).await {
        return Ok(());
    }
    // Reading and writing do not wait for each other: a node that waits for us to read is read.
    let write = async {
        while let Some(frame) = frames.recv().await {
            sink.send(Message::Binary(frame.into())).await?;
        }
        sink.close().await?;
        anyhow::Ok(())
    };
    let read = async {
        while let Some(message) = stream.next().await {
            match message? {
                Message::Binary(frame) => {
                    if !say(CarrierEvent::Frame(frame.to_vec())).await {
                        break;
                    }
                }
                Message::Text(_) => bail!("the node sent text"),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                Message::Close(_) => break,
            }
        }
        anyhow::Ok(())
    };
    tokio::select! { done = write => done, done = read => done }
}
