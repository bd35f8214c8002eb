"""The image builder: `python3 -m image COMMAND`, inside the root `image`; people call ci/image."""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from . import board, build, lock
from .common import Fault, say


def update_lock(_):
    lock.update([board.load(name) for name in board.names()])


def fetch(options):
    packages = lock.read(options.arch)
    lock.fetch(packages.values())


def build_one(options):
    chosen = board.load(options.board)
    work = Path(tempfile.mkdtemp(prefix="image-"))
    try:
        image = build.make(chosen, work, options.fast)
        build.place(chosen, work, image, options.fast)
    finally:
        if os.environ.get("BULLE_KEEP_WORK"):
            say(f"kept: {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(prog="image")
    commands = parser.add_subparsers(required=True)
    commands.add_parser("update-lock").set_defaults(run=update_lock)
    command = commands.add_parser("fetch")
    command.add_argument("arch")
    command.set_defaults(run=fetch)
    command = commands.add_parser("build")
    command.add_argument("board")
    command.add_argument("--fast", action="store_true")
    command.set_defaults(run=build_one)
    options = parser.parse_args()
    try:
        options.run(options)
    except Fault as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    return 0


sys.exit(main())
