use super::*;
use base::Instant;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

const BUILD: UnixSeconds = UnixSeconds(1_795_000_000);
const NOW: UnixSeconds = UnixSeconds(1_796_000_000);

fn identity(names: &[&str], addresses: &[&str]) -> Identity {
    Identity {
        names: names.iter().map(|name| DnsName::parse(name).expect("a name")).collect(),
        addresses: addresses.iter().map(|address| address.parse().expect("an address")).collect(),
    }
}

fn machine() -> Identity {
    identity(&["bulle.local", "bulle.internal", "localhost"], &["127.0.0.1", "::1", "192.168.7.1"])
}

/// Carries out a plan as the driver does.
fn store(stored: &mut Stored, plan: &Plan) {
    for write in &plan.writes {
        let contents = write.contents.clone();
        match write.file {
            PkiFile::CaCertificate => stored.ca_certificate = Some(contents.to_vec()),
            PkiFile::CaKey => stored.ca_key = Some(contents),
            PkiFile::LeafCertificate => stored.leaf_certificate = Some(contents.to_vec()),
            PkiFile::LeafKey => stored.leaf_key = Some(contents),
        }
    }
}

fn first_start() -> (Stored, Plan) {
    let mut stored = Stored::default();
    let plan = plan(&stored, &machine(), NOW, BUILD).expect("a first start");
    store(&mut stored, &plan);
    (stored, plan)
}

fn files(plan: &Plan) -> Vec<&'static str> {
    plan.writes.iter().map(|write| write.file.name()).collect()
}

fn refused(stored: &Stored) -> PkiError {
    plan(stored, &machine(), NOW, BUILD).err().expect("this must be refused")
}

#[test]
fn the_first_start_writes_all_files_keys_first() {
    let (_, plan) = first_start();
    assert_eq!(files(&plan), ["ca.key", "ca.crt", "server.key", "server.crt"]);
    assert!(plan.ca_is_new);
    assert_eq!(plan.leaf.identity, machine());
}

#[test]
fn the_second_start_writes_nothing_and_serves_the_same() {
    let (stored, first) = first_start();
    let second = plan(&stored, &machine(), NOW, BUILD).expect("a second start");
    assert_eq!(files(&second), [""; 0]);
    assert_eq!(second.ca, first.ca);
    assert_eq!(second.leaf.certificate, first.leaf.certificate);
    assert_eq!(*second.leaf.key, *first.leaf.key);
}

#[test]
fn the_authority_is_constrained_critically_to_names_and_private_addresses() {
    let (_, plan) = first_start();
    let (_, ca) = X509Certificate::from_der(&plan.ca.der).expect("DER");
    let constraints = ca.name_constraints().expect("well formed").expect("present");
    assert!(constraints.critical);
    assert_eq!(constraints.value.permitted_subtrees.as_ref().map(Vec::len), Some(3 + 8 + 8));
    assert!(ca.subject().to_string().starts_with("CN=Bulle local CA "));
    let basic = ca.basic_constraints().expect("well formed").expect("present");
    assert_eq!((basic.value.ca, basic.value.path_len_constraint), (true, Some(0)));
}

#[test]
fn the_authority_is_good_before_the_build_and_for_more_than_ten_years() {
    let (_, plan) = first_start();
    let (_, ca) = X509Certificate::from_der(&plan.ca.der).expect("DER");
    let at = |seconds: UnixSeconds| i64::try_from(seconds.0).expect("a date");
    assert!(ca.validity().not_before.timestamp() < at(BUILD));
    assert!(ca.validity().not_after.timestamp() > at(NOW.plus(DAY * 3650)));
}

#[test]
fn the_certificate_is_for_servers_and_lives_no_longer_than_browsers_allow() {
    let (_, plan) = first_start();
    let (_, leaf) = X509Certificate::from_der(&plan.leaf.certificate).expect("DER");
    let usage = leaf.extended_key_usage().expect("well formed").expect("present");
    assert!(usage.value.server_auth && !usage.value.client_auth);
    let days = (leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp()) / 86_400;
    assert!(days <= 397, "{days}");
    assert!(leaf.validity().not_before.timestamp() < i64::try_from(NOW.0).expect("a date") - 86_400 * 30);
}

#[test]
fn a_public_address_of_the_machine_is_permitted_alone() {
    let server = identity(&["bulle.internal"], &["203.0.113.7", "2001:db8::7"]);
    let plan = plan(&Stored::default(), &server, NOW, BUILD).expect("a first start");
    assert_eq!(plan.leaf.identity, server);
    let (_, ca) = X509Certificate::from_der(&plan.ca.der).expect("DER");
    let constraints = ca.name_constraints().expect("well formed").expect("present");
    let scope = Scope::of_certificate(constraints.value, NOW).expect("a scope");
    let (inside, _, outside) =
        scope.split(&identity(&[], &["203.0.113.7", "203.0.113.8", "2001:db8::8", "10.1.2.3"]));
    assert_eq!((inside, outside), (identity(&[], &["203.0.113.7", "10.1.2.3"]), 2));
}

#[test]
fn a_new_address_gives_a_new_certificate_by_the_same_authority() {
    let (stored, first) = first_start();
    let moved = identity(&["bulle.local"], &["10.0.0.9"]);
    let second = plan(&stored, &moved, NOW, BUILD).expect("a plan");
    assert_eq!(files(&second), ["server.key", "server.crt"]);
    assert_eq!((second.ca, second.leaf.identity), (first.ca, moved));
}

#[test]
fn a_name_that_the_authority_may_not_vouch_for_is_left_out_and_told() {
    let (stored, _) = first_start();
    let renamed = identity(&["bulle.local", "new.example"], &["10.0.0.9", "203.0.113.7"]);
    let plan = plan(&stored, &renamed, NOW, BUILD).expect("a plan");
    assert_eq!(plan.leaf.identity, identity(&["bulle.local"], &["10.0.0.9"]));
    assert_eq!(plan.names_left_out, [DnsName::parse("new.example").expect("a name")]);
    assert_eq!(plan.addresses_left_out, 1);
}

#[test]
fn more_addresses_than_the_limit_are_left_out() {
    let mut many = machine();
    many.addresses =
        (1..=u8::try_from(MOST_ADDRESSES + 3).expect("small")).map(|i| IpAddr::from([10, 0, 0, i])).collect();
    let plan = plan(&Stored::default(), &many, NOW, BUILD).expect("a plan");
    assert_eq!((plan.leaf.identity.addresses.len(), plan.addresses_left_out), (MOST_ADDRESSES, 3));
}

#[test]
fn a_certificate_that_runs_out_is_renewed_in_time() {
    let (stored, first) = first_start();
    let last_good = UnixSeconds(first.leaf.not_after.0 - RENEW_BEFORE.as_secs() - 60);
    assert!(plan(&stored, &machine(), last_good, BUILD).expect("a plan").writes.is_empty());
    let second = plan(&stored, &machine(), last_good.plus(DAY), BUILD).expect("a plan");
    assert_eq!(files(&second), ["server.key", "server.crt"]);
}

#[test]
fn a_lost_certificate_or_a_foreign_key_only_costs_a_new_certificate() {
    let (_, other) = first_start();
    for damage in [0, 1, 2, 3, 4] {
        let (mut stored, first) = first_start();
        match damage {
            0 => stored.leaf_certificate = None,
            1 => stored.leaf_key = None,
            2 => stored.leaf_key = Some(other.writes.get(2).expect("server.key").contents.clone()),
            3 => stored.leaf_certificate = Some(b"-----BEGIN CERTIFICATE-----\nAAAA".to_vec()),
            _ => stored.leaf_certificate = Some(other.writes.get(3).expect("server.crt").contents.to_vec()),
        }
        let second = plan(&stored, &machine(), NOW, BUILD).expect("a plan");
        assert_eq!(files(&second), ["server.key", "server.crt"], "{damage}");
        assert_eq!(second.ca, first.ca);
    }
}

#[test]
fn a_damaged_authority_is_an_error_that_names_the_file_and_is_never_replaced() {
    let (mut stored, _) = first_start();
    stored.ca_certificate = Some(b"garbage".to_vec());
    assert_eq!(refused(&stored), PkiError::Damaged { file: PkiFile::CaCertificate });
    let (mut stored, _) = first_start();
    stored.ca_key.as_mut().expect("a key").truncate(80);
    assert_eq!(refused(&stored), PkiError::Damaged { file: PkiFile::CaKey });
    assert!(
        refused(&stored)
            .to_string()
            .starts_with("the file ca.key of the certificate authority is damaged; put back")
    );
}

#[test]
fn half_an_authority_is_an_error_that_names_the_missing_file() {
    let (mut stored, _) = first_start();
    stored.ca_key = None;
    assert_eq!(refused(&stored), PkiError::Incomplete { missing: PkiFile::CaKey });
    let (mut stored, _) = first_start();
    stored.ca_certificate = None;
    assert_eq!(refused(&stored), PkiError::Incomplete { missing: PkiFile::CaCertificate });
}

#[test]
fn a_key_of_another_authority_is_an_error() {
    let (mut stored, _) = first_start();
    stored.ca_key = first_start().0.ca_key;
    assert_eq!(refused(&stored), PkiError::Mismatch);
}

#[test]
fn an_end_entity_certificate_in_place_of_the_authority_is_refused() {
    let (mut stored, _) = first_start();
    stored.ca_certificate = stored.leaf_certificate.clone();
    stored.ca_key = stored.leaf_key.clone();
    assert_eq!(refused(&stored), PkiError::Damaged { file: PkiFile::CaCertificate });
}

#[test]
fn an_authority_whose_time_is_over_vouches_on_and_is_not_replaced() {
    // The clock of the box may be wrong by decades; that must not end the service, nor renew without end.
    let (mut stored, first) = first_start();
    let later = NOW.plus(CA_LIFETIME).plus(DAY * 1000);
    let second = plan(&stored, &machine(), later, BUILD).expect("a plan");
    assert_eq!((files(&second), second.ca_is_over), (vec!["server.key", "server.crt"], true));
    assert_eq!(second.ca, first.ca);
    assert_eq!(second.leaf.not_after, NOW.plus(CA_LIFETIME));
    store(&mut stored, &second);
    let third = plan(&stored, &machine(), later.plus(DAY), BUILD).expect("a plan");
    assert_eq!(files(&third), [""; 0]);
    let mut renewal = Renewal::new(&second.leaf, second.scope, Instant::ZERO);
    renewal.handle_look(&machine(), later.plus(DAY), Instant::ZERO);
    assert_eq!(renewal.poll_effect(), None);
    // The clock is set right, and the box has a certificate for that time again.
    renewal.handle_look(&machine(), NOW.plus(DAY), Instant::ZERO);
    assert_eq!(renewal.poll_effect(), Some(Effect::Issue(Reason::NotYetValid)));
    let fourth = plan(&stored, &machine(), NOW.plus(DAY), BUILD).expect("a plan");
    assert!(!fourth.ca_is_over && fourth.leaf.not_before < NOW && fourth.ca == first.ca);
}

#[test]
fn a_clock_that_jumps_to_and_fro_costs_certificates_and_never_the_authority() {
    let (mut stored, first) = first_start();
    for days in [0_u32, 4000, 30, 5000, 400, 0, 31] {
        let now = NOW.plus(DAY * days);
        let plan = plan(&stored, &machine(), now, BUILD).expect("a plan");
        assert_eq!(plan.ca, first.ca);
        assert!(plan.leaf.not_before < now && now < plan.leaf.not_after, "{days}");
        store(&mut stored, &plan);
    }
}

#[test]
fn the_newest_certificate_shows_which_time_has_passed() {
    assert_eq!(made_at(&Stored::default()), None);
    let (mut stored, _) = first_start();
    assert_eq!(made_at(&stored), Some(NOW));
    let later = NOW.plus(DAY * 300);
    let second = plan(&stored, &machine(), later, BUILD).expect("a plan");
    store(&mut stored, &second);
    assert_eq!(made_at(&stored), Some(later));
    stored.leaf_key = None;
    assert_eq!(made_at(&stored), Some(BUILD), "the authority is counted from the build");
    stored.ca_key = None;
    assert_eq!(made_at(&stored), None);
}

#[test]
fn the_authority_vouches_for_the_names_that_a_conflict_on_the_link_gives_and_no_more() {
    let (stored, _) = first_start();
    let renamed = identity(&["bulle-2.local", "bulle-9.local", "bulle-10.local", "printer.local"], &[]);
    let plan = plan(&stored, &renamed, NOW, BUILD).expect("a plan");
    assert_eq!(plan.leaf.identity, identity(&["bulle-2.local", "bulle-9.local"], &[]));
    assert_eq!(plan.names_left_out.len(), 2);
}

#[test]
fn an_authority_made_while_the_clock_was_lost_is_good_at_the_build_already() {
    let plan = plan(&Stored::default(), &machine(), BUILD, BUILD).expect("a plan");
    assert!(plan.leaf.not_before < BUILD && plan.leaf.not_after > BUILD.plus(DAY * 300));
}

#[test]
fn the_fingerprint_reads_as_phones_show_it() {
    let text = Fingerprint([0xab; 32]).to_string();
    assert_eq!((text.len(), text.get(..6)), (95, Some("AB:AB:")));
}

#[test]
fn renewal_asks_for_a_look_every_ten_seconds_and_issues_when_the_machine_moved() {
    let (_, plan) = first_start();
    let mut renewal = Renewal::new(&plan.leaf, plan.scope.clone(), Instant::ZERO);
    renewal.handle_timeout(Instant::ZERO);
    assert_eq!(renewal.poll_effect(), None);
    let later = renewal.poll_timeout();
    assert_eq!(later, Instant::ZERO + Duration::from_secs(10));
    renewal.handle_timeout(later);
    assert_eq!(renewal.poll_effect(), Some(Effect::Look));
    // What the authority may not vouch for is no reason: it would be one each time.
    renewal.handle_look(&identity(&["new.example"], &["203.0.113.9"]), NOW, later);
    assert_eq!(renewal.poll_effect(), None);
    renewal.handle_look(&identity(&[], &["10.0.0.1"]), NOW, later);
    assert_eq!(renewal.poll_effect(), Some(Effect::Issue(Reason::Renamed)));
    renewal.handle_look(&machine(), plan.leaf.not_after, later);
    assert_eq!(renewal.poll_effect(), Some(Effect::Issue(Reason::Expiring)));
    renewal.handle_look(&machine(), UnixSeconds(0), later);
    assert_eq!(renewal.poll_effect(), Some(Effect::Issue(Reason::NotYetValid)));
    assert_eq!(renewal.poll_effect(), None);
}
