//! The carrier of a session where a WebSocket is refused: plain HTTPS requests, as `client_core::Requests` asks for
//! them.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use client_core::{Request, Requests, RequestsEvent, Verb};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;

use super::{CarrierEvent, MAX_UNWRITTEN, Node};
use crate::clock::{Clock, FAR};

/// The largest head of an answer.
const MAX_HEAD: usize = 8192;

type Connection = TlsStream<TcpStream>;

/// How a request ended, and the connection that it went over when that can be used again.
struct Ended {
    verb: Verb,
    answer: Result<(u16, Vec<u8>, Connection)>,
}

/// Moves frames both ways until the carrier is over, or until nobody hears `say`.
pub(super) async fn carry<F, W>(node: &Node, say: &F) -> Result<()>
where
    F: Fn(CarrierEvent) -> W,
    W: Future<Output = bool>,
{
    let clock = Clock::start();
    let mut machine = Requests::new();
    let (sender, mut frames) = mpsc::channel::<Vec<u8>>(MAX_UNWRITTEN);
    let (mut sender, mut writing) = (Some(sender), true);
    let mut idle: Vec<Connection> = Vec::new();
    let mut open = JoinSet::new();
    let mut why = anyhow!("the node closed the session");
    loop {
        while let Some(request) = machine.poll_request(clock.now()) {
            let (verb, bytes) = (request.verb, written(node, &request));
            let (node, connection) = (node.clone(), idle.pop());
            open.spawn(async move { Ended { verb, answer: post(&node, connection, &bytes).await } });
        }
        while let Some(event) = machine.poll_event() {
            let heard = match event {
                RequestsEvent::Up => match sender.take() {
                    Some(sender) => say(CarrierEvent::Up(sender)).await,
                    None => true,
                },
                RequestsEvent::Frame(frame) => say(CarrierEvent::Frame(frame)).await,
                RequestsEvent::Down => return Err(why),
            };
            if !heard {
                return Ok(());
            }
        }
        let pause = machine.poll_timeout().map_or(FAR, |at| at.saturating_duration_since(clock.now()));
        tokio::select! {
            Some(ended) = open.join_next() => {
                let Ended { verb, answer } = ended?;
                match answer {
                    Ok((status, body, connection)) => {
                        idle.push(connection);
                        if status >= 300 {
                            why = anyhow!("{verb:?} was answered by {status}");
                        }
                        machine.handle_answer(verb, Some((status, &body)), clock.now());
                    }
                    Err(error) => {
                        why = error;
                        machine.handle_answer(verb, None, clock.now());
                    }
                }
            }
            frame = frames.recv(), if writing && !machine.is_full() => match frame {
                Some(frame) => machine.send(frame),
                // What is on its way still goes; the owner ends the rest.
                None => writing = false,
            },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// As it goes over the wire.
fn written(node: &Node, request: &Request<'_>) -> Vec<u8> {
    let (authority, target) = (node.authority(), &request.target);
    let token = request.token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let mut bytes = format!(
        "POST /session/{target} HTTP/1.1\r\nhost: {authority}\r\norigin: https://{authority}\r\n{token}content-length: {}\r\n\r\n",
        request.body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(request.body);
    bytes
}

async fn post(
    node: &Node,
    connection: Option<Connection>,
    request: &[u8],
) -> Result<(u16, Vec<u8>, Connection)> {
    if let Some(mut connection) = connection
        && let Ok((status, body)) = asked(&mut connection, request).await
    {
        return Ok((status, body, connection));
    }
    // A connection that was idle may have been closed meanwhile.
    let mut connection = node.connect().await?;
    let (status, body) = asked(&mut connection, request).await?;
    Ok((status, body, connection))
}

async fn asked(connection: &mut Connection, request: &[u8]) -> Result<(u16, Vec<u8>)> {
    connection.write_all(request).await?;
    connection.flush().await?;
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        ensure!(bytes.len() < MAX_HEAD, "the head of an answer does not end");
        ensure!(connection.read_buf(&mut bytes).await? > 0, "no answer");
    };
    let mut body = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes).context("the head of an answer is no text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.unwrap_or(0);
    if length > wire::MAX_BATCH {
        bail!("an answer is larger than a session has them");
    }
    while body.len() < length {
        ensure!(connection.read_buf(&mut body).await? > 0, "half an answer");
    }
    Ok((status.context("an answer without a status")?, body))
}
