"""One board, from packages to a disk image in out/image/BOARD."""

import os
import shutil
import time
import tomllib
from pathlib import Path

from . import disk, initrd, lock, modules, tree
from .common import OUT, TOP, run, say, settle


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


def make(board, work, fast):
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
    out = work / "disk.img"
    disk.image(out, board, rows)
    lap("disk image")
    return out


def size(path):
    return f"{path.stat().st_size / (1 << 20):.1f} MiB"


def place(board, work, image, fast):
    """Puts the image and what belongs to it under out/image/BOARD, whole or not at all."""
    folder = OUT / "image" / board.id
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
        digest = lock.sha256_of(folder / f"{name}.zst")
        (folder / f"{name}.zst.sha256").write_text(f"{digest}  {name}.zst\n")
        say(f"out/image/{board.id}/{name}.zst: {size(folder / f'{name}.zst')}, SHA-256 {digest}")
    else:
        say(f"out/image/{board.id}/{name}")
