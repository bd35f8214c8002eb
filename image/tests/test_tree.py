import os
import tempfile
import unittest
from pathlib import Path

from image import board, tree
from image.common import Fault


class Tree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = Path(os.path.realpath(folder.name))
        (self.tree / "usr/lib/x").mkdir(parents=True)
        (self.tree / "lib").symlink_to("usr/lib")
        (self.tree / "usr/lib/x/real").write_text("")

    def test_links_are_followed_as_the_box_would_follow_them(self):
        (self.tree / "usr/lib/x/link").symlink_to("/lib/x/real")
        self.assertEqual(tree.followed(self.tree, "/lib/x/link"), self.tree / "usr/lib/x/real")

    def test_a_link_that_leaves_the_image_is_refused(self):
        (self.tree / "out").symlink_to("../..")
        with self.assertRaisesRegex(Fault, "leads out of the image"):
            tree.followed(self.tree, "/out/etc/passwd")

    def test_a_circle_of_links_is_refused(self):
        (self.tree / "usr/lib/one").symlink_to("two")
        (self.tree / "usr/lib/two").symlink_to("one")
        with self.assertRaisesRegex(Fault, "circle of links"):
            tree.followed(self.tree, "/lib/one")

    def test_nobody_can_change_who_a_program_runs_as_or_write_it(self):
        path = self.tree / "usr/lib/x/real"
        path.chmod(0o6777)
        tree.strip_bits(self.tree)
        self.assertEqual(path.stat().st_mode & 0o7777, 0o755)

    def test_only_what_is_named_stays(self):
        (self.tree / "usr/lib/y").mkdir()
        (self.tree / "usr/lib/y/other").write_text("")
        (self.tree / "usr/lib/y/link").symlink_to("other")
        tree.everything_else_goes(self.tree, {"usr/lib/x/real"})
        self.assertEqual(sorted(str(p.relative_to(self.tree)) for p in self.tree.rglob("*")),
                         ["lib", "usr", "usr/lib", "usr/lib/x", "usr/lib/x/real"])

    def test_a_unit_that_leads_nowhere_is_refused(self):
        for name in ("usr/bin", "usr/sbin", f"{tree.UNITS}/a.target.wants"):
            (self.tree / name).mkdir(parents=True)
        (self.tree / tree.UNITS / "a.target.wants/b.service").symlink_to("../b.service")
        with self.assertRaisesRegex(Fault, "b.service is a link to ../b.service, which is not there"):
            tree.check_links(self.tree)

    def hooked(self, text):
        (self.tree / "hook.sh").write_text(text)
        (self.tree / "hook.sh").chmod(0o755)
        tree.hook(board.Board("x", self.tree, "X", "amd64", "gpt-uefi", {"hook": "hook.sh"}), self.tree / "usr")

    def test_a_board_may_have_the_last_word(self):
        self.hooked("#!/bin/sh\ntouch \"$1/lib/mine\"\n")
        self.assertTrue((self.tree / "usr/lib/mine").exists())

    def test_a_hook_that_fails_stops_the_build_with_what_it_said(self):
        with self.assertRaisesRegex(Fault, "(?s)exit 3.*no such thing"):
            self.hooked("#!/bin/sh\necho no such thing >&2\nexit 3\n")
