//! One connection, from its first byte to its last.

use super::{HANDSHAKE_TIME, STOP_TIME};
use crate::accept::Permit;
use crate::http::{self, Peer};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use base::Private;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

/// One connection over TLS.
pub(super) async fn secure(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    pages: Router,
    permit: Permit,
    stopped: watch::Receiver<bool>,
) {
    let Ok(peer) = stream.peer_addr() else { return };
    let peer = Peer(Private::new(peer.ip()));
    // Boxed, here and below, so that a session does not carry the state of handshakes for life.
    if let Ok(Ok(stream)) = timeout(HANDSHAKE_TIME, Box::pin(acceptor.accept(stream))).await {
        Box::pin(answer(stream, peer, pages, permit, stopped)).await;
    }
}

/// One connection without TLS.
pub(super) async fn plain(stream: TcpStream, pages: Router, permit: Permit, stopped: watch::Receiver<bool>) {
    let Ok(peer) = stream.peer_addr() else { return };
    let peer = Peer(Private::new(peer.ip()));
    Box::pin(answer(stream, peer, pages, permit, stopped)).await;
}

async fn answer<S>(stream: S, peer: Peer, pages: Router, permit: Permit, mut stopped: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // A session takes the permit along when it takes the connection over.
    let permit = Arc::new(permit);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&permit));
        request.extensions_mut().insert(peer);
        let mut pages = pages.clone();
        async move { pages.call(request.map(Body::new)).await }
    });
    let connection = http::connection().serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = tokio::time::sleep(http::CONNECTION_TIME) => {}
        _ = stopped.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(STOP_TIME, connection).await;
}
