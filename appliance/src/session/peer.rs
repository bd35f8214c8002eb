//! A session over a WebRTC data channel to the box itself, for a browser to which a WebSocket is refused: by a proxy
//! that breaks it, or by an iPhone for a certificate that pages may use.
//!
//! One request brings the offer and takes the answer ([`wire::ChannelOffer`], [`wire::ChannelAnswer`]); everything
//! else goes over one UDP port, which all these sessions share:
//!
//! ```text
//! socket ──datagram──▶ mux ──whose it is──▶ carrier, a task each: endpoint ◀──frames──▶ session
//! ```
//!
//! The client knows the box by the certificate that it shows there, whose fingerprint stands in the join link; what
//! vouches for the page is not asked. `docs/protocol/session.md` describes the way.
//! Invariant: nothing is sent to an address that has not shown the password of an answer, and nothing of either is
//! kept or logged beyond the session. An address is kept only while a session from it is open.

mod carrier;
mod endpoint;
mod mux;
mod socket;

use self::carrier::{Datagram, Way};
use self::endpoint::{Credentials, Endpoint, Identity};
use self::mux::{Mux, Name};
use self::socket::{Inbound, Socket};
use super::{FRAME_TIME, FULL, Refused};
use crate::accept::{Gate, ListenError, Permit};
use crate::host;
use crate::hub::{Hub, Session};
use crate::live::Live;
use appliance_core::pki::PeerCertificate;
use axum::body::{Body, HttpBody, to_bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Request, Response, StatusCode};
use bytes::Bytes;
use rand_core::{OsRng, RngCore};
use relay_core::stun::IntegrityKey;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use str0m::config::DtlsCert;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use wire::{ChannelAnswer, ChannelOffer, MAX_CANDIDATES, MAX_HANDSHAKE, Pin, Side};
use zeroize::Zeroizing;

/// Sessions of this kind at a time, all together. SCTP may keep a mebibyte for each that sends out of order.
pub const MOST: usize = 256;
/// Datagrams of one client that its task has not looked at; more are lost, as on any network.
const DATAGRAMS: usize = 64;
/// How long to rest when the system has nothing for us but an error.
const REST: Duration = Duration::from_millis(100);
/// What user name fragments and passwords are made of (RFC 8839, section 5.4): a letter for each value of six bits.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Of an offer, told by its head or found when it is read.
const TOO_LARGE: Refused = Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "this is more than an offer has\n");
const NO_OFFER: Refused = Refused::new(StatusCode::BAD_REQUEST, "this is no offer of a data channel\n");

/// The sessions that are carried by data channels.
pub struct Peers {
    hub: Arc<Hub>,
    live: Arc<Live>,
    gate: Arc<Gate>,
    identity: Identity,
    pin: Pin,
    listening: Vec<SocketAddr>,
    /// As many as the gate has let in.
    mux: Mutex<Mux<mpsc::Sender<Datagram>>>,
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("sessions", &self.count()).finish_non_exhaustive()
    }
}

impl Peers {
    /// Listens where the settings say, for at most so many from one source.
    ///
    /// # Errors
    /// When an address cannot be listened on.
    pub fn start(
        hub: Arc<Hub>,
        live: Arc<Live>,
        certificate: &PeerCertificate,
        per_source: usize,
    ) -> Result<Arc<Self>, ListenError> {
        let bind = |&address: &SocketAddr| {
            let bound = Socket::bind(address).and_then(|socket| Ok((socket.local_addr()?, Arc::new(socket))));
            bound.map_err(|source| ListenError { key: "webrtc.listen", address, source })
        };
        let (listening, sockets): (Vec<_>, Vec<_>) =
            live.settings().webrtc.iter().map(bind).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        let identity = Identity {
            certificate: DtlsCert {
                certificate: certificate.certificate.clone(),
                private_key: certificate.key.to_vec(),
            },
            crypto: Arc::new(str0m::crypto::from_feature_flags()),
        };
        let peers = Arc::new(Self {
            hub,
            live,
            gate: Gate::new(MOST, per_source),
            identity,
            pin: Pin(certificate.fingerprint().0),
            listening,
            mux: Mutex::new(Mux::new()),
        });
        for socket in sockets {
            tokio::spawn(Arc::clone(&peers).receive(socket));
        }
        Ok(peers)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.gate.count()
    }

    /// Where it listens.
    #[must_use]
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// Answers a request for `/session/peer`.
    pub async fn answer(self: &Arc<Self>, request: Request<Body>) -> Response<Body> {
        self.carry_out(request).await.unwrap_or_else(Response::from)
    }

    async fn carry_out(self: &Arc<Self>, request: Request<Body>) -> Result<Response<Body>, Refused> {
        super::is_own_post(&request)?;
        let addresses = self.candidates();
        if addresses.is_empty() {
            return Err(Refused::new(StatusCode::NOT_FOUND, "there are no data channels to this box\n"));
        }
        let source = super::source(&request);
        if request.body().size_hint().lower() > MAX_HANDSHAKE as u64 {
            return Err(TOO_LARGE);
        }
        let offer = match timeout(FRAME_TIME, to_bytes(request.into_body(), MAX_HANDSHAKE)).await {
            Ok(Ok(offer)) => offer,
            // Too large, or cut short: which of the two, the client knows.
            Ok(Err(_)) => return Err(TOO_LARGE),
            Err(_) => return Err(Refused::new(StatusCode::REQUEST_TIMEOUT, "this took too long\n")),
        };
        let ChannelOffer(offer) = ChannelOffer::decode(&offer).map_err(|_| NO_OFFER)?;
        let permit = self.gate.admit(source).ok_or(FULL)?;
        let session = super::open(&self.hub)?;
        let side = self.begin(&offer, session, permit).ok_or(NO_OFFER)?;
        let mut response = Response::new(Body::from(ChannelAnswer { side, addresses }.encode()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// Waits for who made this offer; what it has to be told.
    fn begin(self: &Arc<Self>, offer: &Side, session: Session, permit: Permit) -> Option<Side> {
        let (name, password): (Name, Zeroizing<[u8; 32]>) = (letters(), Zeroizing::new(letters()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (ufrag, shown) = (text(&name), text(password.as_ref()));
        let own = Credentials { ufrag: ufrag.clone(), password: shown.clone() };
        let endpoint = Endpoint::new(&self.identity, own, offer, Instant::now().into_std())?;
        let (sender, inbox) = mpsc::channel(DATAGRAMS);
        self.mux().insert(name, IntegrityKey::short_term(&password), sender);
        let place = Place { peers: Arc::clone(self), name };
        tokio::spawn(async move {
            carrier::run(&session, endpoint, inbox).await;
            drop((session, place, permit));
        });
        Some(Side { ufrag, password: shown, fingerprint: self.pin })
    }

    /// Hands on what comes, for as long as the runtime runs this task.
    async fn receive(self: Arc<Self>, socket: Arc<Socket>) {
        let mut inbound = Inbound::new();
        loop {
            if socket.receive(&mut inbound).await.is_err() {
                sleep(REST).await;
                continue;
            }
            for (bytes, from, local) in inbound.datagrams() {
                if let Some(to) = self.mux().route(from, bytes) {
                    let way = Way { socket: Arc::clone(&socket), local };
                    // When its task is behind, it is lost: ICE, DTLS and SCTP all repeat what counts.
                    let _ = to.try_send(Datagram { bytes: Bytes::copy_from_slice(bytes), from, way });
                }
            }
        }
    }

    /// Where a browser reaches this box: addresses that it serves, and no others.
    fn candidates(&self) -> Vec<SocketAddr> {
        let external = &self.live.settings().turn.external;
        let mut all = Vec::new();
        for at in &self.listening {
            let fits = |ip: &IpAddr| match at.ip() {
                // `[::]` stands for both families.
                IpAddr::V4(v4) => v4.is_unspecified() && ip.is_ipv4(),
                IpAddr::V6(v6) => v6.is_unspecified(),
            };
            if !external.is_empty() {
                all.extend(external.iter().map(|ip| SocketAddr::new(*ip, at.port())));
            } else if at.ip().is_unspecified() {
                let own = host::addresses().into_iter().filter(|ip| fits(ip) && !ip.is_loopback());
                all.extend(own.map(|ip| SocketAddr::new(ip, at.port())));
            } else {
                all.push(*at);
            }
        }
        all.truncate(MAX_CANDIDATES);
        all
    }

    fn mux(&self) -> MutexGuard<'_, Mux<mpsc::Sender<Datagram>>> {
        self.mux.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's place in the table. Dropping it gives it back, however its task ends.
struct Place {
    peers: Arc<Peers>,
    name: Name,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.peers.mux().remove(self.name);
    }
}

/// Drawn at random, six bits for each.
fn letters<const N: usize>() -> [u8; N] {
    let mut drawn = [0; N];
    OsRng.fill_bytes(&mut drawn);
    drawn.map(|byte| LETTERS.get(usize::from(byte & 63)).copied().unwrap_or(b'A'))
}
