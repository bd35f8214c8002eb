import json
import os

from image import board, disk
from image.common import Fault, run

from .folder import InFolder


class Disk(InFolder):
    def rows(self, chosen):
        rows = disk.partitions(chosen)
        for row in rows:
            if row.name != "data":
                row.content = self.base / row.name
                row.content.write_bytes(b"\0" * disk.MIB + row.name.encode() + b"\0" * 4000)
        return rows

    def test_each_partition_is_where_the_table_says_and_has_its_number(self):
        for name in board.names():
            chosen, out = board.load(name), self.base / f"{name}.img"
            rows = self.rows(chosen)
            disk.image(out, chosen, rows)
            table = json.loads(run("sfdisk", "-J", out))["partitiontable"]
            found = {int(p["node"].removeprefix(str(out))): p for p in table["partitions"]}
            with open(out, "rb") as file:
                for row in rows:
                    with self.subTest(f"{name} {row.name}"):
                        self.assertEqual(found[row.number]["size"], row.mib * 2048)
                        file.seek(found[row.number]["start"] * 512 + disk.MIB)
                        self.assertEqual(file.read(20).strip(b"\0"), row.name.encode() if row.content else b"")
                        file.seek((found[row.number]["start"] + found[row.number]["size"]) * 512 - disk.MIB)
                        self.assertEqual(file.read(20).strip(b"\0"), disk.BLANK if row.name == "data" else b"")

    def test_the_same_content_makes_the_same_disk(self):
        for name in ("rpi5", "kubb-mini"):
            images = []
            for twin in ("one", "two"):
                disk.image(self.base / twin, board.load(name), self.rows(board.load(name)))
                images.append((self.base / twin).read_bytes())
            self.assertTrue(images[0] == images[1], name)

    def test_content_that_does_not_fit_is_told_with_the_key_to_change(self):
        chosen = board.load("rpi5")
        rows = self.rows(chosen)
        root = next(row for row in rows if row.name == "root-a")
        with open(root.content, "wb") as file:
            file.truncate((root.mib + 1) * disk.MIB)
        with self.assertRaisesRegex(Fault, "root-a takes .* see size.root of board rpi5"):
            disk.image(self.base / "x.img", chosen, rows)

    def test_a_fat_partition_is_the_same_whenever_it_is_made(self):
        chosen, content = board.load("rpi5"), self.base / "content"
        (content / "folder").mkdir(parents=True)
        (content / "folder/a.txt").write_text("a")
        images = []
        for when in (1, 2):
            os.utime(content / "folder/a.txt", (when, when))
            images.append(disk.fat(self.base / "x.vfat", content, 16, "BULLE", chosen).read_bytes())
        self.assertTrue(images[0] == images[1])

    def test_a_command_line_that_arm64_would_cut_is_refused(self):
        with self.assertRaisesRegex(Fault, "command line has .* characters, more than 2000"):
            disk.command_line(board.load("rpi5"), ["x" * 2000])
