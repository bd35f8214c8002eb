//! Those who share the relay: each account that has an allocation, with its meters.

use std::collections::HashMap;

use super::credentials::Account;
use super::fairness::Meter;

/// Names a party for as long as it has an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartyId(u32);

/// One account that has an allocation.
pub(super) struct Party {
    account: Account,
    allocations: u32,
    /// What its clients send.
    pub(super) from_clients: Meter,
    /// What peers send to its relayed addresses. Apart from the above, so that no peer takes what a client has.
    pub(super) from_peers: Meter,
    /// What is sent to its clients.
    pub(super) to_clients: Meter,
}

/// All of them. Never more than there are allocations.
#[derive(Default)]
pub(super) struct Parties {
    all: Vec<Option<Party>>,
    free: Vec<u32>,
    by_account: HashMap<Account, PartyId>,
}

impl Parties {
    /// The party of an account; none while it has no allocation.
    pub(super) fn find(&self, account: &Account) -> Option<PartyId> {
        self.by_account.get(account).copied()
    }

    /// How many allocations an account has.
    pub(super) fn allocations(&self, account: &Account) -> u32 {
        let party = self.find(account).and_then(|id| self.all.get(id.0 as usize)?.as_ref());
        party.map_or(0, |party| party.allocations)
    }

    /// The party of this name.
    pub(super) fn get_mut(&mut self, id: PartyId) -> Option<&mut Party> {
        self.all.get_mut(id.0 as usize)?.as_mut()
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Party> {
        self.all.iter().flatten()
    }

    /// An account has one more allocation.
    pub(super) fn add(&mut self, account: Account) -> PartyId {
        if let Some(id) = self.find(&account) {
            if let Some(party) = self.get_mut(id) {
                party.allocations += 1;
            }
            return id;
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
        });
        let id = PartyId(place);
        if let Some(place) = self.all.get_mut(place as usize) {
            let [from_clients, from_peers, to_clients] = [Meter::default(); 3];
            *place = Some(Party { account, allocations: 1, from_clients, from_peers, to_clients });
        }
        self.by_account.insert(account, id);
        id
    }

    /// A party has one less; the last one ends it.
    pub(super) fn remove(&mut self, id: PartyId) {
        let Some(place) = self.all.get_mut(id.0 as usize) else { return };
        let Some(party) = place else { return };
        party.allocations -= 1;
        if party.allocations == 0 {
            self.by_account.remove(&party.account);
            *place = None;
            self.free.push(id.0);
        }
    }

    /// How many there are, and how many places for them.
    #[cfg(test)]
    pub(super) fn len(&self) -> (usize, usize) {
        (self.by_account.len(), self.all.len())
    }
}
