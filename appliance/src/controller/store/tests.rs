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
    assert!(store.state.is_claimed() && store.claim_is_unwritten(), "it counts as long as there is power");
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
