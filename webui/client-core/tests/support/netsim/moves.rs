//! How the simulated bubble moves on: what happens next, and what each end makes of it.

use core::time::Duration;
use std::cmp::Reverse;

use base::Instant;
use client_core::{ChannelEvent, DeliveryState, Event, LinkEvent, LinkState, PeerId, Signal, Text, Transmit};
use rand_core::RngCore;
use relay_core::mailbox::{self, SessionId};

use super::{Happening, Rtc, World};

/// Steps without time passing after which something spins.
const SPIN: u32 = 20_000;

impl World {
    /// One happening, at most at `end`; `false` when there is none before it.
    pub(super) fn step(&mut self, end: Instant) -> bool {
        let mut at = self.queue.peek().map(|Reverse((at, _))| *at);
        let earlier = |at: Option<Instant>, other: Option<Instant>| [at, other].into_iter().flatten().min();
        for phone in &self.phones {
            at = earlier(at, phone.client.poll_timeout());
        }
        at = earlier(at, self.node.poll_timeout());
        let Some(at) = at.filter(|at| *at <= end) else { return false };
        if at > self.now {
            self.now = at;
            self.counter_at(true);
        }
        self.counter_at(false);
        if let Some(Reverse((due, id))) = self.queue.peek().copied()
            && due <= self.now
        {
            self.queue.pop();
            if let Some(happening) = self.happenings.remove(&id) {
                self.happen(happening);
            }
            return true;
        }
        for phone in 0..self.phones.len() {
            if self.phones[phone].client.poll_timeout().is_some_and(|at| at <= self.now) {
                let wall = self.wall(phone);
                self.phones[phone].client.handle_timeout(self.now, wall);
                self.drain(phone);
            }
        }
        if self.node.poll_timeout().is_some_and(|at| at <= self.now) {
            self.node.handle_timeout(self.now);
            self.node_events();
        }
        true
    }

    fn counter_at(&mut self, moved: bool) {
        thread_local!(static STEPS: core::cell::Cell<u32> = const { core::cell::Cell::new(0) });
        STEPS.with(|steps| {
            steps.set(if moved { 0 } else { steps.get() + 1 });
            assert!(steps.get() < SPIN, "something spins\n{}", self.describe());
        });
    }

    fn happen(&mut self, happening: Happening) {
        if let Happening::ToNode { phone, .. } | Happening::ToPhone { phone, .. } = &happening
            && self.phones[*phone].cut
        {
            let phone = *phone;
            self.phones[phone].held.push(happening);
            return;
        }
        if let Happening::ToNode { phone, carrier, .. } | Happening::ToPhone { phone, carrier, .. } =
            &happening
            && *carrier <= self.phones[*phone].stranded
        {
            return;
        }
        match happening {
            Happening::DialledBeside { phone, carrier } => {
                let up = self.node_up && !self.phones[phone].cut && carrier == self.phones[phone].carrier;
                let Some(session) = up.then(|| self.node.open_session(self.now).ok()).flatten() else {
                    return;
                };
                self.phones[phone].carrier += 1;
                // The node hears nothing of its end, and goes on with it beside the new one for a while.
                if let Some(old) = self.phones[phone].session.replace(session) {
                    let after = self.random_delay() * 50;
                    self.later(after, Happening::Idle { session: old });
                }
                self.link(phone, LinkEvent::Up);
                self.pull(phone);
            }
            Happening::Idle { session } => {
                self.node.close_session(session, self.now);
                self.node_events();
            }
            Happening::Dialled { phone, carrier } => {
                if carrier != self.phones[phone].carrier {
                    return;
                }
                let up = self.node_up && !self.phones[phone].cut;
                let session = if up { self.node.open_session(self.now).ok() } else { None };
                self.phones[phone].session = session;
                let event = if session.is_some() { LinkEvent::Up } else { LinkEvent::Down };
                self.link(phone, event);
                self.pull(phone);
            }
            Happening::ToNode { phone, carrier, bytes } => {
                let Some(session) = self.phones[phone].session else { return };
                if carrier != self.phones[phone].carrier || self.phones[phone].cut {
                    return;
                }
                self.wiretap.extend_from_slice(&bytes);
                if self.node.handle_frame(session, &bytes, self.now).is_err() {
                    self.pull(phone);
                    self.break_carrier(phone);
                }
                self.node_events();
                self.pull(phone);
            }
            Happening::ToPhone { phone, carrier, bytes } => {
                if carrier == self.phones[phone].carrier && !self.phones[phone].cut {
                    let wall = self.wall(phone);
                    self.phones[phone].client.handle_frame(&bytes, self.now, wall);
                    self.drain(phone);
                }
            }
            Happening::Broken { phone, carrier } => {
                if carrier == self.phones[phone].carrier {
                    self.hang_up(phone);
                    self.phones[phone].carrier += 1;
                    if !self.phones[phone].cut {
                        self.link(phone, LinkEvent::Down);
                    }
                }
            }
            Happening::Channel { to, token, event } => {
                let Some(peer) =
                    self.phones[to].rtc.iter().find(|(_, rtc)| rtc.token == token).map(|(peer, _)| *peer)
                else {
                    return;
                };
                match &event {
                    ChannelEvent::Open { .. } => self.phones[to].rtc.get_mut(&peer).unwrap().open = true,
                    ChannelEvent::Closed => {
                        self.phones[to].rtc.remove(&peer);
                    }
                    ChannelEvent::Data(_) if self.channels_dead || self.phones[to].cut => return,
                    ChannelEvent::Data(_) if self.phones[to].rtc[&peer].stranded => return,
                    ChannelEvent::Data(_) | ChannelEvent::Signal(_) | ChannelEvent::Path { .. } => {}
                }
                self.channel(to, peer, event);
            }
        }
    }

    fn link(&mut self, phone: usize, event: LinkEvent) {
        let wall = self.wall(phone);
        self.phones[phone].client.handle_link(event, self.now, wall);
        self.drain(phone);
    }

    pub(crate) fn channel(&mut self, phone: usize, peer: PeerId, event: ChannelEvent) {
        let wall = self.wall(phone);
        self.phones[phone].client.handle_channel(peer, event, self.now, wall);
        self.drain(phone);
    }

    fn hang_up(&mut self, phone: usize) {
        if let Some(session) = self.phones[phone].session.take() {
            self.node.close_session(session, self.now);
        }
    }

    pub(super) fn node_events(&mut self) {
        while let Some(event) = self.node.poll_event() {
            match event {
                mailbox::Event::Wake(session) => {
                    if let Some(phone) = self.phone_of(session) {
                        self.pull(phone);
                    }
                }
                mailbox::Event::CredentialsWanted { session, req } => {
                    match self.turn {
                        Some(ttl_s) => self.node.grant_credentials(session, req, "user", "pass", ttl_s),
                        None => self.node.refuse_credentials(session, req),
                    }
                    if let Some(phone) = self.phone_of(session) {
                        self.pull(phone);
                    }
                }
                // What comes of it is between the daemon and its TURN.
                mailbox::Event::CredentialsShown { .. } | mailbox::Event::Left(_) => {}
                mailbox::Event::Close { session, .. } => {
                    if let Some(phone) = self.phone_of(session) {
                        self.pull(phone);
                        self.break_carrier(phone);
                    }
                }
            }
        }
    }

    fn phone_of(&self, session: SessionId) -> Option<usize> {
        self.phones.iter().position(|phone| phone.session == Some(session))
    }

    /// Takes what the node has to say to a phone.
    fn pull(&mut self, phone: usize) {
        let Some(session) = self.phones[phone].session else { return };
        loop {
            let mut bytes = Vec::new();
            if !self.node.poll_transmit(session, self.now, &mut bytes) {
                break;
            }
            self.wiretap.extend_from_slice(&bytes);
            self.said[phone].push(bytes.clone());
            let frames = match self.tamper.take() {
                Some(mut tamper) => {
                    let frames = tamper(phone, bytes, &mut self.rng);
                    self.tamper = Some(tamper);
                    frames
                }
                None => vec![bytes],
            };
            for bytes in frames {
                self.say(phone, bytes);
            }
        }
    }

    /// The node says something to a phone, whatever it is.
    pub(crate) fn say(&mut self, phone: usize, bytes: Vec<u8>) {
        let carrier = self.phones[phone].carrier;
        let at = (self.now + self.random_delay()).max(self.phones[phone].last_to_phone);
        self.phones[phone].last_to_phone = at;
        self.at(at, Happening::ToPhone { phone, carrier, bytes });
    }

    pub(super) fn drain(&mut self, phone: usize) {
        if self.phones[phone].client.wants_another_carrier() {
            let carrier = self.phones[phone].carrier;
            let delay = self.random_delay();
            self.later(delay, Happening::DialledBeside { phone, carrier });
        }
        loop {
            if let Some(transmit) = self.phones[phone].client.poll_transmit() {
                match transmit {
                    Transmit::Node(bytes) => {
                        // An array of a kind and its fields (RFC 8949): the kind is its second byte.
                        self.gave[phone].push((self.now, bytes[1], bytes.len()));
                        let carrier = self.phones[phone].carrier;
                        let at = (self.now + self.random_delay()).max(self.phones[phone].last_to_node);
                        self.phones[phone].last_to_node = at;
                        self.at(at, Happening::ToNode { phone, carrier, bytes });
                    }
                    Transmit::Channel { peer, bytes } => self.on_channel(phone, peer, bytes),
                }
                continue;
            }
            match self.phones[phone].client.poll_event() {
                Some(event) => self.event(phone, event),
                None => break,
            }
        }
    }

    fn on_channel(&mut self, phone: usize, peer: PeerId, bytes: Vec<u8>) {
        if self.phones[phone].cut {
            return;
        }
        let Some(rtc) = self.phones[phone].rtc.get(&peer).filter(|rtc| rtc.open && !rtc.stranded).cloned()
        else {
            return;
        };
        let Some(to) = self.other_end(phone, rtc.token) else { return };
        // One ordered stream: the delay is the same for all.
        let delay = self.delay / 4;
        self.later(delay, Happening::Channel { to, token: rtc.token, event: ChannelEvent::Data(bytes) });
    }

    fn other_end(&self, phone: usize, token: u64) -> Option<usize> {
        let has =
            |other: &usize| *other != phone && self.phones[*other].rtc.values().any(|rtc| rtc.token == token);
        (0..self.phones.len()).find(has)
    }

    fn event(&mut self, phone: usize, event: Event) {
        let seen = &mut self.phones[phone].seen;
        match event {
            Event::Link(LinkState::Reconnect) => {
                seen.link = Some(LinkState::Reconnect);
                self.hang_up(phone);
                self.phones[phone].carrier += 1;
                let carrier = self.phones[phone].carrier;
                let delay = self.random_delay();
                self.later(delay, Happening::Dialled { phone, carrier });
            }
            Event::Link(state) => seen.link = Some(state),
            Event::PeerHere { peer, pseudonym, .. } => {
                seen.here.insert(pseudonym.expose().to_owned(), peer);
                seen.names.insert(peer, pseudonym.expose().to_owned());
            }
            Event::PeerLeft { peer } => seen.here.retain(|_, id| *id != peer),
            Event::Message { peer, id, mine, text, .. } => {
                if mine {
                    seen.mine.push(id);
                    seen.deliveries.insert(id, DeliveryState::Pending);
                } else {
                    let name = seen.names[&peer].clone();
                    seen.texts.entry(name).or_default().push(text.expose().to_owned());
                }
            }
            Event::Delivery { id, state } => {
                seen.deliveries.insert(id, state);
            }
            Event::Path { peer, path } => {
                seen.paths.insert(peer, path);
            }
            Event::OpenChannel { peer, polite, turn } => {
                seen.opened += 1;
                seen.turns.push(turn);
                let token = if polite { 0 } else { self.rng.next_u64() };
                self.phones[phone].rtc.insert(peer, Rtc { token, open: false, stranded: false });
                if !polite {
                    let sdp = format!("offer canary-sdp {token}");
                    self.channel(phone, peer, ChannelEvent::Signal(Signal::Offer { sdp: sdp.into() }));
                    self.channel(phone, peer, ChannelEvent::Signal(Signal::EndOfCandidates));
                }
            }
            Event::RemoteSignal { peer, signal } => self.remote_signal(phone, peer, &signal),
            Event::CloseChannel { peer } => {
                self.phones[phone].rtc.remove(&peer);
            }
            Event::TurnRenewed(_) => seen.renewed += 1,
            Event::Safety { peer, number } => {
                seen.safety.insert(peer, number.expose().to_owned());
            }
            Event::Verified { peer, verified } => {
                seen.verified.insert(peer, verified);
            }
            Event::Notice(notice) => seen.notices.push(notice),
        }
    }

    fn remote_signal(&mut self, phone: usize, peer: PeerId, signal: &Signal) {
        let token = |sdp: &Text| sdp.expose().rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        match signal {
            Signal::Offer { sdp } => {
                let token = token(sdp);
                self.phones[phone].rtc.insert(peer, Rtc { token, open: false, stranded: false });
                let sdp = format!("answer canary-sdp {token}");
                self.channel(phone, peer, ChannelEvent::Signal(Signal::Answer { sdp: sdp.into() }));
            }
            Signal::Answer { sdp } => {
                let token = token(sdp);
                let matches = self.phones[phone].rtc.get(&peer).is_some_and(|rtc| rtc.token == token);
                let Some(other) = self.other_end(phone, token).filter(|_| matches) else { return };
                let reachable = self.direct && !self.phones[phone].cut && !self.phones[other].cut;
                let (delay, event) = if reachable {
                    (self.delay, ChannelEvent::Open { path: self.path })
                } else {
                    (Duration::from_secs(15), ChannelEvent::Closed)
                };
                self.later(delay, Happening::Channel { to: phone, token, event: event.clone() });
                self.later(delay + Duration::from_millis(1), Happening::Channel { to: other, token, event });
            }
            Signal::Candidate { .. } | Signal::EndOfCandidates => {}
        }
    }
}
