"""What the initrd does with the data partition, on files, with the very tools that it has. Mounting is
played: a file system can be mounted when dumpe2fs can read it and it was left in order."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from image.common import IMAGE
from image.disk import BLANK

PLAY = """
. "$1"
data_mount() { e2fsck -n "$1" >/dev/null 2>&1; }
mount() { [ "$2" = tmpfs ]; }
data_open "$2" "$3"
"""
MIB = 1 << 20


class Data(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.disk = Path(folder.name) / "data.img"
        self.remains = Path(folder.name) / "remains"
        self.blank()

    def blank(self):
        """As it is in the image."""
        with open(self.disk, "wb") as file:
            file.truncate(64 * MIB)
            file.seek(63 * MIB)
            file.write(BLANK)

    def open(self, disk=None, **env):
        tools = {"E2FSCK": "/usr/sbin/e2fsck", "MKE2FS": "/usr/sbin/mke2fs", "DATA_REMAINS": self.remains} | env
        done = subprocess.run(["sh", "-c", PLAY, "sh", IMAGE / "initrd/data.sh", self.disk if disk is None else disk, "/nowhere"],
                              stdout=subprocess.PIPE, env={**os.environ, **tools}, text=True, check=False)
        return done.stdout.strip()

    def damage(self, at, length, byte=b"\xa5"):
        with open(self.disk, "r+b") as file:
            file.seek(at)
            file.write(byte * length)

    def listed(self):
        return subprocess.run(["debugfs", "-R", "ls /", self.disk], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True, check=True).stdout

    def write(self, name):
        subprocess.run(["debugfs", "-w", "-R", f"write {__file__} {name}", self.disk], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True)

    def test_an_empty_partition_is_made_once(self):
        self.assertEqual(self.open(), "made")
        os.utime(self.disk, (0, 0))
        self.assertEqual(self.open(), "whole")
        self.assertEqual(self.disk.stat().st_mtime, 0, "nothing is written to one that is in order")

    def test_what_was_written_is_there_when_it_is_whole(self):
        self.open()
        self.write("kept")
        self.assertEqual(self.open(), "whole")
        self.assertIn("kept", self.listed())

    def test_a_lost_superblock_is_repaired_from_its_copy(self):
        for byte in (b"\0", b"\xa5", b"\xff"):
            with self.subTest(byte):
                self.blank()
                self.open()
                self.write("kept")
                self.damage(0, 4096, byte)
                self.assertEqual(self.open(), "repaired")
                self.assertIn("kept", self.listed())
                self.assertEqual(self.open(), "whole")

    def test_a_damaged_group_is_repaired(self):
        self.open()
        self.write("kept")
        # The descriptors of groups and the bitmaps behind them; the superblock stays.
        self.damage(2 * 1024, 3 * 1024)
        self.assertEqual(self.open(), "repaired")
        self.assertIn("kept", self.listed())

    def test_a_partition_that_power_left_half_made_is_made_again(self):
        blank = self.disk.read_bytes()
        self.open()
        whole = self.disk.read_bytes()
        for share in (1, 2, 4, 8, 16, 32):
            # What was written so far, in whatever order; the mark goes last.
            for half in (whole[:share * MIB] + blank[share * MIB:], blank[:share * MIB] + whole[share * MIB:63 * MIB] + blank[63 * MIB:]):
                self.disk.write_bytes(half)
                with self.subTest(f"{share} MiB"):
                    self.assertEqual(self.open(), "made")
                    self.assertEqual(self.open(), "whole")

    def test_noise_is_no_blank_partition_and_is_kept_for_who_looks_through_it(self):
        self.open()
        self.damage(0, 64 * MIB)
        self.damage(30 * MIB, 5, b"?")
        before = self.disk.read_bytes()
        self.assertEqual(self.open(), "rebuilt")
        self.assertTrue(self.remains.read_bytes() == before)
        self.assertEqual(self.remains.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.open(), "whole")

    def test_what_is_repaired_is_copied_before(self):
        self.open()
        self.assertFalse(self.remains.exists(), "nothing was wrong")
        # The tables of inodes.
        self.damage(280 * 1024, 200 * 1024)
        before = self.disk.read_bytes()
        self.assertEqual(self.open(), "repaired")
        # The superblock and the descriptors may have come back from their copies already.
        self.assertTrue(self.remains.read_bytes()[8192:] == before[8192:])
        self.assertFalse(self.disk.read_bytes()[8192:] == before[8192:])

    def test_repair_that_takes_too_long_does_not_hold_the_start_up(self):
        self.open()
        self.damage(2 * 1024, 3 * 1024)
        slow = self.disk.with_name("slow")
        slow.write_text("#!/bin/sh\nsleep 60\n")
        slow.chmod(0o755)
        self.assertEqual(self.open(E2FSCK=str(slow), DATA_LIMIT_S="1"), "rebuilt")

    def test_a_copy_that_has_no_room_does_not_keep_the_box_from_starting(self):
        self.open()
        self.damage(0, 64 * MIB)
        self.assertEqual(self.open(DATA_REMAINS="/nowhere/remains"), "rebuilt")

    def test_without_a_partition_or_tools_data_is_in_memory(self):
        self.assertEqual(self.open(disk=""), "lost")
        self.assertEqual(self.open(E2FSCK="/bin/false", MKE2FS="/bin/false"), "lost")
