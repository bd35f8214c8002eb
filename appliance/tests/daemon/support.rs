//! A daemon of its own for each test, and the clients that talk to it.

use appliance::leak_guard::suspicious;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Longer than anything here may take, even on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The program under test.
pub(crate) const BULLE: &str = env!("CARGO_BIN_EXE_bulle");

/// A directory that goes with its owner.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("bulle-test-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a temporary directory");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running daemon on ports of its own.
pub(crate) struct Daemon {
    child: Child,
    errors: Option<JoinHandle<String>>,
    dir: Option<TempDir>,
    /// Where it leaves word as to a service manager.
    notify: UnixDatagram,
    /// What it printed when it started.
    pub(crate) greeting: String,
    /// Port of HTTPS.
    pub(crate) https: u16,
    /// Port of the explaining page.
    pub(crate) http: u16,
}

impl Daemon {
    /// With the default settings.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// With these lines of the section `[limits]`.
    pub(crate) fn start_with(limits: &str) -> Self {
        Self::start_in(TempDir::new(), limits, "listen = \"127.0.0.1:0\"")
    }

    /// In a directory that may hold the state of an earlier run.
    pub(crate) fn start_in(dir: TempDir, limits: &str, turn: &str) -> Self {
        let http = "https = \"127.0.0.1:0\"\nredirect = \"127.0.0.1:0\"\nsecurity_contact = \"mailto:it@example.org\"";
        Self::start_as(dir, &format!("[http]\n{http}\n[turn]\n{turn}\n[limits]\n{limits}\n"))
    }

    /// With any settings but those of state and log.
    pub(crate) fn start_as(dir: TempDir, settings: &str) -> Self {
        Self::start_within(dir, settings, &[])
    }

    /// As [`Daemon::start_as`], with these variables in its environment.
    pub(crate) fn start_within(dir: TempDir, settings: &str, environment: &[(&str, &str)]) -> Self {
        let config = dir.path().join("bulle.toml");
        let state = dir.path().join("state");
        std::fs::write(&config, with_state(settings, &state)).expect("a settings file");
        let socket = dir.path().join("notify");
        let _ = std::fs::remove_file(&socket);
        let notify = UnixDatagram::bind(&socket).expect("a socket");
        notify.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let mut child = Command::new(BULLE)
            .env("NOTIFY_SOCKET", &socket)
            .envs(environment.iter().copied())
            .arg("serve")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stderr = child.stderr.take().expect("piped");
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let mut greeting = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        // The state directory is the last thing that is always said; nothing comes when the start failed.
        while !greeting.contains("\n  state ") {
            if stdout.read_line(&mut greeting).expect("text") == 0 {
                panic!("the daemon did not start: {greeting}{}", errors.join().expect("its errors"));
            }
        }
        // Nobody reads the rest, and nobody has to.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let port = |scheme: &str| {
            let start = format!("{scheme}://127.0.0.1:");
            let rest = greeting.split(&start).nth(1).expect("a loopback address is served");
            rest.split('/').next().and_then(|port| port.parse().ok()).expect("a port")
        };
        let (https, http) = (port("https"), port("http"));
        Self { child, errors: Some(errors), dir: Some(dir), notify, greeting, https, http }
    }

    /// Waits until it says `word` to its service manager.
    pub(crate) fn await_word(&self, word: &str) {
        let mut bytes = [0; 256];
        loop {
            let length = self.notify.recv(&mut bytes).expect("word in time");
            let said = std::str::from_utf8(&bytes[..length]).expect("text");
            if said.lines().any(|line| line == word) {
                return;
            }
        }
    }

    /// Gives it other settings, those of state and log excepted, and waits until it has read them.
    pub(crate) fn reload(&self, settings: &str) {
        let text = with_state(settings, &self.state());
        std::fs::write(self.dir().join("bulle.toml"), text).expect("a settings file");
        // What was said before is not the answer.
        self.notify.set_nonblocking(true).expect("set");
        while self.notify.recv(&mut [0; 256]).is_ok() {}
        self.notify.set_nonblocking(false).expect("set");
        self.signal(Signal::SIGHUP);
        self.await_word("RELOADING=1");
        self.await_word("READY=1");
    }

    /// The directory of everything that is its own.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.as_ref().expect("not stopped").path()
    }

    /// Where it serves names, by address.
    pub(crate) fn name_servers(&self) -> Vec<SocketAddr> {
        let lines = self.greeting.lines().filter_map(|line| line.strip_prefix("  dns "));
        lines.map(|line| line.trim().parse().expect("an address")).collect()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.as_ref().expect("not stopped").path().join("state")
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid()).expect("a process id")), signal).expect("it runs");
    }

    /// Waits for the end. What it leaves behind: its status, its log, its directory.
    pub(crate) fn wait(mut self) -> (ExitStatus, String, TempDir) {
        let status = self.child.wait().expect("it ends");
        let errors = self.errors.take().expect("not taken").join().expect("its errors");
        assert_clean(&errors);
        (status, errors, self.dir.take().expect("not taken"))
    }

    /// Asks it to stop, and waits.
    pub(crate) fn stop(self) -> (ExitStatus, String, TempDir) {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// A TLS connection that trusts this box's authority alone.
    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        self.connect_as("bulle.local", &[&version::TLS13]).await.expect("a TLS connection")
    }

    pub(crate) async fn connect_as(
        &self,
        name: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_trusting(&self.state().join("ca.crt"), name, versions).await
    }

    /// As [`Daemon::connect`], with an application protocol (RFC 7301).
    pub(crate) async fn connect_for(&self, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = self.trusting(&self.state().join("ca.crt"), &[&version::TLS13]);
        config.alpn_protocols = vec![protocol.to_vec()];
        self.connect_with(config, "bulle.local").await
    }

    /// As [`Daemon::connect_as`], with another authority.
    pub(crate) async fn connect_trusting(
        &self,
        ca: &Path,
        name: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_with(self.trusting(ca, versions), name).await
    }

    fn trusting(&self, ca: &Path, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let pem = std::fs::read(ca).expect("the authority");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&pem).expect("PEM")).expect("a root");
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    async fn connect_with(&self, config: ClientConfig, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.https)).await?;
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// The answer to one request over TLS.
    pub(crate) async fn get(&self, path: &str, headers: &str) -> Answer {
        self.request(&format!("GET {path} HTTP/1.1\r\nhost: bulle.local:{}\r\n{headers}", self.https)).await
    }

    /// As [`Daemon::get`], with any first lines.
    pub(crate) async fn request(&self, head: &str) -> Answer {
        let mut stream = self.connect().await;
        ask(&mut stream, head).await
    }

    /// The answer to one POST over TLS.
    pub(crate) async fn post(&self, path: &str, headers: &str, body: &[u8]) -> Answer {
        let (host, length) = (format!("bulle.local:{}", self.https), body.len());
        let head = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n{headers}");
        ask_with(&mut self.connect().await, &head, body).await
    }

    /// The answer to one request without TLS.
    pub(crate) async fn get_plain(&self, head: &str) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).await.expect("a connection");
        ask(&mut stream, head).await
    }

    /// Opens a session.
    pub(crate) async fn session(&self) -> Client {
        self.try_session("").await.expect("a session")
    }

    /// Tries to open a session as a page of that origin; a program's when it is empty.
    pub(crate) async fn try_session(&self, origin: &str) -> Result<Client, u16> {
        let url = format!("wss://bulle.local:{}/session", self.https);
        let mut request = url.into_client_request().expect("a request");
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", HeaderValue::from_static(wire::SUBPROTOCOL));
        if !origin.is_empty() {
            let origin = HeaderValue::try_from(origin).expect("a header");
            headers.insert(HeaderName::from_static("origin"), origin);
        }
        match client_async(request, self.connect().await).await {
            Ok((socket, _)) => Ok(Client { socket }),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(errors) = self.errors.take() {
            let errors = errors.join().expect("its errors");
            if !std::thread::panicking() {
                assert_clean(&errors);
            }
        }
    }
}

fn with_state(settings: &str, state: &Path) -> String {
    // A port of its own for each, and none where a test has nothing to say about it.
    let webrtc = if settings.contains("[webrtc]") { "" } else { "[webrtc]\nlisten = []\n" };
    format!("{settings}{webrtc}[state]\ndir = \"{}\"\n[log]\nlevel = \"trace\"\n", state.display())
}

fn assert_clean(log: &str) {
    assert!(!log.contains(" ERROR ") && !log.contains("panicked"), "{log}");
    assert_eq!(suspicious(log), None, "{log}");
}

/// An answer over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a header, `None` when it is absent.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

pub(crate) async fn ask<S: AsyncReadExt + AsyncWriteExt + Unpin>(stream: &mut S, head: &str) -> Answer {
    ask_with(stream, head, &[]).await
}

async fn ask_with<S: AsyncReadExt + AsyncWriteExt + Unpin>(
    stream: &mut S,
    head: &str,
    body: &[u8],
) -> Answer {
    let request = [format!("{head}connection: close\r\n\r\n").as_bytes(), body].concat();
    stream.write_all(&request).await.expect("written");
    let mut bytes = Vec::new();
    // A server that refuses a request does not always close politely.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("an answer in time");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
    let body = bytes.get(end + 4..).unwrap_or_default().to_vec();
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Answer { status, head, body }
}

/// A client of the session.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TlsStream<TcpStream>>,
}

/// What a session says next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// A frame, as bytes.
    Frame(Vec<u8>),
    /// It closed, with this code.
    Closed(u16),
    /// It went away without a word.
    Gone,
}

impl Client {
    pub(crate) async fn next(&mut self) -> Said {
        use futures_util::StreamExt;
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.expect("something in time");
            return match message {
                Some(Ok(Message::Binary(bytes))) => Said::Frame(bytes.to_vec()),
                Some(Ok(Message::Close(close))) => Said::Closed(close.map_or(0, |close| close.code.into())),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(other)) => panic!("{other:?}"),
                Some(Err(_)) | None => Said::Gone,
            };
        }
    }

    pub(crate) async fn frame(&mut self) -> Vec<u8> {
        match self.next().await {
            Said::Frame(bytes) => bytes,
            other => panic!("expected a frame, and it said {other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, frame: &wire::ClientFrame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.send_message(Message::Binary(bytes.into())).await;
    }

    /// What the server closed already cannot be written to; the test looks at what it said.
    pub(crate) async fn send_message(&mut self, message: Message) {
        use futures_util::SinkExt;
        let _ = self.socket.send(message).await;
    }
}
