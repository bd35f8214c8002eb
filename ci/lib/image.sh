# shellcheck shell=bash
# What ci/image and ci/boot share. Sourced, never run.

# All boards, for messages.
board_names() { (cd "$TOP/board" && printf '%s\n' */board.toml | sed 's|/.*||'); }

# The architecture of a board, which must exist.
board_arch() {
    local arch file=$TOP/board/$1/board.toml
    [[ $1 =~ ^[A-Za-z0-9_-]+$ && -f $file ]] ||
        die "there is no board called '$1'" "Boards: $(board_names | tr '\n' ' ')"
    arch=$(sed -n 's/^arch *= *"\([a-z0-9]*\)".*/\1/p' "$file")
    [[ $arch == amd64 || $arch == arm64 ]] || die "board/$1/board.toml: arch: expected amd64 or arm64, found '$arch'"
    printf '%s\n' "$arch"
}

# Every file in an image bears the time of the commit that it was built from.
image_epoch() {
    [[ -n ${SOURCE_DATE_EPOCH:-} ]] ||
        SOURCE_DATE_EPOCH=$(git -C "$TOP" -c safe.directory="$TOP" log -1 --format=%ct 2>/dev/null || true)
    # An unpacked archive has no history; its newest file is as good.
    [[ -n $SOURCE_DATE_EPOCH ]] || SOURCE_DATE_EPOCH=$(stat -c %Y "$TOP/Cargo.lock")
    export SOURCE_DATE_EPOCH
}
