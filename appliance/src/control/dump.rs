//! What `bulle dump` shows: everything that the daemon holds, one line for each thing. `docs/privacy.md` explains each
//! field.

use crate::VERSION;
use crate::hub::Hub;
use appliance_core::dns;
use base::hex;
use relay_core::mailbox::{self, Cause, HeldEnvelope, HeldMailbox, HeldSession, SessionId};
use relay_core::turn;
use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use wire::{Kind, Reason};

/// Sessions or mailboxes that are looked at under one lock.
const AT_ONCE: usize = 64;

/// How long the tables are that hold addresses of devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// TCP connections, each counted for an address.
    pub connections: usize,
    /// Sessions that are carried by requests, each counted for an address.
    pub polls: usize,
    /// Sessions that are carried by data channels, each counted for an address and known by one or more.
    pub peers: usize,
    /// Accounts of TURN: one for each session that has asked for credentials.
    pub turn_accounts: usize,
    /// Those of them whose session has gone, and whose client may come back.
    pub absent_accounts: usize,
    /// Addresses from which wrong claim codes came.
    pub claim_addresses: usize,
    /// Addresses that have seen the page of the sign-in window.
    pub portal_addresses: usize,
    /// Addresses that have asked for names in the last seconds.
    pub name_addresses: usize,
}

/// Everything that is counted.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// The mailbox.
    pub mailbox: mailbox::Counters,
    /// STUN and TURN, where they are served.
    pub turn: Option<turn::Counters>,
    /// The name server, where there is one.
    pub names: Option<dns::Counters>,
    /// What knows addresses.
    pub tables: Tables,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mailbox, turn, names, tables } = self;
        writeln!(f, "bulle {VERSION}: all that this relay holds. docs/privacy.md explains each field.\n")?;
        write!(
            f,
            "held sessions={} subscriptions={} mailboxes={} envelopes={} blocks={} of={}\ncounted deposited={} \
             appended={} delivered={} violations={}\npurged",
            mailbox.sessions,
            mailbox.subscriptions,
            mailbox.mailboxes,
            mailbox.envelopes,
            mailbox.blocks_used,
            mailbox.blocks_total,
            mailbox.deposited,
            mailbox.appended,
            mailbox.delivered,
            mailbox.violations
        )?;
        for cause in Cause::ALL {
            write!(f, " {}={}", cause.word(), mailbox.purged_by(cause))?;
        }
        write!(f, "\nrefused")?;
        for reason in Reason::ALL {
            match mailbox.refused.of(reason) {
                0 => {}
                count => write!(f, " {}={count}", reason.word())?,
            }
        }
        writeln!(f, " total={}", mailbox.refused.total())?;
        if let Some(turn) = turn {
            writeln!(
                f,
                "turn allocations={} made={} expired={} bindings={} packets_to_peers={} packets_to_clients={} \
                 bytes_relayed={} dropped={} shed={}",
                turn.allocations,
                turn.allocations_made,
                turn.allocations_expired,
                turn.bindings,
                turn.packets_to_peers,
                turn.packets_to_clients,
                turn.bytes_relayed,
                turn.dropped,
                turn.shed
            )?;
        }
        if let Some(names) = names {
            writeln!(
                f,
                "names found={} absent={} refused={} dropped={}",
                names.found, names.absent, names.refused, names.dropped
            )?;
        }
        writeln!(
            f,
            "tables connections={} peers={} polls={} turn_accounts={} absent_accounts={} claim_addresses={} \
             portal_addresses={} name_addresses={}\n",
            tables.connections,
            tables.peers,
            tables.polls,
            tables.turn_accounts,
            tables.absent_accounts,
            tables.claim_addresses,
            tables.portal_addresses,
            tables.name_addresses
        )
    }
}

/// What is left to tell of the mailbox.
pub(super) struct Dump<'h> {
    hub: &'h Arc<Hub>,
    bytes: bool,
    at: At,
}

enum At {
    Sessions {
        after: Option<SessionId>,
    },
    Mailboxes {
        after: u64,
    },
    /// Of one mailbox, whose line was told.
    Envelopes {
        mailbox: u64,
        left: VecDeque<HeldEnvelope>,
    },
}

impl<'h> Dump<'h> {
    /// With the challenges, the addresses and the ciphertext, where `bytes` says so.
    pub(super) const fn new(hub: &'h Arc<Hub>, bytes: bool) -> Self {
        Self { hub, bytes, at: At::Sessions { after: None } }
    }

    /// Appends the next piece to `out`; `false` when nothing is left.
    pub(super) fn next(&mut self, out: &mut String) -> bool {
        let at = std::mem::replace(&mut self.at, At::Mailboxes { after: 0 });
        self.at = match at {
            At::Sessions { after } => {
                let some = self.hub.held_sessions(after, AT_ONCE);
                let last = some.last().map(|held| held.session);
                some.iter().for_each(|held| session(out, held, self.bytes));
                last.map_or(At::Mailboxes { after: 0 }, |last| At::Sessions { after: Some(last) })
            }
            At::Mailboxes { after } => {
                let Some(held) = self.hub.held_mailbox(after) else { return false };
                mailbox(out, &held, self.bytes);
                At::Envelopes { mailbox: held.number, left: held.envelopes.into() }
            }
            At::Envelopes { mailbox, mut left } => {
                for held in left.drain(..AT_ONCE.min(left.len())) {
                    self.envelope(out, mailbox, held);
                }
                if left.is_empty() {
                    At::Mailboxes { after: mailbox }
                } else {
                    At::Envelopes { mailbox, left }
                }
            }
        };
        true
    }

    fn envelope(&self, out: &mut String, mailbox: u64, held: HeldEnvelope) {
        let HeldEnvelope { seq, blocks, left } = held;
        let _ = write!(out, "envelope mailbox={mailbox} seq={seq} blocks={blocks} left_s={}", left.as_secs());
        if self.bytes {
            let mut bytes = Vec::new();
            // It may have gone since its mailbox was looked at.
            if self.hub.expose_envelope(mailbox, seq, &mut bytes) {
                out.push_str(" bytes=");
                digits(out, &bytes);
            }
        }
        out.push('\n');
    }
}

fn session(out: &mut String, held: &HeldSession, bytes: bool) {
    let reads: Vec<String> = held.reads.iter().map(u64::to_string).collect();
    let _ = write!(
        out,
        "session number={} silent_s={} reads={} in_flight={} answers={} credential_requests={} \
         wrong_signatures={} closing={}",
        held.session.number(),
        held.silent.as_secs(),
        reads.join(","),
        held.in_flight,
        held.answers,
        held.credential_requests,
        held.wrong_signatures,
        held.is_closing
    );
    if bytes {
        out.push_str(" challenge=");
        digits(out, &held.challenge.0);
    }
    out.push('\n');
}

fn mailbox(out: &mut String, held: &HeldMailbox, bytes: bool) {
    let kind = match held.kind {
        Kind::Queue => "queue",
        Kind::Log => "log",
    };
    let readers: Vec<String> = held.readers.iter().map(|reader| reader.number().to_string()).collect();
    let blocks: u32 = held.envelopes.iter().map(|envelope| envelope.blocks).sum();
    let _ = write!(
        out,
        "mailbox number={} kind={kind} next={} readers={} envelopes={} blocks={blocks}",
        held.number,
        held.next,
        readers.join(","),
        held.envelopes.len()
    );
    if bytes {
        out.push_str(" address=");
        digits(out, held.address.expose());
    }
    out.push('\n');
}

fn digits(out: &mut String, bytes: &[u8]) {
    out.reserve(2 * bytes.len());
    // A text takes every digit.
    let _ = hex::write(out, bytes.iter().copied());
}
