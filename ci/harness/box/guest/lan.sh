#!/bin/bash
# Plugged into a network: what the box says of itself while others use it from outside.
set -u
cd /test || exit 1
. ./lib.sh

comes_up
has_lease() { ip -4 -o addr show scope global | grep -q 10.77.0.1; }
check "it has a lease" until_true has_lease
no_access_point() { ! iw dev | grep -q 'type AP'; }
check "no Wi-Fi is raised" no_access_point

check "no unit has failed" no_failed_unit
no_cycle() { ! box journalctl -b --no-pager | grep -qi 'ordering cycle'; }
check "no ordering cycle" no_cycle
listeners | sed 's/^/listens /'
echo end
# Whoever started us looks for people in it.
while sleep 3; do
    journal -o cat --cursor-file=/run/told | sed 's/^/journal /'
    echo told
done
