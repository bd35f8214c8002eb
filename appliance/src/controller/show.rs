//! What the box shows: the card on screen and partition, the status, and the sentences in them.

use super::run::Controller;
use super::status::Status;
use crate::{files, invite};
use appliance_core::card::{self, Card};
use appliance_core::mode::Mode;
use appliance_core::network::{NAMES, Range};
use base::Instant;
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tracing::{info, warn};

/// How long a new card must have stayed the same before it is written: addresses and names come one by one.
const CARD_SETTLES: Duration = Duration::from_secs(2);
/// How long it must have, where there is one already.
const CARD_COMES_BACK: Duration = Duration::from_secs(20);
/// How often the card is written in one run, so that a cable that comes and goes cannot wear out the disk.
const MOST_CARDS: u32 = 16;
/// How long a fixed address may take to be there.
const ADDRESS_TIME: Duration = Duration::from_secs(10);

/// What is known about the card on the partition.
#[derive(Default)]
pub(super) struct CardOnDisk {
    /// The card that is wanted, and since when.
    wanted: Option<(Option<Card>, Instant)>,
    /// Whether that one is there.
    written: bool,
    /// Whether somebody waits for it.
    hurry: bool,
    writes: u32,
    failed: Option<io::Error>,
}

impl CardOnDisk {
    /// The owner has changed something and looks for the effect.
    pub(super) const fn hurry(&mut self) {
        self.hurry = true;
        self.written = false;
    }
}

impl Controller {
    /// Shows what there is to show: on the screen, on the partition, and to who asks.
    pub(super) fn show(&mut self) {
        let now = self.clocks.now();
        let remarks = self.remarks(now);
        let card = self.make_card(&remarks);
        let (columns, rows) = self.screen.size();
        self.screen.show(card::console(&card, columns, rows));
        // Once claimed, a card is written only to say what is wrong with the settings.
        let wanted = !self.store.state.is_claimed() || self.site.is_err();
        if self.decision.is_some() {
            self.put_card(wanted.then_some(card), now);
        }
        let status = Status {
            decision: self.decision.map(|decision| decision.to_string()),
            radio: self.radio.plan().map(ToString::to_string),
            choice: self.radio.plan().map(|plan| plan.choice.to_string()),
            on_air: self.radio.on_air(),
            stations: self.radio.stations(),
            cable: match (self.cable(), self.cable().is_some_and(|link| link.routable().next().is_some())) {
                (None, _) => "no socket",
                (Some(link), _) if !link.carrier => "not plugged in",
                (Some(_), false) => "plugged in, no network answers",
                (Some(_), true) => "in a network",
            },
            claimed: self.store.state.is_claimed(),
            remarks,
        };
        if self.status.as_ref() != Some(&status) {
            if let Err(error) = files::replace(&Status::path(&self.world), status.text().as_bytes(), 0o644) {
                info!(%error, "the status could not be written");
            }
            self.status = Some(status);
        }
    }

    /// Sentences for the owner, the most important first. None of them holds a secret.
    fn remarks(&self, now: Instant) -> Vec<String> {
        let mut remarks = Vec::new();
        let wifi = self.decision.is_some_and(|decision| decision.mode == Mode::Wifi);
        if let Err(error) = &self.site {
            remarks.extend(error.problems.iter().map(|problem| format!("bulle.toml, {problem}")));
        }
        remarks.extend(self.decision.map(|decision| decision.to_string()));
        remarks.extend(self.radio.remarks());
        remarks.extend(self.store.lost.map(|lost| lost.to_string()));
        if self.store.claim_is_unwritten() {
            remarks.push(
                "This box was claimed, but that could not be written to its disk; it is tried again. If the power goes \
                 before, the join card is back, and the box has to be claimed once more."
                    .to_owned(),
            );
        }
        if self.store.salvaged {
            remarks.push(
                "The disk of this box was damaged. Its keys and its authority were found on it and are saved: phones \
                 go on as before. If this happens twice, replace the disk."
                    .to_owned(),
            );
        }
        let data = self.world.data_word();
        if data == "lost" || self.store.unwritten.is_some() {
            remarks.push(
                "The disk of this box cannot be written: its keys last until the power goes, and then everybody has \
                 to join anew. Replace the card or the disk."
                    .to_owned(),
            );
        } else if data == "repaired" && !self.store.new && !self.store.salvaged {
            remarks.push(
                "The disk of this box was damaged and has been repaired; its keys are as they were. If this happens \
                 twice, replace it."
                    .to_owned(),
            );
        }
        if self.applier.filter_failed.is_some() {
            remarks.push("The packet filter could not be set, so the box lets nobody in.".to_owned());
        }
        if self.apply_failed.is_some() || self.applier.is_refused() {
            remarks.push("The network of this box could not be set up; it is tried again.".to_owned());
        }
        if wifi && self.range.is_some_and(|range| range != Range::default()) {
            remarks.push(
                "The network on the cable has the addresses that this Wi-Fi has otherwise, so the Wi-Fi has taken \
                 others. Both can be used."
                    .to_owned(),
            );
        }
        if let Some(Err(error)) = &self.certificate {
            remarks.push(format!(
                "The certificate in bulle.toml is not used: {error}. The box vouches for itself meanwhile."
            ));
        }
        if self.leases.clash(now) {
            remarks.push(
                "The address that the router of this network gave to the box is used by another machine. The box asks \
                 for another one; if this stays, ask whoever looks after the network."
                    .to_owned(),
            );
        }
        let fixed = self.site.as_ref().ok().and_then(|site| site.lan.fixed.as_ref());
        let late = self.carrier_since.is_some_and(|since| now >= since + ADDRESS_TIME);
        let has = |wanted: IpAddr| {
            self.cable().is_some_and(|link| link.addresses.iter().any(|(address, _)| *address == wanted))
        };
        if late && fixed.is_some_and(|fixed| !has(fixed.address)) {
            remarks.push(
                "The address in `lan.address` of bulle.toml could not be taken: another machine on this network has \
                 it. Choose another one."
                    .to_owned(),
            );
        }
        remarks
    }

    fn make_card(&self, remarks: &[String]) -> Card {
        let wifi = self.decision.is_some_and(|decision| decision.mode == Mode::Wifi);
        let secrets = &self.store.state.secrets;
        let host = if let Some(own) = self.own_name() {
            own.to_string()
        } else if wifi {
            NAMES[0].to_owned()
        } else {
            self.told.name.as_ref().map_or_else(|| NAMES[1].to_owned(), ToString::to_string)
        };
        let page = format!("https://{host}/");
        let invitation = secrets.invitation.as_ref().map(|new| card::Invitation {
            link: invite::link(&page, &new.bubble, self.store.state.served.peer_fingerprint(), false),
            claim_code: new.claim_code.clone(),
        });
        let addresses = if wifi {
            self.plan().bubble.map(|bubble| bubble.addresses().to_vec()).unwrap_or_default()
        } else {
            self.cable().map(|link| link.routable().collect()).unwrap_or_default()
        };
        Card {
            name: self.name(),
            // Who has claimed the box hands the key out; the screen is for everybody in the room.
            wifi: self
                .ssid()
                .ok()
                .filter(|_| wifi && invitation.is_some())
                .map(|ssid| card::Wifi { ssid: ssid.expose().to_owned(), key: secrets.wifi_key.clone() }),
            page,
            addresses,
            invitation,
            fingerprint: self.store.state.served.fingerprint(),
            remarks: remarks.to_vec(),
            urgent: self.site.as_ref().err().map_or(0, |error| error.problems.len()),
        }
    }

    fn put_card(&mut self, wanted: Option<Card>, now: Instant) {
        // A box that was here before waits until its addresses are back: then the card has not changed at all.
        let settles = if self.store.new { CARD_SETTLES } else { CARD_COMES_BACK };
        let card = &mut self.card;
        let since = match &card.wanted {
            Some((before, since)) if *before == wanted => *since,
            _ => {
                card.written = false;
                now
            }
        };
        // What has been claimed is taken away at once, and the first card is not waited for.
        let at_once = card.hurry || wanted.is_none() || !self.boot.has_card();
        if !card.written
            && (at_once || now >= since + settles)
            && (wanted.is_none() || card.writes < MOST_CARDS)
        {
            let failed = self.boot.put(wanted.as_ref()).err();
            if let Some(error) = failed.as_ref().filter(|_| card.failed.is_none()) {
                warn!(%error, "the join card could not be written to the partition BULLE; it is on the screen");
            }
            card.written = failed.is_none();
            card.hurry &= failed.is_some();
            card.writes += 1;
            card.failed = failed;
        }
        card.wanted = Some((wanted, since));
    }
}
