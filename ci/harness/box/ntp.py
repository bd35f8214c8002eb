"""A time server that says what it is told to say, and one who tells the time without being asked.

    ntp.py serve ADDRESS SECONDS    answers whoever asks (RFC 5905, mode 4): it is SECONDS after 1970, and going on
    ntp.py push ADDRESS SECONDS     sends that to every port from which ADDRESS may have asked somebody else
"""

import socket
import struct
import sys
import time

TO_1900 = 2208988800
CLIENT_PORTS = range(32768, 61000)


def answer(now, origin):
    stamp = struct.pack("!II", int(now) + TO_1900, int(now % 1 * (1 << 32)))
    # No warning, version 4, server; stratum 1, a poll of 64 s, a precision of a microsecond; no delay.
    head = struct.pack("!BBbb", 4 << 3 | 4, 1, 6, -20) + struct.pack("!II", 0, 0) + b"GPS\0"
    return head + stamp + origin + stamp + stamp


def main(what, address, seconds):
    begun = time.monotonic() - float(seconds)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if what == "serve":
        server.bind((address, 123))
        print("serves", flush=True)
        while True:
            question, sender = server.recvfrom(512)
            if len(question) >= 48 and question[0] & 7 == 3:
                server.sendto(answer(time.monotonic() - begun, question[40:48]), sender)
                print("answered", flush=True)
    server.bind(("0.0.0.0", 123))
    for port in CLIENT_PORTS:
        server.sendto(answer(time.monotonic() - begun, bytes(8)), (address, port))


main(*sys.argv[1:])
