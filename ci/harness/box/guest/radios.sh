#!/bin/bash
# Radios are pulled out and plugged in while the box runs: another one takes the place of the one that is gone, one that
# cannot be an access point is told apart, and a second box of the same name in the room is heard.
set -u
cd /test || exit 1
. ./lib.sh

access_point() { iw dev | awk '/Interface/ { name = $2 } /type AP/ { print name; exit }'; }
is_access_point() { [[ $(access_point) == "$1" ]] || { echo "it is '$(access_point)'"; return 1; }; }
on_air() { in_status ', on air'; }
channel() { iw dev "$(access_point)" info | awk '/channel/ { print $2 }'; }
# The name of the radio that an interface belongs to.
phy_of() { basename "$(readlink -f "/sys/class/net/$1/phy80211")"; }
is_not() { [[ $1 != "$2" ]] || { echo "both are $1"; return 1; }; }
again() { box systemctl kill --kill-whom=main --signal=HUP bulle-box.service; }

comes_up
check "it is on the air" until_true on_air
check "of radios that are as good, the first was chosen" is_access_point wlan0
check "and that is said" until_true in_status 'chosen *the first of 3 radios'

# hostapd reads what anybody near sends: NET_ADMIN and NET_RAW, never more, and a user of its own.
rights() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$(pgrep -x hostapd)/status" | tr '\t' ' '; }
for set in CapPrm CapEff CapInh CapBnd CapAmb; do
    check "hostapd's $set is what it needs" same "$(rights $set)" 0000000000003000
done
OWNER=$(awk -F: '$1 == "bulle-wifi" { print $3 }' /host/etc/passwd)
check "there is a user for hostapd" test -n "$OWNER"
check "hostapd is that user" same "$(rights Uid)" "$OWNER $OWNER $OWNER $OWNER"
check "hostapd can gain nothing" same "$(rights NoNewPrivs)" 1

# A bubble's phones hear no at once when they try private DNS.
check "private DNS is refused, by name and number" grep -q 'tcp dport 853 .*reject with tcp reset' <(nft list table inet bulle)

# The adapter is pulled out; two others are there.
check "the adapter is pulled out" python3 hwsim.py del "$(phy_of wlan0)"
check "the box misses it" until_true in_status 'radio is gone'
check "another one takes its place" until_true on_air
check "under its own name" is_not "$(access_point)" ''
address() { ip -4 -o addr show dev "$(access_point)" | grep -q ' 10\.77\.0\.1/'; }
check "with the addresses of the bubble" until_true address
check "and that is said, too" until_true in_status 'chosen *the first of 2 radios'
check "it serves its page" serves 127.0.0.1

# Both others go, and one comes that cannot be an access point.
for name in $(python3 hwsim.py list | cut -d' ' -f2-); do python3 hwsim.py del "$name"; done
check "one that cannot is plugged in" python3 hwsim.py new deaf station
check "a radio that cannot be an access point is told apart" until_true in_status 'cannot make a network'
check "the card says so" until_true in_card 'cannot make a network'
check "the screen says so" until_true on_screen 'cannot make a network'
check "no Wi-Fi is raised" same "$(access_point)" ''
check "there is no hostapd" bash -c '! pgrep -x hostapd'
has_lease() { ip -4 -o addr show dev eth0 scope global | grep -q inet; }
check "the cable works" until_true has_lease
check "the page is there for the cable" serves "$(ip -4 -o addr show dev eth0 scope global | awk '{ split($4, part, "/"); print part[1] }')"
check "the status says what is on the cable" until_true in_status 'cable *in a network'

# One that can is plugged in beside it.
check "one that can is plugged in" python3 hwsim.py new able
check "an adapter that can is used" until_true on_air
check "and that is said as well" until_true in_status 'the only one of 2 radios that can do this'
check "no remark is left of before" bash -c "! chroot /host /usr/bin/bulle box status | grep -qi 'cannot make a network\|radio is gone'"

# Another box in the room, of the same name and on the same channel.
check "the card names the network again" until_true names_wifi
SSID=$(field Network)
CHANNEL=$(channel)
check "it says nothing of another box" bash -c "! chroot /host /usr/bin/bulle box status | grep -qi 'same name'"
check "a second box is brought" python3 hwsim.py new other
# Another interface than that one, of a radio that can be an access point.
neighbour() {
    local dev
    for dev in /sys/class/net/wlan*; do
        dev=${dev##*/}
        [[ $dev == "$1" ]] || ! iw phy "$(phy_of "$dev")" info | grep -q '\* AP$' || { echo "$dev"; return; }
    done
}
radios() { python3 hwsim.py list | wc -l; }
three() { [[ $(radios) -ge 3 ]]; }
check "there are three radios now" until_true three
OTHER=$(neighbour "$(access_point)")
check "a second box is there" test -n "$OTHER"
ip netns add neighbour
check "it is a box of its own" iw phy "$(phy_of "$OTHER")" set netns name neighbour
printf 'interface=%s\nssid2="%s"\nhw_mode=g\nchannel=%s\nwpa=2\nrsn_pairwise=CCMP\nwpa_key_mgmt=WPA-PSK\nwpa_passphrase=%s\n' \
    "$OTHER" "$SSID" "$CHANNEL" 'the key of the neighbour' >/tmp/neighbour.conf
ip netns exec neighbour hostapd -B /tmp/neighbour.conf >/tmp/neighbour.log 2>&1
beacons() { ip netns exec neighbour iw dev "$OTHER" info | grep -q 'type AP' || { tail -n 5 /tmp/neighbour.log; return 1; }; }
check "it is on the air on our channel" until_true beacons
again
said() { in_status 'has the same name'; }
check "a network of the same name is heard and said" until_true said
check "the Wi-Fi is on the air beside it" until_true on_air
check "on another channel" is_not "$(channel)" "$CHANNEL"
check "the card says so, too" until_true in_card 'has the same name'

names() { [[ ! $(status) =~ $SSID ]] || { echo "the status holds the name of the Wi-Fi"; return 1; }; }
check "the status names no network" names
check "no unit has failed" no_failed_unit
echo end
