#!/bin/bash
# The data partition fills up and the radio is pulled out while the box is on the air.
set -u
cd /test || exit 1
. ./lib.sh

comes_up 120
on_air() { iw dev | grep -q 'type AP'; }
check "an access point is up" until_true 60 on_air
fill() { mount -o remount,rw /host/data && head -c 200M /dev/zero >/host/data/filler 2>/dev/null; [[ $(df --output=avail /host/data | tail -n 1) -lt 64 ]]; }
check "the data partition is full" fill
mount -o remount,ro /host/data
rmmod mac80211_hwsim
check "the radios are gone" until_true 10 bash -c '! ls /sys/class/ieee80211/* 2>/dev/null | grep -q .'
says_so() { status | grep -qi 'radio'; }
check "the box says so" until_true 60 says_so
check "it serves its page all the same" serves
modprobe -d / mac80211_hwsim radios=3
check "with the radio the access point comes back" until_true 90 on_air
box systemctl restart bulle-box
check "with a full disk the box starts again" until_true 90 box systemctl is-active --quiet bulle-box bulle
check "no unit has failed" no_failed_unit
echo end
