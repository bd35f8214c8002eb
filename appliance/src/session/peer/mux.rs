//! One UDP port, many clients: whose a datagram is.
//!
//! A client shows who it is by a STUN request with the user name and the password that it was given (RFC 8445, section
//! 7.3). From then on what comes from its address is its own. Nobody else's datagram gets any further than here.
//! Invariant: an address is known only after its password was shown, and only as long as its client is.

use relay_core::stun::{Class, IntegrityKey, Message, Method};
use std::collections::HashMap;
use std::net::SocketAddr;

/// Addresses that one client is heard from: each of its own, and some that its network makes of them.
pub(super) const MOST_SOURCES: usize = 8;
/// Of a user name fragment of ours.
pub(super) const NAME_LEN: usize = 8;
/// RFC 8489, section 18.3.
const USERNAME: u16 = 0x0006;

/// The user name fragment of ICE by which a client asks for us: drawn for each client alone.
pub(super) type Name = [u8; NAME_LEN];

/// The table. `T` is where a client's datagrams go.
pub(super) struct Mux<T> {
    /// As many as clients were let in.
    clients: HashMap<Name, Client<T>>,
    /// At most [`MOST_SOURCES`] for each of them.
    sources: HashMap<SocketAddr, Name>,
}

struct Client<T> {
    key: IntegrityKey,
    sources: Vec<SocketAddr>,
    to: T,
}

impl<T> Mux<T> {
    pub(super) fn new() -> Self {
        Self { clients: HashMap::new(), sources: HashMap::new() }
    }

    /// A client that is called so and shows a password of that key.
    pub(super) fn insert(&mut self, name: Name, key: IntegrityKey, to: T) {
        self.clients.insert(name, Client { key, sources: Vec::new(), to });
    }

    /// It is gone.
    pub(super) fn remove(&mut self, name: Name) {
        for source in self.clients.remove(&name).map(|client| client.sources).unwrap_or_default() {
            // It may have become another client's: a browser uses its ports again.
            if self.sources.get(&source) == Some(&name) {
                self.sources.remove(&source);
            }
        }
    }

    /// Where this datagram goes; nowhere, when it is nobody's.
    pub(super) fn route(&mut self, from: SocketAddr, bytes: &[u8]) -> Option<&T> {
        // RFC 7983: the first byte tells the protocols on one port apart.
        match bytes.first()? {
            0..=3 => {
                let name = self.asked_for(bytes)?;
                self.learn(from, name)?;
                self.clients.get(&name).map(|client| &client.to)
            }
            20..=63 => self.clients.get(self.sources.get(&from)?).map(|client| &client.to),
            _ => None,
        }
    }

    /// The client whose user name and password a STUN request shows.
    fn asked_for(&self, bytes: &[u8]) -> Option<Name> {
        let message = Message::decode(bytes).ok()?;
        if (message.class(), message.method()) != (Class::Request, Method::Binding) {
            return None;
        }
        let user = message.attributes().find(|attribute| attribute.kind == USERNAME)?;
        let (name, rest) = user.value.split_first_chunk::<NAME_LEN>()?;
        let client = self.clients.get(name).filter(|_| rest.first() == Some(&b':'))?;
        message.verify(&client.key).then_some(*name)
    }

    fn learn(&mut self, from: SocketAddr, name: Name) -> Option<()> {
        if self.sources.get(&from) == Some(&name) {
            return Some(());
        }
        let client = self.clients.get_mut(&name)?;
        if !client.sources.contains(&from) {
            if client.sources.len() >= MOST_SOURCES {
                return None;
            }
            client.sources.push(from);
        }
        self.sources.insert(from, name);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stun_types::attribute::Username;
    use stun_types::message::{
        BINDING, IntegrityAlgorithm, Message as Theirs, MessageWrite as _, MessageWriteExt as _,
        MessageWriteVec, ShortTermCredentials,
    };

    const PASSWORD: [u8; 32] = *b"0123456789abcdef0123456789abcdef";

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn mux(names: &[&Name]) -> Mux<Name> {
        let mut mux = Mux::new();
        for name in names {
            mux.insert(**name, IntegrityKey::short_term(&PASSWORD), **name);
        }
        mux
    }

    /// A Binding request as a browser makes it.
    fn request(user: &str, password: &[u8]) -> Vec<u8> {
        let mut request = Theirs::builder_request(BINDING, MessageWriteVec::new());
        request.add_attribute(&Username::new(user).expect("short")).expect("added");
        let key = ShortTermCredentials::new(String::from_utf8(password.to_vec()).expect("text"));
        request.add_message_integrity(&key.into(), IntegrityAlgorithm::Sha1).expect("added");
        request.add_fingerprint().expect("added");
        request.finish()
    }

    /// The first byte of a DTLS record (RFC 7983).
    const RECORD: [u8; 13] = [22; 13];

    #[test]
    fn who_shows_the_password_is_known_by_the_address_from_then_on() {
        let mut mux = mux(&[b"alphaaaa", b"betabbbb"]);
        assert_eq!(mux.route(at(1), &RECORD), None, "nobody knows it");
        assert_eq!(mux.route(at(1), &request("alphaaaa:them", &PASSWORD)), Some(b"alphaaaa"));
        assert_eq!(mux.route(at(1), &RECORD), Some(b"alphaaaa"));
        assert_eq!(mux.route(at(2), &RECORD), None);
        assert_eq!(mux.route(at(2), &request("betabbbb:them", &PASSWORD)), Some(b"betabbbb"));
        assert_eq!(mux.route(at(1), &RECORD), Some(b"alphaaaa"));
        mux.remove(*b"alphaaaa");
        assert_eq!(mux.route(at(1), &RECORD), None);
        assert_eq!(mux.route(at(2), &RECORD), Some(b"betabbbb"));
        mux.remove(*b"betabbbb");
        assert!(mux.clients.is_empty() && mux.sources.is_empty());
    }

    #[test]
    fn who_does_not_show_it_reaches_nobody_and_is_not_remembered() {
        let mut mux = mux(&[b"alphaaaa"]);
        let good = request("alphaaaa:them", &PASSWORD);
        let mut cut = good.clone();
        cut.truncate(good.len() - 1);
        for bytes in [
            request("alphaaaa:them", &[b'x'; 32]),
            request("alphaaab:them", &PASSWORD),
            request("alphaaaa", &PASSWORD),
            request("alphaaaax:them", &PASSWORD),
            cut,
            vec![],
            vec![0; 20],
            vec![1, 1, 0, 0],
            vec![128; 20],
        ] {
            assert_eq!(mux.route(at(1), &bytes), None, "{bytes:?}");
        }
        assert!(mux.sources.is_empty());
        assert_eq!(mux.route(at(1), &good), Some(b"alphaaaa"));
    }

    #[test]
    fn a_port_that_is_used_again_is_its_new_owners_and_stays_so() {
        let mut mux = mux(&[b"alphaaaa", b"betabbbb"]);
        mux.route(at(1), &request("alphaaaa:them", &PASSWORD));
        assert_eq!(mux.route(at(1), &request("betabbbb:them", &PASSWORD)), Some(b"betabbbb"));
        mux.remove(*b"alphaaaa");
        assert_eq!(mux.route(at(1), &RECORD), Some(b"betabbbb"));
    }

    #[test]
    fn a_client_has_no_more_addresses_than_the_limit() {
        let mut mux = mux(&[b"alphaaaa"]);
        let asked = request("alphaaaa:them", &PASSWORD);
        let heard = (0..100).filter(|port| mux.route(at(*port), &asked).is_some()).count();
        assert_eq!((heard, mux.sources.len()), (MOST_SOURCES, MOST_SOURCES));
        assert!(mux.route(at(0), &asked).is_some(), "those that are known stay");
    }
}
