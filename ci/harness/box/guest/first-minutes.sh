#!/bin/bash
# The first start of a box, then some operation: what it writes meanwhile is kept by who started us.
set -u
cd /test || exit 1
. ./lib.sh
PATH=/test/bin:$PATH

check "the box comes up" until_true 120 box systemctl is-active --quiet bulle-box bulle
value up_s "$(uptime_s)"
serves() { curl --silent --fail --max-time 5 --insecure -o /dev/null https://127.0.0.1/; }
check "it serves its page" until_true 30 serves
check "the card is there" until_true 30 test -s /host/boot/bulle/JOIN.TXT
check "what it made is on the disk" until_true 30 test -s /host/data/bulle/box.state
sleep 5
sync

# From here on, normal operation writes nothing.
written() { awk '{ print $7 }' /sys/block/vda/stat; }
BEFORE=$(written)
curl --silent --max-time 5 -o /tmp/ca.crt http://127.0.0.1/ca.crt
talk() { phones --url https://127.0.0.1 --ca /tmp/ca.crt --count 10 --messages 20 --path mailbox --seconds-limit 100 >/tmp/phones.log 2>&1 || { tail -n 5 /tmp/phones.log; return 1; }; }
check "ten phones talk" talk
sleep "${QUIET_S:-60}"
sync
value bytes_written_in_operation $((($(written) - BEFORE) * 512))
check "operation writes nothing" same "$(written)" "$BEFORE"
check "no unit has failed" no_failed_unit
echo end
