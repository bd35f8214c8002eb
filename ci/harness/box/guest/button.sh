#!/bin/bash
# The power button: whoever started us presses it three times (`ask thrice`), and then once (`ask once`).
set -u
cd /test || exit 1
. ./lib.sh
PATH=/test/bin:$PATH
# The shutdown that one press asks for ends this, too.
trap 'echo off; exit' TERM

comes_up
check "it serves its page" until_true serves
curl --silent --max-time 10 -o /tmp/ca.crt http://127.0.0.1/ca.crt
talk() { phones --url https://127.0.0.1 --ca /tmp/ca.crt --count 4 --messages 3 --path mailbox --seconds-limit 180 >/tmp/phones.log 2>&1 || { tail -n 5 /tmp/phones.log; return 1; }; }
check "phones talk" talk
# figure WORD: what the relay says of itself, such as envelopes.
figure() { box /usr/bin/bulle dump | grep -oE "\b$1=[0-9]+" | head -n 1 | cut -d= -f2; }
holds() { (($(figure envelopes) > 0)); }
check "the relay holds something for them" holds
check "and nobody has purged it" same "$(figure panic)" 0
echo "ask thrice"
purged() { (($(figure panic) > 0)); }
check "three presses purge it" until_true purged
check "it holds nothing" same "$(figure envelopes)" 0
check "the box is on" serves
check "phones talk again" talk
check "no unit has failed" no_failed_unit
echo end
echo "ask once"
sleep 600 &
wait
