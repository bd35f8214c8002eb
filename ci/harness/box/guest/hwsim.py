"""Makes and removes radios of software, one by one, with what they can do: mac80211_hwsim over generic netlink.

    hwsim.py list                numbers and names of all
    hwsim.py del NAME            the adapter is pulled out
    hwsim.py new NAME [station]  another one is plugged in; `station`: it cannot be an access point
"""

import os
import socket
import struct
import sys

GENERIC, CONTROL = 16, 16
REQUEST, ACK, DUMP = 1, 4, 0x300
# enum hwsim_commands and enum hwsim_attrs of the kernel's driver.
NEW_RADIO, DEL_RADIO, GET_RADIO = 4, 5, 6
RADIO_ID, RADIO_NAME, IFTYPE_SUPPORT = 10, 17, 23
STATION = 1 << 2


def attribute(kind, value):
    return struct.pack("HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def attributes(data):
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("HH", data)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3:]
    return found


class Netlink:
    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, GENERIC)
        self.socket.bind((0, 0))
        answer = self.ask(CONTROL, 3, ACK, attribute(2, b"MAC80211_HWSIM\0"))
        self.family = struct.unpack("H", answer[0][1])[0]

    def ask(self, family, command, flags, body=b""):
        """Sends it, and gives the attributes of every message of the answer."""
        message = struct.pack("BBH", command, 1, 0) + body
        self.socket.send(struct.pack("IHHII", 16 + len(message), family, REQUEST | flags, 1, 0) + message)
        answers = []
        while True:
            data = self.socket.recv(1 << 16)
            while data:
                length, kind = struct.unpack_from("IH", data)
                if kind in (2, 3):
                    code = struct.unpack_from("i", data, 16)[0] if length >= 20 else 0
                    # Making a radio answers with its number.
                    if code < 0:
                        raise OSError(-code, os.strerror(-code))
                    return answers
                answers.append(attributes(data[20:length]))
                data = data[(length + 3) & ~3:]

    def radios(self):
        answers = self.ask(self.family, GET_RADIO, DUMP)
        return {a[RADIO_NAME].rstrip(b"\0").decode(): struct.unpack("I", a[RADIO_ID])[0] for a in answers}


def main(command, name="", kind=""):
    netlink = Netlink()
    if command == "list":
        for known, number in sorted(netlink.radios().items()):
            print(number, known)
    elif command == "del":
        number = struct.pack("I", netlink.radios()[name])
        netlink.ask(netlink.family, DEL_RADIO, ACK, attribute(RADIO_ID, number))
    elif command == "new":
        body = attribute(RADIO_NAME, name.encode() + b"\0")
        if kind == "station":
            body += attribute(IFTYPE_SUPPORT, struct.pack("I", STATION))
        netlink.ask(netlink.family, NEW_RADIO, ACK, body)
    else:
        raise SystemExit(__doc__)


main(*sys.argv[1:])
