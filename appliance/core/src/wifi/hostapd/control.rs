//! The control socket: datagrams of text, replies and events mixed.

use crate::mac::Mac;
use base::Private;

/// Most events that carry a number carry a small one.
const MOST_CAC_SECONDS: u32 = 3600;

/// What hostapd is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Events are wanted on this socket.
    Attach,
    /// A sign of life is wanted.
    Ping,
    /// The state is wanted.
    Status,
    /// Read the keys per person again. Who is in stays in.
    ReloadKeys,
    /// Every station has to prove itself again.
    EverybodyAgain,
    /// Say goodbye to all and end.
    Terminate,
}

impl Command {
    /// The datagram.
    #[must_use]
    pub const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Attach => b"ATTACH",
            Self::Ping => b"PING",
            Self::Status => b"STATUS",
            Self::ReloadKeys => b"RELOAD_WPA_PSK",
            Self::EverybodyAgain => b"DEAUTHENTICATE ff:ff:ff:ff:ff:ff",
            Self::Terminate => b"TERMINATE",
        }
    }
}

/// A datagram of hostapd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Something happened.
    News(News),
    /// The answer to the last command, as it is.
    Reply(&'a [u8]),
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The network is on the air.
    Enabled,
    /// The network is not on the air any more.
    Disabled,
    /// The interface was switched off under hostapd.
    InterfaceDisabled,
    /// A station has joined.
    Joined(Private<Mac>),
    /// A station has left, or was thrown out.
    Left(Private<Mac>),
    /// A station had the wrong key, as far as can be told.
    WrongKey(Private<Mac>),
    /// A station was not let in since all places are taken.
    Full,
    /// Listening for radars before sending, for so long.
    Listening {
        /// Seconds.
        seconds: u32,
    },
    /// hostapd ends.
    Ending,
    /// Nothing that matters here.
    Other,
}

/// Reads one datagram.
#[must_use]
pub fn message(datagram: &[u8]) -> Message<'_> {
    // Events begin with their importance, as in `<3>`; no reply to our commands does.
    match datagram {
        [b'<', b'0'..=b'9', b'>', text @ ..] => Message::News(news(text)),
        _ => Message::Reply(datagram),
    }
}

fn news(text: &[u8]) -> News {
    let mut words = text.split(|byte| *byte == b' ');
    let name = words.next().unwrap_or_default();
    let mut station = || words.next().and_then(Mac::parse).map(Private::new);
    match name {
        b"AP-ENABLED" => News::Enabled,
        b"AP-DISABLED" => News::Disabled,
        b"INTERFACE-DISABLED" => News::InterfaceDisabled,
        b"AP-STA-CONNECTED" => station().map_or(News::Other, News::Joined),
        b"AP-STA-DISCONNECTED" => station().map_or(News::Other, News::Left),
        b"AP-STA-POSSIBLE-PSK-MISMATCH" => station().map_or(News::Other, News::WrongKey),
        b"AP-REJECTED-MAX-STA" => News::Full,
        b"DFS-CAC-START" => words
            .find_map(|word| {
                number(
                    word.strip_suffix(b",").unwrap_or(word).strip_prefix(b"cac_time=")?.strip_suffix(b"s")?,
                )
            })
            .map_or(News::Other, |seconds| News::Listening { seconds: seconds.min(MOST_CAC_SECONDS) }),
        b"CTRL-EVENT-TERMINATING" => News::Ending,
        _ => News::Other,
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What hostapd says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// How far it is.
    pub phase: Phase,
    /// Stations that are in.
    pub stations: u16,
}

/// How far hostapd is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not on the air and not about to be, or a state that we do not know.
    #[default]
    Down,
    /// On the way: looking at the country, at channels, or for radars.
    Rising,
    /// On the air.
    Enabled,
}

/// Reads the reply to [`Command::Status`]; `None` when it is none.
#[must_use]
pub fn status(reply: &[u8]) -> Option<Status> {
    let mut phase = None;
    let mut stations = 0;
    for line in reply.split(|byte| *byte == b'\n') {
        if let Some(state) = line.strip_prefix(b"state=") {
            phase = Some(match state {
                b"ENABLED" => Phase::Enabled,
                b"COUNTRY_UPDATE" | b"ACS" | b"HT_SCAN" | b"DFS" => Phase::Rising,
                _ => Phase::Down,
            });
        } else if let Some(count) = line.strip_prefix(b"num_sta[0]=") {
            stations = number(count).and_then(|count| u16::try_from(count).ok())?;
        }
    }
    Some(Status { phase: phase?, stations })
}

/// Reads what `hostapd -v` prints.
#[must_use]
pub fn version(printed: &[u8]) -> Option<(u16, u16)> {
    let text = std::str::from_utf8(printed.get(..printed.len().min(64))?).ok()?;
    let (major, rest) = text.lines().next()?.strip_prefix("hostapd v")?.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
