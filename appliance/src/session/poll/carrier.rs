//! One session between its requests: the task that stands where the WebSocket has its connection.
//!
//! [`Exchange`] knows what was lost and comes again; this moves bytes, holds a question until there is something to
//! say, and notices that a client is gone.

use super::super::{CLOSE_TIME, CONTROL_BURST, CONTROL_PER_SECOND};
use crate::hub::Session;
use appliance_core::bucket::Bucket;
use bytes::Bytes;
use relay_core::exchange::{Asked, Exchange, Incoming, OutOfStep};
use std::future::pending;
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use wire::Batch;

/// How long a question is held when there is nothing to say. Proxies wait for half a minute and more.
pub const HOLD: Duration = Duration::from_secs(25);
/// How long a client may go without asking. A WebSocket has its connection to tell that a client is gone.
pub(super) const ABSENCE: Duration = Duration::from_secs(30);

/// Takes the piece that was asked for, or that there is none; dropped, when the session is over.
pub(super) type Reply = oneshot::Sender<Result<Bytes, OutOfStep>>;

/// What requests ask of their session.
#[derive(Debug)]
pub(super) enum Command {
    /// Frames from the client: whole ones, looked at before.
    Send { number: u32, batch: Bytes, reply: Reply },
    /// The client has all pieces up to this one, and wants the next.
    Poll { has: u32, reply: Reply },
    /// The client goes.
    Close,
}

/// A question without an answer yet.
struct Held {
    reply: Reply,
    until: Instant,
}

/// Carries the session until it is over or its client is gone.
pub(super) async fn run(session: &Session, mut commands: mpsc::Receiver<Command>) {
    let mut carrier = Carrier {
        session,
        exchange: Exchange::new(),
        control: Bucket::new(CONTROL_PER_SECOND, CONTROL_BURST, session.now()),
        held: None,
        gone_at: Instant::now() + ABSENCE,
        over: false,
    };
    while carrier.answer().is_continue() {
        let until = carrier.held.as_ref().map_or(carrier.gone_at, |held| held.until);
        let next = tokio::select! {
            command = commands.recv() => command.map_or(ControlFlow::Break(()), |command| carrier.handle(command)),
            () = session.woken() => ControlFlow::Continue(()),
            () = abandoned(&mut carrier.held) => {
                carrier.held = None;
                carrier.seen()
            }
            () = sleep_until(until) => carrier.handle_timeout(),
        };
        if next.is_break() {
            return;
        }
    }
}

struct Carrier<'s> {
    session: &'s Session,
    exchange: Exchange<Bytes>,
    control: Bucket,
    held: Option<Held>,
    /// When the client counts as gone, if it does not ask.
    gone_at: Instant,
    over: bool,
}

impl Carrier<'_> {
    /// Answers the question that is held, if there is something to say.
    fn answer(&mut self) -> ControlFlow<()> {
        self.look();
        let Some(Held { reply, until }) = self.held.take() else { return ControlFlow::Continue(()) };
        let batch = pull(self.session);
        if batch.is_empty() {
            self.held = Some(Held { reply, until });
            return if self.over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        }
        self.exchange.hand_out(batch.clone());
        self.give(reply, batch)
    }

    /// Notices that the session is over.
    fn look(&mut self) {
        if self.session.is_over() && !self.over {
            self.over = true;
            // Whatever was kept may be what was purged; what is left to say is short.
            self.exchange.forget();
            self.gone_at = Instant::now() + CLOSE_TIME;
        }
    }

    fn give(&mut self, reply: Reply, batch: Bytes) -> ControlFlow<()> {
        let taken = reply.send(Ok(batch)).is_ok();
        if self.over && taken { ControlFlow::Break(()) } else { self.seen() }
    }

    fn handle(&mut self, command: Command) -> ControlFlow<()> {
        self.look();
        match command {
            Command::Close => ControlFlow::Break(()),
            // Whoever sends hears that it is over, and may still ask why.
            Command::Send { .. } if self.over => ControlFlow::Continue(()),
            Command::Send { number, batch, reply } => {
                let result = self.exchange.handle_piece(number);
                match result {
                    Ok(Incoming::New) => carry_out(self.session, &batch),
                    Ok(Incoming::Repeated) | Err(OutOfStep) => self.control()?,
                }
                let _ = reply.send(result.map(|_| Bytes::new()));
                ControlFlow::Continue(())
            }
            Command::Poll { has, reply } => match self.exchange.handle_question(has) {
                Ok(Asked::Next) => {
                    let until = Instant::now() + HOLD;
                    if let Some(before) = self.held.replace(Held { reply, until }) {
                        // Its client asked again, so that it hears this one no more.
                        let _ = before.reply.send(Ok(Bytes::new()));
                        self.control()?;
                    }
                    ControlFlow::Continue(())
                }
                Ok(Asked::Again(batch)) => {
                    self.control()?;
                    self.give(reply, batch)
                }
                Err(OutOfStep) => {
                    let _ = reply.send(Err(OutOfStep));
                    self.control()
                }
            },
        }
    }

    fn handle_timeout(&mut self) -> ControlFlow<()> {
        let Some(Held { reply, .. }) = self.held.take() else { return ControlFlow::Break(()) };
        let _ = reply.send(Ok(Bytes::new()));
        self.seen()
    }

    /// The client was there just now. One whose session is over gets no more time for that.
    fn seen(&mut self) -> ControlFlow<()> {
        if !self.over {
            self.gone_at = Instant::now() + ABSENCE;
        }
        ControlFlow::Continue(())
    }

    /// A request moved nothing: there may be a few of those.
    fn control(&mut self) -> ControlFlow<()> {
        if self.control.take(self.session.now()) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

/// Gives the session the frames of a piece; after a violation the rest is not looked at.
fn carry_out(session: &Session, batch: &[u8]) {
    let Ok(frames) = wire::frames_of(batch) else { return };
    for frame in frames {
        if session.handle_frame(frame).is_err() {
            return;
        }
    }
}

/// What there is for the client, as much as one piece takes.
fn pull(session: &Session) -> Bytes {
    let mut batch = Batch::default();
    while !batch.is_full() && batch.push_with(|bytes| session.pull(bytes)) {}
    batch.into_bytes().into()
}

/// Returns when nobody waits for the answer any more: the client's connection is gone.
async fn abandoned(held: &mut Option<Held>) {
    match held {
        Some(held) => held.reply.closed().await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clocks::Clocks;
    use crate::hub::Hub;
    use crate::memory::Arena;
    use relay_core::mailbox::{Cause, Config};
    use std::sync::Arc;
    use tokio::task::JoinHandle;
    use wire::{ClientFrame, NodeFrame, Reason};

    struct Phone {
        hub: Arc<Hub>,
        commands: mpsc::Sender<Command>,
        task: JoinHandle<()>,
    }

    impl Phone {
        fn new() -> Self {
            let arena = Arena::new(std::num::NonZeroUsize::new(1 << 20).expect("not zero")).expect("memory");
            let hub = Hub::new(Config::default(), arena, None, Arc::new(Clocks::new(None)));
            let session = hub.open().expect("a session");
            let (commands, received) = mpsc::channel(8);
            let task = tokio::spawn(async move { run(&session, received).await });
            Self { hub, commands, task }
        }

        async fn ask(&self, has: u32) -> oneshot::Receiver<Result<Bytes, OutOfStep>> {
            let (reply, answer) = oneshot::channel();
            self.commands.send(Command::Poll { has, reply }).await.expect("it runs");
            answer
        }

        async fn poll(&self, has: u32) -> Vec<u8> {
            self.ask(has).await.await.expect("an answer").expect("in step").to_vec()
        }

        async fn send(&self, number: u32, frames: &[ClientFrame<'_>]) -> Result<Bytes, OutOfStep> {
            let mut batch = Batch::default();
            for frame in frames {
                batch.push_with(|bytes| {
                    frame.encode(bytes);
                    true
                });
            }
            let (reply, answer) = oneshot::channel();
            let batch = batch.into_bytes().into();
            self.commands.send(Command::Send { number, batch, reply }).await.expect("it runs");
            answer.await.expect("an answer")
        }

        async fn ends(self) {
            self.task.await.expect("no panic");
            assert_eq!(self.hub.sessions(), 0);
        }
    }

    fn pongs(batch: &[u8]) -> Vec<u32> {
        let frames = wire::frames_of(batch).expect("frames");
        let nonce = |frame| match NodeFrame::decode(frame) {
            Ok(NodeFrame::Pong { nonce }) => Some(nonce),
            _ => None,
        };
        frames.filter_map(nonce).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn lost_answers_lose_and_double_nothing() {
        let phone = Phone::new();
        let welcome = phone.poll(0).await;
        assert_eq!(phone.poll(0).await, welcome, "the answer was lost");
        let pings = [ClientFrame::Ping { nonce: 1 }, ClientFrame::Ping { nonce: 2 }];
        assert!(phone.send(1, &pings).await.is_ok());
        assert!(phone.send(1, &pings).await.is_ok(), "this answer was lost as well");
        let first = phone.poll(1).await;
        assert_eq!(pongs(&first), [1, 2]);
        assert!(phone.send(2, &[ClientFrame::Ping { nonce: 3 }]).await.is_ok());
        assert_eq!(phone.poll(1).await, first, "what comes again is the same, whatever is new");
        assert_eq!(pongs(&phone.poll(2).await), [3]);
        assert_eq!(phone.send(4, &pings).await, Err(OutOfStep));
        assert_eq!(phone.ask(7).await.await, Ok(Err(OutOfStep)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_is_held_until_there_is_something_to_say() {
        let phone = Phone::new();
        phone.poll(0).await;
        let started = Instant::now();
        assert_eq!(phone.poll(1).await, b"", "nothing came");
        assert_eq!(started.elapsed(), HOLD);
        let held = phone.ask(1).await;
        assert!(phone.send(1, &[ClientFrame::Ping { nonce: 9 }]).await.is_ok());
        assert_eq!(pongs(&held.await.expect("an answer").expect("in step")), [9]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_again_is_answered_and_the_older_question_ends() {
        let phone = Phone::new();
        phone.poll(0).await;
        let older = phone.ask(1).await;
        let newer = phone.ask(1).await;
        assert_eq!(older.await, Ok(Ok(Bytes::new())));
        assert!(phone.send(1, &[ClientFrame::Ping { nonce: 9 }]).await.is_ok());
        assert_eq!(pongs(&newer.await.expect("an answer").expect("in step")), [9]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_asking_is_gone() {
        let phone = Phone::new();
        phone.poll(0).await;
        // Its connection breaks while it waits, and it does not come back.
        drop(phone.ask(1).await);
        let started = Instant::now();
        phone.ends().await;
        assert_eq!(started.elapsed(), ABSENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_only_repeats_itself_is_closed() {
        let phone = Phone::new();
        phone.poll(0).await;
        for _ in 0..CONTROL_BURST {
            phone.poll(0).await;
        }
        let _ = phone.ask(0).await.await;
        phone.ends().await;
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_purge_the_goodbye_is_all_that_is_left() {
        for confirmed in [false, true] {
            let phone = Phone::new();
            phone.poll(0).await;
            phone.hub.purge(Cause::Panic);
            let batch = phone.poll(u32::from(confirmed)).await;
            let frames: Vec<_> = wire::frames_of(&batch).expect("frames").map(NodeFrame::decode).collect();
            assert_eq!(frames, [Ok(NodeFrame::Bye { reason: Reason::Shutdown })], "{confirmed}");
            phone.ends().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_goodbye_that_nobody_fetches_is_not_waited_for() {
        let phone = Phone::new();
        let started = Instant::now();
        phone.hub.purge(Cause::Shutdown);
        phone.ends().await;
        assert_eq!(started.elapsed(), CLOSE_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_is_none_ends_the_session_with_a_word() {
        let phone = Phone::new();
        phone.poll(0).await;
        let mut batch = Batch::default();
        batch.push(b"no frame");
        batch.push(b"nor this");
        let (reply, _) = oneshot::channel();
        let batch = batch.into_bytes().into();
        phone.commands.send(Command::Send { number: 1, batch, reply }).await.expect("it runs");
        let batch = phone.poll(1).await;
        let frames: Vec<_> = wire::frames_of(&batch).expect("frames").map(NodeFrame::decode).collect();
        assert_eq!(frames, [Ok(NodeFrame::Bye { reason: Reason::Malformed })]);
        phone.ends().await;
    }
}
