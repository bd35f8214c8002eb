//! Just enough of a TURN client (RFC 8656) for tests of the driver and of the daemon.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use stun_types::attribute::{AttributeWrite, ErrorCode, Nonce, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageWrite as _,
    MessageWriteExt as _, MessageWriteVec, Method,
};

/// Longer than any answer takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A socket of its own, a user name and its password.
pub(super) struct Client {
    pub(super) socket: UdpSocket,
    username: String,
    password: String,
}

impl Client {
    pub(super) fn new(server: SocketAddr, username: &str, password: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(server).unwrap();
        Self { socket, username: username.to_owned(), password: password.to_owned() }
    }

    /// One request: first as a stranger, then with what the server asks for. The attributes may depend on the
    /// transaction. Says with which error it was refused.
    pub(super) fn ask(
        &self,
        method: Method,
        attributes: &dyn Fn(u128) -> Vec<Box<dyn AttributeWrite>>,
    ) -> Result<(), u16> {
        let mut challenge: Option<(String, String)> = None;
        loop {
            let mut message = Message::builder_request(method, MessageWriteVec::new());
            for attribute in attributes(message.transaction_id().into()) {
                message.add_attribute(attribute.as_ref()).unwrap();
            }
            if let Some((realm, nonce)) = &challenge {
                let key =
                    LongTermKeyCredentials::new(self.username.clone(), self.password.clone(), realm.clone());
                message.add_attribute(&Username::new(&self.username).unwrap()).unwrap();
                message.add_attribute(&Realm::new(realm).unwrap()).unwrap();
                message.add_attribute(&Nonce::new(nonce).unwrap()).unwrap();
                message.add_message_integrity(&key.into(), IntegrityAlgorithm::Sha1).unwrap();
            }
            self.socket.send(&message.finish()).unwrap();
            let mut buffer = [0; 1500];
            let length = self.socket.recv(&mut buffer).unwrap();
            let answer = Message::from_bytes(&buffer[..length]).unwrap();
            if answer.has_class(MessageClass::Success) {
                return Ok(());
            }
            let code = answer.attribute::<ErrorCode>().unwrap().code();
            if code != 401 || challenge.is_some() {
                return Err(code);
            }
            let realm = answer.attribute::<Realm>().unwrap().realm().to_owned();
            challenge = Some((realm, answer.attribute::<Nonce>().unwrap().nonce().to_owned()));
        }
    }
}
