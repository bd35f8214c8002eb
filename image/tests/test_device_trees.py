import subprocess
import tempfile
import unittest
from pathlib import Path

from image import board, device_trees
from image.common import Fault, run

TREE = """/dts-v1/;
/ { compatible = "test,board"; pins: pins@9 { #gpio-cells = <2>; gpio-controller; }; };"""
LIGHT = """/dts-v1/; /plugin/;
&{/} { leds { compatible = "gpio-leds"; led-act { label = "ACT"; gpios = <&pins 9 1>; }; }; };"""


class DeviceTrees(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.base = Path(folder.name)
        self.tree = self.base / "dtb/test.dtb"
        self.tree.parent.mkdir()
        self.compile(TREE)

    def compile(self, text):
        subprocess.run(["dtc", "-q", "-@", "-I", "dts", "-O", "dtb", "-o", self.tree], input=text.encode(), check=True)

    def extend(self, text, trees=("test.dtb",)):
        (self.base / "light.dtso").write_text(text)
        values = {"boot.overlays": ["light.dtso"], "boot.device_trees": {tree: [tree] for tree in trees},
                  "drivers.device_trees": list(trees)}
        device_trees.extend(board.Board("x", self.base, "X", "arm64", "mbr-rpi", values), self.base)

    def get(self, node, name, kind="s"):
        return run("fdtget", "-t", kind, self.tree, node, name).decode().split()

    def test_an_overlay_is_merged_with_its_references(self):
        self.extend(LIGHT)
        self.assertEqual(self.get("/leds/led-act", "label"), ["ACT"])
        self.assertEqual(self.get("/leds/led-act", "gpios", "u"), [*self.get("/pins@9", "phandle", "u"), "9", "1"])
        self.assertEqual(self.get("/", "compatible"), ["test,board"])

    def test_an_overlay_that_cannot_be_read_is_told_with_its_file(self):
        with self.assertRaisesRegex(Fault, "(?s)board/x/light.dtso: .*syntax error"):
            self.extend(LIGHT.replace("};", "}"))

    def test_a_device_that_the_tree_does_not_have_is_told_with_the_tree(self):
        self.compile(TREE.replace("pins:", "other:"))
        with self.assertRaisesRegex(Fault, "light.dtso into test.dtb: "):
            self.extend(LIGHT)

    def test_a_tree_that_is_not_there_is_told(self):
        with self.assertRaisesRegex(Fault, "has no device tree other.dtb"):
            self.extend(LIGHT, ("other.dtb",))

    def test_a_machine_without_a_light_gets_one(self):
        self.compile("/dts-v1/; / { pl061@9030000 { phandle = <7>; }; };")
        device_trees.add_light(self.tree)
        self.assertEqual(self.get("/leds/led-act", "gpios", "u"), ["7", "5", "1"])
