#!/bin/bash
# Two Ethernet sockets, one cable. It is in the second; whoever started us moves it to the first (`ask move`), starts a
# time server (`ask time`), and has a host take the address that the router then means for us.
# Then the box makes a Wi-Fi beside a network with the same addresses.
set -u
cd /test || exit 1
. ./lib.sh

address_of() { ip -4 -o addr show dev "$1" scope global | awk '{ split($4, part, "/"); print part[1]; exit }'; }
has_address() { [[ -n $(address_of "$1") ]] || { echo "no address on $1"; return 1; }; }
has_none() { local found; found=$(ip -o addr show dev "$1"); [[ -z $found ]] || { echo "$found"; return 1; }; }
plugged() { [[ $(cat "/sys/class/net/$1/carrier") == 1 ]]; }
unplugged() { [[ $(cat "/sys/class/net/$1/carrier") == 0 ]]; }

comes_up
check "there are two sockets" test -e /sys/class/net/eth0 -a -e /sys/class/net/eth1
check "the first one is empty" until_true unplugged eth0
check "the box uses the one with the cable" until_true has_address eth1
check "and has no address on the other" has_none eth0
check "the status says that it is in a network" until_true in_status 'cable *in a network'

# The clock of this machine woke up in 2000, and the box knows when it was built.
check "the battery clock is wrong" grep -q '^2000-' /sys/class/rtc/rtc0/date
built() { local year; year=$(date -u +%Y); ((year >= 2026 && year < 2028)) || { date; return 1; }; }
check "it is never earlier than the build" built
echo "address $(address_of eth1)"
echo "ask push"
# It lasts about a second, and there is nothing to be seen of it here.
sleep 10
check "the time is not taken from who was not asked" built
check "nobody has set it" test ! -e /run/systemd/timesync/synchronized
echo "ask time"
# It is asked ever less often while nobody answers, in the end every six minutes; five were seen.
PATIENCE=900 check "a time server on the cable is believed" until_true test -e /run/systemd/timesync/synchronized
check "it is the day that the server says" same "$(date -u +%F)" 2028-05-05
serves_today() { curl --silent --fail --max-time 5 -o /tmp/ca.crt "http://$1/ca.crt" && curl --silent --fail --max-time 5 --cacert /tmp/ca.crt -o /dev/null "https://$1/"; }
check "the page has a certificate for that day" until_true serves_today "$(address_of eth1)"

echo "ask move"
check "the cable is out" until_true unplugged eth1
check "and in the other socket" until_true plugged eth0
check "the router's address is another machine's, and that is said" until_true in_status 'used by another machine'
nothing_said() { ! in_status 'used by another machine'; }
check "the box gets another one, and no more is said of it" until_true nothing_said
check "it is in use" until_true has_address eth0
check "no address is left in the empty socket" until_true has_none eth1
check "the status says that it is in a network" until_true in_status 'cable *in a network'
check "the card has the new address" until_true in_card "https://$(address_of eth0)/"
check "the page is there, with a certificate for that address" until_true serves_today "$(address_of eth0)"

# A Wi-Fi of its own, in a house whose network has the addresses that it takes otherwise.
mount -o remount,rw /host/boot/bulle
printf 'mode = "wifi"\n' >/host/boot/bulle/bulle.toml
mount -o remount,ro /host/boot/bulle
box systemctl kill --kill-whom=main --signal=HUP bulle-box.service
on_air() { in_status ', on air'; }
check "the box makes its Wi-Fi beside the cable" until_true on_air
AP=$(iw dev | awk '/Interface/ { name = $2 } /type AP/ { print name; exit }')
check "with other addresses than the cable's" until_true bash -c "ip -4 -o addr show dev $AP | grep -q ' 172\.30\.77\.1/24 '"
check "that is said" until_true in_status 'has taken others'
check "the card says so, too" until_true in_card 'has taken others'
refused_at_once() { local said=0; sta 1 curl --silent --max-time 5 -o /dev/null "http://$1:$2/" || said=$?; same "$said" 7; }
take_radio 1 "$AP"
join 1 "$(field Network)" "$(field Key)" wpa3
check "a phone joins" until_true joined 1
check "and gets an address" sta 1 udhcpc -q -n -t 10 -T 2 -i wlan0 -s /test/lease
check "of the Wi-Fi's own" grep -q ' 172\.30\.77\.[0-9]*/24 ' <(sta 1 ip -4 -o addr show dev wlan0 scope global)
check "it reads the page" sta 1 curl --silent --show-error --fail --max-time 60 --cacert /tmp/ca.crt -o /dev/null https://172.30.77.1/
check "it hears no at once when it tries private DNS" refused_at_once 172.30.77.1 853
check "the network of the cable is out of its reach" bash -c '! ip netns exec sta1 ping -c 1 -W 2 10.77.0.1'
check "no unit has failed" no_failed_unit
check "the cable has its address" until_true has_address eth0
echo "beside $(address_of eth0)"
echo "ask beside"
echo end
sleep 100
