import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from image import lock
from image.common import Fault

LINE = "libc6 2.41-12 root 10 " + "a" * 64 + " debian pool/main/g/glibc/libc6_2.41-12_amd64.deb\n"


class Lock(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = Path(self.folder.name) / "amd64.lock"
        patch = mock.patch.object(lock, "path_of", lambda arch: self.path)
        patch.start()
        self.addCleanup(patch.stop)

    def test_what_is_written_is_read_again(self):
        package = lock.Package("libc6", "2.41-12", 10, "a" * 64, "debian", "pool/x.deb", {"root", "boot"})
        lock.write("amd64", {"libc6": package})
        self.assertEqual(lock.read("amd64"), {"libc6": package})

    def test_a_line_that_is_none_is_told_by_its_number(self):
        for wrong in ("libc6 2.41-12 root 10\n", LINE.replace("a" * 64, "b" * 63), LINE.replace("debian", "elsewhere")):
            self.path.write_text("# head\n" + LINE + wrong)
            with self.subTest(wrong), self.assertRaisesRegex(Fault, "amd64.lock:3: not a line of a lock"):
                lock.read("amd64")

    def test_a_package_with_another_checksum_is_never_taken(self):
        package = lock.Package("x", "1", 3, "0" * 64, "debian", "pool/x_1.deb", {"root"})
        def serve(*words, **_):
            Path(words[words.index("download-file") + 2]).write_bytes(b"evil")
        with mock.patch.object(lock, "DEBS", Path(self.folder.name)), mock.patch.object(lock, "run", serve), \
                mock.patch.dict(os.environ, {"BULLE_DEBIAN_MIRROR": "http://mirror.example"}), \
                self.assertRaisesRegex(Fault, "does not serve what the lock names: x 1"):
            lock.fetch([package])
        self.assertFalse(package.deb.exists())
