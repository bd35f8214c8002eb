//! The files of the box's own state: `box.state`, `box.state.previous`, and what is kept aside.
//!
//! What to believe is decided by [`appliance_core::firstboot`]; here it is read and written, in an order that
//! leaves a whole copy whenever the power goes.

use crate::files;
use appliance_core::firstboot::{
    Board, BoardSource, BoxState, Copies, Copy, LARGEST_FILE, Lost, OpenError, Restored, Secrets, inspect,
    restore, seal,
};
use appliance_core::pki::{Identity, PkiFile, Stored, plan};
use rand_core::{CryptoRng, RngCore};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const CURRENT: &str = "box.state";
const PREVIOUS: &str = "box.state.previous";
const ASIDE: &str = "box.state.aside";
const DAMAGED: &str = "box.state.damaged";
/// The state of `bulle serve`, beside ours.
pub(super) const SERVE: &str = "serve";
const SERVE_ASIDE: &str = "serve.aside";
/// Largest file of the authority that is read.
const LARGEST_PKI: usize = 64 * 1024;

/// The state and where it is kept.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    board: Board,
    /// What the box goes on with.
    pub(super) state: BoxState,
    /// Whether it was made just now, or was another one at the last start: a card that is there is not its own.
    pub(super) new: bool,
    /// Why it is a new one although there was another, if so.
    pub(super) lost: Option<Lost>,
    /// Why it could not be written, if so. The box works until the power goes.
    pub(super) unwritten: Option<io::Error>,
}

impl Store {
    /// Reads the state, or makes a new one. Never fails: a box without a disk is still a box.
    pub(super) fn open<R: RngCore + CryptoRng>(dir: &Path, board: Board, rng: &mut R) -> Self {
        let read = |name: &str| files::read(&dir.join(name), LARGEST_FILE + 1).ok().flatten();
        let (current, previous, aside) = (read(CURRENT), read(PREVIOUS), read(ASIDE));
        let copies = Copies {
            current: current.as_ref().map(|bytes| bytes.as_slice()),
            previous: previous.as_ref().map(|bytes| bytes.as_slice()),
            aside: aside.as_ref().map(|bytes| bytes.as_slice()),
        };
        let (state, lost, new, done) = match restore(&copies, &board) {
            Restored::GoOn { state, from: Copy::Current } => {
                return Self::with(dir, board, state, None, false, Ok(()));
            }
            Restored::GoOn { state, from: Copy::Previous } => (state, None, false, Ok(())),
            Restored::GoOn { state, from: Copy::Aside } => {
                let done = come_back(dir);
                return Self::with(dir, board, state, None, true, done);
            }
            Restored::StartNew(lost) => {
                let state = BoxState::new(Secrets::generate(rng));
                (state, lost, true, lost.map_or(Ok(()), |lost| put_aside(dir, lost)))
            }
        };
        let done = done.and_then(|()| {
            // The copy that was not whole must not become the previous one.
            files::remove(&dir.join(CURRENT))?;
            write(dir, &state, &board, rng)
        });
        Self::with(dir, board, state, lost, new, done)
    }

    fn with(
        dir: &Path,
        board: Board,
        state: BoxState,
        lost: Option<Lost>,
        new: bool,
        done: io::Result<()>,
    ) -> Self {
        Self { dir: dir.to_owned(), board, state, new, lost, unwritten: done.err() }
    }

    /// Somebody has claimed the box: the invitation goes from every copy, and so does what was kept aside.
    pub(super) fn claim<R: RngCore + CryptoRng>(&mut self, rng: &mut R) {
        self.state.claim();
        let forget = |names: &[&str]| {
            names.iter().try_for_each(|name| files::remove(&self.dir.join(name)))?;
            remove_dir(&self.dir.join(SERVE_ASIDE))
        };
        // Twice, so that no copy with the invitation is left.
        let mut write = || (0..2).try_for_each(|_| write(&self.dir, &self.state, &self.board, rng));
        let written = write().or_else(|_| {
            // A full disk: what is to go anyhow makes room.
            forget(&[PREVIOUS, ASIDE, DAMAGED])?;
            write()
        });
        self.unwritten = written.and_then(|()| forget(&[ASIDE, DAMAGED])).err();
    }
}

fn write<R: RngCore + CryptoRng>(dir: &Path, state: &BoxState, board: &Board, rng: &mut R) -> io::Result<()> {
    let current = dir.join(CURRENT);
    // What may fail for want of room comes first, and has changed nothing then.
    let part = files::prepare(&current, &seal(state, board, rng), 0o600)?;
    // Between these two steps the previous copy is the only one, and it is whole.
    if current.exists() {
        files::rename(&current, &dir.join(PREVIOUS))?;
    }
    files::rename(&part, &current)
}

/// What another board or another version wrote is kept; what is torn is kept for who wants to look.
fn put_aside(dir: &Path, lost: Lost) -> io::Result<()> {
    let keep = match lost {
        Lost::Damaged => DAMAGED,
        Lost::OtherBoard | Lost::Newer => {
            // The authority first: as long as the state is there, this is done again after a power cut.
            let (serve, aside) = (dir.join(SERVE), dir.join(SERVE_ASIDE));
            if fs::read_dir(&serve).is_ok_and(|mut entries| entries.next().is_some()) {
                remove_dir(&aside)?;
                files::rename(&serve, &aside)?;
            }
            ASIDE
        }
    };
    let from = [CURRENT, PREVIOUS].map(|name| dir.join(name));
    if let Some(from) = from.iter().find(|path| path.exists()) {
        files::rename(from, &dir.join(keep))?;
    }
    files::remove(&dir.join(PREVIOUS))
}

/// The card is in its old board again: what was made in the other one, and never claimed, goes.
fn come_back(dir: &Path) -> io::Result<()> {
    let (serve, aside) = (dir.join(SERVE), dir.join(SERVE_ASIDE));
    if aside.exists() {
        remove_dir(&serve)?;
        files::rename(&aside, &serve)?;
    }
    files::remove(&dir.join(PREVIOUS))?;
    // Last, for it is what tells that this has to be done.
    files::rename(&dir.join(ASIDE), &dir.join(CURRENT))
}

fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
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

/// Looks at the files in a data directory without a board, and changes nothing.
#[must_use]
pub fn check(dir: &Path) -> Checked {
    let authority = match check_authority(&dir.join(SERVE)) {
        Ok(authority) => authority,
        Err(why) => return Checked::Damaged(why),
    };
    let mut broken = None;
    for name in [CURRENT, PREVIOUS] {
        match files::read(&dir.join(name), LARGEST_FILE + 1) {
            Ok(None) => {}
            Err(error) => broken = Some(format!("{name} cannot be read: {error}")),
            Ok(Some(bytes)) => match inspect(&bytes) {
                Ok(BoardSource::None) => {
                    return Checked::Whole(format!("{name}, bound to no board; {authority}"));
                }
                Ok(_) => return Checked::Whole(format!("{name}, sealed to a board; {authority}")),
                Err(error @ OpenError::Torn) => broken = broken.or(Some(format!("{name}: {error}"))),
                Err(error) => broken = Some(format!("{name}: {error}")),
            },
        }
    }
    broken.map_or(Checked::Empty, Checked::Damaged)
}

/// The authority of the page, by the same rules as when it is used.
fn check_authority(dir: &Path) -> Result<&'static str, String> {
    let read = |file: PkiFile| {
        files::read(&dir.join(file.name()), LARGEST_PKI)
            .map_err(|error| format!("{} cannot be read: {error}", file.name()))
    };
    let plain = |bytes: Option<Zeroizing<Vec<u8>>>| bytes.map(|bytes| bytes.to_vec());
    let stored = Stored {
        ca_certificate: plain(read(PkiFile::CaCertificate)?),
        ca_key: read(PkiFile::CaKey)?,
        leaf_certificate: plain(read(PkiFile::LeafCertificate)?),
        leaf_key: read(PkiFile::LeafKey)?,
    };
    // A key without its certificate is how a power cut leaves an authority that nobody has seen.
    if stored.ca_certificate.is_none() {
        return Ok("no authority yet");
    }
    let now = crate::clocks::BUILD_TIME;
    plan(&stored, &Identity::default(), now, now)
        .map(|_| "with its authority")
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::OsRng;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("bulle-store-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).expect("a directory");
            Self(dir)
        }

        fn open(&self, serial: &str) -> Store {
            Store::open(&self.0, board(serial), &mut OsRng)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn board(serial: &str) -> Board {
        Board::of([(BoardSource::DeviceTree, serial.as_bytes())])
    }

    #[test]
    fn a_box_is_the_same_after_a_restart_and_a_claim_is_for_good() {
        let dir = Dir::new("same");
        assert_eq!(check(&dir.0), Checked::Empty);
        let mut first = dir.open("serial-1");
        assert!(first.lost.is_none() && first.unwritten.is_none());
        assert!(matches!(check(&dir.0), Checked::Whole(_)));
        assert_eq!(dir.open("serial-1").state, first.state);
        first.claim(&mut OsRng);
        let again = dir.open("serial-1");
        assert!(again.state.is_claimed());
        assert_eq!(again.state.secrets.wifi_key, first.state.secrets.wifi_key);
        // Neither copy knows the invitation any more.
        fs::remove_file(dir.path(CURRENT)).expect("removed");
        assert!(dir.open("serial-1").state.is_claimed());
    }

    #[test]
    fn a_torn_file_gives_way_to_the_previous_one_and_is_repaired() {
        let dir = Dir::new("torn");
        let mut store = dir.open("serial-1");
        store.claim(&mut OsRng);
        let whole = fs::read(dir.path(CURRENT)).expect("a file");
        fs::write(dir.path(CURRENT), &whole[..whole.len() / 2]).expect("written");
        fs::write(dir.path("box.state.part"), b"half").expect("written");
        assert!(matches!(check(&dir.0), Checked::Whole(_)), "the previous one is whole");
        let again = dir.open("serial-1");
        assert_eq!((&again.state, again.lost), (&store.state, None));
        assert!(inspect(&fs::read(dir.path(CURRENT)).expect("a file")).is_ok(), "repaired");
    }

    #[test]
    fn without_a_whole_copy_the_box_is_new_and_says_so() {
        let dir = Dir::new("damaged");
        let first = dir.open("serial-1");
        fs::write(dir.path(CURRENT), b"").expect("written");
        assert!(matches!(check(&dir.0), Checked::Damaged(_)));
        let again = dir.open("serial-1");
        assert_eq!(again.lost, Some(Lost::Damaged));
        assert_ne!(again.state, first.state);
        assert!(dir.path(DAMAGED).exists());
        assert_eq!(dir.open("serial-1").state, again.state);
    }

    #[test]
    fn a_card_in_another_board_is_a_new_box_and_comes_back_in_the_old_one() {
        let dir = Dir::new("other");
        let authority = |name: &str| fs::read_to_string(dir.path(name).join("ca.crt")).ok();
        let first = dir.open("serial-1");
        fs::create_dir(dir.path(SERVE)).expect("made");
        fs::write(dir.path(SERVE).join("ca.crt"), "first").expect("written");

        let other = dir.open("serial-2");
        assert_eq!(other.lost, Some(Lost::OtherBoard));
        assert_ne!(other.state.secrets, first.state.secrets);
        assert_eq!((authority(SERVE), authority(SERVE_ASIDE).as_deref()), (None, Some("first")));
        fs::create_dir(dir.path(SERVE)).expect("made");
        fs::write(dir.path(SERVE).join("ca.crt"), "other").expect("written");
        assert_eq!(dir.open("serial-2").lost, None);

        let back = dir.open("serial-1");
        assert_eq!((&back.state, back.lost), (&first.state, None));
        assert_eq!((authority(SERVE).as_deref(), authority(SERVE_ASIDE)), (Some("first"), None));
        assert!(!dir.path(ASIDE).exists());
    }

    #[test]
    fn a_claim_in_the_new_board_forgets_the_old_one() {
        let dir = Dir::new("forgets");
        let first = dir.open("serial-1");
        let mut other = dir.open("serial-2");
        other.claim(&mut OsRng);
        assert!(!dir.path(ASIDE).exists());
        let back = dir.open("serial-1");
        assert_eq!(back.lost, Some(Lost::OtherBoard));
        assert_ne!(back.state, first.state);
    }

    #[test]
    fn a_disk_that_cannot_be_written_is_said_and_stops_nothing() {
        let dir = Dir::new("readonly");
        let missing = dir.path("not/there");
        let store = Store::open(&missing, board("serial-1"), &mut OsRng);
        assert!(store.unwritten.is_some());
        assert!(!store.state.is_claimed());
    }

    #[test]
    fn a_write_that_fails_changes_nothing() {
        let dir = Dir::new("fails");
        let mut store = dir.open("serial-1");
        let before = store.state.clone();
        // Stands in the way of what is written first.
        fs::create_dir(dir.path("box.state.part")).expect("made");
        store.claim(&mut OsRng);
        assert!(store.unwritten.is_some());
        assert_eq!(dir.open("serial-1").state, before);
        fs::remove_dir(dir.path("box.state.part")).expect("removed");
        store.claim(&mut OsRng);
        assert!(store.unwritten.is_none() && dir.open("serial-1").state.is_claimed());
    }

    #[test]
    fn a_damaged_authority_is_found() {
        let dir = Dir::new("authority");
        drop(dir.open("serial-1"));
        fs::create_dir(dir.path(SERVE)).expect("made");
        fs::write(dir.path(SERVE).join("ca.key"), "half of a key").expect("written");
        assert!(matches!(check(&dir.0), Checked::Whole(_)), "a power cut may leave that");
        fs::write(dir.path(SERVE).join("ca.crt"), "").expect("written");
        assert!(matches!(check(&dir.0), Checked::Damaged(_)));
    }
}
