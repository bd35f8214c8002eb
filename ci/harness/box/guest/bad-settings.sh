#!/bin/bash
# bulle.toml says `mod` where it means `mode`: the box says so, stays off the air, and serves its page.
set -u
cd /test || exit 1
. ./lib.sh
CARD=/host/boot/bulle/JOIN.TXT

comes_up
check "the card names the line" until_true grep -qE 'line 3' "$CARD"
check "the card names the key" grep -q 'mod' "$CARD"
check "the status names the line" grep -q 'line 3' <(box /usr/bin/bulle box status)
screen() { tr '\0' ' ' </dev/vcs1 | grep -q 'line 3'; }
check "the screen names the line" screen
no_access_point() { ! iw dev | grep -q 'type AP'; }
check "no Wi-Fi is raised" no_access_point
check "it serves its page" until_true serves
check "no unit has failed" no_failed_unit
echo end
