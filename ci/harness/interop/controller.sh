#!/usr/bin/env bash
# The controller of a box with the real systemd-networkd, the real packet filter and the real daemon, between a
# network with a DHCP server and a phone; only the service manager is a script.
#
#   ci/build amd64
#   ci/in e2e bash /ws/ci/harness/interop/controller.sh
#
# Makes hosts of its own, nothing leaves them. There is no radio here: access points are for booted images.
set -euo pipefail

bulle=${BULLE:-/ws/out/bin/amd64/bulle}
networkd=/usr/lib/systemd/systemd-networkd
for program in "$bulle" "$networkd"; do
    [[ -x $program ]] || { echo "controller.sh: $program is not there; run this inside the e2e root after ci/build" >&2; exit 2; }
done

box=$(mktemp -d) started=() passed=0 failed=0
clean() {
    local pid
    # What was started in a namespace is the child of what is remembered.
    for pid in "${started[@]}" $(cat "$box"/run/*.pid 2>/dev/null); do
        pkill -P "$pid" 2>/dev/null || true
        kill "$pid" 2>/dev/null || true
    done
    for host in office phone bubble guest; do ip netns del "box-$host" 2>/dev/null || true; done
    rm -rf "$box"
}
trap clean EXIT

check() {
    local name=$1 said
    shift
    if said=$("$@" 2>&1); then
        passed=$((passed + 1))
        printf 'ok %s\n' "$name"
    else
        failed=$((failed + 1))
        printf 'not ok %s: %s\n' "$name" "$(tail -c 600 <<<"$said" | tr '\n' ' ')"
    fi
}

until_true() {
    local end=$((SECONDS + 60))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || { echo "not in time: $*"; return 1; }
        sleep 0.3
    done
}

# Without udev, networkd takes interfaces as they are where it cannot write to /sys.
mount -o remount,ro,bind /sys 2>/dev/null || mount -t sysfs -o ro sysfs /sys
mkdir -p /run/systemd/network
chmod 755 /run /run/systemd /run/systemd/network
ip link set lo up
for host in office phone; do ip netns add "box-$host" && ip -n "box-$host" link set lo up; done
ip link add eth0 type veth peer name eth0 netns box-office
ip -n box-office link add hub type bridge
ip -n box-office link set hub up
ip -n box-office link set eth0 master hub up
ip -n box-office link add leaf type veth peer name eth0 netns box-phone
ip -n box-office link set leaf master hub up
ip -n box-office address add 192.0.2.1/24 dev hub
ip -n box-office address add 10.77.0.7/24 dev hub
ip -n box-phone link set eth0 up
ip -n box-phone address add 192.0.2.9/24 dev eth0
office() { ip netns exec box-office "$@"; }
phone() { ip netns exec box-phone "$@"; }
office dnsmasq --no-daemon --port=0 --interface=hub --bind-interfaces --dhcp-range=192.0.2.50,192.0.2.60,1h \
    --dhcp-leasefile="$box/leases" --pid-file= >"$box/dnsmasq.log" 2>&1 &
started+=($!)

mkdir -p "$box"/{bin,boot/bulle,data/bulle,dev,run}
ln -s /run/systemd "$box/run/systemd"
printf '[lan]\ninterface = "eth0"\n' >"$box/boot/bulle/bulle.toml"
# The service manager, as far as the controller asks it.
cat >"$box/bin/systemctl" <<'X'
#!/bin/bash
box=$(dirname "$(dirname "$0")")
echo "$*" >>"$box/run/asked"
alive() { [[ -s $box/run/$1.pid ]] && kill -0 "$(<"$box/run/$1.pid")" 2>/dev/null; }
case "$*" in
    *reload-or-restart\ systemd-networkd.service)
        if alive networkd; then
            kill -HUP "$(<"$box/run/networkd.pid")"
        else
            SYSTEMD_LOG_TARGET=console /usr/lib/systemd/systemd-networkd >"$box/run/networkd.log" 2>&1 &
            echo $! >"$box/run/networkd.pid"
        fi
        ;;
    *reload-or-restart\ bulle.service) alive serve && kill -HUP "$(<"$box/run/serve.pid")" ;;
esac
exit 0
X
chmod +x "$box/bin/systemctl"

PATH=$box/bin:$PATH "$bulle" box --root "$box" >/dev/null 2>"$box/run/box.log" &
started+=($!)
status() { "$bulle" box status --root "$box"; }
in_status() { status | grep -q "$1"; }
check "a network on the cable is served" until_true in_status 'serves the network of its cable: a network answers'
understood() { ! grep -iE 'unknown|invalid|failed|ignoring' "$box/run/networkd.log"; }
check "networkd knows every line" understood
"$bulle" serve --config "$box/run/bulle/bulle.toml" >"$box/run/serve.out" 2>"$box/run/serve.log" &
echo $! >"$box/run/serve.pid"
card=$box/boot/bulle/JOIN.TXT
has_fingerprint() { grep -qE '([0-9A-F]{2}:){15}' "$card"; }
check "the card has the authority's fingerprint" until_true has_fingerprint
address=$(grep -oE 'https://192[0-9.]+' "$card" | head -n 1)
address=${address#https://}
check "the card has the address of the lease" grep -qE '^192\.0\.2\.(5[0-9]|60)$' <<<"$address"

phone curl --silent --max-time 10 -o "$box/ca.crt" "http://$address/ca.crt" || true
get() { phone curl --silent --fail --max-time 10 --cacert "$box/ca.crt" --resolve "bulle.local:443:$address" "https://bulle.local$1"; }
check "a phone reads the page over TLS" get /
check "a phone can ping the box" phone ping -c 1 -W 3 "$address"
refused() { ! phone curl --silent --max-time 3 "http://$address:$1/" >/dev/null; }
python3 -m http.server 9999 --bind "$address" >/dev/null 2>&1 &
started+=($!)
until_true bash -c "ss -lnt | grep -q :9999" || true
check "a port that is not on the list is shut" refused 9999
silent() { ! timeout 3 bash -c "exec 3<>/dev/tcp/192.0.2.9/80" 2>/dev/null; }
phone python3 -m http.server 80 --bind 192.0.2.9 >/dev/null 2>&1 &
started+=($!)
until_true phone curl --silent --max-time 2 -o /dev/null http://192.0.2.9/ || true
check "the box begins no connection" silent

code=$(sed -n 's/^ *Claim code  *//p' "$card" | tr -d '\r')
claim() { phone curl --silent --max-time 10 --cacert "$box/ca.crt" --resolve "bulle.local:443:$address" -o /dev/null \
    -w '%{http_code}' -H 'content-type: application/json' -d "{\"code\":\"$1\"}" https://bulle.local/claim; }
is() { [[ $1 == "$2" ]] || { echo "expected $2, got $1"; return 1; }; }
check "a wrong code does not claim the box" is "$(claim 00000-00000)" 403
sleep 1.2
check "the code of the card claims the box" is "$(claim "$code")" 204
check "the card is taken away" until_true test ! -e "$card"
check "the status says so" until_true in_status 'claimed   yes'
check "the state is whole" "$bulle" box check-state "$box/data/bulle"
nobody() { ! grep -hoE '([0-9]{1,3}\.){3}[0-9]{1,3}|([0-9a-f]{2}:){5}[0-9a-f]{2}' "$box"/run/box.log "$box"/run/bulle/status; }
check "neither log nor status names an address" nobody

printf 'mode = "lan"\n[lan]\ninterface = "eth0"\naddress = "192.0.2.9/24"\n' >"$box/boot/bulle/bulle.toml"
kill -HUP "${started[1]}"
check "an address that a phone has already is not taken, and that is said" until_true in_status 'another machine on this network has'

# The rules of a bubble, as a phone of it meets them.
for host in bubble guest; do ip netns add "box-$host" && ip -n "box-$host" link set lo up; done
ip -n box-bubble link add wlan0 type veth peer name wlan0 netns box-guest
for side in bubble:1 guest:50; do
    host=box-${side%:*} number=${side#*:}
    ip -n "$host" address add "10.77.0.$number/24" dev wlan0
    ip -n "$host" -6 address add "fd01:203:405::$number/64" dev wlan0 nodad
    ip -n "$host" link set wlan0 up
done
ip -n box-guest route add default via 10.77.0.1
ip -n box-guest -6 route add default via fd01:203:405::1
bubble() { ip netns exec box-bubble "$@"; }
guest() { ip netns exec box-guest "$@"; }
check "the packet filter takes the rules of a bubble" bubble nft -f /ws/appliance/core/src/firewall/tests/wifi.nft
for port in 80 9999; do
    bubble python3 -m http.server "$port" --bind :: >/dev/null 2>&1 &
    started+=($!)
done
loads() { guest curl --silent --max-time 5 -o /dev/null --globoff "http://$1/"; }
check "a phone of the bubble reads the page by IPv4" until_true loads 10.77.0.1
check "and by IPv6" loads "[fd01:203:405::1]"
# curl says 7 when it was refused, 28 when it waited in vain.
refuses() { local said=0; loads "$1" || said=$?; is "$said" 7; }
check "a port that is not on the list refuses at once" refuses 10.77.0.1:9999
check "so does private DNS" refuses 10.77.0.1:853
check "the way out is refused at once, by IPv4" refuses 203.0.113.9
check "and by IPv6" refuses "[2001:db8::9]"
stays_in() { ! bubble timeout 2 bash -c "exec 3<>/dev/tcp/10.77.0.50/80" 2>/dev/null; }
guest python3 -m http.server 80 --bind 10.77.0.50 >/dev/null 2>&1 &
started+=($!)
until_true guest curl --silent --max-time 2 -o /dev/null http://10.77.0.50/ || true
check "the box begins no connection to a phone" stays_in

echo "$passed passed, $failed failed"
((failed == 0))
