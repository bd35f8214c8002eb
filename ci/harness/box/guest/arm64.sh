#!/bin/bash
# The image of the Raspberry Pi 5 on a machine that is none: a phone joins its Wi-Fi with what the card says. Emulated in
# software it takes three times as long as anything else here.
# shellcheck disable=SC1091,SC2154  # the lease is written as it runs
set -u
cd /test || exit 1
. ./lib.sh
CARD=/host/boot/bulle/JOIN.TXT

comes_up
check "it is arm64" same "$(uname -m)" aarch64
check "the root file system is verified" grep -q '^/dev/mapper/root /host ' /proc/self/mounts
check "the card names the Wi-Fi" until_true names_wifi
check "its secrets are on the data partition" until_true test -s /host/data/bulle/box.state

on_air() { iw dev | grep -q 'type AP'; }
check "an access point is up" until_true on_air
AP=$(iw dev | awk '/Interface/ { name = $2 } /type AP/ { print name; exit }')
check "a radio is left for a phone" take_radio 1 "$AP"
join 1 "$(field Network)" "$(field Key)" wpa3
check "a phone joins by WPA3 with the key of the card" until_true joined 1
check "it gets a lease" sta 1 udhcpc -q -n -t 20 -T 3 -i wlan0 -s /test/lease -O 114
. /tmp/lease-wlan0
BOX=$dns

named() { same "$(sta 1 host -W 5 -R 3 -t A bulle.internal "$BOX" 2>/dev/null | grep -oE '[^ ]*$' | tail -n 1)" "$BOX"; }
check "the box's name resolves" named
sta 1 curl --silent --max-time 20 -o /tmp/ca.crt "http://$BOX/ca.crt"
check "the authority is the card's" grep -qi "$(fingerprint /tmp/ca.crt)" <(tr -d ': \r\n' <"$CARD")
page() { sta 1 curl --silent --show-error --fail --max-time 30 --cacert /tmp/ca.crt --resolve "bulle.internal:443:$BOX" https://bulle.internal/; }
check "the page opens over TLS, over the air" grep -q '<html' <(page)

# The light is a pin of the machine, and its driver the kernel's.
lit() { cat /sys/class/leds/ACT/brightness; }
steady() { for _ in {1..10}; do same "$(lit)" 1 || return 1; sleep 0.1; done; }
# A look takes a while and the light goes on: in 200 there are both.
blinks() { local seen; seen=$(for _ in {1..200}; do lit; sleep 0.02; done | sort -u | tr '\n' ' '); same "$seen" '0 1 '; }
check "the light is steady when phones can join" until_true steady
settings() { mount -o remount,rw /host/boot/bulle; printf '%s\n' "$1" >/host/boot/bulle/bulle.toml; mount -o remount,ro /host/boot/bulle; }
told() { box systemctl kill --kill-whom=main --signal=HUP bulle-box.service; }
settings 'mode = "wfi"'
told
check "it blinks when there is a mistake in the settings" until_true blinks
settings 'mode = "wifi"'
told
check "and is steady again without it" until_true steady

check "no unit has failed" no_failed_unit
no_cycle() { ! box journalctl -b --no-pager | grep -qi 'ordering cycle'; }
check "no ordering cycle" no_cycle
# The least of some readings: what this test has just run still goes, and is not the box's.
memory_mib() {
    local reading
    for reading in {1..10}; do
        ((reading == 1)) || sleep 2
        free -m | awk '/^Mem:/ { print $3 }'
    done | sort -n | head -n 1
}
value memory_mib "$(memory_mib)"
listeners | sed 's/^/listens /'
echo end
