//! One half of a pair: what a phone is to say to its mate, and whether all that was said arrived.
//!
//! It is a script over the client's events, and keeps books: each message of the mate exactly once, in order,
//! and a receipt for each of its own.

use std::collections::HashSet;
use std::time::Duration;

use base::Instant;
use client_core::{Command, DeliveryState, Event, LinkState, MessageId, Notice, Path, PeerId, Text};

/// What a phone is to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The pseudonym of its mate.
    pub mate: String,
    /// How many messages it writes, and expects.
    pub messages: u32,
    /// How they are to go; nothing is written before.
    pub path: Path,
}

/// What went wrong in a conversation. Numbers only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A message came that was not the next one: lost, twice, or out of order.
    Order {
        /// The number that should have come.
        expected: u32,
        /// The number that came, when it could be read.
        found: Option<u32>,
    },
    /// A message of ours will not arrive.
    Failed,
    /// The client refused to send.
    Refused,
    /// The client says that messages are missing for good.
    Missing,
}

/// When things happened, since the phone was switched on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// The node welcomed it.
    pub joined: Option<Duration>,
    /// It saw its mate.
    pub found: Option<Duration>,
    /// The path that was asked for stood.
    pub path: Option<Duration>,
    /// The mate's messages and all receipts were there.
    pub done: Option<Duration>,
}

/// A half that runs.
#[derive(Debug)]
pub struct Half {
    plan: Plan,
    began: Instant,
    mate: Option<PeerId>,
    started: bool,
    received: u32,
    waiting: HashSet<MessageId>,
    sent: u32,
    path: Path,
    times: Times,
    faults: Vec<Fault>,
    notices: u32,
    reconnects: u32,
}

/// Faults that are kept; more say nothing new.
const MAX_FAULTS: usize = 16;

impl Half {
    /// A phone that is switched on now.
    pub fn new(plan: Plan, now: Instant) -> Self {
        Self {
            plan,
            began: now,
            mate: None,
            started: false,
            received: 0,
            waiting: HashSet::new(),
            sent: 0,
            path: Path::None,
            times: Times::default(),
            faults: Vec::new(),
            notices: 0,
            reconnects: 0,
        }
    }

    /// Something happened; says what the phone wants now.
    #[expect(clippy::wildcard_enum_match_arm, reason = "a script looks at what it follows")]
    pub fn handle_event(&mut self, event: &Event, now: Instant) -> Vec<Command> {
        let mut wants = Vec::new();
        let since = now.saturating_duration_since(self.began);
        match event {
            Event::Link(LinkState::Up) => {
                self.times.joined.get_or_insert(since);
            }
            // Before the first session there is none that could be lost.
            Event::Link(LinkState::Down) if self.times.joined.is_some() => self.reconnects += 1,
            Event::PeerHere { peer, pseudonym, .. }
                if self.mate.is_none() && pseudonym.expose() == self.plan.mate =>
            {
                self.mate = Some(*peer);
                self.times.found = Some(since);
                wants.push(Command::Open { peer: *peer });
            }
            Event::Path { peer, path } if Some(*peer) == self.mate => self.path = *path,
            Event::Message { peer, mine: false, text, .. } if Some(*peer) == self.mate => {
                self.hear(text.expose());
            }
            Event::Message { mine: true, id, .. } => {
                self.waiting.insert(*id);
                self.sent += 1;
            }
            Event::Delivery { id, state } => match state {
                DeliveryState::Delivered => {
                    self.waiting.remove(id);
                }
                DeliveryState::Failed { .. } => self.fault(Fault::Failed),
                DeliveryState::Pending | DeliveryState::Deposited => {}
            },
            Event::Notice(Notice::Missing { .. }) => self.fault(Fault::Missing),
            Event::Notice(_) => self.notices += 1,
            _ => {}
        }
        if let Some(peer) = self.mate.filter(|_| !self.started && self.path == self.plan.path) {
            self.started = true;
            self.times.path = Some(since);
            wants.extend((1..=self.plan.messages).map(|number| Command::Send { peer, text: words(number) }));
        }
        if self.times.done.is_none() && self.is_done() {
            self.times.done = Some(since);
        }
        wants
    }

    /// The client refused a command of ours.
    pub fn refused(&mut self) {
        self.fault(Fault::Refused);
    }

    /// Whether all was said, heard and confirmed.
    pub fn is_done(&self) -> bool {
        self.started
            && self.received == self.plan.messages
            && self.sent == self.plan.messages
            && self.waiting.is_empty()
    }

    /// Whether the path that was asked for stood once.
    pub const fn is_connected(&self) -> bool {
        self.started
    }

    /// When things happened.
    pub const fn times(&self) -> Times {
        self.times
    }

    /// What went wrong.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Messages of the mate that came in order.
    pub const fn received(&self) -> u32 {
        self.received
    }

    /// Notices to the person, and sessions that were lost: none are expected on a quiet network.
    pub const fn troubles(&self) -> (u32, u32) {
        (self.notices, self.reconnects)
    }

    fn hear(&mut self, text: &str) {
        let found = text.split_once(' ').and_then(|(number, _)| number.parse().ok());
        let expected = self.received + 1;
        if found == Some(expected) && expected <= self.plan.messages && *text == *words(expected).expose() {
            self.received = expected;
        } else {
            self.fault(Fault::Order { expected, found });
        }
    }

    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault);
        }
    }
}

/// The text of message `number`: about as long as what people write.
fn words(number: u32) -> Text {
    format!(
        "{number} We meet at the old bridge at {number:02} past the hour; bring the blue map and some water."
    )
    .into()
}

#[cfg(test)]
mod tests {
    use client_core::UnixMillis;

    use super::*;

    const MATE: PeerId = PeerId(7);

    fn plan() -> Plan {
        Plan { mate: "phone 2".into(), messages: 2, path: Path::Direct }
    }

    fn heard(number: u32) -> Event {
        Event::Message {
            peer: MATE,
            id: MessageId(100 + u64::from(number)),
            mine: false,
            text: words(number),
            at: UnixMillis(0),
            order: u64::from(number),
        }
    }

    fn connected() -> Half {
        let mut half = Half::new(plan(), Instant::ZERO);
        let here = Event::PeerHere { peer: MATE, pseudonym: "phone 2".into(), since: UnixMillis(0) };
        assert_eq!(half.handle_event(&here, Instant::from_millis(5)), [Command::Open { peer: MATE }]);
        let mailbox = Event::Path { peer: MATE, path: Path::Mailbox };
        assert!(half.handle_event(&mailbox, Instant::from_millis(6)).is_empty());
        let direct = Event::Path { peer: MATE, path: Path::Direct };
        assert_eq!(half.handle_event(&direct, Instant::from_millis(9)).len(), 2);
        half
    }

    #[test]
    fn a_conversation_is_done_when_all_is_heard_and_confirmed() {
        let mut half = connected();
        for number in 1..=2_u32 {
            let id = MessageId(u64::from(number));
            let text = words(number);
            half.handle_event(
                &Event::Message { peer: MATE, id, mine: true, text, at: UnixMillis(0), order: number.into() },
                Instant::ZERO,
            );
            half.handle_event(&heard(number), Instant::ZERO);
            assert!(!half.is_done());
        }
        for id in 1..=2 {
            let state = DeliveryState::Delivered;
            half.handle_event(&Event::Delivery { id: MessageId(id), state }, Instant::from_millis(20));
        }
        assert!(half.is_done() && half.faults().is_empty());
        assert_eq!(half.times().done, Some(Duration::from_millis(20)));
    }

    #[test]
    fn a_message_twice_is_a_fault() {
        let mut half = connected();
        half.handle_event(&heard(1), Instant::ZERO);
        half.handle_event(&heard(1), Instant::ZERO);
        assert_eq!(half.faults(), [Fault::Order { expected: 2, found: Some(1) }]);
    }

    #[test]
    fn a_message_out_of_order_is_a_fault() {
        let mut half = connected();
        half.handle_event(&heard(2), Instant::ZERO);
        assert_eq!(half.faults(), [Fault::Order { expected: 1, found: Some(2) }]);
    }
}
