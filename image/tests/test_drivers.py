import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from image import board, drivers
from image.common import Fault

TREE = """/dts-v1/;
/ { compatible = "test,board";
    radio@1 { compatible = "test,radio", "test,any-radio"; };
    off { compatible = "test,off"; status = "disabled"; child { compatible = "test,below-off"; }; };
    core { compatible = "test,core"; status = "okay"; };
};"""


class Drivers(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.base = Path(folder.name)
        patch = mock.patch.object(drivers, "OUT", self.base / "out")
        patch.start()
        self.addCleanup(patch.stop)
        self.kernel, self.tree = self.base / "kernel", self.base / "tree"
        (self.kernel / "dtb").mkdir(parents=True)
        (self.tree / "usr/lib/firmware").mkdir(parents=True)
        (self.tree / "usr/lib/modules/1/kernel").mkdir(parents=True)
        blob = subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb"], input=TREE.encode(), stdout=subprocess.PIPE, check=True)
        (self.kernel / "dtb/test.dtb").write_bytes(blob.stdout)
        (self.kernel / "modules.alias").write_text(
            "alias of:N*T*Ctest,any-radioC* test-radio\nalias of:N*T*Ctest,any-radio test-radio\n"
            "alias of:N*T*Ctest,off other\nalias acpi*:TEST1:* pins\nalias dmi*:a b*: odd\n")
        (self.kernel / "modules.builtin.modinfo").write_bytes(b"core.alias=of:N*T*Ctest,core\0core.license=GPL\0")

    def check(self, values=None):
        values = {"drivers.device_trees": ["test.dtb"]} | (values or {})
        return drivers.check(board.Board("x", self.base, "X", "arm64", "mbr-rpi", values), self.tree, self.kernel)

    def have(self, name):
        path = self.tree / "usr/lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def test_a_device_whose_driver_is_missing_fails_with_both_names(self):
        with self.assertRaisesRegex(Fault, r"test.dtb/radio@1 \(test,radio\): its driver test_radio is not in the image"):
            self.check()

    def test_devices_that_are_switched_off_ask_for_nothing(self):
        self.have("modules/1/kernel/test-radio.ko")
        self.assertIn("3 devices; 1 by modules in the image, 1 by the kernel itself", self.check())

    def test_firmware_that_is_missing_fails_with_its_name(self):
        self.have("modules/1/kernel/test-radio.ko")
        needs = {"drivers.needs": {"test,any-radio": ["radio/*.bin"]}}
        with self.assertRaisesRegex(Fault, "its firmware radio/[*].bin is not in the image"):
            self.check(needs)
        self.have("firmware/radio/1.bin")
        self.check(needs)

    def test_a_module_that_is_needed_by_name_fails_when_it_is_missing(self):
        self.have("modules/1/kernel/test-radio.ko")
        with self.assertRaisesRegex(Fault, "its driver more is not in the image"):
            self.check({"drivers.needs": {"test,core": ["more.ko"]}})

    def test_an_excuse_that_nobody_needs_fails(self):
        self.have("modules/1/kernel/test-radio.ko")
        with self.assertRaisesRegex(Fault, "drivers.ignore names other, which no device asks for"):
            self.check({"drivers.ignore": ["other"]})

    def test_lists_of_modaliases_are_read_with_firmware_and_comment(self):
        (self.base / "list.txt").write_text("# head\n\nacpi:TEST1:  pins.bin  # the pins\n")
        values = {"drivers.device_trees": [], "drivers.modalias": "list.txt"}
        with self.assertRaises(Fault) as caught:
            self.check(values)
        self.assertEqual(str(caught.exception), "the pins: its driver pins is not in the image\n"
                         "the pins: its firmware pins.bin is not in the image")

    def test_a_damaged_device_tree_is_told(self):
        whole = (self.kernel / "dtb/test.dtb").read_bytes()
        for blob, text in ((b"", "not a device tree"), (whole[:60], "cut off"), (b"\0" * 64, "not a device tree")):
            (self.kernel / "dtb/test.dtb").write_bytes(blob)
            with self.subTest(text), self.assertRaisesRegex(Fault, text):
                self.check()
