//! The limit: what an idle TLS WebSocket costs on tokio, rustls and tungstenite with nothing behind it.
//!
//! `bare-websocket ADDRESS CERTIFICATE KEY`; says "ready" when it listens. It echoes what it hears. It keeps the
//! two habits that reach the floor: small WebSocket buffers, and boxes around the handshakes.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it says when it is ready")]

use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures_util::{SinkExt as _, StreamExt as _};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, certificate, key] = arguments.as_slice() else {
        anyhow::bail!("usage: bare-websocket ADDRESS CERTIFICATE KEY");
    };
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let tls =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = TcpListener::bind(address).await.with_context(|| format!("{address}: not bound"))?;
        println!("ready");
        loop {
            let (tcp, _) = listener.accept().await?;
            tokio::spawn(serve(tcp, acceptor.clone()));
        }
    })
}

async fn serve(tcp: TcpStream, acceptor: TlsAcceptor) -> Result<()> {
    tcp.set_nodelay(true)?;
    let tls = Box::pin(acceptor.accept(tcp)).await?;
    let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
    let mut session = Box::pin(tokio_tungstenite::accept_async_with_config(tls, Some(config))).await?;
    while let Some(message) = session.next().await {
        let message = message?;
        if message.is_binary() {
            session.send(message).await?;
        }
    }
    Ok(())
}
