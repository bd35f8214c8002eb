//! Sessions, opened the way each server wants it: TLS, WebSocket, log in, subscribe to one thing.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _, stream};
use phones::session::Node;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue};
use wire::{ClientFrame, Kind, NodeFrame};

use crate::http;

/// Sessions that are being opened at a time.
const AT_ONCE: usize = 16;

/// A session that stays open as long as this value lives.
pub type Session = WebSocketStream<TlsStream<TcpStream>>;

/// What is spoken inside the WebSocket.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// The node's own.
    Bulle(Node),
    /// Nothing: one message is echoed.
    Bare,
    /// MQTT 3.1.1.
    Mqtt,
    /// The NATS client protocol.
    Nats,
}

/// Opens `count` sessions, numbered from `from`, and in that order.
///
/// # Errors
/// When one is refused.
pub async fn open(
    protocol: &Protocol,
    address: SocketAddr,
    from: usize,
    count: usize,
) -> Result<Vec<Session>> {
    let tls = http::dangerous_client();
    stream::iter(from..from + count)
        .map(|number| {
            let (protocol, tls) = (protocol.clone(), tls.clone());
            async move {
                open_one(&protocol, address, &tls, number).await.with_context(|| format!("session {number}"))
            }
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// The receive key of the node's session with this number.
pub fn key(number: usize) -> ed25519_dalek::SigningKey {
    let mut seed = [7; 32];
    seed.iter_mut().zip(number.to_le_bytes()).for_each(|(to, byte)| *to = byte);
    ed25519_dalek::SigningKey::from_bytes(&seed)
}

async fn open_one(
    protocol: &Protocol,
    address: SocketAddr,
    tls: &Arc<rustls::ClientConfig>,
    number: usize,
) -> Result<Session> {
    match protocol {
        Protocol::Bulle(node) => {
            let mut session = node.open().await?;
            let NodeFrame::Welcome { challenge, .. } = NodeFrame::decode(&heard(&mut session).await?)? else {
                bail!("no welcome")
            };
            let key = key(number);
            let signature = wire::Signature::subscribe(&key, Kind::Queue, &challenge);
            let mut frame = Vec::new();
            ClientFrame::Subscribe {
                req: 1,
                kind: Kind::Queue,
                key: wire::ReceiveKey::of(&key),
                signature,
                from: 0,
            }
            .encode(&mut frame);
            session.send(Message::Binary(frame.into())).await?;
            let answer = heard(&mut session).await?;
            ensure!(matches!(NodeFrame::decode(&answer)?, NodeFrame::Subscribed { .. }), "not subscribed");
            Ok(session)
        }
        Protocol::Bare => {
            let mut session = upgrade(address, tls, None).await?;
            session.send(Message::Binary(b"hello".as_slice().into())).await?;
            ensure!(heard(&mut session).await? == b"hello", "no echo");
            Ok(session)
        }
        Protocol::Mqtt => {
            let mut session = upgrade(address, tls, Some("mqtt")).await?;
            session.send(Message::Binary(mqtt_connect(number).into())).await?;
            ensure!(heard(&mut session).await?.starts_with(&[0x20, 2, 0, 0]), "MQTT: not connected");
            session.send(Message::Binary(mqtt_subscribe(number).into())).await?;
            ensure!(heard(&mut session).await?.first() == Some(&0x90), "MQTT: not subscribed");
            Ok(session)
        }
        Protocol::Nats => {
            let mut session = upgrade(address, tls, None).await?;
            ensure!(heard(&mut session).await?.starts_with(b"INFO"), "NATS: no INFO");
            let login = format!("CONNECT {{\"verbose\":false}}\r\nSUB inbox.{number} 1\r\nPING\r\n");
            session.send(Message::Binary(login.into_bytes().into())).await?;
            ensure!(heard(&mut session).await?.starts_with(b"PONG"), "NATS: not connected");
            Ok(session)
        }
    }
}

async fn upgrade(
    address: SocketAddr,
    tls: &Arc<rustls::ClientConfig>,
    subprotocol: Option<&'static str>,
) -> Result<Session> {
    let stream = http::connect(address, tls).await?;
    let mut request = format!("wss://{address}/").into_client_request()?;
    if let Some(subprotocol) = subprotocol {
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(subprotocol));
    }
    let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
    let (session, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
    Ok(session)
}

async fn heard(session: &mut Session) -> Result<Vec<u8>> {
    loop {
        match session.next().await.context("closed")?? {
            Message::Binary(bytes) => return Ok(bytes.to_vec()),
            Message::Text(text) => return Ok(text.as_bytes().to_vec()),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            Message::Close(_) => bail!("closed"),
        }
    }
}

/// CONNECT (MQTT 3.1.1, section 3.1): a clean session without keep-alive.
fn mqtt_connect(number: usize) -> Vec<u8> {
    let id = format!("bench-{number}");
    let mut body = b"\x00\x04MQTT\x04\x02\x00\x00\x00".to_vec();
    body.push(u8::try_from(id.len()).unwrap_or(0));
    body.extend_from_slice(id.as_bytes());
    mqtt(0x10, &body)
}

/// SUBSCRIBE (section 3.8), quality of service 1: at least once, as the mailbox.
fn mqtt_subscribe(number: usize) -> Vec<u8> {
    let topic = format!("inbox/{number}");
    let mut body = vec![0, 1, 0, u8::try_from(topic.len()).unwrap_or(0)];
    body.extend_from_slice(topic.as_bytes());
    body.push(1);
    mqtt(0x82, &body)
}

/// PUBLISH (section 3.3), quality of service 1, to the topic of session `to`; `packet` tells it from those under way.
pub(crate) fn mqtt_publish(to: usize, packet: u16, payload: &[u8]) -> Vec<u8> {
    let topic = format!("inbox/{to}");
    let mut body = vec![0, u8::try_from(topic.len()).unwrap_or(0)];
    body.extend_from_slice(topic.as_bytes());
    body.extend_from_slice(&packet.to_be_bytes());
    body.extend_from_slice(payload);
    mqtt(0x32, &body)
}

/// PUBACK (section 3.4).
pub(crate) fn mqtt_acknowledge(packet: [u8; 2]) -> Vec<u8> {
    mqtt(0x40, &packet)
}

/// The first packet of these bytes (section 2.2): its first byte, its body, and its length; none when it is not whole.
pub(crate) fn mqtt_packet(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (kind, rest) = bytes.split_first()?;
    let digits = rest.iter().take(4).position(|digit| digit & 0x80 == 0)? + 1;
    let (digits, rest) = rest.split_at_checked(digits)?;
    let len = digits.iter().rev().fold(0, |len, digit| len << 7 | usize::from(digit & 0x7f));
    Some((*kind, rest.get(..len)?, 1 + digits.len() + len))
}

fn mqtt(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut len = body.len();
    while len > 0x7f {
        packet.push(u8::try_from(len & 0x7f).unwrap_or(0) | 0x80);
        len >>= 7;
    }
    packet.push(u8::try_from(len).unwrap_or(0));
    packet.extend_from_slice(body);
    packet
}
