//! Every key there is, in the order of the documentation.

use crate::settings::Key;

const ADDRESS: &str = "an IP address in quotes such as \"192.0.2.1\"";

/// All keys.
pub const KEYS: &[Key] = &[
    Key {
        section: "",
        name: "name",
        expected: "a name in quotes of 1 to 32 bytes such as \"Bulle Lyon\" (letters with accents count two)",
    },
    Key { section: "", name: "mode", expected: "one of \"auto\", \"wifi\", \"lan\"" },
    Key { section: "", name: "country", expected: "the two letters of a country such as \"FR\"" },
    Key {
        section: "wifi",
        name: "ssid",
        expected: "a name in quotes of 1 to 32 bytes such as \"Bulle Lyon\" (letters with accents count two)",
    },
    Key { section: "wifi", name: "band", expected: "one of \"auto\", \"2.4\", \"5\"" },
    Key { section: "wifi", name: "channel", expected: "\"auto\" or a channel's number from 1 to 177" },
    Key { section: "wifi", name: "security", expected: "one of \"auto\", \"wpa3\", \"wpa2+wpa3\", \"wpa2\"" },
    Key { section: "wifi", name: "isolation", expected: "true or false" },
    Key { section: "wifi", name: "stations", expected: "a whole number from 1 to 2000" },
    Key { section: "wifi", name: "probes", expected: "one of \"online\", \"offline\", \"portal\"" },
    Key { section: "lan", name: "interface", expected: "the name of a network interface such as \"eth0\"" },
    Key {
        section: "lan",
        name: "address",
        expected: "\"dhcp\", or an address with the length of its network such as \"192.0.2.5/24\"",
    },
    Key { section: "lan", name: "gateway", expected: ADDRESS },
    Key { section: "lan", name: "dns", expected: "an IP address such as \"192.0.2.1\", or a list of them" },
    Key { section: "lan", name: "ntp", expected: "an IP address such as \"192.0.2.1\", or a list of them" },
    Key {
        section: "tls",
        name: "certificate",
        expected: "the name of a file beside this one such as \"bulle.crt\"",
    },
    Key { section: "tls", name: "key", expected: "the name of a file beside this one such as \"bulle.key\"" },
    Key {
        section: "log",
        name: "level",
        expected: "one of \"error\", \"warn\", \"info\", \"debug\", \"trace\"",
    },
];
