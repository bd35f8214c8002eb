//! The files of the box's own state: `box.state`, `box.state.previous`, and what is kept aside.
//!
//! What to believe is decided by [`appliance_core::firstboot`]; here it is read and written, in an order that
//! leaves a whole copy whenever the power goes. Nothing else is kept on the partition, and nobody else writes to it.

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

#[cfg(test)]
mod tests {
    use super::*;
    use appliance_core::firstboot::ServedFile;
    use rand_core::OsRng;
    use zeroize::Zeroizing;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("bulle-store-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).expect("a directory");
            Self(dir)
        }

        fn place(&self) -> Place {
            let partition = Partition::new(self.0.clone(), false);
            Place { partition, dir: self.0.clone(), remains: None, damaged: false }
        }

        fn open(&self, serial: &str) -> Store {
            Store::open(self.place(), board(serial), &mut OsRng)
        }

        /// As on a disk whose file system was damaged, and of which this is left.
        fn open_damaged(&self, remains: &[u8]) -> Store {
            let path = self.0.with_extension("remains");
            fs::write(&path, remains).expect("written");
            let place = Place { remains: Some(path.clone()), damaged: true, ..self.place() };
            let store = Store::open(place, board("serial-1"), &mut OsRng);
            fs::remove_file(path).expect("removed");
            store
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
        let mut first = dir.open("serial-1");
        first.keep(served(), &mut OsRng);

        let mut other = dir.open("serial-2");
        assert_eq!(other.lost, Some(Lost::OtherBoard));
        assert_ne!(other.state.secrets, first.state.secrets);
        assert_eq!(other.state.served, Served::default(), "an authority of its own");
        other.keep(served(), &mut OsRng);
        assert_eq!(dir.open("serial-2").lost, None);

        let back = dir.open("serial-1");
        assert_eq!((&back.state, back.lost), (&first.state, None));
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
        fs::write(dir.path("file"), b"").expect("written");
        let place = Place { dir: dir.path("file/not"), ..dir.place() };
        let store = Store::open(place, board("serial-1"), &mut OsRng);
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
        assert!(
            store.state.is_claimed() && store.claim_is_unwritten(),
            "it counts as long as there is power"
        );
        assert_eq!(dir.open("serial-1").state, before);
        store.save(&mut OsRng);
        assert!(store.unwritten.is_some() && store.claim_is_unwritten());
        fs::remove_dir(dir.path("box.state.part")).expect("removed");
        store.save(&mut OsRng);
        assert!(store.unwritten.is_none() && !store.claim_is_unwritten());
        assert!(dir.open("serial-1").state.is_claimed());
        fs::remove_file(dir.path(CURRENT)).expect("removed");
        assert!(dir.open("serial-1").state.is_claimed(), "in both copies");
    }

    #[test]
    fn what_could_not_be_written_at_first_is_written_later() {
        let dir = Dir::new("later");
        fs::create_dir(dir.path("box.state.part")).expect("made");
        let mut store = dir.open("serial-1");
        assert!(store.unwritten.is_some() && !dir.path(CURRENT).exists());
        let kept = served();
        store.keep(kept.clone(), &mut OsRng);
        assert!(store.unwritten.is_some() && !store.claim_is_unwritten());
        fs::remove_dir(dir.path("box.state.part")).expect("removed");
        store.save(&mut OsRng);
        assert!(store.unwritten.is_none());
        let again = dir.open("serial-1");
        assert_eq!((&again.state, &again.state.served), (&store.state, &kept));
        // With nothing to do, nothing is written.
        let writes = store.state.writes;
        store.save(&mut OsRng);
        assert_eq!(store.state.writes, writes);
    }

    #[test]
    fn an_authority_is_in_both_copies_and_a_new_certificate_of_it_in_one() {
        let dir = Dir::new("authority");
        let mut store = dir.open("serial-1");
        let kept = served();
        store.keep(kept.clone(), &mut OsRng);
        assert_eq!(store.state.writes, 3);
        fs::remove_file(dir.path(CURRENT)).expect("removed");
        let mut again = dir.open("serial-1");
        assert_eq!(again.state.served, kept);
        let mut later = kept;
        assert!(later.put(ServedFile::Clock, Zeroizing::new(b"1800000001\n".to_vec())));
        let writes = again.state.writes;
        again.keep(later.clone(), &mut OsRng);
        assert_eq!(again.state.writes, writes + 1);
        assert_eq!(dir.open("serial-1").state.served, later);
    }

    #[test]
    fn the_state_is_found_on_a_damaged_disk_and_written_again() {
        let dir = Dir::new("salvage");
        let mut store = dir.open("serial-1");
        let mut disk = vec![0xa5; 3 << 20];
        let mut lay = |block: usize| {
            let bytes = fs::read(dir.path(CURRENT)).expect("a file");
            disk[block * 1024..block * 1024 + bytes.len()].copy_from_slice(&bytes);
        };
        lay(5);
        store.keep(served(), &mut OsRng);
        // Over the seam between two windows.
        lay(1022);
        fs::remove_file(dir.path(PREVIOUS)).expect("removed");
        fs::write(dir.path(CURRENT), "noise").expect("written");
        let found = dir.open_damaged(&disk);
        assert!(found.salvaged && !found.new && found.lost.is_none());
        assert_eq!(BoxState { writes: store.state.writes, ..found.state.clone() }, store.state);
        let again = dir.open("serial-1");
        assert_eq!((&again.state, again.salvaged), (&found.state, false));
    }

    #[test]
    fn a_damaged_disk_without_a_state_is_a_new_box_and_says_so() {
        let dir = Dir::new("unreadable");
        let store = dir.open_damaged(&[0xa5; 1 << 20]);
        assert!(store.new && !store.salvaged);
        assert_eq!(store.lost, Some(Lost::Unreadable));
        assert_eq!(dir.open("serial-1").state, store.state);
    }

    #[test]
    fn after_the_claim_no_block_of_any_copy_holds_the_invitation() {
        let dir = Dir::new("overwritten");
        drop(dir.open("serial-1"));
        // A second name for the same blocks: what becomes of them when the file is gone.
        let blocks = dir.path("blocks");
        fs::hard_link(dir.path(CURRENT), &blocks).expect("linked");
        let unclaimed = fs::read(&blocks).expect("read");
        let mut store = dir.open("serial-1");
        store.claim(&mut OsRng);
        assert_eq!(fs::read(&blocks).expect("read"), vec![0; unclaimed.len()]);
    }

    #[test]
    fn a_state_that_is_bound_to_no_board_is_opened_to_be_checked() {
        let dir = Dir::new("checked");
        let mut store = Store::open(dir.place(), Board::without_serial(), &mut OsRng);
        let said = check(&dir.0).to_string();
        assert!(said.ends_with("write 1, not claimed, no authority yet"), "{said}");
        store.keep(served(), &mut OsRng);
        store.claim(&mut OsRng);
        let said = check(&dir.0).to_string();
        assert!(said.contains("write 5, claimed, authority ") && said.contains(':'), "{said}");
    }

    /// An authority and its certificate, as a daemon makes them.
    fn served() -> Served {
        use appliance_core::names::DnsName;
        use appliance_core::pki::{Identity, Stored, plan};
        let names = DnsName::parse("bulle.internal").into_iter().collect();
        let now = base::UnixSeconds(1_800_000_000);
        let plan = plan(&Stored::default(), &Identity { names, ..Identity::default() }, now, now);
        let mut served = Served::default();
        for write in plan.expect("an authority").writes {
            assert!(served.put(ServedFile::Pki(write.file), write.contents));
        }
        served
    }
}
