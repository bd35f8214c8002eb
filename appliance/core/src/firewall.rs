//! The packet filter: who may say what to this box, and what it may say itself.
//!
//! Everything is refused but an allow-list, on the way in and on the way out; nothing passes through.
//! No connection is tracked: services are few and known by their ports, and a table of connections is one more
//! thing that a crowd can fill.
//! Not here: keeping stations of the Wi-Fi apart, which the access point does before packets come this far.
//! Invariant: the rules replace all that were there before in one step, or not at all.

#[cfg(test)]
mod tests;

use crate::network::{Bubble, Cable, Plan};
use std::fmt::Write as _;

/// Ports of services for everybody.
const WEB: &str = "{ 80, 443 }";
/// The same and TURN by streams, where calls are relayed.
const STREAMS: &str = "{ 80, 443, 3478 }";
/// STUN and TURN, sessions over WebRTC, and the relayed addresses of `turn.ports`.
const CALLS: &str = "{ 3478, 3479, 61000-65535 }";
/// Sources whose rate is watched; further ones are let through unwatched.
const SOURCES: u32 = 8192;

/// The rules for `nft -f`.
#[must_use]
pub fn ruleset(plan: &Plan) -> String {
    let mut text = String::from(
        "# Written by the controller of the box. Replaces what was there in one step.\n\
         table inet bulle\ndelete table inet bulle\n\ntable inet bulle {\n",
    );
    for (name, kind) in
        [("web4", "ipv4_addr"), ("web6", "ipv6_addr"), ("ask4", "ipv4_addr"), ("ask6", "ipv6_addr")]
    {
        block(
            &mut text,
            "set",
            name,
            &format!("type {kind}\nsize {SOURCES}\nflags dynamic, timeout\ntimeout 1m"),
        );
    }
    block(&mut text, "chain", "unreachable", &unreachable(plan));
    block(&mut text, "chain", "input", &input(plan));
    block(&mut text, "chain", "forward", "type filter hook forward priority filter; policy drop;");
    block(&mut text, "chain", "output", &output(plan));
    block(&mut text, "chain", "neighbours_in", NEIGHBOURS_IN);
    block(&mut text, "chain", "neighbours_out", NEIGHBOURS_OUT);
    block(&mut text, "chain", "web", WEB_RATE);
    if let Some(bubble) = &plan.bubble {
        block(&mut text, "chain", "bubble_in", &bubble_in(bubble));
        block(&mut text, "chain", "bubble_out", BUBBLE_OUT);
    }
    if let Some(cable) = &plan.cable {
        block(&mut text, "chain", "cable_in", &cable_in(cable));
        block(&mut text, "chain", "cable_out", &cable_out(cable));
    }
    text.push_str("}\n");
    text
}

fn block(text: &mut String, what: &str, name: &str, lines: &str) {
    // Writing into memory cannot fail.
    let _ = writeln!(text, "    {what} {name} {{");
    for line in lines.lines() {
        let _ = writeln!(text, "        {line}");
    }
    text.push_str("    }\n");
}

/// What wants to go through the box hears at once that it cannot, so that apps do not hang: the kernel, which does
/// not forward, would drop it in silence.
fn unreachable(plan: &Plan) -> String {
    let mut text = String::from("type filter hook prerouting priority filter; policy accept;");
    if let Some(bubble) = &plan.bubble {
        let from = format!(
            "\niifname \"{}\" fib daddr type {{ unicast, blackhole, unreachable, prohibit }}",
            bubble.interface
        );
        text +=
            &format!("{from} meta l4proto tcp limit rate 200/second burst 400 packets reject with tcp reset");
        text += &format!("{from} limit rate 200/second burst 400 packets reject with icmpx admin-prohibited");
        text += &format!("{from} drop");
    }
    text
}

fn input(plan: &Plan) -> String {
    let mut text = String::from(
        "type filter hook input priority filter; policy drop;\niifname \"lo\" accept\n\
         # Nobody else has our addresses, and loopback has no wire.\n\
         ip saddr 127.0.0.0/8 drop\nip6 saddr ::1 drop\njump neighbours_in",
    );
    if let Some(bubble) = &plan.bubble {
        let _ = write!(text, "\niifname \"{}\" jump bubble_in", bubble.interface);
    }
    if let Some(cable) = &plan.cable {
        let _ = write!(text, "\niifname \"{}\" jump cable_in", cable.interface);
    }
    text
}

fn output(plan: &Plan) -> String {
    let mut text = String::from(
        "type filter hook output priority filter; policy drop;\noifname \"lo\" accept\n\
         # This box never begins a connection.\n\
         tcp flags & (syn | ack) == syn drop\njump neighbours_out",
    );
    if let Some(bubble) = &plan.bubble {
        let _ = write!(text, "\noifname \"{}\" jump bubble_out", bubble.interface);
    }
    if let Some(cable) = &plan.cable {
        let _ = write!(text, "\noifname \"{}\" jump cable_out", cable.interface);
    }
    text
}

/// What every link needs: who is there (RFC 4861), groups (RFC 3810), what did not arrive (RFC 4890), and ping.
const NEIGHBOURS_IN: &str = "\
icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } ip6 hoplimit 255 accept
icmpv6 type { mld-listener-query } ip6 saddr fe80::/10 accept
icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept
icmp type { destination-unreachable, time-exceeded, parameter-problem } accept
icmp type echo-request limit rate 50/second burst 100 packets accept
icmpv6 type echo-request limit rate 50/second burst 100 packets accept";

const NEIGHBOURS_OUT: &str = "\
icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept
icmpv6 type { mld-listener-report, mld2-listener-report, mld-listener-done } accept
icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-reply } accept
icmp type { destination-unreachable, time-exceeded, parameter-problem, echo-reply } accept
ip protocol igmp accept";

/// New connections of one address are counted; a phone opens a handful.
const WEB_RATE: &str = "\
tcp flags & (fin | syn | rst | ack) == syn update @web4 { ip saddr limit rate over 50/second burst 200 packets } drop
tcp flags & (fin | syn | rst | ack) == syn update @web6 { ip6 saddr limit rate over 50/second burst 200 packets } drop
accept";

fn bubble_in(bubble: &Bubble) -> String {
    format!(
        "# Before it has an address, a phone asks for one.\n\
         udp sport 68 udp dport 67 limit rate 100/second burst 200 packets accept\n\
         ip saddr != {v4} drop\n\
         ip6 saddr != {{ {v6}, fe80::/10 }} drop\n\
         tcp dport {STREAMS} jump web\n\
         udp dport {CALLS} accept\n\
         meta l4proto {{ tcp, udp }} th dport 53 update @ask4 {{ ip saddr limit rate over 100/second burst 300 packets }} drop\n\
         meta l4proto {{ tcp, udp }} th dport 53 update @ask6 {{ ip6 saddr limit rate over 100/second burst 300 packets }} drop\n\
         meta l4proto {{ tcp, udp }} th dport 53 accept\n\
         # Many phones try private DNS first (RFC 7858, RFC 9250), and ask in the clear as soon as they hear no.\n\
         tcp dport 853 limit rate 200/second burst 400 packets reject with tcp reset\n\
         udp dport 853 limit rate 200/second burst 400 packets reject\n\
         # What is left hears at once that nobody is there.\n\
         meta l4proto tcp limit rate 100/second reject with tcp reset\n\
         meta l4proto udp limit rate 100/second reject",
        v4 = bubble.range.prefix(),
        v6 = bubble.ula.prefix(),
    )
}

const BUBBLE_OUT: &str = "\
tcp sport { 53, 80, 443, 3478 } accept
meta l4proto tcp tcp flags & rst == rst accept
udp sport 67 udp dport 68 accept
udp sport { 53, 3478, 3479, 61000-65535 } accept";

fn cable_in(cable: &Cable) -> String {
    let mut text = format!(
        "udp sport 67 udp dport 68 accept\n\
         ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept\n\
         tcp dport {} jump web",
        if cable.serves { STREAMS } else { WEB },
    );
    if cable.serves {
        let _ = write!(
            text,
            "\nudp dport {CALLS} accept\n\
             udp dport 5353 update @ask4 {{ ip saddr limit rate over 50/second burst 200 packets }} drop\n\
             udp dport 5353 update @ask6 {{ ip6 saddr limit rate over 50/second burst 200 packets }} drop\n\
             udp dport 5353 accept\n\
             ip protocol igmp accept\n\
             # The time, from whoever was asked for it.\n\
             udp sport 123 udp dport 32768-60999 accept"
        );
    }
    text
}

fn cable_out(cable: &Cable) -> String {
    let mut text = format!(
        "tcp sport {} accept\nudp sport 68 udp dport 67 accept\nudp sport 546 udp dport 547 accept",
        if cable.serves { STREAMS } else { WEB },
    );
    if cable.serves {
        text.push_str("\nudp sport { 3478, 3479, 5353, 61000-65535 } accept\nudp dport 123 accept");
    }
    text
}
