#!/usr/bin/env bash
# STUN and TURN of the box, asked by the tools of another implementation (coturn): over IPv4 and IPv6, UDP and TCP, by
# channel and by Send indication, client to client and client to peer, and refused where they must be.
#
#   ci/build tools
#   ci/in e2e bash /ws/ci/harness/interop/turn.sh
#
# Not asked for: both families at once, since this tool writes ADDITIONAL-ADDRESS-FAMILY with the number of a draft.
# Makes three hosts of its own, box, phone and peer, on one link; nothing leaves them.
set -euo pipefail

server=${BULLE_TURN_ONLY:-/ws/out/bin/amd64/turn_only}
[[ -x $server ]] || {
    echo "turn.sh: $server is not there; ci/build tools makes it" >&2
    exit 2
}
for tool in turnutils_stunclient turnutils_uclient turnutils_peer python3 ip; do
    command -v "$tool" >/dev/null || { echo "turn.sh: $tool is missing; run this inside the e2e root" >&2; exit 2; }
done

secret=north work=$(mktemp -d) started=() passed=0 failed=0
clean() {
    local pid host
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for host in box phone peer; do ip netns del "turn-$host" 2>/dev/null || true; done
    ip link del turn-br 2>/dev/null || true
    rm -rf "$work"
}
trap clean EXIT

# Three hosts on one link.
ip link add turn-br type bridge
ip link set turn-br up
number=1
for host in box phone peer; do
    ip netns add "turn-$host"
    ip link add "turn-$host" type veth peer name eth0 netns "turn-$host"
    ip link set "turn-$host" master turn-br up
    ip -n "turn-$host" link set lo up
    ip -n "turn-$host" address add "10.77.0.$number/24" dev eth0
    ip -n "turn-$host" address add "fd77::$number/64" dev eth0 nodad
    ip -n "turn-$host" link set eth0 up
    number=$((number + 1))
done
on() { local host=$1; shift; ip netns exec "turn-$host" "$@"; }

# The server ends when its input does.
mkfifo "$work/input"
on box "$server" '[::]:3478' "$secret" <"$work/input" >"$work/server" 2>&1 &
started+=($!)
exec 3>"$work/input"
on peer turnutils_peer -p 3480 -L 10.77.0.3 -L fd77::3 >/dev/null 2>&1 3>&- &
started+=($!)
for _ in {1..100}; do
    grep -q ready "$work/server" && break
    sleep 0.1
done
grep -q ready "$work/server" || { cat "$work/server" >&2; exit 1; }

# start NAME COMMAND...: runs on the phone, all at the same time.
declare -A jobs
start() {
    local name=$1
    shift
    on phone timeout "${limit:-60}" "$@" >"$work/$name" 2>&1 3>&- &
    jobs[$name]=$!
}
verdict() {
    local name=$1 good=$2
    if ((good)); then
        passed=$((passed + 1)) && echo "ok    $name"
    else
        failed=$((failed + 1)) && echo "FAIL  $name" && tail -n 8 "$work/$name" | sed 's/^/      /'
    fi
}
# Data arrives, all of it.
expect_no_loss() {
    local name=$1 status=0 good=0
    wait "${jobs[$name]}" || status=$?
    if ((status == 0)) && grep -q 'Total lost packets 0 ' "$work/$name" &&
        grep -Eq 'tot_recv_msgs=[1-9]' "$work/$name"; then good=1; fi
    verdict "$name" "$good"
}
# The server says no, with this code.
expect_refusal() {
    local name=$1 text=$2 good=0
    wait "${jobs[$name]}" || true
    if grep -q "$text" "$work/$name" && ! grep -Eq 'tot_recv_msgs=[1-9]' "$work/$name"; then good=1; fi
    verdict "$name" "$good"
}
expect_text() {
    local name=$1 text=$2 good=0
    wait "${jobs[$name]}" || true
    grep -q "$text" "$work/$name" && good=1
    verdict "$name" "$good"
}

client=(turnutils_uclient -c -W "$secret")
password() {
    python3 - "$secret" "$1" <<'PYTHON'
import base64, hashlib, hmac, sys
print(base64.b64encode(hmac.new(sys.argv[1].encode(), sys.argv[2].encode(), hashlib.sha1).digest()).decode())
PYTHON
}
expired=1000000000:someone

start binding-v4 turnutils_stunclient 10.77.0.1
start binding-v6 turnutils_stunclient fd77::1
start client-to-client-by-channel-v4 "${client[@]}" -u a -y 10.77.0.1
start client-to-client-by-channel-v6 "${client[@]}" -u b -y -x fd77::1
start client-to-client-by-send-v4 "${client[@]}" -u c -y -s 10.77.0.1
start client-to-client-by-send-v6 "${client[@]}" -u d -y -x -s fd77::1
start peer-by-channel-v4 "${client[@]}" -u e -e 10.77.0.3 10.77.0.1
start peer-by-channel-v6 "${client[@]}" -u f -x -e fd77::3 fd77::1
start peer-by-send-v4 "${client[@]}" -u g -s -e 10.77.0.3 10.77.0.1
start peer-by-send-v6 "${client[@]}" -u h -x -s -e fd77::3 fd77::1
start v6-relay-for-a-v4-client "${client[@]}" -u i -x -e fd77::3 10.77.0.1
start v4-relay-for-a-v6-client "${client[@]}" -u j -X -e 10.77.0.3 fd77::1
start client-to-client-by-channel-tcp "${client[@]}" -u aa -y -t 10.77.0.1
start client-to-client-by-send-tcp-v6 "${client[@]}" -u ab -y -t -s -x fd77::1
start peer-by-channel-tcp "${client[@]}" -u ac -t -e 10.77.0.3 10.77.0.1
start peer-by-send-tcp-odd-lengths "${client[@]}" -u ad -t -s -l 101 -e 10.77.0.3 10.77.0.1
start refreshes-and-repeated-requests "${client[@]}" -u l -y -G 10.77.0.1
start odd-lengths-are-padded "${client[@]}" -u m -y -s -l 101 10.77.0.1
start large-messages "${client[@]}" -u n -y -l 1200 10.77.0.1
start seven-clients-fifty-messages "${client[@]}" -u o -y -m 7 -n 50 10.77.0.1
start wrong-password "${client[@]}" -u p -w wrong -W '' -y 10.77.0.1
start wrong-secret turnutils_uclient -c -W south -u q -y 10.77.0.1
start expired-credential turnutils_uclient -c -u "$expired" -w "$(password "$expired")" -y 10.77.0.1
start peer-is-a-service-of-the-box "${client[@]}" -u r -e 10.77.0.1 10.77.0.1
start peer-is-loopback "${client[@]}" -u s -e 127.0.0.1 10.77.0.1
start peer-is-loopback-v6 "${client[@]}" -u t -x -e ::1 fd77::1
start dont-fragment-is-not-understood "${client[@]}" -u u -g -y 10.77.0.1
start no-port-is-reserved turnutils_uclient -W "$secret" -u v -y 10.77.0.1
start more-than-one-session-may-have "${client[@]}" -u w -y -m 104 10.77.0.1
start client-that-vanishes "${client[@]}" -u x -y -B 10.77.0.1

expect_text binding-v4 'UDP reflexive addr: 10.77.0.2:'
expect_text binding-v6 'UDP reflexive addr: fd77::2:'
for name in client-to-client-by-{channel,send}-v{4,6} peer-by-{channel,send}-v{4,6} \
    v6-relay-for-a-v4-client v4-relay-for-a-v6-client refreshes-and-repeated-requests odd-lengths-are-padded large-messages seven-clients-fifty-messages \
    client-to-client-by-channel-tcp client-to-client-by-send-tcp-v6 peer-by-channel-tcp peer-by-send-tcp-odd-lengths; do
    expect_no_loss "$name"
done
for name in wrong-password wrong-secret expired-credential; do
    expect_refusal "$name" 'Cannot complete Allocation'
done
for name in peer-is-a-service-of-the-box peer-is-loopback peer-is-loopback-v6; do
    expect_refusal "$name" 'error 403'
done
expect_refusal dont-fragment-is-not-understood 'error 420'
expect_refusal no-port-is-reserved 'error 508'
expect_refusal more-than-one-session-may-have 'error 486'
wait "${jobs[client-that-vanishes]}" || true

# After all that the server still answers.
limit=8 start malformed-requests turnutils_uclient -c -R -W "$secret" -u y -y -n 1 10.77.0.1
wait "${jobs[malformed-requests]}" || true
start binding-after-all-that turnutils_stunclient 10.77.0.1
expect_text binding-after-all-that 'UDP reflexive addr: 10.77.0.2:'

# A second server on the same port says what is wrong, and what to do.
start busy-port true
wait "${jobs[busy-port]}"
on box "$server" 10.77.0.1:3478 "$secret" </dev/null >"$work/busy-port" 2>&1 3>&- && good=0 || good=1
grep -q 'port 3478 is taken by another program' "$work/busy-port" || good=0
verdict busy-port "$good"

# The server counts what it did, and says nothing else.
exec 3>&-
wait "${started[0]}" || true
good=1
grep -q '^allocations=' "$work/server" || good=0
grep -Eq '10\.77\.|fd77:' "$work/server" && good=0
cp "$work/server" "$work/server-says-no-address"
verdict server-says-no-address "$good"

echo "$passed passed, $failed failed"
((failed == 0))
