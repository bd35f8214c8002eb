//! The access point while it runs: brings hostapd up, keeps it up, notices when the radio falls silent.
//!
//! A machine in the manner of all others here: one input, then drain [`AccessPoint::poll_effect`] and
//! [`AccessPoint::poll_event`], then wait until [`AccessPoint::poll_timeout`].
//! At most one effect is under way at a time. Each is answered by one input, except that hostapd may also
//! end unasked.
//!
//! Invariant: while it is not stopped, there is always an effect under way or a timeout set, so that it never
//! rests in a state in which nobody can join.

mod machine;
mod pulse;
#[cfg(test)]
mod tests;
mod words;

pub use machine::AccessPoint;
pub use pulse::{Pulse, RadioPulse, Traffic};

/// A change to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Find the radio's interface; answer with [`AccessPoint::handle_located`].
    Locate,
    /// Write the files and start hostapd on the interface that was found; answer with
    /// [`AccessPoint::handle_started`].
    Start,
    /// End hostapd and wait for its end; answer with [`AccessPoint::handle_exited`].
    End {
        /// Whether it may say goodbye first.
        politely: bool,
    },
    /// Take the pulse; answer with [`AccessPoint::handle_pulse`].
    Feel,
    /// Take the driver off the radio and put it back; answer with [`AccessPoint::handle_rebound`].
    Rebind,
    /// Write the keys again and have hostapd read them; answer with [`AccessPoint::handle_keys_changed`].
    ChangeKeys,
}

/// What came of looking for the radio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Located {
    /// It is there, and has an interface.
    Found,
    /// It is not there.
    Absent,
    /// The kernel did not answer, which it does when a driver holds it up.
    Unknown,
}

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
    /// The radio or its driver does not answer, or does not send; its driver is started again.
    RadioSilent,
    /// The same, and starting its driver again has not helped.
    RadioDead,
    /// hostapd came to an end.
    HostapdEnded(Complaint),
    /// hostapd runs and does not answer.
    HostapdSilent,
    /// hostapd runs, and the network does not come up.
    NotEnabled(Complaint),
    /// hostapd cannot be started at all, or not with as few rights as it needs.
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
