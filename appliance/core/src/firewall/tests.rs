use super::*;
use crate::golden::golden;
use crate::network::tests::{lan, wifi, wifi_alone};

#[test]
fn the_rules_are_the_ones_that_were_agreed_upon() {
    golden("firewall/tests/wifi.nft", &ruleset(&wifi()));
    golden("firewall/tests/lan.nft", &ruleset(&lan()));
    golden("firewall/tests/nothing.nft", &ruleset(&Plan { bubble: None, cable: None, spare: Vec::new() }));
}

#[test]
fn every_way_in_and_out_is_shut_unless_it_is_opened() {
    for plan in [wifi(), wifi_alone(), lan(), Plan { bubble: None, cable: None, spare: Vec::new() }] {
        let rules = ruleset(&plan);
        for hook in ["input", "forward", "output"] {
            assert!(rules.contains(&format!("hook {hook} priority filter; policy drop;")), "{rules}");
        }
        assert_eq!(rules.matches('{').count(), rules.matches('}').count(), "{rules}");
    }
}

#[test]
fn only_phones_of_the_bubble_may_ask_for_names_and_addresses() {
    for (plan, names) in [(wifi(), true), (lan(), false)] {
        let rules = ruleset(&plan);
        assert_eq!(rules.contains("dport 53 "), names);
        assert_eq!(rules.contains("udp dport 67 limit"), names);
        assert_eq!(rules.contains("5353"), !names);
    }
}
