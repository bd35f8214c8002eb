#!/bin/bash
# What the box needs as it serves, and what it writes to its card in an hour of operation: counted by the
# kernel, while phones use the box from outside (measure.py).
# shellcheck disable=SC1091  # it lies beside this one in the guest
set -u
cd /test || exit 1
. ./lib.sh

memory_mib() { free -k | awk '/^Mem:/ { printf "%.1f\n", $3 / 1024 }'; }
written() { awk '{ print $7 * 512 }' /sys/block/vda/stat; }

check "the box comes up" until_true box systemctl is-active --quiet bulle-box bulle
serves() { curl --silent --fail --max-time 5 --insecure -o /dev/null https://127.0.0.1/; }
check "it serves its page" until_true serves
sleep 5
value memory_mib "$(memory_mib)"

# A minute after its first start a box has made and written what it makes once.
sleep 60
sync
BEFORE=$(written)
FROM=$SECONDS
echo operation
sleep "$(<seconds)"
value memory_after_phones_mib "$(memory_mib)"
sync
value bytes_written $(($(written) - BEFORE))
value seconds $((SECONDS - FROM))
check "no unit has failed" no_failed_unit
