"""What several tests begin with."""

import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock


class InFolder(unittest.TestCase):
    """Has an empty folder of its own, `base`, and the time of a commit."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.base = Path(folder.name)
        patch = mock.patch.dict(os.environ, {"SOURCE_DATE_EPOCH": "1700000000"})
        patch.start()
        self.addCleanup(patch.stop)
