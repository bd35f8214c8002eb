"""The image builder: `python3 -m image COMMAND`, inside the root `image`; people call ci/image."""

import argparse
import os
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

from . import board, boot, build, drivers, lock, tree, trial
from .common import TOP, Fault, say


def update_lock(_):
    lock.update([board.load(name) for name in board.names()])


def build_one(options):
    chosen = board.load(options.board)
    work = Path(tempfile.mkdtemp(prefix="image-"))
    try:
        image = build.make(chosen, work, options.fast, options.accept)
        build.place(chosen, work, image, options.fast)
    finally:
        if os.environ.get("BULLE_KEEP_WORK"):
            say(f"kept: {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)


def check_reproducible(options):
    digest = build.reproduce(board.load(options.board))
    print(f"{options.board}: two builds are the same, byte for byte: SHA-256 {digest}")


def check(_):
    """The builder's own tests, and with them all boards and locks."""
    suite = unittest.defaultTestLoader.discover(str(TOP / "image/tests"), top_level_dir=str(TOP))
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    wrong = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - wrong} passed, {wrong} failed")
    if wrong:
        raise Fault("the builder or the data of a board is not as it should be")


def check_drivers(options):
    """The devices of a board against what its image would hold, without making the image."""
    chosen = board.load(options.board)
    with tempfile.TemporaryDirectory(prefix="drivers-") as work:
        (Path(work) / "tree").mkdir()
        lock.fetch([p for p in lock.read(chosen.arch).values() if p.groups & {"root", chosen.id}])
        tree.make(chosen, Path(work) / "tree", Path(work) / "kernel", build.version())
        print(drivers.check(chosen, Path(work) / "tree", Path(work) / "kernel"))


def main():
    parser = argparse.ArgumentParser(prog="image")
    commands = parser.add_subparsers(required=True)
    commands.add_parser("update-lock").set_defaults(run=update_lock)
    command = commands.add_parser("build")
    command.add_argument("board")
    command.add_argument("--fast", action="store_true")
    command.add_argument("--accept", action="store_true")
    command.set_defaults(run=build_one)
    for name, action in (("check-drivers", check_drivers), ("check-reproducible", check_reproducible),
                         ("check-boot", lambda options: trial.check(board.load(options.board))),
                         ("tools", lambda options: boot.tools_disk(board.load(options.board).arch))):
        command = commands.add_parser(name)
        command.add_argument("board")
        command.set_defaults(run=action)
    commands.add_parser("check").set_defaults(run=check)
    commands.add_parser("list").set_defaults(run=lambda _: print("\n".join(board.names())))
    options = parser.parse_args()
    try:
        options.run(options)
    except Fault as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    return 0


sys.exit(main())
