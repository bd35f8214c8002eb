"""One board, from packages to a disk image in out/image/BOARD."""

import json
import os
import tempfile
import time
import tomllib
from pathlib import Path

from . import disk, drivers, initrd, inventory, lock, modules, sbom, tree
from .common import OUT, TOP, Fault, run, say


def version():
    with open(TOP / "Cargo.toml", "rb") as file:
        return tomllib.load(file)["workspace"]["package"]["version"]


class Laps:
    """What took how long, told while it happens."""

    def __init__(self):
        self.began = time.monotonic()

    def __call__(self, what):
        now = time.monotonic()
        say(f"    {what:<44} {now - self.began:6.1f} s")
        self.began = now


def make(board, work, fast, accept=False):
    """Builds in `work`, an empty folder; returns the image there."""
    lap, work = Laps(), Path(work)
    packages = lock.read(board.arch)
    lock.fetch([p for p in packages.values() if p.groups & {"root", "boot", board.id}])
    lap("packages at hand")
    for name in ("tree", "parts"):
        (work / name).mkdir(parents=True)
    root, parts = work / "tree", work / "parts"
    tree.make(board, root, work / "kernel", version())
    tree.boot_parts(board, parts)
    lap("root file system, as a folder")
    say(f"    {drivers.check(board, root, work / 'kernel')}")
    lap("drivers and firmware of the board's devices")
    rows = disk.partitions(board)
    numbers = {row.name: row.number for row in rows}
    initrd.make(board, root, parts, work / "kernel", work / "initrd", work / "initrd.zst", numbers,
                3 if fast else 19)
    lap(f"initrd, {size(work / 'initrd.zst')}")
    verity = disk.root(root, work / "root.img", board, version(), fast)
    lap(f"root file system with its tree, {size(work / 'root.img')}")
    line = disk.command_line(board, verity)
    kernel = modules.kernel_version(root)
    boot = disk.boot_folder(board, work, parts, line, version(), kernel)
    for row in rows:
        if row.name == "bulle":
            row.content = disk.fat(work / "bulle.vfat", disk.bulle_folder(board, work), row.mib, "BULLE", board)
        elif row.name in ("boot", "boot-a"):
            row.content = disk.fat(work / f"{row.name}.vfat", boot, row.mib, "BULLE-A", board)
        elif row.name == "boot-b":
            row.content = disk.fat(work / "boot-b.vfat", None, row.mib, "BULLE-B", board)
        elif row.name == "root-a":
            row.content = work / "root.img"
    inventory.compare(board, inventory.text({"root": root, "boot": boot, "bulle": work / "bulle"}), accept)
    out = work / "disk.img"
    disk.image(out, board, rows)
    lap("disk image")
    return out


def reproduce(board):
    """Builds twice, in folders of different names, and compares; returns the checksum."""
    with tempfile.TemporaryDirectory(prefix="one-") as one, tempfile.TemporaryDirectory(prefix="another-one-") as other:
        images = [make(board, Path(work), fast=False) for work in (one, other)]
        sums = [lock.sha256_of(image) for image in images]
        if sums[0] != sums[1]:
            raise Fault(f"two builds of board {board.id} differ:\n" + "\n".join(differences(Path(one), Path(other))))
        return sums[0]


def differences(one, other):
    """The files of two builds that are not the same, the smallest parts first: the cause comes before
    its effects."""
    found = []
    for folder in ("tree", "initrd", "boot", "bulle", "."):
        for path in sorted((one / folder).rglob("*") if folder != "." else one.glob("*")):
            twin = other / path.relative_to(one)
            if path.is_symlink() or path.is_dir():
                same = twin.is_dir() if path.is_dir() else twin.is_symlink() and os.readlink(path) == os.readlink(twin)
            else:
                same = twin.is_file() and lock.sha256_of(path) == lock.sha256_of(twin)
            if not same:
                found.append(str(path.relative_to(one)))
        if found:
            return found[:20]
    return ["the same parts, put together in another way"]


def size(path):
    return f"{path.stat().st_size / (1 << 20):.1f} MiB"


def place(board, work, image, fast):
    """Puts the image and what belongs to it under out/image/BOARD, whole or not at all."""
    folder, work = OUT / "image" / board.id, Path(work)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"bulle-{board.id}-{version()}{'-fast' if fast else ''}.img"
    part = folder / f".{name}.part"
    run("cp", "--sparse=always", image, part)
    part.rename(folder / name)
    latest = folder / ".latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to(name)
    os.replace(latest, folder / "latest.img")
    if not fast:
        run("zstd", "-10", "-T1", "-q", "-f", "-o", folder / f".{name}.zst.part", image)
        os.replace(folder / f".{name}.zst.part", folder / f"{name}.zst")
        debs, crates = sbom.write(board, version(), image, work / "licences", folder)
        say(f"out/image/{board.id}/sbom.*.json, licences.tar.zst: {debs} packages, {crates} crates")
        digest = lock.sha256_of(folder / f"{name}.zst")
        (folder / f"{name}.zst.sha256").write_text(f"{digest}  {name}.zst\n")
        # For the bench `box-size`.
        sizes = {"compressed": (folder / f"{name}.zst").stat().st_size, "root": (work / "root.img").stat().st_size}
        (folder / "sizes.json").write_text(json.dumps(sizes) + "\n")
        say(f"out/image/{board.id}/{name}.zst: {size(folder / f'{name}.zst')}, SHA-256 {digest}")
    else:
        say(f"out/image/{board.id}/{name}")
