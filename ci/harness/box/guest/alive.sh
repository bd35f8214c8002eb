#!/bin/bash
# The box comes up and serves its page, whatever was done to its disk before.
set -u
cd /test || exit 1
. ./lib.sh

check "the box comes up" until_true 120 box systemctl is-active --quiet bulle-box bulle
value up_s "$(uptime_s)"
serves() { curl --silent --fail --max-time 5 --insecure -o /dev/null https://127.0.0.1/; }
check "it serves its page" until_true 30 serves
check "no unit has failed" no_failed_unit
echo end
