# shellcheck shell=bash
# What the builds of things that ship have in common. Sourced inside the root `build`.

# Fetches what the lock file names, then keeps the registry's directory name out of what is built:
# the same sources give the same bytes wherever they were fetched from.
release_flags() {
    local dir try
    for try in 1 2 3; do
        cargo fetch --locked --quiet && break
        ((try < 3)) || die "the dependencies could not be fetched" "Is there a network? Is Cargo.lock up to date?"
        sleep $((try * 3))
    done
    RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=/ws=/bulle"
    for dir in /cargo/registry/src/*/; do
        RUSTFLAGS+=" --remap-path-prefix=${dir%/}=/crates"
    done
    export RUSTFLAGS
}

# inputs_hash PATH...: the hash of every file below the paths, by name and content.
inputs_hash() {
    (cd "$TOP" && find "$@" -type f ! -path '*/target/*' ! -path '*/node_modules/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) |
        sha256sum | cut -d' ' -f1
}

bytes() { stat -c %s -- "$1"; }
kib() { awk -v n="$1" 'BEGIN { printf "%.1f KiB", n / 1024 }'; }
