"""A board is data: `board/NAME/board.toml` and the files it names. This reads it and tells, with
file and key, what is wrong with it.

Boards share parts (`board/parts/NAME.toml`): lists of modules and firmware that belong to one kind
of hardware, such as the Wi-Fi dongles that any board may carry.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from .common import BOARDS, Fault

ARCHES = ("amd64", "arm64")
LAYOUTS = {"gpt-uefi": "amd64", "mbr-rpi": "arm64"}

TEXT, NUMBER = "text", "a whole number"
WORDS = "a list of texts"
TABLE_OF_WORDS = "a table of lists of texts"

# Key: kind of value, and whether it must be there. What is not here is an error.
PART = {
    "modules": (WORDS, False),
    "initrd_modules": (WORDS, False),
    "firmware.packages": (WORDS, False),
    "firmware.files": (WORDS, False),
}
BOARD = PART | {
    "name": (TEXT, True),
    "arch": (TEXT, True),
    "layout": (TEXT, True),
    "parts": (WORDS, False),
    "kernel.packages": (WORDS, True),
    "kernel.command_line": (WORDS, True),
    "kernel.load": (WORDS, False),
    "boot.microcode": (WORDS, False),
    "boot.config": (TEXT, False),
    "boot.device_trees": (TABLE_OF_WORDS, False),
    "boot.overlays": (WORDS, False),
    "size.bulle": (NUMBER, True),
    "size.boot": (NUMBER, True),
    "size.root": (NUMBER, True),
    "size.data": (NUMBER, True),
    "drivers.modalias": (TEXT, False),
    "drivers.device_trees": (WORDS, False),
    "drivers.needs": (TABLE_OF_WORDS, False),
    "drivers.ignore": (WORDS, False),
    "hook": (TEXT, False),
}
# Keys that only one layout knows, and those that it cannot do without.
ONLY = {"mbr-rpi": {"boot.config", "boot.device_trees", "boot.overlays", "drivers.device_trees", "drivers.needs"},
        "gpt-uefi": {"boot.microcode"}}
NEEDS = {"mbr-rpi": {"boot.config", "boot.device_trees"}, "gpt-uefi": set()}
# In MiB: the least that works, the most that makes sense on a small card.
SIZES = {"size.bulle": (8, 64), "size.boot": (48, 512), "size.root": (64, 1024), "size.data": (16, 4096)}
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,+-]*")


@dataclass
class Board:
    id: str
    folder: Path
    name: str
    arch: str
    layout: str
    values: dict

    def list(self, key):
        return self.values.get(key, [])

    def size(self, key):
        return self.values[f"size.{key}"]

    def packages(self):
        return self.list("kernel.packages") + self.list("firmware.packages")


def names():
    return sorted(path.parent.name for path in BOARDS.glob("*/board.toml"))


def load(name):
    path = BOARDS / name / "board.toml"
    if not path.is_file():
        raise Fault(f"there is no board called '{name}'. Boards: {', '.join(names())}")
    return read(path, name)


def read(path, name=None, parts=BOARDS / "parts"):
    """The board in this file, with its parts taken in; raises one Fault that lists all that is wrong."""
    path, faults = Path(path), []
    values = _checked(path, BOARD, faults)
    for part in values.get("parts", []):
        file = parts / f"{part}.toml"
        if not SAFE_NAME.fullmatch(part) or not file.is_file():
            known = ", ".join(sorted(p.stem for p in parts.glob("*.toml")))
            faults.append(f"{_shown(path)}: parts: there is no part '{part}'; there are {known}")
            continue
        for key, more in _checked(file, PART, faults).items():
            values[key] = values.get(key, []) + more
    _consistent(path, values, faults)
    if faults:
        raise Fault("\n".join(faults))
    return Board(name or path.stem, path.parent, values["name"], values["arch"], values["layout"], values)


def _shown(path):
    return path.relative_to(BOARDS.parent) if path.is_relative_to(BOARDS.parent) else path


def _checked(path, schema, faults):
    try:
        with open(path, "rb") as file:
            tree = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.append(f"{_shown(path)}: not TOML: {error}")
        return {}
    except OSError as error:
        faults.append(f"{_shown(path)}: cannot be read: {error.strerror}")
        return {}
    values = dict(_flat(tree, schema))
    for key, value in list(values.items()):
        if key not in schema:
            faults.append(f"{_shown(path)}: {key}: there is no such key; there are {', '.join(schema)}")
            del values[key]
        elif fault := _kind(value, schema[key][0]):
            faults.append(f"{_shown(path)}: {key}: expected {schema[key][0]}, found {fault}")
            del values[key]
    for key, (kind, needed) in schema.items():
        if needed and key not in values and not any(f"{path.name}: {key}:" in fault for fault in faults):
            faults.append(f"{_shown(path)}: {key} is missing; expected {kind}")
    return values


def _flat(tree, schema, prefix=""):
    """Tables as dotted keys, except those whose names are values."""
    for key, value in tree.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, dict) and schema.get(dotted, ("",))[0] != TABLE_OF_WORDS:
            yield from _flat(value, schema, f"{dotted}.")
        else:
            yield dotted, value


def _kind(value, kind):
    """None when the value is of its kind; what it is otherwise."""
    if kind == TEXT and isinstance(value, str) and value.strip() and "\n" not in value:
        return None
    if kind == NUMBER and isinstance(value, int) and not isinstance(value, bool):
        return None
    if kind == WORDS and isinstance(value, list):
        odd = next((item for item in value if _kind(item, TEXT)), None)
        return None if odd is None else f"{odd!r} in the list"
    if kind == TABLE_OF_WORDS and isinstance(value, dict):
        odd = next((key for key, item in value.items() if _kind(item, WORDS)), None)
        return None if odd is None else f"{value[odd]!r} under {odd}"
    return repr(value)


def _consistent(path, values, faults):
    def fault(key, text):
        faults.append(f"{_shown(path)}: {key}: {text}")

    arch, layout = values.get("arch"), values.get("layout")
    if arch is not None and arch not in ARCHES:
        fault("arch", f"expected one of {', '.join(ARCHES)}, found '{arch}'")
    if layout is not None and layout not in LAYOUTS:
        fault("layout", f"expected one of {', '.join(LAYOUTS)}, found '{layout}'")
    elif layout is not None and arch in ARCHES and LAYOUTS[layout] != arch:
        fault("layout", f"'{layout}' is for {LAYOUTS[layout]}, and arch is '{arch}'")
    if layout in LAYOUTS:
        for other, keys in ONLY.items():
            for key in sorted(keys & values.keys() if other != layout else ()):
                fault(key, f"belongs to layout '{other}', and this is '{layout}'")
        for key in sorted(NEEDS[layout] - values.keys()):
            fault(key, f"is missing; layout '{layout}' needs it")
    for key, (least, most) in SIZES.items():
        if key in values and not least <= values[key] <= most:
            fault(key, f"expected {least} to {most} (MiB), found {values[key]}")
    files = [(key, values[key]) for key in ("hook", "boot.config", "drivers.modalias") if key in values]
    for key, file in files + [("boot.overlays", file) for file in values.get("boot.overlays", [])]:
        if not SAFE_NAME.fullmatch(file) or not (path.parent / file).is_file():
            fault(key, f"there is no file '{file}' in the board's folder")
    for key in ("modules", "initrd_modules", "kernel.load"):
        seen = set()
        for module in values.get(key, []):
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", module):
                fault(key, f"'{module}' is not the name of a module")
            elif module.replace("-", "_") in seen:
                fault(key, f"'{module}' is named twice")
            seen.add(module.replace("-", "_"))
    for pattern in values.get("firmware.files", []) + values.get("boot.microcode", []):
        if pattern.startswith("/") or ".." in pattern.split("/"):
            fault("firmware.files", f"'{pattern}' leaves the folder of firmware")
    for word in values.get("kernel.command_line", []):
        if not word.isascii() or re.search(r"\s", word) or word.startswith("verity="):
            fault("kernel.command_line", f"'{word}' is not one word for the kernel")
