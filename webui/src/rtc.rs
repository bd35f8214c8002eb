//! WebRTC, which browsers offer to pages only: one connection with one data channel to each peer that the client
//! wants one to. All of the browser's WebRTC is in this file.
//!
//! The client decides who makes the offer, so two never meet and there is nothing to roll back. Descriptions and
//! candidates are handed to the client, which seals them; nothing here talks to the network by itself except
//! through the browser's ICE agent, and that only with STUN and TURN of the host that served the page.
//!
//! When anything at all goes wrong the answer is [`ChannelEvent::Closed`], and messages go by the mailbox.
//!
//! RFC 8829 (JSEP), RFC 8838 (trickle ICE), RFC 8831 and 8832 (data channels).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use client_core::{ChannelEvent, MAX_CHANNEL_FRAME, Path, PeerId, Signal, TurnServer};
use js_sys::{Array, ArrayBuffer, JsString, Map, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    Event, Location, MessageEvent, RtcConfiguration, RtcDataChannel, RtcDataChannelInit, RtcDataChannelState,
    RtcDataChannelType, RtcIceCandidateInit, RtcIceServer, RtcOfferOptions, RtcPeerConnection,
    RtcPeerConnectionIceEvent, RtcPeerConnectionState, RtcSdpType, RtcSessionDescriptionInit,
    RtcSignalingState,
};

/// The browser's own send buffer is filled up to here, and not further.
const BUFFERED: u32 = 1024 * 1024;

/// Below this the browser asks for more.
const BUFFERED_LOW: u32 = 256 * 1024;

/// Frames that wait for room in the browser's buffer. More means that the path is dead.
const MAX_WAITING: usize = 1024;

/// Signals of a peer that wait for their turn.
const MAX_SIGNALS: usize = 256;

/// A connection that is not open after this time never will be.
const OPEN_LIMIT_MS: i32 = 25_000;

/// How often the connections are looked at: the path of an open one may change, and no browser tells all of it.
const LOOK_MS: i32 = 3_000;

/// How long a broken connection may try to mend itself.
const MEND_LIMIT_MS: f64 = 20_000.0;

/// Where news of a connection goes.
pub(crate) type Listener = fn(PeerId, ChannelEvent);

/// Where the page was served, and where STUN and TURN are as well.
pub(crate) struct Place {
    host: String,
    /// The port of the page, at which TURN is served over TLS.
    https: String,
}

impl Place {
    pub(crate) fn of(page: &Location) -> Self {
        let https = page.port().ok().filter(|port| !port.is_empty());
        Self { host: page.hostname().unwrap_or_default(), https: https.unwrap_or_else(|| "443".to_owned()) }
    }
}

/// All connections of this page.
pub(crate) struct Connections {
    listener: Listener,
    place: Place,
    turn: Option<TurnServer>,
    all: BTreeMap<PeerId, Rc<Connection>>,
}

impl Connections {
    pub(crate) fn new(place: Place, listener: Listener) -> Self {
        Self { listener, place, turn: None, all: BTreeMap::new() }
    }

    /// Whether this browser has WebRTC and lets us use it. Some have the name and refuse the thing.
    pub(crate) fn available() -> bool {
        let named = Reflect::has(&js_sys::global(), &JsValue::from_str("RTCPeerConnection")).unwrap_or(false);
        named && RtcPeerConnection::new().map(|probe| probe.close()).is_ok()
    }

    /// Makes a connection, instead of one that there may be.
    pub(crate) fn open(&mut self, peer: PeerId, polite: bool, turn: Option<TurnServer>) {
        self.close(peer);
        self.turn = turn;
        let Ok(connection) = Connection::new(peer, polite, &self.configuration(), self.listener) else {
            return (self.listener)(peer, ChannelEvent::Closed);
        };
        if !polite {
            connection.clone().offer(false);
        }
        self.all.insert(peer, connection);
    }

    /// Takes in the peer's half of the negotiation.
    pub(crate) fn signal(&self, peer: PeerId, signal: Signal) {
        if let Some(connection) = self.all.get(&peer) {
            connection.take(signal);
        }
    }

    /// Drops a connection, and says nothing about it.
    pub(crate) fn close(&mut self, peer: PeerId) {
        if let Some(old) = self.all.remove(&peer) {
            old.drop_quietly();
        }
    }

    /// Sends a frame, or drops it when there is no open channel; the client sends it again another way.
    pub(crate) fn send(&self, peer: PeerId, frame: Vec<u8>) {
        if let Some(connection) = self.all.get(&peer) {
            connection.send(frame);
        }
    }

    /// Takes new credentials for the next ICE restart.
    pub(crate) fn renew(&mut self, turn: TurnServer) {
        self.turn = Some(turn);
        let configuration = self.configuration();
        for connection in self.all.values() {
            // A connection that refuses goes on with the old ones, and is made anew when they are over.
            let _ = connection.peer.set_configuration_with_configuration(&configuration);
        }
    }

    /// Looks for a new way at once where the present one may be gone.
    pub(crate) fn network_changed(&self) {
        for connection in self.all.values() {
            connection.mend();
        }
    }

    /// To be called every [`LOOK_MS`].
    pub(crate) fn look(&mut self) {
        self.all.retain(|_, connection| !connection.ended.get());
        for connection in self.all.values() {
            connection.look();
        }
    }

    /// How often [`look`](Self::look) is to be called.
    pub(crate) const fn look_every_ms() -> i32 {
        LOOK_MS
    }

    fn configuration(&self) -> RtcConfiguration {
        let configuration = RtcConfiguration::new();
        let servers = Array::new();
        if let Some(turn) = self.turn.as_ref().filter(|turn| turn.port != 0) {
            let Place { host, https } = &self.place;
            let at = format!("{host}:{}", turn.port);
            // STUN on the box is what makes direct paths work where `.local` names do not resolve. TURN over TCP is for
            // where UDP is blocked, over TLS for where nothing passes but what looks like the page itself.
            let all = format!("stun:{at} turn:{at} turn:{at}?transport=tcp turns:{host}:{https}");
            let server = RtcIceServer::new();
            server.set_urls(&JsString::from(all).split(" "));
            server.set_username(turn.username.expose());
            server.set_credential(turn.password.expose());
            servers.push(&server);
        }
        configuration.set_ice_servers(&servers);
        configuration
    }
}

/// What the browser calls, kept alive as long as the connection.
struct Handlers {
    _candidate: Closure<dyn FnMut(RtcPeerConnectionIceEvent)>,
    _state: Closure<dyn FnMut(Event)>,
    _open: Closure<dyn FnMut(Event)>,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _close: Closure<dyn FnMut(Event)>,
    _low: Closure<dyn FnMut(Event)>,
}

struct Connection {
    id: PeerId,
    polite: bool,
    peer: RtcPeerConnection,
    channel: RtcDataChannel,
    listener: Listener,
    started: f64,
    /// Since when it has been broken.
    broken: Cell<Option<f64>>,
    opened: Cell<bool>,
    ended: Cell<bool>,
    path: Cell<Option<Path>>,
    signals: RefCell<VecDeque<Signal>>,
    working: Cell<bool>,
    waiting: RefCell<VecDeque<Vec<u8>>>,
    handlers: RefCell<Option<Handlers>>,
}

impl Connection {
    fn new(
        id: PeerId,
        polite: bool,
        configuration: &RtcConfiguration,
        listener: Listener,
    ) -> Result<Rc<Self>, JsValue> {
        let peer = RtcPeerConnection::new_with_configuration(configuration)?;
        let init = RtcDataChannelInit::new();
        init.set_ordered(true);
        init.set_negotiated(true);
        init.set_id(0);
        let channel = peer.create_data_channel_with_data_channel_dict("bulle", &init);
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        channel.set_buffered_amount_low_threshold(BUFFERED_LOW);
        let connection = Rc::new(Self {
            id,
            polite,
            peer,
            channel,
            listener,
            started: js_sys::Date::now(),
            broken: Cell::new(None),
            opened: Cell::new(false),
            ended: Cell::new(false),
            path: Cell::new(None),
            signals: RefCell::default(),
            working: Cell::new(false),
            waiting: RefCell::default(),
            handlers: RefCell::new(None),
        });
        connection.listen();
        Ok(connection)
    }

    fn listen(self: &Rc<Self>) {
        let weak = Rc::downgrade(self);
        // Every handler holds the connection weakly, since the connection holds the handlers.
        macro_rules! handler {
            ($event:ty, |$this:ident, $name:ident| $body:expr) => {{
                let weak = weak.clone();
                Closure::<dyn FnMut($event)>::new(move |$name: $event| {
                    if let Some($this) = weak.upgrade() {
                        $body
                    }
                })
            }};
        }
        let handlers = Handlers {
            _candidate: handler!(RtcPeerConnectionIceEvent, |this, event| this.found(&event)),
            _state: handler!(Event, |this, _event| this.state_changed()),
            _open: handler!(Event, |this, _event| this.look()),
            _message: handler!(MessageEvent, |this, event| this.received(&event)),
            _close: handler!(Event, |this, _event| this.end()),
            _low: handler!(Event, |this, _event| this.flush()),
        };
        self.peer.set_onicecandidate(Some(handlers._candidate.as_ref().unchecked_ref()));
        self.peer.set_onconnectionstatechange(Some(handlers._state.as_ref().unchecked_ref()));
        self.peer.set_oniceconnectionstatechange(Some(handlers._state.as_ref().unchecked_ref()));
        self.channel.set_onopen(Some(handlers._open.as_ref().unchecked_ref()));
        self.channel.set_onmessage(Some(handlers._message.as_ref().unchecked_ref()));
        self.channel.set_onclose(Some(handlers._close.as_ref().unchecked_ref()));
        self.channel.set_onbufferedamountlow(Some(handlers._low.as_ref().unchecked_ref()));
        *self.handlers.borrow_mut() = Some(handlers);
    }

    fn tell(&self, event: ChannelEvent) {
        if !self.ended.get() {
            (self.listener)(self.id, event);
        }
    }

    /// The connection is of no use any more.
    fn end(&self) {
        if !self.ended.get() {
            self.tell(ChannelEvent::Closed);
            self.drop_quietly();
        }
    }

    /// Stops listening before closing, so that nothing of the end is heard.
    fn drop_quietly(&self) {
        self.ended.set(true);
        self.peer.set_onicecandidate(None);
        self.peer.set_onconnectionstatechange(None);
        self.peer.set_oniceconnectionstatechange(None);
        self.channel.set_onopen(None);
        self.channel.set_onmessage(None);
        self.channel.set_onclose(None);
        self.channel.set_onbufferedamountlow(None);
        self.peer.close();
        self.waiting.borrow_mut().clear();
        self.signals.borrow_mut().clear();
    }

    // Negotiation.

    fn found(&self, event: &RtcPeerConnectionIceEvent) {
        let signal = match event.candidate() {
            Some(candidate) if !candidate.candidate().is_empty() => Signal::Candidate {
                candidate: candidate.candidate().into(),
                mid: candidate.sdp_mid().map(Into::into),
                index: candidate.sdp_m_line_index(),
            },
            // An empty candidate ends one generation of them; the null one ends them all.
            Some(_) => return,
            None => Signal::EndOfCandidates,
        };
        self.tell_signal(signal);
    }

    fn tell_signal(&self, signal: Signal) {
        if signal.is_bounded() {
            self.tell(ChannelEvent::Signal(signal));
        }
    }

    fn offer(self: Rc<Self>, restart: bool) {
        spawn_local(async move {
            if self.try_offer(restart).await.is_err() {
                self.end();
            }
        });
    }

    async fn try_offer(&self, restart: bool) -> Result<(), JsValue> {
        let options = RtcOfferOptions::new();
        options.set_ice_restart(restart);
        let offer = JsFuture::from(self.peer.create_offer_with_rtc_offer_options(&options)).await?;
        let sdp = self.set_local(&offer).await?;
        self.tell_signal(Signal::Offer { sdp: sdp.into() });
        Ok(())
    }

    async fn set_local(&self, description: &JsValue) -> Result<String, JsValue> {
        let description: &RtcSessionDescriptionInit = description.unchecked_ref();
        JsFuture::from(self.peer.set_local_description(description)).await?;
        description.get_sdp().ok_or(JsValue::NULL)
    }

    /// One signal after the other: each of them takes the browser a while, and their order matters.
    fn take(self: &Rc<Self>, signal: Signal) {
        let mut signals = self.signals.borrow_mut();
        if self.ended.get() || signals.len() >= MAX_SIGNALS || !signal.is_bounded() {
            return;
        }
        signals.push_back(signal);
        drop(signals);
        self.work();
    }

    fn work(self: &Rc<Self>) {
        if self.working.replace(true) {
            return;
        }
        let this = self.clone();
        spawn_local(async move {
            while let Some(signal) = this.next_signal() {
                if this.handle(signal).await.is_err() {
                    this.end();
                }
            }
            this.working.set(false);
        });
    }

    /// The next signal that can be used now: candidates wait for the description that they belong to.
    fn next_signal(&self) -> Option<Signal> {
        let mut signals = self.signals.borrow_mut();
        if self.peer.remote_description().is_some() {
            return signals.pop_front();
        }
        let first =
            signals.iter().position(|signal| matches!(signal, Signal::Offer { .. } | Signal::Answer { .. }));
        first.and_then(|at| signals.remove(at))
    }

    async fn handle(&self, signal: Signal) -> Result<(), JsValue> {
        match signal {
            Signal::Offer { sdp } if self.polite => {
                self.set_remote(RtcSdpType::Offer, sdp.expose()).await?;
                let answer = JsFuture::from(self.peer.create_answer()).await?;
                let sdp = self.set_local(&answer).await?;
                self.tell_signal(Signal::Answer { sdp: sdp.into() });
            }
            Signal::Answer { sdp }
                if !self.polite && self.peer.signaling_state() == RtcSignalingState::HaveLocalOffer =>
            {
                self.set_remote(RtcSdpType::Answer, sdp.expose()).await?;
            }
            // Not what this side was told to expect: the client's numbering lets none through but strays.
            Signal::Offer { .. } | Signal::Answer { .. } | Signal::EndOfCandidates => {}
            Signal::Candidate { candidate, mid, index } => {
                let init = RtcIceCandidateInit::new(candidate.expose());
                init.set_sdp_mid(mid.as_ref().map(client_core::Text::expose));
                init.set_sdp_m_line_index(index);
                let added = self.peer.add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(&init));
                // A candidate that the browser does not understand is one way less, not the end.
                let _ = JsFuture::from(added).await;
            }
        }
        Ok(())
    }

    async fn set_remote(&self, kind: RtcSdpType, sdp: &str) -> Result<(), JsValue> {
        let description = RtcSessionDescriptionInit::new(kind);
        description.set_sdp(sdp);
        JsFuture::from(self.peer.set_remote_description(&description)).await.map(drop)
    }

    // Keeping it alive.

    fn state_changed(self: &Rc<Self>) {
        if self.ended.get() {
            return;
        }
        match self.peer.connection_state() {
            RtcPeerConnectionState::Connected => {
                self.broken.set(None);
                self.look();
            }
            RtcPeerConnectionState::Disconnected | RtcPeerConnectionState::Failed => {
                if !self.opened.get() && self.peer.connection_state() == RtcPeerConnectionState::Failed {
                    return self.end();
                }
                self.broken.set(self.broken.get().or_else(|| Some(js_sys::Date::now())));
                self.mend();
            }
            RtcPeerConnectionState::Closed => self.end(),
            // `look` waits for them.
            RtcPeerConnectionState::New | RtcPeerConnectionState::Connecting | _ => {}
        }
    }

    /// Restarts ICE, where it is ours to do so and no answer is being waited for.
    fn mend(self: &Rc<Self>) {
        let idle = self.peer.signaling_state() == RtcSignalingState::Stable;
        if !self.ended.get() && self.opened.get() && !self.polite && idle {
            self.clone().offer(true);
        }
    }

    /// Ends what does not become any better, and asks the browser which way the rest goes.
    fn look(self: &Rc<Self>) {
        if self.ended.get() {
            return;
        }
        let now = js_sys::Date::now();
        let too_long = !self.opened.get()
            && self.channel.ready_state() != RtcDataChannelState::Open
            && now - self.started > f64::from(OPEN_LIMIT_MS);
        let not_mended = self.broken.get().is_some_and(|since| now - since > MEND_LIMIT_MS);
        if too_long || not_mended {
            return self.end();
        }
        if self.channel.ready_state() == RtcDataChannelState::Open {
            let this = self.clone();
            spawn_local(async move {
                let path = this.find_path().await.unwrap_or(Path::Relayed);
                this.tell_path(path);
            });
        }
    }

    fn tell_path(&self, path: Path) {
        if self.ended.get() {
            return;
        }
        let before = self.path.replace(Some(path));
        if !self.opened.replace(true) {
            self.tell(ChannelEvent::Open { path });
        } else if before != Some(path) {
            self.tell(ChannelEvent::Path { path });
        }
    }

    /// The way of the selected candidate pair: relayed when either end of it is a relay.
    async fn find_path(&self) -> Option<Path> {
        let report: Map = JsFuture::from(self.peer.get_stats()).await.ok()?.unchecked_into();
        let text = |stats: &JsValue, name: &str| Reflect::get(stats, &name.into()).ok()?.as_string();
        let flag = |stats: &JsValue, name: &str| {
            Reflect::get(stats, &name.into()).ok().and_then(|value| value.as_bool()).unwrap_or(false)
        };
        let (mut named, mut selected) = (None, None);
        report.for_each(&mut |stats, _| match text(&stats, "type").as_deref() {
            Some("transport") => named = text(&stats, "selectedCandidatePairId").or(named.take()),
            // Firefox marks the pair itself.
            Some("candidate-pair") => {
                let succeeded = text(&stats, "state").as_deref() == Some("succeeded");
                if flag(&stats, "selected") || (selected.is_none() && succeeded && flag(&stats, "nominated"))
                {
                    selected = Some(stats);
                }
            }
            _ => {}
        });
        let named = named.map(|id| report.get(&id.into())).filter(|pair| !pair.is_undefined());
        let pair = named.or(selected)?;
        let is_relay = |end: &str| {
            let candidate = report.get(&text(&pair, end)?.into());
            Some(text(&candidate, "candidateType")? == "relay")
        };
        let relayed = is_relay("localCandidateId")? || is_relay("remoteCandidateId")?;
        Some(if relayed { Path::Relayed } else { Path::Direct })
    }

    // Data.

    fn received(&self, event: &MessageEvent) {
        if let Ok(buffer) = event.data().dyn_into::<ArrayBuffer>()
            && buffer.byte_length() as usize <= MAX_CHANNEL_FRAME
        {
            self.tell(ChannelEvent::Data(Uint8Array::new(&buffer).to_vec()));
        }
    }

    fn send(&self, frame: Vec<u8>) {
        if self.ended.get() || self.channel.ready_state() != RtcDataChannelState::Open {
            return;
        }
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= MAX_WAITING {
            drop(waiting);
            return self.end();
        }
        waiting.push_back(frame);
        drop(waiting);
        self.flush();
    }

    fn flush(&self) {
        while self.channel.buffered_amount() < BUFFERED {
            let Some(frame) = self.waiting.borrow_mut().pop_front() else { return };
            if self.channel.send_with_u8_array(&frame).is_err() {
                return self.end();
            }
        }
    }
}
