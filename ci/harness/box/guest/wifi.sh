#!/bin/bash
# Two phones join the box's Wi-Fi, with what the join card says and nothing else.
# shellcheck disable=SC1091,SC2154,SC2012,SC2015  # leases are written as it runs; names of ours have no surprises
set -u
cd /test || exit 1
. ./lib.sh
PATH=/test/bin:$PATH
CARD=/host/boot/bulle/JOIN.TXT

booted() { box systemctl is-system-running --wait >/dev/null 2>&1; box systemctl is-active --quiet bulle-box bulle; }
check "the box comes up" until_true booted
value up_s "$(uptime_s)"
check "the card is there" until_true names_wifi
SSID=$(field Network)
KEY=$(field Key)
LINK=$(grep -oE 'https://[^ ]+#[^ ]+' "$CARD" | tr -d '\r' | head -n 1)
check "the key has at least 20 characters" test "${#KEY}" -ge 20

# The box has taken the first radio; the others become phones.
access_point() { AP=$(iw dev | awk '/Interface/ { name = $2 } /type AP/ { print name; exit }'); [[ -n $AP ]]; }
check "an access point is up" until_true access_point
access_point
number=0
for n in 1 2; do take_radio "$n" "$AP" && number=$n; done
check "two radios are left for phones" test "$number" -ge 2

refused() { grep -qE 'WRONG_KEY|AUTH-REJECT|SSID-TEMP-DISABLED' "/tmp/sta$1.log"; }

join 1 "$SSID" "wrong-$KEY" wpa2
check "a wrong key is refused" until_true refused 1
check "and does not get in" bash -c '! wpa_cli -p /run/wpa-sta1 -i wlan0 status | grep -q COMPLETED'
leave 1

join 1 "$SSID" "$KEY" wpa3
check "a phone joins by WPA3" until_true joined 1
join 2 "$SSID" "$KEY" wpa2
check "an older phone joins by WPA2" until_true joined 2
for n in 1 2; do
    check "phone $n gets a lease" sta "$n" udhcpc -q -n -t 10 -T 2 -i wlan0 -s /test/lease -O 114
    mv /tmp/lease-wlan0 "/tmp/lease-sta$n" 2>/dev/null
done
. /tmp/lease-sta1
BOX=$dns
ONE=$ip
. /tmp/lease-sta2
TWO=$ip

ask() { sta 1 host -W 3 -R 2 -t "$2" "$1" "$BOX" 2>/dev/null | grep -oE '[^ ]*$' | tail -n 1; }
check "its name resolves" same "$(ask bulle.internal A)" "$BOX"
check "it has an address in IPv6" grep -qE '^f[cd][0-9a-f:]+$' <(ask bulle.internal AAAA)
elsewhere() { sta 1 host -W 2 -R 1 -t A example.com "$BOX" | grep -q NXDOMAIN; }
check "any other name is refused at once" elsewhere
probe() { sta 1 curl --silent --max-time 5 --resolve "$1:80:$(ask "$1" A)" "http://$1$2" "${@:3}"; }
check "Android's probe passes" same "$(probe connectivitycheck.gstatic.com /generate_204 -o /dev/null -w '%{http_code}')" 204
check "Apple's probe passes" grep -q Success <(probe captive.apple.com /hotspot-detect.html)
check "Windows' probe passes" same "$(probe www.msftconnecttest.com /connecttest.txt)" "Microsoft Connect Test"

# The authority is fetched in the clear, and is the one that the card names.
sta 1 curl --silent --max-time 5 -o /tmp/ca.crt "http://$BOX/ca.crt"
PRINT=$(fingerprint /tmp/ca.crt)
check "the authority is the card's" grep -qi "$PRINT" <(tr -d ': \r\n' <"$CARD")
page() { sta "$1" curl --silent --show-error --fail --max-time 10 --cacert /tmp/ca.crt --resolve "bulle.internal:443:$BOX" https://bulle.internal/; }
check "the page opens over TLS, by name" grep -q '<html' <(page 1)
check "the page opens over TLS, by address" sta 2 curl --silent --fail --max-time 10 --cacert /tmp/ca.crt -o /dev/null "https://$BOX/"

check "phones reach the box" sta 1 ping -c 1 -W 3 "$BOX"
check "phones are kept apart" bash -c "! ip netns exec sta1 ping -c 2 -W 2 $TWO"

phone() { sta "$1" phones --url https://bulle.internal --connect "$BOX:443" --ca /tmp/ca.crt --invitation "$2" --half $(($1 - 1)) --path "$3" --messages 3 --seconds-limit 180; }
pair() {
    local link
    link=$(bulle invite --url https://bulle.internal | grep -oE 'https://[^ ]+#[^ ]+' | head -n 1)
    phone 1 "$link" "$1" >/tmp/phone1.log 2>&1 &
    phone 2 "$link" "$1" >/tmp/phone2.log 2>&1
    local rc=$?
    wait $! && ((rc == 0)) || { tail -n 3 /tmp/phone1.log /tmp/phone2.log; return 1; }
}
check "two phones exchange messages through the box" pair mailbox
check "two phones that are kept apart find the relay" pair relay
check "the card's invitation is one" test -n "$LINK"

STATUS=$(box /usr/bin/bulle box status 2>&1)
check "the box counts two stations" grep -qE 'stations?[^0-9]*2|2 stations?' <<<"$STATUS"
macs() { for n in 1 2; do ip -n "sta$n" -o link show wlan0 | grep -oE 'link/ether [0-9a-f:]+' | cut -d' ' -f2; done; }
blind() {
    local kind word text
    text=$(printf '%s\n' "$STATUS"; journal -o short)
    [[ $(wc -l <<<"$text") -gt 10 ]] || { echo "the journal is empty"; return 1; }
    while read -r kind word; do
        ! grep -iF -- "$word" <<<"$text" | sed "s/$word/<$kind>/Ig" | head -n 3 | grep . || return 1
    done < <(
        macs | sed 's/^/station /'
        printf 'address %s\naddress %s\nkey %s\ninvitation %s\n' "$ONE" "$TWO" "$KEY" "${LINK#*#}"
    )
}
check "neither journal nor status names a phone or a secret" blind

check "no unit has failed" no_failed_unit
check "no ordering cycle" bash -c "! chroot /host journalctl -b --no-pager | grep -qi 'ordering cycle'"
listeners | sed 's/^/listens /'
echo end
