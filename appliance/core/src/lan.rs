//! Being found on a LAN by multicast DNS (RFC 6762, RFC 6763): which name the box has there, and whether it is heard.
//!
//! The probing, announcing and defending is done by a library; this decides what follows from its news.
//! Not here: sockets, and the records themselves.
//! Invariant: the name is the one wanted, or one of those that a conflict gives; news about other names change
//! nothing.

use crate::names::{DnsLabel, DnsName};
use base::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// Names that a conflict may give and that the authority vouches for beforehand, besides the one wanted.
pub const ALTERNATIVES: usize = 8;
/// Without an announcement for so long after an interface came up, something keeps us silent.
pub const SILENCE: Duration = Duration::from_secs(15);
/// News that wait for the owner.
const MOST_EVENTS: usize = 16;

/// Follows the library's news.
#[derive(Debug)]
pub struct Lan {
    current: DnsName,
    possible: Vec<DnsName>,
    announced: bool,
    silent_at: Option<Instant>,
    events: VecDeque<Event>,
}

/// News for the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The box can be found under [`Lan::name`].
    Announced,
    /// Another machine has the name; the box goes by this one now.
    Renamed(DnsName),
    /// Nothing was announced although there is a network: another program on this machine keeps multicast DNS to
    /// itself.
    Silent,
}

impl Lan {
    /// Wants that name.
    #[must_use]
    pub fn new(wanted: &DnsLabel, now: Instant) -> Self {
        let current = wanted.in_local();
        let possible = alternatives(&current).collect();
        let silent_at = Some(now + SILENCE);
        Self { current, possible, announced: false, silent_at, events: VecDeque::new() }
    }

    /// The name that the box has, as far as is known.
    #[must_use]
    pub const fn name(&self) -> &DnsName {
        &self.current
    }

    /// Something of ours was announced.
    pub fn handle_announced(&mut self) {
        self.silent_at = None;
        if !std::mem::replace(&mut self.announced, true) {
            self.push(Event::Announced);
        }
    }

    /// Something of ours got another name: our host, or a service.
    pub fn handle_renamed(&mut self, to: &str) {
        let Some(to) = DnsName::parse(to) else { return };
        let is_ours = self.possible.contains(&to) || is_alternative(&to, &self.current);
        if is_ours && to != self.current {
            self.current = to.clone();
            self.push(Event::Renamed(to));
        }
    }

    /// An address came up: there is a network to be heard in.
    pub fn handle_address(&mut self, now: Instant) {
        if !self.announced {
            self.silent_at = Some(now + SILENCE);
        }
    }

    /// There is no network to be heard in.
    pub const fn handle_no_network(&mut self) {
        self.silent_at = None;
    }

    /// Time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.silent_at.is_some_and(|at| now >= at) {
            self.silent_at = None;
            self.push(Event::Silent);
        }
    }

    /// When [`Lan::handle_timeout`] should be called.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.silent_at
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn push(&mut self, event: Event) {
        if self.events.len() == MOST_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

/// The names of the box when it wants to be `wanted` on the link and is `current`: what stood for the one stands for
/// the other, and nobody is promised a name that is another machine's.
#[must_use]
pub fn names(settings: &[DnsName], wanted: &DnsName, current: &DnsName) -> Vec<DnsName> {
    let mut names: Vec<DnsName> = Vec::with_capacity(settings.len() + 1);
    for name in settings.iter().map(|name| if name == wanted { current } else { name }).chain([current]) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// The names that conflicts give, one after the other: `bulle-2.local`, `bulle-3.local` (RFC 6762 appendix D).
/// None for a name that is not one label and `.local`.
pub fn alternatives(name: &DnsName) -> impl Iterator<Item = DnsName> {
    std::iter::successors(next(name), next).take(ALTERNATIVES)
}

fn next(name: &DnsName) -> Option<DnsName> {
    let label = name.as_str().strip_suffix(".local").filter(|label| !label.contains('.'))?;
    let numbered =
        label.rsplit_once('-').and_then(|(stem, number)| Some((stem, number.parse::<u32>().ok()?)));
    let next = match numbered {
        Some((stem, number)) => format!("{stem}-{}.local", number.checked_add(1)?),
        None => format!("{label}-2.local"),
    };
    DnsName::parse(&next)
}

/// Whether `name` comes after `current` in the order of conflicts, however far.
fn is_alternative(name: &DnsName, current: &DnsName) -> bool {
    let stem = |name: &DnsName| {
        let label = name.as_str().strip_suffix(".local")?.to_owned();
        let (stem, number) = label.rsplit_once('-')?;
        Some((stem.to_owned(), number.parse::<u32>().ok()?))
    };
    match (stem(name), stem(current)) {
        (Some((new, to)), Some((old, from))) => new == old && to > from,
        (Some(_) | None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lan() -> Lan {
        Lan::new(&DnsLabel::parse("bulle").expect("a label"), Instant::ZERO)
    }

    fn events(lan: &mut Lan) -> Vec<Event> {
        std::iter::from_fn(|| lan.poll_event()).collect()
    }

    fn name(text: &str) -> DnsName {
        DnsName::parse(text).expect("a name")
    }

    #[test]
    fn conflicts_count_upwards() {
        let all = |text: &str| alternatives(&name(text)).map(|name| name.to_string()).collect::<Vec<_>>();
        let expected: Vec<String> = (2..=9).map(|i| format!("bulle-{i}.local")).collect();
        assert_eq!(all("bulle.local"), expected);
        assert_eq!(all("hall-4.local").first().map(String::as_str), Some("hall-5.local"));
        assert_eq!(all("my-hall.local").first().map(String::as_str), Some("my-hall-2.local"));
        for other in ["bulle.internal", "a.bulle.local", "local", &format!("{}.local", "a".repeat(62))] {
            assert_eq!(all(other), [""; 0], "{other}");
        }
    }

    #[test]
    fn a_conflict_renames_the_box_and_is_told_once() {
        let mut lan = lan();
        lan.handle_renamed("bulle-2.local.");
        lan.handle_renamed("bulle-2.local.");
        assert_eq!(events(&mut lan), [Event::Renamed(name("bulle-2.local"))]);
        assert_eq!(lan.name(), &name("bulle-2.local"));
        lan.handle_renamed("bulle-12.local.");
        assert_eq!(events(&mut lan), [Event::Renamed(name("bulle-12.local"))]);
    }

    #[test]
    fn the_name_in_use_takes_the_place_of_the_wanted_one() {
        let settings = [name("bulle.local"), name("bulle.internal")];
        let names = |current: &str| {
            let all = names(&settings, &name("bulle.local"), &name(current));
            all.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(names("bulle.local"), ["bulle.local", "bulle.internal"]);
        assert_eq!(names("bulle-2.local"), ["bulle-2.local", "bulle.internal"]);
        let other = super::names(&[name("bulle.internal")], &name("hall.local"), &name("hall.local"));
        assert_eq!(other, [name("bulle.internal"), name("hall.local")]);
    }

    #[test]
    fn news_about_anything_else_change_nothing() {
        let mut lan = lan();
        for other in ["Bulle (2)._bulle._tcp.local.", "other.local.", "printer-2.local.", "bulle.local.", ""]
        {
            lan.handle_renamed(other);
        }
        assert_eq!((events(&mut lan), lan.name()), (Vec::new(), &name("bulle.local")));
    }

    #[test]
    fn silence_is_told_once_and_not_without_a_network() {
        let mut lan = lan();
        let late = Instant::ZERO + SILENCE;
        assert_eq!(lan.poll_timeout(), Some(late));
        lan.handle_timeout(Instant::ZERO);
        lan.handle_timeout(late);
        lan.handle_timeout(late + SILENCE);
        assert_eq!(events(&mut lan), [Event::Silent]);
        let mut lan = self::lan();
        lan.handle_no_network();
        lan.handle_timeout(late);
        assert_eq!((events(&mut lan), lan.poll_timeout()), (Vec::new(), None));
        lan.handle_address(late);
        assert_eq!(lan.poll_timeout(), Some(late + SILENCE));
        lan.handle_announced();
        lan.handle_announced();
        lan.handle_address(late);
        assert_eq!((events(&mut lan), lan.poll_timeout()), (vec![Event::Announced], None));
    }

    #[test]
    fn news_that_nobody_takes_do_not_pile_up() {
        let mut lan = lan();
        for i in 2..1000 {
            lan.handle_renamed(&format!("bulle-{i}.local"));
        }
        assert_eq!(events(&mut lan).len(), MOST_EVENTS);
    }
}
