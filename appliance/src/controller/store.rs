//! The files of the box's own state: `box.state`, `box.state.previous`, and what is kept aside.
//!
//! What to believe is decided by [`appliance_core::firstboot`]; here it is read and written, in an order that
//! leaves a whole copy whenever the power goes. Nothing else is kept on the partition, and nobody else writes to it.

#[cfg(test)]
mod tests;

use super::partition::Partition;
use super::salvage::salvage;
use super::world::World;
use crate::files;
use appliance_core::firstboot::{
    Board, BoardSource, BoxState, Copies, Copy, LARGEST_FILE, Lost, OpenError, Restored, Secrets, Served,
    inspect, open, restore, seal,
};
use rand_core::{CryptoRng, RngCore};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const CURRENT: &str = "box.state";
const PREVIOUS: &str = "box.state.previous";
const ASIDE: &str = "box.state.aside";
const DAMAGED: &str = "box.state.damaged";

/// Where the state is kept, and where else it may be found.
#[derive(Debug)]
pub(super) struct Place {
    partition: Partition,
    dir: PathBuf,
    /// What is left of the partition as it was before it was found to be damaged.
    remains: Option<PathBuf>,
    /// Whether it was found to be damaged.
    damaged: bool,
}

impl Place {
    /// On the data partition.
    #[must_use]
    pub(super) fn of(world: &World) -> Self {
        let word = world.data_word();
        let copy = Some(world.data_remains()).filter(|copy| copy.exists());
        Self {
            partition: Partition::new(world.data_partition(), world.is_real()),
            dir: world.data(),
            // One that was made just now was empty before.
            remains: copy.or_else(|| world.data_device()).filter(|_| word != "made"),
            damaged: word == "repaired" || word == "rebuilt",
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// The state and where it is kept.
#[derive(Debug)]
pub(super) struct Store {
    place: Place,
    board: Board,
    /// What the box goes on with.
    pub(super) state: BoxState,
    /// Whether it was made just now, or was another one at the last start: a card that is there is not its own.
    pub(super) new: bool,
    /// Why it is a new one although there was another, if so.
    pub(super) lost: Option<Lost>,
    /// Whether it was found on a damaged disk by looking through all of it.
    pub(super) salvaged: bool,
    /// Why it could not be written, if so. The box works until the power goes, and [`Store::save`] tries again.
    pub(super) unwritten: Option<io::Error>,
    todo: Todo,
}

/// What is to be done to the files, so that they say what is true. Each can be done again after it failed halfway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Todo {
    Nothing,
    /// What was kept aside counts again.
    ComeBack,
    /// A state is to be written that was not in its place, after what is there instead has been put aside.
    New(Option<Lost>),
    /// The daemon has new files; how many copies are to hold them.
    Served(u8),
    /// The invitation is to go from every copy, and so is what was kept aside.
    Claim,
}

impl Store {
    /// Reads the state, or makes a new one. Never fails: a box without a disk is still a box.
    pub(super) fn open<R: RngCore + CryptoRng>(place: Place, board: Board, rng: &mut R) -> Self {
        let read = |name: &str| files::read(&place.file(name), LARGEST_FILE + 1).ok().flatten();
        let (current, previous, aside) = (read(CURRENT), read(PREVIOUS), read(ASIDE));
        let copies = Copies {
            current: current.as_ref().map(|bytes| bytes.as_slice()),
            previous: previous.as_ref().map(|bytes| bytes.as_slice()),
            aside: aside.as_ref().map(|bytes| bytes.as_slice()),
        };
        let found = restore(&copies, &board);
        let saved = match found {
            // Not those of another board or version, which are whole.
            Restored::StartNew(None | Some(Lost::Damaged)) => {
                place.remains.as_ref().and_then(|remains| salvage(remains, &board))
            }
            Restored::GoOn { .. } | Restored::StartNew(_) => None,
        };
        let salvaged = saved.is_some();
        let (state, from, lost) = match (saved, found) {
            (Some(state), _) => (state, None, None),
            (None, Restored::GoOn { state, from }) => (state, Some(from), None),
            (None, Restored::StartNew(lost)) => {
                let lost = lost.or(place.damaged.then_some(Lost::Unreadable));
                (BoxState::new(Secrets::generate(rng)), None, lost)
            }
        };
        let new = !salvaged && matches!(from, None | Some(Copy::Aside));
        let todo = match from {
            Some(Copy::Current) => Todo::Nothing,
            Some(Copy::Aside) => Todo::ComeBack,
            Some(Copy::Previous) | None => Todo::New(lost),
        };
        let mut store = Self { place, board, state, new, lost, salvaged, unwritten: None, todo };
        store.save(rng);
        store
    }

    /// Somebody has claimed the box. That counts from now on, whether or not it can be written yet.
    pub(super) fn claim<R: RngCore + CryptoRng>(&mut self, rng: &mut R) {
        self.state.claim();
        self.todo = Todo::Claim;
        self.save(rng);
    }

    /// Does to the files what is to be done, if anything is.
    pub(super) fn save<R: RngCore + CryptoRng>(&mut self, rng: &mut R) {
        let Self { place, board, state, .. } = self;
        let done = match self.todo {
            Todo::Nothing => Ok(()),
            Todo::ComeBack => place.partition.writable(|| come_back(place)),
            Todo::New(lost) => place.partition.writable(|| {
                if let Some(lost) = lost {
                    put_aside(place, lost)?;
                }
                // The copy that was not whole must not become the previous one.
                files::remove(&place.file(CURRENT))?;
                write(place, state, board, rng)
            }),
            Todo::Served(copies) => {
                let write = || (0..copies).try_for_each(|_| write(place, state, board, rng));
                place.partition.writable(write)
            }
            Todo::Claim => self.write_claim(rng),
        };
        self.unwritten = done.err();
        if self.unwritten.is_none() {
            self.todo = Todo::Nothing;
        }
    }

    fn write_claim<R: RngCore + CryptoRng>(&mut self, rng: &mut R) -> io::Result<()> {
        let Self { place, board, state, .. } = self;
        let forget = |names: &[&str]| {
            names.iter().try_for_each(|name| {
                files::overwrite(&place.file(name));
                files::remove(&place.file(name))
            })
        };
        place.partition.writable(|| {
            // Twice, so that no copy with the invitation is left.
            let mut write_both = || (0..2).try_for_each(|_| write(place, state, board, rng));
            let written = write_both().or_else(|_| {
                // A full disk: what is to go anyhow makes room.
                forget(&[PREVIOUS, ASIDE, DAMAGED])?;
                write_both()
            });
            written.and_then(|()| forget(&[ASIDE, DAMAGED]))
        })
    }

    /// The daemon has new files.
    pub(super) fn keep<R: RngCore + CryptoRng>(&mut self, served: Served, rng: &mut R) {
        // Phones trust the authority, so that it has to be in both copies.
        let copies = if served.fingerprint() == self.state.served.fingerprint() { 1 } else { 2 };
        self.state.served = served;
        self.todo = match self.todo {
            Todo::Nothing => Todo::Served(copies),
            Todo::Served(before) => Todo::Served(before.max(copies)),
            // The whole of it is written in the place of what would come back.
            Todo::ComeBack => Todo::New(None),
            other @ (Todo::New(_) | Todo::Claim) => other,
        };
        self.save(rng);
    }

    /// Whether the box was claimed and that stands nowhere yet.
    pub(super) const fn claim_is_unwritten(&self) -> bool {
        matches!(self.todo, Todo::Claim)
    }
}

fn write<R: RngCore + CryptoRng>(
    place: &Place,
    state: &mut BoxState,
    board: &Board,
    rng: &mut R,
) -> io::Result<()> {
    let (current, previous) = (place.file(CURRENT), place.file(PREVIOUS));
    if !place.dir.is_dir() {
        fs::create_dir_all(&place.dir)?;
        File::open(place.partition.dir())?.sync_all()?;
    }
    // Left by a power cut; it may know more than we do by now.
    files::overwrite(&files::beside(&current, files::PART));
    state.writes = state.writes.saturating_add(1);
    // What may fail for want of room comes first, and has changed nothing then.
    let part = files::prepare(&current, &seal(state, board, rng), 0o600)?;
    if current.exists() {
        // The current copy is whole until the next step, and nothing finds this one's content any more.
        files::overwrite(&previous);
        // From here to the last step the previous copy is the only one, and it is whole.
        files::rename(&current, &previous)?;
    }
    files::rename(&part, &current)
}

/// What another board or another version wrote is kept; what is torn is kept for who wants to look.
fn put_aside(place: &Place, lost: Lost) -> io::Result<()> {
    let keep = match lost {
        Lost::Damaged | Lost::Unreadable => DAMAGED,
        Lost::OtherBoard | Lost::Newer => ASIDE,
    };
    let from = [CURRENT, PREVIOUS].map(|name| place.file(name));
    if let Some(from) = from.iter().find(|path| path.exists()) {
        files::rename(from, &place.file(keep))?;
    }
    files::remove(&place.file(PREVIOUS))
}

/// The card is in its old board again: what was made in the other one, and never claimed, goes.
fn come_back(place: &Place) -> io::Result<()> {
    files::remove(&place.file(PREVIOUS))?;
    // Last, for it is what tells that this has to be done.
    files::rename(&place.file(ASIDE), &place.file(CURRENT))
}

/// The board that this runs on.
#[must_use]
pub(super) fn board(sys: &Path) -> Board {
    let read = |path: &str| files::read(&sys.join(path), 256).ok().flatten().unwrap_or_default();
    let found = [
        (BoardSource::DeviceTree, read("firmware/devicetree/base/serial-number")),
        (BoardSource::Dmi, read("class/dmi/id/board_serial")),
        (BoardSource::Dmi, read("class/dmi/id/product_serial")),
    ];
    Board::of(found.iter().map(|(source, bytes)| (*source, bytes.as_slice())))
}

/// What `bulle box check-state` finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// A whole state.
    Whole(String),
    /// None was ever written, and nothing is in its way.
    Empty,
    /// There is something, and it is not whole.
    Damaged(String),
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(what) => write!(f, "whole: {what}"),
            Self::Empty => f.write_str("empty: this box has not started yet"),
            Self::Damaged(what) => write!(f, "damaged: {what}"),
        }
    }
}

/// Looks at the files in a data directory without its board, and changes nothing. What is sealed to a board is only
/// seen to be whole; the rest is opened as at the next start.
#[must_use]
pub fn check(dir: &Path) -> Checked {
    let mut broken = None;
    for name in [CURRENT, PREVIOUS] {
        let found = match files::read(&dir.join(name), LARGEST_FILE + 1) {
            Ok(None) => continue,
            Ok(Some(bytes)) => check_file(&bytes),
            Err(error) => {
                broken = Some(format!("{name} cannot be read: {error}"));
                continue;
            }
        };
        match found {
            Ok(what) => return Checked::Whole(format!("{name}, {what}")),
            Err(error @ OpenError::Torn) => broken = broken.or(Some(format!("{name}: {error}"))),
            Err(error) => broken = Some(format!("{name}: {error}")),
        }
    }
    broken.map_or(Checked::Empty, Checked::Damaged)
}

fn check_file(bytes: &[u8]) -> Result<String, OpenError> {
    if inspect(bytes)? != BoardSource::None {
        return Ok("sealed to a board".to_owned());
    }
    let state = open(bytes, &Board::without_serial())?;
    let authority = match state.served.fingerprint() {
        // What was kept was complete, so anything else is damage that no checksum has noticed.
        Some(fingerprint) if state.served.is_settled() => format!("authority {fingerprint}"),
        Some(_) => return Err(OpenError::Damaged),
        None => "no authority yet".to_owned(),
    };
    let claimed = if state.is_claimed() { "claimed" } else { "not claimed" };
    Ok(format!("bound to no board; write {}, {claimed}, {authority}", state.writes))
}
