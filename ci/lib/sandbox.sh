# shellcheck shell=bash
# Entering a root with bubblewrap: the root read-only, the checkout on /ws, a clean environment.

# Sets SANDBOX to the arguments that both roots share.
sandbox_base() {
    local root=$1 name bundle
    SANDBOX=(
        bwrap --ro-bind "$root" / --dev /dev --proc /proc
        --tmpfs /tmp --tmpfs /run --tmpfs /root --tmpfs /var/tmp
        --bind "$TOP" /ws
        --unshare-pid --unshare-ipc --unshare-uts --hostname bulle --die-with-parent
        --clearenv
        --setenv PATH /usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin
        --setenv HOME /root --setenv LANG C.UTF-8 --setenv TERM "${TERM:-dumb}"
        --setenv BULLE_IN_ROOT "$ROOT_NAME"
    )
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
    mkdir -p "$CACHE/cargo" "$OUT/target"
    cargo_registry_settings
    sandbox_base "$1"
    SANDBOX+=(
        --bind "$CACHE/cargo" /cargo --setenv CARGO_HOME /cargo --setenv CARGO_TARGET_DIR /ws/out/target
        --setenv CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER aarch64-linux-gnu-gcc
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
