"""The fixture for unittest: a session for each test, which fails it as under pytest."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Mapping
from inspect import getfile
from pathlib import Path
from typing import Any, ClassVar

from emulator.testing.emulator import Emulator
from emulator.testing.session import EmulatedSession


class EmulatorTestCase(unittest.TestCase):
    """Each test has a session of its own, `self.emulator`, on one server for the class.

    `emulator_scenario` and `emulator_options` are what the session is made with, as under the pytest marker.
    """

    emulator_scenario: ClassVar[Any] = None
    emulator_options: ClassVar[Mapping[str, Any]] = {}
    emulator_server: ClassVar[Emulator]
    emulator: EmulatedSession

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.emulator_server = cls.enterClassContext(Emulator())

    def setUp(self) -> None:
        super().setUp()
        self.emulator = self.emulator_server.session(
            self.emulator_scenario, [Path(getfile(type(self))).parent], form="emulator_options = dict({})",
            **self.emulator_options,
        )  # fmt: skip
        self.addCleanup(self.emulator.delete)

    def _callTestMethod(self, method: Callable[[], Any]) -> None:
        """Run the test, and fail it on what is wrong with what happened; one that failed by itself tells it too."""
        try:
            super()._callTestMethod(method)  # type: ignore[misc]
        except unittest.SkipTest:
            raise
        except Exception as error:
            self.emulator.explain(error)
            raise
        self.emulator.check()
