//! Which of the copies on the data partition to go on with, and what to do when it is none.

use super::BoxState;
use super::seal::{Board, OpenError, open};
use std::fmt;

/// The files that were found, whatever is in them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Copies<'a> {
    /// `state`
    pub current: Option<&'a [u8]>,
    /// `state.previous`: as it was before the last change.
    pub previous: Option<&'a [u8]>,
    /// `state.aside`: of the board that this card was in before.
    pub aside: Option<&'a [u8]>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// `state`
    Current,
    /// `state.previous`
    Previous,
    /// `state.aside`
    Aside,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restored {
    /// Go on with this state. From another copy than the current one, it has to be written again.
    GoOn {
        /// The state.
        state: BoxState,
        /// Where it was.
        from: Copy,
    },
    /// Start as a new box.
    StartNew(Option<Lost>),
}

/// Why a box that had a state starts as a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// This card comes from another board. What is on it is kept aside.
    OtherBoard,
    /// No copy is whole. What is left is kept aside.
    Damaged,
    /// A newer version wrote it. It is kept aside.
    Newer,
    /// The disk was damaged, and there is no copy on it. Nobody knows whether there was one.
    Unreadable,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherBoard => {
                "This card was used in another board. It now is a new box with new secrets; put it back into the \
                 other board, and that box is there again, until this one has been claimed."
            }
            Self::Damaged => {
                "The secrets of this box were damaged and have been made anew: phones have to join again with \
                 the new key. If this happens twice, replace the card."
            }
            Self::Newer => {
                "A newer version of Bulle has written the secrets of this box, and this one cannot read them. \
                 It starts as a new box; with the newer version the old one is there again."
            }
            Self::Unreadable => {
                "The disk of this box was damaged. If the box was in use before, nothing of it could be saved, and it \
                 is a new box with new secrets now: phones have to join again with the new key. If this happens \
                 twice, replace the disk."
            }
        })
    }
}

/// Looks at the copies, the current one first.
#[must_use]
pub fn restore(copies: &Copies<'_>, board: &Board) -> Restored {
    let mut lost = None;
    for (from, file) in
        [(Copy::Current, copies.current), (Copy::Previous, copies.previous), (Copy::Aside, copies.aside)]
    {
        let Some(file) = file else { continue };
        match open(file, board) {
            Ok(state) => return Restored::GoOn { state, from },
            // A card with only an older board's state aside is simply new here.
            Err(_) if from == Copy::Aside => {}
            Err(error) => lost = lost.max(Some(Severity::of(error))),
        }
    }
    Restored::StartNew(lost.map(Severity::lost))
}

/// What the owner hears when the copies fail for different reasons: the one that explains more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Damaged,
    Newer,
    OtherBoard,
}

impl Severity {
    const fn of(error: OpenError) -> Self {
        match error {
            OpenError::Torn | OpenError::Damaged => Self::Damaged,
            OpenError::Version(_) => Self::Newer,
            OpenError::OtherBoard => Self::OtherBoard,
        }
    }

    const fn lost(self) -> Lost {
        match self {
            Self::Damaged => Lost::Damaged,
            Self::Newer => Lost::Newer,
            Self::OtherBoard => Lost::OtherBoard,
        }
    }
}
