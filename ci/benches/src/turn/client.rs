//! Just enough of a TURN client (RFC 8656) to make allocations and bind channels.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use stun_types::attribute::{AttributeWrite, ErrorCode, Nonce, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageWrite as _,
    MessageWriteExt as _, MessageWriteVec, Method,
};
use turn_types::attribute::{ChannelNumber, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, REFRESH};

/// How often a request is sent again.
const TRIES: usize = 5;

/// A name and its password.
#[derive(Clone, Debug)]
pub struct Login {
    /// USERNAME.
    pub name: String,
    /// For MESSAGE-INTEGRITY.
    pub password: String,
}

/// One allocation, on a socket of its own.
#[derive(Debug)]
pub struct Allocation {
    /// Its socket, connected to the server.
    pub socket: UdpSocket,
    /// The relayed transport address.
    pub relayed: SocketAddr,
    login: Login,
    realm: String,
    nonce: String,
}

impl Allocation {
    /// Asks `server` for one, from `local`.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub fn new(local: SocketAddr, server: SocketAddr, login: &Login) -> Result<Self> {
        let mut made = Self::unasked(local, server, login)?;
        let transport = RequestedTransport::new(RequestedTransport::UDP);
        let answer = made.ask(ALLOCATE, |_| vec![Box::new(transport.clone())])?;
        made.take(&answer)?;
        Ok(made)
    }

    /// The socket of one that is still to be [asked for](Self::ask_together).
    ///
    /// # Errors
    /// Those of the socket.
    pub fn unasked(local: SocketAddr, server: SocketAddr, login: &Login) -> Result<Self> {
        let socket = UdpSocket::bind(local)?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        Ok(Self { socket, relayed: server, login: login.clone(), realm: String::new(), nonce: String::new() })
    }

    /// Asks for all of them as clients do who come at the same time: nobody waits for another's answer.
    ///
    /// # Errors
    /// When the server refuses one, or does not answer.
    pub fn ask_together(all: &mut [Self]) -> Result<()> {
        let transport = RequestedTransport::new(RequestedTransport::UDP);
        // The first answer is the challenge.
        for authenticated in [false, true] {
            let mut requests = Vec::new();
            for one in &*all {
                let request = one.request(ALLOCATE, |_| vec![Box::new(transport.clone())])?;
                one.socket.send(&request)?;
                requests.push(request);
            }
            for (one, request) in all.iter_mut().zip(&requests) {
                let answer = one.answer_to(request)?;
                ensure!(
                    one.is_success(ALLOCATE, &answer)? == authenticated,
                    "a challenge was expected first"
                );
                if authenticated {
                    one.take(&answer)?;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, answer: &[u8]) -> Result<()> {
        let message = Message::from_bytes(answer)?;
        self.relayed = message.attribute::<XorRelayedAddress>()?.addr(message.transaction_id());
        Ok(())
    }

    /// Binds `number` to `peer`.
    ///
    /// # Errors
    /// As [`Allocation::new`].
    pub fn bind(&mut self, number: u16, peer: SocketAddr) -> Result<()> {
        self.ask(CHANNEL_BIND, |transaction| {
            vec![
                Box::new(ChannelNumber::new(number)),
                Box::new(XorPeerAddress::new(peer, transaction.into())),
            ]
        })
        .map(drop)
    }

    /// Gives it back.
    ///
    /// # Errors
    /// As [`Allocation::new`].
    pub fn free(&mut self) -> Result<()> {
        self.ask(REFRESH, |_| vec![Box::new(Lifetime::new(0))]).map(drop)
    }

    /// One request until its answer, with the challenge that may come first.
    fn ask(
        &mut self,
        method: Method,
        attributes: impl Fn(u128) -> Vec<Box<dyn AttributeWrite>>,
    ) -> Result<Vec<u8>> {
        for _ in 0..3 {
            let answer = self.exchange(&self.request(method, &attributes)?)?;
            if self.is_success(method, &answer)? {
                return Ok(answer);
            }
        }
        bail!("{method:?}: the server does not take the password")
    }

    /// A request, signed as soon as the server has told what with.
    fn request(
        &self,
        method: Method,
        attributes: impl Fn(u128) -> Vec<Box<dyn AttributeWrite>>,
    ) -> Result<Vec<u8>> {
        let mut message = Message::builder_request(method, MessageWriteVec::new());
        let attributes = attributes(message.transaction_id().into());
        for attribute in &attributes {
            message.add_attribute(attribute.as_ref())?;
        }
        if !self.realm.is_empty() {
            message.add_attribute(&Username::new(&self.login.name)?)?;
            message.add_attribute(&Realm::new(&self.realm)?)?;
            message.add_attribute(&Nonce::new(&self.nonce)?)?;
            let key = LongTermKeyCredentials::new(
                self.login.name.clone(),
                self.login.password.clone(),
                self.realm.clone(),
            );
            message.add_message_integrity(&key.into(), IntegrityAlgorithm::Sha1)?;
        }
        Ok(message.finish())
    }

    /// Whether the server agrees; when it asks who we are, what it asked with is kept.
    fn is_success(&mut self, method: Method, answer: &[u8]) -> Result<bool> {
        let message = Message::from_bytes(answer)?;
        if message.has_class(MessageClass::Success) {
            return Ok(true);
        }
        let code = message.attribute::<ErrorCode>().context("an error without its code")?.code();
        ensure!(matches!(code, 401 | 438), "{method:?}: the server refuses with {code}");
        message.attribute::<Realm>()?.realm().clone_into(&mut self.realm);
        message.attribute::<Nonce>()?.nonce().clone_into(&mut self.nonce);
        Ok(false)
    }

    fn exchange(&self, request: &[u8]) -> Result<Vec<u8>> {
        self.socket.send(request)?;
        self.answer_to(request)
    }

    /// The answer to a request that was sent once; it is sent again when none comes.
    fn answer_to(&self, request: &[u8]) -> Result<Vec<u8>> {
        let mut buffer = [0; 1500];
        for _ in 0..TRIES {
            while let Ok(length) = self.socket.recv(&mut buffer) {
                let answer = buffer.get(..length).unwrap_or_default();
                // The same transaction; anything else is late.
                if answer.get(4..20) == request.get(4..20) {
                    return Ok(answer.to_vec());
                }
            }
            self.socket.send(request)?;
        }
        bail!("no answer")
    }
}
