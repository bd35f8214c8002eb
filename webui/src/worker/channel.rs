//! The session over a data channel to the box, where a WebSocket is refused. `client_core::BoxChannel` knows what goes
//! over it; the page makes the connection as it makes those to peers, and this carries messages between the two.

use client_core::{BoxChannel as Machine, BoxChannelEvent, ChannelEvent, Event, Notice, THE_BOX, Way};
use wasm_bindgen_futures::spawn_local;
use web_sys::DedicatedWorkerGlobalScope;
use wire::Pin;

use super::requests::{heard, post};
use super::{Driver, Happened, with};
use crate::bridge::ToPage;

/// The carrier, while there is one.
pub(super) struct Channel {
    scope: DedicatedWorkerGlobalScope,
    /// By what the box is known, where the invitation says it.
    pub(super) pin: Option<Pin>,
    machine: Option<Machine>,
    /// Counts carriers: what an older one is still answered is not heard.
    number: u32,
}

impl Channel {
    pub(super) fn new(scope: &DedicatedWorkerGlobalScope) -> Self {
        Self { scope: scope.clone(), pin: None, machine: None, number: 0 }
    }

    /// Drops the carrier that there is and begins another. False when there is nothing to know the box by.
    pub(super) fn open(&mut self) -> bool {
        self.close();
        let Some(pin) = self.pin else { return false };
        self.machine = Some(Machine::new(pin));
        self.tell(Event::OpenChannel { peer: THE_BOX, polite: false, turn: None });
        true
    }

    /// Drops the carrier; nothing more is heard of it.
    pub(super) fn close(&mut self) {
        self.number += 1;
        if self.machine.take().is_some() {
            self.tell(Event::CloseChannel { peer: THE_BOX });
        }
    }

    /// Whether it carries the session.
    pub(super) fn is_open(&self) -> bool {
        self.machine.as_ref().is_some_and(Machine::is_open)
    }

    /// Sends a frame, by the page.
    pub(super) fn send(&self, frame: &[u8]) {
        for bytes in Machine::send(frame) {
            super::post(&self.scope, &ToPage::Channel { peer: THE_BOX, bytes });
        }
    }

    fn tell(&self, event: Event) {
        super::post(&self.scope, &ToPage::Event(event));
    }

    /// Gives the box our offer.
    fn ask(&self, offer: &[u8]) {
        let (number, promise) = (self.number, post(&self.scope, "peer", None, offer, None));
        spawn_local(async move {
            let answer = heard(promise).await.ok();
            with(|driver| {
                if driver.channel.number == number
                    && let Some(machine) = &mut driver.channel.machine
                {
                    machine.handle_answer(answer.as_ref().map(|(status, body)| (*status, body.as_slice())));
                    driver.drain_channel();
                }
            });
        });
    }
}

impl Driver {
    /// The page's connection to the box did something.
    pub(super) fn handle_box(&mut self, event: ChannelEvent) {
        if let Some(machine) = &mut self.channel.machine {
            machine.handle_channel(event);
            self.drain_channel();
        }
    }

    fn drain_channel(&mut self) {
        while let Some(event) = self.channel.machine.as_mut().and_then(Machine::poll_event) {
            match event {
                BoxChannelEvent::Post(offer) => self.channel.ask(&offer),
                BoxChannelEvent::Signal(signal) => {
                    self.channel.tell(Event::RemoteSignal { peer: THE_BOX, signal });
                }
                BoxChannelEvent::Up => self.handle_carrier(Way::DataChannel, Happened::Open),
                BoxChannelEvent::Frame(frame) => {
                    self.handle_carrier(Way::DataChannel, Happened::Frame(frame));
                }
                BoxChannelEvent::Impostor => {
                    self.choice.handle_impostor();
                    self.channel.tell(Event::Notice(Notice::OtherBox));
                    self.end_channel();
                }
                BoxChannelEvent::Down => self.end_channel(),
            }
        }
    }

    fn end_channel(&mut self) {
        self.channel.close();
        self.handle_carrier(Way::DataChannel, Happened::Closed);
    }
}
