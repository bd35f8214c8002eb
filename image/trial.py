"""Starts what must not start, in QEMU: a root file system that was changed, a new version that is broken.
`ci/image BOARD --check-boot`. On UEFI the boot loader itself counts and falls back; of the Pi's
firmware, which QEMU does not have, image/firmware.py plays what is documented."""

import gzip
import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

from . import disk, firmware
from .common import OUT, TOP, Fault, run

# Reads back what the boot loader and bulle-good.service made of the names.
AFTER_FALL_BACK = r"""
grep -o 'verity=[^ ]*' /proc/cmdline
for _ in $(seq 60); do
    [ "$(chroot /host systemctl show -P ActiveState bulle-good.service)" != active ] || break
    sleep 1
done
mkdir -p /tmp/boot
mount -t vfat -o ro /dev/vda2 /tmp/boot
ls /tmp/boot/EFI/Linux
"""


# Which root file system came up, and from where.
WHO_IS_THIS = r"""
grep -o 'verity=[^ ]*' /proc/cmdline
grep ^root= /run/bulle-start/disks
"""


def check(board):
    image = OUT / "image" / board.id / "latest.img"
    if not image.exists():
        raise Fault(f"there is no image of {board.id} yet: `ci/image {board.id} --fast`")
    trials = TRIALS[board.layout]
    failed = 0
    for name, trial in trials:
        copy = OUT / "boot" / f"trial-{board.id}.img"
        copy.parent.mkdir(parents=True, exist_ok=True)
        run("cp", "--sparse=always", image.resolve(), copy)
        try:
            trial(board, copy)
            print(f"ok      {name}", flush=True)
        except Fault as fault:
            failed += 1
            print(f"FAILED  {name}: {fault}", flush=True)
        finally:
            copy.unlink()
    print(f"{len(trials) - failed} passed, {failed} failed")
    if failed:
        raise Fault("see above")


def places(board, image):
    """Where each partition begins, in bytes."""
    found = firmware.table(image)
    return {row.name: found[row.number][1] for row in disk.partitions(board)}


def start(board, copy, script, *options):
    folder = OUT / "boot" / f"trial-{board.id}"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "test").mkdir(parents=True)
    (folder / "test/run.sh").write_text(script)
    with open(folder / "boot.log", "wb") as log:
        done = subprocess.run(
            [sys.executable, "-m", "image.boot", board.id, "--disk", copy, "--test", folder / "test", "--no-cable",
             "--name", f"trial-{board.id}", *options],
            cwd=TOP, stdout=subprocess.PIPE, stderr=log, text=True, check=False)
    console = (folder / "console.log").read_text(errors="replace")
    return done.returncode, done.stdout, console


def changed_root(board, copy):
    root = places(board, copy)["root-a"]
    with open(copy, "r+b") as file:
        # One bit in each MiB, so that something that is read early is hit.
        for at in range(root + 4096, root + (16 << 20), 1 << 20):
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1]))
    status, _, console = start(board, copy, "echo it came up", "--seconds=400", "--append=loglevel=7")
    if status == 0:
        raise Fault("it came up with a root file system that was changed")
    if "is corrupted" not in console:
        raise Fault(f"the kernel did not say that a block is corrupted (status {status}); see out/boot/trial-{board.id}")


def fall_back(board, copy):
    boot = f"{copy}@@{places(board, copy)['boot']}"
    listed = run("mdir", "-b", "-i", boot, "::EFI/Linux").decode().split()
    good = Path(listed[0]).name
    work = copy.with_suffix(".efi")
    run("mcopy", "-n", "-i", boot, f"::EFI/Linux/{good}", work)
    program = work.read_bytes()
    line = re.search(rb"verity=[0-9a-f-]+:\d+:[0-9a-f]{64}:([0-9a-f]{64})", program)
    if not line:
        raise Fault("the EFI program has no root hash")
    # The same version with another root hash: its root file system can never match.
    at = line.start(1)
    work.write_bytes(program[:at] + (b"0" if program[at:at + 1] != b"0" else b"1") + program[at + 1:])
    run("mcopy", "-n", "-i", boot, work, "::EFI/Linux/bulle_99.0.0+2.efi")
    work.unlink()
    trial = good.replace(".efi", "+3.efi")
    run("mren", "-i", boot, f"::EFI/Linux/{good}", trial)
    status, said, _ = start(board, copy, AFTER_FALL_BACK, "--seconds=400", "--reboots")
    if status != 0 or line[0].decode() not in said:
        raise Fault(f"the version before did not come up (status {status}); see out/boot/trial-{board.id}")
    names = set(said.split())
    if "bulle_99.0.0+0-2.efi" not in names:
        raise Fault(f"the broken version was not tried twice and given up: {said}")
    if good not in names:
        raise Fault(f"the version that came up was not kept as good: {said}")


# What the firmware of a Pi asks of a device tree, and how each kind of file begins.
MODEL = b"raspberrypi,5-model-b"
MAGIC = {"initrd": b"\x28\xb5\x2f\xfd", "tree": b"\xd0\x0d\xfe\xed", "kernel": b"ARM\x64"}


def read_by_firmware(board, copy):
    """All that the Pi's firmware reads of the card before Linux runs."""
    table = firmware.table(copy)
    if [table[number][0] for number in (1, 2, 3)] != ["c", "c", "c"]:
        raise Fault(f"partitions 1 to 3 must be FAT by their types: {table}")
    autoboot = firmware.text(copy, 1, "autoboot.txt") or ""
    if not 0 < len(autoboot) <= firmware.AUTOBOOT_BYTES:
        raise Fault(f"autoboot.txt has {len(autoboot)} bytes; the firmware reads {firmware.AUTOBOOT_BYTES}")
    if firmware.sections(autoboot, on_trial=True).get("boot_partition") != "3":
        raise Fault("a restart on trial does not lead to partition 3")
    if firmware.bootable(copy, 1) or firmware.bootable(copy, 3):
        raise Fault("partitions 1 and 3 must not be bootable: nothing is in the second slot yet")
    chosen = firmware.choose(copy)
    if chosen.partition != 2:
        raise Fault(f"it would start from partition {chosen.partition}")
    there = firmware.files(copy, chosen.partition)
    trees = {name for names in board.values["boot.device_trees"].values() for name in names}
    missing = {chosen.kernel, chosen.initrd, chosen.command_line, *trees} - there
    if missing:
        raise Fault(f"partition 2 has no {', '.join(sorted(missing))}")
    content = {name: run("mtype", "-i", firmware.place(copy, 2), f"::{name}") for name in there}
    if gzip.decompress(content[chosen.kernel])[56:60] != MAGIC["kernel"]:
        raise Fault(f"{chosen.kernel} is no kernel for arm64 in gzip")
    if not content[chosen.initrd].startswith(MAGIC["initrd"]):
        raise Fault(f"{chosen.initrd} is not compressed as the kernel expects")
    for name in trees:
        if not content[name].startswith(MAGIC["tree"]) or MODEL not in content[name]:
            raise Fault(f"{name} is no device tree of this board")
    # The root file system in the first slot is the one that this command line trusts, to the last block.
    root = verity(content[chosen.command_line].decode())
    run("dd", f"if={copy}", f"of={copy}.root", "bs=1M", "iflag=skip_bytes,count_bytes", "status=none",
        f"skip={table[5][1]}", f"count={table[5][2]}")
    try:
        run("veritysetup", "verify", f"{copy}.root", f"{copy}.root", root["hash"], f"--hash-offset={root['blocks'] * disk.BLOCK}")
    finally:
        Path(f"{copy}.root").unlink()
    # Without autoboot.txt, which anybody with the card in a computer can delete, it starts all the same.
    run("mdel", "-i", firmware.place(copy, 1), "::autoboot.txt")
    if firmware.choose(copy).partition != 2:
        raise Fault("without autoboot.txt it does not start from partition 2")


def other_slot(board, copy):
    """A new version in the second slot is tried once, and what does not come up has lost by the next start."""
    table = firmware.table(copy)
    old = verity(firmware.text(copy, 2, "cmdline.txt"))
    new = second_slot(copy, table, old)
    status, said, _ = start(board, copy, WHO_IS_THIS, "--seconds=600", "--on-trial")
    if status != 0 or new["word"] not in said or "root=/dev/vda6" not in said:
        raise Fault(f"the new version did not come up on trial (status {status}): {said}")
    # The same version with another root hash: its root file system can never match.
    broken = new["word"][:-64] + ("0" if new["hash"][0] != "0" else "1") + new["hash"][1:]
    command_line(copy, 3, new["word"], broken)
    status, _, console = start(board, copy, WHO_IS_THIS, "--seconds=400", "--on-trial")
    if status != 125:
        raise Fault(f"a version whose root file system does not match did not restart the box (status {status})")
    if not re.search("is corrupted|cannot start", console):
        raise Fault(f"it did not say why it restarts; see out/boot/trial-{board.id}")
    status, said, _ = start(board, copy, WHO_IS_THIS, "--seconds=600")
    if status != 0 or old["word"] not in said or "root=/dev/vda5" not in said:
        raise Fault(f"the version before did not come up (status {status}): {said}")


def second_slot(copy, table, old):
    """Puts into the second slot what an update would: another version, here of the same content."""
    work = copy.with_suffix(".root")
    run("dd", f"if={copy}", f"of={work}", "bs=1M", "iflag=skip_bytes,count_bytes", "status=none",
        f"skip={table[5][1]}", f"count={old['blocks'] * disk.BLOCK}")
    salt, name = "5a" * 32, uuid.uuid5(disk.OURS, "another version")
    said = run("veritysetup", "format", work, work, f"--data-blocks={old['blocks']}",
               f"--hash-offset={old['blocks'] * disk.BLOCK}", "--hash=sha256", f"--salt={salt}", f"--uuid={name}").decode()
    root_hash = next(line.split()[-1] for line in said.splitlines() if line.startswith("Root hash:"))
    run("dd", f"if={work}", f"of={copy}", "bs=1M", "oflag=seek_bytes", f"seek={table[6][1]}", "conv=notrunc", "status=none")
    work.unlink()
    run("dd", f"if={copy}", f"of={copy}.boot", "bs=1M", "iflag=skip_bytes,count_bytes", "status=none",
        f"skip={table[2][1]}", f"count={table[2][2]}")
    run("dd", f"if={copy}.boot", f"of={copy}", "bs=1M", "oflag=seek_bytes", f"seek={table[3][1]}", "conv=notrunc", "status=none")
    Path(f"{copy}.boot").unlink()
    word = f"verity={name}:{old['blocks']}:{salt}:{root_hash}"
    command_line(copy, 3, old["word"], word)
    return {"word": word, "hash": root_hash}


def command_line(copy, number, before, after):
    line = firmware.text(copy, number, "cmdline.txt").replace(before, after)
    run("mcopy", "-o", "-i", firmware.place(copy, number), "-", "::cmdline.txt", stdin=line.encode())


def verity(line):
    """What a command line says of its root file system."""
    found = re.search(r"verity=[0-9a-f-]+:(\d+):[0-9a-f]{64}:([0-9a-f]{64})", line)
    if not found:
        raise Fault("the command line has no root hash")
    return {"word": found[0], "blocks": int(found[1]), "hash": found[2]}


CHANGED_ROOT = ("a changed root file system restarts the box", changed_root)
TRIALS = {
    "gpt-uefi": [CHANGED_ROOT, ("a broken version gives way to the one before, which is kept", fall_back)],
    "mbr-rpi": [
        ("the firmware finds all that it reads, and without autoboot.txt too", read_by_firmware),
        CHANGED_ROOT,
        ("a version in the other slot is tried once, a broken one gives way to the one before", other_slot),
    ],
}
