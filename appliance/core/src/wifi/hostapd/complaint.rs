//! hostapd's complaints, turned into something that can be told to the owner.

use crate::wifi::access_point::Complaint;

/// What a line that hostapd printed complains about. A line may hold addresses of stations: it is looked at
/// here, and then it is gone.
#[must_use]
pub fn complaint(line: &[u8]) -> Option<Complaint> {
    const KNOWN: [(&[u8], Complaint); 21] = [
        (b"unknown configuration item", Complaint::Configuration),
        (b"errors found in configuration file", Complaint::Configuration),
        (b"invalid configuration item", Complaint::Configuration),
        (b"Could not open configuration file", Complaint::Configuration),
        // It also says that it cannot watch the switches, which does no harm.
        (b"hard blocked", Complaint::SwitchedOff),
        (b"soft blocked", Complaint::SwitchedOff),
        (b"due to rfkill", Complaint::SwitchedOff),
        (b"RF-kill", Complaint::SwitchedOff),
        (b"Could not set channel", Complaint::Channel),
        (b"Could not select hw_mode and channel", Complaint::Channel),
        (b"Hardware does not support configured channel", Complaint::Channel),
        (b"not found from the channel list", Complaint::Channel),
        (b"not allowed for AP mode", Complaint::Channel),
        (b"None of the configured channels", Complaint::Channel),
        (b"No such device", Complaint::NoInterface),
        (b"Could not read interface", Complaint::NoInterface),
        (b"Could not configure driver mode", Complaint::Driver),
        (b"driver initialization failed", Complaint::Driver),
        (b"Failed to set beacon parameters", Complaint::Driver),
        (b"Failed to start beaconing", Complaint::Driver),
        (b"Device or resource busy", Complaint::Driver),
    ];
    let holds = |text: &[u8]| line.windows(text.len()).any(|part| part == text);
    KNOWN.iter().find(|(text, _)| holds(text)).map(|(_, complaint)| *complaint)
}
