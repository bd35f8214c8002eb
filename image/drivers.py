"""Hardware truth without hardware: every device that a board is known to have must find, in the
image, the driver that its kernel would load for it, and the firmware that this driver needs.

A device is one enabled node of the board's device trees, or one line of its list of modaliases. The
kernel's own tables (all of it, before anything was left out) tell which module belongs to it.
"""

import fnmatch
import struct
from pathlib import Path

from . import modules
from .common import OUT, Fault

# What a flattened device tree begins with.
MAGIC = 0xD00DFEED


def check(board, tree, kernel):
    """Raises a Fault that lists what is missing; returns a line that sums up."""
    table = Table(kernel)
    inside = {path.stem.replace("-", "_") for path in (Path(tree) / "usr/lib/modules").rglob("*.ko")}
    base = Path(tree) / modules.FIRMWARE
    firmware = {str(path.relative_to(base)) for path in base.rglob("*") if not path.is_dir()}
    ignored = {name.replace("-", "_") for name in board.list("drivers.ignore")}
    faults, report, used = [], [], set()
    counts = {"module": 0, "built in": 0, "left out": 0, "none": 0}
    for name, aliases, needs in devices(board, kernel):
        wanted = table.modules(aliases)
        used |= wanted & ignored
        for pattern in needs:
            if pattern.endswith(".ko"):
                wanted.add(pattern[:-3].replace("-", "_"))
            elif not fnmatch.filter(firmware, pattern):
                faults.append(f"{name}: its firmware {pattern} is not in the image")
        missing = wanted - inside - ignored
        if missing:
            faults.append(f"{name}: its driver {', '.join(sorted(missing))} is not in the image")
        kind = ("module" if wanted - ignored else "built in" if table.built_in(aliases) else
                "left out" if wanted else "none")
        counts[kind] += 1
        report.append(f"{kind:<9} {name}{': ' + ' '.join(sorted(wanted)) if wanted else ''}\n")
    for name in sorted(ignored - used):
        faults.append(f"board {board.id}: drivers.ignore names {name}, which no device asks for")
    if faults:
        raise Fault("\n".join(sorted(set(faults))))
    if not sum(counts.values()):
        return "drivers: this board lists no devices"
    folder = OUT / "image" / board.id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "drivers.txt").write_text("".join(sorted(report)))
    return (f"drivers: {sum(counts.values())} devices; {counts['module']} by modules in the image, "
            f"{counts['built in']} by the kernel itself, {counts['left out']} left out on purpose, {counts['none']} unknown to it")


class Table:
    """Which module the kernel would load for an alias."""

    def __init__(self, kernel):
        self.patterns, self.own = [], []
        for line in (Path(kernel) / "modules.alias").read_text().splitlines():
            if line.startswith("alias "):
                pattern, module = line.removeprefix("alias ").rsplit(" ", 1)
                self.patterns.append((pattern, module.replace("-", "_")))
        for entry in (Path(kernel) / "modules.builtin.modinfo").read_bytes().split(b"\0"):
            if b".alias=" in entry:
                self.own.append(entry.split(b".alias=", 1)[1].decode())

    def modules(self, aliases):
        return {module for pattern, module in self.patterns if _any_matches(aliases, pattern)}

    def built_in(self, aliases):
        return any(_any_matches(aliases, pattern) for pattern in self.own)


def _any_matches(aliases, pattern):
    # Nearly all patterns fail at the bus already; fnmatch is slow.
    bus = pattern.split(":", 1)[0].rstrip("*")
    return any(alias.startswith(bus) and fnmatch.fnmatchcase(alias, pattern) for alias in aliases)


def devices(board, kernel):
    """Of each: name, modaliases, and what it needs besides: firmware, or modules (NAME.ko) that the
    kernel finds in another way than by the device tree, as those of cards on a bus."""
    needs = board.values.get("drivers.needs", {})
    for source in board.list("drivers.device_trees"):
        for path, name, compatible in nodes((Path(kernel) / "dtb" / source).read_bytes(), source):
            firmware = [file for word in compatible for file in needs.get(word, [])]
            yield (f"{source.rsplit('/', 1)[-1]}{path} ({compatible[0]})",
                   ["of:N" + name + "T(null)" + "".join(f"C{word}" for word in compatible)], firmware)
    if "drivers.modalias" in board.values:
        for line in (board.folder / board.values["drivers.modalias"]).read_text().splitlines():
            words, _, comment = line.partition("#")
            if words.strip():
                alias, *firmware = words.split()
                yield comment.strip() or alias, [alias], firmware


def nodes(blob, source):
    """The enabled nodes of a flattened device tree that name what they are: path, name, compatible."""
    if len(blob) < 40 or struct.unpack_from(">I", blob)[0] != MAGIC:
        raise Fault(f"{source} is not a device tree")
    _, total, at, strings = struct.unpack_from(">4I", blob)
    if total > len(blob):
        raise Fault(f"{source} is cut off")
    found, stack, pending = [], [], None

    def text(start):
        return blob[start:blob.index(b"\0", start)].decode("ascii", "replace")

    def close(node):
        if node and node["compatible"] and node["on"] and all(outer["on"] for outer in stack):
            path = "/".join([outer["name"] for outer in stack] + [node["name"]])
            found.append((path, node["name"].split("@")[0], node["compatible"]))

    while at + 4 <= total:
        token = struct.unpack_from(">I", blob, at)[0]
        at += 4
        if token == 1:
            if pending:
                close(pending)
                stack.append(pending)
            name = text(at)
            at += (len(name) + 4) & ~3
            pending = {"name": name, "compatible": [], "on": True}
        elif token == 2:
            if pending:
                close(pending)
                pending = None
            else:
                stack.pop()
        elif token == 3:
            length, name = struct.unpack_from(">II", blob, at)
            at += 8
            value = blob[at:at + length]
            at += (length + 3) & ~3
            if pending and text(strings + name) == "compatible":
                pending["compatible"] = value.rstrip(b"\0").decode("ascii", "replace").split("\0")
            elif pending and text(strings + name) == "status":
                pending["on"] = value.rstrip(b"\0") in (b"okay", b"ok")
        elif token == 9:
            return found
        elif token != 4:
            raise Fault(f"{source} is damaged at byte {at - 4}")
    raise Fault(f"{source} has no end")
