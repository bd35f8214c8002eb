//! The program of the worker: gives the client its inputs, and does what it asks for. It decides nothing.
//!
//! One input, then everything that came of it, then wait: for the page, the session's carrier or the timer.

use std::cell::RefCell;
use std::time::Duration;

use base::Instant;
use client_core::{
    Choice, Client, Command, Config, Event, LinkEvent, LinkState, Requests as Machine, RequestsEvent,
    THE_BOX, Text, Transmit, Verb, Way,
};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};
use wire::{BubbleSecret, Invite};

use crate::bridge::{Secret, ToPage, ToWorker, decode, encode};
use crate::{invitation, qr, stopped};
use channel::Channel;
use clock::Clock;
use requests::Requests;
use socket::Socket;

mod channel;
mod clock;
mod requests;
mod socket;

/// Opening the carrier may take this long. A dead Wi-Fi answers nothing at all, for minutes.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How soon to look again when the socket takes no more for the moment.
const FULL_WAIT: Duration = Duration::from_millis(50);

/// The longest wait, since a sleeping device is noticed by waking up late.
const HEARTBEAT: Duration = Duration::from_secs(2);

thread_local! {
    static DRIVER: RefCell<Option<Driver>> = const { RefCell::new(None) };
}

/// What happened to a carrier.
enum Happened {
    Open,
    Frame(Vec<u8>),
    Closed,
}

struct Driver {
    scope: DedicatedWorkerGlobalScope,
    clock: Clock,
    client: Option<Client>,
    socket: Socket,
    channel: Channel,
    requests: Requests,
    choice: Choice,
    /// Which way is being opened, and when that is given up.
    connecting: Option<(Way, Instant)>,
    on_timer: Closure<dyn FnMut()>,
    timer: Option<i32>,
    unsent: usize,
}

/// Starts the program; called once.
pub fn start() {
    stopped::on_panic(|| {
        // The driver may be in the middle of something: the message goes out without it.
        let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
        post(&scope, &ToPage::Stopped);
        scope.close();
    });
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(|event: MessageEvent| {
        if let Some(message) = decode(&Uint8Array::new(&event.data()).to_vec()) {
            with(|driver| driver.handle_page(message));
        }
    });
    scope.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();
    let driver = Driver {
        clock: Clock::new(&scope),
        client: None,
        socket: Socket::new(&scope),
        channel: Channel::new(&scope),
        requests: Requests::new(&scope),
        choice: Choice::new(false),
        connecting: None,
        on_timer: Closure::new(|| with(Driver::handle_timer)),
        timer: None,
        unsent: 0,
        scope,
    };
    DRIVER.with_borrow_mut(|slot| *slot = Some(driver));
    with(|driver| driver.tell(&ToPage::Ready));
}

/// One input to the driver, and everything that comes of it.
fn with(input: impl FnOnce(&mut Driver)) {
    DRIVER.with_borrow_mut(|slot| {
        if let Some(driver) = slot {
            input(driver);
            driver.drain();
        }
    });
}

impl Driver {
    fn handle_page(&mut self, message: ToWorker) {
        let (now, wall) = self.clock.now();
        match message {
            ToWorker::Hello => self.tell(&ToPage::Ready),
            ToWorker::Join { pseudonym, secret, rtc, broadcast } => {
                self.join(pseudonym, secret, rtc, broadcast);
            }
            ToWorker::Command(command) => {
                let Some(client) = &mut self.client else { return };
                let written = match &command {
                    Command::Send { peer, text } => Some((*peer, text.clone())),
                    Command::Open { .. }
                    | Command::NetworkChanged
                    | Command::Leave
                    | Command::ShowSafety { .. }
                    | Command::Verify { .. } => None,
                };
                if let (Err(why), Some((peer, text))) = (client.handle_command(command, now, wall), written) {
                    self.tell(&ToPage::NotSent { peer, text, why });
                }
            }
            ToWorker::Channel { peer: THE_BOX, event } => self.handle_box(event),
            ToWorker::Channel { peer, event } => {
                if let Some(client) = &mut self.client {
                    client.handle_channel(peer, event, now, wall);
                }
            }
            ToWorker::Wake => self.wake(),
        }
    }

    fn join(&mut self, pseudonym: Text, secret: Option<Secret>, rtc: bool, broadcast: bool) {
        let (now, wall) = self.clock.now();
        let Some(seed) = self.random() else {
            return self.tell(&ToPage::NotJoined { why: client_core::NewError::Keys });
        };
        let invite = match secret {
            Some(Secret(invite)) => invite,
            // By what the box is known, only who stands before it can say.
            None => match self.random() {
                Some(bytes) => Invite { secret: BubbleSecret::from_random(bytes), pin: None, broadcast },
                None => return self.tell(&ToPage::NotJoined { why: client_core::NewError::Keys }),
            },
        };
        let config = Config { pseudonym, secret: invite.secret.clone(), rtc, broadcast: invite.broadcast };
        match Client::new(&config, seed, now, wall) {
            Ok(client) => {
                self.client = Some(client);
                self.channel.pin = invite.pin;
                self.choice = Choice::new(rtc && invite.pin.is_some());
                let pseudonym = config.pseudonym.expose().trim().into();
                let link = invitation::link(&self.scope.location().origin(), &invite);
                let code = qr::picture(&link);
                self.tell(&ToPage::Joined { pseudonym, link: link.into(), code });
            }
            Err(why) => self.tell(&ToPage::NotJoined { why }),
        }
    }

    fn random(&self) -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        self.scope.crypto().ok()?.get_random_values_with_u8_array(&mut bytes).ok()?;
        Some(bytes)
    }

    /// What stood open may be dead, and nothing says so: sleeping devices and changed networks close no socket.
    fn wake(&mut self) {
        let (now, wall) = self.clock.now();
        self.choice.handle_change(now);
        if let Some(client) = &mut self.client {
            // It refuses only after `Leave`, and then there is nothing to wake.
            let _ = client.handle_command(Command::NetworkChanged, now, wall);
        }
    }

    fn handle_carrier(&mut self, way: Way, event: Happened) {
        let (now, wall) = self.clock.now();
        // While another way carries the session, a better one is only tried for.
        let carrying = self.choice.carrying().filter(|carrying| way < *carrying && self.is_carried());
        match event {
            Happened::Open => {
                match carrying {
                    Some(Way::Requests) => self.requests.close(),
                    Some(Way::DataChannel) => self.channel.close(),
                    Some(Way::WebSocket) | None => {}
                }
                self.connecting = None;
                self.choice.handle_up(way, now);
                self.tell_client(LinkEvent::Up);
            }
            Happened::Frame(frame) => {
                if let Some(client) = &mut self.client {
                    client.handle_frame(&frame, now, wall);
                }
            }
            Happened::Closed if let Some(carrying) = carrying => match self.choice.handle_refused(way) {
                Some(other) => self.try_for(other),
                None => self.choice.handle_up(carrying, now),
            },
            Happened::Closed => match self.connecting.take().and_then(|_| self.choice.handle_refused(way)) {
                Some(other) => self.open(other),
                None => self.tell_client(LinkEvent::Down),
            },
        }
    }

    fn tell_client(&mut self, event: LinkEvent) {
        let (now, wall) = self.clock.now();
        if let Some(client) = &mut self.client {
            client.handle_link(event, now, wall);
        }
    }

    /// One of the requests ended.
    fn handle_answer(&mut self, number: u32, verb: Verb, answer: Option<(u16, &[u8])>) {
        let (now, _) = self.clock.now();
        let Some(machine) = self.requests.of(number) else { return };
        machine.handle_answer(verb, answer, now);
        while let Some(event) = self.requests.machine.as_mut().and_then(Machine::poll_event) {
            self.handle_carrier(
                Way::Requests,
                match event {
                    RequestsEvent::Up => Happened::Open,
                    RequestsEvent::Frame(frame) => Happened::Frame(frame),
                    RequestsEvent::Down => Happened::Closed,
                },
            );
        }
    }

    fn handle_timer(&mut self) {
        self.timer = None;
        if self.clock.jumped() {
            self.wake();
        }
        let (now, wall) = self.clock.now();
        if let Some((way, _)) = self.connecting.take_if(|(_, until)| *until <= now) {
            self.choice.handle_hung(way);
            self.close();
            self.tell_client(LinkEvent::Down);
        }
        if self.choice.is_return_due(now) && self.is_carried() {
            self.try_for(Way::WebSocket);
        }
        let Some(client) = &mut self.client else { return };
        if client.poll_timeout().is_some_and(|at| at <= now) {
            client.handle_timeout(now, wall);
        }
    }

    /// Does everything that the client wants, then sets the timer.
    fn drain(&mut self) {
        let mut full = false;
        if self.client.as_mut().is_some_and(Client::wants_another_carrier) {
            self.open_beside();
        }
        while let Some(client) = &mut self.client {
            if let Some(event) = client.poll_event() {
                if event == Event::Link(LinkState::Reconnect) {
                    self.connect();
                }
                if let Event::Safety { peer, number } = event {
                    let code = qr::picture(number.expose());
                    self.tell(&ToPage::Safety { peer, number, code });
                } else {
                    self.tell(&ToPage::Event(event));
                }
                continue;
            }
            // What is not taken out waits in the client, which knows how much it may keep.
            let requests = self.requests.machine.as_mut().filter(|machine| machine.is_open());
            full = requests.as_ref().map_or_else(|| self.socket.is_full(), |machine| machine.is_full());
            if full {
                break;
            }
            match client.poll_transmit() {
                Some(Transmit::Node(frame)) => match requests {
                    Some(machine) => machine.send(frame),
                    None if self.channel.is_open() => self.channel.send(&frame),
                    None => self.socket.send(&frame),
                },
                Some(Transmit::Channel { peer, bytes }) => self.tell(&ToPage::Channel { peer, bytes }),
                None => break,
            }
        }
        self.requests.pump(self.clock.now().0);
        if let Some(client) = &self.client {
            let unsent = client.unsent();
            if unsent != self.unsent {
                self.unsent = unsent;
                self.tell(&ToPage::Unsent { count: u32::try_from(unsent).unwrap_or(u32::MAX) });
            }
            self.set_timer(full);
        }
    }

    fn connect(&mut self) {
        self.close();
        let way = self.choice.dial();
        self.open(way);
    }

    /// What carries the session is silent: another carrier is opened beside it, and takes its place when it is open.
    fn open_beside(&mut self) {
        if self.is_carried() {
            self.try_for(Way::WebSocket);
        } else {
            self.socket.open_beside();
        }
    }

    fn open(&mut self, way: Way) {
        self.connecting = Some((way, self.clock.now().0 + CONNECT_LIMIT));
        self.try_for(way);
    }

    fn try_for(&mut self, way: Way) {
        let begun = match way {
            Way::WebSocket => self.socket.open(),
            Way::DataChannel => self.channel.open(),
            Way::Requests => {
                self.requests.open();
                true
            }
        };
        if !begun {
            self.handle_carrier(way, Happened::Closed);
        }
    }

    /// Whether something other than the WebSocket carries the session.
    fn is_carried(&self) -> bool {
        self.requests.is_open() || self.channel.is_open()
    }

    fn close(&mut self) {
        self.socket.close();
        self.channel.close();
        self.requests.close();
    }

    fn set_timer(&mut self, full: bool) {
        if let Some(timer) = self.timer.take() {
            self.scope.clear_timeout_with_handle(timer);
        }
        let (now, _) = self.clock.now();
        let client = self.client.as_ref().and_then(Client::poll_timeout);
        let requests = self.requests.machine.as_ref().and_then(Machine::poll_timeout);
        let connecting = self.connecting.map(|(_, until)| until);
        let wait = [client, connecting, self.choice.poll_timeout(), requests]
            .into_iter()
            .flatten()
            .map(|at| at.saturating_duration_since(now))
            .chain([if full { FULL_WAIT } else { HEARTBEAT }])
            .min()
            .unwrap_or(HEARTBEAT);
        // Rounded up: a timer that fires a moment too early would only be set again.
        let millis = i32::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        let callback = self.on_timer.as_ref().unchecked_ref();
        self.timer = self.scope.set_timeout_with_callback_and_timeout_and_arguments_0(callback, millis).ok();
        self.clock.expect_by(Duration::from_millis(millis.unsigned_abs().into()));
    }

    fn tell(&self, message: &ToPage) {
        post(&self.scope, message);
    }
}

fn post(scope: &DedicatedWorkerGlobalScope, message: &ToPage) {
    let bytes = Uint8Array::from(encode(message).as_slice()).buffer();
    // It fails only when the page is gone, and then nobody is there to be told.
    let _ = scope.post_message_with_transfer(&bytes, &Array::of1(&bytes));
}
