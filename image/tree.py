"""The root file system as a folder: packages unpacked, what nobody needs left out, ours put in."""

import os
import shutil
import stat
from pathlib import Path

from . import device_trees, elf, lock, modules
from .common import IMAGE, OUT, Fault, epoch, run, settle

TRIPLET = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
# Where units ask to be started: targets and the folders of what they want.
UNITS = "usr/lib/systemd/system"


def make(board, tree, kernel, version):
    """Fills `tree`, and the folder `kernel` with what starts it."""
    settings, packages = lock.settings(), lock.read(board.arch)
    tree = Path(tree)
    wanted = [p for p in packages.values() if p.groups & {"root", board.id}]
    lock.extract(wanted, tree, board.arch)
    licences(tree, kernel.parent / "licences")

    microcode(board, tree, kernel.parent / "microcode.bin")
    modules.take_kernel(tree, kernel)
    device_trees.extend(board, kernel)
    initrd = settings["kernel"]["initrd_modules"] + board.list("initrd_modules")
    inside = settings["kernel"]["modules"] + board.list("modules") + initrd
    modules.prune(tree, modules.closure(tree, inside))
    regulatory(tree)
    modules.firmware(tree, board.list("firmware.files"))
    modules.index(tree)
    lay_out(board, tree, settings["keep"], version)
    hook(board, tree)
    settle(tree)


def hook(board, tree):
    """The board's own last word on its root file system: a program that is given the folder."""
    if "hook" in board.values:
        run(board.folder / board.values["hook"], tree, cwd=board.folder)


def boot_parts(board, folder):
    """Unpacks what starts the box: for the initrd and the boot loader."""
    packages = lock.read(board.arch)
    lock.extract([p for p in packages.values() if "boot" in p.groups], folder, board.arch)
    licences(folder, folder.parent / "licences")


def licences(tree, folder):
    """Keeps the packages' own words about their licences, and the texts that those refer to."""
    for path in sorted((tree / "usr/share/doc").iterdir()):
        text = followed(tree, f"/{path.relative_to(tree)}/copyright")
        if text.is_file():
            target = folder / "debian" / path.name / "copyright"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(text, target)
    for path in sorted((tree / "usr/share/common-licenses").glob("*")):
        if path.is_file():
            (folder / "common-licenses").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / "common-licenses" / path.name)


def microcode(board, tree, out):
    """What corrects the processor before the kernel starts, one file after the other."""
    parts = []
    for pattern in board.list("boot.microcode"):
        found = sorted((tree / modules.FIRMWARE).glob(pattern))
        if not found:
            raise Fault(f"no package of board {board.id} has the microcode {pattern}: see boot.microcode")
        parts += [path.read_bytes() for path in found]
    if parts:
        out.write_bytes(b"".join(parts))


def regulatory(tree):
    """The radio rules, signed by Debian's key, under the name that the kernel looks for: what
    update-alternatives would have done."""
    base = Path(tree) / modules.FIRMWARE
    for name in ("regulatory.db", "regulatory.db.p7s"):
        if not (base / f"{name}-debian").exists():
            raise Fault(f"wireless-regdb has no {name}-debian any more: see regulatory() in image/tree.py")
        (base / name).unlink(missing_ok=True)
        (base / name).symlink_to(f"{name}-debian")


def lay_out(board, tree, keep, version):
    users(tree, keep["sysusers"])
    left = kept(tree, keep, board.arch)
    binary = OUT / "bin" / board.arch / "bulle"
    if not binary.is_file():
        raise Fault(f"out/bin/{board.arch}/bulle is missing: `ci/build {board.arch}`")
    everything_else_goes(tree, left)
    put(IMAGE / "rootfs", tree)
    shutil.copy(binary, tree / "usr/bin/bulle")
    os.chmod(tree / "usr/bin/bulle", 0o755)
    if board.list("kernel.load"):
        (tree / "usr/lib/modules-load.d/board.conf").write_text("\n".join(board.list("kernel.load")) + "\n")
    os_release(board, tree, version)
    strip_bits(tree)
    libraries(tree)
    check_links(tree)


def users(tree, wanted):
    """Those of Debian's base, and those that the kept packages declare. Nobody has a password, and
    there is no shell to log in to."""
    etc = tree / "etc"
    for name in ("passwd", "group"):
        shutil.copy(tree / f"usr/share/base-passwd/{name}.master", etc / name)
    nobody_logs_in = "\n".join(
        ":".join(line.replace(":*:", ":x:", 1).split(":")[:6] + ["/usr/sbin/nologin"])
        for line in (etc / "passwd").read_text().splitlines())
    (etc / "passwd").write_text(nobody_logs_in + "\n")
    days = epoch() // 86400
    (etc / "shadow").write_text("".join(
        f"{line.split(':')[0]}:!*:{days}::::::\n" for line in nobody_logs_in.splitlines()))
    (etc / "gshadow").write_text("".join(
        f"{line.split(':')[0]}:*::\n" for line in (etc / "group").read_text().splitlines()))
    declared = [tree / "usr/lib/sysusers.d" / name for name in wanted]
    run("systemd-sysusers", f"--root={tree}", *declared, IMAGE / "rootfs/usr/lib/sysusers.d/bulle.conf")
    for name in ("passwd-", "group-", "shadow-", "gshadow-", ".pwd.lock"):
        (etc / name).unlink(missing_ok=True)
    for name in ("shadow", "gshadow"):
        os.chmod(etc / name, 0o600)


def kept(tree, keep, arch):
    """The paths of what the lists name, as far as packages brought it; each name must find something."""
    paths = {f"etc/{name}" for name in ("passwd", "group", "shadow", "gshadow")}
    idle = []
    for pattern in keep["programs"] + keep["files"] + keep.get(arch, []) + [f"{UNITS}/{name}" for name in keep["units"]]:
        found = [str(path.relative_to(tree)) for path in tree.glob(pattern)]
        paths.update(found)
        if not found:
            idle.append(pattern)
    if idle:
        raise Fault(f"the packages have no {', '.join(idle)}: see [keep] in image/packages.toml")
    # A target without what it wants is a name only.
    for path in tree.glob(f"{UNITS}/*.wants/*"):
        if path.name in keep["units"]:
            paths.add(str(path.relative_to(tree)))
    for folder in ("usr/lib/modules", modules.FIRMWARE):
        paths.update(str(p.relative_to(tree)) for p in (tree / folder).rglob("*") if p.is_symlink() or not p.is_dir())
    paths.update(shared_objects(tree))
    return paths


def shared_objects(tree):
    """All libraries; those that nobody needs go later, when it is known who is left."""
    return {str(p.relative_to(tree)) for folder in ("lib", "lib64") for p in (tree / "usr" / folder).rglob("*.so*")
            if (p.is_symlink() or p.is_file()) and elf_or_link(p)}


def elf_or_link(path):
    if path.is_symlink():
        return True
    with open(path, "rb") as file:
        return file.read(4) == elf.MAGIC


def everything_else_goes(tree, keep):
    merged = {"bin", "sbin", "lib", "lib64"}
    for folder, folders, files in os.walk(tree, topdown=False):
        for name in files + [f for f in folders if os.path.islink(os.path.join(folder, f))]:
            path = os.path.relpath(os.path.join(folder, name), tree)
            if path not in keep and path not in merged:
                os.unlink(os.path.join(folder, name))
        for name in folders:
            path = os.path.join(folder, name)
            if os.path.isdir(path) and not os.path.islink(path) and not os.listdir(path):
                os.rmdir(path)


def put(overlay, tree):
    """Our own files over the packages' ones. Links stay links; modes are 644, or 755 if runnable."""
    for folder, folders, files in os.walk(overlay):
        for name in folders + files:
            source = Path(folder) / name
            target = tree / source.relative_to(overlay)
            if source.is_symlink():
                target.unlink(missing_ok=True)
                target.symlink_to(os.readlink(source))
            elif source.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            elif name != ".keep":
                target.unlink(missing_ok=True)
                shutil.copyfile(source, target)
                os.chmod(target, 0o755 if os.access(source, os.X_OK) else 0o644)
    # Empty folders do not live in git: places where things are mounted.
    for name in ("boot/bulle", "data", "dev", "efi", "proc", "root", "run", "sys", "tmp", "var"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    os.chmod(tree / "root", 0o700)
    (tree / "etc/machine-id").write_bytes(b"")


def os_release(board, tree, version):
    (tree / "usr/lib/os-release").write_text(
        f'NAME="Bulle"\nID=bulle\nID_LIKE=debian\nPRETTY_NAME="Bulle {version} for {board.name}"\n'
        f"VERSION_ID={version}\nIMAGE_ID=bulle-{board.id}\nIMAGE_VERSION={version}\n")
    link = tree / "etc/os-release"
    link.unlink(missing_ok=True)
    link.symlink_to("../usr/lib/os-release")
    # PID 1 sets the clock to the time of this file at least: a box without a battery starts there.
    (tree / "usr/lib/clock-epoch").write_bytes(b"")


def strip_bits(tree):
    """Nothing here changes who it runs as, and nothing is writable by others."""
    for folder, folders, files in os.walk(tree):
        for name in folders + files:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            if not stat.S_ISLNK(mode):
                os.chmod(path, stat.S_IMODE(mode) & 0o755)


def libraries(tree):
    """Leaves the shared objects that somebody needs; fails if one that is needed is not there."""
    parsed = {}
    for folder, _, files in os.walk(tree / "usr"):
        for name in files:
            path = Path(folder) / name
            if not path.is_symlink() and (found := elf.read(path)):
                parsed[path] = found
    def library(path):
        return ".so" in path.name and "ossl-modules" not in path.parts
    triplets = [tree / "usr/lib" / triplet for triplet in TRIPLET.values()] + [tree / "usr/lib", tree / "usr/lib64"]
    reached, todo, missing = set(), [path for path in parsed if not library(path)], []
    while todo:
        path = todo.pop()
        if path in reached:
            continue
        reached.add(path)
        folders = [Path(f"{tree}{folder}") for folder in parsed[path].finds_in if folder.startswith("/")]
        # A library beside others may count on the program that loads it having loaded them before.
        folders += [path.parent, *triplets]
        if parsed[path].interpreter:
            todo.append(followed(tree, parsed[path].interpreter))
        for name, must in [(n, True) for n in parsed[path].needs] + [(n, False) for n in parsed[path].may_load]:
            there = next((f / name for f in folders if (f / name).exists()), None)
            if there is not None:
                todo.append(there.resolve())
            elif must:
                missing.append(f"{path.relative_to(tree)} needs {name}")
    if missing:
        raise Fault("libraries are missing: " + "; ".join(missing))
    for path in parsed:
        if path not in reached:
            path.unlink()
    for path in (tree / "usr/lib").rglob("*.so*"):
        if path.is_symlink() and not path.exists():
            path.unlink()
    for folder in sorted((p for p in (tree / "usr").rglob("*") if p.is_dir() and not p.is_symlink()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    # No ld.so.cache: everything left is where the loader looks anyway.


def followed(tree, path):
    """Where an absolute path of the box really is, inside the tree."""
    path = Path(f"{tree}{path}")
    for _ in range(8):
        parent = Path(os.path.realpath(path.parent))
        if not parent.is_relative_to(tree):
            raise Fault(f"{path} leads out of the image")
        path = parent / path.name
        if not path.is_symlink():
            return path
        target = os.readlink(path)
        path = Path(f"{tree}{target}") if target.startswith("/") else path.parent / target
    raise Fault(f"{path} is a circle of links")


def check_links(tree):
    """A unit that hangs on nothing, or a program that leads nowhere, is a mistake of ours."""
    for path in list((tree / UNITS).rglob("*")) + list((tree / "usr/bin").iterdir()) + list((tree / "usr/sbin").iterdir()):
        if path.is_symlink() and os.readlink(path) != "/dev/null" and not followed(tree, f"/{path.relative_to(tree)}").exists():
            raise Fault(f"{path.relative_to(tree)} is a link to {os.readlink(path)}, which is not there")
