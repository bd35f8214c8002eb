//! Pairs that write to each other through a server: how long each message takes, and how many go through.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use client_core::Arrivals;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _, future};
use phones::clock::Clock;
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::Message;
use wire::{Address, ClientFrame, Kind, NodeFrame, ReceiveKey, Ttl};

use crate::sessions::{self, Protocol, Session};

/// What a person's message of 1 KiB is to a broker.
const MESSAGE: usize = 1024;

/// How pairs write.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// The next message as soon as one of so many is there.
    Window(usize),
    /// A message at each such interval, whatever becomes of the one before.
    Every(Duration),
}

/// Pairs with open sessions.
#[derive(Debug)]
pub struct Pairs {
    protocol: Protocol,
    pairs: Vec<(Session, Option<Session>)>,
}

impl Pairs {
    /// Opens two sessions for each pair; one, where the server sends back what it hears.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn open(protocol: &Protocol, address: SocketAddr, count: usize) -> Result<Self> {
        let readers = sessions::open(protocol, address, 0, count).await?;
        let pairs = if matches!(protocol, Protocol::Bare) {
            readers.into_iter().map(|session| (session, None)).collect()
        } else {
            let writers = sessions::open(protocol, address, count, count).await?;
            writers.into_iter().zip(readers.into_iter().map(Some)).collect()
        };
        Ok(Self { protocol: protocol.clone(), pairs })
    }

    /// Has each pair send `messages`; gives the sessions back, and the delay of each message in microseconds,
    /// the shortest first.
    ///
    /// # Errors
    /// When a message is refused or a session ends.
    pub async fn talk(self, messages: usize, pace: Pace) -> Result<(Self, Vec<f64>)> {
        let clock = Clock::start();
        let count = self.pairs.len();
        let mut tasks = Vec::with_capacity(count);
        for (number, (writer, reader)) in self.pairs.into_iter().enumerate() {
            // At a pace, not all at the same moment.
            let first = match pace {
                Pace::Window(_) => Duration::ZERO,
                Pace::Every(interval) => interval * u32::try_from(number)? / u32::try_from(count)?,
            };
            let protocol = self.protocol.clone();
            let pair = Pair { protocol, number, inbox: inbox(number), messages, pace, clock, first };
            tasks.push(tokio::spawn(pair.talk(writer, reader)));
        }
        let (mut pairs, mut delays) = (Vec::with_capacity(count), Vec::with_capacity(count * messages));
        for task in tasks {
            let (pair, of_pair) = task.await??;
            pairs.push(pair);
            delays.extend(of_pair);
        }
        delays.sort_by(f64::total_cmp);
        Ok((Self { protocol: self.protocol, pairs }, delays))
    }
}

#[derive(Clone, Debug)]
struct Pair {
    protocol: Protocol,
    number: usize,
    inbox: Address,
    messages: usize,
    pace: Pace,
    clock: Clock,
    first: Duration,
}

type Sink = SplitSink<Session, Message>;
type Stream = SplitStream<Session>;

impl Pair {
    async fn talk(
        self,
        writer: Session,
        reader: Option<Session>,
    ) -> Result<((Session, Option<Session>), Vec<f64>)> {
        let window = match self.pace {
            Pace::Window(window) => window,
            Pace::Every(_) => self.messages,
        };
        let free = Arc::new(Semaphore::new(window));
        let (mut out, answers) = writer.split();
        let (mut acknowledge, mut arrivals, mut answers) = match reader {
            Some(reader) => {
                let (sink, stream) = reader.split();
                (Some(sink), stream, Some(answers))
            }
            None => (None, answers, None),
        };
        let exchange =
            future::try_join(self.write(&mut out, &free), self.read(&mut acknowledge, &mut arrivals, &free));
        let delays = tokio::select! {
            done = exchange => done?.1,
            wrong = refusal(&self.protocol, &mut answers) => return Err(wrong),
        };
        let together =
            |sink: Sink, stream: Stream| sink.reunite(stream).context("two halves of two sessions");
        Ok(match (acknowledge, answers) {
            (Some(sink), Some(answers)) => {
                ((together(out, answers)?, Some(together(sink, arrivals)?)), delays)
            }
            _ => ((together(out, arrivals)?, None), delays),
        })
    }

    async fn write(&self, out: &mut Sink, free: &Semaphore) -> Result<()> {
        let mut ticks = match self.pace {
            Pace::Window(_) => None,
            Pace::Every(interval) => {
                let first = tokio::time::Instant::now() + self.first;
                Some(tokio::time::interval_at(first, interval))
            }
        };
        for number in 0..self.messages {
            free.acquire().await?.forget();
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            let now = self.clock.now().as_micros();
            out.send(Message::Binary(frame(&self.protocol, self.number, number, now).into())).await?;
        }
        Ok(())
    }

    async fn read(
        &self,
        out: &mut Option<Sink>,
        arrivals: &mut Stream,
        free: &Semaphore,
    ) -> Result<Vec<f64>> {
        let mut delays = Vec::with_capacity(self.messages);
        let mut rest = Vec::new();
        // The rule of a real client.
        let mut untold = Arrivals::default();
        while delays.len() < self.messages {
            let due = async {
                match untold.poll_timeout() {
                    Some(at) => tokio::time::sleep_until(self.clock.std(at).into()).await,
                    None => future::pending().await,
                }
            };
            let message = tokio::select! {
                message = arrivals.next() => message.context("the session ended")??,
                () = due => {
                    let run = untold.tell(self.clock.now());
                    self.answer(out, run.map(Answer::Run)).await?;
                    continue;
                }
            };
            rest.extend_from_slice(&message.into_data());
            for arrival in arrived(&self.protocol, &mut rest)? {
                let now = self.clock.now();
                delays.push(now.as_micros().saturating_sub(arrival.sent) as f64);
                let answer = match arrival.answer {
                    Some(Answer::Run((seq, _))) => untold.handle_arrival(seq, now).map(Answer::Run),
                    other => other,
                };
                self.answer(out, answer).await?;
                free.add_permits(1);
            }
        }
        let run = untold.tell(self.clock.now());
        self.answer(out, run.map(Answer::Run)).await?;
        Ok(delays)
    }

    async fn answer(&self, out: &mut Option<Sink>, answer: Option<Answer>) -> Result<()> {
        let frame = match answer {
            None => return Ok(()),
            Some(Answer::Frame(frame)) => frame,
            Some(Answer::Run((first, last))) => {
                let mut frame = Vec::new();
                ClientFrame::Acknowledge { address: self.inbox, first, last }.encode(&mut frame);
                frame
            }
        };
        if let Some(out) = out.as_mut() {
            out.send(Message::Binary(frame.into())).await?;
        }
        Ok(())
    }
}

/// Reads what a writer hears, until something is wrong with it.
async fn refusal(protocol: &Protocol, answers: &mut Option<Stream>) -> anyhow::Error {
    let Some(answers) = answers else { return future::pending().await };
    while let Some(Ok(message)) = answers.next().await {
        if let (Protocol::Bulle(_), Message::Binary(bytes)) = (protocol, &message)
            && !matches!(NodeFrame::decode(bytes), Ok(NodeFrame::Deposited { .. }))
        {
            return anyhow::anyhow!("refused: {:?}", NodeFrame::decode(bytes));
        }
    }
    anyhow::anyhow!("the writer's session ended")
}

/// What the reader `to` gets as message `number`, sent at this moment: for the node what 1 KiB is padded to, and the same
/// for the echo.
pub(crate) fn frame(protocol: &Protocol, to: usize, number: usize, sent: u64) -> Vec<u8> {
    let mut frame = Vec::with_capacity(wire::BLOCK + 128);
    let block = |size| {
        let mut block = vec![0x5a; size];
        block.iter_mut().zip(sent.to_le_bytes()).for_each(|(to, byte)| *to = byte);
        block
    };
    match protocol {
        Protocol::Bulle(_) => {
            ClientFrame::Deposit {
                req: 1,
                address: inbox(to),
                ttl: Ttl::Medium,
                envelope: &block(wire::BLOCK),
            }
            .encode(&mut frame);
        }
        Protocol::Bare => frame = block(wire::BLOCK),
        Protocol::Mqtt => {
            frame = {
                // Never 0 (section 2.3.1).
                let packet = u16::try_from(number % 0xffff).unwrap_or(0) + 1;
                sessions::mqtt_publish(to, packet, &block(MESSAGE))
            }
        }
        Protocol::Nats => {
            frame.extend_from_slice(format!("PUB inbox.{to} {MESSAGE}\r\n").as_bytes());
            frame.extend_from_slice(&block(MESSAGE));
            frame.extend_from_slice(b"\r\n");
        }
    }
    frame
}

fn inbox(of: usize) -> Address {
    Address::of(Kind::Queue, &ReceiveKey::of(&sessions::key(of)))
}

/// A message that is there.
struct Arrival {
    sent: u64,
    /// What the server wants to hear of it.
    answer: Option<Answer>,
}

/// What a server hears of messages.
enum Answer {
    Frame(Vec<u8>),
    /// The node's: first and last.
    Run((u64, u64)),
}

/// Takes the whole messages off the front of what was heard.
fn arrived(protocol: &Protocol, heard: &mut Vec<u8>) -> Result<Vec<Arrival>> {
    let mut found = Vec::new();
    let sent =
        |payload: &[u8]| payload.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).context("too short");
    match protocol {
        Protocol::Bulle(_) => {
            let NodeFrame::Deliver { seq, envelope, .. } = NodeFrame::decode(heard)? else {
                bail!("not a delivery");
            };
            found.push(Arrival { sent: sent(envelope)?, answer: Some(Answer::Run((seq, seq))) });
            heard.clear();
        }
        Protocol::Bare => {
            found.push(Arrival { sent: sent(heard)?, answer: None });
            heard.clear();
        }
        Protocol::Mqtt => {
            while let Some((kind, body, whole)) = sessions::mqtt_packet(heard) {
                if kind >> 4 == 3 {
                    let topic = body.first_chunk().map_or(0, |len| usize::from(u16::from_be_bytes(*len)));
                    let (packet, payload) =
                        body.get(2 + topic..).and_then(|rest| rest.split_first_chunk()).context("cut")?;
                    let answer = Some(Answer::Frame(sessions::mqtt_acknowledge(*packet)));
                    found.push(Arrival { sent: sent(payload)?, answer });
                }
                heard.drain(..whole);
            }
        }
        Protocol::Nats => {
            while let Some(end) = heard.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(heard.get(..end).unwrap_or_default()).into_owned();
                let mut whole = end + 2;
                if line.starts_with("MSG ") {
                    let size: usize = line.rsplit(' ').next().unwrap_or_default().parse()?;
                    let Some(payload) = heard.get(whole..whole + size + 2) else { break };
                    found.push(Arrival { sent: sent(payload)?, answer: None });
                    whole += size + 2;
                }
                ensure!(!line.starts_with("-ERR"), "NATS: {line}");
                heard.drain(..whole);
            }
        }
    }
    Ok(found)
}
