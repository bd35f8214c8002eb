#!/usr/bin/env bash
# ci/lib/crates.sh ARCH: lists the crates that ship, for the bill of materials of an image.
# Runs inside the root `build`; ci/image calls it.
set -euo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=common.sh
source "$here/common.sh"
cd "$TOP"
case $1 in
    amd64) target=x86_64-unknown-linux-gnu ;;
    arm64) target=aarch64-unknown-linux-gnu ;;
    *) die "unknown architecture: $1" ;;
esac

# linked PACKAGE TARGET: what ends up in the file that ships, neither macros nor build scripts.
linked() { cargo tree --locked --prefix none --format '{p}' --target "$2" -e normal,no-proc-macro -p "$1" | sort -u; }

mkdir -p "$OUT/image"
work=$(mktemp -d)
cargo metadata --locked --format-version 1 >"$work/metadata.json"
linked appliance "$target" >"$work/bulle"
linked webui wasm32-unknown-unknown >"$work/webui"
python3 image/crates.py "$work/metadata.json" Cargo.lock bulle="$work/bulle" webui="$work/webui" >"$work/crates.json"
mv -- "$work/crates.json" "$OUT/image/crates-$1.json"
rm -rf -- "$work"
