use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

fn stretch() -> Stretch {
    Stretch::Pbkdf2 { salt: [3; 16], rounds: FEWEST_ROUNDS }
}

/// What a stretched passphrase gives, without the time that stretching takes.
fn passphrase(words: u8) -> Material {
    Material::new([words; 32])
}

fn three() -> Vec<NewFactor> {
    vec![NewFactor::Passphrase(stretch(), passphrase(1)), NewFactor::Device, NewFactor::KeyFile]
}

/// What opens it: the passphrase and whatever was kept.
fn all(placed: &Placed, words: u8) -> Vec<(u8, Material)> {
    core::iter::once((1, passphrase(words))).chain(placed.keep.clone()).collect()
}

#[test]
fn all_factors_open_it_and_each_alone_is_needed() {
    let placed = Keyring::create(three(), None, &mut rng(1)).unwrap();
    let given = all(&placed, 1);
    assert_eq!(placed.keep.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(placed.keyring.open(&given).unwrap().root(), placed.opened.root());
    for left_out in 0..3 {
        let mut fewer = given.clone();
        fewer.remove(left_out);
        let missing = OpenError::Missing { needed: 3, given: 2 };
        assert_eq!(placed.keyring.open(&fewer).unwrap_err(), missing);
        let mut wrong = given.clone();
        wrong[left_out].1 = Material::new([9; 32]);
        assert_eq!(placed.keyring.open(&wrong).unwrap_err(), OpenError::Wrong);
    }
}

#[test]
fn so_many_of_them_open_it_in_every_combination_and_fewer_do_not() {
    for needed in 1..=2 {
        let placed = Keyring::create(three(), Some(needed), &mut rng(2)).unwrap();
        let given = all(&placed, 1);
        for mask in 1_u32..8 {
            let some: Vec<_> = given
                .iter()
                .enumerate()
                .filter(|(at, _)| mask >> at & 1 == 1)
                .map(|(_, one)| one.clone())
                .collect();
            let opened = placed.keyring.open(&some);
            if some.len() < needed.into() {
                let given = u8::try_from(some.len()).unwrap();
                assert_eq!(opened.unwrap_err(), OpenError::Missing { needed, given });
            } else {
                assert_eq!(opened.unwrap().root(), placed.opened.root(), "{needed} {mask:b}");
                let mut wrong = some.clone();
                wrong[0].1 = Material::new([9; 32]);
                assert_eq!(placed.keyring.open(&wrong).unwrap_err(), OpenError::Wrong);
            }
        }
    }
}

#[test]
fn nothing_in_the_file_tells_whether_a_passphrase_is_right() {
    // Everybody else's factor is missing: whatever the words, the answer is the same, and no step could tell.
    let placed = Keyring::create(three(), Some(2), &mut rng(3)).unwrap();
    let answers: Vec<_> =
        [1, 2].map(|words| placed.keyring.open(&[(1, passphrase(words))]).unwrap_err()).into();
    assert_eq!(answers[0], answers[1]);
    // Any words give some segment, and with another device's segment it is as wrong as any.
    for words in [1, 2] {
        let given = [(1, passphrase(words)), (2, Material::new([0; 32]))];
        assert_eq!(placed.keyring.open(&given).unwrap_err(), OpenError::Wrong);
    }
}

#[test]
fn another_passphrase_takes_the_place_of_the_old_one_and_nothing_else_changes() {
    for needed in [None, Some(2)] {
        let before = Keyring::create(three(), needed, &mut rng(4)).unwrap();
        let new = NewFactor::Passphrase(stretch(), passphrase(2));
        let after = before.keyring.change(&before.opened, Change::Replace(1, new), &mut rng(5)).unwrap();
        assert!(after.keep.is_empty(), "the others keep what they have");
        assert_eq!(after.keyring.needed(), before.keyring.needed());
        let given = all(&before, 2);
        assert_eq!(after.keyring.open(&given).unwrap().root(), before.opened.root());
        assert_eq!(after.keyring.open(&all(&before, 1)).unwrap_err(), OpenError::Wrong);
        assert_eq!(after.keyring.factors()[0].number, 1, "it stands where the old one stood");
    }
}

#[test]
fn a_forgotten_passphrase_is_replaced_with_the_others() {
    let placed = Keyring::create(three(), Some(2), &mut rng(6)).unwrap();
    let opened = placed.keyring.open(&placed.keep).unwrap();
    let new = NewFactor::Passphrase(stretch(), passphrase(7));
    let after = placed.keyring.change(&opened, Change::Replace(1, new), &mut rng(7)).unwrap();
    let given = [(1, passphrase(7)), placed.keep[0].clone()];
    assert_eq!(after.keyring.open(&given).unwrap().root(), placed.opened.root());
}

#[test]
fn factors_come_and_go_and_the_policy_changes() {
    let mut rng = rng(8);
    let one = Keyring::create(vec![NewFactor::Device], None, &mut rng).unwrap();
    let device = one.keep[0].clone();
    let two = one.keyring.change(&one.opened, Change::Add(NewFactor::Print), &mut rng).unwrap();
    let print = two.keep[0].clone();
    assert_eq!((two.keyring.needed(), print.0), (2, 2), "all are needed, as before");
    assert!(two.keyring.open(core::slice::from_ref(&device)).is_err());
    let either = two.keyring.change(&two.opened, Change::Need(1), &mut rng).unwrap();
    for one_of_them in [&device, &print] {
        let opened = either.keyring.open(core::slice::from_ref(one_of_them)).unwrap();
        assert_eq!(opened.root(), one.opened.root());
    }
    let back = either.keyring.change(&either.opened, Change::Remove(device.0), &mut rng).unwrap();
    assert_eq!(back.keyring.open(&[print]).unwrap().root(), one.opened.root());
    assert!(back.keyring.open(&[device]).is_err());
    let last = back.keyring.change(&back.opened, Change::Remove(2), &mut rng);
    assert_eq!(last.unwrap_err(), KeyringError::Factors);
    let none = back.keyring.change(&back.opened, Change::Remove(9), &mut rng);
    assert_eq!(none.unwrap_err(), KeyringError::Unknown);
    let too_many = back.keyring.change(&back.opened, Change::Need(2), &mut rng);
    assert_eq!(too_many.unwrap_err(), KeyringError::Needed);
}

#[test]
fn limits_hold_when_a_keyring_is_made() {
    let mut rng = rng(9);
    let mut create = |factors, needed| Keyring::create(factors, needed, &mut rng).map(|_| ());
    let devices = |count| core::iter::repeat_with(|| NewFactor::Device).take(count).collect::<Vec<_>>();
    assert_eq!(create(devices(0), None), Err(KeyringError::Factors));
    assert_eq!(create(devices(MAX_FACTORS), None), Ok(()));
    assert_eq!(create(devices(MAX_FACTORS), Some(5)), Ok(()));
    assert_eq!(create(devices(MAX_FACTORS + 1), None), Err(KeyringError::Factors));
    assert_eq!(create(devices(2), Some(0)), Err(KeyringError::Needed));
    assert_eq!(create(devices(2), Some(3)), Err(KeyringError::Needed));
    for length in [0, MAX_CREDENTIAL + 1] {
        let authenticator =
            NewFactor::Authenticator { credential: vec![1; length], salt: [0; 32], output: passphrase(1) };
        assert_eq!(create(vec![authenticator], None), Err(KeyringError::Parameters));
    }
    let weak = Stretch::Pbkdf2 { salt: [0; 16], rounds: FEWEST_ROUNDS - 1 };
    let weak = vec![NewFactor::Passphrase(weak, passphrase(1))];
    assert_eq!(create(weak, None), Err(KeyringError::Parameters));
}

#[test]
fn a_file_is_read_as_it_was_written_and_any_change_is_noticed() {
    let authenticator =
        NewFactor::Authenticator { credential: vec![7; 64], salt: [8; 32], output: passphrase(4) };
    let factors = vec![
        NewFactor::Passphrase(stretch(), passphrase(1)),
        authenticator,
        NewFactor::Node,
        NewFactor::Passphrase(Stretch::Argon2id { salt: [1; 16], memory: 65_536, passes: 3 }, passphrase(2)),
    ];
    let placed = Keyring::create(factors, Some(3), &mut rng(10)).unwrap();
    let given = [(1, passphrase(1)), (2, passphrase(4)), (4, passphrase(2))];
    let file = placed.keyring.encode();
    assert_eq!(Keyring::decode(&file).as_ref(), Ok(&placed.keyring));
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        let opened = Keyring::decode(&changed).ok().and_then(|keyring| keyring.open(&given).ok());
        assert!(opened.is_none(), "byte {at}");
        assert!(Keyring::decode(&file[..at]).is_err(), "cut at {at}");
    }
    assert_eq!(Keyring::decode(&[&file[..], &[0]].concat()), Err(FileError::Damaged));
    let mut later = file;
    later[1] = 2;
    assert_eq!(Keyring::decode(&later), Err(FileError::Version));
    assert_eq!(Keyring::decode(&[0; MAX_FILE + 1]), Err(FileError::Damaged));
}

#[test]
fn two_files_of_one_keyring_share_no_hidden_bytes() {
    let placed = Keyring::create(three(), Some(2), &mut rng(11)).unwrap();
    let again = placed.keyring.change(&placed.opened, Change::Need(2), &mut rng(12)).unwrap();
    let shares = |keyring: &Keyring| keyring.factors().iter().map(|factor| factor.share).collect::<Vec<_>>();
    for (one, two) in shares(&placed.keyring).iter().zip(shares(&again.keyring)) {
        assert_ne!(*one, two);
    }
}

#[test]
fn a_key_file_says_whose_it_is_and_every_wrong_sign_is_noticed() {
    let text = KeyText { keyring: [7; 16], number: 3, material: Material::new([9; 32]) };
    let written = text.to_text();
    assert_eq!(KeyText::parse(&format!(" {}\r\n", *written)), Ok(text));
    for at in 0..written.len() {
        let mut bytes = written.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert!(KeyText::parse(core::str::from_utf8(&bytes).unwrap()).is_err(), "sign {at}");
    }
    for (wrong, why) in [
        ("", KeyTextError::NoKey),
        ("salut", KeyTextError::NoKey),
        (&"b".repeat(300), KeyTextError::NoKey),
        ("bulle-key-1:", KeyTextError::Damaged),
        (&written[..40], KeyTextError::Damaged),
    ] {
        assert_eq!(KeyText::parse(wrong), Err(why), "{wrong}");
    }
}

#[test]
fn rounds_follow_the_device_and_never_go_below_the_least() {
    use core::time::Duration;
    let half = Duration::from_millis(500);
    assert_eq!(Stretch::rounds_for(half, 100_000, Duration::from_millis(20)), 2_500_000);
    assert_eq!(Stretch::rounds_for(half, 100_000, Duration::from_secs(2)), FEWEST_ROUNDS);
    assert_eq!(Stretch::rounds_for(half, 100_000, Duration::ZERO), MOST_ROUNDS);
}

#[test]
fn what_is_out_of_its_limits_is_not_stretched() {
    assert_eq!(stretch().run(""), Err(StretchError::Empty));
    for weak in [
        Stretch::Pbkdf2 { salt: [0; 16], rounds: MOST_ROUNDS + 1 },
        Stretch::Argon2id { salt: [0; 16], memory: 1024, passes: 3 },
        Stretch::Argon2id { salt: [0; 16], memory: 65_536, passes: 1 },
        Stretch::Argon2id { salt: [0; 16], memory: u32::MAX, passes: 3 },
    ] {
        assert_eq!(weak.run("words"), Err(StretchError::Parameters));
    }
}

#[test]
fn nothing_secret_is_printed() {
    let placed = Keyring::create(three(), None, &mut rng(13)).unwrap();
    let shown = format!("{:?} {:?} {:?}", placed.opened, placed.keep, placed.opened.root());
    assert_eq!(shown, "Opened(..) [(2, Material(..)), (3, Material(..))] Root(..)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_number_of_any_factors_opens_with_any_that_suffice(
        count in 1_usize..=MAX_FACTORS,
        needed in 1_u8..=8,
        order in Just((0..8).collect::<Vec<usize>>()).prop_shuffle(),
        seed in any::<u8>(),
    ) {
        let needed = needed.min(count as u8);
        let factors = core::iter::repeat_with(|| NewFactor::KeyFile).take(count).collect();
        let placed = Keyring::create(factors, Some(needed), &mut rng(seed)).unwrap();
        let some: Vec<_> = order
            .into_iter()
            .filter_map(|at| placed.keep.get(at).cloned())
            .take(needed.into())
            .collect();
        let keyring = Keyring::decode(&placed.keyring.encode()).unwrap();
        let opened = keyring.open(&some).unwrap();
        prop_assert_eq!(opened.root(), placed.opened.root());
    }
}

/// A row of the table at the end of the document, made by another implementation.
fn vector(name: &str) -> String {
    let document = include_str!("../../../../docs/protocol/keyring.md");
    let (_, document) = document.split_once("## Test vectors").unwrap();
    let row =
        document.lines().find_map(|line| line.strip_prefix(format!("| {name} | `").as_str())).expect(name);
    row.split('`').next().unwrap().to_owned()
}

fn bytes(name: &str) -> Vec<u8> {
    let hex = vector(name);
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

const WORDS: &str = "correct horse battery staple";

#[test]
fn the_published_vectors_hold() {
    let by_pbkdf2 = Stretch::Pbkdf2 { salt: [0x33; 16], rounds: FEWEST_ROUNDS }.run(WORDS).unwrap();
    assert_eq!(by_pbkdf2.expose().as_slice(), bytes("passphrase by PBKDF2"));
    let argon2id = Stretch::Argon2id { salt: [0x33; 16], memory: 65_536, passes: 3 };
    let by_argon2id = argon2id.run(WORDS).unwrap();
    assert_eq!(by_argon2id.expose().as_slice(), bytes("passphrase by Argon2id, 64 MiB, 3 passes"));

    let key = KeyText::parse(&vector("key file")).unwrap();
    assert_eq!((key.number, key.material.expose()), (2, &[0x11; 32]));
    let given = [(1, by_pbkdf2), (key.number, key.material), (5, Material::new([0x12; 32]))];
    for (file, some) in [
        ("file, two of two", &given[..2]),
        ("file, two of three", &given[..]),
        ("file, two of three", &given[1..]),
    ] {
        let keyring = Keyring::decode(&bytes(file)).expect(file);
        assert_eq!(*keyring.id(), key.keyring);
        assert_eq!(keyring.open(some).expect(file).root().expose().as_slice(), bytes("root"));
    }
}
