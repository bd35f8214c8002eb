"""Measures a box in QEMU: `python3 -m ci.benches.box.measure start|operation`, inside the root `image`.

start      from the kernel's first instruction to the first page over TLS, our image and its peer
           (peer.toml) in turn
operation  memory of the box as it serves, and what it writes to its card while phones talk

Prints one JSON object with all rounds; the bench (benches/box.rs) reports them.
"""

import argparse
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from image import board as boards, boot
from image.common import OUT, TOP, Fault, say

from . import peer

BOARD = "rpi5"
HERE = Path(__file__).resolve().parent
# A box that shows no page in this time has none.
LIMIT_S = 240
# A visitor who tries again: often enough to be exact, seldom enough not to be what keeps the box busy.
EVERY_S = 0.25


def main():
    parser = argparse.ArgumentParser(prog="measure")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("start")
    command.add_argument("--rounds", type=int, default=5)
    command.add_argument("--only", choices=["box", "peer"])
    command.set_defaults(run=start)
    command = commands.add_parser("operation")
    command.add_argument("--seconds", type=int, default=600)
    command.set_defaults(run=operation)
    options = parser.parse_args()
    try:
        print(json.dumps(options.run(options)))
    except Fault as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    return 0


def start(options):
    images = {"box": OUT / "image" / BOARD / "latest.img", "peer": peer.image()}
    if options.only:
        images = {options.only: images[options.only]}
    rounds = {name: [] for name in images} | {f"{name}_cpu": [] for name in images}
    for number in range(options.rounds):
        for name, image in images.items():
            seconds, cpu = first_page(image, OUT / "bench" / "box" / name)
            rounds[name].append(seconds)
            rounds[f"{name}_cpu"].append(cpu)
            say(f"    round {number + 1}, {name}: {seconds:.2f} s, {cpu:.2f} s of processors")
    return rounds


def first_page(image, logs):
    """Seconds from the kernel's first instruction to the page, and what processors worked meanwhile, which
    says more on a busy machine. QEMU has loaded everything and waits for the word: that is not counted."""
    logs.mkdir(parents=True, exist_ok=True)
    board = boards.load(BOARD)
    port = free_port()
    options = boot.arguments([board.id, f"--image={image}", f"--forward={port}:443"])
    with tempfile.TemporaryDirectory(prefix="measure-") as work:
        words, line = boot.MACHINES[board.arch](board, Path(image), Path(work), options)
        words += boot.common(image, options) + boot.network(options) + boot.kernel_line(board, line)
        words += ["-S", "-monitor", "stdio", "-serial", f"file:{logs}/console.log"]
        machine = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            if "monitor" not in machine.stdout.readline():
                raise Fault(f"QEMU did not start: {machine.stdout.read()[-2000:]}")
            began, before = time.monotonic(), worked(machine.pid)
            machine.stdin.write("cont\n")
            machine.stdin.flush()
            return visit(port, began + LIMIT_S, machine) - began, worked(machine.pid) - before
        except Fault as fault:
            raise Fault(f"{fault}; what it said is in {logs.relative_to(TOP)}/console.log") from None
        finally:
            machine.kill()
            machine.wait()


def worked(pid):
    """The seconds that processors have spent on a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def visit(port, deadline, machine):
    """Tries until the page comes; returns when it came. A try does not wait for the one before: its
    packets may be lost for good while the box has no address yet."""
    came = []

    def once():
        try:
            line = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=anybody())
            line.request("GET", "/", headers={"Host": "bulle.internal"})
            answer = line.getresponse()
            if answer.status == 200 and b"<html" in answer.read():
                came.append(time.monotonic())
        except (OSError, http.client.HTTPException):
            pass

    while not came:
        if time.monotonic() > deadline:
            raise Fault(f"no page within {LIMIT_S} s")
        if machine.poll() is not None:
            raise Fault("the box stopped before its page came")
        threading.Thread(target=once, daemon=True).start()
        time.sleep(EVERY_S)
    return min(came)


def anybody():
    """Any certificate will do: for times only, never for trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def operation(options):
    """The guest counts (operation.sh); phones outside use the box meanwhile."""
    folder = OUT / "bench" / "box" / "operation"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "test").mkdir(parents=True)
    for source, name in ((HERE / "operation.sh", "run.sh"), (TOP / "ci/harness/box/guest/lib.sh", "lib.sh")):
        shutil.copy(source, folder / "test" / name)
    (folder / "test/seconds").write_text(str(options.seconds))
    https, http = free_port(), free_port()
    box = subprocess.Popen(
        [sys.executable, "-m", "image.boot", BOARD, "--name=bench-operation", f"--test={folder}/test",
         f"--forward={https}:443", f"--forward={http}:80", f"--seconds={options.seconds + 500}"],
        cwd=TOP, stdout=subprocess.PIPE, stderr=sys.stderr, text=True)
    values, wrong, phones = {}, [], None
    try:
        for line in box.stdout:
            kind, *words = line.split()
            if kind == "value":
                values[words[0]] = float(words[1])
            elif kind == "not":
                wrong.append(line.strip())
            elif kind == "operation":
                (folder / "ca.crt").write_bytes(urllib.request.urlopen(f"http://127.0.0.1:{http}/ca.crt", timeout=30).read())
                with open(folder / "phones.log", "wb") as log:
                    phones = subprocess.Popen(
                        [OUT / "bin/amd64/phones", "--url=https://bulle.internal", f"--connect=127.0.0.1:{https}",
                         f"--ca={folder}/ca.crt", "--count=10", "--messages=20", "--path=mailbox",
                         f"--seconds-limit={options.seconds}"], stdout=log, stderr=log)
    finally:
        box.terminate()
        box.wait()
        if phones and phones.poll() is None:
            wrong.append("phones were still talking at the end")
            phones.kill()
        if phones and phones.wait():
            wrong.append(f"the phones did not succeed: see {folder.relative_to(TOP)}/phones.log")
    if wrong or phones is None or "bytes_written" not in values:
        raise Fault("; ".join(wrong) or "the box told of no operation; see out/boot/bench-operation")
    return values


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
