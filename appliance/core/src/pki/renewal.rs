//! When the certificate has to be made anew: its time runs out, or the machine is called something else.

use super::{Identity, Leaf, RENEW_BEFORE, Scope};
use base::{Instant, UnixSeconds};
use std::time::Duration;

/// How often the clock and the machine's addresses are looked at: a box that gets its address after it started is
/// reached under it without a warning as soon as somebody has read it off a screen.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Decides when to issue again. Its owner tells it the time and what the machine is called, and carries out
/// [`Effect::Issue`] by calling [`super::plan`] again.
#[derive(Debug)]
pub struct Renewal {
    not_before: UnixSeconds,
    not_after: UnixSeconds,
    served: Identity,
    scope: Scope,
    next_look: Instant,
    effect: Option<Effect>,
}

/// A change to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read the clock and the addresses of this machine and call [`Renewal::handle_look`].
    Look,
    /// Make a new certificate.
    Issue(Reason),
}

/// Why a new certificate is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Less than [`RENEW_BEFORE`] is left.
    Expiring,
    /// The clock is before its first moment.
    NotYetValid,
    /// The machine has a name or an address that the certificate lacks.
    Renamed,
}

impl Renewal {
    /// Watches over `leaf`, from `now` on; `scope` is what its authority may vouch for.
    #[must_use]
    pub fn new(leaf: &Leaf, scope: Scope, now: Instant) -> Self {
        Self {
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            served: leaf.identity.clone(),
            scope,
            next_look: now + LOOK_EVERY,
            effect: None,
        }
    }

    /// The machine's names and addresses, and the wall clock.
    pub fn handle_look(&mut self, machine: &Identity, wall: UnixSeconds, now: Instant) {
        self.next_look = now + LOOK_EVERY;
        let (wanted, _, _) = self.scope.split(machine);
        let wall = self.scope.latest(wall);
        self.effect = reason(self.not_before, self.not_after, &self.served, &wanted, wall).map(Effect::Issue);
    }

    /// A new certificate is being served.
    pub fn handle_issued(&mut self, leaf: &Leaf, now: Instant) {
        *self = Self::new(leaf, self.scope.clone(), now);
    }

    /// Time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now >= self.next_look {
            self.next_look = now + LOOK_EVERY;
            self.effect = Some(Effect::Look);
        }
    }

    /// When [`Renewal::handle_timeout`] should be called.
    #[must_use]
    pub const fn poll_timeout(&self) -> Instant {
        self.next_look
    }

    /// What to do now.
    pub const fn poll_effect(&mut self) -> Option<Effect> {
        self.effect.take()
    }
}

/// Why `leaf` has to be replaced, if it has.
pub(super) fn due(leaf: &Leaf, wanted: &Identity, now: UnixSeconds) -> Option<Reason> {
    reason(leaf.not_before, leaf.not_after, &leaf.identity, wanted, now)
}

fn reason(
    not_before: UnixSeconds,
    not_after: UnixSeconds,
    served: &Identity,
    wanted: &Identity,
    now: UnixSeconds,
) -> Option<Reason> {
    if now < not_before {
        Some(Reason::NotYetValid)
    } else if now.plus(RENEW_BEFORE) >= not_after {
        Some(Reason::Expiring)
    } else if !(wanted.names.is_subset(&served.names) && wanted.addresses.is_subset(&served.addresses)) {
        // A name that is gone harms nobody until the next renewal; IPv6 privacy addresses go every day.
        Some(Reason::Renamed)
    } else {
        None
    }
}
