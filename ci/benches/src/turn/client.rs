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
        let socket = UdpSocket::bind(local)?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        let mut made = Self {
            socket,
            relayed: server,
            login: login.clone(),
            realm: String::new(),
            nonce: String::new(),
        };
        let transport = RequestedTransport::new(RequestedTransport::UDP);
        let answer = made.ask(ALLOCATE, |_| vec![Box::new(transport.clone())])?;
        let message = Message::from_bytes(&answer)?;
        made.relayed = message.attribute::<XorRelayedAddress>()?.addr(message.transaction_id());
        Ok(made)
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
            let answer = self.exchange(&message.finish())?;
            let message = Message::from_bytes(&answer)?;
            if message.has_class(MessageClass::Success) {
                return Ok(answer);
            }
            let code = message.attribute::<ErrorCode>().context("an error without its code")?.code();
            ensure!(matches!(code, 401 | 438), "{method:?}: the server refuses with {code}");
            message.attribute::<Realm>()?.realm().clone_into(&mut self.realm);
            message.attribute::<Nonce>()?.nonce().clone_into(&mut self.nonce);
        }
        bail!("{method:?}: the server does not take the password")
    }

    fn exchange(&self, request: &[u8]) -> Result<Vec<u8>> {
        let mut buffer = [0; 1500];
        for _ in 0..TRIES {
            self.socket.send(request)?;
            while let Ok(length) = self.socket.recv(&mut buffer) {
                let answer = buffer.get(..length).unwrap_or_default();
                // The same transaction; anything else is late.
                if answer.get(4..20) == request.get(4..20) {
                    return Ok(answer.to_vec());
                }
            }
        }
        bail!("no answer")
    }
}
