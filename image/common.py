"""What the builder's parts share: where things are, how a fault is told, how a tool is run."""

import os
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
IMAGE = TOP / "image"
BOARDS = TOP / "board"
DEBS = Path("/debs")
OUT = TOP / "out"


class Fault(Exception):
    """Something a person has to put right: what is wrong, where, and what to do."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(*command, stdin=None, env=None, cwd=None, quiet=True):
    """Runs a tool and returns what it printed; if it fails, everything it said is the fault."""
    command = [str(word) for word in command]
    done = subprocess.run(
        command, input=stdin, env={**os.environ, **(env or {})}, cwd=cwd,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE if quiet else None, check=False,
    )
    if done.returncode:
        said = ((done.stderr or b"") + done.stdout).decode(errors="replace").strip()
        raise Fault(f"{command[0]} failed (exit {done.returncode}): {' '.join(command)[:400]}\n{said[-4000:]}")
    return done.stdout


def epoch():
    """The one time that everything in an image bears."""
    value = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not value.isdigit():
        raise Fault("SOURCE_DATE_EPOCH is not set: start the builder by ci/image")
    return int(value)


def settle(tree):
    """Gives every file below `tree` the one time, so that when it was made cannot be seen."""
    when = epoch()
    for folder, folders, files in os.walk(tree, topdown=False):
        for name in files + folders:
            os.utime(os.path.join(folder, name), (when, when), follow_symlinks=False)
    os.utime(tree, (when, when))
