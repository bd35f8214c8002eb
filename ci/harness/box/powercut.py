#!/usr/bin/env python3
"""Cuts the power after the fact.

usage: powercut.py --disk IMAGE --log WRITES --state-loader BULLE --work DIR [--cuts N] [--seed N]

IMAGE is a disk as it was before a boot, WRITES what QEMU's blklogwrites saw during that boot (the
format of the kernel's dm-log-writes). For each of N cut points the partitions that the box writes to
are put together as a power cut at that moment may have left them:

- everything up to the last flush is there;
- of what came after it, the device kept all, some, or none, in any order, and tore one write at a
  sector boundary: a cache without power owes nobody anything.

Each is then treated as the next boot would treat it: the file systems are repaired, and the state is
read by the daemon's own loader, which must say that it is whole, or that there is none.
Prints one JSON object; `nastiest` names the disks (kept in DIR) in which most was wrong before the
repair. Exit status 0 when every cut was survived.
"""

import argparse
import json
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
SECTOR = 512
KEPT = 5


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


class Bench:
    """Repairs and reads one state of the disk, as a boot would."""

    def __init__(self, loader, work):
        self.loader, self.work = loader, work

    def data(self, image, index):
        """The data partition: (repairs, verdict, detail)."""
        path = self.work / "data.img"
        path.write_bytes(image)
        # As the initrd judges it: neither the superblock nor its first copy.
        if all(image[at + 56 : at + 58] != b"\x53\xef" for at in (1024, 8193 * 1024)):
            return 0, "empty", "no file system yet"
        status, said = run("e2fsck", "-fy", str(path))
        repairs = sum(line.endswith("? yes") or "FIXED" in line for line in said.splitlines())
        if status & ~3:
            return repairs, "remade", f"e2fsck gave up with {status}"
        out = self.work / "state"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        run("debugfs", "-R", f"rdump /bulle {out}", str(path))
        status, said = run(self.loader, "box", "check-state", str(out / "bulle"))
        verdict = {0: "whole", 3: "empty"}.get(status, "LOST")
        return repairs, verdict, f"{said.strip()} [cut {index}]"

    def fat(self, image, index):
        path = self.work / "fat.img"
        path.write_bytes(image)
        _, said = run("fsck.fat", "-a", "-w", str(path))
        repairs = max(0, len(said.splitlines()) - 2)
        status, _ = run("fsck.fat", "-n", str(path))
        readable, listing = run("mdir", "-i", str(path), "::")
        if status == 0 and readable == 0:
            return repairs, "whole", listing.strip()
        return repairs, "LOST", f"the FAT partition cannot be repaired [cut {index}]: {said.strip()}"


def cut_points(count, wanted, rng):
    """(index, style): after how many writes, and what becomes of those that were not flushed."""
    every = [(index, style) for index in range(count + 1) for style in ("all", "none")]
    half = rng.sample(every, min(len(every), wanted // 2))
    loose = [(index, style) for index in range(count + 1) for style in ("some", "torn")]
    # Some of the same cut are never the same twice, since what is kept is drawn each time.
    return sorted(half + [rng.choice(loose) for _ in range(wanted - len(half))])


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

    points = cut_points(len(writes), args.cuts, rng)
    bench, results, worst = Bench(args.state_loader, args.work), {}, []
    failures, done = [], 0
    pending = []  # written, not flushed
    at = 0
    whole_since = None  # the first cut at which the flushed writes alone make a whole state
    for index, style in points:
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
        lost = list(pending)
        if style == "none":
            chosen = []
        elif style == "some":
            chosen = [one for one in lost if rng.random() < 0.5]
            rng.shuffle(chosen)
        else:
            chosen = lost
        repairs, verdicts = 0, {}
        images = {}
        for region in regions:
            image = bytearray(region.durable)
            for position, one in enumerate(chosen):
                torn = style == "torn" and position == len(chosen) - 1 and one.length > SECTOR
                region.put(image, one, rng.randrange(0, one.length, SECTOR) if torn else None)
            images[region.name] = image
            kind = bench.fat if image[0x36:0x39] == b"FAT" or image[0x52:0x55] == b"FAT" else bench.data
            fixed, verdict, detail = kind(image, f"{index} {style}")
            repairs += fixed
            verdicts[region.name] = verdict
            if verdict == "LOST":
                failures.append({"cut": index, "style": style, "partition": region.name, "why": detail})
            if kind == bench.data and verdict == "whole" and style == "none" and whole_since is None:
                whole_since = index
            elif kind == bench.data and verdict in ("empty", "remade") and whole_since is not None:
                why = f"the state was flushed by write {whole_since}, and is {verdict} now: {detail}"
                failures.append({"cut": index, "style": style, "partition": region.name, "why": why})
        key = "/".join(f"p{name} {verdict}" for name, verdict in sorted(verdicts.items()))
        results[key] = results.get(key, 0) + 1
        done += 1
        # Of several cuts at one moment the one that did most is kept.
        rank = (repairs, len(lost), index, style)
        rival = next((one for one in worst if one[2] == index), None)
        if rival is None or rank > rival:
            worst = sorted([one for one in worst if one is not rival] + [rank], reverse=True)
            gone = worst[KEPT:] + ([rival] if rival else [])
            del worst[KEPT:]
            for _, _, old_index, old_style in gone:
                shutil.rmtree(args.work / f"cut-{old_index}-{old_style}", ignore_errors=True)
            if rank in worst:
                keep(args.work / f"cut-{index}-{style}", images)

    print(
        json.dumps(
            {
                "writes": len(writes),
                "outside_partitions": strays,
                "partitions": [{"number": r.name, "start": r.start} for r in regions],
                "cuts": done,
                "verdicts": results,
                "whole_since_write": whole_since,
                "failures": failures[:20],
                "failed": len(failures),
                "nastiest": [
                    {"cut": index, "style": style, "repairs": repairs, "in_flight": flight,
                     "folder": f"cut-{index}-{style}"}
                    for repairs, flight, index, style in worst
                ],
            },
            indent=2,
        )
    )
    return 0 if not failures and done >= args.cuts and whole_since is not None else 1


def keep(folder, images):
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        (folder / f"p{name}.img").write_bytes(image)


if __name__ == "__main__":
    sys.exit(main())
