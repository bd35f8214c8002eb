use super::*;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn state(seed: u64) -> BoxState {
    BoxState { served: served(seed), ..BoxState::new(Secrets::generate(&mut rng(seed))) }
}

/// An authority of its own for each seed, made once: that takes a while.
pub(super) fn served(seed: u64) -> Served {
    use crate::names::DnsName;
    use crate::pki::{Identity, Stored, plan};
    use base::UnixSeconds;
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    static MADE: Mutex<BTreeMap<u64, Served>> = Mutex::new(BTreeMap::new());
    let make = || {
        let now = UnixSeconds(1_800_000_000);
        let names = DnsName::parse("bulle.internal").into_iter().collect();
        let identity = Identity { names, ..Identity::default() };
        let plan = plan(&Stored::default(), &identity, now, now).expect("an authority");
        let mut served = Served::default();
        for write in &plan.writes {
            assert!(served.put(ServedFile::Pki(write.file), write.contents.clone()));
        }
        served
    };
    MADE.lock().expect("a lock").entry(seed).or_insert_with(make).clone()
}

fn board(serial: &str) -> Board {
    Board::of([(BoardSource::DeviceTree, serial.as_bytes())])
}

#[test]
fn a_state_opens_on_its_board_and_on_no_other() {
    let mine = board("10000000abcdef01\0");
    let file = seal(&state(1), &mine, &mut rng(2));
    assert!(file.len() <= LARGEST_FILE);
    assert_eq!(inspect(&file), Ok(BoardSource::DeviceTree));
    assert_eq!(open(&file, &mine), Ok(state(1)));
    assert_eq!(open(&file, &board("10000000abcdef02")), Err(OpenError::OtherBoard));
    assert_eq!(open(&file, &Board::without_serial()), Err(OpenError::OtherBoard));
    let dmi = Board::of([(BoardSource::Dmi, b"10000000abcdef01".as_slice())]);
    assert_eq!(open(&file, &dmi), Err(OpenError::OtherBoard));
}

#[test]
fn a_sealed_file_shows_no_secret_and_is_never_the_same_twice() {
    let (state, board) = (state(1), board("10000000abcdef01"));
    let file = seal(&state, &board, &mut rng(2));
    let key = state.secrets.wifi_key.as_bytes();
    assert!(!file.windows(key.len()).any(|window| window == key));
    assert!(!file.windows(16).any(|window| window == b"10000000abcdef01"));
    assert_ne!(file, seal(&state, &board, &mut rng(3)));
}

#[test]
fn a_file_cut_anywhere_is_torn_and_so_is_one_with_any_changed_bit() {
    let board = board("10000000abcdef01");
    let file = seal(&state(1), &board, &mut rng(2));
    for end in 0..file.len() {
        assert_eq!(open(&file[..end], &board), Err(OpenError::Torn), "{end}");
    }
    for at in 0..file.len() {
        let mut changed = file.to_vec();
        changed[at] ^= 1 << (at % 8);
        assert_eq!(open(&changed, &board), Err(OpenError::Torn), "{at}");
    }
    // What a card gives back for blocks that it lost.
    let mut zeros = file.to_vec();
    zeros[64..].fill(0);
    assert_eq!(open(&zeros, &board), Err(OpenError::Torn));
    assert_eq!(open(&[file.as_slice(), b"x"].concat(), &board), Err(OpenError::Torn));
}

#[test]
fn who_meddles_and_repairs_the_checksum_is_noticed_by_the_cipher() {
    use sha2::{Digest, Sha256};
    let board = board("10000000abcdef01");
    let file = seal(&state(1), &board, &mut rng(2));
    let meddled = |at: usize, to: u8| {
        let mut content = file[..file.len() - 32].to_vec();
        content[at] = to;
        let checksum = Sha256::digest(&content);
        content.extend(checksum);
        open(&content, &board)
    };
    assert_eq!(meddled(file.len() - 40, !file[file.len() - 40]), Err(OpenError::Damaged));
    assert_eq!(meddled(8, 2), Err(OpenError::Version(2)));
    assert_eq!(meddled(9, 9), Err(OpenError::Damaged));
    assert_eq!(meddled(10, !file[10]), Err(OpenError::OtherBoard));
    assert_eq!(meddled(71, !file[71]), Err(OpenError::Damaged));
    assert_eq!(meddled(0, b'B'), Err(OpenError::Torn));
}

#[test]
fn placeholders_are_no_serials() {
    let of = |serial: &str| Board::of([(BoardSource::Dmi, serial.as_bytes())]).source();
    for none in [
        "",
        "\0",
        "   ",
        "To be filled by O.E.M.",
        "Default string\n",
        "00000000",
        "0",
        "abc",
        "N/A",
        "a\tb c",
    ] {
        assert_eq!(of(none), BoardSource::None, "{none}");
    }
    assert_eq!(of("BTKB1234\n"), BoardSource::Dmi);
    let first = Board::of([
        (BoardSource::DeviceTree, b"0000000000000000\0".as_slice()),
        (BoardSource::Dmi, b"Default string".as_slice()),
        (BoardSource::Dmi, b"PF2ABCDE".as_slice()),
    ]);
    assert_eq!(first, Board::of([(BoardSource::Dmi, b"PF2ABCDE\n".as_slice())]));
    assert_eq!(format!("{first:?}"), "Board { source: Dmi, .. }");
}

#[test]
fn the_current_copy_is_used_then_the_previous_one_then_one_that_came_back() {
    let mine = board("10000000abcdef01");
    let other = board("10000000abcdef02");
    let (new, old) = (seal(&state(1), &mine, &mut rng(2)), seal(&state(3), &mine, &mut rng(4)));
    let foreign = seal(&state(5), &other, &mut rng(6));
    let torn = &new[..100];
    let from = |current, previous, aside| restore(&Copies { current, previous, aside }, &mine);
    let go_on = |seed, from| Restored::GoOn { state: state(seed), from };
    assert_eq!(from(Some(&new), Some(&old), None), go_on(1, Copy::Current));
    assert_eq!(from(Some(torn), Some(&old), None), go_on(3, Copy::Previous));
    assert_eq!(from(None, Some(&old), None), go_on(3, Copy::Previous));
    assert_eq!(from(Some(&foreign), None, Some(&old)), go_on(3, Copy::Aside));
}

#[test]
fn a_box_starts_anew_for_a_reason_that_it_can_tell() {
    let mine = board("10000000abcdef01");
    let foreign = seal(&state(5), &board("10000000abcdef02"), &mut rng(6));
    let from = |current, previous, aside| restore(&Copies { current, previous, aside }, &mine);
    assert_eq!(from(None, None, None), Restored::StartNew(None));
    assert_eq!(from(None, None, Some(&foreign)), Restored::StartNew(None));
    assert_eq!(from(Some(&foreign), None, None), Restored::StartNew(Some(Lost::OtherBoard)));
    assert_eq!(from(Some(b""), Some(&foreign), None), Restored::StartNew(Some(Lost::OtherBoard)));
    assert_eq!(from(Some(b""), None, None), Restored::StartNew(Some(Lost::Damaged)));
    for lost in [Lost::OtherBoard, Lost::Damaged, Lost::Newer, Lost::Unreadable] {
        assert!(lost.to_string().ends_with('.'));
    }
}

#[test]
fn the_newest_state_of_this_board_is_found_on_a_damaged_disk() {
    let mine = board("10000000abcdef01");
    let file = |seed, writes, board: &Board| seal(&BoxState { writes, ..state(seed) }, board, &mut rng(seed));
    let mut disk = vec![0xa5; 200 * SALVAGE_STEP];
    let mut lay = |block: usize, bytes: &[u8]| {
        let at = block * SALVAGE_STEP;
        disk[at..at + bytes.len()].copy_from_slice(bytes);
    };
    lay(3, &file(1, 4, &mine));
    lay(20, &file(2, 6, &mine));
    lay(40, &file(3, 5, &mine));
    lay(60, &file(4, 9, &board("10000000abcdef02")));
    // The newest one of all lost one of its blocks.
    let newest = file(5, 8, &mine);
    lay(80, &newest);
    lay(81, &[0; SALVAGE_STEP]);
    // A file's first bytes and nothing else, at the end of the disk.
    lay(199, &newest[..SALVAGE_STEP]);
    let found = salvage(&disk, disk.len(), &mine);
    assert_eq!(found, Some(BoxState { writes: 6, ..state(2) }));
    // Where only some of them begin.
    let found = salvage(&disk, 20 * SALVAGE_STEP, &mine);
    assert_eq!(found, Some(BoxState { writes: 4, ..state(1) }));
    assert_eq!(salvage(&disk[1..], disk.len(), &mine), None, "files begin at blocks");
    assert_eq!(salvage(&disk, disk.len(), &Board::without_serial()), None);
}

proptest! {
    #[test]
    fn no_bytes_open(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(open(&bytes, &Board::without_serial()).is_err());
        prop_assert!(BoxState::from_cbor(&bytes).is_none_or(|state| BoxState::from_cbor(&state.to_cbor()) == Some(state)));
    }
}
