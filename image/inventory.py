"""What is in an image, as text: each file with mode, size and, for programs, how it was hardened.

`image/manifest/BOARD.txt` is that text as it was accepted; a build that comes to another one fails
and shows the difference, so that whatever changes on the box is seen in a review.
"""

import difflib
import fnmatch
import os
import stat
from pathlib import Path

from . import elf
from .common import IMAGE, OUT, Fault, say

# What must not be on a box, whoever brings it: shells, tools to get in or to build, interpreters.
FORBIDDEN = (
    "sh", "bash", "dash", "ash", "busybox", "zsh", "login", "su", "sudo", "getty", "agetty", "sulogin", "sshd", "ssh",
    "dropbear", "telnetd", "apt", "apt-get", "dpkg", "gcc", "cc", "ld", "as", "make", "perl*", "python*", "lua*",
    "curl", "wget", "nc", "socat", "gdb", "strace", "tcpdump",
)
# Built by us from what changes with each commit: told in MiB, and as they were accepted while they are near that.
ROUGHLY = ("root/usr/bin/bulle", "boot/vmlinuz")
NEAR = 0.05
# Other with --fast: not told.
UNTOLD = ("boot/EFI/Linux/*.efi", "boot/initrd", "boot/cmdline.txt")
# How our own program must be built.
OURS = {"pie", "relro", "now", "nx"}


def text(parts):
    """`parts` maps a name (root, boot, bulle) to its folder."""
    lines, faults = [], []
    for part, folder in parts.items():
        for where, folders, files in os.walk(folder):
            for name in folders + files:
                path = Path(where) / name
                lines.append(_line(part, folder, path, faults))
    if faults:
        raise Fault("\n".join(sorted(faults)))
    return "".join(sorted(lines, key=lambda line: line.split(" ", 2)[2]))


def _line(part, folder, path, faults):
    shown = f"{part}/{path.relative_to(folder)}"
    info = path.lstat()
    mode = stat.S_IMODE(info.st_mode)
    if path.is_symlink():
        return f"link - {shown} -> {os.readlink(path)}\n"
    if path.is_dir():
        return f"{mode:04o} dir {shown}\n"
    if part == "root":
        if mode & 0o7022:
            faults.append(f"{shown} has mode {mode:04o}: it changes who it runs as, or others may write it")
        if mode & 0o111 and any(fnmatch.fnmatch(path.name, name) for name in FORBIDDEN):
            faults.append(f"{shown} must not be on a box: see FORBIDDEN in image/inventory.py")
    size = f"{info.st_size}"
    if any(fnmatch.fnmatch(shown, pattern) for pattern in ROUGHLY):
        size = f"{info.st_size / (1 << 20):.1f}M"
    elif any(fnmatch.fnmatch(shown, pattern) for pattern in UNTOLD):
        size = "-"
    found = elf.read(path) if part == "root" else None
    flags = f" [{' '.join(found.flags)}]" if found else ""
    if shown == "root/usr/bin/bulle" and not (found and OURS <= set(found.flags)):
        faults.append(f"{shown} was built without {', '.join(sorted(OURS - set(found.flags if found else ())))}")
    return f"{mode:04o} {size} {shown}{flags}\n"


def _as_accepted(now, before):
    """`now`, with the sizes of `before` where those are told in MiB and the new ones are near."""
    accepted = {}
    for line in before.splitlines():
        mode, size, shown = line.split(" ", 2)
        if size.endswith("M"):
            accepted[mode, shown] = float(size[:-1])
    lines = []
    for line in now.splitlines(keepends=True):
        mode, size, shown = line.rstrip("\n").split(" ", 2)
        was = accepted.get((mode, shown))
        if was is not None and size.endswith("M") and abs(float(size[:-1]) - was) <= NEAR * was:
            line = f"{mode} {was:.1f}M {shown}\n"
        lines.append(line)
    return "".join(lines)


def compare(board, now, accept):
    """Fails when the image holds something else than was accepted."""
    path = IMAGE / "manifest" / f"{board.id}.txt"
    before = path.read_text() if path.exists() else ""
    (OUT / "image" / board.id).mkdir(parents=True, exist_ok=True)
    (OUT / "image" / board.id / "manifest.txt").write_text(now)
    near = _as_accepted(now, before)
    if now == before or (near == before and not accept):
        return
    if accept:
        path.parent.mkdir(exist_ok=True)
        path.write_text(now)
        say(f"accepted: image/manifest/{board.id}.txt, {now.count(chr(10))} files")
        return
    changes = [line for line in difflib.unified_diff(before.splitlines(), near.splitlines(), lineterm="", n=0)
               if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    shown = "\n".join(changes[:40]) + (f"\n... and {len(changes) - 40} more lines" if len(changes) > 40 else "")
    raise Fault(f"what is in the image differs from image/manifest/{board.id}.txt:\n{shown}\n"
                f"If that is as it should be: `ci/image {board.id} --accept`, and commit the manifest with its reason")
