# shellcheck shell=bash
# What the tests inside the virtual machine share. They run in a tree of tools of their own (see
# ci/boot --test) with the box's root on /host, and tell one line each: `ok NAME`, `not ok NAME: why`,
# `value NAME N`.

# check NAME COMMAND...: the test of that name.
check() {
    local name=$1 said
    shift
    if said=$("$@" 2>&1); then
        printf 'ok %s\n' "$name"
    else
        printf 'not ok %s: %s\n' "$name" "$(tail -c 600 <<<"$said" | tr '\n' ' ')"
    fi
}

value() { printf 'value %s %s\n' "$1" "$2"; }

# until_true COMMAND...: tries again until it is so. One patience for all: a wait is no measurement, and the machine
# below may be many times slower than the one that this was written on.
PATIENCE=180
until_true() {
    local said end=$((SECONDS + PATIENCE))
    while ! said=$("$@" 2>&1); do
        ((SECONDS < end)) || { printf 'not in time: %s %s\n' "$*" "$said"; return 1; }
        sleep 0.5
    done
}

# A command of the box itself, with the box's own programs and files.
box() { chroot /host "$@"; }

uptime_s() { cut -d' ' -f1 /proc/uptime; }

# comes_up: both of its programs are ready. (Asked for both at once, systemctl is content with one.)
both_ready() { box systemctl is-active bulle-box && box systemctl is-active bulle; }
comes_up() {
    check "the box comes up" until_true both_ready
    value up_s "$(uptime_s)"
}

# Whether its page comes, here or at that address.
serves() { curl --silent --fail --max-time 5 --insecure -o /dev/null "https://${1:-127.0.0.1}/"; }

# The fingerprint of a certificate in PEM or DER, as 64 hexadecimal digits.
fingerprint() {
    { if grep -q -- ----- "$1"; then grep -v -- ----- "$1" | base64 -d; else cat "$1"; fi; } | sha256sum | cut -d' ' -f1
}

# Lists what listens, as `tcp 443`. A relayed address is no service: it is the daemon's, lies in the range for such, and
# lasts as long as its client refreshes it, whether or not that client said goodbye.
listeners() {
    ss -H -lntup | awk '{
        n = split($5, part, ":")
        if ($1 == "udp" && part[n] >= 61000 && /users:\(\("bulle"/) next
        print $1, part[n]
    }' | sort -u
}

same() { [[ $1 == "$2" ]] || { printf 'expected %s, got %s\n' "$2" "$1"; return 1; }; }

no_failed_unit() {
    local failed
    failed=$(box systemctl --failed --no-legend --plain)
    [[ -z $failed ]] || { printf '%s\n' "$failed"; return 1; }
}

# What the box says of itself, and whether that, its card or its screen says so, wherever lines end.
status() { box /usr/bin/bulle box status; }
in_status() { status | tr '\n' ' ' | grep -qi -- "$1"; }
in_card() { tr -s ' \r\n' ' ' </host/boot/bulle/JOIN.TXT | grep -qi -- "$1"; }
on_screen() { tr '\0' ' ' </dev/vcs1 | tr -s ' ' | grep -qi -- "$1"; }

# What the join card says after that word.
field() { sed -n "s/^ *$1  *//p" /host/boot/bulle/JOIN.TXT | tr -d '\r' | head -n 1; }

# claim CODE [TIME]: claims the box, whose authority is in /tmp/ca.crt, as somebody whose device says that time; prints
# what HTTP says.
claim() {
    curl --silent --max-time 10 --cacert /tmp/ca.crt -o /dev/null -w '%{http_code}' -H 'content-type: application/json' \
        -d "{\"code\":\"$1\"${2:+,\"time\":$2}}" https://127.0.0.1/claim
}

# Whether the card names the Wi-Fi: it follows a moment after the status.
names_wifi() { [[ -n $(field Network) && -n $(field Key) ]]; }

# journal OPTION...: what programs have written there. What the kernel says is left out: phones of these tests share it,
# and theirs tells whom they joined.
journal() {
    box journalctl -b --no-pager "$@" _TRANSPORT=journal + _TRANSPORT=stdout + _TRANSPORT=syslog + _TRANSPORT=driver
}

# take_radio N BUT: a radio becomes phone N, in a namespace of its own; not the one with the interface BUT.
take_radio() {
    local n=$1 but=$2 dev
    for dev in /sys/class/net/wlan*; do
        dev=${dev##*/}
        [[ -e /sys/class/net/$dev && $dev != "$but" ]] || continue
        ip netns add "sta$n"
        iw phy "$(basename "$(readlink -f "/sys/class/net/$dev/phy80211")")" set netns name "sta$n"
        ip -n "sta$n" link set lo up
        ip -n "sta$n" link set "$dev" name wlan0
        return 0
    done
    echo "no radio is left for phone $n"
    return 1
}

# sta N COMMAND...: as phone N.
sta() { local n=$1; shift; ip netns exec "sta$n" "$@"; }

# join N SSID KEY SECURITY: as a phone would with these words typed in.
join() {
    local n=$1 ssid=$2 key=$3 security=$4
    {
        printf 'ctrl_interface=/run/wpa-sta%s\nsae_pwe=2\nnetwork={\n ssid="%s"\n' "$n" "$ssid"
        case $security in
            wpa3) printf ' key_mgmt=SAE\n ieee80211w=2\n sae_password="%s"\n' "$key" ;;
            wpa2) printf ' key_mgmt=WPA-PSK\n ieee80211w=1\n psk="%s"\n' "$key" ;;
        esac
        printf '}\n'
    } >"/tmp/sta$n.conf"
    sta "$n" wpa_supplicant -B -i wlan0 -D nl80211 -c "/tmp/sta$n.conf" -P "/tmp/sta$n.pid" -f "/tmp/sta$n.log" >/dev/null
}
leave() { kill "$(cat "/tmp/sta$1.pid")" 2>/dev/null; sleep 1; }
joined() { wpa_cli -p "/run/wpa-sta$1" -i wlan0 status 2>/dev/null | grep -q '^wpa_state=COMPLETED'; }
