//! A session over a WebSocket (RFC 6455), from the upgrade to the last frame.
//!
//! Here are the limits that only a socket can have: the size of a message, how long a write may take, and how many
//! control frames come.

mod metered;

use self::metered::Metered;
use super::{CLOSE_TIME, CONTROL_BURST, CONTROL_PER_SECOND, FRAME_TIME, Refused};
use crate::accept::Permit;
use crate::hub::{Hub, Session};
use appliance_core::bucket::Bucket;
use axum::body::Body;
use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::io::ErrorKind;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

/// What an idle connection keeps for reading: the library's own choice would be 128 KiB.
const READ_BUFFER: usize = 1024;
/// Small frames are gathered up to here before they are written.
const WRITE_BUFFER: usize = 4096;

type Socket<S> = WebSocketStream<Metered<S>>;

/// Answers a request for `/session`, and runs the session when the client goes along.
pub fn upgrade(hub: &Arc<Hub>, mut request: Request<Body>) -> Response<Body> {
    match handshake(request.headers()).and_then(|key| Ok((key, super::open(hub)?))) {
        Ok((key, session)) => accept(key, session, &mut request),
        Err(refused) => refused.into(),
    }
}

fn accept(key: HeaderValue, session: Session, request: &mut Request<Body>) -> Response<Body> {
    let permit = request.extensions().get::<Arc<Permit>>().cloned();
    let upgraded = hyper::upgrade::on(request);
    // Boxed, so that the state of the handshake is given back before the session begins.
    tokio::spawn(Box::pin(async move {
        if let Some(socket) = Box::pin(open(upgraded)).await {
            run(socket, session).await;
        }
        drop(permit);
    }));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, key);
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(wire::SUBPROTOCOL));
    response
}

/// RFC 6455 section 4.2.1, and the same-origin rule.
fn handshake(request: &HeaderMap) -> Result<HeaderValue, Refused> {
    let names = |header: HeaderName, word: &str| {
        let values = request.get_all(header);
        values.iter().any(|value| {
            value.to_str().is_ok_and(|list| list.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
        })
    };
    if !names(CONNECTION, "upgrade") || !names(UPGRADE, "websocket") || !names(SEC_WEBSOCKET_VERSION, "13") {
        let what = "this is the address of the session, a WebSocket of version 13\n";
        return Err(Refused::new(StatusCode::UPGRADE_REQUIRED, what)
            .saying(&[("upgrade", "websocket"), ("sec-websocket-version", "13")]));
    }
    if !names(SEC_WEBSOCKET_PROTOCOL, wire::SUBPROTOCOL) {
        return Err(Refused::new(StatusCode::BAD_REQUEST, "the session needs the subprotocol bulle.v1\n"));
    }
    // WebSockets lack the same-origin rule by themselves, and a browser always says where it comes from.
    super::same_origin(request)?;
    let key = request.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
    let accept = key.and_then(|key| HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok());
    accept.ok_or_else(|| {
        Refused::new(StatusCode::BAD_REQUEST, "the key of the WebSocket handshake is missing\n")
    })
}

async fn open(upgraded: hyper::upgrade::OnUpgrade) -> Option<Socket<TlsStream<TcpStream>>> {
    // The stream itself, without the layers of HTTP around it.
    let parts = Upgraded::downcast::<TokioIo<TlsStream<TcpStream>>>(upgraded.await.ok()?).ok()?;
    let early = parts.read_buf.to_vec();
    Some(
        WebSocketStream::from_partially_read(
            Metered::new(parts.io.into_inner()),
            early,
            Role::Server,
            Some(config()),
        )
        .await,
    )
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(2 * wire::MAX_FRAME)
        .max_message_size(Some(wire::MAX_FRAME))
        .max_frame_size(Some(wire::MAX_FRAME))
}

async fn run<S: AsyncRead + AsyncWrite + Unpin>(mut socket: Socket<S>, session: Session) {
    let mut control = Bucket::new(CONTROL_PER_SECOND, CONTROL_BURST, session.now());
    let farewell = loop {
        // Asked before: the last frame is there to be pulled when the session is over, and not after a pull of before.
        let over = session.is_over();
        if send_all(&mut socket, &session).await.is_none() {
            return;
        }
        if over {
            break session.farewell();
        }
        let message = tokio::select! {
            message = socket.next() => message,
            () = session.woken() => continue,
        };
        socket.get_mut().message();
        match message {
            // After a violation the loop sends what is left, which ends with `Bye`.
            Some(Ok(Message::Binary(frame))) => {
                if session.handle_frame(&frame) == Ok(true) {
                    tokio::task::yield_now().await;
                }
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                if !control.take(session.now()) {
                    break (1008, "too many control frames");
                }
            }
            Some(Ok(Message::Text(_))) => break (1003, "frames are binary"),
            Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                break (1009, "frame too large");
            }
            Some(Err(Error::Protocol(_) | Error::Utf8(_))) => break (1002, "not a WebSocket frame"),
            Some(Err(Error::Io(error))) if error.kind() == ErrorKind::InvalidData => {
                break (1008, "pieces that make no message");
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return,
        }
    };
    // The session counts until the goodbye is said, so that the daemon waits for it when it stops.
    say_goodbye(socket, farewell).await;
    drop(session);
}

/// Writes what there is for the client; `None` when it does not take it.
async fn send_all<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut Socket<S>,
    session: &Session,
) -> Option<()> {
    let mut sent = false;
    loop {
        let mut frame = Vec::new();
        if !session.pull(&mut frame) {
            break;
        }
        timeout(FRAME_TIME, socket.feed(Message::Binary(frame.into()))).await.ok()?.ok()?;
        sent = true;
    }
    if sent {
        timeout(FRAME_TIME, socket.flush()).await.ok()?.ok()?;
    }
    Some(())
}

/// Says why, and waits a moment for the other side: closing with bytes unread would take back what was said.
async fn say_goodbye<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: Socket<S>,
    (code, reason): (u16, &'static str),
) {
    let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
    let _ = timeout(CLOSE_TIME, async {
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clocks::Clocks;
    use crate::memory::Arena;
    use axum::http::header::ORIGIN;
    use tokio::io::AsyncWriteExt;

    fn hub() -> Arc<Hub> {
        let arena = Arena::new(std::num::NonZeroUsize::new(1 << 20).expect("not zero")).expect("memory");
        Hub::new(relay_core::mailbox::Config::default(), arena, None, Arc::new(Clocks::new(None)))
    }

    #[tokio::test]
    async fn pieces_that_never_make_a_message_end_the_session() {
        let hub = hub();
        let session = hub.open().expect("a session");
        let (stream, mut client) = tokio::io::duplex(1 << 20);
        let socket =
            WebSocketStream::from_raw_socket(Metered::new(stream), Role::Server, Some(config())).await;
        // RFC 6455 section 5.4: a binary message, not final; then continuations without content, all masked.
        let mut pieces = vec![0x02, 0x80, 0, 0, 0, 0];
        while pieces.len() < 4 * metered::MOST_BETWEEN_MESSAGES {
            pieces.extend([0x00, 0x80, 0, 0, 0, 0]);
        }
        client.write_all(&pieces).await.expect("they fit");
        // The client stays connected: it is the server that has to end this.
        timeout(FRAME_TIME, run(socket, session)).await.expect("it ends by itself");
        assert_eq!(hub.sessions(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_given_up() {
        let hub = hub();
        let session = hub.open().expect("a session");
        // The welcome does not fit into what the other side takes.
        let (stream, _deaf) = tokio::io::duplex(16);
        let mut socket =
            WebSocketStream::from_raw_socket(Metered::new(stream), Role::Server, Some(config())).await;
        let started = tokio::time::Instant::now();
        assert_eq!(send_all(&mut socket, &session).await, None);
        assert_eq!(started.elapsed(), FRAME_TIME);
        drop(session);
        assert_eq!(hub.sessions(), 0);
    }

    fn asking(change: impl FnOnce(&mut HeaderMap)) -> Result<HeaderValue, StatusCode> {
        let mut request = HeaderMap::new();
        for (name, value) in [
            ("host", "bulle.local:8443"),
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "other, bulle.v1"),
            ("origin", "https://bulle.local:8443"),
        ] {
            request.insert(name, HeaderValue::from_static(value));
        }
        change(&mut request);
        handshake(&request).map_err(|refused| refused.status)
    }

    #[test]
    fn a_handshake_is_answered_with_the_key_of_the_rfc() {
        assert_eq!(asking(|_| ()), Ok(HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    }

    #[test]
    fn a_page_of_another_origin_cannot_open_a_session() {
        for origin in ["https://evil.example", "http://bulle.local:8443", "https://bulle.local", "null"] {
            let refused = asking(|request| _ = request.insert(ORIGIN, HeaderValue::from_static(origin)));
            assert_eq!(refused, Err(StatusCode::FORBIDDEN), "{origin}");
        }
        assert!(asking(|request| _ = request.remove(ORIGIN)).is_ok(), "programs send none");
    }

    #[test]
    fn a_handshake_without_its_parts_is_refused() {
        for (name, status) in [
            (UPGRADE, StatusCode::UPGRADE_REQUIRED),
            (CONNECTION, StatusCode::UPGRADE_REQUIRED),
            (SEC_WEBSOCKET_VERSION, StatusCode::UPGRADE_REQUIRED),
            (SEC_WEBSOCKET_PROTOCOL, StatusCode::BAD_REQUEST),
            (SEC_WEBSOCKET_KEY, StatusCode::BAD_REQUEST),
        ] {
            assert_eq!(asking(|request| _ = request.remove(&name)), Err(status), "{name}");
        }
    }
}
