from image import board, disk, firmware
from image.common import Fault

from .folder import InFolder

AUTOBOOT = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"
CONFIG = "[all]\nkernel=vmlinuz\ninitramfs initrd followkernel\ncmdline=cmdline.txt\n"


class Firmware(InFolder):
    def card(self, first=None, second=None, third=None):
        """A card with these texts on its FAT partitions."""
        chosen, out = board.load("rpi5"), self.base / "card.img"
        rows = disk.partitions(chosen)
        for row, files in zip(rows, (first, second, third)):
            folder = self.base / row.name
            folder.mkdir()
            for name, text in (files or {}).items():
                (folder / name).write_text(text)
            row.content = disk.fat(self.base / f"{row.name}.vfat", folder, row.mib, "TEST", chosen)
        disk.image(out, chosen, rows)
        return out

    def test_autoboot_leads_to_the_first_slot_and_on_trial_to_the_second(self):
        card = self.card({"autoboot.txt": AUTOBOOT}, {"config.txt": CONFIG}, {"config.txt": CONFIG})
        self.assertEqual(firmware.choose(card), firmware.Choice(2, "vmlinuz", "initrd", "cmdline.txt"))
        self.assertEqual(firmware.choose(card, on_trial=True).partition, 3)

    def test_without_autoboot_the_first_partition_with_a_config_counts(self):
        self.assertEqual(firmware.choose(self.card({}, {"config.txt": CONFIG})).partition, 2)

    def test_a_slot_without_anything_in_it_is_not_started(self):
        card = self.card({"autoboot.txt": AUTOBOOT}, {"config.txt": CONFIG}, {})
        with self.assertRaisesRegex(Fault, "partition 3, which has no config.txt"):
            firmware.choose(card, on_trial=True)

    def test_a_card_that_starts_nothing_is_told(self):
        with self.assertRaisesRegex(Fault, "no partition that the firmware could start from"):
            firmware.choose(self.card({}, {}, {}))

    def test_a_trial_of_files_instead_of_partitions_is_refused(self):
        card = self.card({"autoboot.txt": "[all]\nboot_partition=2\n"}, {"config.txt": CONFIG})
        with self.assertRaisesRegex(Fault, "no tryboot_a_b=1"):
            firmware.choose(card, on_trial=True)

    def test_sections_count_by_what_they_say(self):
        text = "# a remark\nkernel=one\n[tryboot]\nkernel=two\n[all]\ncmdline=c.txt\n"
        self.assertEqual(firmware.sections(text, False), {"kernel": "one", "cmdline": "c.txt"})
        self.assertEqual(firmware.sections(text, True), {"kernel": "two", "cmdline": "c.txt"})
        with self.assertRaisesRegex(Fault, "not known here"):
            firmware.sections("[pi4]\nkernel=x\n", False)
        with self.assertRaisesRegex(Fault, "cannot read this line"):
            firmware.sections("Kernel: x\n", False)

    def test_one_tree_for_all_boards_is_refused(self):
        card = self.card({}, {"config.txt": CONFIG + "device_tree=bcm2712-rpi-5-b.dtb\n"})
        with self.assertRaisesRegex(Fault, "leave the device tree"):
            firmware.choose(card)
