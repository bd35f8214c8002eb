#!/bin/bash
# The box comes up and serves its page, whatever was done to its disk before. What it must be then stands
# in ./expected, as far as it is known: AUTHORITY (fingerprint), CLAIMED (yes, no), KEY (of the Wi-Fi),
# WORD (what the initrd found), SAID (words of the status), TOLD (when it was, once), QUIET (this start writes
# nothing).
# shellcheck disable=SC1091,SC2153  # written by who starts this
set -u
cd /test || exit 1
. ./lib.sh
CARD=/host/boot/bulle/JOIN.TXT
AUTHORITY='' CLAIMED='' KEY='' WORD='' SAID='' TOLD='' QUIET=''
[[ ! -e expected ]] || . ./expected

comes_up
check "it serves its page" until_true serves
check "its data is on the disk" grep -q ' /host/data ext4 ro' /proc/self/mounts
authority() { curl --silent --max-time 5 -o /tmp/ca.crt http://127.0.0.1/ca.crt && fingerprint /tmp/ca.crt; }
[[ -z $WORD ]] || check "the initrd says: $WORD" same "$(cat /run/bulle-start/data)" "$WORD"
[[ -z $SAID ]] || check "it says: $SAID" until_true in_status "$SAID"
[[ -z $AUTHORITY ]] || check "it has the authority that phones trust" same "$(authority)" "$(tr -d : <<<"${AUTHORITY,,}")"
if [[ $CLAIMED == yes ]]; then
    check "it is claimed" until_true in_status 'claimed   yes'
    no_card() { [[ ! -e $CARD ]]; }
    check "it shows no card" until_true no_card
else
    card() { grep -q 'Claim code' "$CARD"; }
    check "it shows its card" until_true card
    check "anybody may claim it" until_true in_status 'claimed   no'
fi
# Words of the card may be on several lines.
says() { tr -s ' \r\n' ' ' <"$CARD" | grep -qF "$SAID"; }
[[ -z $SAID || $CLAIMED == yes ]] || check "so does the card" until_true says
[[ -z $KEY ]] || check "its Wi-Fi has the same key" grep -qF "$KEY" "$CARD"
# The machine's clock comes from the one that emulates it, and is behind that.
later() {
    local now
    now=$(curl --silent --max-time 5 --insecure -o /dev/null -D - https://127.0.0.1/healthz | tr -d '\r' | sed -n 's/^date: //Ip')
    [[ $(date -d "$now" +%s) -ge $TOLD ]] || { printf 'it says %s\n' "$now"; return 1; }
}
[[ -z $TOLD ]] || check "it does not go back in time" later
whole() { box /usr/bin/bulle box check-state /data/bulle | grep 'authority [0-9A-F]'; }
check "its state is whole" until_true whole
if [[ -n $QUIET ]]; then
    sleep 25
    sync
    value bytes_written_by_a_start $(($(awk '{ print $7 }' /sys/block/vda/stat) * 512))
    check "this start writes nothing" same "$(awk '{ print $7 }' /sys/block/vda/stat)" 0
fi
check "no unit has failed" no_failed_unit
echo end
