# shellcheck shell=bash
# Cached roots: a root is a directory tree made by mmdebstrap from ci/roots/NAME.conf, named after
# the hash of that recipe, and never changed once it is there. It is built under another name and
# renamed when whole, so a half-made root is never entered.

# Raise it when this file comes to make roots differently from the same recipe.
ROOT_FORMAT=1

roots_dir() { printf '%s\n' "$CACHE/roots"; }

recipe_hash() {
    { printf '%s\n' "$ROOT_FORMAT"; cat -- "$TOP/ci/roots/$1.conf"; } | sha256sum | cut -c1-12
}

root_path() { printf '%s/%s-%s\n' "$(roots_dir)" "$1" "$(recipe_hash "$1")"; }

# Makes the root if it is not there, and waits if somebody else is making it.
root_ensure() {
    local name=$1 path
    [[ -e $TOP/ci/roots/$name.conf ]] || die "there is no root called '$name'" \
        "Known roots: $(cd "$TOP/ci/roots" && printf '%s ' *.conf | sed 's/\.conf//g')"
    path=$(root_path "$name")
    [[ -d $path ]] || with_lock "$(roots_dir)/$name.lock" root_make "$name" "$path"
    [[ -d $path ]] || exit 1
}

root_make() {
    local name=$1 path=$2 part try
    [[ ! -d $path ]] || return 0 # made while we waited
    [[ $(dpkg --print-architecture 2>/dev/null || uname -m) =~ ^(amd64|x86_64)$ ]] ||
        die "roots can be made on amd64 machines only" "The recipe cross-compiles for arm64 from there."
    host_ready
    userns_ready
    # The lock is ours, so whatever has this shape was left behind by a run that died.
    for part in "$(roots_dir)/$name"-*.part; do
        [[ ! -d $part ]] || root_remove "$part"
    done
    part=$path.part
    say "making the root '$name': once, some minutes; it is kept in $(roots_dir)"
    for try in 1 2 3; do
        # A mirror can be in the middle of an update: the same request works a little later.
        if STEP_TAIL=15 step "root $name (try $try of 3)" "root-$name" root_build "$name" "$part"; then
            mv -- "$part" "$path"
            return 0
        fi
        [[ ! -d $part ]] || root_remove "$part"
        sleep $((try * 5))
    done
    die "the root '$name' could not be made" "The whole log is out/log/root-$name.log." \
        "If the mirror is at fault, choose another: DEBIAN_MIRROR=http://... ci/in $name true"
}

root_build() {
    local name=$1 part=$2 mirror suite item work options=() sources=()
    local ARCHITECTURES=() SUITES=() PACKAGES=() EXCLUDE=() DIRECTORIES=() LINKS=() PREFERENCES=''
    # shellcheck source=/dev/null
    source "$TOP/ci/roots/$name.conf"
    mirror=$(debian_mirror)
    [[ -n $mirror ]] || die "no Debian mirror is known on this machine" \
        "Name one: DEBIAN_MIRROR=http://... ci/in $name true"
    for suite in "${SUITES[@]}"; do
        case $suite in
            *-security) sources+=("deb [signed-by=$DEBIAN_KEYRING] $(debian_security_mirror) $suite main") ;;
            *) sources+=("deb [signed-by=$DEBIAN_KEYRING] $mirror $suite main") ;;
        esac
    done
    work=$(mktemp -d)
    chmod 755 "$work"
    printf '%s' "$PREFERENCES" >"$work/preferences"
    [[ -z $PREFERENCES ]] ||
        options+=(--setup-hook="mkdir -p \"\$1/etc/apt/preferences.d\"; cp '$work/preferences' \"\$1/etc/apt/preferences.d/bulle\"")
    for item in '/usr/share/man/*' '/usr/share/doc/*' '/usr/share/info/*' '/usr/share/locale/*' "${EXCLUDE[@]}"; do
        options+=(--dpkgopt="path-exclude=$item")
    done
    for item in "${DIRECTORIES[@]}"; do
        options+=(--customize-hook="mkdir -p \"\$1$item\"")
    done
    for item in "${LINKS[@]}"; do
        options+=(--customize-hook="ln -s '${item%%:*}' \"\$1${item#*:}\"")
    done
    # Mount points for the host's files, and no trace of the host in the root.
    # shellcheck disable=SC2016
    options+=(--customize-hook='for f in resolv.conf hosts; do rm -f "$1/etc/$f"; : >"$1/etc/$f"; done; echo bulle >"$1/etc/hostname"; rm -f "$1/etc/apt/sources.list"')
    while IFS= read -r item; do
        options+=(--aptopt="$item")
    done < <(apt_reach)
    # mmdebstrap mounts /proc and the like below the root. In namespaces of its own they vanish
    # with it, and it dies with us, so that a killed run leaves neither mounts nor processes.
    local rc=0 alone=(unshare --mount --pid --fork --kill-child --mount-proc)
    # Without root: we stay ourselves in there, under the name of root. In mmdebstrap's own way
    # only our sub-ids would be known, and those may not enter a home that is private.
    ((EUID == 0)) || alone+=(--user --map-root-user --map-auto)
    # `set -e` does not hold in here (the caller tests our result), hence the explicit status.
    "${alone[@]}" mmdebstrap --verbose --mode=root --variant=apt --format=directory \
        --architectures="$(IFS=,; printf '%s' "${ARCHITECTURES[*]}")" \
        --include="$(IFS=,; printf '%s' "${PACKAGES[*]}")" \
        --aptopt='Acquire::Retries "5"' --aptopt='Acquire::Languages "none"' \
        --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt=force-unsafe-io \
        "${options[@]}" '' "$part" "${sources[@]}" || rc=$?
    rm -rf -- "$work"
    return "$rc"
}

root_remove() {
    say "removing what a run left behind: ${1##*/}"
    if ((EUID == 0)); then
        rm -rf --one-file-system -- "$1"
    else
        # Its files belong to our sub-ids: only a user namespace that maps them may remove them.
        unshare --user --map-auto --map-root-user rm -rf --one-file-system -- "$1"
    fi
}
