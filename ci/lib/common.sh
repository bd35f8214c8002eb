# shellcheck shell=bash
# What every command here shares: where things are, how a step is shown, how a failure is told.
# Sourced, never run. A command that sources this has `set -euo pipefail` already.

TOP=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/bulle
OUT=$TOP/out
LOGS=$OUT/log
export TOP CACHE OUT LOGS

mkdir -p "$LOGS" "$CACHE"

if [[ -t 2 ]]; then BOLD=$'\e[1m' RED=$'\e[31m' PLAIN=$'\e[0m'; else BOLD='' RED='' PLAIN=''; fi

say() { printf '%s\n' "$*" >&2; }
warn() { printf '%sattention:%s %s\n' "$RED" "$PLAIN" "$*" >&2; }

# What is wrong, and what to do about it.
die() {
    printf '%serror:%s %s\n' "$RED" "$PLAIN" "$1" >&2
    shift
    (($# == 0)) || printf '       %s\n' "$@" >&2
    exit 1
}

# The comment block at the head of a command is its help: one text, never two.
usage() {
    awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$1"
}

# step TITLE LOGNAME CMD...: one line of progress with the seconds that passed; everything the
# command prints goes to out/log/LOGNAME.log, and the end of it is shown if the command fails.
# CMD is a program, or a function that does not count on `set -e`: its result is tested here.
step() {
    local title=$1 log=$LOGS/$2.log rc=0 began=$SECONDS ticker=
    shift 2
    printf '%s... %s%s' "$BOLD" "$title" "$PLAIN" >&2
    if [[ -t 2 ]]; then
        while sleep 1; do
            printf '\r%s... %s%s %ds' "$BOLD" "$title" "$PLAIN" "$((SECONDS - began))" >&2
        done &
        ticker=$!
    fi
    "$@" >"$log" 2>&1 </dev/null || rc=$?
    if [[ -n $ticker ]]; then
        kill "$ticker" 2>/dev/null || true
        wait "$ticker" 2>/dev/null || true
        printf '\r%s... %s%s' "$BOLD" "$title" "$PLAIN" >&2
    fi
    if ((rc == 0)); then
        printf ' %ds\n' "$((SECONDS - began))" >&2
    else
        printf ' %sfailed%s after %ds (exit %d); the end of %s:\n' \
            "$RED" "$PLAIN" "$((SECONDS - began))" "$rc" "${log#"$TOP"/}" >&2
        tail -n "${STEP_TAIL:-30}" -- "$log" | sed 's/^/    /' >&2
    fi
    return "$rc"
}

# with_lock FILE CMD...: the kernel drops the lock when its holder dies, however it dies,
# so there is no stale lock to clean up.
with_lock() {
    local file=$1 rc=0
    shift
    mkdir -p "$(dirname -- "$file")"
    {
        if ! flock -n 9; then
            say "waiting: another run holds ${file##*/}"
            flock 9
        fi
        "$@" 9>&- || rc=$?
    } 9>"$file"
    return "$rc"
}

as_root() {
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        die "this needs root: $*" "You are not root and there is no sudo. Ask an administrator to run it."
    fi
}
