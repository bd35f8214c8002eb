//! What the kernel is asked, as bytes.

use super::CONTROL;
use crate::wifi::Country;

/// A request, an answer expected; and "all of them", the answer being a dump.
const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const DUMP: u16 = 0x300;

/// One question or order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// The number of the family `nl80211`.
    Family,
    /// All radios, in small messages.
    Wiphys,
    /// All interfaces of radios.
    Interfaces,
    /// One interface: asks its driver for the channel, so that the answer shows whether it is alive.
    Interface {
        /// Its number.
        index: u32,
    },
    /// The regulatory domain of a radio.
    Domain {
        /// The radio.
        phy: u32,
    },
    /// Follow the rules of this country.
    SetDomain {
        /// Which; `None` is the world's.
        country: Option<Country>,
    },
    /// Make an interface of the kind "station", which hostapd turns into an access point.
    NewInterface {
        /// On this radio.
        phy: u32,
        /// Its name; at most 15 characters.
        name: &'a str,
    },
    /// Listen on these frequencies.
    Scan {
        /// With this interface.
        index: u32,
        /// In MHz.
        frequencies: &'a [u16],
    },
    /// The networks that were heard.
    Networks {
        /// By this interface.
        index: u32,
    },
    /// How busy the channels were.
    Survey {
        /// As this interface heard it.
        index: u32,
    },
    /// The stations of an interface; only asked to see whether the firmware answers.
    Stations {
        /// The interface.
        index: u32,
    },
}

impl Request<'_> {
    /// The bytes of the request. `family` is the number of nl80211.
    #[must_use]
    pub fn encode(self, family: u16, sequence: u32) -> Vec<u8> {
        let (command, flags) = self.command();
        let mut attributes = Writer::default();
        match self {
            Self::Family => attributes.text(2, "nl80211"),
            Self::Wiphys => attributes.put(174, &[]),
            Self::Interfaces => {}
            Self::Interface { index }
            | Self::Networks { index }
            | Self::Survey { index }
            | Self::Stations { index } => attributes.u32(3, index),
            Self::Domain { phy } => attributes.u32(1, phy),
            Self::SetDomain { country } => {
                let [a, b] = country.map_or(*b"00", Country::letters);
                attributes.put(33, &[a, b, 0]);
            }
            Self::NewInterface { phy, name } => {
                attributes.u32(1, phy);
                attributes.text(4, name);
                attributes.u32(5, 2);
            }
            Self::Scan { index, frequencies } => {
                attributes.u32(3, index);
                let mut list = Writer::default();
                for (kind, frequency) in (1..).zip(frequencies) {
                    list.u32(kind, u32::from(*frequency));
                }
                attributes.put(44, &list.0);
            }
        }
        let kind = if self == Self::Family { CONTROL } else { family };
        let mut bytes = Vec::with_capacity(20 + attributes.0.len());
        // Nothing here comes near 4 GiB.
        let length = u32::try_from(20 + attributes.0.len()).unwrap_or(u32::MAX);
        bytes.extend(length.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((REQUEST | flags).to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend([command, 1, 0, 0]);
        bytes.extend(attributes.0);
        bytes
    }

    /// Whether all messages up to [`DONE`](super::DONE) belong to the answer.
    #[must_use]
    pub const fn is_dump(self) -> bool {
        self.command().1 == DUMP
    }

    const fn command(self) -> (u8, u16) {
        match self {
            Self::Family => (3, ACKNOWLEDGE),
            Self::Wiphys => (1, DUMP),
            Self::Interfaces => (5, DUMP),
            Self::Interface { .. } => (5, ACKNOWLEDGE),
            Self::Domain { .. } => (31, ACKNOWLEDGE),
            Self::SetDomain { .. } => (27, ACKNOWLEDGE),
            Self::NewInterface { .. } => (7, ACKNOWLEDGE),
            Self::Scan { .. } => (33, ACKNOWLEDGE),
            Self::Networks { .. } => (32, DUMP),
            Self::Survey { .. } => (50, DUMP),
            Self::Stations { .. } => (17, DUMP),
        }
    }
}

/// What is done to an interface whatever its kind: rtnetlink, not nl80211.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkChange<'a> {
    /// Switch it on.
    On,
    /// Switch it off and give it this name; at most 15 characters.
    Rename(&'a str),
}

impl LinkChange<'_> {
    /// The bytes of an `RTM_NEWLINK` for the interface `index`.
    #[must_use]
    pub fn encode(self, index: u32, sequence: u32) -> Vec<u8> {
        const NEW_LINK: u16 = 16;
        const NAME: u16 = 3;
        const UP: u32 = 1;
        let mut attributes = Writer::default();
        let flags = match self {
            Self::On => UP,
            Self::Rename(name) => {
                attributes.text(NAME, name);
                0
            }
        };
        let mut bytes = Vec::with_capacity(32 + attributes.0.len());
        let length = u32::try_from(32 + attributes.0.len()).unwrap_or(u32::MAX);
        bytes.extend(length.to_ne_bytes());
        bytes.extend(NEW_LINK.to_ne_bytes());
        bytes.extend((REQUEST | ACKNOWLEDGE).to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(index.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(UP.to_ne_bytes());
        bytes.extend(attributes.0);
        bytes
    }
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn put(&mut self, kind: u16, value: &[u8]) {
        // The longest value is a list of at most 64 frequencies.
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        while !self.0.len().is_multiple_of(4) {
            self.0.push(0);
        }
    }

    fn u32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_ne_bytes());
    }

    fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes);
    }
}
