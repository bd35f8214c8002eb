//! The files that hostapd reads.

use crate::wifi::decide::{Pmf, Width};
use crate::wifi::{Band, Credentials, Plan, Security};
use std::fmt::{self, Write};
use zeroize::Zeroizing;

/// Seconds without a sign of a station after which hostapd asks whether it is still there.
///
/// The usual 300 keep a vanished phone's entry so long that it cannot come back (raspberrypi/linux#6876).
const INACTIVE: u16 = 60;
/// The same where the driver cannot ask and the station is thrown out at once: a sleeping phone is silent for
/// longer than a minute.
const INACTIVE_UNASKED: u16 = 180;

/// What hostapd reads, secrets in both.
#[derive(Clone, PartialEq, Eq)]
pub struct Files {
    /// `hostapd.conf`
    pub configuration: Zeroizing<String>,
    /// The keys per person, for WPA2; empty where there are none.
    pub keys: Zeroizing<String>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Files(..)")
    }
}

/// Renders both files. `interface` is the interface at this moment, `control` the directory of its control
/// socket, `keys` where [`Files::keys`] will be.
#[must_use]
pub fn render(plan: &Plan, credentials: &Credentials, interface: &str, control: &str, keys: &str) -> Files {
    let persons = credentials.persons();
    // Growing would leave a copy of the keys behind in freed memory.
    let mut out = Zeroizing::new(String::with_capacity(4096 + persons.len() * 96));
    // A String takes everything that is written to it.
    let _ = configuration(&mut out, plan, credentials, interface, control, keys);
    let mut list = Zeroizing::new(String::with_capacity(persons.len() * 128));
    for person in persons {
        let _ = writeln!(list, "keyid=p{} 00:00:00:00:00:00 {}", person.person, person.key.expose());
    }
    Files { configuration: out, keys: list }
}

fn configuration(
    out: &mut String,
    plan: &Plan,
    credentials: &Credentials,
    interface: &str,
    control: &str,
    keys: &str,
) -> fmt::Result {
    writeln!(out, "interface={interface}")?;
    writeln!(out, "driver=nl80211")?;
    writeln!(out, "ctrl_interface={control}")?;
    // No module may log: what it would say holds addresses of stations.
    writeln!(out, "logger_syslog=0\nlogger_syslog_level=4\nlogger_stdout=0\nlogger_stdout_level=4")?;
    write!(out, "ssid2=")?;
    for byte in credentials.ssid.expose().bytes() {
        write!(out, "{byte:02x}")?;
    }
    writeln!(out, "\nutf8_ssid=1")?;
    channel(out, plan)?;
    writeln!(out, "wmm_enabled=1")?;
    writeln!(out, "max_num_sta={}", plan.stations)?;
    writeln!(out, "ap_isolate={}", u8::from(plan.isolation))?;
    writeln!(out, "ap_max_inactivity={}", if plan.own_sme { INACTIVE_UNASKED } else { INACTIVE })?;
    writeln!(out, "skip_inactivity_poll=0\ndisassoc_low_ack=1")?;
    // Groups keys are changed when somebody leaves, so that who has left cannot read on.
    writeln!(out, "wpa_group_rekey=3600\nwpa_strict_rekey=1\nwpa_disable_eapol_key_retries=0")?;
    writeln!(out, "auth_algs=1\nignore_broadcast_ssid=0\neap_server=0")?;
    security(out, plan.security, credentials, keys)
}

fn channel(out: &mut String, plan: &Plan) -> fmt::Result {
    if let Some(country) = plan.country {
        writeln!(out, "country_code={country}\nieee80211d=1")?;
        if plan.band == Band::Band5 {
            writeln!(out, "ieee80211h=1")?;
        }
    }
    writeln!(out, "hw_mode={}", if plan.band == Band::Band5 { 'a' } else { 'g' })?;
    writeln!(out, "channel={}", plan.channel)?;
    writeln!(out, "ieee80211n={}", u8::from(plan.modes.ht))?;
    match plan.width {
        Width::Mhz20 => {}
        Width::Mhz40Above | Width::Mhz80 { above: true, .. } => writeln!(out, "ht_capab=[HT40+]")?,
        Width::Mhz40Below | Width::Mhz80 { above: false, .. } => writeln!(out, "ht_capab=[HT40-]")?,
    }
    let eighty = match plan.width {
        Width::Mhz80 { centre, .. } => Some(centre),
        Width::Mhz20 | Width::Mhz40Above | Width::Mhz40Below => None,
    };
    if plan.modes.vht {
        writeln!(out, "ieee80211ac=1\nvht_oper_chwidth={}", u8::from(eighty.is_some()))?;
        if let Some(centre) = eighty {
            writeln!(out, "vht_oper_centr_freq_seg0_idx={centre}")?;
        }
    }
    if plan.modes.he {
        writeln!(out, "ieee80211ax=1")?;
        if plan.modes.vht {
            writeln!(out, "he_oper_chwidth={}", u8::from(eighty.is_some()))?;
            if let Some(centre) = eighty {
                writeln!(out, "he_oper_centr_freq_seg0_idx={centre}")?;
            }
        }
    }
    Ok(())
}

fn security(out: &mut String, security: Security, credentials: &Credentials, keys: &str) -> fmt::Result {
    let (suites, pmf) = match security {
        Security::Wpa2(Pmf::Off) => ("WPA-PSK", 0),
        Security::Wpa2(Pmf::Optional) => ("WPA-PSK", 1),
        Security::Wpa2AndWpa3 => ("WPA-PSK SAE", 1),
        Security::Wpa3 => ("SAE", 2),
    };
    writeln!(out, "wpa=2\nrsn_pairwise=CCMP\nwpa_key_mgmt={suites}\nieee80211w={pmf}")?;
    let persons = credentials.persons();
    if security.psk() {
        // A line of this file goes to its end, and takes every printable character as it is.
        writeln!(out, "wpa_passphrase={}", credentials.key.expose())?;
        if !persons.is_empty() {
            writeln!(out, "wpa_psk_file={keys}")?;
        }
    }
    if security.sae() {
        // Hash-to-element and hunting-and-pecking: some phones know only the older one.
        writeln!(out, "sae_require_mfp=1\nsae_pwe=2")?;
        writeln!(out, "sae_password={}", credentials.key.expose())?;
        for person in persons {
            writeln!(out, "sae_password={}|id=p{}", person.key.expose(), person.person)?;
        }
    }
    Ok(())
}
