//! One connection, from its first byte to its last.

use super::{HANDSHAKE_TIME, STOP_TIME};
use crate::accept::Permit;
use crate::http::{self, Peer};
use crate::session::poll::HOLD;
use crate::tls::TURN_PROTOCOL;
use crate::turn::Intake;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use base::Private;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use relay_core::turn::begins_with_request;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower_service::Service;

/// Bytes of a TURN client that are carried at once.
const CARRIED: usize = 4096;

/// What is behind the port of HTTPS.
#[derive(Clone)]
pub(super) struct Behind {
    pub(super) acceptor: TlsAcceptor,
    pub(super) pages: Router,
    /// None where there is no TURN.
    pub(super) turn: Option<Intake>,
}

/// One connection over TLS.
pub(super) async fn secure(
    behind: Behind,
    stream: TcpStream,
    permit: Permit,
    stopped: watch::Receiver<bool>,
) {
    let (Ok(client), Ok(server)) = (stream.peer_addr(), stream.local_addr()) else { return };
    let Behind { acceptor, pages, turn } = behind;
    let peer = Peer(Private::new(client.ip()));
    // Boxed, here and below, so that a session does not carry the state of handshakes for life.
    let Ok(Ok(mut stream)) = timeout(HANDSHAKE_TIME, Box::pin(acceptor.accept(stream))).await else { return };
    let Some(turn) = turn else { return Box::pin(answer(stream, peer, pages, permit, stopped)).await };
    match timeout(HANDSHAKE_TIME, Box::pin(speaks_turn(&mut stream))).await {
        Ok(Ok(true)) => Box::pin(relay(stream, &turn, client, server, stopped)).await,
        Ok(Ok(false)) => Box::pin(answer(stream, peer, pages, permit, stopped)).await,
        Ok(Err(_)) | Err(_) => {}
    }
}

/// Whether the client wants TURN: by its ALPN, or, where it has none, by its first bytes, which it must send before
/// anything is answered in either protocol. Those of a STUN request hold its magic cookie (RFC 8489, section 5).
async fn speaks_turn(stream: &mut TlsStream<TcpStream>) -> io::Result<bool> {
    match stream.get_ref().1.alpn_protocol() {
        Some(protocol) => Ok(protocol == TURN_PROTOCOL),
        None => Ok(begins_with_request(stream.fill_buf().await?)),
    }
}

/// Carries the bytes of a TURN client to the thread that serves it, and back.
async fn relay(
    mut stream: TlsStream<TcpStream>,
    turn: &Intake,
    client: SocketAddr,
    server: SocketAddr,
    mut stopped: watch::Receiver<bool>,
) {
    let Ok((ours, theirs)) = std::os::unix::net::UnixStream::pair() else { return };
    let Ok(()) = ours.set_nonblocking(true) else { return };
    let Ok(mut ours) = UnixStream::from_std(ours) else { return };
    turn.hand_over(theirs, client, server);
    tokio::select! {
        _ = copy_bidirectional_with_sizes(&mut stream, &mut ours, CARRIED, CARRIED) => {}
        _ = stopped.wait_for(|stop| *stop) => {}
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
    let aged = tokio::select! {
        _ = connection.as_mut() => return,
        () = tokio::time::sleep(http::CONNECTION_TIME) => true,
        _ = stopped.wait_for(|stop| *stop) => false,
    };
    connection.as_mut().graceful_shutdown();
    if aged {
        // A question that is held is answered before its connection goes.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = tokio::time::sleep(HOLD) => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    }
    let _ = timeout(STOP_TIME, connection).await;
}
