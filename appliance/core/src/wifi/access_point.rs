//! The access point while it runs: brings hostapd up, keeps it up, notices when the radio falls silent.

mod words;

/// News for the owner of the access point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Stations can join. Comes once, at the first time.
    Enabled,
    /// So many stations are in. How many, never who.
    Stations(u16),
    /// No more stations are let in until one leaves.
    Full {
        /// How many are in.
        stations: u16,
    },
    /// Nobody can join at the moment. It is tried again and again; [`Event::Recovered`] follows if it helps.
    Failed(Failure),
    /// Stations can join again.
    Recovered,
}

/// Why nobody can join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The radio, or its interface, is not there any more.
    RadioGone,
    /// The radio or its driver does not answer, or does not send.
    RadioSilent,
    /// hostapd came to an end, and ends whenever it is started.
    HostapdEnds(Complaint),
    /// hostapd runs and does not answer.
    HostapdSilent,
    /// hostapd runs, and the network never came up.
    NeverEnabled(Complaint),
    /// hostapd cannot be started at all.
    HostapdMissing,
}

/// What hostapd complained about last, as far as it is known to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Complaint {
    /// Nothing that we understand.
    #[default]
    None,
    /// The channel may not be used, or the radio does not have it.
    Channel,
    /// The driver refuses the access point, for instance since another program uses the radio.
    Driver,
    /// The interface is switched off (rfkill).
    SwitchedOff,
    /// The interface is not there.
    NoInterface,
    /// hostapd does not understand its configuration: a bug of ours, or another version.
    Configuration,
}
