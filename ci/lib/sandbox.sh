# shellcheck shell=bash
# Entering a root with bubblewrap: the root read-only, the checkout on /ws, a clean environment.

# Sets SANDBOX to the arguments that both roots share.
sandbox_base() {
    local root=$1 name bundle
    command -v bwrap >/dev/null || host_ready
    userns_ready
    SANDBOX=(
        bwrap --ro-bind "$root" / --dev /dev --proc /proc
        --tmpfs /tmp --tmpfs /run --tmpfs /root --tmpfs /var/tmp
        --bind "$TOP" /ws
        --unshare-pid --unshare-ipc --die-with-parent
        --clearenv
        --setenv PATH /usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin
        --setenv HOME /root --setenv LANG C.UTF-8 --setenv TERM "${TERM:-dumb}"
        --setenv BULLE_IN_ROOT "$ROOT_NAME"
        # The checkout may belong to another user than the one who tests it.
        --setenv GIT_CONFIG_COUNT 1 --setenv GIT_CONFIG_KEY_0 safe.directory --setenv GIT_CONFIG_VALUE_0 /ws
    )
    ((!${SANDBOX_OWN_NAME:-1})) || SANDBOX+=(--unshare-uts --hostname bulle)
    # Where we stand in the checkout is where the command stands in the root.
    case $PWD/ in
        "$TOP"/*) SANDBOX+=(--chdir "/ws${PWD#"$TOP"}") ;;
        *) SANDBOX+=(--chdir /ws) ;;
    esac
    [[ -t 0 && -t 1 ]] || SANDBOX+=(--new-session)
    for name in /etc/resolv.conf /etc/hosts; do
        [[ ! -e $name ]] || SANDBOX+=(--ro-bind "$(readlink -f "$name")" "$name")
    done
    bundle=$(ca_bundle)
    [[ -z $bundle ]] || SANDBOX+=(--ro-bind "$bundle" /etc/ssl/certs/ca-certificates.crt)
    for name in SSL_CERT_FILE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS GIT_SSL_CAINFO CARGO_HTTP_CAINFO; do
        SANDBOX+=(--setenv "$name" /etc/ssl/certs/ca-certificates.crt)
    done
    for name in http_proxy https_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY \
        RUST_BACKTRACE RUST_LOG RUSTFLAGS CARGO_TERM_COLOR CARGO_NET_OFFLINE CARGO_BUILD_JOBS CARGO_INCREMENTAL \
        PROPTEST_CASES SOURCE_DATE_EPOCH "${!BULLE_@}"; do
        [[ $name == BULLE_IN_ROOT || -z ${!name:-} ]] || SANDBOX+=(--setenv "$name" "${!name}")
    done
}

ca_bundle() {
    local file
    for file in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
        if [[ -n $file && -s $file ]]; then
            readlink -f "$file"
            return
        fi
    done
}

sandbox_build() {
    seed_use
    mkdir -p "$CACHE/cargo" "$OUT/target"
    cargo_registry_settings
    sandbox_base "$1"
    SANDBOX+=(
        --bind "$CACHE/cargo" /cargo --setenv CARGO_HOME /cargo --setenv CARGO_TARGET_DIR /ws/out/target
        # Behind the root's own, for what somebody installs by hand.
        --setenv PATH /usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/cargo/bin
        --setenv CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER aarch64-linux-gnu-gcc
        --
    )
}

# The host may reach its registry in a way of its own. Only that is taken over from the host's
# cargo settings: its linkers, flags and aliases would make builds differ, its credentials stay out.
cargo_registry_settings() {
    local from file to=$CACHE/cargo/config.toml new
    for file in config.toml config; do
        from=${CARGO_HOME:-$HOME/.cargo}/$file
        [[ ! -f $from ]] || break
    done
    new=$(mktemp "$CACHE/cargo/.config.XXXXXX")
    if [[ -f $from ]]; then
        awk '/^[[:space:]]*\[/ { keep = ($0 ~ /^[[:space:]]*\[+[[:space:]]*"?(source|registry|registries|http|net)[]."[:space:]]/) } keep' "$from" >"$new"
    fi
    if [[ -s $new ]] && ! cmp -s "$new" "$to"; then
        mv -f -- "$new" "$to"
    elif [[ ! -s $new && -e $to ]]; then
        rm -f -- "$to" "$new"
    else
        rm -f -- "$new"
    fi
}

# Who is not root is called so inside, with all the other users that programs change to (bubblewrap
# by itself maps one alone).
sandbox_as_root() {
    ((EUID == 0)) || SANDBOX=(unshare --user --map-root-user --map-auto -- "${SANDBOX[@]}")
}

# Root in a world of its own: every capability, and no interface but loopback, so that scenarios
# can build whatever network they need and nothing can leave it. NET=1 shares the host's network.
sandbox_e2e() {
    local net=$2 modules image peers
    sandbox_base "$1"
    SANDBOX+=(--cap-add ALL --tmpfs /etc/netns --bind /sys /sys)
    [[ ! -e /dev/net/tun ]] || SANDBOX+=(--dev-bind /dev/net/tun /dev/net/tun)
    # Without real root the kernel mounts a new /sys (as `ip netns exec` does, after it took the
    # old one away) only where another one is in sight.
    ((EUID == 0)) || SANDBOX+=(--bind /sys /run/sys)
    sandbox_as_root
    ((net)) || SANDBOX+=(--unshare-net)
    image=$(root_path image)
    # Beside the browsers, for scenarios with a virtual machine: `chroot /image qemu-system-...`.
    [[ ! -d $image ]] || SANDBOX+=(--ro-bind "$image" /image --dev /image/dev --proc /image/proc --tmpfs /image/tmp --tmpfs /image/var/tmp --bind "$TOP" /image/ws)
    [[ ! -d $image || ! -d $CACHE/debs ]] || SANDBOX+=(--ro-bind "$CACHE/debs" /image/debs)
    [[ ! -d $image || ! -e /dev/net/tun ]] || SANDBOX+=(--dev-bind /dev/net/tun /image/dev/net/tun)
    # What benches compare us with: `chroot /peers turnserver`.
    peers=$(root_path peers)
    [[ ! -d $peers ]] || SANDBOX+=(--ro-bind "$peers" /peers --dev /peers/dev --proc /peers/proc --tmpfs /peers/tmp --tmpfs /peers/run)
    modules=$(node_modules_path)
    [[ -z $modules || ! -d $modules ]] || SANDBOX+=(--ro-bind "$modules" /ws/ci/harness/node_modules)
    # bubblewrap shows /proc/sys read-only; scenarios set ip_forward and the like in their own
    # network namespaces, so a fresh /proc is mounted on top where the kernel lets us.
    SANDBOX+=(-- /bin/sh -c 'mount -t proc proc /proc 2>/dev/null; exec "$@"' sh)
}

# Where images are made and booted. Every capability, because ldconfig and depmod work on a tree as
# if it were /; packages are kept beside the roots, and fetched from the mirror that roots come from.
sandbox_image() {
    mkdir -p "$CACHE/debs"
    sandbox_base "$1"
    SANDBOX+=(--cap-add ALL --bind "$CACHE/debs" /debs)
    sandbox_as_root
    SANDBOX+=(
        --setenv PYTHONDONTWRITEBYTECODE 1
        --setenv BULLE_DEBIAN_MIRROR "$(debian_mirror)"
        --setenv BULLE_DEBIAN_SECURITY_MIRROR "$(debian_security_mirror)"
        --setenv BULLE_APT_OPTIONS "$(apt_reach)"
        --
    )
}

# The JavaScript that scenarios use, by the hash of its lock file; nothing is ever installed into
# the checkout.
node_modules_path() {
    local lock=$TOP/ci/harness/package-lock.json
    [[ ! -e $lock ]] || printf '%s/npm-%s/node_modules\n' "$CACHE" "$(sha256sum <"$lock" | cut -c1-12)"
}

node_modules_ensure() {
    local path dir
    path=$(node_modules_path)
    [[ -n $path && ! -d $path ]] || return 0
    dir=$(dirname -- "$path")
    with_lock "$CACHE/npm.lock" node_modules_make "$1" "$dir"
    [[ -d $path ]] || exit 1
}

node_modules_make() {
    local root=$1 dir=$2 part=$2.part
    [[ ! -d $dir ]] || return 0
    rm -rf -- "$part"
    mkdir -p "$part"
    cp "$TOP/ci/harness/package.json" "$TOP/ci/harness/package-lock.json" "$part/"
    # Where the host fetches packages from, without its credentials.
    [[ ! -f $HOME/.npmrc ]] || grep -E '^(@[^:]+:)?registry=' "$HOME/.npmrc" >"$part/.npmrc" || true
    sandbox_base "$root"
    step "npm ci" npm-ci "${SANDBOX[@]}" --bind "$part" /tmp/npm --chdir /tmp/npm \
        -- npm ci --ignore-scripts --no-audit --no-fund || die "the JavaScript for scenarios could not be installed"
    mv -- "$part" "$dir"
}
