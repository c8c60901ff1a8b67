"""The pytest plugin, by the name that it had before: it is emulator.testing.plugin."""

from emulator.testing.plugin import *  # noqa: F403
