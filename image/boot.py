"""Starts an image in QEMU: see ci/boot, which is how people call this."""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import board as boards, device_trees, firmware, lock, modules
from .common import OUT, Fault, run, say, settle

# Exit status of a run that was given up.
TIMEOUT = 124
# Exit status when the guest ended without saying how its test went.
NO_STATUS = 125
TOOLS = "/run/tools"
# Raise it when tools_disk() comes to make another disk from the same lock.
TOOLS_FORMAT = b"1"

# The names of units that QEMU hands over have nine characters at most: the firmware's channel for
# them takes 55, and "opt/io.systemd.credentials/systemd.extra-unit." is before them.
DEVICES = r"dev-vdb.device dev-vdc.device dev-virtio\x2dports-bulle.output.device dev-virtio\x2dports-bulle.status.device"
MOUNTS = f"""[Unit]
Description=The disks and channels of the test
DefaultDependencies=no
Requires={DEVICES}
After={DEVICES} local-fs-pre.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/mount -t erofs -o ro,X-mount.mkdir /dev/vdb {TOOLS}
ExecStart=/usr/bin/mount -t erofs -o ro /dev/vdc {TOOLS}/test
"""

TEST = """[Unit]
Description=The test, {script}
DefaultDependencies={dependencies}
Requires=m.service
After=m.service
{order}
[Service]
Type={kind}
RootDirectory={tools}
BindPaths=/proc /sys /dev /run
BindPaths=/:/host
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp/home SYSTEMD_IGNORE_CHROOT=1
TemporaryFileSystem=/tmp /var
WorkingDirectory=/test
StandardOutput=file:/dev/virtio-ports/bulle.output
StandardError=inherit
TimeoutStartSec=infinity
ExecStart=/bin/bash -c 'bash /test/{script}; status=$$?; {then}'
"""


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return boot(options)
    except Fault as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def arguments(words=None):
    parser = argparse.ArgumentParser(prog="ci/boot")
    parser.add_argument("board")
    for name in ("image", "disk", "test", "log-writes"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--forward", action="append", default=[])
    parser.add_argument("--no-cable", action="store_true")
    parser.add_argument("--reboots", action="store_true")
    parser.add_argument("--on-trial", action="store_true")
    parser.add_argument("--memory", type=int, default=1024)
    parser.add_argument("--append", default="")
    parser.add_argument("--name", default="")
    parser.add_argument("--qemu", action="append", default=[])
    return parser.parse_args(words)


def boot(options):
    board = boards.load(options.board)
    image = options.disk or options.image or OUT / "image" / board.id / "latest.img"
    if not image.exists():
        raise Fault(f"there is no image of {board.id} yet: `ci/image {board.id} --fast`")
    logs = OUT / "boot" / (options.name or board.id)
    logs.mkdir(parents=True, exist_ok=True)
    for name in ("console.log", "output.log", "status"):
        (logs / name).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="boot-") as work:
        work = Path(work)
        machine, extra = MACHINES[board.arch](board, image, work, options)
        words = machine + common(image, options) + network(options)
        if options.test:
            words += test(board, options, work, logs, extra)
        words += kernel_line(board, extra)
        words += options.qemu
        return watch(words, options, logs) if options.test else interact(words, options)


def common(image, options):
    drive = f"if=none,id=disk,file={image},format=raw"
    if options.disk is None:
        drive += ",snapshot=on"
    words = ["-nodefaults", "-display", "none", *(["-no-reboot"] if options.test and not options.reboots else []),
             "-smp", "2", "-m", str(options.memory), "-device", "virtio-rng-pci", "-drive", drive]
    if options.log_writes:
        log = options.log_writes
        log.write_bytes(b"")
        words += ["-blockdev", f"driver=file,filename={log},node-name=log",
                  "-blockdev", f"driver=file,filename={image},node-name=raw",
                  "-blockdev", "driver=blklogwrites,file=raw,log=log,node-name=logged,log-sector-size=512"]
        words.remove("-drive")
        words.remove(drive)
        return words + ["-device", "virtio-blk-pci,drive=logged,bootindex=0"]
    return words + ["-device", "virtio-blk-pci,drive=disk,bootindex=0"]


def x86(board, image, work, options):
    if options.on_trial:
        raise Fault(f"{board.id} has a boot loader that counts by itself: --on-trial is for the Raspberry Pi's layout")
    shutil.copyfile("/usr/share/OVMF/OVMF_VARS_4M.fd", work / "vars.fd")
    words = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max",
             "-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
             "-drive", f"if=pflash,format=raw,file={work}/vars.fd"]
    # The last clock of the emulated chipset is not always there in time on a busy machine.
    return words, ["console=ttyS0", "no_timer_check"] + options.append.split()


def arm(board, image, work, options):
    chosen = firmware.choose(image, options.on_trial)
    for name in (chosen.kernel, chosen.initrd, chosen.command_line):
        run("mcopy", "-n", "-i", firmware.place(image, chosen.partition), f"::{name}", work)
    words = ["qemu-system-aarch64", "-M", "virt,gic-version=2", "-accel", "tcg,thread=multi,tb-size=512",
             # Cores with known holes are emulated with all that is done about the holes: far slower.
             "-cpu", "max,pauth-impdef=on", "-kernel", str(work / chosen.kernel), "-initrd", str(work / chosen.initrd)]
    tree = work / "virt.dtb"
    run(*words[:1], "-M", f"{words[2]},dumpdtb={tree}", *words[5:7], "-smp", "2", "-m", str(options.memory))
    device_trees.add_light(tree)
    words += ["-dtb", str(tree)]
    line = (work / chosen.command_line).read_text().split()
    # The driver takes the first port of its name that is asked for, and has none if that one is not there.
    line = [word for word in line if not word.startswith("console=ttyAMA")]
    return words, line + ["console=ttyAMA0"] + options.append.split()


MACHINES = {"amd64": x86, "arm64": arm}


def kernel_line(board, words):
    """More words on x86 (the image has its own line), all of them on arm64."""
    line = " ".join(words)
    if board.arch == "arm64":
        return ["-append", line]
    return ["-smbios", "type=11,value=io.systemd.stub.kernel-cmdline-extra=" + line.replace(",", ",,")]


def network(options):
    if options.no_cable:
        return []
    # Nothing gets out; what is forwarded gets in.
    net = "user,id=net,restrict=on"
    for pair in options.forward or ["8443:443", "8080:80"]:
        here, _, there = pair.rpartition(":")
        net += f",hostfwd=tcp:127.0.0.1:{here.lstrip(':') or 0}-:{there}"
    return ["-netdev", net, "-device", "virtio-net-pci,netdev=net"]


def test(board, options, work, logs, extra):
    """Two more disks, two more channels, and the units that use them."""
    scripts = [name for name in ("run.sh", "before.sh") if (options.test / name).is_file()]
    if "run.sh" not in scripts:
        raise Fault(f"{options.test} has no run.sh")
    tools = tools_disk(board.arch)
    pack(options.test, work / "test.img")
    units = {
        "m.service": MOUNTS,
        "t.service": TEST.format(
            script="run.sh", tools=TOOLS, kind="exec", dependencies="yes",
            order="After=multi-user.target\nSuccessAction=poweroff-force\nFailureAction=poweroff-force",
            then="echo $$status >/dev/virtio-ports/bulle.status"),
    }
    extra += ["systemd.wants=t.service"]
    if "before.sh" in scripts:
        units["b.service"] = TEST.format(
            script="before.sh", tools=TOOLS, kind="oneshot", dependencies="no",
            order="Before=bulle-box.service bulle.service systemd-networkd.service\nAfter=systemd-udevd.service",
            then="exit $$status")
        extra += ["systemd.wants=b.service"]
    words = ["-device", "virtio-serial-pci"]
    for name in ("output", "status"):
        path = logs / (f"{name}.log" if name == "output" else name)
        words += ["-chardev", f"file,id={name},path={path}",
                  "-device", f"virtserialport,chardev={name},name=bulle.{name}"]
    for index, disk in enumerate((tools, work / "test.img")):
        words += ["-drive", f"if=none,id=test{index},file={disk},format=raw,readonly=on",
                  "-device", f"virtio-blk-pci,drive=test{index}"]
    for name, text in units.items():
        (work / name).write_text(text)
        words += ["-fw_cfg", f"name=opt/io.systemd.credentials/systemd.extra-unit.{name},file={work / name}"]
    return words


def pack(folder, out):
    run("mkfs.erofs", "-E^inline_data", "-x-1", "--all-root", "--quiet", out, folder)


def tools_disk(arch):
    """The userland that tests work with, as a disk. Made once for each lock."""
    packages = lock.read(arch)
    text = lock.path_of(arch).read_bytes() + json.dumps(lock.settings()["kernel"]["test_modules"]).encode()
    key = hashlib.sha256(text + TOOLS_FORMAT).hexdigest()[:12]
    out = OUT / "boot" / f"tools-{arch}-{key}.img"
    if out.exists():
        return out
    say(f"making the disk of test tools for {arch}, once")
    out.parent.mkdir(parents=True, exist_ok=True)
    for old in (OUT / "boot").glob(f"tools-{arch}-*.img"):
        old.unlink()
    wanted = [p for p in packages.values() if "test" in p.groups or p.name.startswith(("linux-modules-", "linux-base-"))]
    lock.fetch(wanted)
    with tempfile.TemporaryDirectory(prefix="tools-") as tree:
        tree = Path(tree)
        lock.extract(wanted, tree, arch)
        version = modules.kernel_version(tree)
        run("depmod", "-b", tree, version)
        modules.prune(tree, modules.closure(tree, lock.settings()["kernel"]["test_modules"]))
        run("depmod", "-b", tree, version)
        for name in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/lib/python3"):
            shutil.rmtree(tree / name, ignore_errors=True)
        for name in ("test", "host", "proc", "sys", "dev", "run", "tmp", "var", "root"):
            (tree / name).mkdir(exist_ok=True)
        (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
        (tree / "etc/group").write_text("root:x:0:\nnetdev:x:101:\n")
        links = {"usr/bin/awk": "gawk", "usr/bin/sh": "bash", "etc/resolv.conf": "/run/bulle-test-resolv.conf"}
        for name, target in links.items():
            (tree / name).unlink(missing_ok=True)
            (tree / name).symlink_to(target)
        settle(tree)
        part = out.with_suffix(".part")
        run("mkfs.erofs", "-zlz4", "--all-root", "--quiet", part, tree)
        os.replace(part, out)
    return out


def interact(words, options):
    if not options.no_cable:
        ports = ", ".join(options.forward or ["8443:443", "8080:80"])
        say(f"In half a minute or so, ports of 127.0.0.1 lead into the box: {ports}.")
    say("Ctrl-C stops it.")
    process = subprocess.Popen([*words, "-serial", "stdio"], start_new_session=False)
    try:
        return process.wait(options.seconds)
    except subprocess.TimeoutExpired:
        say(f"given up after {options.seconds} s")
        return TIMEOUT
    finally:
        process.kill()
        process.wait()


def watch(words, options, logs):
    """Runs the machine, passes on what the test prints, and returns the test's exit status."""
    limit = options.seconds or 600
    console, output, status = logs / "console.log", logs / "output.log", logs / "status"
    with open(logs / "qemu.log", "wb") as said:
        process = subprocess.Popen([*words, "-serial", f"file:{console}"], stdin=subprocess.DEVNULL,
                                   stdout=said, stderr=said)
    began, shown = time.monotonic(), 0
    try:
        while True:
            ended = process.poll() is not None
            shown = pass_on(output, shown)
            if ended:
                break
            if time.monotonic() - began > limit:
                say(f"given up after {limit} s; the end of {console.relative_to(OUT.parent)}:")
                tail(console)
                return TIMEOUT
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    text = status.read_text().strip() if status.exists() else ""
    if text.isdigit():
        return int(text)
    say(f"the box stopped before the test ended (QEMU: {process.returncode}); the end of {console.relative_to(OUT.parent)}:")
    tail(console)
    tail(logs / "qemu.log")
    return NO_STATUS


def pass_on(path, shown):
    if not path.exists():
        return shown
    with open(path, "rb") as file:
        file.seek(shown)
        text = file.read()
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()
    return shown + len(text)


def tail(path):
    if path.exists():
        for line in path.read_text(errors="replace").splitlines()[-25:]:
            say(f"    {line}")


if __name__ == "__main__":
    sys.exit(main())
