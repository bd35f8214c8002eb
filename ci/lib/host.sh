# shellcheck shell=bash disable=SC2016  # $(REPO_URI) and $1 in quotes are for apt and mmdebstrap
# What the host itself must have: the few tools that make a root and enter it. Nothing else of
# ours runs on the host, so the host's own compilers and browsers do not matter.

# host_needs COMMAND=PACKAGE...: installs what is missing, saying so.
host_needs() {
    local pair missing=()
    for pair; do
        command -v "${pair%%=*}" >/dev/null || [[ -e ${pair%%=*} ]] || missing+=("${pair#*=}")
    done
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null || die "missing on this machine: ${missing[*]}" \
        "There is no apt-get here. Install them by hand (these are Debian's names), then run this again."
    say "installing on this machine: ${missing[*]}"
    step "apt-get install ${missing[*]}" host-install host_install "${missing[@]}" ||
        die "could not install ${missing[*]}" "Install them by hand, then run this again."
}

host_install() {
    as_root apt-get update -q || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

host_ready() {
    local keyring=/usr/share/keyrings/debian-archive-keyring
    [[ -e $keyring.gpg || ! -e $keyring.pgp ]] || keyring=$keyring.pgp
    [[ $keyring == *.pgp ]] || keyring=$keyring.gpg
    host_needs mmdebstrap=mmdebstrap bwrap=bubblewrap zstd=zstd flock=util-linux \
        "$keyring=debian-archive-keyring"
    ((EUID == 0)) || host_needs newuidmap=uidmap
    export DEBIAN_KEYRING=$keyring
}

# The Debian mirror this machine already uses, for a recipe that names none. apt itself is asked,
# so both the deb822 and the one-line formats work; where apt knows none (on Ubuntu, for one),
# mmdebstrap's own default serves.
debian_mirror() {
    local uri=${DEBIAN_MIRROR:-}
    [[ -n $uri ]] || uri=$(apt_uri Debian '/debian/?$')
    [[ -n $uri ]] || uri=$(mmdebstrap_mirror)
    printf '%s\n' "${uri%/}"
}

# Security updates live beside the archive: a browser needs them more than anything else here.
debian_security_mirror() {
    local uri=${DEBIAN_SECURITY_MIRROR:-}
    [[ -n $uri || -n ${DEBIAN_MIRROR:-} ]] || uri=$(apt_uri Debian-Security '/debian-security/?$')
    [[ -n $uri ]] || uri=$(debian_mirror)-security
    printf '%s\n' "${uri%/}"
}

# How this machine reaches its mirror (a proxy, a mirror whose dates are frozen) is its own affair.
apt_reach() {
    apt-config dump 2>/dev/null | grep -E '^Acquire::(Check-Valid-Until|Check-Date|https?::Proxy[^ ]*) ' | sed 's/;$//' || true
}

# apt_uri LABEL PATTERN: before the first `apt-get update` apt knows no labels, only addresses.
apt_uri() {
    local all
    command -v apt-get >/dev/null || return 0
    all=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null || true)
    {
        awk -v label="$1" '$1 == label { print $2 }' <<<"$all"
        awk '{ print $NF }' <<<"$all" | grep -E "$2" || true
    } | sed -n 1p
}

# mmdebstrap is a script that carries the address of Debian's own mirror.
mmdebstrap_mirror() {
    sed -n "s/^ *my \$mirror *= *'\(http[^']*\)'.*/\1/p" "$(command -v mmdebstrap)" | sed -n 1p
}

# Without root, both making and entering a root need user namespaces, which some systems restrict
# (Ubuntu since 24.04). The restriction is lifted until the next start of the machine, and said.
userns_ready() {
    local knob
    ((EUID != 0)) || return 0
    ! userns_works || return 0
    for knob in kernel.apparmor_restrict_unprivileged_userns=0 kernel.unprivileged_userns_clone=1; do
        [[ -e /proc/sys/$(tr . / <<<"${knob%=*}") ]] || continue
        say "this system lets only root make user namespaces; until the next start: sysctl $knob"
        as_root sysctl -q -w "$knob" || true
    done
    userns_works || die "this system lets only root make user namespaces" \
        "Allow them (see user_namespaces(7) and the settings of your distribution), or run this as root."
}

userns_works() { unshare --user --map-root-user --mount true 2>/dev/null; }
