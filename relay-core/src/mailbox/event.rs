//! What the mailbox tells its owner.

use core::fmt;

use wire::Reason;
use zeroize::Zeroizing;

/// A session, by a small number given at its opening and never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(super) u64);

impl SessionId {
    /// The number, for a log line.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// TURN credentials that a client shows. They are checked by whoever made them.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown {
    /// As it was given.
    pub username: Zeroizing<String>,
    /// As it was given.
    pub password: Zeroizing<String>,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown(..)")
    }
}

/// News for the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// There is something to pull for this session. Said once until `poll_transmit` has said `false`.
    Wake(SessionId),
    /// A client asks for TURN credentials: answer with `grant_credentials` or `refuse_credentials`.
    CredentialsWanted {
        /// Who asks.
        session: SessionId,
        /// The client's number for the request.
        req: u32,
    },
    /// A client goes on with the TURN credentials of an earlier session, if they are good.
    CredentialsShown {
        /// Who shows them.
        session: SessionId,
        /// What is shown.
        shown: Box<Shown>,
    },
    /// The client goes and does not come back: what it was given ends. The session is still open.
    Left(SessionId),
    /// The session is over: pull what is left (the last frame is `Bye`), close the stream, `close_session`.
    Close {
        /// Which session.
        session: SessionId,
        /// Why.
        reason: Reason,
    },
}

/// The client broke the protocol: pull what is left (the last frame is `Bye`), close the stream,
/// `close_session`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Why, as the `Bye` says it.
    pub reason: Reason,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the client broke the protocol of the session ({:?})", self.reason)
    }
}

impl core::error::Error for Violation {}

/// Why no session was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenRefused {
    /// As many sessions are open as the node may have.
    TooManySessions,
}

impl fmt::Display for OpenRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManySessions => "the node has as many sessions as it may; try again when one has closed",
        })
    }
}

impl core::error::Error for OpenRefused {}
