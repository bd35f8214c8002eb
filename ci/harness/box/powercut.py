#!/usr/bin/env python3
"""Cuts the power after the fact.

usage: powercut.py --disk IMAGE --log WRITES --state-loader BULLE --work DIR [--cuts N] [--seed N]

IMAGE is a disk as it was before a boot, WRITES what QEMU's blklogwrites saw during that boot (the
format of the kernel's dm-log-writes). For each of N cut points the partitions that the box writes to
are put together as a power cut at that moment may have left them:

- everything up to the last flush is there;
- of what came after it, the device kept all, some, or none, in any order, and tore one write at a
  sector boundary: a cache without power owes nobody anything.

Each is then treated as the next boot would treat it: the data partition by the initrd's own script
(image/initrd/data.sh), the state by the daemon's own loader, which must say that it is whole, or that
there is none. What was flushed once is never gone again: no write of the state, no authority, no
claim, and no word of the owner's bulle.toml; and no cut leaves more to a repair than the journal.

Prints one JSON object; `nastiest` names five disks (kept in DIR), for each phase of a box's life the
one in which most was wrong or in flight, `unclaimed` one that is in order, `last` the state at the end
of the log. Exit status 0 when every cut was survived.
"""

import argparse
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
SECTOR = 512
# The phases of a box's life, as a disk shows them.
PHASES = ("blank", "no state", "no authority", "unclaimed", "claimed")
# Each phase is met by at least so many cuts, or this has tested something else.
FEWEST = 3
# The initrd's script, where mounting is played: what can be mounted is in order.
OPEN = """
. "$1"
data_mount() { e2fsck -n "$1" >/dev/null 2>&1; }
mount() { [ "$2" = tmpfs ]; }
data_open "$2" /nowhere
"""
DATA_SH = Path(__file__).parents[3] / "image/initrd/data.sh"
STATE = re.compile(r"^whole: .*; write (\d+), (not claimed|claimed), (?:authority (\S+)|no authority yet)$")


class Write:
    """One entry of the log: where, what, and whether the device had to have it on disk."""

    __slots__ = ("at", "data", "flags", "length")

    def __init__(self, at, length, data, flags):
        self.at, self.length, self.data, self.flags = at, length, data, flags


def read_log(path):
    """Yields the writes of a log, in the order in which the guest made them."""
    with open(path, "rb") as file:
        magic, version, entries, sector = struct.unpack("<QQQI", file.read(28))
        if magic != MAGIC or version != 1:
            sys.exit(f"error: {path} is no log of writes")
        position = sector
        for _ in range(entries):
            file.seek(position)
            where, count, flags, length = struct.unpack("<QQQQ", file.read(32))
            position += sector
            data = b""
            if not flags & DISCARD and count:
                file.seek(position)
                data = file.read(count * sector)
                position += count * sector
            if not flags & MARK:
                yield Write(where * sector, count * sector, data, flags)


class Region:
    """A partition that the guest wrote to."""

    def __init__(self, name, start, size, disk):
        self.name, self.start, self.size = name, start, size
        disk.seek(start)
        self.durable = bytearray(disk.read(size))

    def put(self, image, write, keep=None):
        """Lays one write (or its first `keep` bytes) over an image of this partition."""
        begin = write.at - self.start
        if begin < 0 or begin >= self.size:
            return
        length = min(write.length if keep is None else keep, self.size - begin)
        # What was discarded may read as anything; zeroes are what devices give most often.
        data = write.data[:length] if write.data else bytes(length)
        image[begin : begin + length] = data


def partitions(image):
    table = json.loads(subprocess.check_output(["sfdisk", "-J", image]))["partitiontable"]
    size = table.get("sectorsize", SECTOR)
    for number, part in enumerate(table["partitions"], 1):
        yield number, part["start"] * size, part["size"] * size


def home_of(write, table):
    """The number of the partition that a write goes to; none for the partition table itself."""
    return next((number for number, start, size in table if start <= write.at < start + size), None)


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    return done.returncode, done.stdout


@dataclass
class State:
    """What the loader says of a data partition."""

    word: str
    writes: int = 0
    authority: str = ""
    claimed: bool = False
    lost: str = ""

    @property
    def phase(self):
        if self.claimed or self.authority:
            return "claimed" if self.claimed else "unclaimed"
        if self.writes:
            return "no authority"
        return "blank" if self.word == "made" else "no state"


class Bench:
    """Opens one state of the disk, as a boot would."""

    def __init__(self, loader, work):
        self.loader, self.work = loader, work
        self.env = {**os.environ, "E2FSCK": "/usr/sbin/e2fsck", "MKE2FS": "/usr/sbin/mke2fs",
                    "DATA_REMAINS": str(work / "remains")}

    def data(self, image):
        path = self.work / "data.img"
        path.write_bytes(image)
        opened = subprocess.run(["sh", "-c", OPEN, "sh", DATA_SH, path], env=self.env, stdout=subprocess.PIPE, text=True)
        word = opened.stdout.strip()
        if word not in ("made", "whole", "repaired", "rebuilt"):
            return State(word, lost=f"the initrd says '{word}'")
        out = self.work / "state"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        run("debugfs", "-R", f"rdump /bulle {out}", str(path))
        status, said = run(self.loader, "box", "check-state", str(out / "bulle"))
        if status == 3:
            return State(word)
        found = STATE.match(said.strip())
        if status != 0 or not found:
            return State(word, lost=said.strip())
        return State(word, int(found[1]), found[3] or "", found[2] == "claimed")

    def fat(self, image, settings):
        """(what is wrong with it, how much a repair would do, the Wi-Fi's key on the card)."""
        path = self.work / "fat.img"
        path.write_bytes(image)
        if self.text(path, "bulle.toml") != settings:
            return "bulle.toml is not what it was", 0, ""
        card = re.search(r"^ *Key +(\S+)", self.text(path, "JOIN.TXT") or "", re.M)
        _, said = run("fsck.fat", "-a", "-w", str(path))
        repairs = max(0, len(said.splitlines()) - 2)
        status, said = run("fsck.fat", "-n", str(path))
        return "" if status == 0 else f"it cannot be repaired: {said.strip()}", repairs, card[1] if card else ""

    def text(self, path, name):
        status, said = run("mtype", "-i", str(path), f"::{name}")
        return said if status == 0 else None


def cut_points(count, wanted, rng):
    """(index, style): after how many writes, and what becomes of those that were not flushed."""
    every = [(index, style) for index in range(count + 1) for style in ("all", "none")]
    half = rng.sample(every, min(len(every), wanted // 2))
    loose = [(index, style) for index in range(count + 1) for style in ("some", "torn")]
    # Some of the same cut are never the same twice, since what is kept is drawn each time.
    return sorted(half + [rng.choice(loose) for _ in range(wanted - len(half))])


class Judge:
    """Remembers what was durable once, and holds every later cut to it."""

    def __init__(self):
        self.floor = State("")
        self.failures = []

    def judge(self, state, style, where):
        def fail(why):
            self.failures.append({**where, "why": why})

        floor = self.floor
        if state.lost:
            fail(f"the state is not whole: {state.lost}")
            return
        if state.writes < floor.writes:
            fail(f"write {floor.writes} of the state was flushed, and it is at write {state.writes} now")
        if floor.authority and state.authority != floor.authority:
            fail("the authority was flushed, and is another one now")
        if floor.claimed and not state.claimed:
            fail("the claim was flushed, and is gone now")
        if floor.writes and state.word != "whole":
            fail(f"the file system was complete, and the initrd found it {state.word}")
        # The device owes this much to every later moment; what it kept by chance it owes to none.
        if style == "none":
            self.floor = state


class Kept:
    """The disks that are kept for starting."""

    def __init__(self, work):
        self.work, self.ranks, self.disks = work, {}, {}

    def offer(self, name, rank, images, facts):
        """Keeps this one under that name where it outranks what is there."""
        if name in self.ranks and self.ranks[name] >= rank:
            return
        folder = self.work / name.replace(" ", "-")
        folder.mkdir(exist_ok=True)
        for number, image in images.items():
            (folder / f"p{number}.img").write_bytes(image)
        self.ranks[name], self.disks[name] = rank, {**facts, "folder": folder.name}


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--disk", required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--state-loader", required=True)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    rng = random.Random(args.seed)

    writes = list(read_log(args.log))
    table = list(partitions(args.disk))
    homes = [home_of(write, table) for write in writes if write.length]
    touched, strays = set(homes) - {None}, homes.count(None)
    with open(args.disk, "rb") as disk:
        regions = [Region(number, start, size, disk) for number, start, size in table if number in touched]
    bench, judge, kept = Bench(args.state_loader, args.work), Judge(), Kept(args.work)
    fat = next(region for region in regions if is_fat(region.durable))
    (args.work / "fat.img").write_bytes(fat.durable)
    settings = bench.text(args.work / "fat.img", "bulle.toml")
    if settings is None:
        sys.exit("error: there is no bulle.toml on the disk")

    verdicts, phases, cuts, at, pending = {}, dict.fromkeys(PHASES, 0), 0, 0, []
    # The end of the log is where a box is that nobody cut off.
    for index, style in [*cut_points(len(writes), args.cuts, rng), (len(writes), "all")]:
        while at < index:
            write = writes[at]
            at += 1
            pending.append(write)
            if write.flags & (FLUSH | FUA):
                # A flush covers what came before it; a write with FUA is itself on disk with it.
                for one in pending:
                    for region in regions:
                        region.put(region.durable, one)
                pending.clear()
        images = {region.name: leave(region, pending, style, rng.getrandbits(64)) for region in regions}
        wrong, repairs, key = "", 0, ""
        for number, image in images.items():
            if is_fat(image):
                wrong, repairs, key = bench.fat(image, settings)
            else:
                state = bench.data(image)
        where = {"cut": index, "style": style}
        judge.judge(state, style, where)
        if wrong:
            judge.failures.append({**where, "why": f"the FAT partition: {wrong}"})
        cuts += 1
        phases[state.phase] += 1
        verdict = f"{state.phase}, found {state.word}"
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
        facts = {**where, "phase": state.phase, "repairs": repairs, "in_flight": len(pending), "writes": state.writes,
                 "authority": state.authority, "claimed": state.claimed, "key": key}
        kept.offer(f"worst, {state.phase}", (repairs, len(pending), index), images, facts)
        if state.phase == "unclaimed" and key and not repairs:
            # The earliest: later ones may hold a newer state beside the one that counts.
            kept.offer("in order", (-index,), images, facts)

    for phase, count in phases.items():
        if count < FEWEST:
            judge.failures.append({"why": f"only {count} cuts met a box in the phase '{phase}': the log is not what it should be"})
    nastiest = [kept.disks[name] for name in (f"worst, {phase}" for phase in PHASES) if name in kept.disks]
    print(json.dumps({
        "writes": len(writes), "outside_partitions": strays, "cuts": cuts, "verdicts": verdicts, "phases": phases,
        "partitions": [{"number": region.name, "start": region.start} for region in regions],
        "last": facts, "unclaimed": kept.disks.get("in order"), "nastiest": nastiest,
        "failed": len(judge.failures), "failures": judge.failures[:20],
    }, indent=2))
    return 0 if not judge.failures and cuts > args.cuts else 1


def is_fat(image):
    return image[0x36:0x39] == b"FAT" or image[0x52:0x55] == b"FAT"


def leave(region, pending, style, seed):
    """A partition as the device may have left it: what it had flushed, and what it kept of the rest."""
    # The same draw for each partition of a disk.
    rng = random.Random(seed)
    image = bytearray(region.durable)
    chosen = [] if style == "none" else list(pending)
    if style == "some":
        chosen = [one for one in pending if rng.random() < 0.5]
        rng.shuffle(chosen)
    for position, one in enumerate(chosen):
        torn = style == "torn" and position == len(chosen) - 1 and one.length > SECTOR
        region.put(image, one, rng.randrange(0, one.length, SECTOR) if torn else None)
    return image


if __name__ == "__main__":
    sys.exit(main())
