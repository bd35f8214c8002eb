"""What a board adds to the kernel's device trees: devices that it has and that the kernel does not know of.

They are merged here and not by the board's firmware, so that what was checked is what the board gets.
"""

import tempfile
from pathlib import Path

from .common import Fault, run


def extend(board, kernel):
    """Merges the board's overlays into each of its device trees, in place."""
    overlays = board.list("boot.overlays")
    if not overlays:
        return
    with tempfile.TemporaryDirectory(prefix="overlays-") as work:
        work, compiled = Path(work), []
        for name in overlays:
            compiled.append(work / f"{name}.dtbo")
            _run(f"board/{board.id}/{name}", "dtc", "-q", "-@", "-I", "dts", "-O", "dtb", "-o", compiled[-1], board.folder / name)
        for source in sorted({*board.values["boot.device_trees"], *board.list("drivers.device_trees")}):
            tree = Path(kernel) / "dtb" / source
            if not tree.exists():
                raise Fault(f"the kernel of board {board.id} has no device tree {source}")
            merged = work / "merged.dtb"
            _run(f"{', '.join(overlays)} into {source}", "fdtoverlay", "-i", tree, "-o", merged, *compiled)
            tree.write_bytes(merged.read_bytes())


def add_light(tree):
    """Puts a light like the Pi's on a free pin of QEMU's machine `virt`, which has none."""
    pins = "/pl061@9030000"
    handle = run("fdtget", "-t", "u", tree, pins, "phandle").decode().strip()
    run("fdtput", "-c", tree, "/leds")
    run("fdtput", "-t", "s", tree, "/leds", "compatible", "gpio-leds")
    run("fdtput", "-c", tree, "/leds/led-act")
    run("fdtput", "-t", "s", tree, "/leds/led-act", "label", "ACT")
    run("fdtput", "-t", "u", tree, "/leds/led-act", "gpios", handle, "5", "1")


def _run(what, *words):
    try:
        return run(*words)
    except Fault as fault:
        raise Fault(f"{what}: {fault}") from fault
