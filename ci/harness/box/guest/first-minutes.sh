#!/bin/bash
# The first start of a box, some operation, and the claim: what it writes meanwhile is kept by who started us.
set -u
cd /test || exit 1
. ./lib.sh
PATH=/test/bin:$PATH
CARD=/host/boot/bulle/JOIN.TXT

comes_up
check "it serves its page" until_true serves
check "the card is there" until_true test -s "$CARD"
state() { box /usr/bin/bulle box check-state /data/bulle; }
kept() { state | grep -q 'authority [0-9A-F]'; }
check "what it made is on the disk" until_true kept
check "the data partition is read-only between two saves" grep -q ' /host/data ext4 ro' /proc/self/mounts

# The card and the certificate follow the addresses that come one by one; then all is as it will be.
written() { awk '{ print $7 }' /sys/block/vda/stat; }
settled() { local before; before=$(written) && sleep 25 && [[ $(written) == "$before" ]]; }
check "the start comes to its end" until_true settled

# From here on, normal operation writes nothing.
sync
BEFORE=$(written) SINCE=$SECONDS
curl --silent --max-time 5 -o /tmp/ca.crt http://127.0.0.1/ca.crt
talk() { phones --url https://127.0.0.1 --ca /tmp/ca.crt --count 10 --messages 20 --path mailbox --seconds-limit 300 >/tmp/phones.log 2>&1 || { tail -n 5 /tmp/phones.log; return 1; }; }
check "ten phones talk" talk
sleep "${QUIET_S:-45}"
sync
value operation_s $((SECONDS - SINCE))
value bytes_written_in_operation $((($(written) - BEFORE) * 512))
value bytes_written_per_hour $((($(written) - BEFORE) * 512 * 3600 / (SECONDS - SINCE)))
check "operation writes nothing" same "$(written)" "$BEFORE"

# A save in operation: the power is cut within it, too. Who claims the box has a clock that is ahead of its own.
TOLD=$(($(date +%s) + 40 * 86400))
check "the box is claimed" same "$(claim "$(field 'Claim code')" $TOLD)" 204
claimed() { state | grep -q ', claimed,' && [[ ! -e $CARD ]]; }
check "the claim is on the disk, and the card is gone" until_true claimed
clock_is_set() { [[ -e /run/bulle/claim/clock-told && $(date +%s) -ge $TOLD ]]; }
check "its clock is that of who claimed it" until_true clock_is_set
value told $TOLD
check "its page is good for that day" curl --silent --fail --max-time 10 --cacert /tmp/ca.crt -o /dev/null https://127.0.0.1/
check "all of that comes to its end" until_true settled
sync
BEFORE=$(written)
box systemctl restart bulle-box
check "the controller starts again" until_true box systemctl is-active --quiet bulle-box bulle
sleep 5
sync
check "which writes nothing" same "$(written)" "$BEFORE"
check "no unit has failed" no_failed_unit
echo end
