import unittest

from image import board, lock
from image.common import BOARDS, Fault


class Boards(unittest.TestCase):
    def test_every_board_is_valid(self):
        self.assertGreaterEqual(len(board.names()), 4)
        for name in board.names():
            with self.subTest(name):
                self.assertEqual(board.load(name).id, name)

    def test_every_wrong_board_is_refused_with_file_and_key(self):
        files = sorted(BOARDS.glob("invalid-*.toml"))
        self.assertGreaterEqual(len(files), 7)
        for path in files:
            expected = [line.removeprefix("# expects: ") for line in path.read_text().splitlines()
                        if line.startswith("# expects: ")]
            with self.subTest(path.name):
                self.assertTrue(expected, "the file says what it expects")
                with self.assertRaises(Fault) as caught:
                    board.read(path)
                for text in expected:
                    self.assertIn(f"board/{path.name}: {text}" if ": " in text else text, str(caught.exception))

    def test_a_board_that_is_not_there_is_told_with_those_that_are(self):
        with self.assertRaisesRegex(Fault, "no board called 'pi6'.*rpi5"):
            board.load("pi6")

    def test_the_lock_has_what_every_board_asks_for(self):
        for name in board.names():
            chosen = board.load(name)
            locked = {p.name for p in lock.read(chosen.arch).values() if name in p.groups}
            self.assertEqual(set(chosen.packages()) - locked, set(), name)
