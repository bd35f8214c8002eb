"""What an ELF file tells: the libraries it needs or may load, and how it was hardened."""

import json
from dataclasses import dataclass

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

MAGIC = b"\x7fELF"


@dataclass
class Elf:
    needs: list      # by DT_NEEDED: does not start without
    may_load: list   # by .note.dlopen: looked for while running
    finds_in: list   # DT_RUNPATH
    interpreter: str | None
    flags: list      # pie, relro, now, nx, canary


def read(path):
    """None if it is no ELF file, or one that is not run (a kernel module, an object)."""
    with open(path, "rb") as file:
        if file.read(4) != MAGIC:
            return None
        file.seek(0)
        elf = ELFFile(file)
        if elf.header.e_type not in ("ET_EXEC", "ET_DYN"):
            return None
        return _read(elf)


def _read(elf):
    needs, finds_in, interpreter, flags, names = [], [], None, [], ()
    now, relro, nx = False, False, True
    for segment in elf.iter_segments():
        kind = segment.header.p_type
        if kind == "PT_INTERP":
            interpreter = segment.get_interp_name()
        elif kind == "PT_GNU_RELRO":
            relro = True
        elif kind == "PT_GNU_STACK":
            nx = not segment.header.p_flags & 1
    for section in elf.iter_sections():
        if isinstance(section, DynamicSection):
            for tag in section.iter_tags():
                kind = tag.entry.d_tag
                if kind == "DT_NEEDED":
                    needs.append(tag.needed)
                elif kind in ("DT_RUNPATH", "DT_RPATH"):
                    finds_in += (getattr(tag, "runpath", None) or getattr(tag, "rpath", "")).split(":")
                elif kind == "DT_BIND_NOW" or (kind == "DT_FLAGS" and tag.entry.d_val & 8):
                    now = True
                elif kind == "DT_FLAGS_1" and tag.entry.d_val & 1:
                    now = True
    symbols = elf.get_section_by_name(".dynsym")
    if symbols is not None:
        names = {symbol.name for symbol in symbols.iter_symbols()}
    if elf.header.e_type == "ET_DYN":
        flags.append("pie")
    for flag, there in (("relro", relro), ("now", now), ("nx", nx), ("canary", "__stack_chk_fail" in names)):
        if there:
            flags.append(flag)
    return Elf(needs, _dlopen(elf), finds_in, interpreter, flags)


def _dlopen(elf):
    """Names that the program says it loads while running, if it thinks them important."""
    section, found = elf.get_section_by_name(".note.dlopen"), []
    if section is None:
        return found
    for note in section.iter_notes():
        text = note.n_desc if isinstance(note.n_desc, bytes) else bytes.fromhex(note.n_desc.replace(" ", ""))
        for entry in json.loads(text.rstrip(b"\0")):
            if entry.get("priority") in ("required", "recommended"):
                found += entry["soname"]
    return found
