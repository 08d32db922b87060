"""The tiny data set and encoder of the probing tests."""

from tests.probing.conftest import cache, exported, tones  # noqa: F401
