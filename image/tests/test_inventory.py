import os
import shutil
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from image import board, inventory
from image.common import Fault


class Inventory(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.base = Path(folder.name)
        self.root = self.base / "root"
        (self.root / "usr/bin").mkdir(parents=True)

    def put(self, name, mode=0o755, source="/usr/bin/true"):
        shutil.copyfile(source, self.root / name)
        os.chmod(self.root / name, mode)

    def test_a_shell_or_a_tool_to_get_in_is_refused(self):
        for name in ("sh", "python3.13", "sshd", "busybox", "apt-get"):
            self.put(f"usr/bin/{name}")
            with self.subTest(name), self.assertRaisesRegex(Fault, f"usr/bin/{name} must not be on a box"):
                inventory.text({"root": self.root})
            (self.root / "usr/bin" / name).unlink()

    def test_what_changes_its_user_or_may_be_written_by_others_is_refused(self):
        for mode in (0o4755, 0o2755, 0o777):
            self.put("usr/bin/x", mode)
            with self.subTest(oct(mode)), self.assertRaisesRegex(Fault, "changes who it runs as, or others may write"):
                inventory.text({"root": self.root})

    def test_our_program_must_be_hardened(self):
        self.put("usr/bin/bulle", source=__file__)
        with self.assertRaisesRegex(Fault, "usr/bin/bulle was built without now, nx, pie, relro"):
            inventory.text({"root": self.root})

    def test_programs_are_listed_with_how_they_were_hardened(self):
        self.put("usr/bin/x")
        self.assertRegex(inventory.text({"root": self.root}), r"0755 \d+ root/usr/bin/x \[pie relro.* nx")

    def test_a_difference_fails_until_it_is_accepted(self):
        chosen = board.Board("x", self.base, "X", "arm64", "mbr-rpi", {})
        with mock.patch.object(inventory, "IMAGE", self.base), mock.patch.object(inventory, "OUT", self.base):
            with self.assertRaisesRegex(Fault, "(?s)differs.*\\+0644 1 root/a.*--accept"):
                inventory.compare(chosen, "0644 1 root/a\n", accept=False)
            inventory.compare(chosen, "0644 1 root/a\n", accept=True)
            inventory.compare(chosen, "0644 1 root/a\n", accept=False)
            with self.assertRaisesRegex(Fault, "-0644 1 root/a"):
                inventory.compare(chosen, "", accept=False)

    def test_what_changes_with_each_commit_may_stay_near_its_accepted_size(self):
        chosen = board.Board("x", self.base, "X", "arm64", "mbr-rpi", {})
        with mock.patch.object(inventory, "IMAGE", self.base), mock.patch.object(inventory, "OUT", self.base):
            inventory.compare(chosen, "0755 13.0M root/a [pie]\n", accept=True)
            for near in ("12.9M", "13.1M", "13.6M", "12.4M"):
                inventory.compare(chosen, f"0755 {near} root/a [pie]\n", accept=False)
            for other in ("0755 13.8M root/a [pie]", "0755 12.2M root/a [pie]", "0644 13.0M root/a [pie]",
                          "0755 13.0M root/a", "0755 13.0M root/b [pie]"):
                with self.assertRaises(Fault):
                    inventory.compare(chosen, other + "\n", accept=False)
