//! Who holds which account, and when one ends that nobody holds any more.
//!
//! An account is given to a session when that first asks for credentials, and ends with it: at once when the client
//! left or the session was ended for a reason, after [`ABSENCE`] when only its connection is gone. Within that time
//! the client comes back by another session, shows what it was given, and goes on with the same account, so that its
//! allocations outlive a lost connection and nothing else.
//!
//! What it is not: a check of anything. Whoever calls has verified the password that was shown.
//! Invariant: an account that was given out is held, absent, or reported by [`Holders::poll_ended`] exactly once.

use core::hash::Hash;
use core::time::Duration;
use std::collections::{HashMap, VecDeque};

use base::{Deadlines, Instant};
use rand_core::{CryptoRng, RngCore};

use super::credentials::Account;

/// How long an account waits for a client whose connection is gone. A client dials again within ten seconds, and may
/// need a second try.
pub const ABSENCE: Duration = Duration::from_secs(60);
/// Accounts that wait. One more ends the one that has waited longest.
pub const MAX_ABSENT: usize = 4096;

/// See the module. `K` names a session.
#[derive(Debug)]
pub struct Holders<K> {
    /// One entry for each session that has asked for credentials.
    accounts: HashMap<K, Account>,
    /// How many sessions hold it; none of those that are absent. As many as `accounts` and `absent` have.
    held: HashMap<Account, u32>,
    /// At most [`MAX_ABSENT`].
    absent: Deadlines<Account>,
    /// Drained after each input.
    ended: VecDeque<Account>,
}

impl<K> Default for Holders<K> {
    fn default() -> Self {
        Self {
            accounts: HashMap::new(),
            held: HashMap::new(),
            absent: Deadlines::default(),
            ended: VecDeque::new(),
        }
    }
}

impl<K: Copy + Eq + Hash> Holders<K> {
    /// The account of a session, which gets one when it has none.
    pub fn account(&mut self, session: K, rng: &mut (impl RngCore + CryptoRng)) -> Account {
        *self.accounts.entry(session).or_insert_with(|| {
            let account = Account::random(rng);
            self.held.insert(account, 1);
            account
        })
    }

    /// A session shows credentials of this account, and goes on with it. Says whether it may: not when the account
    /// has ended, and not when the session has one already.
    pub fn handle_shown(&mut self, session: K, account: Account) -> bool {
        if self.accounts.contains_key(&session) {
            return false;
        }
        if !self.absent.remove(&account) && !self.held.contains_key(&account) {
            return false;
        }
        *self.held.entry(account).or_default() += 1;
        self.accounts.insert(session, account);
        true
    }

    /// The connection of a session is gone, and its client may come back.
    pub fn handle_lost(&mut self, session: K, now: Instant) {
        let Some(account) = self.accounts.remove(&session) else { return };
        if let Some(holders) = self.held.get_mut(&account)
            && *holders > 1
        {
            *holders -= 1;
            return;
        }
        self.held.remove(&account);
        if self.absent.len() >= MAX_ABSENT
            && let Some(soonest) = self.absent.next().and_then(|at| self.absent.pop_due(at))
        {
            self.ended.push_back(soonest);
        }
        self.absent.set(account, now + ABSENCE);
    }

    /// The client left, or was shown out: its account ends now, whichever other session holds it as well.
    pub fn handle_left(&mut self, session: K) {
        let Some(account) = self.accounts.get(&session).copied() else { return };
        self.accounts.retain(|_, held| *held != account);
        self.held.remove(&account);
        self.ended.push_back(account);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.ended.extend(core::iter::from_fn(|| self.absent.pop_due(now)));
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.absent.next()
    }

    /// The next account that has ended: its credentials are to be revoked.
    pub fn poll_ended(&mut self) -> Option<Account> {
        self.ended.pop_front()
    }

    /// Ends all of them, also those that wait.
    pub fn clear(&mut self) {
        self.accounts.clear();
        self.ended.extend(self.held.drain().map(|(account, _)| account));
        while let Some(at) = self.absent.next() {
            self.handle_timeout(at);
        }
    }

    /// How many accounts there are.
    pub fn len(&self) -> usize {
        self.held.len() + self.absent.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of them wait for their client.
    pub fn absent(&self) -> usize {
        self.absent.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::fuzzing::FixedRng;

    const NOW: Instant = Instant::from_millis(1_000);

    fn holders() -> (Holders<u32>, FixedRng) {
        (Holders::default(), FixedRng(1))
    }

    fn ended(holders: &mut Holders<u32>) -> Vec<Account> {
        core::iter::from_fn(|| holders.poll_ended()).collect()
    }

    #[test]
    fn a_session_has_one_account_and_another_has_another() {
        let (mut holders, mut rng) = holders();
        let account = holders.account(1, &mut rng);
        assert_eq!(holders.account(1, &mut rng), account);
        assert_ne!(holders.account(2, &mut rng), account);
        assert_eq!((holders.len(), holders.absent(), holders.poll_timeout()), (2, 0, None));
    }

    #[test]
    fn who_leaves_ends_at_once() {
        let (mut holders, mut rng) = holders();
        let account = holders.account(1, &mut rng);
        holders.handle_left(1);
        assert_eq!(ended(&mut holders), [account]);
        holders.handle_left(1);
        holders.handle_lost(1, NOW);
        assert!(!holders.handle_shown(2, account), "what has ended does not come back");
        assert_eq!((ended(&mut holders).len(), holders.is_empty()), (0, true));
    }

    #[test]
    fn whose_connection_is_gone_has_a_minute_to_come_back() {
        let (mut holders, mut rng) = holders();
        let account = holders.account(1, &mut rng);
        holders.handle_lost(1, NOW);
        assert_eq!(holders.poll_timeout(), Some(NOW + ABSENCE));
        holders.handle_timeout(NOW + (ABSENCE - Duration::from_millis(1)));
        assert_eq!((ended(&mut holders).len(), holders.absent()), (0, 1));
        assert!(holders.handle_shown(2, account));
        assert_eq!(holders.account(2, &mut rng), account, "it goes on with the same one");
        holders.handle_timeout(NOW + ABSENCE * 10);
        assert_eq!((ended(&mut holders).len(), holders.len()), (0, 1));
        holders.handle_lost(2, NOW);
        holders.handle_timeout(NOW + ABSENCE);
        assert_eq!(ended(&mut holders), [account]);
        assert!(!holders.handle_shown(3, account));
    }

    #[test]
    fn who_comes_back_before_the_old_connection_is_known_to_be_gone_keeps_the_account() {
        let (mut holders, mut rng) = holders();
        let account = holders.account(1, &mut rng);
        assert!(holders.handle_shown(2, account));
        holders.handle_lost(1, NOW);
        holders.handle_timeout(NOW + ABSENCE * 10);
        assert_eq!((ended(&mut holders).len(), holders.absent()), (0, 0));
        // Leaving ends it for every session of that client.
        assert!(holders.handle_shown(3, account));
        holders.handle_left(2);
        assert_eq!(ended(&mut holders), [account]);
        assert_ne!(holders.account(3, &mut rng), account);
    }

    #[test]
    fn a_session_with_an_account_takes_no_second_one() {
        let (mut holders, mut rng) = holders();
        let [one, two] = [1, 2].map(|session| holders.account(session, &mut rng));
        assert!(!holders.handle_shown(2, one));
        assert_eq!(holders.account(2, &mut rng), two);
    }

    #[test]
    fn those_that_wait_are_bounded_and_who_waited_longest_ends_first() {
        let (mut holders, mut rng) = holders();
        let first = holders.account(0, &mut rng);
        for session in 0..=MAX_ABSENT as u32 {
            holders.account(session, &mut rng);
            holders.handle_lost(session, NOW + Duration::from_millis(session.into()));
        }
        assert_eq!(holders.absent(), MAX_ABSENT);
        assert_eq!(ended(&mut holders), [first]);
    }

    #[test]
    fn a_purge_ends_all_of_them_once() {
        let (mut holders, mut rng) = holders();
        for session in 0..3 {
            holders.account(session, &mut rng);
        }
        holders.handle_lost(1, NOW);
        holders.clear();
        assert_eq!(ended(&mut holders).len(), 3);
        assert!(holders.is_empty() && holders.poll_timeout().is_none());
        holders.handle_lost(0, NOW);
        assert!(holders.is_empty());
    }
}
