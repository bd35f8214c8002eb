"""What the firmware of a Raspberry Pi 5 does with a card, as far as it is documented: which partition it
starts from, and which files of it. For checks, and for QEMU, which has no such firmware.

It is one-shot: a restart "on trial" (tryboot) reads autoboot.txt with its section [tryboot], every
other start without it. So a version that does not come up has lost by the next start.
"""

import json
import re
from dataclasses import dataclass

from .common import Fault, run

# It reads no more of autoboot.txt.
AUTOBOOT_BYTES = 512


@dataclass
class Choice:
    partition: int
    kernel: str
    initrd: str
    command_line: str


def choose(image, on_trial=False):
    """What it would start from this card."""
    autoboot = sections(text(image, 1, "autoboot.txt") or "", on_trial)
    number = int(autoboot.get("boot_partition", 0)) or first_bootable(image)
    # Without this word a trial means another config.txt on the same partition, which we do not have.
    if on_trial and autoboot.get("tryboot_a_b") != "1":
        raise Fault("autoboot.txt has no tryboot_a_b=1: a trial would look for tryboot.txt, which is not there")
    if not bootable(image, number):
        raise Fault(f"the firmware is sent to partition {number}, which has no config.txt")
    config = sections(text(image, number, "config.txt"), on_trial)
    if "device_tree" in config or "os_prefix" in config:
        raise Fault("config.txt must leave the device tree to the firmware, and its files where they are")
    # The one line of the file that is not `key=value`.
    initrd, how = (config.get("initramfs") or " ").split(" ", 1)
    if how != "followkernel":
        raise Fault("config.txt: expected `initramfs FILE followkernel`")
    return Choice(number, config["kernel"], initrd, config["cmdline"])


def sections(content, on_trial):
    """The settings that count: those below [all], and below [tryboot] on trial. Later ones win."""
    counts, settings = True, {}
    for line in content.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if section := re.fullmatch(r"\[(.*)\]", line):
            if section[1] not in ("all", "tryboot"):
                raise Fault(f"section {line} is not known here: see image/firmware.py")
            counts = section[1] == "all" or on_trial
        elif counts:
            said = re.fullmatch(r"([a-z0-9_]+)[= ](.*)", line)
            if not said:
                raise Fault(f"the firmware cannot read this line: {line}")
            settings[said[1]] = said[2]
    return settings


def table(image):
    """The partitions by their numbers: type, and where they begin and how long they are, in bytes."""
    said = json.loads(run("sfdisk", "-J", image))["partitiontable"]
    size = said.get("sectorsize", 512)
    return {int(re.search(r"(\d+)$", p["node"])[1]): (p["type"], p["start"] * size, p["size"] * size)
            for p in said["partitions"]}


def place(image, number):
    """A FAT partition as mtools name it."""
    return f"{image}@@{table(image)[number][1]}"


def files(image, number):
    """The files of a FAT partition; none if it is empty or not FAT."""
    try:
        said = run("mdir", "-b", "-i", place(image, number), "::").decode()
    except Fault:
        return set()
    return {name.removeprefix("::/") for name in said.split("\n") if name}


def text(image, number, name):
    if name not in files(image, number):
        return None
    return run("mtype", "-i", place(image, number), f"::{name}").decode()


def bootable(image, number):
    return number in table(image) and "config.txt" in files(image, number)


def first_bootable(image):
    """Where it goes when nothing tells it where."""
    for number, (kind, _, _) in sorted(table(image).items()):
        if number <= 4 and kind == "c" and bootable(image, number):
            return number
    raise Fault("the card has no partition that the firmware could start from")
