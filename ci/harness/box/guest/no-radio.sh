#!/bin/bash
# There is no radio, and the data partition is damaged beyond repair.
set -u
cd /test || exit 1
. ./lib.sh
CARD=/host/boot/bulle/JOIN.TXT

comes_up
check "the data partition was made again" same "$(cat /run/bulle-start/data)" rebuilt
check "it is on the disk" grep -q ' /host/data ext4 ro' /proc/self/mounts
says() { tr -s ' \r\n' ' ' <"$CARD" | grep -q "$1"; }
check "the card says that nothing could be saved" until_true says 'nothing of it could be saved'
looked_through() { [[ ! -e /run/bulle-start/remains ]]; }
check "the copy of the old one was looked through and is gone" looked_through
check "the box said why there is no Wi-Fi" until_true grep -qi 'radio' "$CARD"
check "it serves its page" until_true serves
check "no unit has failed" no_failed_unit
echo end
