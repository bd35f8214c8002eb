"""Starts what must not start, in QEMU: a root file system that was changed, a new version that is broken.
`ci/image BOARD --check-boot`; UEFI boards only, because QEMU knows nothing of the Pi's firmware."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import disk
from .common import OUT, TOP, Fault, run

# Reads back what the boot loader and bulle-good.service made of the names.
AFTER_FALL_BACK = r"""
grep -o 'verity=[^ ]*' /proc/cmdline
for _ in $(seq 60); do
    [ "$(chroot /host systemctl show -P ActiveState bulle-good.service)" = activating ] || break
    sleep 1
done
mkdir -p /tmp/boot
mount -t vfat -o ro /dev/vda2 /tmp/boot
ls /tmp/boot/EFI/Linux
"""


def check(board):
    if board.layout != "gpt-uefi":
        raise Fault(f"board {board.id} has no UEFI, and QEMU has nothing else that falls back")
    image = OUT / "image" / board.id / "latest.img"
    if not image.exists():
        raise Fault(f"there is no image of {board.id} yet: `ci/image {board.id} --fast`")
    failed = 0
    for name, trial in (("a changed root file system restarts the box", changed_root),
                        ("a broken version gives way to the one before, which is kept", fall_back)):
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
    print(f"{2 - failed} passed, {failed} failed")
    if failed:
        raise Fault("see above")


def places(board, image):
    """Where each partition begins, in bytes."""
    said = run("sfdisk", "-d", image).decode()
    starts = {int(number): int(start) * 512 for number, start in re.findall(r"img(\d+) : start= *(\d+)", said)}
    return {row.name: starts[row.number] for row in disk.partitions(board)}


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
    status, _, console = start(board, copy, "echo it came up", "--seconds=200", "--append=loglevel=7")
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
