"""The initrd: busybox, two file system tools, the modules of disks, and one script."""

import os
import shutil
from pathlib import Path

from . import elf, modules, tree as trees
from .common import IMAGE, Fault, run, settle
from .lock import settings

PROGRAMS = ["usr/bin/busybox", "usr/sbin/dmsetup", "usr/sbin/e2fsck", "usr/sbin/mke2fs"]
# What is loaded beside each other, because the kernel takes its time over the signature of each: for the root file
# system, which is wanted first, and for the partitions beside it. What the disk needs its devices ask for themselves.
SETS = {"ROOT": ["dm-verity"], "DATA": ["ext4"], "FAT": ["vfat", "nls_ascii", "nls_cp437"]}


def make(board, tree, parts, kernel, folder, out, numbers, level):
    """`kernel` holds its lists of what is built in, `numbers` are those of the partitions."""
    tree, parts, folder = Path(tree), Path(parts), Path(folder)
    for name in ("bin", "etc", "dev", "proc", "sys", "run", "sysroot", "tmp", "usr/lib"):
        (folder / name).mkdir(parents=True)
    (folder / "lib").symlink_to("usr/lib")
    for name in PROGRAMS:
        _program(parts, folder, name)
    shutil.copyfile(IMAGE / "initrd/init", folder / "init")
    os.chmod(folder / "init", 0o755)
    (folder / "usr/lib/bulle").mkdir()
    shutil.copyfile(IMAGE / "initrd/data.sh", folder / "usr/lib/bulle/data.sh")
    (folder / "etc/box").write_text(
        f"FAT={numbers['bulle']}\nDATA={numbers['data']}\n"
        "FAT_OPTIONS=ro,nodev,nosuid,noexec,umask=0077,codepage=437,iocharset=ascii,utf8=1\n")
    _modules(board, tree, Path(kernel), folder)
    # A box without a battery meets file systems from the future.
    (folder / "etc/e2fsck.conf").write_text("[options]\nbroken_system_clock = true\n")
    (folder / "etc/mtab").symlink_to("/proc/self/mounts")
    settle(folder)
    names = sorted(os.path.relpath(os.path.join(where, name), folder)
                   for where, folders, files in os.walk(folder) for name in folders + files)
    archive = run("cpio", "--null", "--reproducible", "--renumber-inodes", "-R", "0:0", "-H", "newc", "-o", "--quiet",
                  stdin="".join(f"{name}\0" for name in names).encode(), cwd=folder)
    Path(out).write_bytes(run("zstd", f"-{level}", "-T1", "-q", "-c", stdin=archive))


def _program(parts, folder, name):
    """A program and, below usr/lib, the libraries it needs."""
    if not (parts / name).exists():
        raise Fault(f"the packages of the initrd have no {name}")
    target = folder / "bin" / Path(name).name
    shutil.copy(parts / name, target)
    os.chmod(target, 0o755)
    todo = [parts / name]
    while todo:
        found = elf.read(todo.pop())
        if found.interpreter:
            loader = folder / found.interpreter.lstrip("/")
            # /lib64 on amd64, /lib on arm64: where programs look for their loader.
            loader.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(trees.followed(parts, found.interpreter), loader)
        for library in found.needs:
            there = next((p for p in (parts / "usr/lib").glob(f"*/{library}")), None)
            if there is None:
                raise Fault(f"{name} in the initrd needs {library}, which its packages do not bring")
            target = folder / there.relative_to(parts)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(there.resolve(), target)
                todo.append(there.resolve())


def _modules(board, tree, kernel, folder):
    wanted = settings()["kernel"]["initrd_modules"] + board.list("initrd_modules")
    for name in modules.closure(tree, wanted):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tree / name, target)
    base = folder / "usr/lib/modules" / modules.kernel_version(tree)
    for name in modules.BUILTIN:
        shutil.copyfile(kernel / name, base / name)
    modules.index(folder, text=True)
    with open(folder / "etc/box", "a") as file:
        file.writelines(f"{name}_MODULES='{' '.join(found)}'\n" for name, found in SETS.items())
