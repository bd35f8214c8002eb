//! Every word that a person reads, except the first screen, which stands in `index.html`.
//!
//! One constant or function per text, none of them put together elsewhere, so that they can move to Fluent files
//! when other languages come.

use client_core::{CommandError, DeliveryState, FailReason, NewError, Notice, Path};
use wire::InviteError;

use crate::model::Link;

pub use gate::*;
pub use people::*;
pub use talk::*;

/// The name of the program and, always, the title of the page.
pub const NAME: &str = "Bulle";
/// What it is.
pub const TAGLINE: &str =
    "Write to the people around you. No Internet, no account, and only they can read it.";
/// Leads to the page that tests what works on this device.
pub const TEST_PHONE: &str = "Test this phone";
/// Closes a notice or a panel.
pub const CLOSE: &str = "Close";

#[allow(missing_docs, reason = "the texts say what they are")]
mod gate {
    pub const INVITED: &str = "You have an invitation";
    pub const NEW_BUBBLE: &str = "A new bubble";
    pub const ENTER: &str = "Join a bubble";
    pub const LINK_LABEL: &str = "Invitation link";
    pub const LINK_HINT: &str = "Scan the invitation with your camera, or paste its link here.";
    pub const PSEUDONYM_LABEL: &str = "Your name here";
    pub const PSEUDONYM_HINT: &str = "The others see it, the box does not. It need not be your real name.";
    pub const JOIN: &str = "Join";
    pub const JOINING: &str = "Making your keys…";
    pub const CREATE: &str = "Start it";
    pub const BROADCAST: &str = "Hide who writes to whom, and when";
    pub const BROADCAST_HINT: &str = "Every device then sends something to all the others every two seconds, so that not even the box can tell. Messages take seconds instead of moments, and nothing goes directly from device to device. For up to 32 people.";
    pub const OR: &str = "or";
    pub const START: &str = "Start a new bubble";
    pub const BACK_TO_LINK: &str = "I have an invitation";
    pub const OTHER_LINK: &str = "Use another invitation";
    pub const FORGETS: &str = "This version keeps nothing: when you close or reload this page, your messages and your name are gone from this device.";
    pub const GO_THERE: &str = "Open it there";
    pub const USE_HERE: &str = "It is the same box: use it here";
    pub const LEFT: &str = "You have left the bubble";
    pub const LEFT_TEXT: &str =
        "Nothing of it is kept on this device. To come back, open an invitation again.";
    pub const AGAIN: &str = "Back to the start";

    pub fn elsewhere(origin: &str) -> String {
        format!("This invitation is for another address, {origin}.")
    }
}

#[allow(missing_docs, reason = "the texts say what they are")]
mod people {
    pub const PEOPLE: &str = "People here";
    pub const YOU: &str = "You";
    pub const INVITE: &str = "Invite";
    pub const INVITE_TITLE: &str = "Invite somebody";
    pub const INVITE_TEXT: &str = "Let them scan this with their phone's camera, on the same Wi-Fi or network. Whoever has it can join.";
    pub const INVITE_LINK: &str = "Invitation link";
    pub const QR: &str = "QR code of the invitation link";
    pub const COPY: &str = "Copy";
    pub const COPIED: &str = "Copied";
    pub const COPY_FAILED: &str = "Select the link and copy it by hand";
    pub const ALONE: &str = "Nobody else is here yet";
    pub const ALONE_TEXT: &str = "Invite somebody: they appear here as soon as they have joined.";
    pub const ALONE_OFFLINE: &str = "Who is here shows as soon as the box answers.";
    pub const GONE: &str = "Not here any more";
    pub const HERE: &str = "Here now";
    pub const LEAVE: &str = "Leave the bubble";
    pub const LEAVE_SURE: &str =
        "Leave now? Your messages are gone from this device, and the invitation too.";
    pub const LEAVE_YES: &str = "Leave";
    pub const LEAVE_NO: &str = "Stay";

    pub fn unread(count: u32) -> String {
        if count == 1 { "1 new message".to_owned() } else { format!("{count} new messages") }
    }

    pub fn waiting(count: u32) -> String {
        if count == 1 {
            "1 message has not arrived yet. Keep this page open.".to_owned()
        } else {
            format!("{count} messages have not arrived yet. Keep this page open.")
        }
    }
}

#[allow(missing_docs, reason = "the texts say what they are")]
mod talk {
    pub const BACK: &str = "Back to the people";
    pub const MESSAGES: &str = "Messages";
    pub const MESSAGE: &str = "Message";
    pub const SEND: &str = "Send";
    pub const KEYS: &str = "Enter sends, Shift and Enter begin a new line.";
    pub const LATEST: &str = "Newest messages";
    pub const CUT: &str = "Older messages are not shown any more.";
    pub const NOBODY_OPEN: &str = "Choose somebody to write to.";
    pub const MINE: &str = "You wrote:";
    pub const THEIRS: &str = "They wrote:";
    pub const TOO_LONG: &str = "This is too long for one message. Split it.";

    pub const VERIFY: &str = "Compare safety numbers";
    pub const VERIFIED: &str = "Verified";
    pub const SAFETY: &str = "Safety number";
    pub const SAFETY_QR: &str = "The safety number as a QR code";
    pub const SAME: &str = "It is the same";
    pub const DIFFERENT: &str = "It differs";

    pub fn safety(name: &str) -> String {
        format!(
            "Look at this number together with {name}, on both screens, or read it to each other over another line. If it is the same, nobody stands between your devices."
        )
    }

    pub fn first(name: &str) -> String {
        format!("What you and {name} write is encrypted between your two devices. The box cannot read it.")
    }
}

/// The connection to the box.
pub const fn link(link: Link) -> &'static str {
    match link {
        Link::Up => "Connected to the box",
        Link::Connecting => "Connecting to the box…",
        Link::Down => "No contact with the box, trying again",
    }
}

/// How messages go.
pub const fn path(path: Path) -> &'static str {
    match path {
        Path::Direct => "Direct: from your device to theirs",
        Path::Relayed => "Relayed by the box, encrypted",
        Path::Mailbox => "Through the box’s mailbox, encrypted",
        Path::Broadcast => "To everybody’s device at once, encrypted: the box cannot tell for whom",
        Path::None => "No path now: will be sent when one is back",
    }
}

/// How a message fares.
pub const fn delivery(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Pending => "On its way",
        DeliveryState::Deposited => "Waiting in the box",
        DeliveryState::Delivered => "Delivered",
        DeliveryState::Failed { why: FailReason::PeerLeft } => "Not delivered: they have left",
        DeliveryState::Failed { why: FailReason::Encryption } => "Not delivered: it could not be encrypted",
        DeliveryState::Failed { .. } => "Not delivered",
    }
}

/// Why an invitation cannot be used.
pub const fn invitation(why: InviteError) -> &'static str {
    match why {
        InviteError::Missing => {
            "The invitation is missing. Copy the whole link, with what stands after the #."
        }
        InviteError::Damaged => {
            "This invitation is damaged or incomplete. Scan it again, or copy the whole link."
        }
        InviteError::Version => "This invitation was made by another version of Bulle. Ask for a new one.",
        InviteError::NotHttps => "This link does not begin with https://. Ask for the invitation again.",
        _ => "This invitation cannot be used. Ask for a new one.",
    }
}

/// Why joining did not work.
pub const fn join(why: NewError) -> &'static str {
    match why {
        NewError::PseudonymEmpty => "Choose a name first.",
        NewError::PseudonymTooLong => "This name is too long: 64 characters at most.",
        NewError::PseudonymCharacter => "A character of this name cannot be shown. Leave it out.",
        NewError::Keys => "Your keys could not be made. Load the page again.",
        _ => "Joining did not work. Load the page again.",
    }
}

/// Why a message was not taken.
pub const fn not_sent(why: CommandError) -> &'static str {
    match why {
        CommandError::UnknownPeer | CommandError::PeerLeft => {
            "This person has left the bubble. Nothing was sent."
        }
        CommandError::TextEmpty => "There is nothing to send.",
        CommandError::TextTooLong => TOO_LONG,
        CommandError::OutboxFull => {
            "Too many messages wait to be sent. Wait until some have arrived, then send this one again."
        }
        CommandError::Left => "You have left the bubble. Nothing was sent.",
        CommandError::Encryption => "The message could not be encrypted for this person. Nothing was sent.",
        _ => "The message was not sent.",
    }
}

/// What the client has to say; `name` is of the person that it is about.
pub fn notice(notice: Notice, name: &str) -> String {
    match notice {
        Notice::NodeFull { .. } => {
            "The box is full. Your messages wait on this device and are sent when there is room.".to_owned()
        }
        Notice::PeerMailboxFull { .. } => {
            format!("The mailbox of {name} is full. Your messages wait on this device until there is room.")
        }
        Notice::TooFast { .. } => {
            "That was faster than the box allows. It is sent a little later.".to_owned()
        }
        Notice::NodeRestarted => {
            "The box was restarted. Whatever had not arrived is being sent again; nothing is lost.".to_owned()
        }
        Notice::InboxTakenOver => {
            "This session is used from another window too. Close one of the two.".to_owned()
        }
        Notice::Impersonation { .. } => {
            format!("Somebody tried to pass as {name}. What they sent was ignored.")
        }
        Notice::Unreadable { .. } => {
            format!("A message of {name} could not be decrypted. Their device sends it again.")
        }
        Notice::Missing { count: 1, .. } => format!("A message of {name} is missing and will not come."),
        Notice::Missing { count, .. } => format!("{count} messages of {name} are missing and will not come."),
        Notice::OtherDevice { .. } => {
            format!(
                "Somebody here is called {name}, as a person whom you verified, but it is another device. Compare safety numbers before you trust it."
            )
        }
        Notice::DirectoryFull => "There are more people here than can be shown.".to_owned(),
        Notice::OtherVersion => {
            "Somebody here uses another version of Bulle, which this one cannot talk to. Reload both pages."
                .to_owned()
        }
        Notice::NodeMalformed => {
            "The box speaks another version than this page. Load the page again.".to_owned()
        }
        Notice::OtherBox => {
            "This is not the box of your invitation. Ask who invited you, unless you know why.".to_owned()
        }
        _ => "Something unexpected happened. Nothing was lost.".to_owned(),
    }
}

/// A link to some bubble was opened while in one.
pub const ALREADY_INSIDE: &str =
    "You are in a bubble already. To enter another one, open its link in a new window.";
