#!/bin/bash
# The data partition fills up, somebody claims the box all the same, and the radio is pulled out while it is on the air.
set -u
cd /test || exit 1
. ./lib.sh

comes_up
on_air() { iw dev | grep -q 'type AP'; }
check "an access point is up" until_true on_air
fill() { mount -o remount,rw /host/data && head -c 200M /dev/zero >/host/data/filler 2>/dev/null; [[ $(df --output=avail /host/data | tail -n 1) -lt 64 ]]; }
check "the data partition is full" fill
mount -o remount,ro /host/data
check "the card is there" until_true names_wifi
code=$(field 'Claim code')
check "its authority is there" curl --silent --fail --max-time 10 -o /tmp/ca.crt http://127.0.0.1/ca.crt
check "it can be claimed" same "$(claim "$code")" 204
check "and says that its disk does not know" until_true in_status 'this box was claimed'
refused() { [[ $(claim "$code") != 204 ]]; }
check "nobody else can claim it" refused
rmmod mac80211_hwsim
check "the radios are gone" until_true bash -c '! ls /sys/class/ieee80211/* 2>/dev/null | grep -q .'
says_so() { status | grep -qi 'radio'; }
check "the box says so" until_true says_so
check "it serves its page all the same" serves
modprobe -d / mac80211_hwsim radios=3
check "with the radio the access point comes back" until_true on_air
box systemctl restart bulle-box
check "with a full disk the box starts again" until_true box systemctl is-active --quiet bulle-box bulle
is_claimed() { status | grep -q '^claimed   yes'; }
check "it is claimed as before" until_true is_claimed
mount -o remount,rw /host/data && rm /host/data/filler && mount -o remount,ro /host/data
on_disk() { box /usr/bin/bulle box check-state /data/bulle | grep -q ', claimed,' && [[ ! -e /host/boot/bulle/JOIN.TXT ]]; }
check "with room on the disk the claim is written, and the card goes" until_true on_disk
check "no unit has failed" no_failed_unit
echo end
