//! Which Ethernet socket is the cable's, where there are several.
//!
//! The one on which a network answers is kept. A cable that is moved is followed: a socket in which nothing is plugged
//! gives way to one with a cable. Where cables are in several sockets and no network answers on the one in use, the
//! others are tried in turn, each for a while, and for longer each time.
//! Not here: finding sockets, or asking their networks.
//! Invariant: the choice is one of the sockets that are there, and none only where there is none.

use base::Instant;
use std::time::Duration;

/// How long nothing must have been plugged into the socket in use: switches let links go for a moment.
const UNPLUGGED_LASTS: Duration = Duration::from_secs(3);
/// How long a network may take to answer before another socket is tried, and the most that this grows to.
const ANSWER_TIME: Duration = Duration::from_secs(20);
const LONGEST_ANSWER_TIME: Duration = Duration::from_secs(320);

/// A socket, as the kernel shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket<'a> {
    /// The name of its interface.
    pub name: &'a str,
    /// Something is at the other end.
    pub plugged: bool,
    /// It has an address that others beyond the link can use.
    pub answered: bool,
}

/// Follows the cable.
#[derive(Clone, Debug)]
pub struct Sockets {
    current: Option<String>,
    unplugged: Option<Instant>,
    silent: Option<Instant>,
    patience: Duration,
}

impl Default for Sockets {
    fn default() -> Self {
        Self { current: None, unplugged: None, silent: None, patience: ANSWER_TIME }
    }
}

impl Sockets {
    /// These are the sockets now, in an order that stays. Gives back the one that counts.
    pub fn handle_sockets<'a>(&mut self, sockets: &[Socket<'a>], now: Instant) -> Option<&'a str> {
        let at = sockets.iter().position(|socket| Some(socket.name) == self.current.as_deref());
        // At first, and when the one in use was taken away.
        let Some((at, socket)) = at.and_then(|at| Some((at, sockets.get(at)?))) else {
            let plugged = sockets.iter().find(|socket| socket.plugged);
            return self.take(plugged.or(sockets.first()), now);
        };
        if socket.answered && socket.plugged {
            (self.unplugged, self.silent, self.patience) = (None, None, ANSWER_TIME);
            return Some(socket.name);
        }
        // Those that come after it, then those before it.
        let others = sockets.iter().cycle().skip(at + 1).take(sockets.len().saturating_sub(1));
        let other = others.into_iter().find(|other| other.plugged);
        let give_way = if socket.plugged {
            self.unplugged = None;
            let silent = *self.silent.get_or_insert(now);
            let give_way = now >= silent + self.patience;
            if give_way && other.is_some() {
                self.patience = self.patience.saturating_mul(2).min(LONGEST_ANSWER_TIME);
            }
            give_way
        } else {
            self.silent = None;
            now >= *self.unplugged.get_or_insert(now) + UNPLUGGED_LASTS
        };
        match other.filter(|_| give_way) {
            Some(other) => self.take(Some(other), now),
            None => Some(socket.name),
        }
    }

    fn take<'a>(&mut self, socket: Option<&Socket<'a>>, now: Instant) -> Option<&'a str> {
        self.unplugged = None;
        self.silent = socket.filter(|socket| socket.plugged).map(|_| now);
        self.current = socket.map(|socket| socket.name.to_owned());
        socket.map(|socket| socket.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Instant = Instant::from_millis(1000);

    fn at(seconds: u64) -> Instant {
        START + Duration::from_secs(seconds)
    }

    /// `-` is empty, `c` has a cable, `n` has a network: `eth0` and so on.
    fn sockets(state: &str) -> Vec<Socket<'static>> {
        let names = ["eth0", "eth1", "eth2", "eth3"];
        let socket = |(name, state)| Socket { name, plugged: state != '-', answered: state == 'n' };
        names.into_iter().zip(state.chars()).map(socket).collect()
    }

    fn first(state: &str) -> Option<&'static str> {
        Sockets::default().handle_sockets(&sockets(state), START)
    }

    #[test]
    fn the_first_socket_with_a_cable_counts_and_without_any_cable_the_first() {
        assert_eq!(first("-c"), Some("eth1"));
        assert_eq!(first("cc"), Some("eth0"));
        assert_eq!(first("--"), Some("eth0"));
        assert_eq!(first(""), None);
    }

    #[test]
    fn a_cable_that_is_moved_is_followed_and_a_moment_without_link_is_not() {
        let mut machine = Sockets::default();
        assert_eq!(machine.handle_sockets(&sockets("n-"), at(0)), Some("eth0"));
        // The switch restarts: both ends of another cable are not concerned.
        assert_eq!(machine.handle_sockets(&sockets("-c"), at(10)), Some("eth0"));
        assert_eq!(machine.handle_sockets(&sockets("nc"), at(12)), Some("eth0"));
        assert_eq!(machine.handle_sockets(&sockets("--"), at(20)), Some("eth0"));
        assert_eq!(machine.handle_sockets(&sockets("-c"), at(22)), Some("eth0"));
        assert_eq!(machine.handle_sockets(&sockets("-c"), at(23)), Some("eth1"));
        assert_eq!(machine.handle_sockets(&sockets("-n"), at(30)), Some("eth1"));
        assert_eq!(machine.handle_sockets(&sockets("cn"), at(900)), Some("eth1"), "what works is kept");
    }

    #[test]
    fn an_address_on_an_empty_socket_is_no_network() {
        let mut machine = Sockets::default();
        machine.handle_sockets(&sockets("n-"), at(0));
        let fixed = [
            Socket { name: "eth0", plugged: false, answered: true },
            Socket { name: "eth1", plugged: true, answered: false },
        ];
        machine.handle_sockets(&fixed, at(1));
        assert_eq!(machine.handle_sockets(&fixed, at(4)), Some("eth1"));
    }

    #[test]
    fn silent_cables_are_tried_in_turn_each_time_for_longer() {
        let mut machine = Sockets::default();
        let (mut changes, mut before) = (Vec::new(), "eth0");
        for second in 0..700 {
            let now = machine.handle_sockets(&sockets("c-cc"), at(second)).unwrap();
            if now != before {
                changes.push((second, now));
                before = now;
            }
        }
        let seconds: Vec<_> = changes.iter().map(|(second, _)| *second).collect();
        assert_eq!(
            changes.iter().map(|(_, name)| *name).collect::<Vec<_>>(),
            ["eth2", "eth3", "eth0", "eth2", "eth3"]
        );
        let gaps: Vec<_> = seconds.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!((seconds[0], gaps), (20, vec![40, 80, 160, 320]));
        // Once one answers, patience is as at first.
        machine.handle_sockets(&sockets("c-cn"), at(700));
        machine.handle_sockets(&sockets("c-cc"), at(701));
        assert_eq!(machine.handle_sockets(&sockets("c-cc"), at(721)), Some("eth0"));
    }

    #[test]
    fn a_socket_that_is_taken_away_gives_way_at_once() {
        let mut machine = Sockets::default();
        machine.handle_sockets(&sockets("-n"), at(0));
        assert_eq!(machine.handle_sockets(&sockets("-"), at(1)), Some("eth0"));
        assert_eq!(machine.handle_sockets(&[], at(2)), None);
    }

    proptest! {
        #[test]
        fn the_choice_is_always_there_and_a_network_is_found_in_the_end(
            steps in proptest::collection::vec("[-cn]{0,4}", 0..40), end in "[-c]{0,3}n",
        ) {
            let mut machine = Sockets::default();
            let mut now = START;
            for state in steps {
                now = now + Duration::from_secs(7);
                let all = sockets(&state);
                let chosen = machine.handle_sockets(&all, now);
                prop_assert_eq!(chosen.is_none(), all.is_empty());
                prop_assert!(chosen.is_none_or(|name| all.iter().any(|socket| socket.name == name)));
            }
            let all = sockets(&end);
            let mut chosen = None;
            // Addresses of others are not known while they are not in use; the cable is.
            for _ in 0..2000 {
                now = now + Duration::from_secs(1);
                let seen: Vec<_> = all
                    .iter()
                    .map(|socket| Socket { answered: socket.answered && chosen == Some(socket.name), ..*socket })
                    .collect();
                chosen = machine.handle_sockets(&seen, now);
            }
            prop_assert_eq!(chosen, all.last().map(|socket| socket.name));
        }
    }
}
