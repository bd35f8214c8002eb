"""Kernel modules and firmware: what the lists name and what that depends on stays, the rest goes."""

import fnmatch
import os
import re
import shutil
from pathlib import Path

from .common import Fault, run

FIRMWARE = "usr/lib/firmware"
# Lists of what is in the kernel itself, from which depmod makes indexes.
BUILTIN = ("modules.builtin", "modules.builtin.modinfo", "modules.order")


def kernel_version(tree):
    found = sorted(path.name for path in (Path(tree) / "usr/lib/modules").iterdir())
    if len(found) != 1:
        raise Fault(f"expected one kernel in the packages of this board, found: {', '.join(found) or 'none'}")
    return found[0]


def take_kernel(tree, folder):
    """Moves the kernel, its device trees and lists out of the tree: they start it from elsewhere."""
    base, folder = Path(tree) / "usr/lib/modules" / kernel_version(tree), Path(folder)
    folder.mkdir()
    for name in ("vmlinuz", "dtb"):
        if (base / name).exists():
            (base / name).rename(folder / name)
    for name in BUILTIN:
        shutil.copyfile(base / name, folder / name)
    for name in ("config", "System.map"):
        (base / name).unlink(missing_ok=True)
    run("depmod", "-b", tree, kernel_version(tree))
    shutil.copyfile(base / "modules.alias", folder / "modules.alias")


def closure(tree, names):
    """The files, below the tree, of these modules and of all that they need to be loaded."""
    tree, version = Path(tree), kernel_version(tree)
    files, unknown = set(), []
    for name in names:
        try:
            said = run("modprobe", "-C", "/dev/null", "-d", tree, "-S", version, "--show-depends", name).decode()
        except Fault:
            unknown.append(name)
            continue
        for line in said.splitlines():
            if line.startswith("insmod "):
                files.add(os.path.relpath(line.split()[1], tree))
    if unknown:
        raise Fault(f"the kernel {version} has no module called {', '.join(unknown)}: see kernel.modules in "
                    "image/packages.toml, and the board's lists")
    return sorted(re.sub(r"^lib/", "usr/lib/", file) for file in files)


def prune(tree, keep):
    """Leaves these module files only, unpacked (the root file system is compressed as a whole)."""
    tree = Path(tree)
    base = tree / "usr/lib/modules" / kernel_version(tree)
    keep = set(keep)
    for path in list((base / "kernel").rglob("*.ko*")):
        if str(path.relative_to(tree)) not in keep:
            path.unlink()
    unpack(base)
    for folder in sorted((p for p in base.rglob("*") if p.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def unpack(folder):
    packed = [str(path) for path in Path(folder).rglob("*.ko.xz")]
    for at in range(0, len(packed), 64):
        run("xz", "-d", "-T1", "--", *packed[at:at + 64])


def index(tree, text=False):
    """The indexes that kmod reads; or, for busybox, those in `text`. The others go."""
    version = kernel_version(tree)
    base = Path(tree) / "usr/lib/modules" / version
    run("depmod", "-b", tree, version)
    for path in base.glob("modules.*"):
        needed = path.name in ("modules.dep", "modules.alias", "modules.symbols") if text else path.suffix == ".bin"
        if not needed and path.name != "modules.softdep":
            path.unlink()


def firmware(tree, patterns):
    """Leaves the firmware of these patterns, each of which must find something."""
    tree = Path(tree)
    base = tree / FIRMWARE
    have = sorted(str(path.relative_to(base)) for path in base.rglob("*") if path.is_file() or path.is_symlink())
    keep, idle = {name for name in have if name.startswith("regulatory.db")}, []
    for pattern in patterns:
        found = fnmatch.filter(have, pattern)
        keep.update(found)
        if not found:
            idle.append(pattern)
    if idle:
        raise Fault(f"no package of this board has the firmware {', '.join(idle)}: see firmware.files")
    keep = newest(keep, wanted(tree))
    for name in list(keep):
        keep.update(_links(base, name))
    for name in have:
        if name not in keep:
            (base / name).unlink()
    for folder in sorted((p for p in base.rglob("*") if p.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def wanted(tree):
    """The firmware files that the modules of the tree name. It may be more than anybody has."""
    files = sorted(str(path) for path in (Path(tree) / "usr/lib/modules").rglob("*.ko"))
    names = set()
    for at in range(0, len(files), 200):
        names.update(run("modinfo", "-F", "firmware", *files[at:at + 200]).decode().split())
    return names


def newest(names, wanted_names):
    """Of firmware whose names end with the number of an interface, the highest one that the driver
    knows is enough: it never looks at the others then."""
    numbered = re.compile(r"(iwlwifi-.+)-([a-z]?\d+)\.ucode")
    limit, best, keep = {}, {}, set()
    for name in wanted_names:
        if match := numbered.fullmatch(name.rsplit("/", 1)[-1]):
            limit[match[1]] = max(limit.get(match[1], 0), int(match[2].lstrip("c")))
    for name in names:
        match = numbered.fullmatch(name.rsplit("/", 1)[-1])
        if not match:
            keep.add(name)
        elif match[1] in limit and int(match[2].lstrip("c")) <= limit[match[1]]:
            number = int(match[2].lstrip("c"))
            if number > best.get(match[1], (-1,))[0]:
                best[match[1]] = (number, name)
    return keep | {name for _, name in best.values()}


def _links(base, name):
    """Where this file really is, if it is a link or lies below one."""
    real = os.path.realpath(base / name)
    found = set()
    path = base / name
    while path.is_symlink():
        target = os.path.normpath(path.parent / os.readlink(path))
        if not target.startswith(str(base)):
            raise Fault(f"the firmware {name} is a link to {target}, outside the image")
        found.add(os.path.relpath(target, base))
        path = Path(target)
    if real.startswith(str(base)) and os.path.exists(real):
        found.add(os.path.relpath(real, base))
    return found
