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

# until SECONDS COMMAND...: tries again until it is so.
until_true() {
    local end=$((SECONDS + $1))
    shift
    while ! "$@"; do
        ((SECONDS < end)) || { printf 'not in time: %s\n' "$*"; return 1; }
        sleep 0.5
    done
}

# A command of the box itself, with the box's own programs and files.
box() { chroot /host "$@"; }

uptime_s() { cut -d' ' -f1 /proc/uptime; }

# The fingerprint of a certificate in PEM or DER, as 64 hexadecimal digits.
fingerprint() {
    { if grep -q -- ----- "$1"; then grep -v -- ----- "$1" | base64 -d; else cat "$1"; fi; } | sha256sum | cut -d' ' -f1
}

# Lists what listens, as `tcp 443`.
listeners() {
    ss -H -lntu | awk '{ n = split($5, part, ":"); print $1, part[n] }' | sort -u
}

same() { [[ $1 == "$2" ]] || { printf 'expected %s, got %s\n' "$2" "$1"; return 1; }; }

no_failed_unit() {
    local failed
    failed=$(box systemctl --failed --no-legend --plain)
    [[ -z $failed ]] || { printf '%s\n' "$failed"; return 1; }
}
