"""From a folder to a disk: root file system with its dm-verity tree, boot partitions, image."""

import hashlib
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from .common import IMAGE, Fault, epoch, run, settle
from .lock import settings

MIB = 1 << 20
# Type-5 UUIDs of ours hang below this one, which was drawn once.
OURS = uuid.UUID("3c9f2f7e-6a58-4b0e-9a53-0e3d1c8f7b42")
BLOCK = 4096

EFI = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
BASIC_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
# What the initrd makes the data partition by, see image/initrd/data.sh.
BLANK = b"bulle: blank"
LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"


@dataclass
class Partition:
    name: str
    number: int
    kind: str
    mib: int
    content: Path | None = None


def partitions(board):
    """The partitions of a layout, in order. `bulle` is what desktops show, `data` is made at the
    first start; root-b (and boot-b) wait for the first update."""
    size = board.size
    if board.layout == "gpt-uefi":
        rows = [("bulle", 1, BASIC_DATA, "bulle"), ("boot", 2, EFI, "boot"), ("root-a", 3, LINUX, "root"),
                ("root-b", 4, LINUX, "root"), ("data", 5, LINUX, "data")]
    else:
        # The firmware reads autoboot.txt on the first partition, and numbers on MBR reliably.
        # p4 is the extended one that p5 and on are in.
        rows = [("bulle", 1, "c", "bulle"), ("boot-a", 2, "c", "boot"), ("boot-b", 3, "c", "boot"),
                ("root-a", 5, "83", "root"), ("root-b", 6, "83", "root"), ("data", 7, "83", "data")]
    return [Partition(name, number, kind, size(key)) for name, number, kind, key in rows]


def name_uuid(*words):
    return uuid.uuid5(OURS, "/".join(words))


def root(tree, out, board, version, fast):
    """The root file system followed by its verity tree, in one file. Returns the word for the
    kernel's command line that it can be found and trusted by."""
    fs, ver = name_uuid("root", board.id, version), name_uuid("verity", board.id, version)
    salt = hashlib.sha256(f"{board.id}/{version}".encode()).hexdigest()
    if fast:
        run("mkfs.erofs", "-zzstd,3", f"-C{64 << 10}", f"-T{epoch()}", "-U", fs, "--all-root", "--quiet", out, tree)
    else:
        # squashfs-tools takes the time from SOURCE_DATE_EPOCH.
        run("mksquashfs", tree, out, "-comp", "zstd", "-Xcompression-level", "15", "-b", "128K", "-noappend",
            "-quiet", "-no-progress", "-all-root", "-no-xattrs")
    length = out.stat().st_size
    blocks = (length + BLOCK - 1) // BLOCK
    os.truncate(out, blocks * BLOCK)
    said = run("veritysetup", "format", out, out, f"--data-blocks={blocks}", f"--hash-offset={blocks * BLOCK}",
               f"--data-block-size={BLOCK}", f"--hash-block-size={BLOCK}", "--hash=sha256", f"--salt={salt}",
               f"--uuid={ver}").decode()
    root_hash = next((line.split()[-1] for line in said.splitlines() if line.startswith("Root hash:")), None)
    if root_hash is None:
        raise Fault("veritysetup named no root hash")
    return [f"verity={ver}:{blocks}:{salt}:{root_hash}", f"rootfstype={'erofs' if fast else 'squashfs'}"]


def command_line(board, verity):
    words = board.list("kernel.command_line") + settings()["kernel"]["command_line"] + verity
    line = " ".join(words)
    # arm64 cuts it there, without a word.
    if len(line) > 2000:
        raise Fault(f"the kernel's command line has {len(line)} characters, more than 2000")
    return line


def uki(board, work, parts, line, version):
    """Kernel, initrd, command line and microcode in one EFI program."""
    out = work / "uki.efi"
    words = ["ukify", "build", f"--linux={work}/kernel/vmlinuz", f"--initrd={work}/initrd.zst", f"--cmdline={line}",
             f"--os-release=@{work}/tree/usr/lib/os-release", f"--uname={version}",
             f"--stub={parts}/usr/lib/systemd/boot/efi/linuxx64.efi.stub", f"--output={out}"]
    if (work / "microcode.bin").exists():
        early = work / "microcode"
        (early / "kernel/x86/microcode").mkdir(parents=True)
        shutil.copyfile(work / "microcode.bin", early / "kernel/x86/microcode/GenuineIntel.bin")
        settle(early)
        names = b"kernel\0kernel/x86\0kernel/x86/microcode\0kernel/x86/microcode/GenuineIntel.bin\0"
        (work / "microcode.cpio").write_bytes(run(
            "cpio", "--null", "--reproducible", "--renumber-inodes", "-R", "0:0", "-H", "newc", "-o", "--quiet",
            stdin=names, cwd=early))
        words.append(f"--microcode={work}/microcode.cpio")
    run(*words)
    return out


def boot_folder(board, work, parts, line, version, kernel_version):
    """What is on the partition that the firmware starts from."""
    folder = work / "boot"
    if board.layout == "gpt-uefi":
        for name in ("EFI/BOOT", "EFI/Linux", "loader"):
            (folder / name).mkdir(parents=True)
        shutil.copyfile(parts / "usr/lib/systemd/boot/efi/systemd-bootx64.efi", folder / "EFI/BOOT/BOOTX64.EFI")
        # Without a counter: there is nothing to fall back to yet. An update adds its own with one.
        shutil.copyfile(uki(board, work, parts, line, kernel_version), folder / f"EFI/Linux/bulle_{version}.efi")
        (folder / "loader/loader.conf").write_text("timeout menu-disabled\neditor no\nauto-firmware no\n")
        (folder / "loader/entries.srel").write_text("type1\n")
    else:
        folder.mkdir()
        packed = run("gzip", "-9", "-n", "-c", work / "kernel/vmlinuz")
        (folder / "vmlinuz").write_bytes(packed)
        shutil.copyfile(work / "initrd.zst", folder / "initrd")
        (folder / "cmdline.txt").write_text(line + "\n")
        shutil.copyfile(board.folder / board.values["boot.config"], folder / "config.txt")
        for source, names in board.values["boot.device_trees"].items():
            for name in names:
                if not (work / "kernel/dtb" / source).exists():
                    raise Fault(f"the kernel of board {board.id} has no device tree {source}")
                shutil.copyfile(work / "kernel/dtb" / source, folder / name)
    return folder


def bulle_folder(board, work):
    """What is on the partition that desktops show."""
    folder = work / "bulle"
    folder.mkdir()
    for path in sorted((IMAGE / "fat").iterdir()):
        # Notepad of old, too, shall show lines.
        (folder / path.name).write_bytes(path.read_text().replace("\n", "\r\n").encode())
    if board.layout == "mbr-rpi":
        (folder / "autoboot.txt").write_text("[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n")
    return folder


def fat(out, folder, mib, label, board):
    """A FAT file system with the content of a folder (or none), the same each time."""
    serial = hashlib.sha256(f"{board.id}/{out.name}".encode()).hexdigest()[:8]
    with open(out, "wb") as file:
        file.truncate(mib * MIB)
    run("mkfs.fat", "-F", "16" if mib <= 32 else "32", "-i", serial, "-n", label, "--invariant", out)
    if folder is None:
        return out
    used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if used > (mib - 2) * MIB:
        raise Fault(f"{label} holds {used // MIB} MiB, and the partition has {mib}: see size.boot of board {board.id}")
    settle(folder)
    for path in sorted(folder.iterdir()):
        run("mcopy", "-s", "-m", "-Q", "-i", out, path, f"::{path.name}")
    return out


def image(out, board, rows):
    """The partitioned disk, sparse."""
    # One MiB in front, one behind each logical partition for its table, one at the end for GPT's copy.
    start, lines = MIB, []
    if board.layout == "gpt-uefi":
        lines += ["label: gpt", f"label-id: {name_uuid('disk', board.id)}", "first-lba: 2048"]
    else:
        serial = hashlib.sha256(board.id.encode()).hexdigest()[:8]
        lines += ["label: dos", f"label-id: 0x{serial}"]
    places, extended = {}, False
    for row in rows:
        if board.layout == "mbr-rpi" and row.number > 4 and not extended:
            left = sum(r.mib + 1 for r in rows if r.number > 4)
            lines.append(f"4: start={start // 512}, size={left * MIB // 512}, type=f")
            extended = True
        if extended:
            start += MIB
        if row.content is not None and row.content.stat().st_size > row.mib * MIB:
            raise Fault(f"{row.name} takes {row.content.stat().st_size // MIB + 1} MiB, and the partition has {row.mib}: "
                        f"see size.{row.name.removesuffix('-a')} of board {board.id}")
        more = ""
        if board.layout == "gpt-uefi":
            more = f', name="bulle{"" if row.name == "bulle" else "-" + row.name}", uuid={name_uuid("disk", board.id, row.name)}'
        lines.append(f"{row.number}: start={start // 512}, size={row.mib * MIB // 512}, type={row.kind}{more}")
        places[row.name] = start
        start += row.mib * MIB
    with open(out, "wb") as file:
        file.truncate(start + MIB)
    run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", out, stdin="\n".join(lines).encode() + b"\n")
    with open(out, "r+b") as disk:
        for row in rows:
            if row.content is not None:
                copy_sparse(row.content, disk, places[row.name])
            elif row.name == "data":
                disk.seek(places[row.name] + (row.mib - 1) * MIB)
                disk.write(BLANK)


def copy_sparse(source, disk, at):
    with open(source, "rb") as file:
        while chunk := file.read(MIB):
            if chunk.strip(b"\0"):
                disk.seek(at)
                disk.write(chunk)
            at += len(chunk)
