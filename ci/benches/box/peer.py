"""Makes the peer of the box (peer.toml) as a disk that ci/boot could start: `python3 -m ci.benches.box.peer`."""

import hashlib
import os
import shutil
import sys
import tempfile
import tomllib
from dataclasses import replace
from pathlib import Path

from image import board as boards, build, disk, initrd, lock, modules, tree as trees
from image.common import IMAGE, OUT, Fault, run, say, settle

HERE = Path(__file__).resolve().parent
BOARD = "rpi5"
# For the tree of folders that Debian installs: it takes twenty times the room of ours.
ROOT_MIB = 1024
SETTINGS = """[http]
https = ["[::]:443"]
redirect = []
names = ["bulle.internal"]

[turn]
listen = []

[state]
dir = "/var/lib/bulle"
"""
NETWORK = "[Match]\nType=ether\n\n[Network]\nDHCP=yes\n"


def image():
    """The disk, made when what it is made of has changed."""
    board = boards.load(BOARD)
    program = OUT / "bin" / board.arch / "bulle"
    if not program.is_file():
        raise Fault(f"out/bin/{board.arch}/bulle is missing: `ci/build {board.arch}`")
    parts = [HERE / name for name in ("peer.py", "peer.toml", "peer-init", "bulle.service")]
    inputs = [lock.path_of(board.arch), program, *parts, IMAGE / "initrd.py"]
    key = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in inputs)).hexdigest()[:12]
    out = OUT / "bench" / "box" / f"peer-{key}.img"
    if not out.exists():
        say("making the peer of the box, once")
        out.parent.mkdir(parents=True, exist_ok=True)
        for old in out.parent.glob("peer-*.img"):
            old.unlink()
        with tempfile.TemporaryDirectory(prefix="peer-") as work:
            make(board, program, Path(work), Path(work) / "disk.img")
            run("cp", "--sparse=always", Path(work) / "disk.img", f"{out}.part")
            os.replace(f"{out}.part", out)
    return out


def make(board, program, work, out):
    with open(HERE / "peer.toml", "rb") as file:
        wanted = tomllib.load(file)
    board = replace(board, values=board.values | {"size.root": ROOT_MIB})
    packages = lock.read(board.arch)
    unknown = set(wanted["packages"]) - packages.keys()
    if unknown:
        raise Fault(f"image/lock has no {', '.join(sorted(unknown))}: see packages in peer.toml")
    chosen = [p for p in packages.values() if p.groups & set(wanted["groups"]) or p.name in wanted["packages"]]
    lock.fetch(chosen + [p for p in packages.values() if "boot" in p.groups])
    root, parts = work / "tree", work / "parts"
    root.mkdir()
    parts.mkdir()
    lock.extract(chosen, root, board.arch)
    trees.boot_parts(board, parts)
    modules.take_kernel(root, work / "kernel")
    system(root, wanted, program)
    start(board, root, parts, work)
    rows = disk.partitions(board)
    line = " ".join(wanted["kernel"]["command_line"])
    folder = work / "boot"
    folder.mkdir()
    shutil.copyfile(work / "initrd.all", folder / "initrd")
    shutil.copyfile(work / "kernel/vmlinuz", folder / "vmlinuz")
    (folder / "cmdline.txt").write_text(line + "\n")
    shutil.copyfile(board.folder / board.values["boot.config"], folder / "config.txt")
    for row in rows:
        if row.name == "boot-a":
            row.content = disk.fat(work / "boot.vfat", folder, row.mib, "PEER", board)
        elif row.name == "root-a":
            run("mke2fs", "-q", "-t", "ext4", "-L", "peer", "-d", root, work / "root.img", f"{row.mib}M")
            row.content = work / "root.img"
    disk.image(out, board, rows)


def system(root, wanted, program):
    """What the packages' scripts would have done, which do not run here."""
    etc = root / "etc"
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", etc / name)
    run("systemd-sysusers", f"--root={root}")
    (root / "usr/bin/sh").unlink(missing_ok=True)
    (root / "usr/bin/sh").symlink_to("bash")
    run("ldconfig", "-r", root)
    for target, units in wanted["enable"].items():
        folder = etc / "systemd/system" / f"{target}.wants"
        folder.mkdir(parents=True, exist_ok=True)
        for unit in units:
            name = unit.replace("@tty1", "@")
            if name == "bulle.service":
                shutil.copyfile(HERE / name, etc / "systemd/system" / name)
                (folder / unit).symlink_to(f"/etc/systemd/system/{name}")
            elif (root / trees.UNITS / name).exists():
                (folder / unit).symlink_to(f"/{trees.UNITS}/{name}")
            else:
                raise Fault(f"the packages of the peer have no {name}: see [enable] in peer.toml")
    for unit in wanted["without"]["units"]:
        (etc / "systemd/system" / unit).symlink_to("/dev/null")
    (etc / "systemd/network").mkdir(exist_ok=True)
    (etc / "systemd/network/20-cable.network").write_text(NETWORK)
    (etc / "fstab").write_text("LABEL=peer / ext4 errors=remount-ro 0 1\n")
    (etc / "hostname").write_text("peer\n")
    (etc / "machine-id").write_text(hashlib.sha256(b"peer").hexdigest()[:32] + "\n")
    (etc / "bulle.toml").write_text(SETTINGS)
    shutil.copy(program, root / "usr/bin/bulle")
    os.chmod(root / "usr/bin/bulle", 0o755)
    for name in ("var/log/journal", "proc", "sys", "dev", "run", "tmp", "root", "boot", "mnt"):
        (root / name).mkdir(parents=True, exist_ok=True)
    # Nothing is to be made at the first start that an installed Debian has made before.
    for name in ("etc/.updated", "var/.updated"):
        (root / name).write_text("")
    settle(root)


def start(board, root, parts, work):
    """An initrd of our own parts with the peer's script in the place of ours: of two archives in one
    file, what the second one holds counts."""
    numbers = {row.name: row.number for row in disk.partitions(board)}
    small = work / "modules"
    shutil.copytree(root / "usr/lib/modules", small / "usr/lib/modules", symlinks=True)
    (small / "lib").symlink_to("usr/lib")
    modules.prune(small, modules.closure(small, initrd.settings()["kernel"]["initrd_modules"] + board.list("initrd_modules")))
    modules.index(small)
    initrd.make(board, small, parts, work / "kernel", work / "initrd", work / "initrd.zst", numbers, 19)
    over = work / "over"
    over.mkdir()
    shutil.copyfile(HERE / "peer-init", over / "init")
    os.chmod(over / "init", 0o755)
    more = run("cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet", stdin=b"init\n", cwd=over)
    with open(work / "initrd.all", "wb") as file:
        file.write((work / "initrd.zst").read_bytes())
        file.write(run("zstd", "-q", "-c", stdin=more))


if __name__ == "__main__":
    try:
        print(image())
    except Fault as fault:
        sys.exit(f"error: {fault}")
