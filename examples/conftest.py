"""The tests of the examples run on a real daemon, like those in test/system."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "test" / "system"))

from lib.fixtures import mayfly  # noqa: E402,F401
