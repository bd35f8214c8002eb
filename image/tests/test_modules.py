import unittest

from image import modules


class Newest(unittest.TestCase):
    def test_of_each_family_the_newest_interface_that_the_driver_knows_stays(self):
        names = {f"iwlwifi-ty-a0-gf-a0-{number}.ucode" for number in (59, 72, 89, 101)}
        wanted = {"intel/iwlwifi/iwlwifi-ty-a0-gf-a0-89.ucode"}
        self.assertEqual(modules.newest(names, wanted), {"iwlwifi-ty-a0-gf-a0-89.ucode"})

    def test_a_family_that_no_driver_names_goes(self):
        self.assertEqual(modules.newest({"iwlwifi-1000-5.ucode"}, set()), set())

    def test_numbers_of_the_newer_kind_come_after_those_of_the_older(self):
        names = {"iwlwifi-gl-c0-fm-c0-101.ucode", "iwlwifi-gl-c0-fm-c0-c102.ucode", "iwlwifi-gl-c0-fm-c0-c107.ucode"}
        self.assertEqual(modules.newest(names, {"iwlwifi-gl-c0-fm-c0-c102.ucode"}), {"iwlwifi-gl-c0-fm-c0-c102.ucode"})

    def test_what_has_no_number_stays(self):
        self.assertEqual(modules.newest({"mt7662u.bin", "regulatory.db"}, set()), {"mt7662u.bin", "regulatory.db"})
